// SPDX-License-Identifier: GPL-3.0-or-later
// The layers of a plan whose rows can each be multiplied by a factor through their scales (core/formats/row_factors.h):
// linear layers outside of the head that no other operator uses. Together with the gains of norms in front of them rows
// of v, and of up, also reach the columns of o_proj and down_proj.
#pragma once

#include "core/model/evaluation/layer_gradients.h"
#include "core/plan/plan.h"

namespace ql {

struct ScaledRows {
    std::vector<LayerRows> layers; // in the order of the model
    std::vector<Warning> notes;    // schemes that leave layers out, and how many
};

ScaledRows scaledRowsOf(const Model& model, const graph::Graph& graph, const Plan& plan);

} // namespace ql
