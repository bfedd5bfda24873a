// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/score_bpe.h"

#include "core/model/tokenizer/symbol_merger.h"

#include <array>

namespace ql::tok {

namespace {

class ScoreBpe final : public TokenModel {
public:
    ScoreBpe(const Vocabulary& vocabulary, ScoreBpeSettings settings)
        : m_vocabulary(vocabulary), m_settings(std::move(settings))
    {
        for (unsigned byte = 0; byte < 256; ++byte)
            m_bytes[byte] = vocabulary.idOf(pieceOfByte(static_cast<unsigned char>(byte)));
        for (std::int64_t id = 0; id < vocabulary.size(); ++id) {
            const std::string_view piece = vocabulary.piece(id);
            if (piece.empty())
                continue;
            m_seams.addMerged(piece);
            if (piece.size() == announcedLength(piece[0]))
                m_seams.addKnown(piece);
        }
    }

    Result<void> encode(std::string_view word, std::vector<std::int32_t>& ids, const JobContext& context) const override
    {
        std::vector<Symbol> symbols = characters(word);
        QL_CHECK(mergeSymbols(symbols, context, [&](const Symbol& a, const Symbol& b) -> std::optional<MergedPair> {
            if (a.length + b.length > m_vocabulary.longestBytes())
                return std::nullopt;
            const std::int32_t id = m_vocabulary.idOf(word.substr(a.begin, a.length + b.length));
            if (id < 0 || (!m_settings.merges.empty() && !m_settings.merges[static_cast<std::size_t>(id)]))
                return std::nullopt;
            return MergedPair{-static_cast<double>(m_settings.scores[static_cast<std::size_t>(id)]), id};
        }));
        bool unknownBefore = false;
        for (const Symbol& symbol : symbols) {
            const std::string_view text = word.substr(symbol.begin, symbol.length);
            const std::int32_t id = m_vocabulary.idOf(text);
            if (id < 0 && m_settings.byteFallback) {
                for (const char c : text)
                    putByte(static_cast<unsigned char>(c), ids);
            } else if (id >= 0) {
                ids.push_back(id);
            } else if (m_settings.unknown >= 0 && !(unknownBefore && m_settings.fuseUnknown)) {
                ids.push_back(m_settings.unknown);
            }
            unknownBefore = id < 0;
        }
        return {};
    }

    Result<std::vector<std::size_t>> cuts(std::string_view word, const JobContext& context) const override
    {
        return m_seams.in(word, context);
    }

private:
    void putByte(unsigned char byte, std::vector<std::int32_t>& ids) const
    {
        std::int32_t id = m_bytes[byte];
        if (id < 0)
            id = m_vocabulary.idOf(std::string(1, static_cast<char>(byte)));
        if (id < 0)
            id = m_settings.unknown;
        if (id >= 0)
            ids.push_back(id);
    }

    std::vector<Symbol> characters(std::string_view word) const
    {
        std::vector<Symbol> symbols;
        for (std::size_t at = 0; at < word.size();) {
            Symbol symbol;
            symbol.begin = at;
            m_settings.user.prefixes(word.substr(at), [&](std::size_t length, std::int32_t) {
                symbol.length = length;
                symbol.frozen = true;
            });
            if (!symbol.frozen)
                symbol.length = std::min(announcedLength(word[at]), word.size() - at);
            at += symbol.length;
            symbols.push_back(symbol);
        }
        return symbols;
    }

    const Vocabulary& m_vocabulary;
    ScoreBpeSettings m_settings;
    std::array<std::int32_t, 256> m_bytes{};
    Seams m_seams;
};

} // namespace

std::unique_ptr<const TokenModel> makeScoreBpe(const Vocabulary& vocabulary, ScoreBpeSettings settings)
{
    return std::make_unique<ScoreBpe>(vocabulary, std::move(settings));
}

} // namespace ql::tok
