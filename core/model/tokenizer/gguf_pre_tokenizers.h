// SPDX-License-Identifier: GPL-3.0-or-later
// What tokenizer.ggml.pre of a GGUF file stands for: the patterns that cut text, one after the other.
#pragma once

#include <span>
#include <string_view>

namespace ql::tok {

struct GgufPreTokenizer {
    std::span<const std::string_view> names;
    std::span<const char* const> patterns;
    bool wholeWordsFirst = false;
    bool addsBos = false; // unless the file says otherwise
};

/// Null for a name that is not known.
const GgufPreTokenizer* findGgufPreTokenizer(std::string_view name);

} // namespace ql::tok
