// SPDX-License-Identifier: GPL-3.0-or-later
// Decoding of any range of elements, also one that begins or ends inside a block.
#pragma once

#include "core/tensor/tensor_view.h"

#include <algorithm>
#include <array>

namespace ql {

/// Whether float32 cannot hold the type's values exactly, so that analyses decode it to double.
inline bool needsDouble(Dtype dtype)
{
    return dtype == Dtype::f64 || dtype == Dtype::i64 || dtype == Dtype::u64 || dtype == Dtype::i32 ||
           dtype == Dtype::u32;
}

template<typename T>
void decodeRange(const TensorView& tensor, std::int64_t first, std::int64_t count, T* out)
{
    const std::int64_t block = info(tensor.dtype).blockElements;
    std::array<T, 256> buffer; // no block is longer
    while (count > 0 && (first % block != 0 || count < block)) {
        const std::int64_t start = first / block * block;
        const std::int64_t taken = std::min(count, start + block - first);
        decode(tensor.dtype, tensor.data, start, block, buffer.data());
        std::copy_n(buffer.data() + (first - start), taken, out);
        first += taken;
        count -= taken;
        out += taken;
    }
    const std::int64_t whole = count / block * block;
    if (whole > 0)
        decode(tensor.dtype, tensor.data, first, whole, out);
    if (count > whole)
        decodeRange(tensor, first + whole, count - whole, out + whole);
}

} // namespace ql
