// SPDX-License-Identifier: GPL-3.0-or-later
// Options shared by subcommands that measure, solve, export or report, and what they name.
#pragma once

#include "app/cli/limit_options.h"
#include "app/cli/losses_option.h"
#include "core/allocation/uniform.h"
#include "core/export/export.h"
#include "core/realize/runtime_activations.h"
#include "core/sensitivity/metric.h"
#include "core/study/study.h"

#include <CLI/App.hpp>

namespace ql::cli {

/// --activations A
struct ActivationsOption {
    std::string path;
    void declare(CLI::App& app);
    /// Null if the option was not given.
    Result<std::shared_ptr<const Activations>> open(Console& console, const Model& model) const;
};

/// --candidates a,b,…
struct CandidatesOption {
    std::string text;     // empty: not given
    std::string fallback; // without a target
    void declare(CLI::App& app, const std::string& defaults);
    bool isGiven() const { return !text.empty(); }
    /// Those given, else the target's usual ones, else the fallback.
    Result<std::vector<Candidate>> choose(const Model& model, const Target* target) const;
};

/// All quantizable layers under the candidates as the target completes them; metrics are for the caller to choose.
Result<MeasureRequest> measureRequest(const Model& model, const CandidatesOption& candidates, const Target* target,
                                      const Activations* activations);

/// --metrics a,b | all
struct MetricsOption {
    std::string text;
    void declare(CLI::App& app);
    /// Those asked for, each of which has to be computable; `all`: every one that is; not given: those that are and are
    /// no proxies.
    Result<std::vector<const Metric*>> choose(const Activations* activations) const;
};

/// --bpw X, --size 90MB, --metric M | --losses TABLE…, --solver S, --pin LAYERS=CANDIDATE… and further limits:
/// measures, or takes what was measured, and solves.
struct SolveOptions {
    CandidatesOption candidates;
    std::string metric;
    LossesOption losses;
    std::string solver;
    std::vector<std::string> pins;
    LimitOptions limits;
    std::string runtime; // whose rounding of activations counts in --losses; empty: any or none

    void declare(CLI::App& app);
    /// What does not depend on the size: candidates, metric, pins, limits.
    void declareTable(CLI::App& app);
    /// --as RUNTIME, after the others.
    void declareRuntime(CLI::App& app);
    /// An error that says what would be one, where there is no budget.
    Result<void> checkBudget() const;
};

/// Measured, and what is to be solved.
struct PreparedSolve {
    std::unique_ptr<CostTable> table;
    std::vector<Measurement> cells;
    std::vector<LayerCoupling> couplings; // in --losses
    std::string runtime;                  // whose rounding of activations they count; empty: none
    std::string lossesName;               // of --losses, as records of predictions say it
    std::string activations;              // fingerprint of what the quantizers saw of the layers' inputs
    BalanceRequest request;               // refers to the table and the couplings
};
Result<PreparedSolve> prepareSolve(Console& console, const Model& model, const SolveOptions& options,
                                   const Target* target, const Activations* activations);

struct Solved {
    CostTable table;
    std::vector<Measurement> cells; // none where losses were given
    std::vector<LayerCoupling> couplings;
    std::string runtime;     // whose rounding of activations the losses count; empty: none
    std::string activations; // fingerprint of what the quantizers saw of the layers' inputs
    BalanceResult result;
    std::optional<UniformPlan> uniform; // within the same budget: what mixing is compared with

    const Candidate& uniformCandidate() const { return table.candidates[uniform->column]; }
};
Result<Solved> solvePlan(Console& console, const Model& model, const SolveOptions& options, const Target* target,
                         const Activations* activations);

/// A study that a job's results go into, opened or made, and its document for this checkpoint; refused if it is
/// another's.
struct OpenedStudy {
    std::shared_ptr<Study> study;
    StudyDocument document;
};
Result<OpenedStudy> openStudyFor(Console& console, const std::string& path, const Model& model,
                                 const std::string& file);

/// The target of that id; null if the text is empty.
Result<const Target*> targetOrNull(const std::string& id);
/// The runtime of --as; null if the text is empty.
Result<const Runtime*> runtimeOrNull(const std::string& id);

} // namespace ql::cli
