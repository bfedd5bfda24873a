// SPDX-License-Identifier: GPL-3.0-or-later
// Decoders: what makes text of tokens. Each is a function over the tokens' texts; in the end they are joined. Source:
// the components of Hugging Face tokenizers 0.23 of the same names.
#pragma once

#include "core/base/result.h"

#include <nlohmann/json_fwd.hpp>

#include <functional>

namespace ql::tok {

/// Immutable and thread-safe.
using DecoderStep = std::function<void(std::vector<std::string>&)>;

/// The steps of tokenizer.json's "decoder" in order. `where` is named in errors. What is not known is refused by its
/// type.
Result<std::vector<DecoderStep>> makeDecoder(const nlohmann::json& component, const std::string& where);

} // namespace ql::tok
