// SPDX-License-Identifier: GPL-3.0-or-later
// Between the order of a checkpoint's array and the order W[out, in…] of its layer. Where nothing moves, nothing is
// copied; otherwise one new array is made, tile by tile and in parallel.
#pragma once

#include "core/model/model.h"

namespace ql {

/// The layer's weights from its array as the checkpoint stores it.
Result<TensorData> toLayerOrder(const Layer& layer, TensorData stored, const JobContext& context);

/// The other way round, for anything that has one element of so many bytes for each weight: codes, restored weights.
/// The shape is then that of the tensor in the checkpoint.
Result<Buffer> toStoredOrder(const Layer& layer, Buffer values, const JobContext& context);

} // namespace ql
