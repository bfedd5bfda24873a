// SPDX-License-Identifier: GPL-3.0-or-later
// Reads runs of a tensor of any decodable dtype as float: straight from memory where it is aligned float32, else
// decoded into a scratch buffer. Not thread-safe: one per task.
#pragma once

#include "core/tensor/tensor_view.h"

#include <vector>

namespace ql {

class WeightTile {
public:
    explicit WeightTile(const TensorView& view) : m_view(view) {}
    /// Elements [first, first + count), valid until the next call.
    const float* read(std::int64_t first, std::int64_t count);

private:
    TensorView m_view;
    std::vector<float> m_scratch;
};

} // namespace ql
