// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/text_options.h"

#include "app/cli/number_check.h"

namespace ql::cli {

namespace {

void warnOfLength(Console& console, const Model& model, std::int64_t context)
{
    const auto most = static_cast<std::int64_t>(model.configNumber("max_position_embeddings").value_or(0));
    if (most > 0 && context > most)
        console.warn(std::vector<Warning>{
            {"--context " + std::to_string(context),
             "is more than the " + std::to_string(most) + " tokens the model is made for; figures say little"}});
}

} // namespace

void TextOptions::declare(CLI::App& app)
{
    auto* file = app.add_option("--text", text, "text file, tokenized as the model's own runtime does");
    app.add_option("--tokens", tokens, "token ids instead: an array in a .npy or .npz file, or a text file of numbers")
        ->excludes(file);
    app.add_option("--context", context, "tokens in a window")->capture_default_str();
    app.add_option("--windows", windows, "how many windows; 0: all")->capture_default_str()->check(atLeast(0));
}

Result<TextTokens> TextOptions::readTokens(Console& console, const Model& model, TextReader reader) const
{
    if (!isGiven())
        return usageError("give --text FILE, or --tokens IDS");
    QL_TRY(found, ql::readTokens(model, {text, tokens}, console.context(), reader));
    console.warn(found.warnings);
    warnOfLength(console, model, context);
    return found;
}

Result<Windows> TextOptions::read(Console& console, const Model& model, TextReader reader) const
{
    QL_TRY(found, readTokens(console, model, reader));
    return found.windows(context, windows);
}

} // namespace ql::cli
