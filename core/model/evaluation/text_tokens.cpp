// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/text_tokens.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/checkpoint/reader.h"
#include "core/model/tokenizer/tokenizer.h"

#include <algorithm>

namespace ql {

namespace {

/// The only array of a NumPy file, or the one called "tokens".
Result<std::vector<std::int64_t>> readArray(const std::filesystem::path& path, const JobContext& context)
{
    QL_TRY(file, openCheckpoint(path, context));
    const std::int64_t array = file->tensors().size() == 1 ? 0 : file->indexOf("tokens");
    if (array < 0 || !info(file->tensors()[static_cast<std::size_t>(array)].dtype).isInteger)
        return usageError("holds no array of token ids: one array of integers, or one called tokens", path.string());
    QL_TRY(data, file->load(array, context));
    std::vector<std::int64_t> ids(static_cast<std::size_t>(data.view.numel()));
    decodeIntegers(data.view.dtype, data.view.data, 0, data.view.numel(), ids.data());
    QL_CHECK(file->checkIntact());
    return ids;
}

/// Numbers with white space or commas between them.
Result<std::vector<std::int64_t>> readNumbers(const std::filesystem::path& path, const JobContext& context)
{
    QL_TRY(content, readTextFile(path, kLargestText));
    std::ranges::replace_if(
        content, [](char c) { return c == ',' || c == '\n' || c == '\r' || c == '\t'; }, ' ');
    std::vector<std::int64_t> ids;
    for (const std::string_view word : split(content, ' ')) {
        QL_CHECK(context.checkStop());
        if (word.empty())
            continue;
        const auto id = parseInt(word);
        if (!id)
            return usageError("is no list of token ids: it has '" + printable(word.substr(0, 40)) +
                                  "'; give numbers with spaces, commas or line ends between them, or a .npy file",
                              path.string());
        ids.push_back(*id);
    }
    return ids;
}

} // namespace

Result<TextTokens> readTokens(const Model& model, const TextSource& source, const JobContext& context)
{
    if (!source.tokens.empty()) {
        const std::string extension = toLower(source.tokens.extension().string());
        const bool isText =
            std::filesystem::is_regular_file(source.tokens) && extension != ".npy" && extension != ".npz";
        QL_TRY(ids, isText ? readNumbers(source.tokens, context) : readArray(source.tokens, context));
        return TextTokens{std::move(ids), {}, {}};
    }
    QL_TRY(tokenizer, openTokenizer(*model.checkpoint, context));
    QL_TRY(content, readTextFile(source.text, kLargestText));
    QL_TRY(encoded, tokenizer->encode(content, {.addSpecial = true}, context));
    TextTokens tokens{std::move(encoded.ids), tokenizer->addsBos() ? tokenizer->bosId() : std::nullopt, {}};
    for (const auto& warnings : {tokenizer->warnings(), std::span<const Warning>(encoded.warnings)})
        tokens.warnings.insert(tokens.warnings.end(), warnings.begin(), warnings.end());
    return tokens;
}

} // namespace ql
