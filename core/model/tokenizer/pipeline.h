// SPDX-License-Identifier: GPL-3.0-or-later
// What a tokenizer is made of, in the order of work. Readers fill it.
#pragma once

#include "core/model/tokenizer/added_tokens.h"
#include "core/model/tokenizer/decoder.h"
#include "core/model/tokenizer/normalizer.h"
#include "core/model/tokenizer/pre_tokenizer.h"
#include "core/model/tokenizer/token_model.h"

#include <filesystem>
#include <unordered_set>

namespace ql::tok {

/// Who turns bytes that are no UTF-8 into U+FFFD.
enum class InvalidBytes {
    repaired,      // the pipeline, before all else
    likeLlama,     // the pipeline, as llama.cpp, after added tokens are cut out
    leftToTheModel // nobody: bytes are pieces
};

struct Pipeline {
    std::string title;
    std::filesystem::path path;
    Vocabulary vocabulary;
    InvalidBytes invalidBytes = InvalidBytes::repaired;
    AddedTokens rawTokens; // looked for in the text as it is
    std::vector<Normalizer> normalizers;
    AddedTokens normalizedTokens; // looked for in normalized text
    std::vector<PreTokenizer> preTokenizers;
    std::unique_ptr<const TokenModel> model;
    std::vector<std::int64_t> prefix; // put around the ids if asked for
    std::vector<std::int64_t> suffix;
    std::vector<DecoderStep> decoder;
    std::unordered_map<std::int64_t, std::string> decodedAs; // ids whose text for the decoder is not their piece
    std::unordered_set<std::int64_t> specialIds;
    std::optional<std::int64_t> bos;
    std::optional<std::int64_t> eos;
    std::optional<std::int64_t> unknown;
    std::optional<std::int64_t> pad;
    std::vector<Warning> warnings;
};

Result<std::unique_ptr<const Pipeline>> readTokenizerJson(const std::filesystem::path& file);
Result<std::unique_ptr<const Pipeline>> readVocabText(const std::filesystem::path& file);
Result<std::unique_ptr<const Pipeline>> readSentencePiece(const std::filesystem::path& file);
Result<std::unique_ptr<const Pipeline>> readGgufTokenizer(const std::filesystem::path& file, const JobContext& context);

/// The pipeline of a document like tokenizer.json, without special ids.
Result<std::unique_ptr<Pipeline>> pipelineOf(const Json& document, const std::filesystem::path& file);
/// Normalizes the texts of added tokens that want it, and sorts them by where they are looked for.
Result<void> addTokens(Pipeline& pipeline, std::vector<AddedToken> tokens, Overlap overlap);
/// bos, eos, unk and pad by the names in tokenizer_config.json, special_tokens_map.json and by common use.
void readSpecialTokens(Pipeline& pipeline, const std::filesystem::path& folder);

} // namespace ql::tok
