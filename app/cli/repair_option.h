// SPDX-License-Identifier: GPL-3.0-or-later
// --repair, shared by subcommands.
#pragma once

#include "app/cli/console.h"
#include "core/realize/repair_file.h"

namespace ql::cli {

/// The model with the gains and factors of that file, which must be a repair of this plan under this target and these
/// activations.
inline Result<AppliedRepair> withRepair(Console& console, const std::shared_ptr<const Model>& model, const Plan& plan,
                                        const TargetProfile* target, const Activations* activations,
                                        const std::string& path)
{
    return applyRepair(model, planIdentity(*model, plan, target, activations), path, console.context());
}
inline constexpr const char* kRepairHelp = "repair of this plan (.npz), as written by qloupe repair";

} // namespace ql::cli
