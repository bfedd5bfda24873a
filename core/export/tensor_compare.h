// SPDX-License-Identifier: GPL-3.0-or-later
// Comparison of tensors for the verifiers: bits, not values, so that −0 is not 0 and NaN equals the same NaN.
#pragma once

#include "core/export/export.h"

namespace ql {

/// Adds to `result` the elements of f16, bf16 or f32 arrays whose bits differ, and the largest difference.
void compareFloats(Dtype dtype, const std::byte* expected, const std::byte* actual, std::int64_t count,
                   VerifiedTensor& result);

/// Adds what a chunk of the tensor found; the first problem stays.
void addChunk(VerifiedTensor& into, const VerifiedTensor& next);

/// Compares two tensors as stored: dtype, shape and every byte. Sets result.elements, differing and problem.
Result<void> compareStored(const TensorView& expected, const TensorView& actual, VerifiedTensor& result,
                           const JobContext& context);

/// The whole file or folder entry is equal byte for byte; otherwise a sentence is added to problems.
void compareFiles(const std::filesystem::path& expected, const std::filesystem::path& actual,
                  std::vector<std::string>& problems);

} // namespace ql
