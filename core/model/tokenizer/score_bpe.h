// SPDX-License-Identifier: GPL-3.0-or-later
// Byte pair encoding by scores: two neighbours merge if together they are a piece, and the piece with the highest score
// is made first. Source: SentencePiece's bpe_model.cc, llama.cpp's SPM.
#pragma once

#include "core/model/tokenizer/token_model.h"
#include "core/model/tokenizer/trie.h"

namespace ql::tok {

struct ScoreBpeSettings {
    std::vector<float> scores; // of each id
    std::vector<bool> merges;  // of each id: whether merging may make it; empty: any piece
    std::int32_t unknown = -1; // where nothing else fits; -1: left out
    bool fuseUnknown = false;  // unknown characters in a row are one
    bool byteFallback = true;  // a character without a piece as pieces <0x00>…
    Trie user;                 // pieces taken whole before merging: ids
};

std::unique_ptr<const TokenModel> makeScoreBpe(const Vocabulary& vocabulary, ScoreBpeSettings settings);

} // namespace ql::tok
