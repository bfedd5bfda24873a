// SPDX-License-Identifier: GPL-3.0-or-later
// From the byte and index order of a file to the machine's: row-major, little-endian.
#pragma once

#include "core/checkpoint/checkpoint.h"

namespace ql {

struct ArrayOrder {
    int elementBytes = 4;
    int swapBytes = 1;    // unit whose bytes are reversed: 1 = none, half an element for complex numbers
    bool columns = false; // Fortran order: the first index runs fastest
    bool isNative() const { return swapBytes == 1 && !columns; }
};

/// An uninitialised buffer, or an error of kind outOfMemory.
Result<std::shared_ptr<Buffer>> allocate(std::int64_t sizeBytes, const JobContext& context);

/// Writes the elements of `in`, which has the given shape and order, to `out` in native order. Parallel; can be
/// stopped.
Result<void> toNativeOrder(const std::byte* in, const Shape& shape, const ArrayOrder& order, std::byte* out,
                           const JobContext& context);

} // namespace ql
