// SPDX-License-Identifier: GPL-3.0-or-later
// A model and what it is run on, made ready: token ids of a text, or cases of arrays or pictures, and how fast this
// machine is at them. Made once per source by a job; what a run will cost follows from it at once. Immutable and
// shared.
#pragma once

#include "core/calibration/fisher.h"
#include "core/model/evaluation/run_cost.h"
#include "core/model/evaluation/text_tokens.h"
#include "core/sensitivity/layer_curvature.h"
#include "views/runs/runnable_model.h"

#include <variant>

namespace ql::views {

/// How much of a source a run takes.
struct Portion {
    std::int64_t length = 0; // of text: tokens in a window
    std::int64_t limit = 0;  // windows or cases, 0: all
};

struct PreparedSource {
    std::shared_ptr<const RunnableModel> runnable;
    QString path;
    std::variant<TextTokens, Cases> content;
    RunSpeed speed;

    const Model& model() const { return *runnable->model; }
    const graph::Graph& graph() const { return runnable->graph; }
    /// Null where it is no text.
    const TextTokens* text() const { return std::get_if<TextTokens>(&content); }

    /// Windows or cases that run.
    std::int64_t count(const Portion& portion) const;
    /// Tokens in a window; 0 where cases are none.
    std::int64_t length(const Portion& portion) const { return text() ? portion.length : 0; }
    Result<Cases> calibrationCases(const Portion& portion) const;
    /// To compare the outputs of two versions on: an encoder's text with some tokens hidden.
    Result<Cases> comparisonCases(const Portion& portion) const;

    CalibrationCost calibrationCost(const CalibrationSettings& settings, const Portion& portion) const;
    double calibrationSeconds(const CalibrationSettings& settings, const Portion& portion) const;
    /// Of language models, as the next three.
    CalibrationCost fisherCost(const FisherSettings& settings, const Portion& portion) const;
    double fisherSeconds(const FisherSettings& settings, const Portion& portion) const;
    double curvatureSeconds(const CurvatureSettings& settings, const Portion& portion) const;
    /// The model alone, once.
    double runSeconds(const Portion& portion) const;
    /// The model and a version of it, side by side.
    double validationSeconds(const Portion& portion) const { return 2 * runSeconds(portion); }

private:
    /// As far as it is known.
    std::int64_t tokensPerCase(const Portion& portion) const { return text() ? portion.length : speed.tokens; }
};

/// "12 windows", "12 cases".
QString countedCases(std::int64_t count, bool areWindows);

/// `labels` is a CSV of the labels of pictures; empty: the subfolders are. Errors name what is missing: a tokenizer, a
/// readable text, an array for an input.
Result<std::shared_ptr<const PreparedSource>> prepareSource(const std::shared_ptr<const RunnableModel>& runnable,
                                                            const QString& path, const QString& labels,
                                                            const JobContext& context);

/// As long as the model's context, at most 512.
std::int64_t usualWindowLength(const Model& model);

} // namespace ql::views
