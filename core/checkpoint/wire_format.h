// SPDX-License-Identifier: GPL-3.0-or-later
// The wire format of Protocol Buffers over mapped bytes: fields as views, no copies. Written here and not taken from
// libprotobuf, whose streams end at 2 GiB (single-file ONNX models are larger) and hide where bytes lie in the file.
// Source: protobuf.dev/programming-guides/encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace ql::wire {

using Bytes = std::span<const std::byte>;

enum class Type : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
    std::uint32_t number = 0;
    Type type = Type::varint;
    std::uint64_t value = 0; // of a varint or fixed number
    Bytes bytes;             // of a length-delimited field
    std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// Walks the fields of one message. After the last next() returns nothing and failed() says whether the bytes ended
/// inside a field or were no message.
class Reader {
public:
    explicit Reader(Bytes message) : m_rest(message) {}

    std::optional<Field> next()
    {
        if (m_rest.empty() || m_failed)
            return std::nullopt;
        const auto tag = varint();
        Field field;
        if (tag && *tag >> 3U != 0 && *tag <= 0xffffffffU && read(field, *tag))
            return field;
        m_failed = true;
        return std::nullopt;
    }
    bool failed() const { return m_failed; }
    bool atEnd() const { return m_rest.empty(); }
    /// A bare varint, of a packed field.
    std::optional<std::uint64_t> varint()
    {
        std::uint64_t value = 0;
        for (unsigned i = 0; i < 10 && i < m_rest.size(); ++i) {
            const auto byte = static_cast<std::uint64_t>(m_rest[i]);
            if (i == 9 && byte > 1)
                break;
            value |= (byte & 0x7fU) << (7 * i);
            if (byte < 0x80) {
                m_rest = m_rest.subspan(i + 1);
                return value;
            }
        }
        m_failed = true;
        return std::nullopt;
    }

private:
    bool read(Field& field, std::uint64_t tag)
    {
        field.number = static_cast<std::uint32_t>(tag >> 3U);
        field.type = static_cast<Type>(tag & 7U);
        if (field.type == Type::varint) {
            const auto value = varint();
            field.value = value.value_or(0);
            return value.has_value();
        }
        if (field.type == Type::bytes) {
            const auto length = varint();
            if (!length || *length > m_rest.size())
                return false;
            field.bytes = m_rest.first(static_cast<std::size_t>(*length));
            m_rest = m_rest.subspan(field.bytes.size());
            return true;
        }
        const std::size_t size = field.type == Type::fixed64 ? 8 : 4;
        if ((field.type != Type::fixed64 && field.type != Type::fixed32) || m_rest.size() < size)
            return false; // groups (3, 4) are no part of ONNX
        std::memcpy(&field.value, m_rest.data(), size);
        m_rest = m_rest.subspan(size);
        return true;
    }

    Bytes m_rest;
    bool m_failed = false;
};

} // namespace ql::wire
