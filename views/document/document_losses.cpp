// SPDX-License-Identifier: GPL-3.0-or-later
// Losses that probes measured, beside those of the chosen metric: of each cell the better evidence counts.
#include "core/plan/plan_inputs.h"
#include "core/plan/prediction_records.h"
#include "views/document/document.h"

#include <algorithm>
#include <set>

namespace ql::views {

bool Document::countsProbes() const
{
    return metric() && metric()->unit == kNatsPerToken;
}

const KnownLoss* Document::probedLoss(std::int64_t layer, std::size_t column) const
{
    const std::size_t index = static_cast<std::size_t>(layer) * m_table->candidates.size() + column;
    return index < m_probed.size() && m_probed[index] ? &*m_probed[index] : nullptr;
}

KnownLoss Document::knownLoss(std::int64_t layer, std::size_t column) const
{
    if (const KnownLoss* probed = countsProbes() ? probedLoss(layer, column) : nullptr)
        return *probed;
    const Measurement* measured = cell(layer, column);
    const double loss = measured ? lossOf(*measured) : std::numeric_limits<double>::quiet_NaN();
    KnownLoss known;
    known.loss = loss;
    known.evidence = std::isnan(loss) ? Evidence::unmeasured : evidenceOf(metric()->needs);
    return known;
}

KnownLoss Document::plannedLoss(std::int64_t layer) const
{
    if (candidate(layer).weights.isKeep()) {
        KnownLoss exact;
        exact.loss = 0;
        exact.evidence = Evidence::measured;
        return exact;
    }
    const auto column = columnOf(layer);
    return column ? knownLoss(layer, *column) : KnownLoss();
}

std::string Document::lossSource() const
{
    return m_totals.probed + m_totals.exact > 0 ? std::string(kProbedLosses)
           : metric()                           ? std::string(metric()->id)
                                                : std::string();
}

std::string Document::lossSource(const Plan& plan) const
{
    for (std::size_t item = 0; item < m_table->items.size(); ++item) {
        const auto first = static_cast<std::size_t>(m_table->items[item].layers.front());
        const auto column = m_table->columnOf(item, plan.candidates[first]);
        if (column && !plan.candidates[first].weights.isKeep() &&
            m_table->at(item, *column).evidence >= Evidence::probed)
            return std::string(kProbedLosses);
    }
    return metric() ? std::string(metric()->id) : std::string();
}

std::shared_ptr<const CostTable> Document::probedTable(const Plan& plan) const
{
    if (lossSource(plan) != kProbedLosses || std::isnan(predictLoss(*m_table, plan)))
        return nullptr;
    auto table = std::make_shared<CostTable>(*m_table);
    table->metric = kProbedLosses;
    return table;
}

LayerLosses Document::losses() const
{
    LayerLosses all{.metric = std::string(kProbedLosses), .activations = m_lossInputs, .candidates = {}, .cells = {}};
    if (m_model)
        all.candidates = m_table->candidates;
    for (const auto& [key, loss] : m_losses)
        all.cells.push_back(loss);
    return all;
}

void Document::addLosses(const LayerLosses& losses)
{
    if (!m_model || losses.activations != m_lossInputs)
        return; // quantizers made other codes
    std::set<std::int64_t> layers;
    for (const LayerLoss& loss : losses.cells) {
        const auto [at, isNew] = m_losses.try_emplace({loss.layer, printCandidate(loss.candidate)}, loss);
        if (!isNew && !tellsMore(loss, at->second))
            continue;
        at->second = loss;
        placeLoss(loss);
        layers.insert(loss.layer);
    }
    if (layers.empty())
        return;
    resetTotals();
    refreshTotals();
    Q_EMIT factsChanged({layers.begin(), layers.end()});
    Q_EMIT lossesChanged();
}

/// Those that are known stay as long as they are of this model and these activations.
void Document::placeLosses()
{
    const std::string inputs = inputsFingerprint(m_activations.get());
    if (m_lossesOf != m_model || m_lossInputs != inputs)
        m_losses.clear();
    m_lossesOf = m_model;
    m_lossInputs = inputs;
    m_probed.assign(m_cells.size(), std::nullopt);
    for (const auto& [key, loss] : m_losses)
        placeLoss(loss);
}

/// Into the columns by which the layer becomes that candidate.
void Document::placeLoss(const LayerLoss& loss)
{
    const auto item = itemOf(loss.layer);
    if (!item)
        return;
    const std::size_t columns = m_table->candidates.size();
    const bool isFirst = m_table->items[*item].layers.front() == loss.layer; // whose candidates the table completes
    for (std::size_t column = 0; column < columns; ++column) {
        const Candidate& offered = m_table->candidates[column];
        const bool isIt =
            offered == loss.candidate ||
            (isFirst ? m_table->candidateOf(*item, column) == loss.candidate
                     : m_target && m_target->profile.complete(*m_model, layer(loss.layer), offered) == loss.candidate);
        if (!isIt)
            continue;
        m_probed[static_cast<std::size_t>(loss.layer) * columns + column] =
            KnownLoss{loss.loss, loss.standardError, loss.evidence, loss.tokens, loss.time};
        refreshCost(*item, column);
    }
}

/// The item's loss: the sum over its layers, with the least telling evidence of theirs.
void Document::refreshCost(std::size_t item, std::size_t column)
{
    Cost& cost = m_table->at(item, column);
    double loss = 0;
    double variance = 0;
    Evidence evidence = Evidence::measured;
    for (const std::int64_t layer : m_table->items[item].layers) {
        const Measurement* part = cell(layer, column);
        cost.allowed = cost.allowed && (!part || part->allowed);
        const KnownLoss known = knownLoss(layer, column);
        loss += known.loss;
        variance += known.standardError * known.standardError;
        evidence = std::min(evidence, known.evidence);
    }
    cost.loss = cost.allowed ? loss : std::numeric_limits<double>::quiet_NaN();
    cost.standardError = std::isnan(cost.loss) ? 0 : std::sqrt(variance);
    cost.evidence = std::isnan(cost.loss) ? Evidence::unmeasured : evidence;
    if (!cost.allowed)
        std::erase(m_ladders[item], column);
}

} // namespace ql::views
