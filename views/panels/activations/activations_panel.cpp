// SPDX-License-Identifier: GPL-3.0-or-later
// What flows into the current layer: histogram of its inputs and the range of every input channel, and what the plan's
// candidate does to its output; from captured activations or a calibration, also while it runs. Without them the panel
// says how to get some.
#include "core/calibration/expert_coverage.h"
#include "core/model/frontends/layer_roles.h"
#include "core/realize/realize.h"
#include "core/sensitivity/metric.h"
#include "views/charts/axes.h"
#include "views/charts/chart_view.h"
#include "views/dialogs/calibrate_dialog.h"
#include "views/document/activations_file.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/panels/panel.h"
#include "views/panels/view_menu.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QAreaSeries>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QLabel>
#include <QLegend>
#include <QLineSeries>
#include <QLogValueAxis>
#include <QPushButton>
#include <QTimer>
#include <QVBoxLayout>
#include <QValueAxis>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

const QString kStatisticsChannel = QStringLiteral("activation statistics");
const QString kErrorChannel = QStringLiteral("output error");
constexpr std::size_t kShownChannels = 512; // more are joined by their extremes
constexpr double kLogFloor = 0.5;
constexpr int kSettleMs = 200; // an output error takes a while; moves of a drag do not each start one

/// tr(ΔW·H·ΔWᵀ) of a layer under a candidate.
Result<double> outputError(const Model& model, std::int64_t layer, const Candidate& candidate,
                           const Activations& activations, const ActivationStatistics& statistics,
                           const JobContext& context)
{
    QL_TRY(metric, findMetric("output_error"));
    QL_TRY(quantized, realize(model, layer, candidate, &activations, context));
    QL_TRY(weights, model.loadWeights(layer, context));
    return metric->measure({model, layer, weights.view, quantized, ErrorStats(), &statistics, nullptr}, context);
}

/// Extremes of neighbouring channels, so that a single wide channel stays visible. Where only XᵀX is known they are
/// norms, and low is 0.
struct ChannelRange {
    double first = 0, low = 0, high = 0;
};
std::vector<ChannelRange> ranges(const ActivationStatistics& s)
{
    const bool hasRange = !s.channelMin.empty();
    const std::size_t n = hasRange ? s.channelMin.size() : s.channelRms.size();
    const std::size_t step = std::max<std::size_t>(1, (n + kShownChannels - 1) / kShownChannels);
    std::vector<ChannelRange> result;
    for (std::size_t i = 0; i < n; i += step) {
        ChannelRange range{static_cast<double>(i), INFINITY, -INFINITY};
        for (std::size_t k = i; k < std::min(n, i + step); ++k) {
            range.low = std::min(range.low, hasRange ? s.channelMin[k] : 0.0);
            range.high = std::max(range.high, hasRange ? s.channelMax[k] : s.channelRms[k]);
        }
        result.push_back(range);
    }
    return result;
}

void attach(QChart& chart, QAbstractAxis* x, QAbstractAxis* y)
{
    chart.addAxis(x, Qt::AlignBottom);
    chart.addAxis(y, Qt::AlignLeft);
    for (QAbstractSeries* series : chart.series()) {
        series->attachAxis(x);
        series->attachAxis(y);
    }
}

class ActivationsPanel : public LayerPanel {
    Q_OBJECT
public:
    ActivationsPanel(const PanelContext& context, QWidget* parent)
        : LayerPanel(context, parent),
          m_note(new QLabel(this)),
          m_runs(context.runs),
          m_calibrate(new QPushButton(tr("Calibrat&e…"), this)),
          m_load(new QPushButton(tr("L&oad activations…"), this)),
          m_histogram(new ChartView(this)),
          m_channels(new ChartView(this))
    {
        auto* top = new QHBoxLayout;
        top->setContentsMargins(8, 4, 8, 0);
        top->addWidget(m_note, 1);
        auto* buttons = new QVBoxLayout; // one below the other: a small window has no room for two in a row
        buttons->addWidget(m_calibrate);
        buttons->addWidget(m_load);
        buttons->addStretch(1);
        top->addLayout(buttons);
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->addLayout(top);
        column->addWidget(m_channels, 1);
        column->addWidget(m_histogram, 1);
        column->addStretch(0);
        m_note->setWordWrap(true);
        m_channels->setAccessibleName(tr("Range of each input channel"));
        m_histogram->setAccessibleName(tr("Histogram of the inputs"));
        connect(m_load, &QPushButton::clicked, this, &ActivationsPanel::load);
        connect(m_calibrate, &QPushButton::clicked, this, [this] {
            auto* dialog = new CalibrateDialog(m_document, m_jobs, m_runs, window());
            dialog->setAttribute(Qt::WA_DeleteOnClose);
            dialog->show();
        });
        m_settle.setSingleShot(true);
        m_settle.setInterval(kSettleMs);
        connect(&m_settle, &QTimer::timeout, this, &ActivationsPanel::measureOutputError);
        connect(m_channels, &ChartView::themeChanged, this, &ActivationsPanel::draw, Qt::QueuedConnection);
        addViewMenu(m_channels, [this] { return table(); });
        draw();
    }

protected:
    void showLayer(std::int64_t layer) override
    {
        m_statistics.reset();
        m_outputError.clear();
        m_coverage.clear();
        for (const QString& channel : {kStatisticsChannel, kErrorChannel})
            m_jobs.cancelChannel(channel);
        m_state = State::absent;
        const auto& activations = m_document.activations();
        if (activations && layer >= 0) {
            m_coverage = coverageOf(*activations, layer);
            const auto layers = activations->layers();
            if (std::find(layers.begin(), layers.end(), layer) != layers.end()) {
                m_state = State::reading;
                m_jobs.start(
                    {.title = tr("Activation statistics"), .channel = kStatisticsChannel}, this,
                    [activations, layer](const JobContext& context) { return activations->statistics(layer, context); },
                    [this](Result<std::shared_ptr<const ActivationStatistics>> statistics) {
                        m_state = State::absent;
                        if (statistics)
                            m_statistics = std::move(*statistics);
                        m_settle.start();
                        draw();
                    });
            }
        }
        draw();
    }

    void refreshPlan() override { m_settle.start(); }

private:
    enum class State { absent, reading };

    /// What the experts of the layer saw; empty where it belongs to none.
    QString coverageOf(const Activations& activations, std::int64_t layer) const
    {
        const std::int64_t expert = LayerPlace::of(m_document.layer(layer)).expert;
        const auto coverage = expertCoverage(activations, *m_document.model(), m_document.layer(layer).block);
        if (!coverage || (expert < 0 && expert != LayerPlace::kStack))
            return {};
        const auto share = [&](std::size_t which) {
            const QString seen = countText(coverage->experts[which]);
            return coverage->tokens > 0
                       ? tr("%1 of %2 tokens (%3)")
                             .arg(seen, countText(coverage->tokens), percentText(coverage->share(which)))
                       : tr("%1 tokens").arg(seen);
        };
        if (expert >= 0)
            return static_cast<std::size_t>(expert) < coverage->experts.size()
                       ? tr("expert %1 saw %2").arg(countText(expert), share(static_cast<std::size_t>(expert)))
                       : QString();
        const auto least = std::min_element(coverage->experts.begin(), coverage->experts.end());
        const auto which = static_cast<std::size_t>(least - coverage->experts.begin());
        return tr("of %1 experts, expert %2 saw least: %3")
            .arg(countText(std::ssize(coverage->experts)), countText(static_cast<std::int64_t>(which)), share(which));
    }

    void load()
    {
        const QString path = QFileDialog::getOpenFileName(this, tr("Load activations"), QString(), activationsFilter());
        if (!path.isEmpty())
            m_document.openActivations(path);
    }

    void measureOutputError()
    {
        const std::int64_t layer = shownLayer();
        m_jobs.cancelChannel(kErrorChannel);
        m_outputError.clear();
        if (layer >= 0 && m_statistics && m_statistics->knowsGram() && m_document.layer(layer).quantizable &&
            !m_document.candidate(layer).weights.isKeep())
            m_jobs.start(
                {.title = tr("Output error"), .channel = kErrorChannel, .quiet = true}, this,
                [model = m_document.model(), layer, candidate = m_document.candidate(layer),
                 activations = m_document.activations(), statistics = m_statistics](const JobContext& context) {
                    return outputError(*model, layer, candidate, *activations, *statistics, context);
                },
                [this, candidate = m_document.candidate(layer)](const Result<double>& error) {
                    m_outputError = error ? tr(" · squared output error of %1: %2 output²")
                                                .arg(toQString(printCandidate(candidate)), numberText(*error))
                                          : QString();
                    draw();
                });
        draw();
    }

    void draw()
    {
        for (QPushButton* button : {m_calibrate, m_load})
            button->setVisible(m_document.isOpen() && !m_document.activations());
        setFocusProxy(m_calibrate->isHidden() ? static_cast<QWidget*>(m_channels) : m_calibrate);
        m_channels->setVisible(m_statistics != nullptr);
        m_histogram->setVisible(m_statistics && !m_statistics->histogram.empty());
        if (!m_document.isOpen()) {
            m_note->setText(tr("Open a checkpoint first."));
        } else if (!m_document.activations()) {
            m_note->setText(tr(
                "What layers see is not known yet. Calibrate runs the model on text; or load a .npz or HDF5 file with "
                "an entry per layer, X[tokens, in] or XᵀX[in, in]. Either adds input ranges, histograms and the "
                "output error tr(ΔW·H·ΔWᵀ)."));
        } else if (m_state == State::reading) {
            m_note->setText(tr("Reading activations…"));
        } else if (!m_statistics) {
            m_note->setText(!m_coverage.isEmpty() ? tr("Nothing is known of these inputs: %1.").arg(m_coverage)
                            : m_document.isCalibrated()
                                ? tr("The calibration has not reached this layer.")
                                : tr("%1 has no entry for this layer.").arg(m_document.activationsPath()));
        } else {
            m_note->setText(m_statistics->tokens > 0
                                ? tr("%1 tokens, %2 input channels")
                                      .arg(countText(m_statistics->tokens), countText(m_statistics->in))
                                : tr("XᵀX of %1 input channels: norms over an unknown number of tokens, no ranges")
                                      .arg(countText(m_statistics->in)));
            m_note->setText(m_note->text() + (m_coverage.isEmpty() ? QString() : tr(" · ") + m_coverage) +
                            m_outputError);
            drawChannels();
            if (!m_statistics->histogram.empty())
                drawHistogram();
        }
    }

    void drawChannels()
    {
        QChart* chart = m_channels->newChart();
        const Colors c = colors(palette());
        const std::vector<ChannelRange> shown = ranges(*m_statistics);
        if (shown.empty())
            return;
        QList<QPointF> highs;
        QList<QPointF> lows;
        double lowest = 0;
        double highest = 0;
        for (const ChannelRange& range : shown) {
            highs << QPointF(range.first, range.high);
            lows << QPointF(range.first, range.low);
            lowest = std::min(lowest, range.low);
            highest = std::max(highest, range.high);
        }
        auto* upper = new QLineSeries(chart);
        auto* lower = new QLineSeries(chart);
        upper->replace(highs);
        lower->replace(lows);
        upper->setPen(QPen(c.series[0], 1));
        lower->setPen(QPen(c.series[1], 1));
        upper->setName(tr("max"));
        lower->setName(tr("min"));
        const bool hasRange = !m_statistics->channelMin.empty();
        chart->addSeries(upper);
        if (hasRange)
            chart->addSeries(lower);
        else
            delete lower;
        auto* x = new QValueAxis(chart);
        setRoundTicks(*x, 0, static_cast<double>(m_statistics->in - 1), 6);
        x->setTitleText(tr("input channel"));
        auto* y = new QValueAxis(chart);
        setRoundTicks(*y, lowest, highest, 4);
        y->setTitleText(hasRange ? tr("activation") : tr("channel norm √(XᵀX)ᵢᵢ"));
        attach(*chart, x, y);
        chart->legend()->setVisible(hasRange);
        chart->legend()->setAlignment(Qt::AlignTop);
        m_channels->applyTheme();
    }

    void drawHistogram()
    {
        QChart* chart = m_histogram->newChart();
        const Colors c = colors(palette());
        const auto& counts = m_statistics->histogram;
        const double width =
            (m_statistics->histogramMax - m_statistics->histogramMin) / static_cast<double>(counts.size());
        const std::size_t step = std::max<std::size_t>(1, counts.size() / 256);
        QList<QPointF> points;
        double most = 1;
        for (std::size_t i = 0; i < counts.size(); i += step) {
            std::int64_t sum = 0;
            for (std::size_t k = i; k < std::min(counts.size(), i + step); ++k)
                sum += counts[k];
            const double y = std::max(kLogFloor, static_cast<double>(sum));
            most = std::max(most, y);
            points << QPointF(m_statistics->histogramMin + static_cast<double>(i) * width, y)
                   << QPointF(m_statistics->histogramMin + static_cast<double>(i + step) * width, y);
        }
        auto* upper = new QLineSeries(chart);
        auto* lower = new QLineSeries(chart);
        upper->replace(points);
        lower->replace(QList<QPointF>{{points.front().x(), kLogFloor}, {points.back().x(), kLogFloor}});
        auto* area = new QAreaSeries(upper, lower);
        QColor fill = c.series[0];
        fill.setAlpha(120);
        area->setBrush(fill);
        area->setPen(QPen(c.series[0], 1));
        chart->addSeries(area);
        auto* x = new QValueAxis(chart);
        setRoundTicks(*x, points.front().x(), points.back().x(), 6);
        x->setTitleText(tr("activation"));
        auto* y = new QLogValueAxis(chart);
        setPowerTicks(*y, kLogFloor, std::pow(10, std::ceil(std::log10(most * 1.2))));
        y->setTitleText(tr("count"));
        attach(*chart, x, y);
        m_histogram->applyTheme();
    }

    ViewTable table() const
    {
        ViewTable table{
            {QStringLiteral("channel"), QStringLiteral("min"), QStringLiteral("max"), QStringLiteral("rms")}, {}};
        if (m_statistics) {
            for (std::size_t i = 0; i < m_statistics->channelRms.size(); ++i) {
                const bool hasRange = !m_statistics->channelMin.empty();
                table.rows.push_back({QString::number(i),
                                      hasRange ? plainNumber(m_statistics->channelMin[i]) : QString(),
                                      hasRange ? plainNumber(m_statistics->channelMax[i]) : QString(),
                                      plainNumber(m_statistics->channelRms[i])});
            }
        }
        return table;
    }

    QLabel* m_note;
    Runs& m_runs;
    QPushButton* m_calibrate;
    QPushButton* m_load;
    ChartView* m_histogram;
    ChartView* m_channels;
    std::shared_ptr<const ActivationStatistics> m_statistics;
    QString m_outputError;
    QString m_coverage; // of experts
    QTimer m_settle;
    State m_state = State::absent;
};

} // namespace

namespace panels {
extern const Panel activations;
const Panel activations{
    "activations", QT_TRANSLATE_NOOP("Panel", "Activations"), PanelPlace::rightBottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new ActivationsPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "activations_panel.moc"
