// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/ggml_rule.h"

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

int truncated(float value, int low, int high)
{
    if (std::isnan(value))
        return 0;
    return static_cast<int>(std::clamp(value, static_cast<float>(low), static_cast<float>(high)));
}

void quantizeBlock(const BlockRule& rule, const float* weights, std::int64_t n, float& scale, float* minimum,
                   std::int8_t* codes)
{
    float absMax = 0;
    float extreme = 0; // with its sign
    float low = 0;
    float high = 0;
    bool any = false;
    for (std::int64_t i = 0; i < n; ++i) {
        const float w = weights[i];
        if (!std::isfinite(w))
            continue;
        if (std::fabs(w) > absMax) {
            absMax = std::fabs(w);
            extreme = w;
        }
        low = any ? std::min(low, w) : w;
        high = any ? std::max(high, w) : w;
        any = true;
    }
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
        if (rule.hasMinimum)
            codes[i] = static_cast<std::int8_t>(truncated((w - low) * inverse + 0.5F, 0, rule.levels - 1));
        else if (rule.isQ8)
            codes[i] = static_cast<std::int8_t>(truncated(std::round(w * inverse), -127, 127));
        else
            codes[i] = static_cast<std::int8_t>(
                truncated(w * inverse + (static_cast<float>(half) + 0.5F), 0, rule.levels - 1) - half);
    }
}

} // namespace

bool isGgufScheme(const Scheme& scheme)
{
    return scheme.name.starts_with("gguf:");
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
