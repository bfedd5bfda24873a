// SPDX-License-Identifier: GPL-3.0-or-later
// Continues a prompt token by token with a version of a causal language model. The prompt goes through in one pass;
// then every token does by itself, with the keys, values and states of those before it, in the time it takes to read
// the weights once: those of 16 bits are read as they are stored. Decoded weights stay in memory between tokens if the
// job's memory limit allows, else each segment's are decoded anew for every token, with equal results. Logits agree
// with those of the whole sequence in one pass up to the rounding of float; equal bits for any thread count on one CPU.
#pragma once

#include "core/model/evaluation/sampling.h"
#include "core/model/evaluation/text_tokens.h"
#include "core/model/evaluation/version.h"
#include "core/model/tokenizer/tokenizer.h"

#include <functional>

namespace ql {

struct GeneratedToken {
    std::int64_t id = 0;
    double logProbability = 0; // of the token under the version itself, whatever the temperature; natural logarithm
    std::string text;          // what the token completes; an unfinished character waits for the next one
};

struct GenerationTask {
    const Model& model;
    const graph::Graph& graph; // with inputs[0] tokens and outputs[0] logits
    ModelVersion version;
    std::vector<std::int64_t> prompt; // one token or more
    std::int64_t tokens = 64;         // to add, at most
    std::int64_t contextLength = 0;   // prompt and new tokens, at most; 0: no limit
    Sampling sampling;
    std::vector<std::int64_t> endIds;           // tokens that end a text
    std::shared_ptr<const Tokenizer> tokenizer; // null: ids only
    /// Called with each token as soon as there is one; an error ends the generation.
    std::function<Result<void>(const GeneratedToken& token)> onToken;
};

enum class GenerationEnd { endToken, tokenLimit, contextFull };
std::string_view word(GenerationEnd end);

struct Generation {
    std::vector<GeneratedToken> tokens; // without the prompt, with the one that ended the text
    GenerationEnd end = GenerationEnd::tokenLimit;
    std::string text() const;
};

/// What a generation holds at once, at most: weights as floats if they stay in memory, those of the largest segment if
/// they do not, and keys and values. Estimates, shown before start.
struct GenerationCost {
    std::int64_t weightBytes = 0;
    std::int64_t segmentBytes = 0;
    std::int64_t stateBytes = 0;
};
GenerationCost generationCost(const GenerationTask& task);

/// Whether the graph predicts each token from those before it.
bool isCausalLanguageModel(const graph::Graph& graph);
/// Who reads a text that the graph is given.
TextReader textReaderOf(const graph::Graph& graph);

/// What generate() refuses: models that are no causal language model, numbers that make no sense.
Result<void> checkGeneration(const GenerationTask& task);
Result<Generation> generate(const GenerationTask& task, const JobContext& context);

/// The prompt as the model wants it: the text's ids behind what the tokenizer puts before every text.
Result<Encoded> encodePrompt(const Tokenizer& tokenizer, std::string_view text, const JobContext& context);

/// Tokens that end a text: the tokenizer's EOS and those that config.json names.
std::vector<std::int64_t> endIdsOf(const Checkpoint& checkpoint, const Tokenizer& tokenizer);

} // namespace ql
