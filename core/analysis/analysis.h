// SPDX-License-Identifier: GPL-3.0-or-later
// What can be computed of one layer, as listed to users; each gives JSON for the command line. One line in analyses.def
// each.
#pragma once

#include "core/model/model.h"

namespace ql {

struct Analysis {
    std::string_view id; // "histogram", "outliers", "curves"
    std::string_view title;
    std::string_view description;
    /// The result for a layer as JSON text; grep-able keys with units in their names.
    Result<std::string> (*run)(const Model& model, std::int64_t layer, const JobContext& context);
};
std::span<const Analysis* const> allAnalyses();

} // namespace ql
