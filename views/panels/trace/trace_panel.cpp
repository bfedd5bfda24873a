// SPDX-License-Identifier: GPL-3.0-or-later
// The plan's hidden states against the model's along depth, on one window of text: what each block does alone, and what
// has accumulated. A click selects a layer of the block; the current layer's block is marked.
#include "core/model/evaluation/trace.h"
#include "core/model/frontends/frontend.h"
#include "core/realize/planned_version.h"
#include "views/charts/axes.h"
#include "views/charts/chart_view.h"
#include "views/document/document.h"
#include "views/jobs/job_feed.h"
#include "views/panels/drawn_panel.h"
#include "views/panels/panel.h"
#include "views/panels/view_menu.h"
#include "views/runs/prepared_source.h"
#include "views/runs/source_choice.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/problem_color.h"
#include "views/theme/theme.h"

#include <QFileInfo>
#include <QHBoxLayout>
#include <QLegend>
#include <QLegendMarker>
#include <QLineSeries>
#include <QLogValueAxis>
#include <QPushButton>
#include <QSplitter>
#include <QToolTip>
#include <QVBoxLayout>
#include <QValueAxis>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr double kMargin = 0.3;      // blocks, so that the outermost points are whole
constexpr double kLeastError = 1e-8; // a kept block has none, and a logarithmic axis cannot show it

class TracePanel : public DrawnPanel {
    Q_OBJECT
public:
    TracePanel(const PanelContext& context, QWidget* parent)
        : DrawnPanel(parent),
          m_document(context.document),
          m_note(new ElidedLabel(this)),
          m_choose(new QPushButton(tr("Te&xt…"), this)),
          m_start(new QPushButton(tr("T&race"), this)),
          m_error(new ChartView(this)),
          m_cosine(new ChartView(this)),
          m_feed(context.jobs, this, QStringLiteral("trace"), [this](const std::vector<SegmentTrace>& arrived) {
              m_trace.insert(m_trace.end(), arrived.begin(), arrived.end());
              touch();
          })
    {
        auto* top = new QHBoxLayout;
        top->setContentsMargins(8, 4, 8, 0);
        top->addWidget(m_note, 1);
        top->addWidget(m_choose);
        top->addWidget(m_start);
        auto* parts = new QSplitter(this);
        parts->addWidget(m_error);
        parts->addWidget(m_cosine);
        parts->setChildrenCollapsible(false);
        parts->setSizes({500, 500});
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(4);
        column->addLayout(top);
        column->addWidget(parts, 1);
        m_error->setAccessibleName(tr("Output error along depth"));
        m_cosine->setAccessibleName(tr("Hidden-state cosine along depth"));
        m_choose->setToolTip(tr("The text whose first window the model reads"));
        connect(m_choose, &QPushButton::clicked, this, &TracePanel::choose);
        connect(m_start, &QPushButton::clicked, this, &TracePanel::start);
        connect(&m_document, &Document::modelChanged, this, &TracePanel::clear);
        connect(&m_document, &Document::planChanged, this, [this] {
            if (isVisible())
                m_note->setText(note()); // the charts are of the plan that was traced
            else
                touch();
        });
        connect(&m_document.selection(), &SelectionModel::currentChanged, this, &TracePanel::touch);
        connect(m_error, &ChartView::themeChanged, this, &TracePanel::touch, Qt::QueuedConnection);
        for (ChartView* view : {m_error, m_cosine}) {
            connect(view, &ChartView::hovered, this, &TracePanel::hover);
            connect(view, &ChartView::clicked, this, &TracePanel::select);
            addViewMenu(view, [this] { return table(); });
        }
        setFocusProxy(m_error);
        clear();
    }

private:
    void clear()
    {
        m_feed.drop();
        m_trace.clear();
        m_problem.clear();
        m_text = usualText(m_document, SourceUse::heldOut);
        touch();
    }

    void choose()
    {
        const QString path = askForText(this, m_text);
        if (path.isEmpty())
            return;
        m_text = path;
        rememberSource(SourceKind::text, SourceUse::heldOut, path);
        touch();
    }

    void start()
    {
        m_trace.clear();
        m_problem.clear();
        m_plan = m_document.plan();
        m_feed.start(
            tr("Tracing the plan"),
            [model = m_document.model(), plan = m_plan, activations = m_document.activations(),
             target = m_document.target(),
             path = toPath(m_text)](JobMailbox<SegmentTrace>& arrivals, const JobContext& context) -> Result<void> {
                QL_TRY(graph, buildGraph(*model));
                QL_TRY(tokens, readTokens(*model, {path, {}}, context));
                const std::int64_t length = std::min(usualWindowLength(*model), std::ssize(tokens.ids));
                QL_TRY(window, tokens.windows(length, 1));
                QL_TRY(other, plannedVersion(*model,
                                             {.plan = &plan,
                                              .target = target ? &target->profile : nullptr,
                                              .activations = activations.get()},
                                             context));
                QL_CHECK(trace({graph, window, ownVersion(*model), other,
                                [&](const SegmentTrace& segment) { arrivals.put(segment); }},
                               context));
                return model->checkpoint->checkIntact();
            },
            [this](const Result<void>& result) {
                if (!result && result.error().code != Errc::cancelled)
                    m_problem = errorText(result.error());
                touch();
            });
        touch();
    }

    QString note() const
    {
        if (!m_document.isOpen())
            return {};
        if (!m_problem.isEmpty())
            return m_problem;
        if (m_text.isEmpty())
            return tr("Choose a text; the model reads its first window.");
        if (m_trace.empty())
            return tr("First window of %1").arg(QFileInfo(m_text).fileName());
        const SegmentTrace& last = m_trace.back();
        QString text = tr("After %1: relative RMSE %2, cosine %3")
                           .arg(toQString(last.segment), numberText(last.accumulated.relativeRmse),
                                fixedText(last.accumulated.cosine, 5));
        if (!m_feed.isRunning() && !(m_plan == m_document.plan()))
            text += tr(" · the plan has changed since, trace again");
        return text;
    }

    void draw() override
    {
        m_start->setEnabled(m_document.isOpen() && !m_feed.isRunning() && !m_text.isEmpty());
        m_choose->setEnabled(m_document.isOpen());
        m_note->setText(note());
        setProblemColor(*m_note, !m_problem.isEmpty());
        m_error->newChart();
        m_cosine->newChart();
        m_error->setMessage(!m_trace.empty()       ? QString()
                            : !m_document.isOpen() ? tr("Open a checkpoint first.")
                            : m_feed.isRunning()
                                ? tr("The first block is on its way…")
                                : tr("Trace runs model and plan over one window of text and compares their "
                                     "hidden states block by block."));
        m_cosine->setVisible(!m_trace.empty());
        if (m_trace.empty())
            return;
        drawError();
        drawCosine();
    }

    /// A kept embedding has no error to show.
    bool showsEmbedding() const { return m_trace.front().block < 0 && m_trace.front().accumulated.relativeRmse > 0; }

    /// Where a segment stands: its block, −1 for the embedding.
    static double place(const SegmentTrace& segment) { return static_cast<double>(segment.block); }

    template<typename Value>
    void addLine(QChart& chart, const QString& name, const QPen& pen, const Value& value) const
    {
        QList<QPointF> points;
        for (const SegmentTrace& segment : m_trace)
            if (segment.block >= 0 || showsEmbedding())
                points << QPointF(place(segment), value(segment));
        auto* line = new QLineSeries(&chart);
        line->setName(name);
        line->replace(points);
        line->setPen(pen);
        line->setPointsVisible(true);
        chart.addSeries(line);
    }

    void drawError()
    {
        QChart* chart = m_error->chart();
        const Colors c = colors(palette());
        addLine(*chart, tr("block alone"), QPen(c.series[0], 1.8, Qt::DashLine),
                [](const SegmentTrace& s) { return std::max(kLeastError, s.alone.relativeRmse); });
        addLine(*chart, tr("accumulated"), QPen(c.series[1], 1.8),
                [](const SegmentTrace& s) { return std::max(kLeastError, s.accumulated.relativeRmse); });
        double lowest = 1;
        double highest = kLeastError;
        for (const SegmentTrace& s : m_trace)
            for (const double error : {s.alone.relativeRmse, s.accumulated.relativeRmse}) {
                lowest = error > 0 ? std::min(lowest, error) : lowest;
                highest = std::max(highest, error);
            }
        auto* y = new QLogValueAxis(chart);
        setPowerTicks(*y, std::pow(10, std::floor(std::log10(std::max(kLeastError, lowest)))),
                      std::pow(10, std::ceil(std::log10(highest * 1.01))));
        finish(*m_error, y, tr("relative RMSE"), y->min(), y->max());
    }

    void drawCosine()
    {
        QChart* chart = m_cosine->chart();
        const Colors c = colors(palette());
        addLine(*chart, tr("block alone"), QPen(c.series[0], 1.8, Qt::DashLine),
                [](const SegmentTrace& s) { return s.alone.cosine; });
        addLine(*chart, tr("accumulated"), QPen(c.series[1], 1.8),
                [](const SegmentTrace& s) { return s.accumulated.cosine; });
        double lowest = 1;
        for (const SegmentTrace& s : m_trace)
            lowest = std::min({lowest, s.alone.cosine, s.accumulated.cosine});
        auto* y = new QValueAxis(chart);
        const double margin = std::max(1e-4, 0.1 * (1 - lowest));
        setRoundTicks(*y, lowest - margin, 1 + margin, 4);
        finish(*m_cosine, y, tr("cosine"), y->min(), y->max());
    }

    /// Axes, legend, and the mark of the current block.
    void finish(ChartView& view, QAbstractAxis* y, const QString& title, double low, double high)
    {
        QChart* chart = view.chart();
        const std::int64_t layer = m_document.selection().current();
        const std::int64_t block = layer >= 0 ? m_document.layer(layer).block : -1;
        QLineSeries* mark = nullptr;
        if (block >= 0) {
            mark = new QLineSeries(chart);
            mark->replace(QList<QPointF>{{static_cast<double>(block), low}, {static_cast<double>(block), high}});
            mark->setPen(QPen(colors(palette()).accent, 1, Qt::DotLine));
            chart->addSeries(mark);
        }
        auto* x = new QValueAxis(chart);
        const double first = showsEmbedding() ? -1 : 0;
        setRoundTicks(*x, first - kMargin, static_cast<double>(blockCount() - 1) + kMargin,
                      static_cast<int>(std::clamp<std::int64_t>(blockCount(), 2, 12)));
        x->setTitleText(showsEmbedding() ? tr("block (−1: the embedding)") : tr("block"));
        x->setLabelFormat(QStringLiteral("%.0f"));
        y->setTitleText(title);
        chart->addAxis(x, Qt::AlignBottom);
        chart->addAxis(y, Qt::AlignLeft);
        for (QAbstractSeries* series : chart->series()) {
            series->attachAxis(x);
            series->attachAxis(y);
        }
        chart->legend()->setVisible(true);
        chart->legend()->setMarkerShape(QLegend::MarkerShapeFromSeries);
        chart->legend()->setAlignment(Qt::AlignTop);
        if (mark)
            for (QLegendMarker* marker : chart->legend()->markers(mark))
                marker->setVisible(false);
        view.applyTheme();
    }

    std::int64_t blockCount() const { return m_document.model()->blockCount; }

    const SegmentTrace* nearest(double x) const
    {
        const auto found = std::min_element(m_trace.begin(), m_trace.end(), [x](const auto& a, const auto& b) {
            return std::fabs(place(a) - x) < std::fabs(place(b) - x);
        });
        return found == m_trace.end() ? nullptr : &*found;
    }

    /// The layer of the block that has the current one's role, or the block's first.
    void select(const QPointF& value)
    {
        const SegmentTrace* segment = nearest(value.x());
        if (!segment || segment->block < 0)
            return;
        const std::int64_t current = m_document.selection().current();
        const std::string role = current >= 0 ? m_document.layer(current).role : std::string();
        std::int64_t chosen = -1;
        for (const std::int64_t layer : m_document.planLayers()) {
            if (m_document.layer(layer).block != segment->block)
                continue;
            if (chosen < 0 || m_document.layer(layer).role == role)
                chosen = layer;
            if (m_document.layer(layer).role == role)
                break;
        }
        if (chosen < 0)
            return;
        m_document.selection().setSelected({chosen}, this);
        m_document.selection().setCurrent(chosen, this);
    }

    void hover(const QPointF& value, const QPoint& point, bool inside)
    {
        const SegmentTrace* segment = inside ? nearest(value.x()) : nullptr;
        if (!segment) {
            QToolTip::hideText();
            return;
        }
        const auto text = [](const HiddenError& error) {
            return tr("relative RMSE %1, cosine %2").arg(numberText(error.relativeRmse), fixedText(error.cosine, 5));
        };
        QToolTip::showText(point,
                           tr("%1\nalone: %2\naccumulated: %3")
                               .arg(toQString(segment->segment), text(segment->alone), text(segment->accumulated)),
                           this);
    }

    ViewTable table() const
    {
        ViewTable table{{QStringLiteral("segment"), QStringLiteral("alone_relative_rmse"),
                         QStringLiteral("alone_cosine"), QStringLiteral("accumulated_relative_rmse"),
                         QStringLiteral("accumulated_cosine")},
                        {}};
        for (const SegmentTrace& s : m_trace)
            table.rows.push_back({toQString(s.segment), plainNumber(s.alone.relativeRmse), plainNumber(s.alone.cosine),
                                  plainNumber(s.accumulated.relativeRmse), plainNumber(s.accumulated.cosine)});
        return table;
    }

    Document& m_document;
    ElidedLabel* m_note;
    QPushButton* m_choose;
    QPushButton* m_start;
    ChartView* m_error;
    ChartView* m_cosine;
    QString m_text;
    Plan m_plan; // that was traced
    std::vector<SegmentTrace> m_trace;
    JobFeed<SegmentTrace> m_feed;
    QString m_problem;
};

} // namespace

namespace panels {
extern const Panel trace;
const Panel trace{
    "trace", QT_TRANSLATE_NOOP("Panel", "Layer trace"), PanelPlace::bottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new TracePanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "trace_panel.moc"
