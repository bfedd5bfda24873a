// SPDX-License-Identifier: GPL-3.0-or-later
// One chunk of an HDF5 dataset, from the bytes in the file to elements in their place. Filters as in the HDF5 File
// Format Specification 3.0, section IV.A.2.l; Fletcher-32 and shuffle as libhdf5 1.10 computes them.
#pragma once

#include "core/base/hdf5_index.h"

#include <stop_token>

namespace ql::hdf5 {

/// Undoes the filters; the result has the chunk's full size. `stored` are its bytes in the file.
Result<std::vector<std::byte>> unfilter(std::span<const std::byte> stored, const Dataset& dataset,
                                        std::uint32_t skipped, const std::stop_token& stop);

/// Copies the chunk at `position` of the grid, or one element for all of it, to its place of `whole`, an array of the
/// dataset's shape; what reaches beyond the shape is left out.
void place(std::span<const std::byte> chunk, const Dataset& dataset, std::int64_t position, std::byte* whole);

/// Reverses the bytes of each element.
void swapBytes(std::span<std::byte> data, int elementBytes);

} // namespace ql::hdf5
