// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/unigram.h"

#include "core/model/tokenizer/trie.h"
#include "core/model/tokenizer/unicode_text.h"

#include <algorithm>
#include <array>
#include <limits>

namespace ql::tok {

namespace {

constexpr double kUnknownPenalty = 10;

class Unigram final : public TokenModel {
public:
    Unigram(const Vocabulary& vocabulary, std::vector<UnigramPiece> pieces, UnigramSettings settings, std::string where)
        : m_pieces(std::move(pieces)), m_settings(settings), m_where(std::move(where))
    {
        std::vector<std::pair<std::string_view, std::int32_t>> entries;
        for (std::size_t i = 0; i < m_pieces.size(); ++i)
            entries.emplace_back(m_pieces[i].text, static_cast<std::int32_t>(i));
        m_trie = Trie(std::move(entries));
        for (unsigned byte = 0; byte < 256; ++byte)
            m_bytes[byte] = vocabulary.idOf(pieceOfByte(static_cast<unsigned char>(byte)));
    }

    Result<void> encode(std::string_view word, std::vector<std::int32_t>& ids, const JobContext& context) const override
    {
        return m_settings.singlePrecision ? encodeAs<float>(word, ids, context) : encodeAs<double>(word, ids, context);
    }

private:
    template<typename Float>
    Result<void> encodeAs(std::string_view word, std::vector<std::int32_t>& ids, const JobContext& context) const
    {
        struct Best { // of all cuts that end here
            Float score = 0;
            std::int64_t from = -1; // where its last piece begins; -1: no cut ends here
            std::int32_t id = -1;
        };
        std::vector<Best> best(word.size() + 1);
        const auto offer = [&](std::size_t from, std::size_t to, std::int32_t id, double sum) {
            const auto score = static_cast<Float>(sum); // rounded before it is compared: equal sums stay equal
            if (best[to].from < 0 || score > best[to].score)
                best[to] = {score, static_cast<std::int64_t>(from), id};
        };
        const Float unknownScore = static_cast<Float>(m_settings.lowestScore) - static_cast<Float>(kUnknownPenalty);
        for (std::size_t at = 0, step = 0; at < word.size(); ++step) {
            if (step % 4096 == 0)
                QL_CHECK(context.checkStop());
            const std::size_t character = std::min(announcedLength(word[at]), word.size() - at);
            const Float here = best[at].score;
            bool single = false;
            m_trie.prefixes(word.substr(at), [&](std::size_t length, std::int32_t index) {
                const UnigramPiece& piece = m_pieces[static_cast<std::size_t>(index)];
                const double score = piece.user ? static_cast<double>(static_cast<Float>(length) *
                                                                      static_cast<Float>(m_settings.highestScore)) -
                                                      0.1
                                                : piece.score;
                offer(at, at + length, piece.id, score + static_cast<double>(here));
                single = single || length == character;
            });
            if (!single) {
                if (m_settings.unknown < 0)
                    return badInput("has no unknown piece, and the text has a character that it has no piece for",
                                    m_where);
                offer(at, at + character, m_settings.unknown, static_cast<double>(unknownScore + here));
            }
            at += character;
        }
        struct Part {
            std::size_t begin;
            std::size_t end;
            std::int32_t id;
        };
        std::vector<Part> parts; // from the last to the first
        for (std::size_t end = word.size(); end > 0;) {
            const auto begin = static_cast<std::size_t>(best[end].from);
            if (best[end].id == m_settings.unknown && !parts.empty() && parts.back().id == m_settings.unknown)
                parts.back().begin = begin;
            else
                parts.push_back({begin, end, best[end].id});
            end = begin;
        }
        for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
            const std::string_view text = word.substr(part->begin, part->end - part->begin);
            const auto hasBytes = [&] {
                return std::ranges::all_of(text, [&](char c) { return m_bytes[static_cast<unsigned char>(c)] >= 0; });
            };
            if (part->id == m_settings.unknown && m_settings.byteFallback && hasBytes()) {
                for (const char c : text)
                    ids.push_back(m_bytes[static_cast<unsigned char>(c)]);
            } else {
                ids.push_back(part->id);
            }
        }
        return {};
    }

    std::vector<UnigramPiece> m_pieces;
    UnigramSettings m_settings;
    std::string m_where;
    Trie m_trie;
    std::array<std::int32_t, 256> m_bytes{};
};

} // namespace

std::unique_ptr<const TokenModel> makeUnigram(const Vocabulary& vocabulary, std::vector<UnigramPiece> pieces,
                                              UnigramSettings settings, std::string where)
{
    return std::make_unique<Unigram>(vocabulary, std::move(pieces), settings, std::move(where));
}

namespace models {

namespace {

Result<std::unique_ptr<const TokenModel>> make(const Fields& fields, Vocabulary& vocabulary)
{
    QL_TRY(list, fields.array("vocab"));
    UnigramSettings settings;
    QL_TRY(fallback, fields.boolean("byte_fallback", false));
    settings.byteFallback = fallback;
    settings.lowestScore = std::numeric_limits<double>::infinity();
    std::vector<UnigramPiece> pieces;
    for (const Json& entry : *list) {
        if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
            return fields.wrong("has an entry of 'vocab' that is no pair of a piece and a score");
        const auto id = static_cast<std::int32_t>(pieces.size());
        QL_CHECK(vocabulary.add(entry[0].get<std::string>(), id, fields.where()));
        pieces.push_back({vocabulary.piece(id), id, entry[1].get<double>(), false});
        settings.lowestScore = std::min(settings.lowestScore, pieces.back().score);
    }
    if (!fields["unk_id"].is_null()) {
        QL_TRY(unknown, fields.count("unk_id"));
        if (unknown >= vocabulary.size())
            return fields.wrong("has an 'unk_id' that is none of its pieces");
        settings.unknown = static_cast<std::int32_t>(unknown);
    }
    for (UnigramPiece& piece : pieces)
        piece.id = vocabulary.idOf(piece.text); // of equal pieces the last
    return makeUnigram(vocabulary, std::move(pieces), settings, fields.where());
}

} // namespace

extern const TokenModelKind unigram;
const TokenModelKind unigram{"unigram", "Unigram (SentencePiece)", "Unigram", make};

} // namespace models

} // namespace ql::tok
