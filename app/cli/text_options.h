// SPDX-License-Identifier: GPL-3.0-or-later
// Options of subcommands that run a model over text.
#pragma once

#include "app/cli/console.h"
#include "core/model/evaluation/text_tokens.h"

#include <CLI/App.hpp>

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
    /// Text goes through the model's own tokenizer.
    Result<TextTokens> readTokens(Console& console, const Model& model, TextReader reader) const;
    Result<Windows> read(Console& console, const Model& model, TextReader reader = TextReader::languageModel) const;
};

} // namespace ql::cli
