// SPDX-License-Identifier: GPL-3.0-or-later
// What a layer may become: scheme[+a:activation scheme][@quantizer], e.g. int4:g128@mse, gguf:q4_0@rtn:ggml, bf16,
// keep, int8:channel+a:int8:token. "@rtn" is omitted when printed.
#pragma once

#include "core/formats/activation_scheme.h"
#include "core/quantizers/quantizer.h"

#include <optional>

namespace ql {

struct Candidate {
    Scheme weights;
    std::optional<ActivationScheme> activations;
    QuantizerSpec quantizer;
    friend bool operator==(const Candidate&, const Candidate&) = default;
};

Result<Candidate> parseCandidate(std::string_view text);
std::string printCandidate(const Candidate& candidate);
/// Parses "a,b,c" (or words separated by blanks); an error names the first bad one.
Result<std::vector<Candidate>> parseCandidates(std::string_view text);

} // namespace ql
