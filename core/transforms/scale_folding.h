// SPDX-License-Identifier: GPL-3.0-or-later
// Folds a factor, or an order, of the channels of a site into the weights on both sides of it, and gathers what is
// known of its channels.
#pragma once

#include "core/calibration/activations.h"
#include "core/transforms/fold_sites.h"
#include "core/transforms/rewrite.h"

namespace ql {

/// x' = (x − z) / s: the producer gives it, readers multiply their columns by s. z only of norms with a bias, whose
/// readers have biases, too (empty: 0).
Result<void> foldScale(Rewrite& rewrite, const Model& model, const FoldSite& site, std::vector<double> s,
                       const std::vector<double>& z, const JobContext& context);
/// Channel j of the site becomes channel order[j]; of inner sites and, inside each head, of value sites.
void foldOrder(Rewrite& rewrite, const Model& model, const FoldSite& site, const std::vector<std::int64_t>& order);

/// A number per column of the readers for one per channel.
std::vector<double> columnsOf(const FoldSite& site, const std::vector<double>& channels);
/// The largest over the columns of each channel.
std::vector<double> channelsOf(const FoldSite& site, std::span<const double> columns);

/// max|W_j| over all rows of all readers, per channel.
Result<std::vector<double>> largestWeights(const Model& model, const FoldSite& site, const JobContext& context);

/// What is known of the site's value: of the readers' inputs the first that is known. Refused, naming the layer and
/// the mend, where it is not.
Result<std::shared_ptr<const ActivationStatistics>> inputOf(const Model& model, const FoldSite& site,
                                                            const Activations* activations, const JobContext& context);
/// The same with channelMin and channelMax known, and max|X_j| of it, per channel.
Result<std::vector<double>> largestInputs(const Model& model, const FoldSite& site, const Activations* activations,
                                          const JobContext& context);

/// The stored values of a norm's weights or of a bias.
Result<std::vector<double>> valuesOf(const Model& model, std::int64_t layer, const JobContext& context);

} // namespace ql
