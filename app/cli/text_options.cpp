// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/text_options.h"

#include "core/base/file.h"
#include "core/checkpoint/reader.h"
#include "core/model/tokenizer/tokenizer.h"

namespace ql::cli {

void TextOptions::declare(CLI::App& app)
{
    auto* file = app.add_option("--text", text, "text file, tokenized as the model's own runtime does");
    app.add_option("--tokens", tokens, "token ids instead: one array of integers in a .npy file")->excludes(file);
    app.add_option("--context", context, "tokens in a window")->capture_default_str();
    app.add_option("--windows", windows, "how many windows; 0: all")->capture_default_str();
}

namespace {

constexpr std::int64_t kLargestText = std::int64_t{1} << 30U;

Result<std::vector<std::int64_t>> readIds(const std::string& path, const JobContext& context)
{
    QL_TRY(file, openCheckpoint(path, context));
    if (file->tensors().size() != 1 || !info(file->tensors()[0].dtype).isInteger)
        return usageError("is not one array of token ids", path);
    QL_TRY(data, file->load(0, context));
    std::vector<double> ids(static_cast<std::size_t>(data.view.numel()));
    decode(data.view.dtype, data.view.data, 0, data.view.numel(), ids.data());
    QL_CHECK(file->checkIntact());
    return std::vector<std::int64_t>(ids.begin(), ids.end());
}

} // namespace

Result<Windows> TextOptions::read(Console& console, const Model& model) const
{
    if (!tokens.empty()) {
        QL_TRY(ids, readIds(tokens, console.context()));
        return cutWindows(ids, context, windows);
    }
    if (text.empty())
        return usageError("give --text FILE, or --tokens IDS.npy");
    QL_TRY(tokenizer, openTokenizer(*model.checkpoint, console.context()));
    console.warn(tokenizer->warnings());
    QL_TRY(content, readTextFile(text, kLargestText));
    QL_TRY(encoded, tokenizer->encode(content, {.addSpecial = true}, console.context()));
    console.warn(encoded.warnings);
    return cutWindows(encoded.ids, context, windows, tokenizer->addsBos() ? tokenizer->bosId() : std::nullopt);
}

} // namespace ql::cli
