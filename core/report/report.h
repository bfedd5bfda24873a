// SPDX-License-Identifier: GPL-3.0-or-later
// A self-contained HTML report of a study: charts as SVG, heat maps as PNG, tables, the plan and the verification.
#pragma once

#include "core/analysis/error_curves.h"
#include "core/analysis/histogram.h"
#include "core/analysis/outliers.h"
#include "core/analysis/statistics.h"
#include "core/export/export.h"
#include "core/model/evaluation/scores.h"
#include "core/plan/cost_table.h"

namespace ql {

struct ReportLayer {
    std::int64_t layer = 0;
    TensorStatistics statistics;
    double outlierShare = 0;
    ErrorStats error; // of the plan's candidate; count 0 for keep
};
/// The plan's version of the model run beside the model itself.
struct ReportValidation {
    std::string text;    // what they ran over
    std::string runtime; // whose rounding of activations the plan ran with; empty: none
    std::int64_t windows = 0;
    std::int64_t windowLength = 0;  // tokens
    std::vector<TokenScore> scores; // the same number in every window
};
struct ReportInput {
    const Model& model;
    const Plan& plan;
    const CostTable* table = nullptr;
    std::vector<ReportLayer> layers = {};
    /// Pictures are drawn for these layers (the most fragile, usually).
    std::vector<std::int64_t> pictured = {};
    const Activations* activations = nullptr;
    std::vector<std::int64_t> planLayers = {}; // layersInPlan of the target
    std::int64_t fileBytes = 0;
    std::string uniformCandidate = {}; // the uniform plan it is compared with, empty if none
    double uniformLoss = 0;
    std::vector<WrittenFile> files = {};
    const VerifyReport* verification = nullptr;
    const ReportValidation* validation = nullptr;
    std::string title = {};
};
constexpr std::string_view kReportPlan = "plan.json";

/// Writes report.html (self-contained) and the plan into a folder that exists; returns the path of the page.
Result<std::filesystem::path> writeReport(const ReportInput& input, const std::filesystem::path& folder,
                                          const JobContext& context);

} // namespace ql
