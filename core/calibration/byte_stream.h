// SPDX-License-Identifier: GPL-3.0-or-later
// Values and arrays as bytes, one behind the other in this machine's order: what calibration keeps in a study.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace ql {

class ByteWriter {
public:
    explicit ByteWriter(std::size_t reserved = 0) { m_bytes.reserve(reserved); }
    template<typename T>
    void value(const T& value)
    {
        static_assert(std::is_trivially_copyable_v<T>);
        const auto* bytes = reinterpret_cast<const std::byte*>(&value);
        m_bytes.insert(m_bytes.end(), bytes, bytes + sizeof value);
    }
    template<typename T>
    void array(std::span<const T> values)
    {
        value(static_cast<std::int64_t>(values.size()));
        const auto bytes = std::as_bytes(values);
        m_bytes.insert(m_bytes.end(), bytes.begin(), bytes.end());
    }
    std::vector<std::byte> take() { return std::move(m_bytes); }

private:
    std::vector<std::byte> m_bytes;
};

/// Each call takes what was written at that place; false where the bytes end too early.
class ByteReader {
public:
    explicit ByteReader(std::span<const std::byte> bytes) : m_rest(bytes) {}
    template<typename T>
    bool value(T& value)
    {
        if (m_rest.size() < sizeof value)
            return false;
        std::memcpy(&value, m_rest.data(), sizeof value);
        m_rest = m_rest.subspan(sizeof value);
        return true;
    }
    template<typename T>
    bool array(std::vector<T>& values)
    {
        std::int64_t n = 0;
        if (!value(n) || n < 0 || static_cast<std::uint64_t>(n) > m_rest.size() / sizeof(T))
            return false;
        values.resize(static_cast<std::size_t>(n));
        if (!values.empty()) // of none both addresses may be null, which memcpy forbids
            std::memcpy(values.data(), m_rest.data(), values.size() * sizeof(T));
        m_rest = m_rest.subspan(values.size() * sizeof(T));
        return true;
    }
    bool atEnd() const { return m_rest.empty(); }

private:
    std::span<const std::byte> m_rest;
};

} // namespace ql
