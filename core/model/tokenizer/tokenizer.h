// SPDX-License-Identifier: GPL-3.0-or-later
// Text to token ids and back. A tokenizer is read from a model's own files and follows the program that those come
// from: ids of tokenizer.json and vocab.txt are those of Hugging Face tokenizers, of tokenizer.model those of
// SentencePiece, of GGUF metadata those of llama.cpp; core/decisions/tokenizers.md lists where these differ from each
// other and from here. What a file asks for and is not known here is an error that names it.
//
// Truncation and padding that a tokenizer.json asks for are left out: whoever cuts windows does that.
#pragma once

#include "core/checkpoint/checkpoint.h"
#include "core/jobs/job_context.h"

#include <memory>
#include <optional>

namespace ql {

namespace tok {
struct Pipeline;
}

struct EncodeOptions {
    /// Adds what the tokenizer puts before and behind a text: BOS, EOS, [CLS], [SEP].
    bool addSpecial = false;
    /// Finds special tokens written out in the text ("<|im_end|>"); otherwise they are text like any other.
    bool parseSpecial = true;
};

struct Encoded {
    std::vector<std::int64_t> ids;
    /// Bytes that are no UTF-8 and were read as U+FFFD.
    std::vector<Warning> warnings;
};

/// Immutable; every function may be called from several threads at once.
class Tokenizer {
public:
    explicit Tokenizer(std::unique_ptr<const tok::Pipeline> pipeline);
    ~Tokenizer();

    /// The ids of a text: equal for any thread count. Time grows with the text, but for words of unusual length n (a
    /// run of letters without a blank) as n log n. Stops between steps of some 50 ms; at most 1 GiB.
    Result<Encoded> encode(std::string_view text, const EncodeOptions& options, const JobContext& context) const;
    /// The text of ids, valid UTF-8: what is incomplete becomes U+FFFD. Ids outside the vocabulary are left out.
    std::string decode(std::span<const std::int64_t> ids, bool skipSpecial = false) const;

    /// The text of an id as the vocabulary has it ("Ġthe", "▁the", "##ing"); empty for an id that is not there.
    std::string_view piece(std::int64_t id) const;
    /// The id of such a text.
    std::optional<std::int64_t> idOf(std::string_view piece) const;
    /// The highest id, plus one: rows an embedding needs.
    std::int64_t vocabularySize() const;

    std::optional<std::int64_t> bosId() const;
    std::optional<std::int64_t> eosId() const;
    std::optional<std::int64_t> unknownId() const;
    std::optional<std::int64_t> padId() const;
    /// What addSpecial puts before and behind every text.
    std::span<const std::int64_t> prefixIds() const;
    std::span<const std::int64_t> suffixIds() const;
    bool addsBos() const;
    bool addsEos() const;

    /// "Byte pair encoding (tokenizer.json)".
    const std::string& title() const;
    /// The file it was read from.
    const std::filesystem::path& path() const;
    /// What is odd about the files.
    std::span<const Warning> warnings() const;

private:
    std::unique_ptr<const tok::Pipeline> m_pipeline;
};

/// Text of ids that come one by one: what is complete is given out, an unfinished character waits for the next ids.
class TextStream {
public:
    explicit TextStream(std::shared_ptr<const Tokenizer> tokenizer, bool skipSpecial = false)
        : m_tokenizer(std::move(tokenizer)), m_skipSpecial(skipSpecial)
    {}
    /// The text that this id completes; the texts of all calls and of finish() together are decode() of all ids, but
    /// for what a decoder would change at a text's end.
    std::string push(std::int64_t id);
    /// What is left at the end, with U+FFFD for what stays unfinished.
    std::string finish();

private:
    std::shared_ptr<const Tokenizer> m_tokenizer;
    bool m_skipSpecial;
    std::vector<std::int64_t> m_ids; // the last ones given out, for their context, and the waiting ones
    std::size_t m_given = 0;         // of m_ids
};

/// The tokenizer of a checkpoint: in its GGUF metadata, or beside its weights in tokenizer.json, tokenizer.model or
/// vocab.txt, the first that is there; with tokenizer_config.json and special_tokens_map.json.
Result<std::shared_ptr<const Tokenizer>> openTokenizer(const Checkpoint& checkpoint, const JobContext& context);
/// The same from a path: a folder, a GGUF file, or one of those files.
Result<std::shared_ptr<const Tokenizer>> openTokenizer(const std::filesystem::path& path, const JobContext& context);

} // namespace ql
