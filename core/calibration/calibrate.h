// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a model over text, arrays or pictures and keeps what its layers see, linear ones and convolutions. The text goes
// through the model in batches of windows (or other cases), each block after block, so that memory holds one block's
// weights and statistics and the hidden states of a batch. After each block of each batch its statistics go to the sink
// under a key of their own: a run that is stopped or killed continues from there without running finished batches
// again, and what is there can be used at any time, with the number of tokens behind it. What is there of the same text
// and holds more of XᵀX than asked for stays; asking for more computes it for those layers alone. The same text, model
// and settings give the same bits for any thread count on one CPU, interrupted or not.
#pragma once

#include "core/calibration/activations.h"
#include "core/calibration/sites.h"
#include "core/jobs/result_sink.h"
#include "core/model/evaluation/cases.h"
#include "core/model/graph/run.h"

#include <functional>

namespace ql {

struct CalibrationSettings {
    GramKind gram = GramKind::full; // of a convolution with groups those of each group, or diag
    std::int64_t blockSize = 128;   // of GramKind::blocks
    std::int64_t fullLimit = 8192;  // wider inputs get blocks instead of full
    std::vector<std::int64_t> full; // layers whose inputs get full whatever the others get
    std::int64_t batchWindows = 64; // results are complete after each batch
};

struct CalibrationTask {
    const Model& model;
    const graph::Graph& graph;
    const graph::WeightSource& weights;
    const Cases& cases; // what is called windows here is any case; padding counts as tokens
    CalibrationSettings settings;
    ResultSink& sink;
    /// Called after each block of each batch with the number of windows that are through.
    std::function<void(std::int64_t block, std::int64_t windows)> onBlock;
};

/// What the run will hold, in bytes: results in the sink, and memory at the same time; and its work, in multiply-adds
/// of matrix products (run_cost.h has the time one takes). Estimates, shown before start; of cases whose length is not
/// known (0) without what grows with it.
struct CalibrationCost {
    std::int64_t resultBytes = 0;
    std::int64_t memoryBytes = 0;
    double multiplyAdds = 0;
};
CalibrationCost calibrationCost(const Model& model, const graph::Graph& graph, const CalibrationSettings& settings,
                                std::int64_t windows, std::int64_t length);

Result<void> calibrate(const CalibrationTask& task, const JobContext& context);

} // namespace ql
