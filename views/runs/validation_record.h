// SPDX-License-Identifier: GPL-3.0-or-later
// One validation of a plan against the model: what was compared, on what, and what was measured: of a causal language
// model window by window, of any other how far its outputs are apart. A study keeps the list of them as JSON.
#pragma once

#include "core/model/evaluation/outputs.h"
#include "core/model/evaluation/scores.h"

#include <QByteArray>
#include <QDateTime>
#include <QString>

#include <optional>
#include <variant>
#include <vector>

namespace ql::views {

/// A value with its standard error over windows.
struct Measured {
    double value = 0;
    double error = 0;
};

/// After that many windows.
struct ValidationPoint {
    std::int64_t windows = 0;
    Measured perplexity;     // of the model
    Measured planPerplexity; // of the plan
    Measured kld;            // mean, nats per token
    Measured sameTop;        // share of tokens, 0…1
    double medianKld = 0, kld999 = 0;
};
/// Scores of `windows` windows, the same number in each.
ValidationPoint pointOf(const std::vector<TokenScore>& scores, std::int64_t windows);

/// After that many windows or cases; "other" is the plan.
struct OutputsPoint {
    std::int64_t cases = 0;
    OutputsScore score;
    bool hasAnswers() const { return score.model.count > 0; }
    /// The output that stands for all: logits, else the embedding, else the first.
    const OutputScore& leading() const;
    /// Whether score.sameTop says something.
    bool hasLogits() const { return leading().name == "logits"; }
};

using ValidationStep = std::variant<ValidationPoint, OutputsPoint>;

struct ValidationRecord {
    QDateTime time;
    QString plan;     // its candidates in short: "int4:g64 ×84, keep ×2"
    QString planJson; // the whole plan
    QString variant;  // transforms of the model it is for; empty: as stored
    double bitsPerWeight = 0;
    std::int64_t fileBytes = 0;               // of the target's files; 0: not known
    double predictedLoss = 0;                 // NaN where not all was measured
    QString metric;                           // of the prediction, its id
    QString source;                           // path
    std::int64_t length = 0;                  // tokens in a window; 0: the cases are arrays or pictures
    QString runtime;                          // whose rounding of activations the plan had; empty: none
    std::vector<ValidationPoint> points;      // of a causal language model
    std::optional<OutputsPoint> outputs = {}; // of any other
    const ValidationPoint& last() const { return points.back(); }
    bool isEmpty() const { return points.empty() && !outputs; }
    /// Windows or cases that were measured.
    std::int64_t count() const { return outputs ? outputs->cases : last().windows; }
    void add(const ValidationStep& step);
};

QByteArray printRecords(const std::vector<ValidationRecord>& records);
/// Records that are not whole are left out.
std::vector<ValidationRecord> parseRecords(const QByteArray& json);

} // namespace ql::views
