// SPDX-License-Identifier: GPL-3.0-or-later
// What there is to say of an entry of the catalogue: a number format, a scheme, a quantizer, or a candidate made of
// them. The one place for it; the window and `qloupe list … --explain` show it as it is. Thread-safe: no state.
#pragma once

#include "core/formats/payload_parts.h"
#include "core/plan/candidate.h"

namespace ql {

/// One labelled sentence: {"restored", "ŵ = level(q)·s"}.
struct Fact {
    std::string what;
    std::string text;
};

struct StorageLine {
    std::string what; // "scales, one for each group of 64"
    std::int64_t count = 0;
    std::int64_t bitsEach = 0;
    double bitsPerWeight = 0;
};

struct ExplainedOption {
    std::string text; // as it is written: "ct", "steps=1…1000"
    std::string meaning;
    std::string fallback; // the value if it is left out; empty for bare words
};

struct Explanation {
    std::string name; // as it is written
    std::string title;
    std::vector<Fact> facts;          // what is restored, how codes are chosen, sources
    std::vector<float> levels;        // of one code, ascending; empty where a code has none of its own
    Shape shape;                      // that the storage is counted for
    std::vector<StorageLine> storage; // empty where nothing is stored by itself (a quantizer, keep)
    double bitsPerWeight = 0;         // the sum of them
    std::vector<ExplainedOption> options;
};

/// A layer as large models have them, where no other is at hand.
const Shape& usualShape();

Explanation explainFormat(const NumberFormat& format);
Explanation explainScheme(const Scheme& scheme, const Shape& shape = usualShape());
Explanation explainQuantizer(const Quantizer& quantizer);
/// The scheme and the quantizer that fills it.
Result<Explanation> explain(const Candidate& candidate, const Shape& shape = usualShape());

/// "Σx² of each input column, where it is known".
std::string_view describe(InputNeeds needs);

} // namespace ql
