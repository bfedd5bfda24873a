// SPDX-License-Identifier: GPL-3.0-or-later
// Sampled losses made steadier by what a metric predicts and what like layers say. In each group (layers of one role
// under one candidate) the logarithm of sampled ÷ predicted is taken for normal about a mean r of the group:
//   y_i = ln(sampled_i/predicted_i) + v_i/2 = r + δ_i + noise,  δ ~ N(0, τ²),  noise ~ N(0, v_i),
// v_i the relative variance of the sample (its group's mean for one window ÷ its windows: a cell's own would make those
// that came out small seem certain), the term v_i/2 taking back the bias of the logarithm. Given τ, r is the mean of y
// with the weights 1/(v_i + τ²), and
//   ln loss_i ~ N(ln predicted_i + r + B_i·(y_i − r), B_i·v_i + (1 − B_i)²/Σ_j 1/(v_j + τ²)),  B_i = τ²/(v_i + τ²).
// τ is not known either: the result is mean and standard deviation over its posterior, flat before on (0, 2), by 40
// points; r is flat before. A group of layers that the metric ranks well so gets errors far below the sample's, one
// that it does not keeps the sample's. Fewer than eight likes (the embedding, the output head, all roles of a model of
// few blocks) say too little of r by themselves: they go by the wider group that they name, say all layers under the
// candidate, whose τ then is that between roles, too. Where there is none, four likes do. What has fewer, and losses
// that are 0 or have no prediction, stay as they were sampled. Source: Rubin, Estimation in parallel randomized
// experiments, 1981; Gelman, Prior distributions for variance parameters in hierarchical models, 2006, section 2.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ql {

struct SampledLoss {
    std::string group; // of likes
    double loss = 0;
    double standardError = 0;
    std::int64_t windows = 0; // samples behind it
    double predicted = 0;     // NaN: nothing is
    std::string wider = {};   // group to go by where there are fewer than eight likes; empty: none
};

struct PooledLoss {
    double loss = 0;
    double standardError = 0;
};

/// One for each, in order.
std::vector<PooledLoss> poolLosses(std::span<const SampledLoss> losses);

} // namespace ql
