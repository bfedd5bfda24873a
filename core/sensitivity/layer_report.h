// SPDX-License-Identifier: GPL-3.0-or-later
// Why a layer gets what it gets: its weights, what every metric says of it and how it stands among the others, what its
// candidates lose, its neighbours along the depth, and what one step more or less of bits would change. Collected from
// cells that are measured already (metric.h); nothing is computed again but the description of the weights.
#pragma once

#include "core/analysis/histogram.h"
#include "core/analysis/outliers.h"
#include "core/analysis/statistics.h"
#include "core/sensitivity/metric.h"

#include <functional>
#include <optional>

namespace ql {

/// What the weights alone say.
struct LayerWeights {
    TensorStatistics statistics;
    Histogram histogram;     // kReportBins equal bins from the least to the largest weight
    OutlierSummary outliers; // beyond 6 standard deviations, and the five largest
};
constexpr std::size_t kReportBins = 64;
Result<LayerWeights> describeWeights(const Model& model, std::int64_t layer, const JobContext& context);

/// 1 is the layer that matters most; ties share the better place.
struct LayerRank {
    std::int64_t place = 0;
    std::int64_t of = 0; // layers with a value
};

struct LayerRanks {
    LayerRank amongRole, amongAll; // place 0 where the layer has no value
};
/// Where the layer stands among these by what `valueOf` says of each, the largest first; NaN: no value.
LayerRanks ranksOf(const Model& model, std::span<const std::int64_t> layers, std::int64_t layer,
                   const std::function<double(std::int64_t)>& valueOf);

/// What a metric says of the layer.
struct LayerFigure {
    const Metric* metric = nullptr;
    double value = 0; // a metric of layers: its value of this one; else the loss at the question's column. May be NaN
    Evidence evidence = Evidence::unmeasured;
    LayerRank amongRole, amongAll; // place 0 where there is no value
};

struct LayerCandidate {
    std::size_t column = 0; // in the request's candidates
    Candidate candidate;    // as the target completes it
    bool allowed = true;
    std::int64_t payloadBits = 0;
    double bitsPerWeight = 0;
    ErrorStats error;           // count 0: not measured
    std::vector<double> losses; // one per requested metric; NaN where nothing is known
};

/// To another candidate: positive loss is a loss.
struct LayerStep {
    std::size_t column = 0; // in the request's candidates
    std::int64_t payloadBits = 0;
    double loss = 0;
};

struct LayerNeighbour {
    std::int64_t layer = 0;
    std::vector<double> values; // of figures
};

struct LayerReport {
    std::int64_t layer = 0;
    std::vector<LayerFigure> figures;       // one per requested metric that is not null
    std::vector<LayerCandidate> candidates; // by rising bits
    std::vector<LayerNeighbour> neighbours; // layers of its role in the block before and the block behind, if there are
    /// The nearest candidate with more bits and less loss, and with fewer bits and more loss; nothing where the loss at
    /// the column is not known, or no other is.
    std::optional<LayerStep> more, less;
};

struct LayerQuestion {
    std::int64_t layer = 0;
    std::size_t column = 0; // the candidate at which losses compare, and from which steps lead
    std::size_t by = 0;     // index of the request's metric that steps are measured by
};

/// Cells of other requests, and those that are not there yet, are unmeasured; several of one place: the last.
LayerReport layerReport(const Model& model, const MeasureRequest& request, const std::vector<Measurement>& cells,
                        const LayerQuestion& question);

} // namespace ql
