// SPDX-License-Identifier: GPL-3.0-or-later
// What is measured at every scored token, and the figures made of it: perplexity of a model, and how another version of
// it (a plan) differs. Definitions are llama-perplexity's. Logarithms are natural; sums are in double.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ql {

/// At one token: p is the model's probability of the token that follows, q the other version's.
struct TokenScore {
    double nll = 0;      // −ln p
    double otherNll = 0; // −ln q
    double kld = 0;      // Σ over the vocabulary of p·(ln p − ln q), nats
    bool sameTop = true; // whether both hold the same token for the most likely
};

/// A value and the standard error of its mean: over tokens, as llama-perplexity states it, and over windows, which is
/// the wider and the safer one as tokens of one window are not independent.
struct Estimate {
    double value = 0;
    double tokenError = 0;
    double windowError = 0;
};

struct PerplexityScore {
    std::int64_t windows = 0;
    std::int64_t tokens = 0; // scored
    Estimate perplexity;     // exp(mean NLL)
};

/// Of another version against the model; errors of differences are paired.
struct ComparisonScore {
    Estimate perplexity;            // of the other version
    Estimate lnRatio;               // ln(other perplexity / perplexity)
    Estimate kld;                   // mean, nats per token
    std::vector<double> windowKlds; // its mean in each window
    double medianKld = 0, kld99 = 0, kld999 = 0, maxKld = 0;
    Estimate sameTop;    // share of tokens, 0…1
    Estimate meanDeltaP; // mean of q − p
    Estimate rmsDeltaP;  // √ of the mean of (q − p)²
};

/// Scores in order, the same number in every window.
PerplexityScore perplexityOf(const std::vector<TokenScore>& scores, std::int64_t windows);
ComparisonScore comparisonOf(const std::vector<TokenScore>& scores, std::int64_t windows);

/// Linear interpolation between order statistics of a sorted array, as NumPy's default.
double percentile(const std::vector<double>& sorted, double fraction);

} // namespace ql
