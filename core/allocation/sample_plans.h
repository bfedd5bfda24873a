// SPDX-License-Identifier: GPL-3.0-or-later
// Plans to be measured, so that predictions can be judged on more than what a solver prefers: random ones of a size,
// one layer changed alone, solvers' plans, and edits of these. A pure function of request and seed.
#pragma once

#include "core/allocation/balance.h"

namespace ql {

enum class SampleKind { random, solved, edited, single };
std::string_view word(SampleKind kind);

struct SampledPlan {
    Plan plan;
    SampleKind kind = SampleKind::random;
    std::string metric; // that a solved or edited one was solved by
    double bitsPerWeight = 0;
};

struct SampleRequest {
    std::span<const CostTable> tables; // of the same items and candidates; solved plans go round them
    const TargetProfile* target = nullptr;
    std::vector<double> bitsPerWeight; // sizes, gone round; random plans are about that large
    std::uint64_t seed = 1;
};

/// `count` plans of that kind.
///   random: an item takes a column with probability ∝ exp(−(κ + r + b)·bits), bits those of the column per weight, r
///   of its
///           role and b of its block normal around 0, κ such that the plan has the size in the mean
///   solved: balance() at the size
///   edited: solved at the middle size by the first table, then one item in eight takes any of its columns
///   single: one item at any of its columns, all others at their largest
Result<std::vector<SampledPlan>> samplePlans(const Model& model, const SampleRequest& request, SampleKind kind,
                                             int count, const JobContext& context);

} // namespace ql
