// SPDX-License-Identifier: GPL-3.0-or-later
// The cost table and what fills it.
#include "core/analysis/outliers.h"
#include "views/document/document.h"
#include "views/document/measure_mailbox.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <algorithm>
#include <cmath>

namespace ql::views {

void Document::buildTable()
{
    m_table = std::make_unique<CostTable>();
    m_columnTexts.clear();
    m_columnBits.clear();
    m_ladders.clear();
    m_cells.clear();
    if (!m_model) {
        placeLosses();
        resetTotals();
        return;
    }
    MeasureRequest request;
    request.layers = m_planLayers;
    request.candidates = menuOf(m_target);
    request.metrics = {metric()};
    request.target = m_target ? &m_target->profile : nullptr;
    *m_table = makeCostTable(*m_model, request, 0, {});
    const std::size_t columns = m_table->candidates.size();
    m_cells.resize(m_model->layers.size() * columns);

    // A column's bits are those of the largest layer that may take it: short rows store more per weight.
    m_columnBits.assign(columns, 0);
    std::vector<std::int64_t> largest(columns, 0);
    for (const std::int64_t layer : m_planLayers) {
        const Layer& l = this->layer(layer);
        for (std::size_t column = 0; column < columns; ++column) {
            if (l.numel() <= largest[column])
                continue;
            largest[column] = l.numel();
            m_columnBits[column] =
                static_cast<double>(layerPayloadBits(l, m_table->candidates[column])) / static_cast<double>(l.numel());
        }
    }
    for (const Candidate& candidate : m_table->candidates)
        m_columnTexts.push_back(toQString(printCandidate(candidate)));
    for (std::size_t item = 0; item < m_table->items.size(); ++item) {
        std::vector<std::size_t> ladder;
        for (std::size_t column = 0; column < columns; ++column) {
            if (m_table->at(item, column).allowed)
                ladder.push_back(column);
        }
        std::stable_sort(ladder.begin(), ladder.end(), [&](std::size_t a, std::size_t b) {
            return m_table->at(item, a).payloadBits < m_table->at(item, b).payloadBits;
        });
        m_ladders.push_back(std::move(ladder));
    }
    resetTotals();
    placeLosses();
    if (!m_losses.empty())
        resetTotals();
}

void Document::startStatistics()
{
    m_facts.assign(m_model ? m_model->layers.size() : 0, {});
    m_factsMailbox = std::make_shared<Mailbox>();
    if (!m_model)
        return;
    m_measuring = true;
    m_drain.start();
    m_jobs.start(
        {.title = tr("Statistics"), .channel = QStringLiteral("statistics")}, this,
        [model = m_model, mailbox = m_factsMailbox](const JobContext& context) -> Result<bool> {
            Progress& progress = context.progress();
            for (const Layer& layer : model->layers)
                progress.addTotal(layer.numel());
            for (std::size_t i = 0; i < model->layers.size(); ++i) {
                QL_CHECK(context.checkStop());
                const Layer& layer = model->layers[i];
                if (isDecodable(layer.dtype)) {
                    const auto index = static_cast<std::int64_t>(i);
                    QL_TRY(weights, model->loadWeights(index, context));
                    LayerFacts facts;
                    facts.known = true;
                    const JobContext inner(context.executor(), context.stopToken()); // counts in elements, here
                    QL_TRY(statistics, computeStatistics(weights.view, inner));
                    facts.statistics = statistics;
                    if (layer.quantizable) {
                        QL_TRY(outliers, findOutliers(weights.view, inner, 6, 0));
                        facts.outlierShare = outliers.share;
                    }
                    QL_CHECK(model->checkpoint->checkIntact());
                    const std::scoped_lock lock(mailbox->mutex);
                    mailbox->facts.emplace_back(index, facts);
                }
                progress.addDone(layer.numel());
            }
            return true;
        },
        [this](const Result<bool>& result) {
            drainMailbox();
            m_measuring = false;
            if (result || result.error().code != Errc::cancelled)
                startMeasuring();
            else
                Q_EMIT measured();
        });
}

void Document::startMeasuring()
{
    if (!m_model || m_table->items.empty())
        return;
    MeasureRequest request;
    request.layers = m_planLayers;
    request.candidates = m_table->candidates;
    const auto metrics = allMetrics();
    for (const Metric* its : metrics)
        request.metrics.push_back(
            its->isSlow && its != metric() && std::ranges::count(m_shownMetrics, its) == 0 ? nullptr : its);
    request.target = m_target ? &m_target->profile : nullptr;
    request.activations = m_activations.get();
    const std::shared_ptr<ResultSink> sink = this->sink();
    request.sink = sink.get();
    const auto mailbox = std::make_shared<Mailbox>();
    m_cellsMailbox = mailbox; // cells of an earlier table end in the old box
    m_measuring = true;
    m_drain.start();
    m_jobs.start(
        {.title = tr("Measuring errors"), .channel = QStringLiteral("measure")}, this,
        [model = m_model, activations = m_activations, sink, mailbox,
         request](const JobContext& context) -> Result<bool> {
            QL_CHECK(measure(
                *model, request,
                [&mailbox](const Measurement& cell) {
                    const std::scoped_lock lock(mailbox->mutex);
                    mailbox->cells.push_back(cell);
                },
                context));
            return true;
        },
        [this](const Result<bool>&) {
            drainMailbox();
            m_drain.stop();
            m_measuring = false;
            Q_EMIT measured();
        });
}

void Document::addCell(const Measurement& cell)
{
    const std::size_t columns = m_table->candidates.size();
    m_cells[static_cast<std::size_t>(cell.layer) * columns + cell.candidate] = cell;
    const auto item = itemOf(cell.layer);
    if (!item)
        return;
    refreshCost(*item, cell.candidate);
}

void Document::drainMailbox()
{
    std::vector<Measurement> cells;
    std::vector<std::pair<std::int64_t, LayerFacts>> facts;
    if (m_cellsMailbox) {
        const std::scoped_lock lock(m_cellsMailbox->mutex);
        cells.swap(m_cellsMailbox->cells);
    }
    if (m_factsMailbox) {
        const std::scoped_lock lock(m_factsMailbox->mutex);
        facts.swap(m_factsMailbox->facts);
    }
    if (cells.empty() && facts.empty())
        return;
    std::vector<std::int64_t> layers;
    for (const auto& [layer, fact] : facts) {
        m_facts[static_cast<std::size_t>(layer)] = fact;
        layers.push_back(layer);
    }
    for (const Measurement& cell : cells) {
        addCell(cell);
        if (layers.empty() || layers.back() != cell.layer)
            layers.push_back(cell.layer);
    }
    std::sort(layers.begin(), layers.end());
    layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
    if (!cells.empty()) {
        resetTotals();
        refreshTotals();
    }
    Q_EMIT factsChanged(layers);
}

} // namespace ql::views
