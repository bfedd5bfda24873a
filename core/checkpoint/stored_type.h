// SPDX-License-Identifier: GPL-3.0-or-later
// Of checkpoints whose tensors a transform computes (core/transforms/variant.h): load() gives these in float32, while
// tensors() says in which type a file would keep them.
#pragma once

#include "core/checkpoint/checkpoint.h"

namespace ql {

/// The tensor in the type that tensors() names, as files keep it: what was computed is rounded once. An error where a
/// finite value would become infinite.
Result<TensorData> loadAsStored(const Checkpoint& checkpoint, std::int64_t tensor, const JobContext& context);
Result<TensorData> asStored(const TensorInfo& tensor, TensorData data, const JobContext& context);

/// Metadata key of the transforms that made a checkpoint from another.
constexpr std::string_view kVariantKey = "quantloupe.variant";
/// Their text; empty where the checkpoint is a file's own.
std::string variantOf(const Checkpoint& checkpoint);

} // namespace ql
