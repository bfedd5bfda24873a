// SPDX-License-Identifier: GPL-3.0-or-later
// Where the tokens of an evaluation or calibration come from: a text that the model's own tokenizer reads, or ids made
// by another program.
#pragma once

#include "core/jobs/job_context.h"
#include "core/model/evaluation/windows.h"
#include "core/model/model.h"

namespace ql {

constexpr std::int64_t kLargestText = std::int64_t{1} << 30U; // bytes

struct TextSource {
    std::filesystem::path text;   // a text file, at most kLargestText
    std::filesystem::path tokens; // or ids: an array in a .npy or .npz file, else numbers in a text file
};

/// Who reads a text. A causal language model reads it from one end to the other; every window of an encoder's is a text
/// by itself, with what the tokenizer puts around one ([CLS] … [SEP]).
enum class TextReader { languageModel, encoder };

/// Stands for tokens that are hidden from a masked language model.
struct MaskToken {
    std::int64_t id = 0;
    std::vector<std::int64_t> kept; // what is never hidden: [CLS], [SEP]
};

struct TextTokens {
    std::string name;              // of the file
    std::vector<std::int64_t> ids; // of its content
    /// What every window begins with where the tokenizer puts a BOS before every text, as llama-perplexity does.
    std::optional<std::int64_t> bos;
    std::vector<std::int64_t> prefix, suffix; // around the content of every window; none around ids
    std::optional<MaskToken> mask;            // of an encoder, where its tokenizer is there and has one
    std::vector<Warning> warnings;

    /// How many windows of that length windows() makes; 0: it is an error.
    std::int64_t windowCount(std::int64_t length, std::int64_t limit) const;
    /// The first `limit` (0: all) whole windows, `length` tokens with what is around them. Errors name the text.
    Result<Windows> windows(std::int64_t length, std::int64_t limit) const;

private:
    std::int64_t perWindow(std::int64_t length) const { return length - std::ssize(prefix) - std::ssize(suffix); }
};

/// Ids are taken as they are, whoever reads them.
Result<TextTokens> readTokens(const Model& model, const TextSource& source, const JobContext& context,
                              TextReader reader = TextReader::languageModel);

} // namespace ql
