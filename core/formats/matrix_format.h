// SPDX-License-Identifier: GPL-3.0-or-later
// Packed schemes whose bytes are laid out over the whole of W[rows, cols]: parts that rows or groups of columns share,
// as low-rank factors, scales of a row beside those of its groups, or widths that differ from group to group. Blocks of
// a row that need nothing of the others are block_format.h. One line in matrix_formats.def and one file add a family of
// them, known by the text of its schemes, e.g. bitstack<n>_<k>. No runtime loads them; HDF5 files hold their bytes with
// the layout's text. Thread-safe: const data only. Equal bits for any thread count on one CPU.
#pragma once

#include "core/formats/payload_parts.h"
#include "core/formats/quantized_tensor.h"

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ql {

/// What a format is filled from.
struct MatrixFill {
    TensorView weights; // W[rows, cols] as matrixShape sees it, any decodable dtype
    /// Mean x² of the input columns, [ranges][cols], finite and not negative: equal ranges of rows have one each.
    /// Empty: all ones.
    std::span<const std::vector<float>> importance = {};
    std::string_view rule = {}; // one of rules(), or empty: the usual one

    MatrixShape shape() const { return matrixShape(weights.shape); }
    /// Of a row; null for all ones.
    const float* importanceOf(std::int64_t row) const;
};

class MatrixFormat {
public:
    std::string id; // of the scheme, "bitstack4_16"
    std::string title;
    std::string source;
    std::string layout; // how to restore it, for people who read files
    int bits = 0;       // whole bits a weight, for people and menus

    virtual ~MatrixFormat() = default;
    /// An error of kind refused that names what the shape lacks.
    virtual Result<void> checkShape(MatrixShape shape) const;
    /// What is stored, each part in whole bytes; nothing for W without elements.
    virtual std::array<PayloadPart, 5> parts(MatrixShape shape) const = 0;
    /// Elements [column, column + count) of a row, in float.
    virtual void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                            std::int64_t count, float* out) const = 0;
    /// All bytes of W, which has elements and a shape that checkShape takes. NaN weights count as 0 and infinities as
    /// the largest finite magnitude of W; importance that is negative or no number counts as 0; zeros restore to +0.
    virtual Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const = 0;
    /// Other rules that rtn takes as bare words.
    virtual std::span<const std::string_view> rules() const { return {}; }

    std::int64_t sizeBytes(MatrixShape shape) const;
    /// Elements [first, first + count) of the flattened matrix.
    void restore(const std::byte* bytes, MatrixShape shape, std::int64_t first, std::int64_t count, float* out) const;
};

struct MatrixFormatFamily {
    std::string_view ids;                                             // how they look, for people: "bitstack<n>_<k>"
    std::unique_ptr<const MatrixFormat> (*make)(std::string_view id); // null if the id is not of this family
    std::vector<std::string> (*instances)();                          // a finite list of them, extremes included
};

std::span<const MatrixFormatFamily* const> allMatrixFormatFamilies();
/// The instances of all families.
std::span<const std::string> allMatrixFormatIds();
/// Null if there is none of that id; kept for good.
const MatrixFormat* findMatrixFormat(std::string_view id);
/// Null if the scheme is no packed one of this kind.
const MatrixFormat* findMatrixFormat(const Scheme& scheme);

} // namespace ql
