// SPDX-License-Identifier: GPL-3.0-or-later
// The vocabulary of a GGUF file as llama.cpp wants it, made from the tokenizer's files in a Hugging Face folder.
#pragma once

#include "core/base/result.h"
#include "core/model/tokenizer/sentence_piece_file.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ql::ggufout {

using TokenKind = tok::PieceKind;

/// Files that are missing or no JSON are null.
struct TokenizerFiles {
    std::filesystem::path folder;
    nlohmann::json tokenizer;       // tokenizer.json
    nlohmann::json tokenizerConfig; // tokenizer_config.json
    nlohmann::json config;          // config.json
    std::string pathOf(const char* name) const { return (folder / name).string(); }
};

struct Token {
    std::string text;
    TokenKind kind = TokenKind::unused;
    float score = 0;
};

struct Vocabulary {
    std::string model;         // tokenizer.ggml.model
    std::string pre;           // tokenizer.ggml.pre
    std::vector<Token> tokens; // by number, as many as the embedding has rows
    std::map<std::string, std::int64_t, std::less<>> ids;
    std::vector<std::string> merges;              // of gpt2; the model llama has scores
    std::optional<bool> spacePrefix;              // whether a blank is put in front
    std::map<std::string, std::int64_t> specials; // "bos", "eos", "unk", "pad" where the tokenizer itself says them

    bool hasScores() const { return model == "llama"; }
    /// Refused if there is no such row; `where` names the file.
    Result<void> place(Token token, std::int64_t id, const std::string& where);
    /// The same for a vocabulary or added_tokens.json, text → number.
    Result<void> placeAll(const nlohmann::json& numbers, TokenKind kind, float score, const std::string& where);
    /// What was added later: added_tokens.json, and added tokens of tokenizer.json and tokenizer_config.json.
    Result<void> placeAdded(const TokenizerFiles& files);
    /// Refused unless every byte has its token, <0x00> … <0xFF>: llama.cpp ends where it needs one that is not there.
    Result<void> checkBytes(const std::string& where) const;
    /// Names the rows nothing was placed in.
    void fillUnused();
};

/// tokenizer.json of a BPE over bytes (GPT-2, Llama 3). `pre` follows from the structure of the pre-tokenizer,
/// "default" where none is known (llama.cpp then warns when it loads the file).
Result<Vocabulary> byteLevelVocabulary(const TokenizerFiles& files, std::int64_t tokenCount);

// llama.cpp's model "llama" merges the neighbours whose joined text has the highest score, leftmost first, and spells
// what is left in bytes. The next two refuse by name what it would cut otherwise than the tokenizer does.

/// tokenizer.model, a SentencePiece BPE.
Result<Vocabulary> sentencePieceVocabulary(const TokenizerFiles& files, std::int64_t tokenCount);

/// tokenizer.json of a BPE over characters with bytes to fall back on (made from a SentencePiece BPE, as Llama 2's):
/// scores are the order of its merges, which has to be an order of joined texts, with every way to join one.
Result<Vocabulary> byteFallbackVocabulary(const TokenizerFiles& files, std::int64_t tokenCount);

// Reading JSON that may be anything.
nlohmann::json readJson(const std::filesystem::path& path);
const nlohmann::json& member(const nlohmann::json& object, std::string_view key); // null if there is none
std::string textOf(const nlohmann::json& object, std::string_view key);           // empty if it is no text
bool isTrue(const nlohmann::json& object, std::string_view key);
/// The parts of a {"type": "Sequence"} under that key; otherwise the value itself, if it is an object.
std::vector<nlohmann::json> stepsOf(const nlohmann::json& value, std::string_view key);
/// Merges of a BPE model, as "left right" or ["left", "right"].
Result<std::vector<std::pair<std::string, std::string>>> mergesOf(const nlohmann::json& model,
                                                                  const std::string& where);

} // namespace ql::ggufout
