// SPDX-License-Identifier: GPL-3.0-or-later
// Why the current layer gets what it gets: its weights, what its candidates lose, what every loss says of it, how far
// that can be relied on and where the layer stands among its kind, its neighbours along the depth, and the price of one
// step up or down.
#include "core/sensitivity/layer_report.h"
#include "views/document/document.h"
#include "views/document/layer_names.h"
#include "views/jobs/job_runner.h"
#include "views/panels/panel.h"
#include "views/panels/why/layer_sketch.h"
#include "views/panels/why/why_table.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QLabel>
#include <QScrollArea>
#include <QTimer>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql::views {

namespace {

constexpr int kSettleMs = 200; // after the last change

/// What the job brings.
struct Reason {
    LayerReport report;
    std::optional<LayerWeights> weights; // where they were described now
};

class WhyPanel : public LayerPanel {
    Q_OBJECT
public:
    WhyPanel(const PanelContext& context, QWidget* parent)
        : LayerPanel(context, parent),
          m_title(new ElidedLabel(this)),
          m_sketch(new LayerSketch(this)),
          m_words(new QLabel(this)),
          m_table(new WhyTable(m_document, this))
    {
        auto* content = new QWidget;
        auto* column = new QVBoxLayout(content);
        column->setContentsMargins(8, 4, 8, 4);
        column->setSpacing(4);
        column->addWidget(m_title);
        column->addWidget(m_sketch);
        column->addWidget(m_words);
        column->addWidget(m_table, 1);
        auto* scroll = new QScrollArea(this); // the words need what height they need
        scroll->setWidget(content);
        scroll->setWidgetResizable(true);
        scroll->setFrameShape(QFrame::NoFrame);
        scroll->setFocusPolicy(Qt::NoFocus);
        auto* whole = new QVBoxLayout(this);
        whole->setContentsMargins(0, 0, 0, 0);
        whole->addWidget(scroll);
        m_words->setWordWrap(true);
        m_words->setObjectName(QStringLiteral("whyWords"));
        m_title->setObjectName(QStringLiteral("whyTitle"));
        m_settle.setSingleShot(true);
        m_settle.setInterval(kSettleMs);
        connect(&m_settle, &QTimer::timeout, this, &WhyPanel::ask);
        connect(&m_document, &Document::lossesChanged, this, &WhyPanel::touchPlan); // of others: the layer's place
        setFocusProxy(m_table);
        showLayer(-1);
    }

protected:
    void showLayer(std::int64_t layer) override
    {
        m_settle.stop();
        m_jobs.cancelChannel(QStringLiteral("why"));
        m_weights.reset();
        m_sketch->clear();
        m_table->setRowCount(0);
        m_words->clear();
        const bool isPlanned = layer >= 0 && m_document.layer(layer).quantizable;
        m_title->setText(!m_document.isOpen() ? tr("Open a checkpoint first.")
                         : layer < 0          ? tr("Select a layer.")
                                              : nameWithBlock(m_document.layer(layer)));
        if (layer >= 0 && !isPlanned)
            m_words->setText(tr("This tensor is not quantized."));
        if (isPlanned)
            ask();
    }

    void refreshPlan() override
    {
        if (!m_settle.isActive()) // while measurements arrive, not after all of them
            m_settle.start();
    }

private:
    /// The plan's column, or where it is kept the one at about four bits.
    std::optional<std::size_t> questionColumn(std::int64_t layer) const
    {
        const auto planned = m_document.columnOf(layer);
        if (planned && !m_document.table().candidates[*planned].weights.isKeep())
            return planned;
        const auto& ladder = m_document.ladder(layer);
        const auto distance = [this](std::size_t column) {
            const bool isKeep = m_document.table().candidates[column].weights.isKeep();
            return isKeep ? std::numeric_limits<double>::infinity() : std::fabs(m_document.columnBits(column) - 4);
        };
        const auto nearest = std::ranges::min_element(ladder, {}, distance);
        return nearest == ladder.end() ? std::nullopt : std::optional(*nearest);
    }

    void ask()
    {
        const std::int64_t layer = shownLayer();
        if (layer < 0 || !m_document.layer(layer).quantizable)
            return;
        const auto column = questionColumn(layer);
        if (!column) {
            m_words->setText(tr("The plan has no choice for this layer."));
            return;
        }
        MeasureRequest request;
        request.layers = m_document.planLayers();
        request.candidates = m_document.table().candidates;
        const auto metrics = allMetrics();
        request.metrics.assign(metrics.begin(), metrics.end());
        request.target = m_document.target() ? &m_document.target()->profile : nullptr;
        request.activations = nullptr;
        // The layer's own cells, and of the others those that they are compared by.
        std::vector<Measurement> cells;
        for (const std::int64_t other : m_document.planLayers()) {
            if (const Measurement* cell = m_document.cell(other, *column); cell && other != layer)
                cells.push_back(*cell);
        }
        for (std::size_t each = 0; each < request.candidates.size(); ++each)
            if (const Measurement* cell = m_document.cell(layer, each))
                cells.push_back(*cell);
        const auto by = static_cast<std::size_t>(std::ranges::find(metrics, m_document.metric()) - metrics.begin());
        m_column = *column;
        m_jobs.start(
            {.title = tr("Why this layer"), .channel = QStringLiteral("why"), .quiet = true}, this,
            [model = m_document.model(), request, cells = std::move(cells), describe = !m_weights,
             question = LayerQuestion{.layer = layer, .column = *column, .by = by}](
                const JobContext& context) -> Result<Reason> {
                Reason reason{.report = layerReport(*model, request, cells, question), .weights = {}};
                if (describe && isDecodable(model->layers[static_cast<std::size_t>(question.layer)].dtype)) {
                    QL_TRY(weights, describeWeights(*model, question.layer, context));
                    reason.weights = std::move(weights);
                }
                return reason;
            },
            [this, layer](Result<Reason> reason) {
                if (layer != shownLayer())
                    return;
                if (reason)
                    show(std::move(*reason));
                else if (reason.error().code != Errc::cancelled)
                    m_words->setText(errorText(reason.error()));
            });
    }

    void show(Reason reason)
    {
        if (reason.weights)
            m_weights = std::move(reason.weights);
        const LayerReport& report = reason.report;
        const auto metrics = allMetrics();
        const auto by = static_cast<std::size_t>(std::ranges::find(metrics, m_document.metric()) - metrics.begin());
        if (m_weights)
            m_sketch->setWeights(m_weights->histogram, m_weights->outliers.threshold);
        std::vector<SketchPoint> points;
        for (const LayerCandidate& candidate : report.candidates)
            if (candidate.allowed && by < candidate.losses.size())
                points.push_back({.bits = candidate.bitsPerWeight,
                                  .loss = candidate.losses[by],
                                  .isPlanned = candidate.column == m_column});
        m_sketch->setLosses(std::move(points));
        showWords(report);
        m_table->showReport(report);
    }

    void showWords(const LayerReport& report)
    {
        const std::int64_t layer = report.layer;
        const Layer& l = m_document.layer(layer);
        QStringList lines;
        lines << tr("%1, %2 weights; planned %3: %4 bits per weight")
                     .arg(toQString(l.role.empty() ? info(l.op).id : std::string_view(l.role)),
                          shortCountText(l.numel()), toQString(printCandidate(m_document.candidate(layer))),
                          fixedText(m_document.layerBits(layer), 2));
        if (m_document.candidate(layer).weights.isKeep())
            lines.back() += tr("; losses are those of %1").arg(m_document.columnText(m_column));
        if (m_weights)
            lines << tr("%1 of the weights lie beyond 6 standard deviations; kurtosis %2 (normal: 3), crest factor %3")
                         .arg(percentText(m_weights->outliers.share), numberText(m_weights->statistics.kurtosis),
                              numberText(m_weights->statistics.crestFactor()));
        if (const QString seen = coverageInWords(m_document, layer); !seen.isEmpty())
            lines << seen;
        const QString unit = m_document.metric() ? toQString(m_document.metric()->unit) : QString();
        const auto step = [&](const std::optional<LayerStep>& to, const QString& text) {
            if (to)
                lines << text.arg(m_document.columnText(to->column), signedText(bytesText(to->payloadBits / 8)),
                                  signedText(numberText(to->loss)), unit);
        };
        step(report.more, tr("One step up, %1: %2, loss %3 %4"));
        step(report.less, tr("One step down, %1: %2, loss %3 %4"));
        if (!report.more && !report.less)
            lines << tr("No other candidate is measured under the chosen loss.");
        m_words->setText(lines.join(QLatin1Char('\n')));
    }

    ElidedLabel* m_title;
    LayerSketch* m_sketch;
    QLabel* m_words;
    WhyTable* m_table;
    QTimer m_settle;
    std::optional<LayerWeights> m_weights; // of the layer shown
    std::size_t m_column = 0;
};

} // namespace

namespace panels {
extern const Panel why;
const Panel why{"why", QT_TRANSLATE_NOOP("Panel", "Why this layer?"), PanelPlace::rightBottom,
                [](const PanelContext& context, QWidget* parent) -> QWidget* { return new WhyPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "why_panel.moc"
