// SPDX-License-Identifier: GPL-3.0-or-later
// Unigram: of all ways to cut a word into pieces, the one whose scores (log-probabilities) sum highest (Viterbi); of
// equal sums the one found first. A character that is no piece is unknown, at ten below the lowest score; unknown
// characters in a row are one. Source: Kudo 2018, SentencePiece's unigram_model.cc, Hugging Face tokenizers. Time:
// O(bytes × longest piece).
#pragma once

#include "core/model/tokenizer/token_model.h"

namespace ql::tok {

struct UnigramPiece {
    std::string_view text; // lives in the vocabulary
    std::int32_t id = -1;
    double score = 0;
    bool user = false; // scored by its length, above all learnt pieces: length in bytes × highest score − 0.1
};

struct UnigramSettings {
    std::int32_t unknown = -1;    // -1: unknown text is an error
    bool byteFallback = false;    // unknown text as pieces <0x00>…, where all are there
    bool singlePrecision = false; // sums in float, as SentencePiece; tokenizers sums in double
    double lowestScore = 0;
    double highestScore = 0;
};

std::unique_ptr<const TokenModel> makeUnigram(const Vocabulary& vocabulary, std::vector<UnigramPiece> pieces,
                                              UnigramSettings settings, std::string where);

} // namespace ql::tok
