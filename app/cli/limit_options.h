// SPDX-License-Identifier: GPL-3.0-or-later
// Options of subcommands that solve: limits beside the size, and what the user has decided already.
#pragma once

#include "app/cli/console.h"
#include "core/allocation/plan_constraints.h"

#include <CLI/App.hpp>

namespace ql::cli {

/// The quantizable layers of a role, or whose names match the glob; an error that names the option where there is none.
Result<std::vector<std::int64_t>> layersNamed(const Model& model, std::string_view words, const std::string& option);

/// --max-loss, --vram, --ram, --kv-context, --kv, --bops, --latency, --max-latency, --group, --tie, --allow.
struct LimitOptions {
    double loss = 0; // 0: not given, as with all numbers here
    std::string vram;
    std::string ram;
    std::int64_t context = 4096;
    std::string keysValues;
    double operations = 0;
    std::string latency;
    double milliseconds = 0;
    std::vector<std::string> groups;
    std::vector<std::string> ties;
    std::vector<std::string> allowed;

    void declare(CLI::App& app);
    /// Whether a plan can be solved for them without a size.
    bool hasLimit() const { return loss > 0 || !vram.empty() || operations > 0 || milliseconds > 0 || !groups.empty(); }
    /// Runs a model of pictures once, where operations are limited.
    Result<PlanConstraints> constraints(const Model& model, const JobContext& job) const;
    /// The table with the ties merged, and what is not allowed refused.
    Result<CostTable> apply(const Model& model, CostTable table) const;
};

} // namespace ql::cli
