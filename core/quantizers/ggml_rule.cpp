// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/ggml_rule.h"

#include "core/formats/element_coder.h"
#include "core/formats/scale_coding.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/unit_quantizer.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

/// What a block needs to know of its type.
struct BlockRule {
    int levels;      // 2^bits
    bool hasMinimum; // q4_1, q5_1
    bool isQ8;
};

float toF16(float value)
{
    return std::copysign(roundScale(ScaleCoding::f16, std::fabs(value)), value);
}

void quantizeBlock(const BlockRule& rule, const float* weights, std::int64_t n, float& scale, float* minimum,
                   std::int8_t* codes)
{
    const RunRange range = rangeOfRun(weights, n);
    const float absMax = range.absMax;
    const float low = range.min;
    const float high = range.max;
    const auto isExtreme = [absMax](float w) { return std::fabs(w) == absMax; };
    const float extreme = range.any ? *std::find_if(weights, weights + n - 1, isExtreme) : 0; // with its sign
    const int half = rule.levels / 2;
    const float d = rule.hasMinimum ? (high - low) / static_cast<float>(rule.levels - 1)
                    : rule.isQ8     ? absMax / 127
                                    : extreme / static_cast<float>(-half);
    const float inverse = d != 0 ? 1.0F / d : 0.0F;
    scale = toF16(d);
    if (minimum)
        *minimum = toF16(low);
    for (std::int64_t i = 0; i < n; ++i) {
        const float w = std::isnan(weights[i]) ? 0.0F : weights[i];
        // Codes are the whole part of a sum that is never negative; where it overflowed it is not a number.
        const float product = (rule.hasMinimum ? w - low : w) * inverse;
        const float known = std::isnan(product) ? 0.0F : product;
        if (rule.isQ8) { // half away from zero: the sum is exact in double
            const auto y = static_cast<double>(std::clamp(known, -127.0F, 127.0F));
            codes[i] = static_cast<std::int8_t>(y + std::copysign(0.5, y));
        } else {
            const int offset = rule.hasMinimum ? 0 : half;
            const float y = known + (static_cast<float>(offset) + 0.5F);
            codes[i] = static_cast<std::int8_t>(
                static_cast<int>(std::clamp(y, 0.0F, static_cast<float>(rule.levels - 1))) - offset);
        }
    }
}

} // namespace

bool isGgufScheme(const Scheme& scheme)
{
    return scheme.name.starts_with("gguf:") && !scheme.isPacked();
}

Result<QuantizedTensor> quantizeLikeGgml(const QuantizeTask& task, const JobContext& context)
{
    QL_TRY(out, allocateQuantized(task, context));
    const MatrixShape matrix = out.matrix();
    const int bits = task.scheme.element->bits;
    const BlockRule rule{1 << bits, task.scheme.zeroPoint == ZeroPoint::minimum, bits == 8};
    const auto units = static_cast<std::int64_t>(out.scales.size());
    const double bytes = info(task.weights.dtype).bitsPerElement() / 8;
    context.progress().addTotal(static_cast<std::int64_t>(bytes * static_cast<double>(task.weights.numel())));
    QL_CHECK(parallelFor(context, units, kRunChunk / 32, [&](std::int64_t begin, std::int64_t end) {
        WeightTile tile(task.weights);
        for (std::int64_t unit = begin; unit < end; ++unit) {
            const std::int64_t first = runStart(task.scheme, matrix, unit);
            const std::int64_t n = runStart(task.scheme, matrix, unit + 1) - first;
            const auto u = static_cast<std::size_t>(unit);
            quantizeBlock(rule, tile.read(first, n), n, out.scales[u], out.minima.empty() ? nullptr : &out.minima[u],
                          out.codes.as<std::int8_t>() + first);
        }
        context.progress().addDone(static_cast<std::int64_t>(
            bytes * static_cast<double>(runStart(task.scheme, matrix, end) - runStart(task.scheme, matrix, begin))));
    }));
    return out;
}

} // namespace ql
