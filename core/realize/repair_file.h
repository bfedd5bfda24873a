// SPDX-License-Identifier: GPL-3.0-or-later
// A repair in a file: a NumPy archive with the changed vectors in float32 under the names of their layers, factors of
// the rows of a layer in float32 under its name and ".row_factors", and "about", JSON as bytes: version, checkpoint,
// plan, method, what it was made from, and what it did on inputs that were held out.
#pragma once

#include "core/realize/repair.h"

#include <filesystem>

namespace ql {

/// Names a plan as far as its values go: candidates, as the target completes them, by layer; target; and the
/// activations its quantizers looked at. Not its locks and names.
std::string planIdentity(const Model& model, const Plan& plan, const TargetProfile* target,
                         const Activations* activations);

struct RepairAbout {
    std::string plan; // planIdentity()
    std::string method;
    std::string inputs; // what it was made from, for people
};

/// Of a repair of this model.
Result<void> writeRepair(const Repair& repair, const Model& model, const RepairAbout& about,
                         const std::filesystem::path& path);

/// The model with the repair of the file. Refused by name: another checkpoint's (or variant's), another plan's, layers
/// that the model lacks or that have other shapes, values that are not finite, factors that are not above 0.
struct AppliedRepair {
    std::shared_ptr<const Model> model;
    std::string fingerprint; // of the file
};
Result<AppliedRepair> applyRepair(const std::shared_ptr<const Model>& model, const std::string& planIdentity,
                                  const std::filesystem::path& path, const JobContext& context);

} // namespace ql
