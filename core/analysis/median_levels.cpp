// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/median_levels.h"

#include "core/formats/block_format.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kMostBlocks = 4096;

double median(std::vector<float> values)
{
    if (values.empty())
        return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return static_cast<double>(*middle);
}

double medianMagnitude(std::vector<float> values)
{
    for (float& value : values)
        value = std::fabs(value);
    return median(std::move(values));
}

std::vector<double> levelsAt(std::span<const float> levels, double scale, double zero, double offset)
{
    std::vector<double> out;
    for (const float level : levels)
        out.push_back((static_cast<double>(level) - zero) * scale + offset);
    return out;
}

std::vector<double> packedLevels(const QuantizedTensor& quantized, const BlockFormat& block)
{
    if (!block.codesElements())
        return {};
    const std::int64_t blocks = quantized.codes.sizeBytes() / block.bytes;
    const std::int64_t step = std::max<std::int64_t>(1, blocks / kMostBlocks);
    const auto elements = static_cast<std::size_t>(block.elements);
    std::vector<float> scales;
    std::vector<float> offsets;
    std::vector<float> scale(elements);
    std::vector<float> offset(elements);
    for (std::int64_t i = 0; i < blocks; i += step) {
        block.affine(quantized.codes.data() + i * block.bytes, scale.data(), offset.data());
        scales.insert(scales.end(), scale.begin(), scale.end());
        offsets.insert(offsets.end(), offset.begin(), offset.end());
    }
    if (scales.empty())
        return {};
    return levelsAt(block.levels, medianMagnitude(std::move(scales)), 0, median(std::move(offsets)));
}

} // namespace

std::vector<double> medianLevels(const QuantizedTensor& quantized)
{
    if (const BlockFormat* block = findBlockFormat(quantized.scheme))
        return packedLevels(quantized, *block);
    if (quantized.scales.empty())
        return {};
    const double scale = medianMagnitude(quantized.scales) * static_cast<double>(quantized.tensorScale);
    const double zero = median({quantized.zeroPoints.begin(), quantized.zeroPoints.end()});
    std::vector<float> levels = quantized.scheme.element->grid.levels;
    if (quantized.scheme.restricted && quantized.scheme.element->hasNegativeExtreme)
        levels.erase(levels.begin());
    if (!quantized.minima.empty()) { // with a minimum codes count from 0
        const float lowest = levels.front();
        for (float& level : levels)
            level -= lowest;
    }
    return levelsAt(levels, scale, zero, median(quantized.minima));
}

} // namespace ql
