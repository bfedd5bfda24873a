// SPDX-License-Identifier: GPL-3.0-or-later
// The factors s_j of channels by the rules of several methods: activations become x_j/s_j, weights w_j·s_j.
#pragma once

#include <cstdint>
#include <vector>

namespace ql {

/// SmoothQuant: max(x_j, 1e-5)^α / max(w_j, 1e-5)^(1−α), at least 1e-5; 1 where the channel is always 0. x and w are
/// the largest magnitudes of inputs and of weights.
std::vector<double> smoothingFactors(const std::vector<double>& x, const std::vector<double>& w, double alpha);

/// max(1, x_j/x*), where x* is the k-th largest of x, k = ⌊share·K + 1.5⌋ of K.
std::vector<double> percentileFactors(const std::vector<double>& x, double share);

/// √(made_i·read_i) / read_i of the largest weights that make and that read a channel; 1 where one of them is 0.
std::vector<double> equalizingFactors(const std::vector<double>& made, const std::vector<double>& read);

/// AWQ: rms_j^α, divided by √(largest · smallest) so that they lie about 1; 1 where a channel is always 0.
std::vector<double> awqFactors(const std::vector<double>& rms, double alpha);

/// Outlier Suppression+: z_j = (max_j + min_j)/2, the middle of the range.
std::vector<double> middles(const std::vector<double>& min, const std::vector<double>& max);
/// max(1, max_j/t, min_j/(−t)) of ranges from which the shift is already taken: those beyond ±t shrink to it.
std::vector<double> thresholdFactors(const std::vector<double>& min, const std::vector<double>& max, double t);

} // namespace ql
