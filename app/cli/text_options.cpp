// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/text_options.h"

#include "app/cli/number_check.h"
#include "core/base/file.h"
#include "core/model/evaluation/text_tokens.h"
#include "core/model/tokenizer/tokenizer.h"

namespace ql::cli {

namespace {

/// Errors of windows name the text.
Result<Windows> named(Result<Windows> windows, const std::string& text)
{
    if (windows)
        return windows;
    Error error = windows.error();
    error.where = text;
    return error;
}

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

Result<Windows> TextOptions::read(Console& console, const Model& model) const
{
    if (!isGiven())
        return usageError("give --text FILE, or --tokens IDS");
    QL_TRY(found, readTokens(model, {text, tokens}, console.context()));
    console.warn(found.warnings);
    warnOfLength(console, model, context);
    return named(found.windows(context, windows), name());
}

Result<Windows> TextOptions::readWrapped(Console& console, const Model& model, const Tokenizer& tokenizer) const
{
    if (text.empty())
        return read(console, model);
    QL_TRY(content, readTextFile(text, kLargestText));
    QL_TRY(encoded, tokenizer.encode(content, {}, console.context()));
    console.warn(encoded.warnings);
    const auto prefix = tokenizer.prefixIds();
    const auto suffix = tokenizer.suffixIds();
    QL_TRY(inner, named(cutWindows(encoded.ids, context - std::ssize(prefix) - std::ssize(suffix), windows), text));
    Windows wrapped{context, {}};
    for (std::int64_t i = 0; i < inner.count(); ++i)
        for (const std::span<const std::int64_t> part : {prefix, inner.window(i), suffix})
            wrapped.ids.insert(wrapped.ids.end(), part.begin(), part.end());
    return wrapped;
}

} // namespace ql::cli
