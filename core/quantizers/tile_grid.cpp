// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/tile_grid.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <optional>

namespace ql {

namespace {

constexpr std::int64_t kTurnedColumns = 64; // a cache line of a row of codes

/// Of levels that follow each other: the code of level 0; nothing for others.
std::optional<int> zeroOf(std::span<const float> levels)
{
    for (std::size_t i = 0; i < levels.size(); ++i)
        if (levels[i] != levels[0] + static_cast<float>(i) || levels[0] != std::nearbyint(levels[0]))
            return std::nullopt;
    return -static_cast<int>(levels[0]);
}

} // namespace

std::int64_t groupWidth(const Scheme& scheme)
{
    if (const BlockFormat* block = findBlockFormat(scheme))
        return block->elements;
    return scheme.granularity == Granularity::group ? scheme.groupSize : 0;
}

std::int64_t cellWidth(const Scheme& scheme)
{
    const BlockFormat* block = findBlockFormat(scheme);
    return block && block->codesCells() ? block->cellElements : 1;
}

std::vector<float> cellWeights(std::span<const double> diagonal)
{
    constexpr double kLeast = 1e-6;
    const double largest = std::ranges::max(diagonal);
    std::vector<float> weights;
    for (const double value : diagonal)
        weights.push_back(largest > 0 ? static_cast<float>(std::max(value / largest, kLeast)) : 1.0F);
    return weights;
}

std::optional<ElementCoder> elementCoderOf(const Scheme& scheme)
{
    const BlockFormat* block = findBlockFormat(scheme);
    if (!block)
        return ElementCoder(scheme);
    if (!block->codesElements())
        return std::nullopt;
    return zeroOf(block->levels) ? ElementCoder::steps(static_cast<int>(block->levels.size()))
                                 : ElementCoder::codebook(block->levels);
}

TileGrid::TileGrid(QuantizedTensor& out, std::int64_t first, std::int64_t count)
    : m_out(out),
      m_scheme(out.scheme),
      m_block(findBlockFormat(out.scheme)),
      m_first(first),
      m_count(count),
      m_rows(roundUp(count, std::int64_t{16})),
      m_cols(out.matrix().cols),
      m_width(groupWidth(out.scheme) > 0 ? groupWidth(out.scheme) : std::max<std::int64_t>(1, m_cols)),
      m_groups(ceilDiv(m_cols, m_width)),
      m_hasZero(!codesCells() &&
                (m_block ? zeroOf(m_block->levels).value_or(0) != 0 : m_scheme.zeroPoint == ZeroPoint::integer)),
      m_hasMinimum(m_block || m_scheme.zeroPoint == ZeroPoint::minimum)
{
    if (codesCells())
        return;
    const auto slots = static_cast<std::size_t>(m_block ? m_cols : m_groups) * static_cast<std::size_t>(m_rows);
    m_scale.assign(slots, 0); // rows that pad the tile restore to 0 whatever the levels are
    m_zero.assign(m_hasZero ? slots : 0, m_block ? zeroOf(m_block->levels).value_or(0) : 0);
    m_minimum.assign(m_hasMinimum ? slots : 0, 0);
    if (m_block) {
        m_blockScale.resize(static_cast<std::size_t>(m_block->elements));
        m_blockOffset.resize(static_cast<std::size_t>(m_block->elements));
        for (std::int64_t row = 0; row < m_count; ++row)
            for (std::int64_t group = 0; group < m_groups; ++group)
                readBlock(row, group);
        return;
    }
    m_raw.assign(slots, 1);
    for (std::int64_t group = 0; group < m_groups; ++group)
        for (std::int64_t row = 0; row < m_count; ++row) {
            const std::size_t at = place(row, group);
            m_raw[at] = out.scales[stored(row, group)];
            m_scale[at] = m_raw[at] * out.tensorScale;
            if (m_hasZero)
                m_zero[at] = out.zeroPoints[stored(row, group)];
            if (m_hasMinimum)
                m_minimum[at] = out.minima[stored(row, group)];
        }
}

AffineColumn TileGrid::column(std::int64_t column) const
{
    const std::size_t at = place(0, slotOf(column));
    return {.scale = m_scale.data() + at,
            .zero = m_hasZero ? m_zero.data() + at : nullptr,
            .minimum = m_hasMinimum ? m_minimum.data() + at : nullptr};
}

Affine TileGrid::affine(std::int64_t row, std::int64_t column) const
{
    const std::size_t at = place(row, slotOf(column));
    return {m_scale[at], m_hasZero ? m_zero[at] : 0, m_hasMinimum ? m_minimum[at] : 0};
}

void TileGrid::setScale(std::int64_t row, std::int64_t group, float scale)
{
    m_raw[place(row, group)] = scale;
    m_scale[place(row, group)] = scale * m_out.tensorScale;
    m_out.scales[stored(row, group)] = scale;
}

void TileGrid::setZero(std::int64_t row, std::int64_t group, int zero)
{
    m_zero[place(row, group)] = zero;
    m_out.zeroPoints[stored(row, group)] = static_cast<std::int16_t>(zero);
}

void TileGrid::setMinimum(std::int64_t row, std::int64_t group, float minimum)
{
    m_minimum[place(row, group)] = minimum;
    m_out.minima[stored(row, group)] = minimum;
}

std::byte* TileGrid::blockAt(std::int64_t row, std::int64_t group) const
{
    return m_out.codes.data() + ((m_first + row) * m_groups + group) * m_block->bytes;
}

void TileGrid::readBlock(std::int64_t row, std::int64_t group)
{
    m_block->affine(blockAt(row, group), m_blockScale.data(), m_blockOffset.data());
    for (std::int64_t e = 0; e < m_width; ++e) {
        const std::size_t at = place(row, group * m_width + e);
        m_scale[at] = m_blockScale[static_cast<std::size_t>(e)];
        m_minimum[at] = m_blockOffset[static_cast<std::size_t>(e)];
    }
}

void TileGrid::searchBlock(std::int64_t row, std::int64_t group, const float* weights, const float* importance)
{
    m_block->search(weights, importance, blockAt(row, group));
    if (!codesCells())
        readBlock(row, group);
}

void TileGrid::codeCell(std::int64_t row, std::int64_t column, const float* weights, const float* importance,
                        float* restored)
{
    m_block->codeCell(blockAt(row, groupOf(column)), static_cast<int>(column % m_width) / m_block->cellElements,
                      weights, importance, restored);
}

std::span<std::byte> TileGrid::blockOf(std::int64_t row, std::int64_t column) const
{
    return {blockAt(row, groupOf(column)), static_cast<std::size_t>(m_block->bytes)};
}

void TileGrid::saturate(std::int64_t row, std::int64_t column, float weight)
{
    constexpr float kFar = 8; // times the largest
    std::array<float, 256> values;
    m_block->restore(blockAt(row, groupOf(column)), 0, m_width, values.data());
    float largest = 0;
    for (std::int64_t e = 0; e < m_width; ++e)
        largest = std::max(largest, std::fabs(values[static_cast<std::size_t>(e)]));
    const std::int64_t e = column % m_width;
    const std::int64_t first = e / m_block->cellElements * m_block->cellElements;
    values[static_cast<std::size_t>(e)] = std::copysign(kFar * largest, weight);
    const std::array<float, 16> importance = [] {
        std::array<float, 16> ones;
        ones.fill(1);
        return ones;
    }();
    std::array<float, 16> restored;
    codeCell(row, column - e + first, values.data() + first, importance.data(), restored.data());
}

void TileGrid::store(const std::vector<std::uint8_t>& codes)
{
    if (codesCells())
        return;
    if (!m_block) {
        auto* to = m_out.codes.as<std::uint8_t>() + m_first * m_cols;
        for (std::int64_t begin = 0; begin < m_cols; begin += kTurnedColumns)
            for (std::int64_t row = 0; row < m_count; ++row)
                for (std::int64_t column = begin; column < std::min(m_cols, begin + kTurnedColumns); ++column)
                    to[row * m_cols + column] = codes[place(row, column)];
        return;
    }
    std::vector<std::uint8_t> its(static_cast<std::size_t>(m_width));
    std::vector<std::byte> packed(static_cast<std::size_t>(m_block->bytes));
    for (std::int64_t row = 0; row < m_count; ++row)
        for (std::int64_t group = 0; group < m_groups; ++group) {
            for (std::int64_t e = 0; e < m_width; ++e)
                its[static_cast<std::size_t>(e)] = codes[place(row, group * m_width + e)];
            m_block->pack(blockAt(row, group), its.data(), packed.data());
            std::ranges::copy(packed, blockAt(row, group));
        }
}

void TileGrid::load(std::vector<std::uint8_t>& codes) const
{
    assert(!m_block);
    const auto* from = m_out.codes.as<std::uint8_t>() + m_first * m_cols;
    for (std::int64_t begin = 0; begin < m_cols; begin += kTurnedColumns)
        for (std::int64_t column = begin; column < std::min(m_cols, begin + kTurnedColumns); ++column)
            for (std::int64_t row = 0; row < m_count; ++row)
                codes[place(row, column)] = from[row * m_cols + column];
}

} // namespace ql
