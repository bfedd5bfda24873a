// SPDX-License-Identifier: GPL-3.0-or-later
// The key=value options of quantizers: what there is, checked and read in one place.
#pragma once

#include "core/quantizers/quantizer.h"

namespace ql {

/// Quantizer::options of one that takes no bare words.
std::vector<std::string> noWords();

/// An error of kind usage for a bare word beside those in quantizer.options(), an unknown key, a value that is no
/// number, no such word or out of bounds.
Result<void> checkOptions(const Quantizer& quantizer, const QuantizerSpec& spec);

/// The value of a checked option, or its fallback.
double optionNumber(const Quantizer& quantizer, const QuantizerSpec& spec, std::string_view key);
std::int64_t optionWhole(const Quantizer& quantizer, const QuantizerSpec& spec, std::string_view key);
std::string_view optionWord(const Quantizer& quantizer, const QuantizerSpec& spec, std::string_view key);

/// "steps=1…1000", "order=natural|act|groups".
std::string printOption(const QuantizerOption& option);

} // namespace ql
