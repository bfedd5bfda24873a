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

struct TextTokens {
    std::vector<std::int64_t> ids;
    /// What every window begins with where the tokenizer puts a BOS before every text, as llama-perplexity does.
    std::optional<std::int64_t> bos;
    std::vector<Warning> warnings;

    Result<Windows> windows(std::int64_t length, std::int64_t limit) const
    {
        return cutWindows(ids, length, limit, bos);
    }
};

Result<TextTokens> readTokens(const Model& model, const TextSource& source, const JobContext& context);

} // namespace ql
