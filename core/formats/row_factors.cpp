// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/row_factors.h"

#include "core/formats/block_format.h"
#include "core/formats/scale_coding.h"
#include "core/formats/stored_f16.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kChunk = 65536; // elements
constexpr float kCoarsest = 0x1p-7F;   // step of a scale, relative

std::int64_t rowGrain(std::int64_t cols)
{
    return std::max<std::int64_t>(1, kChunk / std::max<std::int64_t>(1, cols));
}

Result<void> multiplyBlocks(const BlockFormat& format, MatrixShape shape, std::span<const float> factors,
                            std::byte* blocks, const JobContext& context)
{
    const std::int64_t perRow = shape.cols / format.elements;
    return parallelFor(context, shape.rows, rowGrain(shape.cols), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t block = begin * perRow; block < end * perRow; ++block) {
            const auto factor = static_cast<double>(factors[static_cast<std::size_t>(block / perRow)]);
            std::byte* const scales = blocks + block * format.bytes + format.scaleAt;
            for (int i = 0; i < format.scaleCount; ++i)
                putF16At(scales, i, factor * static_cast<double>(f16At(scales, i)));
        }
    });
}

void multiplyScales(ScaleCoding coding, std::span<const float> factors, std::vector<float>& scales)
{
    const std::size_t perRow = scales.size() / factors.size();
    for (std::size_t i = 0; i < scales.size(); ++i)
        if (scales[i] != 0)
            scales[i] = std::copysign(storableScale(coding, std::fabs(scales[i]) * factors[i / perRow]), scales[i]);
}

} // namespace

bool takesRowFactors(const Scheme& scheme)
{
    if (scheme.isCast() || scheme.isKeep() || !scheme.additions.empty())
        return false;
    if (scheme.isPacked()) {
        const BlockFormat* const format = findBlockFormat(scheme);
        return format && format->scaleCount > 0;
    }
    return scheme.granularity != Granularity::tensor && scaleEpsilon(scheme.scale) <= kCoarsest;
}

Result<QuantizedTensor> withRowFactors(const QuantizedTensor& tensor, std::span<const float> factors,
                                       const JobContext& context)
{
    const MatrixShape shape = tensor.matrix();
    if (!takesRowFactors(tensor.scheme))
        return refused("the scheme " + printScheme(tensor.scheme) +
                       " stores no scales that rows could be multiplied by");
    if (std::ssize(factors) != shape.rows)
        return refused("has " + std::to_string(shape.rows) + " rows, and there are " + std::to_string(factors.size()) +
                       " factors");
    if (!std::ranges::all_of(factors, [](float factor) { return std::isfinite(factor) && factor > 0; }))
        return refused("rows are multiplied by finite factors above 0");
    QuantizedTensor scaled{.scheme = tensor.scheme,
                           .shape = tensor.shape,
                           .codes = Buffer(tensor.codes.sizeBytes()),
                           .scales = tensor.scales,
                           .zeroPoints = tensor.zeroPoints,
                           .minima = tensor.minima};
    std::copy_n(tensor.codes.data(), tensor.codes.sizeBytes(), scaled.codes.data());
    if (shape.rows == 0 || shape.cols == 0)
        return scaled;
    if (const BlockFormat* const format = findBlockFormat(tensor.scheme)) {
        QL_CHECK(multiplyBlocks(*format, shape, factors, scaled.codes.data(), context));
    } else {
        multiplyScales(tensor.scheme.scale, factors, scaled.scales);
        multiplyScales(tensor.scheme.scale, factors, scaled.minima);
    }
    return scaled;
}

} // namespace ql
