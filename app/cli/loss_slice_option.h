// SPDX-License-Identifier: GPL-3.0-or-later
// qloupe curvature --slice: the loss on a grid along the two top eigenvectors of all chosen layers together.
#pragma once

#include "app/cli/console.h"
#include "core/model/evaluation/hessian.h"
#include "core/sensitivity/loss_slice.h"

#include <nlohmann/json.hpp>

namespace CLI {
class App;
}

namespace ql::cli {

struct LossSliceOption {
    bool isGiven = false;
    double span = 0.05; // radius ÷ ‖w‖
    std::int64_t points = 11;
    std::vector<std::string> out; // .csv, .png

    void declare(CLI::App& app);
    /// Refuses files of other kinds before anything is run.
    Result<void> check() const;
    /// Measures, writes the files and returns what is shown.
    Result<nlohmann::ordered_json> run(Console& console, const Model& model, const LossFunction& loss,
                                       LossSliceSettings settings) const;
};

} // namespace ql::cli
