// SPDX-License-Identifier: GPL-3.0-or-later
// llama.cpp's importance matrix: of every tensor the squares of its inputs, summed per channel over the tokens of a
// text. That is the diagonal of XᵀX; nothing else is known. Two forms of file, told apart by content:
//   GGUF  general.type "imatrix", imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size; for each tensor
//   NAME.in_sum2
//         [matrices, in] = Σ x² and NAME.counts [matrices, 1] = tokens, both F32; experts of a stack have a count each
//   old   i32 entries, then {i32 length, name, i32 chunks, i32 values, f32 mean(x²)·chunks}; optionally i32 chunks, i32
//         length, name of the text. How many tokens a chunk has is not said.
// Sources: llama.cpp, tools/imatrix/imatrix.cpp, common/imatrix-loader.cpp.
#pragma once

#include "core/jobs/job_context.h"

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace ql {

struct ImatrixEntry {
    std::string name;           // the tensor's in GGUF files
    std::vector<float> sums;    // [matrices, in] Σ x²; of the old form as many times the mean as counts say
    std::vector<double> counts; // tokens (old form: chunks) behind them; one for all matrices or one for each
};

struct Imatrix {
    std::vector<ImatrixEntry> entries; // names unique
    std::vector<std::string> datasets;
    std::int64_t chunkCount = 0;
    std::int64_t chunkSize = 0; // tokens in a chunk; 0: an old file, which does not say
};

enum class ImatrixForm { gguf, old };

/// Whether a file that begins so may be one, in either form.
bool looksLikeImatrix(std::span<const std::byte> head);

/// Errors name the file and the entry: cut short, counts or sums that are none, sizes that do not fit each other.
Result<Imatrix> readImatrix(const std::filesystem::path& path, const JobContext& context);

/// Entries in the order of names, as llama.cpp writes them; chunkSize is 1 or more. Counts of 0 (experts that no token
/// went to) become ones in the old form, as there.
Result<void> writeImatrix(const Imatrix& imatrix, ImatrixForm form, const std::filesystem::path& path);

} // namespace ql
