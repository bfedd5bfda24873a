// SPDX-License-Identifier: GPL-3.0-or-later
// Packed schemes: what is stored are blocks. A block holds `elements` weights of a row in `bytes` bytes, with scales of
// its own. Blocks that GGUF defines are named after its type, e.g. gguf:q4_k, and core/tensor/ggml_blocks.h restores
// them; others, e.g. bitmod4, restore themselves and no runtime loads them. Rows have whole blocks. One line in
// block_formats.def and one file add a family. Thread-safe: const data only. Equal bits on any CPU.
#pragma once

#include "core/formats/scheme.h"

#include <optional>

namespace ql {

struct BlockFormat {
    std::string_view id; // of the scheme, "gguf:q4_k"
    std::string_view title;
    std::optional<Dtype> dtype; // of GGUF; the others have a source, a layout and a decoder of their own
    int elements;               // of a block; a divisor of 256
    int bytes;
    std::string_view source = "ggml, src/ggml-common.h; docs/gguf.md";
    std::string_view layout = {}; // how to restore it, for people who read files
    void (*decode)(const std::byte* block, float* out) = nullptr;

    /// Blocks for 256 weights that follow each other (or fewer: `blocks` of them, at most 256 weights) that make
    /// Σ importance·(w − ŵ)² small; null: all ones. Searched in float over weights scaled to their own size, so that
    /// nothing overflows. NaN weights count as 0; infinities move no scale and saturate; importance that is negative or
    /// no number counts as 0. A block of zeros restores to +0. A block's bytes depend on nothing but its own weights.
    void (*searchTile)(const float* weights, const float* importance, int blocks, std::byte* out);

    // Of types whose elements are coded one by one, else empty and null:
    /// Ascending; element e restores to levels[code]·scale[e] + offset[e], in float, each rounded once: the bits of
    /// decodeGgmlBlocks.
    std::span<const float> levels = {};
    void (*affine)(const std::byte* block, float* scale, float* offset) = nullptr;
    /// The scales of `block` with other codes (indices into levels).
    void (*pack)(const std::byte* block, const std::uint8_t* codes, std::byte* out) = nullptr;

    // Of most others, else 0 and null: so many neighbours make a cell and are coded together, or a block's levels are
    // its own and it is one element; a divisor of 16.
    int cellElements = 0;
    /// Codes a cell of the block again, with the block's scales: the least Σ importance·(w − ŵ)² of its elements.
    /// `restored` becomes ŵ, the bits of restore(). Weights are finite, importances above 0 and at most 1.
    void (*codeCell)(std::byte* block, int cell, const float* weights, const float* importance,
                     float* restored) = nullptr;

    /// f16 scales (and scales of minima) of the block that follow each other from this byte on: multiplied by a factor,
    /// so is all that the block restores to. None where scales are no floats.
    int scaleAt = 0, scaleCount = 0;

    /// One block.
    void search(const float* weights, const float* importance, std::byte* block) const
    {
        searchTile(weights, importance, 1, block);
    }
    /// Elements [first, first + count), whole blocks, of blocks that follow each other.
    void restore(const std::byte* blocks, std::int64_t first, std::int64_t count, float* out) const;
    bool codesElements() const { return affine != nullptr; }
    bool codesCells() const { return codeCell != nullptr; }
    /// Whole bits a weight, for people and menus.
    int bits() const { return 8 * bytes / elements; }
};

std::span<const BlockFormat* const> allBlockFormats();
/// Null if the scheme is not packed, or its bytes are those of a whole matrix (matrix_format.h).
const BlockFormat* findBlockFormat(const Scheme& scheme);

/// An error of kind refused where rows of W, seen as a matrix, are no whole blocks of the scheme, or its layout over
/// the matrix has no place for the shape.
Result<void> checkWholeBlocks(const Scheme& scheme, const Shape& shape);

} // namespace ql
