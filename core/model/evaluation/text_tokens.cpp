// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/text_tokens.h"

#include "core/base/file.h"
#include "core/checkpoint/reader.h"
#include "core/model/tokenizer/tokenizer.h"

namespace ql {

namespace {

Result<TextTokens> readIds(const std::filesystem::path& path, const JobContext& context)
{
    QL_TRY(file, openCheckpoint(path, context));
    if (file->tensors().size() != 1 || !info(file->tensors()[0].dtype).isInteger)
        return usageError("is not one array of token ids", path.string());
    QL_TRY(data, file->load(0, context));
    std::vector<double> ids(static_cast<std::size_t>(data.view.numel()));
    decode(data.view.dtype, data.view.data, 0, data.view.numel(), ids.data());
    QL_CHECK(file->checkIntact());
    return TextTokens{{ids.begin(), ids.end()}, {}, {}};
}

} // namespace

Result<TextTokens> readTokens(const Model& model, const TextSource& source, const JobContext& context)
{
    if (!source.tokens.empty())
        return readIds(source.tokens, context);
    QL_TRY(tokenizer, openTokenizer(*model.checkpoint, context));
    QL_TRY(content, readTextFile(source.text, kLargestText));
    QL_TRY(encoded, tokenizer->encode(content, {.addSpecial = true}, context));
    TextTokens tokens{std::move(encoded.ids), tokenizer->addsBos() ? tokenizer->bosId() : std::nullopt, {}};
    for (const auto& warnings : {tokenizer->warnings(), std::span<const Warning>(encoded.warnings)})
        tokens.warnings.insert(tokens.warnings.end(), warnings.begin(), warnings.end());
    return tokens;
}

} // namespace ql
