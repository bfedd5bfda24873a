// SPDX-License-Identifier: GPL-3.0-or-later
// What a scheme stores beside its codes, each written after it with a plus, in this order:
//   +cols<n>[:over<α>]  n input columns of W[rows, cols], one float16 a weight (LLM.int8(): Dettmers et al., NeurIPS
//                       2022); with :over only columns whose inputs reach |x| ≥ α, the other slots stay empty
//   +sparse<percent>    that share of the weights, float16 at their positions (SpQR: Dettmers et al., ICLR 2024)
//   +lr<r>[:scaled]     factors A[rows, r] and B[r, cols] in float16 of what is left, W − Ŵ (LoRC: Yao et al.,
//   ZeroQuant-V2,
//                       2023); with :scaled of (W − Ŵ)·diag(rms of the inputs) (LQER: Zhang et al., ICML 2024)
// e.g. int8+cols16:over6, int3:g64+sparse1, int4:g128+cols8+lr16. The restored weight is the sum of all parts
// (tensor_additions.h). How much is stored depends on the scheme and on the shape only.
#pragma once

#include "core/base/result.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace ql {

struct Additions {
    std::int64_t columns = 0;
    double columnsOver = 0; // α; 0: the columns that matter most, however small
    std::int64_t sparseMillionths = 0;
    std::int64_t rank = 0;
    bool scaledRank = false;

    bool empty() const { return columns == 0 && sparseMillionths == 0 && rank == 0; }
    /// Whether the inputs of a layer change what is kept, where they are known.
    bool useInputs() const { return columns > 0 || sparseMillionths > 0 || scaledRank; }
    /// Whether there is nothing to choose by without them.
    bool needInputs() const { return columnsOver > 0 || scaledRank; }

    // Of W[rows, cols].
    std::int64_t columnSlots(std::int64_t rows, std::int64_t cols) const;
    std::int64_t sparseCount(std::int64_t rows, std::int64_t cols) const; // rounded up
    std::int64_t factorRank(std::int64_t rows, std::int64_t cols) const;  // no more than W has

    friend bool operator==(const Additions&, const Additions&) = default;
};

/// Bits of the column index of a sparse weight.
int sparseIndexBits(std::int64_t cols);

/// Splits the text of a scheme at its first plus outside of parentheses.
std::pair<std::string_view, std::string_view> splitAdditions(std::string_view text);
/// What follows the base: "" or "+lr8" …; errors of kind usage name `whole`.
Result<Additions> parseAdditions(std::string_view text, std::string_view whole);
std::string printAdditions(const Additions& additions);

/// One kind, for lists and help.
struct AdditionKind {
    std::string_view text; // "+lr<r>[:scaled]"
    std::string_view title;
    std::string_view source;
};
std::span<const AdditionKind> allAdditionKinds();

} // namespace ql
