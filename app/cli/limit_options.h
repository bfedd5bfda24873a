// SPDX-License-Identifier: GPL-3.0-or-later
// Options of subcommands that solve: limits, and what the user has decided already.
#pragma once

#include "app/cli/console.h"
#include "core/allocation/plan_limits.h"

#include <CLI/App.hpp>

#include <map>

namespace ql::cli {

/// An option for each limit of core/allocation/plan_limits.h.
struct LimitOptions {
    std::map<LimitKind, std::string> single; // empty: not given
    std::map<LimitKind, std::vector<std::string>> repeated;

    /// All but the size and the bits per weight.
    void declare(CLI::App& app);
    /// These two.
    void declareBudget(CLI::App& app);
    std::vector<Limit> limits() const;
    /// Whether a plan can be solved for them.
    bool hasBudget() const;
};

} // namespace ql::cli
