// SPDX-License-Identifier: GPL-3.0-or-later
// Histogram of the current layer's weights, of what its candidate restores to, and the candidate's grid where its steps
// are at least 3 pixels apart. One pass of 4096 bins per layer; the view sums them to at most 512.
#include "core/analysis/histogram.h"
#include "core/analysis/median_levels.h"
#include "core/realize/realize.h"
#include "views/charts/axes.h"
#include "views/charts/chart_view.h"
#include "views/charts/histogram_series.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/panels/panel.h"
#include "views/panels/view_menu.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QCheckBox>
#include <QHBoxLayout>
#include <QLegend>
#include <QLineSeries>
#include <QLogValueAxis>
#include <QTimer>
#include <QToolTip>
#include <QVBoxLayout>
#include <QValueAxis>

#include <algorithm>
#include <cmath>
#include <optional>

namespace ql::views {

namespace {

constexpr int kSettleMs = 200; // after the last change of the candidate

struct QuantizedView {
    Histogram histogram;
    std::vector<double> grid; // levels times the median scale, if the scheme has scales
    QString text;
};

class HistogramPanel : public LayerPanel {
    Q_OBJECT
public:
    HistogramPanel(const PanelContext& context, QWidget* parent)
        : LayerPanel(context, parent),
          m_view(new ChartView(this)),
          m_summary(new ElidedLabel(this)),
          m_log(new QCheckBox(tr("Logarithmic &counts"), this))
    {
        auto* top = new QHBoxLayout;
        top->setContentsMargins(8, 4, 8, 0);
        top->addWidget(m_summary, 1);
        top->addWidget(m_log);
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(2);
        column->addLayout(top);
        column->addWidget(m_view, 1);
        m_log->setChecked(true);
        m_view->setAccessibleName(tr("Weight histogram"));
        m_settle.setSingleShot(true);
        m_settle.setInterval(kSettleMs);
        connect(&m_settle, &QTimer::timeout, this, &HistogramPanel::startQuantized);
        connect(m_log, &QCheckBox::toggled, this, &HistogramPanel::draw);
        connect(m_view, &ChartView::themeChanged, this, &HistogramPanel::draw, Qt::QueuedConnection);
        connect(m_view, &ChartView::hovered, this, &HistogramPanel::hover);
        addViewMenu(m_view, [this] { return table(); });
        setFocusProxy(m_view);
    }

protected:
    void showLayer(std::int64_t layer) override
    {
        m_base.reset();
        m_quantized.reset();
        m_settle.stop();
        m_jobs.cancelChannel(QStringLiteral("histogram"));
        m_jobs.cancelChannel(QStringLiteral("quantized histogram"));
        draw();
        if (layer < 0 || !isDecodable(m_document.layer(layer).dtype))
            return;
        m_jobs.start(
            {.title = tr("Histogram"), .channel = QStringLiteral("histogram"), .quiet = true}, this,
            [model = m_document.model(), layer](const JobContext& context) -> Result<Histogram> {
                QL_TRY(weights, model->loadWeights(layer, context));
                QL_TRY(histogram, computeHistogram(weights.view, context));
                QL_CHECK(model->checkpoint->checkIntact());
                return histogram;
            },
            [this](Result<Histogram> histogram) {
                if (!histogram) {
                    m_view->setMessage(errorText(histogram.error()));
                    return;
                }
                m_base = std::move(*histogram);
                draw();
                startQuantized();
            });
    }

    void refreshPlan() override
    {
        if (m_base && (!m_shownCandidate || !(*m_shownCandidate == m_document.candidate(shownLayer()))))
            m_settle.start();
    }

private:
    void startQuantized()
    {
        const std::int64_t layer = shownLayer();
        if (layer < 0 || !m_base || !m_document.layer(layer).quantizable)
            return;
        const Candidate candidate = m_document.candidate(layer);
        m_shownCandidate = candidate;
        if (candidate.weights.isKeep()) {
            m_jobs.cancelChannel(QStringLiteral("quantized histogram"));
            m_quantized.reset();
            draw();
            return;
        }
        m_jobs.start(
            {.title = tr("Quantized histogram"), .channel = QStringLiteral("quantized histogram"), .quiet = true}, this,
            [model = m_document.model(), activations = m_document.activations(), layer, candidate, min = m_base->min,
             max = m_base->max](const JobContext& context) -> Result<QuantizedView> {
                QL_TRY(quantized, realize(*model, layer, candidate, activations.get(), context));
                QL_TRY(histogram, computeHistogram(quantized, context, kBaseBins, min, max));
                return QuantizedView{std::move(histogram), medianLevels(quantized),
                                     toQString(printCandidate(candidate))};
            },
            [this](Result<QuantizedView> view) {
                m_quantized.reset();
                if (view)
                    m_quantized = std::move(*view);
                draw();
            });
    }

    void draw()
    {
        QChart* chart = m_view->newChart();
        m_summary->clear();
        m_view->setMessage(!m_document.isOpen() ? tr("Open a checkpoint to see how its weights are distributed.")
                           : shownLayer() < 0   ? tr("Select a layer.")
                           : !m_base            ? tr("Counting…")
                           : m_base->counts.empty() || m_base->total() == 0 ? tr("No finite values.")
                                                                            : QString());
        if (!m_base || m_base->counts.empty() || m_base->total() == 0)
            return;
        const Colors c = colors(m_view->palette());
        const bool log = m_log->isChecked();
        const double floor = log ? kLogFloor : 0;
        m_shown = m_base->rebinned(kShownBins);

        addHistogram(*chart, m_shown, floor, c.series[0], tr("weights"));
        double most = static_cast<double>(*std::max_element(m_shown.counts.begin(), m_shown.counts.end()));
        QLineSeries* outline = nullptr;
        if (m_quantized) {
            m_shownQuantized = m_quantized->histogram.rebinned(kShownBins);
            outline = new QLineSeries(chart);
            outline->setName(m_quantized->text);
            outline->replace(histogramSteps(m_shownQuantized, floor));
            outline->setPen(QPen(c.series[1], 1.4));
            chart->addSeries(outline);
            most = std::max(most, static_cast<double>(*std::max_element(m_shownQuantized.counts.begin(),
                                                                        m_shownQuantized.counts.end())));
        }
        auto* x = new QValueAxis(chart);
        setRoundTicks(*x, m_shown.min, m_shown.max, 6);
        x->setTitleText(tr("weight"));
        chart->addAxis(x, Qt::AlignBottom);
        QAbstractAxis* y = nullptr;
        if (log) {
            auto* axis = new QLogValueAxis(chart);
            setPowerTicks(*axis, kLogFloor, std::pow(10, std::ceil(std::log10(most * 1.2))));
            y = axis;
        } else {
            auto* axis = new QValueAxis(chart);
            setRoundTicks(*axis, 0, most * 1.05, 4);
            y = axis;
        }
        y->setTitleText(tr("count"));
        chart->addAxis(y, Qt::AlignLeft);
        for (QAbstractSeries* series : chart->series()) {
            series->attachAxis(x);
            series->attachAxis(y);
        }
        addGrid(*chart, x, y, floor, c);
        chart->legend()->setVisible(true);
        chart->legend()->setAlignment(Qt::AlignTop);
        m_view->applyTheme();
        const Layer& layer = m_document.layer(shownLayer());
        m_summary->setText(tr("%1 weights in [%2, %3]")
                               .arg(countText(layer.numel()), numberText(m_base->min, 4), numberText(m_base->max, 4)));
    }

    /// Short ticks at the levels of the median scale.
    void addGrid(QChart& chart, QAbstractAxis* x, QAbstractAxis* y, double floor, const Colors& c)
    {
        if (!m_quantized)
            return;
        const double tall = m_log->isChecked() ? floor * 2.2 : y->property("max").toDouble() * 0.04;
        const QList<QPointF> points = levelTicks(m_quantized->grid, m_shown, floor, tall, m_view->width() - 60);
        if (points.isEmpty())
            return;
        auto* ticks = new QLineSeries(&chart);
        ticks->setName(tr("grid of the median scale"));
        ticks->replace(points);
        ticks->setPen(QPen(c.series[2], 1.2));
        chart.addSeries(ticks);
        ticks->attachAxis(x);
        ticks->attachAxis(y);
    }

    void hover(const QPointF& value, const QPoint& point, bool inside)
    {
        if (!inside || !m_base || m_shown.counts.empty()) {
            QToolTip::hideText();
            return;
        }
        const double width = m_shown.binWidth();
        const auto bins = static_cast<double>(m_shown.counts.size());
        const auto bin = static_cast<std::size_t>(
            std::clamp(width > 0 ? std::floor((value.x() - m_shown.min) / width) : 0.0, 0.0, bins - 1));
        std::int64_t upTo = 0;
        for (std::size_t i = 0; i <= bin; ++i)
            upTo += m_shown.counts[i];
        const auto total = static_cast<double>(m_shown.total());
        QString text =
            tr("%1 … %2\n%3 weights (%4), %5 up to here")
                .arg(numberText(m_shown.min + static_cast<double>(bin) * width, 4),
                     numberText(m_shown.min + static_cast<double>(bin + 1) * width, 4), countText(m_shown.counts[bin]),
                     percentText(static_cast<double>(m_shown.counts[bin]) / total),
                     percentText(static_cast<double>(upTo) / total));
        if (m_quantized && bin < m_shownQuantized.counts.size())
            text += tr("\n%1 after %2").arg(countText(m_shownQuantized.counts[bin]), m_quantized->text);
        QToolTip::showText(point, text, m_view);
    }

    ViewTable table() const
    {
        ViewTable table{
            {QStringLiteral("from"), QStringLiteral("to"), QStringLiteral("weights"), QStringLiteral("quantized")}, {}};
        const double width = m_shown.binWidth();
        for (std::size_t i = 0; m_base && i < m_shown.counts.size(); ++i) {
            const double from = m_shown.min + static_cast<double>(i) * width;
            table.rows.push_back({plainNumber(from), plainNumber(from + width), QString::number(m_shown.counts[i]),
                                  m_quantized && i < m_shownQuantized.counts.size()
                                      ? QString::number(m_shownQuantized.counts[i])
                                      : QString()});
        }
        return table;
    }

    ChartView* m_view;
    ElidedLabel* m_summary;
    QCheckBox* m_log;
    QTimer m_settle;
    std::optional<Histogram> m_base;
    std::optional<QuantizedView> m_quantized;
    std::optional<Candidate> m_shownCandidate;
    Histogram m_shown, m_shownQuantized;
};

} // namespace

namespace panels {
extern const Panel histogram;
const Panel histogram{
    "histogram", QT_TRANSLATE_NOOP("Panel", "Histogram"), PanelPlace::right,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new HistogramPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "histogram_panel.moc"
