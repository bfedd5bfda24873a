// SPDX-License-Identifier: GPL-3.0-or-later
// A scheme for the inputs X[tokens, in] of a layer, or for keys and values: element[:share][:static][…] with the other
// parts of a scheme, e.g. int8, int8:token, int8:tensor:static, fp8_e4m3:channel:static, mxfp4, gguf:q8_0. Who shares a
// scale:
//   token    (default) each row, from its own values
//   g<n>     groups of n along a row
//   channel  a column of a sequence, or of the calibration (static)
//   tensor   a sequence, or all of the calibration (static)
// Static scales come from calibrated ranges and are the same for any input; a token has none in advance. Printing omits
// the default and parses back to the same scheme.
#pragma once

#include "core/formats/scheme.h"

namespace ql {

struct ActivationScheme {
    Scheme scheme;         // of X as a matrix: its Granularity::channel is a row, a token
    bool byColumn = false; // "channel"; the scheme's granularity is not looked at
    bool isStatic = false;
    friend bool operator==(const ActivationScheme&, const ActivationScheme&) = default;
};

/// keep is refused: there is nothing to do then.
Result<ActivationScheme> parseActivationScheme(std::string_view text);
std::string printActivationScheme(const ActivationScheme& scheme);

} // namespace ql
