// SPDX-License-Identifier: GPL-3.0-or-later
// SentencePiece's precompiled character map: a double-array trie (darts-clone) from byte sequences to replacements.
// Layout: u32 bytes of the trie, u32 units, replacements as texts that end in 0. Immutable and thread-safe; indices are
// checked at every step, so a damaged map replaces less and reads nothing outside.
#pragma once

#include "core/base/result.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ql::tok {

class CharsMap {
public:
    /// From base64 as in tokenizer.json.
    static Result<CharsMap> decode(std::string_view base64, const std::string& where);
    /// From the bytes as in tokenizer.model. Empty bytes are the empty map.
    static Result<CharsMap> read(std::string_view bytes, const std::string& where);

    struct Replaced {
        std::string_view by;
        std::size_t length = 0; // bytes of the text that it stands for
    };
    /// The longest sequence of the map that the text starts with.
    std::optional<Replaced> longest(std::string_view text) const { return find(text, false); }
    /// As Hugging Face's Precompiled: every grapheme cluster below six bytes, else every character, is replaced whole
    /// by what the map has for the shortest sequence that it starts with.
    std::string normalizeGraphemes(std::string_view text) const;

private:
    std::optional<Replaced> find(std::string_view text, bool shortest) const;
    std::vector<std::uint32_t> m_units;
    std::string m_replacements;
};

} // namespace ql::tok
