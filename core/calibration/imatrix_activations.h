// SPDX-License-Identifier: GPL-3.0-or-later
// Importance matrices and what is known of layers' inputs, from one to the other.
#pragma once

#include "core/calibration/activations.h"
#include "core/calibration/imatrix.h"

namespace ql {

/// The statistics an importance matrix holds for the layers of a model: channelRms and, in the GGUF form, tokens. An
/// expert of its own layer gets its row of the stack's entry, a layer that is a stack of experts the rows as its parts.
/// Errors name entries of another width, and files without one layer of the model.
Result<std::shared_ptr<const Activations>> imatrixActivations(const std::filesystem::path& path, const Model& model,
                                                              const JobContext& context);

/// The importance matrix of activations, under GGUF's names: tokens·channelRms² and tokens (1 where the number is
/// unknown: only the ratios matter then). Experts of a stack without parts get the layer's.
Result<Imatrix> imatrixOf(const Activations& activations, const Model& model, const JobContext& context);

} // namespace ql
