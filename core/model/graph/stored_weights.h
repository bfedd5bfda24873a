// SPDX-License-Identifier: GPL-3.0-or-later
// Weights as a file stores them. A token that is generated multiplies each weight once, and reading the weights is all
// that takes time: those of 16 bits are read as they are, at half the bytes of floats.
#pragma once

#include "core/jobs/job_context.h"
#include "core/model/graph/array.h"

namespace ql::graph {

/// Decoded in pieces, so that a stop is noticed; views of aligned F32 stay views.
template<typename T>
Result<Array<T>> decoded(const TensorData& data, const JobContext& context);

/// Whether addProduct() takes them: bf16 and f16 at even addresses.
bool canMultiplyStored(const TensorView& weights);

/// y[o] += Σ_i W[o, i]·x[i] for W[out, in], in float, by fused multiply-adds where the CPU has them. Equal bits for any
/// thread count on one CPU.
Result<void> addProduct(const TensorView& weights, const float* x, float* y, const JobContext& context);

/// Σ w[i]·x[i] of bf16 values w: runs of 512 in float, these in double. Equal bits on one CPU.
double productWithBf16(const std::uint16_t* w, const float* x, std::int64_t n);

} // namespace ql::graph
