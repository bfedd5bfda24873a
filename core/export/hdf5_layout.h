// SPDX-License-Identifier: GPL-3.0-or-later
// The HDF5 file that the hdf5 target writes.
//   /            attributes README, format, version
//   /plan        the plan, text
//   /tensors/N/  one group per tensor of the checkpoint, N its name with "/" as %2F; attributes name, dtype (as the
//                checkpoint stores it) and candidate; where the axes of its array are not those of W[out, in…], also
//                stored_as and axes (StoredOrder, as JSON)
//     values     a tensor that is kept, as stored; or
//     bytes      the same where HDF5 has no such type (GGUF blocks, 8-bit floats); or
//     codes      one integer a weight, in the order and shape of the layer: int8; uint8 where codes are unsigned or
//                patterns of bits; uint16/32 for casts
//     blocks     uint8 [rows, bytes of a row], in place of codes and all that follows but the weights, for packed
//                schemes: rows of whole blocks; the attribute block says their GGUF type, or how to restore
//                them
//     packed     uint8 [bytes], likewise, for layouts over the whole matrix; the attribute layout says what they are
//     levels     float32 by code, where the level of a code is not the code itself
//     scales     float32 [rows, groups], [rows] or [1]
//     zero_points int16, or minima float32, like scales
//     tensor_scale float32 [1]
//     kept_columns int32 [slots], −1 for empty slots, and kept_values float16 [rows, slots], of +cols
//     sparse_starts uint32 [rows + 1], sparse_columns uint16 or 32 and sparse_values float16, of +sparse: row r has the
//                values sparse_starts[r] to sparse_starts[r + 1]
//     left       float16 [rows, rank] and right float16 [rank, columns], of +lr
//     weights    float32, what all this restores to, in the checkpoint's order and shape
// Every dataset is contiguous and allocated at once, the file keeps no free space, and groups are made before their
// content: so the size is the sum of parts that do not depend on each other, and each part is measured once in memory.
#pragma once

#include "core/base/hdf5.h"
#include "core/plan/target.h"

#include <string>
#include <vector>

namespace ql::h5out {

constexpr std::string_view kFormat = "quantloupe-export";

/// One dataset of a tensor's group.
struct Item {
    const char* name = "";
    Dtype element = Dtype::f32; // a type that HDF5 has
    Shape shape;
    std::int64_t sizeBytes() const { return storedBytes(element, numel(shape)).value(); }
};

/// What becomes of a tensor of the checkpoint.
struct Choice {
    std::int64_t layer = -1;              // -1: none is made of it
    const Candidate* candidate = nullptr; // null: kept as stored
};
std::vector<Choice> choicesByTensor(const Model& model, const Plan& plan);

struct Placed {
    Item item;
    std::int64_t offset = -1; // in the file; -1 if it is empty
};
struct Structure {
    std::int64_t planOffset = -1;
    std::vector<std::vector<Placed>> tensors; // indexed like checkpoint.tensors()
};
/// Creates the file with everything but the data of datasets.
Result<Structure> createStructure(const std::filesystem::path& path, const Model& model, const Plan& plan,
                                  std::int64_t planBytes);

/// Exact size of the file; the plan is complete and admitted.
Result<std::int64_t> sizeBytes(const Model& model, const Plan& plan);

std::string linkName(std::string_view tensorName);

} // namespace ql::h5out
