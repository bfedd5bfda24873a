// SPDX-License-Identifier: GPL-3.0-or-later
// Why the current layer gets what it gets: its weights, what its candidates lose, what every loss says of it, how far
// that can be relied on and where the layer stands among its kind, its neighbours along the depth, and the price of one
// step up or down.
#include "core/sensitivity/layer_report.h"
#include "views/document/document.h"
#include "views/document/layer_names.h"
#include "views/jobs/job_runner.h"
#include "views/panels/panel.h"
#include "views/panels/row_table.h"
#include "views/panels/view_menu.h"
#include "views/panels/why/layer_sketch.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QHeaderView>
#include <QLabel>
#include <QScrollArea>
#include <QTableWidget>
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

enum Column { kMetric, kValue, kEvidence, kInRole, kInAll, kBefore, kBehind, kColumns };

class WhyPanel : public LayerPanel {
    Q_OBJECT
public:
    WhyPanel(const PanelContext& context, QWidget* parent)
        : LayerPanel(context, parent),
          m_title(new ElidedLabel(this)),
          m_sketch(new LayerSketch(this)),
          m_words(new QLabel(this)),
          m_table(new QTableWidget(0, kColumns, this))
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
        buildTable();
        m_settle.setSingleShot(true);
        m_settle.setInterval(kSettleMs);
        connect(&m_settle, &QTimer::timeout, this, &WhyPanel::ask);
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
    void buildTable()
    {
        showAsRows(*m_table);
        m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
        m_table->setWordWrap(false);
        m_table->setMinimumSize(90, 7 * fontMetrics().height());
        m_table->setAccessibleName(tr("What losses say of the layer"));
        m_table->setObjectName(QStringLiteral("whyTable"));
        m_table->horizontalHeader()->setHighlightSections(false);
        m_table->setHorizontalHeaderLabels(
            {tr("loss"), tr("value"), tr("rests on"), tr("of its role"), tr("of all"), tr("before"), tr("behind")});
        const auto wide = [this](int column, const QString& sample) {
            m_table->setColumnWidth(column, fontMetrics().horizontalAdvance(sample) + 18);
        };
        wide(kMetric, QStringLiteral("relative weight error"));
        wide(kValue, QStringLiteral("1.23e-05 nats"));
        wide(kEvidence, QStringLiteral("not measured"));
        wide(kInRole, QStringLiteral("of its role"));
        wide(kInAll, QStringLiteral("210. of 210"));
        wide(kBefore, QStringLiteral("not measured"));
        wide(kBehind, QStringLiteral("not measured"));
        addViewMenu(m_table, [this] {
            ViewTable table;
            for (int column = 0; column < kColumns; ++column)
                table.header << m_table->horizontalHeaderItem(column)->text();
            for (int row = 0; row < m_table->rowCount(); ++row) {
                QStringList cells;
                for (int column = 0; column < kColumns; ++column)
                    cells << m_table->item(row, column)->data(Qt::UserRole).toString();
                table.rows.push_back(cells);
            }
            return table;
        });
    }

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
        showFigures(report);
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
        if (const KnownLoss known = m_document.knownLoss(layer, m_column); known.evidence > Evidence::gradients)
            lines << tr("KLD at %1: %2")
                         .arg(m_document.columnText(m_column),
                              lossInWords(known, toQString(m_document.metric()->unit)));
        if (const QString seen = coverageInWords(m_document, layer); !seen.isEmpty())
            lines << seen;
        const auto step = [&](const std::optional<LayerStep>& to, const QString& text) {
            if (to)
                lines << text.arg(m_document.columnText(to->column), signedText(bytesText(to->payloadBits / 8)),
                                  signedText(numberText(to->loss)));
        };
        step(report.more, tr("One step up, %1: %2, loss %3"));
        step(report.less, tr("One step down, %1: %2, loss %3"));
        if (!report.more && !report.less)
            lines << tr("No other candidate is measured under the chosen loss.");
        m_words->setText(lines.join(QLatin1Char('\n')));
    }

    QTableWidgetItem* put(int row, int column, const QString& text, const QString& copied)
    {
        auto* item = new QTableWidgetItem(text);
        item->setData(Qt::UserRole, copied);
        const bool isText = column == kMetric || column == kEvidence;
        item->setTextAlignment((isText ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
        m_table->setItem(row, column, item);
        return item;
    }

    static QString rankText(const LayerRank& rank)
    {
        return rank.place > 0 ? tr("%1. of %2").arg(rank.place).arg(rank.of) : QStringLiteral("—");
    }

    void showFigures(const LayerReport& report)
    {
        const int current = m_table->currentRow();
        m_table->setRowCount(static_cast<int>(report.figures.size()));
        const auto number = [](double value) { return std::isnan(value) ? QString() : plainNumber(value); };
        for (int row = 0; row < m_table->rowCount(); ++row) {
            const LayerFigure& figure = report.figures[static_cast<std::size_t>(row)];
            const Metric& metric = *figure.metric;
            auto* name = put(row, kMetric, toQString(metric.id).replace(QLatin1Char('_'), QLatin1Char(' ')),
                             toQString(metric.id));
            name->setToolTip(toQString(metric.title) + QLatin1Char('\n') + toQString(metric.formula));
            if (&metric == m_document.metric()) {
                QFont bold = m_table->font();
                bold.setBold(true);
                name->setFont(bold);
            }
            const bool isKnown = !std::isnan(figure.value);
            auto* value =
                put(row, kValue, isKnown ? numberText(figure.value) : tr("not measured"), number(figure.value));
            value->setToolTip(toQString(metric.unit));
            put(row, kEvidence, toQString(word(isKnown ? figure.evidence : Evidence::unmeasured)),
                toQString(word(figure.evidence)));
            put(row, kInRole, rankText(figure.amongRole), QString::number(figure.amongRole.place));
            put(row, kInAll, rankText(figure.amongAll), QString::number(figure.amongAll.place));
            for (const auto& [column, direction] : {std::pair(kBefore, -1), std::pair(kBehind, 1)}) {
                const auto neighbour = std::ranges::find_if(report.neighbours, [&, way = direction](const auto& other) {
                    return m_document.layer(other.layer).block == m_document.layer(report.layer).block + way;
                });
                const bool isThere =
                    neighbour != report.neighbours.end() && static_cast<std::size_t>(row) < neighbour->values.size();
                const double its = isThere ? neighbour->values[static_cast<std::size_t>(row)]
                                           : std::numeric_limits<double>::quiet_NaN();
                auto* item = put(row, column,
                                 !isThere          ? QStringLiteral("—")
                                 : std::isnan(its) ? tr("not measured")
                                                   : numberText(its),
                                 number(its));
                if (isThere)
                    item->setToolTip(toQString(m_document.layer(neighbour->layer).name));
            }
        }
        m_table->setCurrentCell(std::clamp(current, 0, std::max(0, m_table->rowCount() - 1)), kMetric);
    }

    ElidedLabel* m_title;
    LayerSketch* m_sketch;
    QLabel* m_words;
    QTableWidget* m_table;
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
