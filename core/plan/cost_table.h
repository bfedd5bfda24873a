// SPDX-License-Identifier: GPL-3.0-or-later
// Items × candidates → loss, as measured by one metric of one variant. The only thing that passes between measuring and
// deciding.
#pragma once

#include "core/plan/target.h"

namespace ql {

/// What a loss rests on, the less telling first.
enum class Evidence {
    unmeasured,
    dataFree,   // the weights and their codes alone
    statistics, // of the layer's inputs
    gradients,  // of the model's loss
    probed,     // gradients of the model's loss along the change itself, sampled
    measured    // the model ran with the candidate
};
std::string_view word(Evidence evidence);

struct Cost {
    double loss = 0;              // in the metric's unit; NaN if unmeasured or refused
    std::int64_t payloadBits = 0; // summed over the item's layers
    Evidence evidence = Evidence::unmeasured;
    bool allowed = true;      // false where the target or the quantizer refuses
    double standardError = 0; // of the loss where it was sampled; 0: nothing was drawn
};

/// What the solver decides: one layer, or layers tied together.
struct Item {
    std::vector<std::int64_t> layers; // indices into model.layers
    std::string name;                 // of the first layer, or "q_proj+k_proj+v_proj 3"
};

struct CostTable {
    std::string metric; // id
    std::string unit;
    std::vector<Item> items;
    std::vector<Candidate> candidates; // columns; each item may refuse some
    std::vector<Cost> costs;           // [items × candidates]
    /// What the target made of a column for an item (an omitted s= filled in), [items × candidates]; empty: the columns
    /// as they are.
    std::vector<Candidate> completed;

    Cost& at(std::size_t item, std::size_t candidate) { return costs[item * candidates.size() + candidate]; }
    const Cost& at(std::size_t item, std::size_t candidate) const
    {
        return costs[item * candidates.size() + candidate];
    }
    const Candidate& candidateOf(std::size_t item, std::size_t candidate) const
    {
        return completed.empty() ? candidates[candidate] : completed[item * candidates.size() + candidate];
    }
    /// The column by which the item becomes this candidate, completed or as given; nothing if there is none.
    std::optional<std::size_t> columnOf(std::size_t item, const Candidate& candidate) const;
};

/// The name of an item of these layers, in their order.
std::string itemName(const Model& model, const std::vector<std::int64_t>& layers);

/// Items of the quantizable layers under a target's ties (none if target is null), in the order of their first layers.
std::vector<Item> makeItems(const Model& model, const TargetProfile* target);

/// Additive loss model: Σ over items of the loss at the plan's candidate (0 for keep), summed as PlanTotals does. NaN
/// if the plan uses an unmeasured or refused entry, or changes a layer the table does not have.
double predictLoss(const CostTable& table, const Plan& plan);

} // namespace ql
