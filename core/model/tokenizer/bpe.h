// SPDX-License-Identifier: GPL-3.0-or-later
// Byte pair encoding by a list of merges: the pair that stands first in the list merges first. Source: Sennrich et al.
// 2016, Hugging Face tokenizers, llama.cpp.
#pragma once

#include "core/model/tokenizer/token_model.h"

namespace ql::tok {

struct BpeSettings {
    std::int32_t unknown = -1;       // -1: what has no piece is left out
    bool fuseUnknown = false;        // unknown characters in a row are one
    bool byteFallback = false;       // a character without a piece as pieces <0x00>…, where all are there
    bool wholeWordsFirst = false;    // a word that is a piece is that piece, whatever merges say
    bool piecesMayBeMissing = false; // merges may make what is no piece (GGUF); it is then left out
    std::string continuingPrefix;    // before every character but the first
    std::string endSuffix;           // behind the last
};

using Merges = std::vector<std::pair<std::string, std::string>>;

Result<std::unique_ptr<const TokenModel>> makeBpe(const Vocabulary& vocabulary, const Merges& merges,
                                                  BpeSettings settings, const std::string& where);

} // namespace ql::tok
