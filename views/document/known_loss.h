// SPDX-License-Identifier: GPL-3.0-or-later
// What is known of the loss of a layer under a candidate: how much, how sure, from what and since when.
#pragma once

#include "core/plan/layer_losses.h"

#include <QString>

#include <cmath>
#include <limits>

namespace ql::views {

class Document;

struct KnownLoss {
    double loss = std::numeric_limits<double>::quiet_NaN(); // in the chosen metric's unit; NaN: not measured
    double standardError = 0;                               // 0: nothing was drawn
    Evidence evidence = Evidence::unmeasured;
    std::int64_t tokens = 0; // that a probe scored
    std::int64_t time = 0;   // when a probe measured it, seconds since 1970 began; 0: not known

    bool isMeasured() const { return !std::isnan(loss); }
};

/// "0.0123 ± 0.0004", "0.0123", "—" where it is not measured.
QString lossNumber(const KnownLoss& loss, int digits = 3);
/// "5 min ago"; empty where it is not known.
QString ageText(const KnownLoss& loss);
/// "0.0123 ± 0.0004 nats per token, probed, 8 192 tokens scored, 5 min ago".
QString lossInWords(const KnownLoss& loss, const QString& unit);
/// What calibration has seen of the layer, of its experts where it has some; empty where that is not known.
QString coverageInWords(const Document& document, std::int64_t layer);

} // namespace ql::views
