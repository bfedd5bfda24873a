// SPDX-License-Identifier: GPL-3.0-or-later
// Normalizers: what rewrites text before it is cut. Each is a function over the words of a text; tokens stay as they
// are. Source: the components of Hugging Face tokenizers 0.23 of the same names.
#pragma once

#include "core/model/tokenizer/words.h"

#include <nlohmann/json_fwd.hpp>

#include <functional>

namespace ql::tok {

/// Immutable and thread-safe.
using Normalizer = std::function<Result<void>(Words&, const JobContext&)>;

/// The normalizers of tokenizer.json's "normalizer" in order. `where` is named in errors. What is not known is refused
/// by its type.
Result<std::vector<Normalizer>> makeNormalizers(const nlohmann::json& component, const std::string& where);

} // namespace ql::tok
