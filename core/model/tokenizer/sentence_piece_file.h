// SPDX-License-Identifier: GPL-3.0-or-later
// What is in a tokenizer.model of SentencePiece. Source: sentencepiece_model.proto of google/sentencepiece (0.2), whose
// defaults are the values here.
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ql::tok {

/// GGUF took these numbers over.
enum class PieceKind : std::int32_t { normal = 1, unknown, control, userDefined, unused, byte };
enum class SentencePieceModel : std::int32_t { unigram = 1, bpe, word, character };

struct SentencePiece {
    std::string text;
    float score = 0;
    PieceKind kind = PieceKind::normal;
};

struct SentencePieceFile {
    std::vector<SentencePiece> pieces; // by id, at least one
    SentencePieceModel model = SentencePieceModel::unigram;
    bool byteFallback = false;
    bool blankIsSuffix = false;
    bool addDummyPrefix = true;
    bool removeExtraBlanks = true;
    bool escapeBlanks = true;
    std::string charsMap;                             // replacements of characters, precompiled
    std::string unknownSurface = " \u2047 ";          // what the unknown piece decodes to
    std::int64_t unk = 0, bos = 1, eos = 2, pad = -1; // ids; -1: none
};

/// An error if the bytes are no such message, or name a kind that does not exist. Thread-safe.
Result<SentencePieceFile> readSentencePieceFile(std::span<const std::byte> bytes, const std::string& where);

} // namespace ql::tok
