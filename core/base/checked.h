// SPDX-License-Identifier: GPL-3.0-or-later
// Integer arithmetic that says when it overflows. Sizes and counts are std::int64_t from the reader on.
#pragma once

#include <cassert>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

namespace ql {

/// a·b, or nothing if it does not fit.
inline std::optional<std::int64_t> mulChecked(std::int64_t a, std::int64_t b)
{
    std::int64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product))
        return std::nullopt;
    return product;
}

/// a+b, or nothing if it does not fit.
inline std::optional<std::int64_t> addChecked(std::int64_t a, std::int64_t b)
{
    std::int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum))
        return std::nullopt;
    return sum;
}

/// Converts between integer types; asserts that the value fits.
template<std::integral To, std::integral From>
constexpr To checkedCast(From value)
{
    assert(std::in_range<To>(value));
    return static_cast<To>(value);
}

/// ⌈a/b⌉ for a ≥ 0, b > 0.
constexpr std::int64_t ceilDiv(std::int64_t a, std::int64_t b)
{
    return a / b + (a % b != 0 ? 1 : 0);
}
/// a rounded up to a multiple of b, for a ≥ 0, b > 0.
constexpr std::int64_t roundUp(std::int64_t a, std::int64_t b)
{
    return ceilDiv(a, b) * b;
}

} // namespace ql
