// SPDX-License-Identifier: GPL-3.0-or-later
// Evolutionary search over proxy expressions (EMQ: Dong et al., 2023, §3): an expression gives every cell of a cost
// table a number, a plan is the sum over its cells, and the expression is judged by Spearman's correlation of the sums
// with what was measured of plans.
//
// An expression is binary(unary(unary(input)), unary(unary(input))); inputs are normalized to a mean magnitude of 1.
// Trees of which a plan's sum is not finite, or all are equal, are dropped. Elitist: the best seed and whatever beats
// it stays. The operator table is our own, as the paper's is not published. Deterministic by the seed.
#pragma once

#include "core/jobs/job_context.h"

#include <array>
#include <span>
#include <string>
#include <vector>

namespace ql {

/// Numbers of cells, all of one length, and plans as lists of cells.
struct ProxyProblem {
    std::vector<std::string> inputs;             // names: "weight_error", "fisher", "size"
    std::vector<std::vector<double>> cells;      // [input][cell]
    std::vector<std::vector<std::size_t>> plans; // the cells of each
    std::vector<double> measured;                // of each plan
};

enum class ProxyUnary { keep, square, root, logarithm, exponential, inverse, absolute, rank };
enum class ProxyBinary { first, add, subtract, multiply, divide, larger };

struct ProxyBranch {
    std::size_t input = 0;
    std::array<ProxyUnary, 2> unary{ProxyUnary::keep, ProxyUnary::keep}; // the first is applied first
    friend bool operator==(const ProxyBranch&, const ProxyBranch&) = default;
};
struct ProxyExpression {
    std::array<ProxyBranch, 2> branches;
    ProxyBinary binary = ProxyBinary::first; // first: the second branch is not used
    friend bool operator==(const ProxyExpression&, const ProxyExpression&) = default;
};
/// "log(fisher) * sqrt(size)".
std::string printProxy(const ProxyExpression& expression, const ProxyProblem& problem);

/// What it gives the plans; empty if it is invalid.
std::vector<double> proxySums(const ProxyExpression& expression, const ProxyProblem& problem);

struct ProxySearchSettings {
    int population = 32;
    int generations = 24;
    int tournament = 4;
    std::uint64_t seed = 1;
};
struct ProxyResult {
    ProxyExpression expression;
    double spearman = 0;
    double bestSeed = 0;           // of the inputs alone
    std::vector<double> bestSoFar; // after each generation; never falls
    int dropped = 0;               // invalid ones
};
/// Refused where no input alone is valid.
Result<ProxyResult> searchProxy(const ProxyProblem& problem, const ProxySearchSettings& settings,
                                const JobContext& context);

} // namespace ql
