// SPDX-License-Identifier: GPL-3.0-or-later
// A layer's loss as a law of its bits alone, with the coefficient that columns under error feedback have.
#include "core/sensitivity/column_losses.h"

#include <cmath>

namespace ql::metrics {

namespace {
Result<double> measureBaq(const MetricInput& input, const JobContext&)
{
    const double bits = static_cast<double>(input.quantized.payloadBits()) /
                        static_cast<double>(input.quantized.matrix().rows) /
                        static_cast<double>(input.quantized.matrix().cols);
    return input.ofLayer * std::pow(4.0, kReferenceBits - bits);
}
} // namespace

extern const Metric baq;
const Metric baq{
    .id = "baq",
    .title = "Loss by the law of bits",
    .unit = "output²",
    .formula = "c·2^(−2R), R bits a weight, c = 2^(2·3)·Σ_j ℓ_j at 3 bits",
    .source = "Zhang et al., BAQ, 2025, section 3",
    .needs = MetricNeeds::gram,
    .measure = measureBaq,
    .ofLayer = columnLoss,
    .isProxy = true,
    .isSlow = true,
};

} // namespace ql::metrics
