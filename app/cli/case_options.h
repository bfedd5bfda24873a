// SPDX-License-Identifier: GPL-3.0-or-later
// Options of subcommands that run models which read no text: encoders, classifiers, graphs.
#pragma once

#include "app/cli/console.h"
#include "core/model/evaluation/cases.h"

#include <CLI/App.hpp>

namespace ql::cli {

/// --inputs ARRAYS.npz or --images FOLDER, --cases N, instead of the text that TextOptions declared.
struct CaseOptions {
    std::string inputs;
    std::string images;
    std::string labels;     // CSV of the pictures' labels, where a subcommand takes one; empty: by subfolder
    std::int64_t cases = 0; // 0: all
    void declare(CLI::App& app);
    bool isGiven() const { return !inputs.empty() || !images.empty(); }
    const std::string& name() const { return images.empty() ? inputs : images; }
    Result<Cases> open(const Model& model, const graph::Graph& graph, const JobContext& context) const;
};

} // namespace ql::cli
