// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/bpe.h"

#include "core/model/tokenizer/symbol_merger.h"

#include <array>

namespace ql::tok {

namespace {

class Bpe final : public TokenModel {
public:
    Bpe(const Vocabulary& vocabulary, BpeSettings settings) : m_vocabulary(vocabulary), m_settings(std::move(settings))
    {
        for (unsigned byte = 0; byte < 256; ++byte)
            m_bytes[byte] = vocabulary.idOf(pieceOfByte(static_cast<unsigned char>(byte)));
    }

    Result<void> addMerges(const Merges& merges, const std::string& where)
    {
        const std::size_t prefix = m_settings.continuingPrefix.size();
        for (std::size_t rank = 0; rank < merges.size(); ++rank) {
            const auto& [left, right] = merges[rank];
            if (right.size() < prefix)
                return badInput("has the merge " + shown(rank, merges) + " without the prefix of its second part",
                                where);
            const std::string merged = left + right.substr(prefix);
            const std::int32_t a = symbolOf(left);
            const std::int32_t b = symbolOf(right);
            const std::int32_t c = symbolOf(merged);
            if (!m_settings.piecesMayBeMissing && std::max({a, b, c}) >= m_vocabulary.size())
                return badInput("has the merge " + shown(rank, merges) + ", which is not made of its pieces", where);
            m_merges[key(a, b)] = {static_cast<double>(rank), c};
            m_seams.addMerged(merged);
        }
        for (std::int64_t id = 0; id < m_vocabulary.size(); ++id)
            if (const std::string_view piece = m_vocabulary.piece(id);
                !piece.empty() && piece.size() == announcedLength(piece[0]))
                m_seams.addKnown(piece);
        return {};
    }

    Result<void> encode(std::string_view word, std::vector<std::int32_t>& ids, const JobContext& context) const override
    {
        if (const std::int32_t id = m_settings.wholeWordsFirst ? m_vocabulary.idOf(word) : -1; id >= 0) {
            ids.push_back(id);
            return {};
        }
        std::vector<Symbol> symbols = characters(word);
        QL_CHECK(mergeSymbols(symbols, context, [&](const Symbol& a, const Symbol& b) -> std::optional<MergedPair> {
            const auto found = a.id < 0 || b.id < 0 ? m_merges.end() : m_merges.find(key(a.id, b.id));
            return found == m_merges.end() ? std::nullopt : std::optional(found->second);
        }));
        for (const Symbol& symbol : symbols)
            if (symbol.id >= 0 && symbol.id < m_vocabulary.size())
                ids.push_back(symbol.id);
        return {};
    }

    Result<std::vector<std::size_t>> cuts(std::string_view word, const JobContext& context) const override
    {
        const bool plain = m_settings.continuingPrefix.empty() && m_settings.endSuffix.empty();
        if (!plain || m_settings.wholeWordsFirst)
            return std::vector<std::size_t>();
        return m_seams.in(word, context);
    }

private:
    static std::uint64_t key(std::int32_t left, std::int32_t right)
    {
        return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32U) |
               static_cast<std::uint32_t>(right);
    }
    struct Mixed { // multiplicative, so that neighbouring ids spread
        std::size_t operator()(std::uint64_t value) const
        {
            value *= 0x9e3779b97f4a7c15U;
            return value ^ (value >> 32U);
        }
    };
    static std::string shown(std::size_t rank, const Merges& merges)
    {
        return std::to_string(rank + 1) + " ('" + printable(merges[rank].first.substr(0, 100)) + "' and '" +
               printable(merges[rank].second.substr(0, 100)) + "')";
    }

    /// The id of a piece, or a number of its own behind all ids.
    std::int32_t symbolOf(const std::string& text)
    {
        if (const std::int32_t id = m_vocabulary.idOf(text); id >= 0)
            return id;
        return m_missing.try_emplace(text, static_cast<std::int32_t>(m_vocabulary.size() + std::ssize(m_missing)))
            .first->second;
    }
    std::int32_t known(const std::string& text) const
    {
        if (const std::int32_t id = m_vocabulary.idOf(text); id >= 0)
            return id;
        const auto found = m_missing.find(text);
        return found == m_missing.end() ? -1 : found->second;
    }

    std::vector<Symbol> characters(std::string_view word) const
    {
        std::vector<Symbol> symbols;
        const auto add = [&](std::int32_t id, std::size_t begin, std::size_t length) {
            Symbol symbol;
            symbol.id = id;
            symbol.begin = begin;
            symbol.length = length;
            symbols.push_back(symbol);
        };
        bool unknownBefore = false;
        std::string text;
        for (std::size_t at = 0; at < word.size();) {
            const std::size_t length = std::min(announcedLength(word[at]), word.size() - at);
            text = at > 0 ? m_settings.continuingPrefix : std::string();
            text += word.substr(at, length);
            if (at + length == word.size())
                text += m_settings.endSuffix;
            const std::int32_t id = known(text);
            const auto hasBytes = [&] {
                return std::ranges::all_of(text, [&](char c) { return m_bytes[static_cast<unsigned char>(c)] >= 0; });
            };
            if (id >= 0) {
                add(id, at, length);
                unknownBefore = false;
            } else if (m_settings.byteFallback && hasBytes()) {
                for (std::size_t i = 0; i < text.size(); ++i)
                    add(m_bytes[static_cast<unsigned char>(text[i])], at + std::min(i, length - 1), 1);
                unknownBefore = false;
            } else if (m_settings.unknown >= 0) {
                if (unknownBefore && m_settings.fuseUnknown)
                    symbols.back().length += length;
                else
                    add(m_settings.unknown, at, length);
                unknownBefore = true;
            } else if (m_settings.piecesMayBeMissing) {
                add(-1, at, length); // left out, but nothing merges across it
            }
            at += length;
        }
        return symbols;
    }

    const Vocabulary& m_vocabulary;
    BpeSettings m_settings;
    std::unordered_map<std::uint64_t, MergedPair, Mixed> m_merges;
    std::unordered_map<std::string, std::int32_t> m_missing; // texts of merges that are no pieces
    std::array<std::int32_t, 256> m_bytes{};
    Seams m_seams;
};

} // namespace

Result<std::unique_ptr<const TokenModel>> makeBpe(const Vocabulary& vocabulary, const Merges& merges,
                                                  BpeSettings settings, const std::string& where)
{
    auto bpe = std::make_unique<Bpe>(vocabulary, std::move(settings));
    QL_CHECK(bpe->addMerges(merges, where));
    return std::unique_ptr<const TokenModel>(std::move(bpe));
}

namespace models {

namespace {

Result<Merges> readMerges(const Fields& fields)
{
    QL_TRY(list, fields.array("merges"));
    Merges merges;
    merges.reserve(list->size());
    for (const Json& entry : *list) {
        if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
            merges.emplace_back(entry[0].get<std::string>(), entry[1].get<std::string>());
            continue;
        }
        const std::string text = entry.is_string() ? entry.get<std::string>() : std::string();
        if (text.starts_with("#version"))
            continue;
        const auto parts = split(text, ' ');
        if (parts.size() != 2)
            return fields.wrong("has a merge that is not two pieces: entry " + std::to_string(merges.size() + 1));
        merges.emplace_back(parts[0], parts[1]);
    }
    return merges;
}

Result<std::unique_ptr<const TokenModel>> make(const Fields& fields, Vocabulary& vocabulary)
{
    QL_CHECK(readVocabulary(fields, vocabulary));
    if (fields["dropout"].is_number() && fields["dropout"] != 0)
        return fields.cannot("has a dropout, so its ids are random; set it to null");
    QL_TRY(merges, readMerges(fields));
    BpeSettings settings;
    QL_TRY(unknown, fields.text("unk_token", ""));
    QL_TRY(fuse, fields.boolean("fuse_unk", false));
    QL_TRY(bytes, fields.boolean("byte_fallback", false));
    QL_TRY(whole, fields.boolean("ignore_merges", false));
    QL_TRY(prefix, fields.text("continuing_subword_prefix", ""));
    QL_TRY(suffix, fields.text("end_of_word_suffix", ""));
    settings.unknown = unknown.empty() ? -1 : vocabulary.idOf(unknown);
    if (!unknown.empty() && settings.unknown < 0)
        return fields.wrong("names the unknown piece '" + printable(unknown) + "', which is not in its 'vocab'");
    settings.fuseUnknown = fuse;
    settings.byteFallback = bytes;
    settings.wholeWordsFirst = whole;
    settings.continuingPrefix = prefix;
    settings.endSuffix = suffix;
    return makeBpe(vocabulary, merges, std::move(settings), fields.where());
}

} // namespace

extern const TokenModelKind bpe;
const TokenModelKind bpe{"bpe", "Byte pair encoding", "BPE", make};

} // namespace models

} // namespace ql::tok
