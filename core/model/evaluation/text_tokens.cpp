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

Result<std::vector<std::int64_t>> readIds(const std::filesystem::path& path, const JobContext& context)
{
    const std::string extension = toLower(path.extension().string());
    const bool isText = std::filesystem::is_regular_file(path) && extension != ".npy" && extension != ".npz";
    return isText ? readNumbers(path, context) : readArray(path, context);
}

std::optional<MaskToken> maskOf(const Tokenizer& tokenizer)
{
    auto id = tokenizer.idOf("[MASK]");
    if (!id)
        id = tokenizer.idOf("<mask>");
    if (!id)
        return {};
    MaskToken mask{*id, {}};
    for (const auto special : {tokenizer.prefixIds(), tokenizer.suffixIds()})
        mask.kept.insert(mask.kept.end(), special.begin(), special.end());
    return mask;
}

} // namespace

std::int64_t TextTokens::windowCount(std::int64_t length, std::int64_t limit) const
{
    const std::int64_t inner = perWindow(length);
    const std::int64_t all = inner < kShortestWindow ? 0 : std::ssize(ids) / inner;
    return limit > 0 ? std::min(all, limit) : all;
}

Result<Windows> TextTokens::windows(std::int64_t length, std::int64_t limit) const
{
    auto inner = cutWindows(ids, perWindow(length), limit, bos);
    if (!inner)
        return Error{inner.error().code, inner.error().what, name};
    if (prefix.empty() && suffix.empty())
        return inner;
    Windows wrapped{length, {}};
    for (std::int64_t i = 0; i < inner->count(); ++i)
        for (const std::span<const std::int64_t> part : {std::span(prefix), inner->window(i), std::span(suffix)})
            wrapped.ids.insert(wrapped.ids.end(), part.begin(), part.end());
    return wrapped;
}

Result<TextTokens> readTokens(const Model& model, const TextSource& source, const JobContext& context,
                              TextReader reader)
{
    const bool isEncoder = reader == TextReader::encoder;
    const bool isIds = !source.tokens.empty();
    TextTokens tokens;
    tokens.name = (isIds ? source.tokens : source.text).string();
    if (isIds) {
        QL_TRY(ids, readIds(source.tokens, context));
        tokens.ids = std::move(ids);
        if (!isEncoder)
            return tokens;
    }
    auto opened = openTokenizer(*model.checkpoint, context);
    if (!opened && isIds && opened.error().code != Errc::cancelled)
        return tokens; // they need none
    QL_TRY(tokenizer, std::move(opened));
    if (isEncoder)
        tokens.mask = maskOf(*tokenizer);
    const std::span<const Warning> oddities = tokenizer->warnings();
    tokens.warnings.assign(oddities.begin(), oddities.end());
    if (isIds)
        return tokens;
    QL_TRY(content, readTextFile(source.text, kLargestText));
    QL_TRY(encoded, tokenizer->encode(content, {.addSpecial = !isEncoder}, context));
    tokens.ids = std::move(encoded.ids);
    tokens.warnings.insert(tokens.warnings.end(), encoded.warnings.begin(), encoded.warnings.end());
    if (isEncoder) {
        tokens.prefix.assign(tokenizer->prefixIds().begin(), tokenizer->prefixIds().end());
        tokens.suffix.assign(tokenizer->suffixIds().begin(), tokenizer->suffixIds().end());
    } else if (tokenizer->addsBos()) {
        tokens.bos = tokenizer->bosId();
    }
    return tokens;
}

} // namespace ql
