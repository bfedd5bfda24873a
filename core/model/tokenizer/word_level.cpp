// SPDX-License-Identifier: GPL-3.0-or-later
// WordLevel: a word is a piece or unknown.
#include "core/model/tokenizer/token_model.h"

namespace ql::tok::models {

namespace {

class WordLevel final : public TokenModel {
public:
    WordLevel(const Vocabulary& vocabulary, std::int32_t unknown) : m_vocabulary(vocabulary), m_unknown(unknown) {}
    Result<void> encode(std::string_view word, std::vector<std::int32_t>& ids, const JobContext&) const override
    {
        const std::int32_t id = m_vocabulary.idOf(word);
        ids.push_back(id >= 0 ? id : m_unknown);
        return {};
    }

private:
    const Vocabulary& m_vocabulary;
    std::int32_t m_unknown;
};

Result<std::unique_ptr<const TokenModel>> make(const Fields& fields, Vocabulary& vocabulary)
{
    QL_CHECK(readVocabulary(fields, vocabulary));
    QL_TRY(unknown, fields.text("unk_token"));
    if (vocabulary.idOf(unknown) < 0)
        return fields.wrong("names the unknown piece '" + printable(unknown) + "', which is not in its 'vocab'");
    return std::unique_ptr<const TokenModel>(std::make_unique<WordLevel>(vocabulary, vocabulary.idOf(unknown)));
}

} // namespace

extern const TokenModelKind word_level;
const TokenModelKind word_level{"word_level", "Whole words", "WordLevel", make};

} // namespace ql::tok::models
