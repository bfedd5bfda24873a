// SPDX-License-Identifier: GPL-3.0-or-later
// Options of subcommands that run a model over text.
#pragma once

#include "app/cli/console.h"
#include "core/model/evaluation/windows.h"

#include <CLI/App.hpp>

namespace ql::cli {

/// --tokens IDS.npy, --context N, --windows N: the text as windows of token ids.
struct TextOptions {
    std::string tokens;
    std::int64_t context = 512;
    std::int64_t windows = 0;
    void declare(CLI::App& app);
    Result<Windows> read(Console& console) const;
};

} // namespace ql::cli
