// SPDX-License-Identifier: GPL-3.0-or-later
// Pre-tokenizers: what cuts normalized text into words, each of which the model then encodes on its own. Each is a
// function over the words of a text; tokens stay as they are. Source: the components of Hugging Face tokenizers 0.23 of
// the same names.
#pragma once

#include "core/model/tokenizer/words.h"

#include <nlohmann/json_fwd.hpp>

#include <functional>

namespace ql::tok {

/// Immutable and thread-safe.
using PreTokenizer = std::function<Result<void>(Words&, const JobContext&)>;

/// The pre-tokenizers of tokenizer.json's "pre_tokenizer" in order. `where` is named in errors. What is not known is
/// refused by its type.
Result<std::vector<PreTokenizer>> makePreTokenizers(const nlohmann::json& component, const std::string& where);

/// GPT-2's pattern, which ByteLevel cuts by.
extern const char* const kGpt2Pattern;

} // namespace ql::tok
