// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/tokenizer.h"

#include "core/model/tokenizer/pipeline.h"
#include "core/model/tokenizer/unicode_text.h"

#include <algorithm>
#include <atomic>

namespace ql {

using tok::Pipeline;
using tok::Word;
using tok::Words;

namespace {

constexpr std::size_t kLongestText = std::size_t{1} << 30U;
constexpr std::size_t kLongWord = 256; // bytes; longer ones are cut where the model says that it changes nothing

/// Cuts long words, so that they can be remembered and encoded at once.
Result<void> cutLongWords(const Pipeline& pipeline, Words& words, const JobContext& context)
{
    const auto isLong = [](const Word& word) { return word.token < 0 && word.size() > kLongWord; };
    if (std::ranges::none_of(words.words, isLong))
        return {};
    std::vector<Word> out;
    out.reserve(words.words.size());
    for (const Word& word : words.words) {
        if (!isLong(word)) {
            if (out.size() % 65536 == 0)
                QL_CHECK(context.checkStop());
            out.push_back(word);
            continue;
        }
        QL_CHECK(context.checkStop());
        QL_TRY(cuts, pipeline.model->cuts(words.view(word), context));
        if (const std::size_t needed = out.size() + cuts.size() + 1; needed > out.capacity())
            out.reserve(std::max(needed, 2 * out.capacity())); // now, as moving millions of words cannot be stopped
        std::size_t begin = word.begin;
        for (const std::size_t cut : cuts) {
            if (out.size() % 65536 == 0)
                QL_CHECK(context.checkStop());
            out.push_back({begin, word.begin + cut, -1, false});
            begin = word.begin + cut;
        }
        out.push_back({begin, word.end, -1, false});
    }
    words.words = std::move(out);
    return {};
}

/// Ids of a group of words; what a word gave is remembered for the next one like it.
Result<void> encodeGroup(const Pipeline& pipeline, const Words& words, std::size_t first, std::size_t last,
                         std::vector<std::int32_t>& ids, const JobContext& context)
{
    struct Ids { // a range of ids
        std::size_t begin;
        std::size_t end;
    };
    std::unordered_map<std::string_view, Ids> remembered;
    for (std::size_t i = first; i < last; ++i) {
        const Word& word = words.words[i];
        if (word.token >= 0) {
            ids.push_back(word.token);
            continue;
        }
        const auto [entry, isNew] = remembered.try_emplace(words.view(word), Ids{ids.size(), ids.size()});
        if (isNew) {
            QL_CHECK(pipeline.model->encode(entry->first, ids, context));
            entry->second.end = ids.size();
        } else {
            for (std::size_t at = entry->second.begin; at < entry->second.end; ++at)
                ids.push_back(ids[at]);
        }
        if (i % 4096 == 0)
            QL_CHECK(context.checkStop());
    }
    return {};
}

/// Bytes that are no UTF-8, as the pipeline wants them.
Result<std::int64_t> repair(const Pipeline& pipeline, Words& words, const JobContext& context)
{
    std::atomic<std::int64_t> replaced = 0;
    // However bytes are read, what begins a character is not part of the one before it.
    const bool isLoose = pipeline.invalidBytes == tok::InvalidBytes::likeLlama;
    QL_CHECK(rewriteWords(words, context, [&](std::string_view text, bool&) {
        return tok::rewritePieces(text, context, tok::beginsCharacter, [&](std::string_view piece, bool) {
            std::int64_t here = 0;
            std::string repaired = isLoose ? tok::repairLikeLlama(piece, here) : tok::repairUtf8(piece, here);
            replaced += here;
            return repaired;
        });
    }));
    return replaced.load();
}

} // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Pipeline> pipeline) : m_pipeline(std::move(pipeline)) {}
Tokenizer::~Tokenizer() = default;

Result<Encoded> Tokenizer::encode(std::string_view text, const EncodeOptions& options, const JobContext& context) const
{
    const Pipeline& pipeline = *m_pipeline;
    if (text.size() > kLongestText)
        return refused("has " + formatBytes(std::ssize(text)) +
                           "; at most 1 GiB is tokenized at once, give a part of it",
                       "the text");
    Words words;
    words.text = text;
    if (!text.empty())
        words.words.push_back({0, text.size(), -1, true});
    std::int64_t replaced = 0;
    const auto repairIf = [&](tok::InvalidBytes when) -> Result<void> {
        if (pipeline.invalidBytes != when)
            return {};
        QL_TRY(here, repair(pipeline, words, context));
        replaced = here;
        return {};
    };
    QL_CHECK(repairIf(tok::InvalidBytes::repaired));
    QL_CHECK(pipeline.rawTokens.cut(words, options.parseSpecial, context));
    QL_CHECK(repairIf(tok::InvalidBytes::likeLlama));
    for (const auto& normalizer : pipeline.normalizers)
        QL_CHECK(normalizer(words, context));
    QL_CHECK(pipeline.normalizedTokens.cut(words, options.parseSpecial, context));
    for (const auto& preTokenizer : pipeline.preTokenizers)
        QL_CHECK(preTokenizer(words, context));
    QL_CHECK(cutLongWords(pipeline, words, context));

    const auto groups = groupsOf(words.words);
    std::vector<std::vector<std::int32_t>> parts(groups.size());
    QL_CHECK(parallelFor(context, std::ssize(groups), 1, [&](std::int64_t g, std::int64_t) {
        const auto index = static_cast<std::size_t>(g);
        return encodeGroup(pipeline, words, groups[index].first, groups[index].second, parts[index], context);
    }));
    Encoded encoded;
    if (options.addSpecial)
        encoded.ids = pipeline.prefix;
    std::size_t count = encoded.ids.size() + pipeline.suffix.size();
    for (const auto& part : parts)
        count += part.size();
    encoded.ids.reserve(count);
    for (const auto& part : parts) {
        QL_CHECK(context.checkStop());
        encoded.ids.insert(encoded.ids.end(), part.begin(), part.end());
    }
    if (options.addSpecial)
        encoded.ids.insert(encoded.ids.end(), pipeline.suffix.begin(), pipeline.suffix.end());
    if (replaced > 0)
        encoded.warnings.push_back({"the text", "is not UTF-8 at " + std::to_string(replaced) +
                                                    (replaced == 1 ? " place" : " places") +
                                                    "; these are read as U+FFFD"});
    return encoded;
}

std::string Tokenizer::decode(std::span<const std::int64_t> ids, bool skipSpecial) const
{
    const Pipeline& pipeline = *m_pipeline;
    std::vector<std::string> texts;
    for (const std::int64_t id : ids) {
        const std::string_view piece = pipeline.vocabulary.piece(id);
        if (piece.empty() || (skipSpecial && pipeline.specialIds.contains(id)))
            continue;
        const auto other = pipeline.decodedAs.find(id);
        texts.emplace_back(other == pipeline.decodedAs.end() ? piece : other->second);
    }
    if (texts.empty())
        return {};
    for (const auto& step : pipeline.decoder)
        step(texts);
    std::string text;
    for (const std::string& part : texts)
        text += part;
    std::int64_t replaced = 0;
    return tok::repairUtf8(text, replaced);
}

std::string_view Tokenizer::piece(std::int64_t id) const
{
    return m_pipeline->vocabulary.piece(id);
}
std::optional<std::int64_t> Tokenizer::idOf(std::string_view piece) const
{
    const std::int32_t id = m_pipeline->vocabulary.idOf(piece);
    return id >= 0 ? std::optional<std::int64_t>(id) : std::nullopt;
}
std::int64_t Tokenizer::vocabularySize() const
{
    return m_pipeline->vocabulary.size();
}
std::optional<std::int64_t> Tokenizer::bosId() const
{
    return m_pipeline->bos;
}
std::optional<std::int64_t> Tokenizer::eosId() const
{
    return m_pipeline->eos;
}
std::optional<std::int64_t> Tokenizer::unknownId() const
{
    return m_pipeline->unknown;
}
std::optional<std::int64_t> Tokenizer::padId() const
{
    return m_pipeline->pad;
}
std::span<const std::int64_t> Tokenizer::prefixIds() const
{
    return m_pipeline->prefix;
}
std::span<const std::int64_t> Tokenizer::suffixIds() const
{
    return m_pipeline->suffix;
}
bool Tokenizer::addsBos() const
{
    return m_pipeline->bos && std::ranges::find(m_pipeline->prefix, *m_pipeline->bos) != m_pipeline->prefix.end();
}
bool Tokenizer::addsEos() const
{
    return m_pipeline->eos && std::ranges::find(m_pipeline->suffix, *m_pipeline->eos) != m_pipeline->suffix.end();
}
const std::string& Tokenizer::title() const
{
    return m_pipeline->title;
}
const std::filesystem::path& Tokenizer::path() const
{
    return m_pipeline->path;
}
std::span<const Warning> Tokenizer::warnings() const
{
    return m_pipeline->warnings;
}

std::string TextStream::push(std::int64_t id)
{
    m_ids.push_back(id);
    const std::string all = m_tokenizer->decode(m_ids, m_skipSpecial);
    const std::string given = m_tokenizer->decode(std::span(m_ids).first(m_given), m_skipSpecial);
    if (all.size() <= given.size() || all.ends_with(tok::kReplacement) || !all.starts_with(given))
        return {};
    m_ids.erase(m_ids.begin(), m_ids.begin() + static_cast<std::ptrdiff_t>(m_given));
    m_given = m_ids.size();
    return all.substr(given.size());
}

std::string TextStream::finish()
{
    const std::string all = m_tokenizer->decode(m_ids, m_skipSpecial);
    const std::string given = m_tokenizer->decode(std::span(m_ids).first(m_given), m_skipSpecial);
    m_ids.clear();
    m_given = 0;
    return all.starts_with(given) ? all.substr(given.size()) : std::string();
}

} // namespace ql
