// SPDX-License-Identifier: GPL-3.0-or-later
// Losses of layers under candidates, as they were measured once: a table that is written to a file, merged with others
// and solved from without measuring anew. In nats per token, so that what rests on different evidence can stand in one
// table. As text (JSON):
//   {"quantloupe_losses": 1, "checkpoint": {"fingerprint": …, "name": …}, "variant": "", "activations":
//    "<fingerprint>", "metric": "gradient_probe", "candidates": ["int4:g64", …], "cells": [{"layer": …, "candidate":
//    "int4:g64:s=f16", "loss": 0.00123, "standard_error": 0.0001, "evidence": "probed", "tokens": 8192, "time":
//    1764488000}, …],
//    "couplings": [{"layers": [a, b], "candidates": [x, y], "loss": -0.0001, "standard_error": 0.00002}, …]}
// where tokens and time stand only where they are known, and couplings, which may be left out, are what two layers lose
// together beyond the sum of what they lose alone. "runtime": "llama.cpp" is there where the losses count what that
// runtime's rounding of activations adds.
#pragma once

#include "core/jobs/result_sink.h"
#include "core/plan/cost_table.h"

#include <array>

namespace ql {

struct LayerLoss {
    std::int64_t layer = 0; // of the model
    Candidate candidate;    // as a target completed it
    double loss = 0;        // nats per token
    double standardError = 0;
    Evidence evidence = Evidence::unmeasured;
    std::int64_t tokens = 0; // that were scored for it; 0: not known, or none were
    std::int64_t time = 0;   // when it was measured, seconds since 1970 began (UTC); 0: not known
};
/// What tables, and records of predictions, call losses that rest on probes, in part at least.
inline constexpr std::string_view kProbedLosses = "gradient_probe";
/// The same where they count what a runtime's rounding of activations adds.
inline constexpr std::string_view kProbedWithRounding = "gradient_probe+rounding";

/// By more telling evidence, or under equal evidence by a smaller standard error.
bool tellsMore(const LayerLoss& a, const LayerLoss& b);

/// loss(a, b) − loss(a) − loss(b) of two layers under these candidates, of any sign.
struct LayerCoupling {
    std::array<std::int64_t, 2> layers{}; // of the model
    std::array<Candidate, 2> candidates;  // of each, as a target completed it
    double loss = 0;                      // nats per token
    double standardError = 0;
};

struct LayerLosses {
    std::string metric;                // what most of it was measured by
    std::string activations;           // fingerprint of what quantizers saw of the layers' inputs; empty: nothing
    std::vector<Candidate> candidates; // columns, as they were asked for
    std::vector<LayerLoss> cells;      // each layer and candidate once; what is not measured is not there
    std::vector<LayerCoupling> couplings = {}; // each pair of layers and candidates once
    std::string runtime = {};                  // whose rounding of activations is in the losses; empty: none
};

/// Whether both layers have those candidates in the plan.
bool isPlanned(const LayerCoupling& coupling, const Plan& plan);
/// Σ of the couplings that are planned.
double plannedCoupling(std::span<const LayerCoupling> couplings, const Plan& plan);

/// Of a layer under a candidate the loss that tells more stays, of couplings the one with the smaller standard error.
/// Refused where quantizers saw different activations or the losses count those of different runtimes.
Result<LayerLosses> merged(LayerLosses losses, const LayerLosses& more);

/// The table of items as the target ties and completes them; an item's loss is the sum over its layers, its evidence
/// the least telling of theirs. Cells that are not there, or that the target refuses, have no loss.
CostTable makeCostTable(const Model& model, const LayerLosses& losses, std::span<const Candidate> candidates,
                        const TargetProfile* target);

std::string printLosses(const LayerLosses& losses, const Model& model);
/// What a prediction by them is recorded with: the names of their files, if any, and 16 digits of a hash of what they
/// hold, whatever its order, its columns and what it was measured by.
std::string lossesName(const std::vector<std::string>& files, LayerLosses losses, const Model& model);
/// Errors: no such text, unknown layers or candidates, another checkpoint or variant, losses that are negative or not
/// finite, a layer twice under a candidate.
Result<LayerLosses> parseLosses(std::string_view json, const Model& model);
Result<LayerLosses> readLosses(const std::filesystem::path& path, const Model& model);
Result<void> writeLosses(const LayerLosses& losses, const Model& model, const std::filesystem::path& path);

/// In a study there is one table for each variant, activations and runtime. What it holds of them already is merged.
Result<void> keepLosses(ResultSink& sink, const LayerLosses& losses, const Model& model);
/// Of the model, of activations by their fingerprint and of a runtime by its id (empty: none); without cells where
/// there are none, or they are damaged.
LayerLosses keptLosses(const ResultSink& sink, const Model& model, const std::string& activations,
                       const std::string& runtime = {});

} // namespace ql
