// SPDX-License-Identifier: GPL-3.0-or-later
// A token model: what makes ids of one word. Kinds are listed in tokenizers.def; one line and one file add one.
#pragma once

#include "core/model/tokenizer/json_fields.h"
#include "core/model/tokenizer/vocabulary.h"
#include "core/model/tokenizer/words.h"

#include <memory>
#include <span>

namespace ql::tok {

/// Immutable and thread-safe.
class TokenModel {
public:
    virtual ~TokenModel() = default;
    /// Appends the ids of a word, which is not empty. Equal words have equal ids, so callers may remember them.
    virtual Result<void> encode(std::string_view word, std::vector<std::int32_t>& ids,
                                const JobContext& context) const = 0;
    /// Where a long word may be cut without changing its ids; ascending offsets. By default nowhere.
    virtual Result<std::vector<std::size_t>> cuts(std::string_view, const JobContext&) const
    {
        return std::vector<std::size_t>();
    }
};

struct TokenModelKind {
    std::string_view id;    // "bpe"
    std::string_view title; // for people
    std::string_view type;  // tokenizer.json's model.type: "BPE"
    /// From tokenizer.json's "model"; fills the vocabulary, which outlives the model.
    Result<std::unique_ptr<const TokenModel>> (*make)(const Fields& fields, Vocabulary& vocabulary);
};
std::span<const TokenModelKind* const> allTokenModels();

/// Fills the vocabulary from {"piece": id, …}.
Result<void> readVocabulary(const Fields& fields, Vocabulary& vocabulary);

} // namespace ql::tok
