// SPDX-License-Identifier: GPL-3.0-or-later
// Estimates the Fisher diagonal of every layer's weights, and the mean squared gradient of every output: windows of
// text go forward and backward through a language model with labels drawn from the model itself, one backward pass per
// window; squares of gradients are summed over windows (cross terms of tokens have mean zero: labels are independent).
// Where asked for, beside them the loss-weighted Gram matrices of the inputs of linear layers, and the Gram matrices of
// their outputs' gradients (layer_loss_gram.h).
// Windows go in batches, each segment after segment; after each segment of a batch its sums are kept under keys of
// their own, so a run that is stopped or killed continues there, and what is there can be used at any time. The same
// text, model and seed give the same bits for any thread count on one CPU, interrupted or not.
// Source: Amari, Natural gradient works efficiently in learning, 1998; Kunstner et al., Limitations of the empirical
// Fisher approximation, NeurIPS 2019 (why labels are drawn, not taken from the text).
#pragma once

#include "core/calibration/calibrate.h"
#include "core/calibration/layer_fisher.h"
#include "core/calibration/layer_loss_gram.h"

namespace ql {

struct FisherSettings {
    std::int64_t windows = 0;       // how many, from the first on; 0: all. More can be added later
    std::uint64_t seed = 1;         // of labels and rounding
    std::int64_t batchWindows = 16; // results are complete after each batch
    std::int64_t gramLimit = 0;     // Gram matrices are kept of layers with no more inputs, or outputs, than that
    std::vector<std::int64_t> gramOf = {}; // and of these
    bool outputGram = false;               // those of outputs' gradients, too: 2·out² bytes a layer

    /// How many of a text's windows are taken.
    std::int64_t count(std::int64_t all) const { return windows > 0 ? std::min(windows, all) : all; }
    /// Gram matrices are kept where a calibration with these settings keeps all of XᵀX.
    void keepGramsAs(const CalibrationSettings& calibration);
};

struct FisherTask {
    const Model& model;
    const graph::Graph& graph;
    const graph::WeightSource& weights;
    const Windows& windows;
    FisherSettings settings;
    ResultSink& sink;
    /// Called after each batch with the number of windows that are through.
    std::function<Result<void>(std::int64_t windows)> onBatch;

    std::int64_t count() const { return settings.count(windows.count()); }
};

/// Of a text of so many windows.
CalibrationCost fisherCost(const Model& model, const graph::Graph& graph, const FisherSettings& settings,
                           std::int64_t windows, std::int64_t length);

Result<void> estimateFisher(const FisherTask& task, const JobContext& context);

/// Key under which the sink holds what the segment that uses the layer as number `use` adds, from 0.
std::string fisherKey(const std::string& layerName, std::int64_t use);

/// The heads (LayerFisher::decodeHead) of what the sink holds of a layer, one for each use.
std::vector<LayerFisher> keptFisherHeads(const ResultSink& sink, const std::string& layerName);

/// What the sink holds of a layer; nothing if there is none.
std::optional<FisherDiagonal> keptFisher(const ResultSink& sink, const std::string& layerName);

/// Key under which the sink holds the loss-weighted Gram matrix of the segment that is number `use`, from 0, of those
/// that multiply by the layer.
std::string lossGramKey(const std::string& layerName, std::int64_t use);
/// The heads of what the sink holds of a layer, one for each use.
std::vector<LayerLossGram> keptLossGramHeads(const ResultSink& sink, const std::string& layerName);

/// The same of the Gram matrices of the outputs' gradients.
std::string outputGramKey(const std::string& layerName, std::int64_t use);
std::vector<LayerLossGram> keptOutputGramHeads(const ResultSink& sink, const std::string& layerName);

} // namespace ql
