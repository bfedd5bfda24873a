// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/word_piece.h"

#include "core/model/tokenizer/unicode_text.h"

namespace ql::tok {

namespace {

class WordPiece final : public TokenModel {
public:
    WordPiece(const Vocabulary& vocabulary, WordPieceSettings settings)
        : m_vocabulary(vocabulary), m_settings(std::move(settings))
    {}
    Result<void> encode(std::string_view word, std::vector<std::int32_t>& ids, const JobContext& context) const override
    {
        const std::size_t known = ids.size();
        if (m_settings.longestWord == 0 || countCodePoints(word) <= m_settings.longestWord) {
            QL_TRY(matched, match(m_settings.firstPrefix + std::string(word), ids, context));
            if (matched)
                return {};
        }
        ids.resize(known);
        ids.push_back(m_settings.unknown);
        return {};
    }

private:
    Result<bool> match(const std::string& word, std::vector<std::int32_t>& ids, const JobContext& context) const
    {
        std::string piece;
        for (std::size_t start = 0; start < word.size();) {
            if (ids.size() % 1024 == 0)
                QL_CHECK(context.checkStop());
            piece = start > 0 ? m_settings.continuingPrefix : "";
            const std::size_t prefix = piece.size();
            piece.append(word, start, m_vocabulary.longestBytes());
            std::int32_t id = -1;
            for (; piece.size() > prefix; piece.pop_back())
                if ((id = m_vocabulary.idOf(piece)) >= 0)
                    break;
            if (id < 0)
                return false;
            ids.push_back(id);
            start += piece.size() - prefix;
        }
        return true;
    }

    const Vocabulary& m_vocabulary;
    WordPieceSettings m_settings;
};

} // namespace

std::unique_ptr<const TokenModel> makeWordPiece(const Vocabulary& vocabulary, WordPieceSettings settings)
{
    return std::make_unique<WordPiece>(vocabulary, std::move(settings));
}

namespace models {

namespace {

Result<std::unique_ptr<const TokenModel>> make(const Fields& fields, Vocabulary& vocabulary)
{
    QL_CHECK(readVocabulary(fields, vocabulary));
    QL_TRY(unknown, fields.text("unk_token"));
    WordPieceSettings settings;
    settings.unknown = vocabulary.idOf(unknown);
    if (settings.unknown < 0)
        return fields.wrong("names the unknown piece '" + printable(unknown) + "', which is not in its 'vocab'");
    QL_TRY(prefix, fields.text("continuing_subword_prefix"));
    QL_TRY(longest, fields.count("max_input_chars_per_word"));
    settings.continuingPrefix = prefix;
    settings.longestWord = longest;
    return makeWordPiece(vocabulary, std::move(settings));
}

} // namespace

extern const TokenModelKind word_piece;
const TokenModelKind word_piece{"word_piece", "WordPiece", "WordPiece", make};

} // namespace models

} // namespace ql::tok
