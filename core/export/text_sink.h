// SPDX-License-Identifier: GPL-3.0-or-later
// Text that is either built or only measured by the same code, so that a size promised is the size written.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace ql {

class TextBuilder {
public:
    void text(std::string_view part) { m_text += part; }
    void number(std::int64_t value)
    {
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        m_text.append(digits, end);
    }
    std::int64_t size() const { return static_cast<std::int64_t>(m_text.size()); }
    std::string& str() { return m_text; }

private:
    std::string m_text;
};

class TextMeter {
public:
    void text(std::string_view part) { m_size += static_cast<std::int64_t>(part.size()); }
    void number(std::int64_t value)
    {
        // Without divisions, which would cost half of what counting the bytes of a plan does.
        m_size += value < 0 ? 2 : 1;
        const std::uint64_t magnitude =
            value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
        for (std::uint64_t next = 10; magnitude >= next; next *= 10)
            ++m_size;
    }
    std::int64_t size() const { return m_size; }

private:
    std::int64_t m_size = 0;
};

} // namespace ql
