// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/text_options.h"

#include "core/model/evaluation/text_tokens.h"

namespace ql::cli {

void TextOptions::declare(CLI::App& app)
{
    auto* file = app.add_option("--text", text, "text file, tokenized as the model's own runtime does");
    app.add_option("--tokens", tokens, "token ids instead: one array of integers in a .npy file")->excludes(file);
    app.add_option("--context", context, "tokens in a window")->capture_default_str();
    app.add_option("--windows", windows, "how many windows; 0: all")->capture_default_str();
}

Result<Windows> TextOptions::read(Console& console, const Model& model) const
{
    if (!isGiven())
        return usageError("give --text FILE, or --tokens IDS.npy");
    QL_TRY(found, readTokens(model, {text, tokens}, console.context()));
    console.warn(found.warnings);
    return found.windows(context, windows);
}

} // namespace ql::cli
