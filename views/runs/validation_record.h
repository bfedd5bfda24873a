// SPDX-License-Identifier: GPL-3.0-or-later
// One validation of a plan against the model: what was compared, on what text, and what was measured window by window.
// A study keeps the list of them as JSON.
#pragma once

#include "core/model/evaluation/scores.h"

#include <QByteArray>
#include <QDateTime>
#include <QString>

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

struct ValidationRecord {
    QDateTime time;
    QString plan;     // its candidates in short: "int4:g64 ×84, keep ×2"
    QString planJson; // the whole plan
    double bitsPerWeight = 0;
    double predictedLoss = 0; // NaN where not all was measured
    QString metric;           // of the prediction, its id
    QString text;             // path
    std::int64_t length = 0;  // tokens in a window
    QString runtime;          // whose rounding of activations the plan had; empty: none
    std::vector<ValidationPoint> points;
    const ValidationPoint& last() const { return points.back(); }
};

QByteArray printRecords(const std::vector<ValidationRecord>& records);
/// Records that are not whole are left out.
std::vector<ValidationRecord> parseRecords(const QByteArray& json);

} // namespace ql::views
