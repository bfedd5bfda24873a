// SPDX-License-Identifier: GPL-3.0-or-later
// A subcommand of qloupe. One line in commands.def and one file add one.
#pragma once

#include "app/cli/console.h"

#include <CLI/App.hpp>

#include <functional>

namespace ql::cli {

/// What runs after the words are parsed; the exit code of success (0, or 1 if a check failed), or an error.
using CommandRun = std::function<Result<int>(Console&)>;

struct Command {
    const char* id;
    const char* title;
    /// Declares options and returns what runs.
    CommandRun (*declare)(CLI::App& app);
};

std::span<const Command* const> allCommands();

} // namespace ql::cli
