// SPDX-License-Identifier: GPL-3.0-or-later
// Options of subcommands that run a model over text.
#pragma once

#include "app/cli/console.h"
#include "core/model/evaluation/windows.h"

#include <CLI/App.hpp>

namespace ql {
class Tokenizer;
}

namespace ql::cli {

constexpr const char* kScoreAllHelp = "score every token with one before it, not just the second half of each window";

/// --text FILE or --tokens IDS, --context N, --windows N: windows of token ids.
struct TextOptions {
    std::string text;
    std::string tokens;
    std::int64_t context = 512;
    std::int64_t windows = 0;
    void declare(CLI::App& app);
    bool isGiven() const { return !text.empty() || !tokens.empty(); }
    std::string name() const { return text.empty() ? tokens : text; }
    /// Text goes through the model's own tokenizer; where that puts a BOS before every text, each window gets one, as
    /// llama-perplexity does.
    Result<Windows> read(Console& console, const Model& model) const;
    /// For encoders: every window of a text has around it what the tokenizer puts around a text; ids are as they are.
    Result<Windows> readWrapped(Console& console, const Model& model, const Tokenizer& tokenizer) const;
};

} // namespace ql::cli
