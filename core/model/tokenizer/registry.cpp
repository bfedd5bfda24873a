// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/token_model.h"

namespace ql::tok {

namespace models {
#define TOKENIZER(id) extern const TokenModelKind id;
#include "core/model/tokenizer/tokenizers.def"
#undef TOKENIZER
} // namespace models

std::span<const TokenModelKind* const> allTokenModels()
{
    static constexpr const TokenModelKind* kAll[] = {
#define TOKENIZER(id) &models::id,
#include "core/model/tokenizer/tokenizers.def"
#undef TOKENIZER
    };
    return kAll;
}

Result<void> readVocabulary(const Fields& fields, Vocabulary& vocabulary)
{
    const Json& pieces = fields["vocab"];
    if (!pieces.is_object())
        return fields.wrong("needs a 'vocab' of pieces and their numbers");
    for (const auto& [piece, id] : pieces.items()) {
        if (!id.is_number_integer())
            return fields.wrong("gives the piece '" + printable(piece.substr(0, 100)) + "' no whole number");
        QL_CHECK(vocabulary.add(piece, id.get<std::int64_t>(), fields.where()));
    }
    return {};
}

} // namespace ql::tok
