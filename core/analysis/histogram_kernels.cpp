// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/histogram_kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/analysis/histogram_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ql {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using DoubleTag = hn::ScalableTag<double>;
using FloatTag = hn::Rebind<float, DoubleTag>;
using IndexTag = hn::Rebind<std::int32_t, DoubleTag>;
constexpr std::int64_t kBlock = 2048;

HWY_INLINE hn::Vec<DoubleTag> loadDoubles(const double* from)
{
    return hn::LoadU(DoubleTag(), from);
}
HWY_INLINE hn::Vec<DoubleTag> loadDoubles(const float* from)
{
    return hn::PromoteTo(DoubleTag(), hn::LoadU(FloatTag(), from));
}

template<typename T>
void countBinsOf(const BinRule& rule, const T* values, std::int64_t n, std::uint32_t* counters)
{
    const DoubleTag d;
    const IndexTag di;
    const auto min = hn::Set(d, rule.min);
    const auto max = hn::Set(d, rule.max);
    const auto width = hn::Set(d, rule.width);
    const auto perWidth = hn::Set(d, rule.perWidth);
    const auto last = hn::Set(d, static_cast<double>(rule.bins - 1));
    const auto below = hn::Set(d, static_cast<double>(rule.bins));
    const auto above = hn::Set(d, static_cast<double>(rule.bins + 1));
    const auto odd = hn::Set(d, static_cast<double>(rule.bins + 2));
    const auto largest = hn::Set(d, std::numeric_limits<double>::max());
    const auto zero = hn::Zero(d);
    const auto one = hn::Set(d, 1.0);
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));

    std::array<std::int32_t, kBlock> slots;
    for (std::int64_t begin = 0; begin < n; begin += kBlock) {
        const std::int64_t count = std::min(kBlock, n - begin);
        const T* const block = values + begin;
        std::int64_t i = 0;
        for (; i + lanes <= count; i += lanes) {
            const auto x = loadDoubles(block + i);
            const auto finite = hn::Le(hn::Abs(x), largest);
            const auto guess = hn::Mul(hn::Sub(x, min), perWidth);
            auto bin = hn::Floor(hn::Min(hn::Max(guess, zero), last));
            const auto low = hn::Add(hn::Mul(bin, width), min);
            const auto high = hn::Add(hn::Mul(hn::Add(bin, one), width), min);
            const auto up = hn::IfThenElseZero(hn::And(hn::Ge(x, high), hn::Lt(bin, last)), one);
            const auto down = hn::IfThenElseZero(hn::Lt(x, low), one);
            bin = hn::Sub(hn::Add(bin, up), down);
            bin = hn::IfThenElse(hn::Lt(x, min), below, bin);
            bin = hn::IfThenElse(hn::Gt(x, max), above, bin);
            bin = hn::IfThenElse(finite, bin, odd);
            hn::StoreU(hn::DemoteTo(di, bin), di, slots.data() + i);
        }
        for (; i < count; ++i)
            slots[static_cast<std::size_t>(i)] = rule.slotOf(static_cast<double>(block[i]));
        std::uint32_t* const second = counters + rule.slots();
        for (i = 0; i + 1 < count; i += 2) {
            ++counters[slots[static_cast<std::size_t>(i)]];
            ++second[slots[static_cast<std::size_t>(i + 1)]];
        }
        if (i < count)
            ++counters[slots[static_cast<std::size_t>(i)]];
    }
}

void countBinsOfFloats(const BinRule& rule, const float* values, std::int64_t n, std::uint32_t* counters)
{
    countBinsOf(rule, values, n, counters);
}
void countBinsOfDoubles(const BinRule& rule, const double* values, std::int64_t n, std::uint32_t* counters)
{
    countBinsOf(rule, values, n, counters);
}

} // namespace HWY_NAMESPACE
} // namespace ql
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql {

HWY_EXPORT(countBinsOfFloats);
HWY_EXPORT(countBinsOfDoubles);

BinRule::BinRule(double minimum, double maximum, std::int32_t count)
    : min(minimum),
      max(maximum),
      width((max - min) / static_cast<double>(count)),
      perWidth(static_cast<double>(count) / (max - min)),
      bins(count)
{}

double BinRule::edge(std::int32_t bin) const
{
    if (std::isfinite(max - min))
        return min + static_cast<double>(bin) * width;
    return 2 * (min / 2 + static_cast<double>(bin) * ((max / 2 - min / 2) / static_cast<double>(bins)));
}

bool BinRule::guessable() const
{
    return std::isfinite(max - min) && std::isfinite(perWidth) && width >= std::numeric_limits<double>::min() &&
           width >= 0x1p-48 * std::max(std::fabs(min), std::fabs(max));
}

std::int32_t BinRule::slotOf(double x) const
{
    if (!std::isfinite(x))
        return bins + 2;
    if (x < min)
        return bins;
    if (x > max)
        return bins + 1;
    std::int32_t low = 0; // the largest bin whose lower edge is ≤ x
    std::int32_t high = bins - 1;
    while (low < high) {
        const std::int32_t middle = low + (high - low + 1) / 2;
        if (edge(middle) <= x)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

namespace {

template<typename T>
void countByEdges(const BinRule& rule, const T* values, std::int64_t n, std::uint32_t* counters)
{
    for (std::int64_t i = 0; i < n; ++i)
        ++counters[rule.slotOf(static_cast<double>(values[i]))];
}

} // namespace

void countBins(const BinRule& rule, const float* values, std::int64_t n, std::uint32_t* counters)
{
    if (rule.guessable())
        HWY_DYNAMIC_DISPATCH(countBinsOfFloats)(rule, values, n, counters);
    else
        countByEdges(rule, values, n, counters);
}

void countBins(const BinRule& rule, const double* values, std::int64_t n, std::uint32_t* counters)
{
    if (rule.guessable())
        HWY_DYNAMIC_DISPATCH(countBinsOfDoubles)(rule, values, n, counters);
    else
        countByEdges(rule, values, n, counters);
}

} // namespace ql
#endif
