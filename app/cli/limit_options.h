// SPDX-License-Identifier: GPL-3.0-or-later
// Options of subcommands that solve: limits beside the size, and what the user has decided already.
#pragma once

#include "app/cli/console.h"
#include "core/allocation/plan_limits.h"

#include <CLI/App.hpp>

#include <map>

namespace ql::cli {

/// An option for each limit of core/allocation/plan_limits.h but the size and the bits per weight.
struct LimitOptions {
    std::map<LimitKind, std::string> single; // empty: not given
    std::map<LimitKind, std::vector<std::string>> repeated;

    void declare(CLI::App& app);
    std::vector<Limit> limits() const;
    /// Whether a plan can be solved for them without a size.
    bool hasLimit() const;
};

} // namespace ql::cli
