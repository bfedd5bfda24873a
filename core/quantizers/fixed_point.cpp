// SPDX-License-Identifier: GPL-3.0-or-later
// Fixed point ⟨w, f⟩ as hardware casts it, for int<w>:tensor:s=e8m0 (fixed4, fixed6, fixed8): q =
// overflow(round(x·2^f)), ŵ = q·2^−f. Rounding to nearest, ties to even, or down (truncation of two's complement);
// overflow saturates at −2^(w−1) and 2^(w−1) − 1, or wraps around, q mod 2^w, as bits beyond the word are cut off. f is
// given, or the one of w − 1 − ⌈log2 max|w|⌉ − 2 … + 2 with the least squared error, the smaller f of equals.
// Infinities saturate either way.
#include "core/base/sum.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/options.h"
#include "core/quantizers/unit_quantizer.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ql::quantizers {

extern const Quantizer fixed_point;

namespace {

constexpr int kAround = 2;
constexpr int kMostExponent = 127; // of e8m0

struct FixedCast {
    int word = 8;
    bool wraps = false;
    bool truncates = false;

    int code(double scaled) const
    {
        const double half = std::ldexp(1.0, word - 1);
        if (std::isnan(scaled))
            return 0;
        const double whole = truncates ? std::floor(scaled) : std::nearbyint(scaled);
        if (!wraps || std::isinf(whole))
            return static_cast<int>(std::clamp(whole, -half, half - 1));
        const double rest = std::fmod(whole, 2 * half); // exact
        return static_cast<int>(rest >= half ? rest - 2 * half : rest < -half ? rest + 2 * half : rest);
    }
};

Result<void> fixedAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (scheme.element->kind != FormatKind::integer || scheme.element->levels[1] != 1 || scheme.restricted ||
        scheme.granularity != Granularity::tensor || scheme.scale != ScaleCoding::e8m0 ||
        scheme.zeroPoint != ZeroPoint::none)
        return usageError("fixed_point casts to fixed4, fixed6, fixed8 or another int<w>:tensor:s=e8m0, which " +
                          printScheme(scheme) + " is not; use rtn");
    return checkOptions(fixed_point, spec);
}

/// Squared error for 2·kAround + 1 values of f from `first` on; weights that are not finite count for nothing.
Result<std::vector<double>> errorsOf(const TensorView& weights, const FixedCast& cast, int first,
                                     const JobContext& context)
{
    constexpr std::int64_t kChunk = 1 << 16;
    using Sums = std::array<CompensatedSum, 2 * kAround + 1>;
    QL_TRY(sums, deterministicReduce(
                     context, weights.numel(), kChunk, Sums{},
                     [&](std::int64_t begin, std::int64_t end) {
                         Sums its;
                         WeightTile tile(weights);
                         const float* w = tile.read(begin, end - begin);
                         for (std::size_t k = 0; k < its.size(); ++k) {
                             const double step = std::ldexp(1.0, -(first + static_cast<int>(k)));
                             for (std::int64_t i = 0; i < end - begin; ++i) {
                                 const auto x = static_cast<double>(w[i]);
                                 if (!std::isfinite(x))
                                     continue;
                                 const double rest = x - step * cast.code(x / step);
                                 its[k].add(rest * rest);
                             }
                         }
                         return its;
                     },
                     [](Sums& into, const Sums& next) {
                         for (std::size_t k = 0; k < into.size(); ++k)
                             into[k].merge(next[k]);
                     }));
    std::vector<double> errors;
    for (const CompensatedSum& sum : sums)
        errors.push_back(sum.value());
    return errors;
}

Result<int> fractionBits(const QuantizeTask& task, const FixedCast& cast, const JobContext& context)
{
    if (task.spec.values.contains("f"))
        return static_cast<int>(optionWhole(fixed_point, task.spec, "f"));
    QL_TRY(largest, deterministicReduce(
                        context, task.weights.numel(), std::int64_t{1} << 16U, 0.0F,
                        [&](std::int64_t begin, std::int64_t end) {
                            WeightTile tile(task.weights);
                            return rangeOfRun(tile.read(begin, end - begin), end - begin).absMax;
                        },
                        [](float& into, float next) { into = std::max(into, next); }));
    if (largest == 0)
        return 0;
    int exponent = 0; // largest ≤ 2^exponent
    const float mantissa = std::frexp(largest, &exponent);
    if (mantissa == 0.5F)
        --exponent;
    const int middle = cast.word - 1 - exponent;
    const int first = std::clamp(middle - kAround, -kMostExponent, kMostExponent - 2 * kAround);
    QL_TRY(errors, errorsOf(task.weights, cast, first, context));
    return first + static_cast<int>(std::ranges::min_element(errors) - errors.begin());
}

Result<QuantizedTensor> quantizeFixed(const QuantizeTask& task, const JobContext& context)
{
    QL_TRY(out, allocateQuantized(task, context));
    const std::int64_t n = task.weights.numel();
    if (n == 0)
        return out;
    const double bytes = info(task.weights.dtype).bitsPerElement() / 8;
    context.progress().addTotal(static_cast<std::int64_t>(bytes * static_cast<double>(n)));
    const FixedCast cast{.word = task.scheme.element->bits,
                         .wraps = optionWord(fixed_point, task.spec, "overflow") == "wrap",
                         .truncates = optionWord(fixed_point, task.spec, "rounding") == "down"};
    QL_TRY(fraction, fractionBits(task, cast, context));
    const double step = std::ldexp(1.0, -fraction);
    out.scales[0] = static_cast<float>(step);
    auto* codes = out.codes.as<std::int8_t>();
    QL_CHECK(parallelFor(context, n, std::int64_t{1} << 16U, [&](std::int64_t begin, std::int64_t end) {
        WeightTile tile(task.weights);
        const float* w = tile.read(begin, end - begin);
        for (std::int64_t i = begin; i < end; ++i)
            codes[i] = static_cast<std::int8_t>(cast.code(static_cast<double>(w[i - begin]) / step));
        context.progress().addDone(static_cast<std::int64_t>(bytes * static_cast<double>(end - begin)));
    }));
    return out;
}

} // namespace

const Quantizer fixed_point{.id = "fixed_point",
                            .title = "Fixed point as hardware casts it",
                            .formula = "q = overflow(round(w·2^f)), f given or of the least squared error",
                            .source = "QFX, 2024, section 3; ap_fixed of high-level synthesis",
                            .options = noWords,
                            .values = {{.key = "f",
                                        .meaning = "bits behind the point, in place of a search",
                                        .fallback = "searched",
                                        .least = -127,
                                        .most = 127,
                                        .whole = true},
                                       {.key = "overflow",
                                        .meaning = "of what the word does not hold",
                                        .fallback = "saturate",
                                        .words = {"saturate", "wrap"}},
                                       {.key = "rounding",
                                        .meaning = "to the nearest code, ties to even, or down",
                                        .fallback = "nearest",
                                        .words = {"nearest", "down"}}},
                            .accepts = fixedAccepts,
                            .quantize = quantizeFixed};

} // namespace ql::quantizers
