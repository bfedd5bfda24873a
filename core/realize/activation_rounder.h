// SPDX-License-Identifier: GPL-3.0-or-later
// Rounds inputs of layers, or keys and values, to what an activation scheme can hold. Dynamic scales are chosen as rtn
// chooses those of weights (gguf schemes: rtn:ggml), static ones by the same rule from given ranges; a scheme with
// ue4m3 scales has one float factor for each sequence. Equal bits for any thread count and CPU.
#pragma once

#include "core/formats/activation_scheme.h"
#include "core/formats/element_coder.h"
#include "core/jobs/job_context.h"
#include "core/model/graph/array.h"

namespace ql {

class ActivationRounder {
public:
    /// With dynamic scales; the scheme is not static.
    explicit ActivationRounder(ActivationScheme scheme) : m_scheme(std::move(scheme)) {}
    /// With static scales for inputs whose channels had these ranges; [0, 0] for those that are kept.
    ActivationRounder(ActivationScheme scheme, std::span<const double> channelMin, std::span<const double> channelMax);

    /// These columns of X are no part of what is rounded and move no scale: they are rounded to float16, as the weights
    /// of +cols<n> that they meet (LLM.int8()). Ascending, within the width of X.
    void keepColumns(std::vector<std::int32_t> columns) { m_kept = std::move(columns); }

    /// X[sequences, tokens, in], in place; of another shape all rows are one sequence. With keepFirst the first token
    /// of each sequence stays as it is and moves no scale (in X of three dimensions).
    Result<void> round(graph::Array<float>& x, bool keepFirst, const JobContext& context) const;

private:
    Result<void> roundRows(float* x, std::int64_t rows, std::int64_t in, const JobContext& context) const;

    ActivationScheme m_scheme;
    std::vector<std::int32_t> m_kept;
    std::vector<Affine> m_static; // of the runs of every row
};

} // namespace ql
