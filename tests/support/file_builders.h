// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes of small files, right or wrong as the test wants them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace ql::test {

template<typename T>
std::string bytesOf(T value)
{
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

/// A safetensors file with that header and dataBytes bytes of data.
inline std::string safetensors(std::string_view json, std::size_t dataBytes)
{
    return bytesOf(static_cast<std::uint64_t>(json.size())) + std::string(json) + std::string(dataBytes, '\x01');
}

inline std::string ggufString(std::string_view text)
{
    return bytesOf(static_cast<std::uint64_t>(text.size())) + std::string(text);
}

/// Collects keys and infos of a GGUF file; counts may be overridden to lie.
class GgufBuilder {
public:
    std::uint32_t version = 3;
    std::uint64_t alignment = 32;

    GgufBuilder& key(std::string_view name, std::uint32_t type, std::string_view value)
    {
        m_keys += ggufString(name) + bytesOf(type) + std::string(value);
        ++keyCount;
        return *this;
    }
    GgufBuilder& array(std::string_view name, std::uint32_t type, std::uint64_t count, std::string_view values)
    {
        return key(name, 9, bytesOf(type) + bytesOf(count) + std::string(values));
    }
    GgufBuilder& tensor(std::string_view name, const std::initializer_list<std::uint64_t>& dims, std::uint32_t type,
                        std::uint64_t offset)
    {
        m_infos += ggufString(name) + bytesOf(static_cast<std::uint32_t>(dims.size()));
        for (const std::uint64_t dimension : dims)
            m_infos += bytesOf(dimension);
        m_infos += bytesOf(type) + bytesOf(offset);
        ++tensorCount;
        return *this;
    }
    std::uint64_t keyCount = 0;
    std::uint64_t tensorCount = 0;

    std::string build(std::size_t dataBytes) const
    {
        std::string file = "GGUF" + bytesOf(version) + bytesOf(tensorCount) + bytesOf(keyCount) + m_keys + m_infos;
        file.resize((file.size() + alignment - 1) / alignment * alignment, '\0');
        return file + std::string(dataBytes, '\x01');
    }

private:
    std::string m_keys;
    std::string m_infos;
};

} // namespace ql::test
