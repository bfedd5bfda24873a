// SPDX-License-Identifier: GPL-3.0-or-later
// WordPiece: the longest piece that the rest of the word starts with, again and again; a word with a rest that no piece
// starts is unknown as a whole. Source: BERT (Devlin et al. 2018), Hugging Face tokenizers, llama.cpp's WPM.
#pragma once

#include "core/model/tokenizer/token_model.h"

namespace ql::tok {

struct WordPieceSettings {
    std::string firstPrefix;      // before the word: "" or, in GGUF files, "▁"
    std::string continuingPrefix; // before every later piece: "##" or, in GGUF files, ""
    std::int32_t unknown = -1;
    std::int64_t longestWord = 0; // characters; a longer word is unknown. 0: no limit
};

std::unique_ptr<const TokenModel> makeWordPiece(const Vocabulary& vocabulary, WordPieceSettings settings);

} // namespace ql::tok
