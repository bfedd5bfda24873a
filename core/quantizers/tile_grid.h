// SPDX-License-Identifier: GPL-3.0-or-later
// The scales, zero points and minima of a tile of rows, column by column, whatever the scheme shares them over; those
// of packed schemes (core/formats/block_format.h) as their blocks give them. Rows are padded to a multiple of 16.
#pragma once

#include "core/formats/block_format.h"
#include "core/formats/element_coder.h"
#include "core/formats/quantized_tensor.h"

#include <optional>
#include <span>
#include <vector>

namespace ql {

/// How an element of the scheme is coded with a scale, zero point and minimum of its own. Nothing where blocks code
/// their cells (BlockFormat::codeCell).
std::optional<ElementCoder> elementCoderOf(const Scheme& scheme);

/// How many neighbouring columns share scales or make a block; 0 where all of a row, or of the tensor, do.
std::int64_t groupWidth(const Scheme& scheme);

/// How many neighbouring columns are coded together.
std::int64_t cellWidth(const Scheme& scheme);

/// Importances of a cell's elements for BlockFormat::codeCell, from the diagonal of a Hessian: relative to the largest,
/// and never nothing.
std::vector<float> cellWeights(std::span<const double> diagonal);

/// Rows of a tile: more of them share the cost of a product's other operand, where enough tiles are left for all
/// threads.
constexpr std::int64_t tileRows(std::int64_t rows)
{
    return rows >= 2048 ? 256 : 128;
}

/// Rows that are turned together: a cache line of a column.
constexpr std::int64_t kTurnedRows = 16;

class TileGrid {
public:
    /// Of rows [first, first + count) of `out`, whose scales or blocks it holds and changes; it refers to it.
    TileGrid(QuantizedTensor& out, std::int64_t first, std::int64_t count);

    std::int64_t rows() const { return m_rows; }
    /// Columns [group·width, (group + 1)·width) share their scales, or are one block.
    std::int64_t width() const { return m_width; }
    std::int64_t groups() const { return m_groups; }
    std::int64_t groupOf(std::int64_t column) const { return column / m_width; }
    /// Whether the scales are the tile's own: not the one scale of a whole tensor.
    bool ownsScales() const { return m_scheme.granularity != Granularity::tensor; }
    bool isPacked() const { return m_block != nullptr; }
    /// Whether blocks code cells: there are no columns then, and codes are in the tensor at once.
    bool codesCells() const { return m_block && m_block->codesCells(); }

    AffineColumn column(std::int64_t column) const;
    Affine affine(std::int64_t row, std::int64_t column) const;

    // Of schemes that are not packed: what is stored for a row of a group.
    float scale(std::int64_t row, std::int64_t group) const { return m_raw[place(row, group)]; }
    int zero(std::int64_t row, std::int64_t group) const { return m_zero[place(row, group)]; }
    float minimum(std::int64_t row, std::int64_t group) const { return m_minimum[place(row, group)]; }
    void setScale(std::int64_t row, std::int64_t group, float scale);
    void setZero(std::int64_t row, std::int64_t group, int zero);
    void setMinimum(std::int64_t row, std::int64_t group, float minimum);

    /// Of packed ones: searches the scales of a block; weights and importance in the order of columns.
    void searchBlock(std::int64_t row, std::int64_t group, const float* weights, const float* importance);

    /// Codes the cell of a row that begins at a column again, with the scales that its block has.
    void codeCell(std::int64_t row, std::int64_t column, const float* weights, const float* importance,
                  float* restored);
    /// The bytes of the block of a row that the column is in.
    std::span<std::byte> blockOf(std::int64_t row, std::int64_t column) const;
    /// Codes a weight that is infinite as far out as the scales of its block go; its neighbours stay where they are.
    void saturate(std::int64_t row, std::int64_t column, float weight);

    /// Puts codes into the tensor: codes[column · rows() + row].
    void store(const std::vector<std::uint8_t>& codes);
    /// The tensor's codes, likewise.
    void load(std::vector<std::uint8_t>& codes) const;

private:
    std::size_t place(std::int64_t row, std::int64_t slot) const
    {
        return static_cast<std::size_t>(slot * m_rows + row);
    }
    std::size_t stored(std::int64_t row, std::int64_t group) const
    {
        return ownsScales() ? static_cast<std::size_t>((m_first + row) * m_groups + group) : 0;
    }
    std::int64_t slotOf(std::int64_t column) const { return m_block ? column : groupOf(column); }
    std::byte* blockAt(std::int64_t row, std::int64_t group) const;
    void readBlock(std::int64_t row, std::int64_t group);

    QuantizedTensor& m_out;
    const Scheme& m_scheme;
    const BlockFormat* m_block;
    const std::int64_t m_first, m_count, m_rows, m_cols, m_width, m_groups;
    bool m_hasZero, m_hasMinimum;
    std::vector<float> m_raw, m_scale; // as stored, and times the tensor's
    std::vector<std::int32_t> m_zero;
    std::vector<float> m_minimum;
    std::vector<float> m_blockScale, m_blockOffset; // scratch
};

} // namespace ql
