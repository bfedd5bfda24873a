// SPDX-License-Identifier: GPL-3.0-or-later
// Options of subcommands that run many plans of a language model on one text, and what they then have open.
#pragma once

#include "app/cli/plan_measurer.h"
#include "app/cli/text_options.h"
#include "core/model/graph/graph.h"

namespace ql::cli {

/// Opened for a run; the measurers that it makes refer to it.
struct OpenedMeasuring {
    OpenedVariant opened;
    graph::Graph graph; // of opened.model
    const Target* target = nullptr;
    const Runtime* runtime = nullptr;
    Windows windows;
    std::string text; // name of the file
    OpenedStudy study;

    const Model& model() const { return *opened.model; }
    PlanMeasurer measurer(const JobContext& context) const;
    /// Of a run that has come to its end: keeps the records and saves the study. An error where the checkpoint has
    /// changed meanwhile.
    Result<void> keep(std::vector<PredictionRecord> records) const;
};

/// FILE, --text …, --activations A, --transform T, --target T, --as RUNTIME and the study.
struct MeasuringOptions {
    std::string file;
    TextOptions text;
    ActivationsOption activations;
    TransformsOption transforms;
    std::string target;
    std::string runtime;
    std::string study;

    /// `studyOption`: by which the study is named.
    void declare(CLI::App& app, const std::string& studyOption);
    /// An error for models that continue no text. The study is saved, so that what was stopped is found again.
    Result<std::unique_ptr<OpenedMeasuring>> open(Console& console) const;
};

} // namespace ql::cli
