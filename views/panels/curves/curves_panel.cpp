// SPDX-License-Identifier: GPL-3.0-or-later
// FP against INT for the current layer: error of each family of formats over its bits, or what theory expects over the
// crest factor, with the layer's own point.
#include "core/analysis/error_curves.h"
#include "views/charts/axes.h"
#include "views/charts/chart_view.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/panels/curves/crest_chart.h"
#include "views/panels/panel.h"
#include "views/panels/view_menu.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLegend>
#include <QLegendMarker>
#include <QLineSeries>
#include <QLogValueAxis>
#include <QScatterSeries>
#include <QToolTip>
#include <QVBoxLayout>
#include <QValueAxis>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

namespace ql::views {

namespace {

constexpr double kLeastMse = 1e-30; // an exact format has none, and a logarithmic axis cannot show it

class CurvesPanel : public LayerPanel {
    Q_OBJECT
public:
    CurvesPanel(const PanelContext& context, QWidget* parent)
        : LayerPanel(context, parent),
          m_view(new ChartView(this)),
          m_what(new QComboBox(this)),
          m_group(new QComboBox(this)),
          m_crest(new QLabel(this))
    {
        m_what->addItems({tr("SQNR over bits"), tr("MSE over bits"), tr("INT or FP over the crest factor")});
        m_what->setObjectName(QStringLiteral("curvesShown"));
        m_what->setAccessibleName(tr("Error shown"));
        for (const int group : {0, 32, 64, 128})
            m_group->addItem(group == 0 ? tr("scale per channel") : tr("groups of %1").arg(group), group);
        m_group->setCurrentIndex(2);
        m_group->setToolTip(
            tr("Who shares a scale in the INT and ExMy curves; MX and NV formats have their own blocks"));
        m_group->setAccessibleName(tr("Granularity"));
        auto* top = new QHBoxLayout;
        top->setContentsMargins(8, 4, 8, 0);
        top->addWidget(m_what);
        top->addWidget(m_group);
        top->addStretch(1);
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(2);
        column->addLayout(top);
        column->addWidget(m_view, 1);
        m_crest->setWordWrap(true);
        m_crest->setContentsMargins(8, 0, 8, 4);
        column->addWidget(m_crest);
        m_view->setAccessibleName(tr("Error curves"));
        connect(m_what, &QComboBox::currentIndexChanged, this, &CurvesPanel::draw);
        connect(m_group, &QComboBox::currentIndexChanged, this, [this] {
            m_cache.clear();
            showLayer(shownLayer());
        });
        connect(m_view, &ChartView::themeChanged, this, &CurvesPanel::draw, Qt::QueuedConnection);
        connect(m_view, &ChartView::hovered, this, &CurvesPanel::hover);
        addViewMenu(m_view, [this] { return table(); });
        setFocusProxy(m_what);
    }

protected:
    void showLayer(std::int64_t layer) override
    {
        m_curves.reset();
        m_failure.clear();
        m_jobs.cancelChannel(QStringLiteral("curves"));
        if (m_model != m_document.model()) {
            m_model = m_document.model();
            m_cache.clear();
        }
        if (const auto cached = m_cache.find(layer); cached != m_cache.end())
            m_curves = cached->second;
        draw();
        if (m_curves || layer < 0 || !m_document.layer(layer).quantizable)
            return;
        m_jobs.start(
            {.title = tr("Error curves"), .channel = QStringLiteral("curves"), .quiet = true}, this,
            [model = m_document.model(), layer,
             group = m_group->currentData().toInt()](const JobContext& context) -> Result<ErrorCurves> {
                QL_TRY(weights, model->loadWeights(layer, context));
                QL_TRY(curves, computeErrorCurves(weights.view, group, context));
                QL_CHECK(model->checkpoint->checkIntact());
                return curves;
            },
            [this, layer](Result<ErrorCurves> curves) {
                if (curves) {
                    m_cache[layer] = *curves;
                    m_curves = std::move(*curves);
                } else {
                    m_failure = errorText(curves.error());
                }
                draw();
            });
    }

    void refreshPlan() override
    {
        if (m_curves)
            draw();
    }

private:
    bool showsMse() const { return m_what->currentIndex() == 1; }
    bool showsCrest() const { return m_what->currentIndex() == 2; }
    double valueOf(double sqnrDb, double mse) const { return showsMse() ? std::max(mse, kLeastMse) : sqnrDb; }

    void draw()
    {
        QChart* chart = m_view->newChart();
        const std::int64_t layer = shownLayer();
        m_crest->clear();
        m_view->setMessage(!m_document.isOpen()                   ? tr("Open a checkpoint to compare formats.")
                           : layer < 0                            ? tr("Select a layer.")
                           : !m_document.layer(layer).quantizable ? tr("This tensor is not quantized.")
                           : !m_failure.isEmpty()                 ? m_failure
                           : !m_curves                            ? tr("Measuring every format…")
                                                                  : QString());
        if (!m_curves)
            return;
        m_crest->setText(crestText());
        if (showsCrest())
            drawCrestChart(*m_view, *m_curves);
        else
            drawFamilies(*chart);
    }

    void drawFamilies(QChart& chart)
    {
        const Colors c = colors(m_view->palette());
        double lowest = INFINITY;
        double highest = -INFINITY;
        double mostBits = 8;
        std::size_t index = 0;
        for (const ErrorCurve& curve : m_curves->curves) {
            QList<QPointF> points;
            for (const CurvePoint& point : curve.points) {
                const double y = valueOf(point.sqnrDb, point.mse);
                if (!std::isfinite(y))
                    continue;
                points << QPointF(point.bitsPerWeight, y);
                lowest = std::min(lowest, y);
                highest = std::max(highest, y);
                mostBits = std::max(mostBits, point.bitsPerWeight);
            }
            if (points.isEmpty())
                continue;
            auto* line = new QLineSeries(&chart);
            line->setName(toQString(curve.family));
            line->replace(points);
            QPen pen(c.series[index % c.series.size()], 1.8);
            static constexpr Qt::PenStyle kStyles[] = {Qt::SolidLine, Qt::DashLine, Qt::DotLine};
            pen.setStyle(kStyles[(index / 2) % 3]); // families are told apart without colour as well
            line->setPen(pen);
            line->setPointsVisible(true);
            chart.addSeries(line);
            ++index;
        }
        if (!(highest >= lowest)) {
            m_view->setMessage(tr("No finite error to show."));
            return;
        }
        auto* x = new QValueAxis(&chart);
        setRoundTicks(*x, 2, std::ceil(mostBits), static_cast<int>(std::ceil(mostBits)) - 2);
        x->setTitleText(tr("stored bits per weight"));
        chart.addAxis(x, Qt::AlignBottom);
        QAbstractAxis* y = nullptr;
        if (showsMse()) {
            auto* axis = new QLogValueAxis(&chart);
            setPowerTicks(*axis, std::pow(10, std::floor(std::log10(lowest))),
                          std::pow(10, std::ceil(std::log10(highest))));
            axis->setTitleText(tr("MSE / weight²"));
            y = axis;
        } else {
            auto* axis = new QValueAxis(&chart);
            setRoundTicks(*axis, std::floor(lowest / 5) * 5, std::ceil(highest / 5) * 5, 5);
            axis->setTitleText(tr("SQNR / dB"));
            y = axis;
        }
        chart.addAxis(y, Qt::AlignLeft);
        addPlanned(chart, c);
        for (QAbstractSeries* series : chart.series()) {
            series->attachAxis(x);
            series->attachAxis(y);
        }
        chart.legend()->setVisible(true);
        chart.legend()->setMarkerShape(QLegend::MarkerShapeFromSeries); // dashes tell lines apart
        chart.legend()->setAlignment(Qt::AlignTop);
        m_view->applyTheme();
    }

    /// The plan's candidate as a diamond.
    void addPlanned(QChart& chart, const Colors& c)
    {
        const std::int64_t layer = shownLayer();
        const auto cell = m_document.plannedCell(layer);
        if (!cell || m_document.candidate(layer).weights.isKeep() || cell->error.count == 0)
            return;
        const double y = valueOf(cell->error.sqnrDb(), cell->error.mse());
        if (!std::isfinite(y))
            return;
        auto* mark = new QScatterSeries(&chart);
        mark->setName(tr("plan: %1").arg(toQString(printCandidate(m_document.candidate(layer)))));
        mark->replace(QList<QPointF>{{m_document.layerBits(layer), y}});
        mark->setMarkerShape(QScatterSeries::MarkerShapeRotatedRectangle);
        mark->setMarkerSize(12);
        mark->setColor(c.warn);
        mark->setBorderColor(c.text);
        chart.addSeries(mark);
    }

    QString crestText() const
    {
        const QString factors = tr("Crest factor max|w|/RMS: %1 in blocks of 32, %2 in blocks of 16, %3 per channel.")
                                    .arg(fixedText(m_curves->crestFactor32, 2), fixedText(m_curves->crestFactor16, 2),
                                         fixedText(m_curves->crestFactorChannel, 2));
        return showsCrest() ? factors + QLatin1Char(' ') +
                                  tr("For Gaussian blocks theory prefers %1.").arg(crestWinners(*m_curves))
                            : factors;
    }

    void hover(const QPointF& value, const QPoint& point, bool inside)
    {
        if (!inside || !m_curves) {
            QToolTip::hideText();
            return;
        }
        if (showsCrest()) {
            QToolTip::showText(point, crestTip(value.x()), m_view);
            return;
        }
        const QPointF pointer = m_view->chart()->mapToPosition(value);
        const CurvePoint* nearest = nullptr;
        double distance = 24; // pixels
        for (const ErrorCurve& curve : m_curves->curves) {
            for (const CurvePoint& candidate : curve.points) {
                const QPointF place = m_view->chart()->mapToPosition(
                    QPointF(candidate.bitsPerWeight, valueOf(candidate.sqnrDb, candidate.mse)));
                const double d = QLineF(place, pointer).length();
                if (d < distance) {
                    distance = d;
                    nearest = &candidate;
                }
            }
        }
        if (!nearest) {
            QToolTip::hideText();
            return;
        }
        QToolTip::showText(point,
                           tr("%1\n%2 bits per weight\nSQNR %3 dB, MSE %4 weight²")
                               .arg(toQString(nearest->scheme), fixedText(nearest->bitsPerWeight, 3),
                                    fixedText(nearest->sqnrDb, 2), numberText(nearest->mse)),
                           m_view);
    }

    ViewTable table() const
    {
        if (m_curves && showsCrest())
            return crestTable(*m_curves);
        ViewTable table{{QStringLiteral("family"), QStringLiteral("scheme"), QStringLiteral("bits_per_weight"),
                         QStringLiteral("sqnr_db"), QStringLiteral("mse")},
                        {}};
        if (m_curves) {
            for (const ErrorCurve& curve : m_curves->curves) {
                for (const CurvePoint& point : curve.points)
                    table.rows.push_back({toQString(curve.family), toQString(point.scheme),
                                          plainNumber(point.bitsPerWeight), plainNumber(point.sqnrDb),
                                          plainNumber(point.mse)});
            }
        }
        return table;
    }

    ChartView* m_view;
    QComboBox* m_what;
    QComboBox* m_group;
    QLabel* m_crest;
    std::optional<ErrorCurves> m_curves;
    std::map<std::int64_t, ErrorCurves> m_cache;
    std::shared_ptr<const Model> m_model;
    QString m_failure;
};

} // namespace

namespace panels {
extern const Panel curves;
const Panel curves{
    "curves", QT_TRANSLATE_NOOP("Panel", "Error curves"), PanelPlace::rightBottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new CurvesPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "curves_panel.moc"
