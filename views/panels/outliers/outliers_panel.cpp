// SPDX-License-Identifier: GPL-3.0-or-later
// Where the current layer's large weights sit. The pyramid is built by a job; the three latest stay in memory up to
// 512 MB.
#include "core/analysis/outliers.h"
#include "views/document/document.h"
#include "views/document/layer_names.h"
#include "views/heatmap/heat_map.h"
#include "views/jobs/job_runner.h"
#include "views/panels/panel.h"
#include "views/panels/view_menu.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"

#include <QCheckBox>
#include <QHBoxLayout>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>
#include <deque>

namespace ql::views {

namespace {

constexpr double kSigmas = 6;
constexpr std::size_t kListed = 100;
constexpr std::int64_t kCacheBytes = 512'000'000;

struct OutlierView {
    std::shared_ptr<const OutlierPyramid> pyramid;
    OutlierSummary summary;
    std::int64_t sizeBytes() const
    {
        return 4 * static_cast<std::int64_t>(pyramid->values.size() + pyramid->values.size() / 3);
    }
};

class OutliersPanel : public LayerPanel {
    Q_OBJECT
public:
    OutliersPanel(const PanelContext& context, QWidget* parent)
        : LayerPanel(context, parent),
          m_map(new HeatMap(this)),
          m_where(new ElidedLabel(this)),
          m_summary(new ElidedLabel(this)),
          m_log(new QCheckBox(tr("Lo&garithmic"), this))
    {
        auto* top = new QHBoxLayout;
        top->setContentsMargins(8, 4, 8, 0);
        top->addWidget(m_summary, 1);
        auto* previous = new QToolButton(this);
        auto* next = new QToolButton(this);
        previous->setArrowType(Qt::LeftArrow);
        next->setArrowType(Qt::RightArrow);
        previous->setToolTip(tr("Previous of the 100 largest weights (Shift+N)"));
        next->setToolTip(tr("Next of the 100 largest weights (N)"));
        previous->setAccessibleName(tr("Previous outlier"));
        next->setAccessibleName(tr("Next outlier"));
        auto* fit = new QToolButton(this);
        fit->setText(tr("Fit"));
        fit->setToolTip(tr("Shows the whole matrix (0)"));
        for (QWidget* widget : {static_cast<QWidget*>(previous), static_cast<QWidget*>(next),
                                static_cast<QWidget*>(fit), static_cast<QWidget*>(m_log)})
            top->addWidget(widget);
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(2);
        column->addLayout(top);
        column->addWidget(m_map, 1);
        m_where->setContentsMargins(8, 0, 8, 4);
        column->addWidget(m_where);
        m_log->setChecked(m_map->isLogarithmic());
        m_log->setToolTip(tr("Colours by the logarithm of the magnitude (L)"));
        connect(m_log, &QCheckBox::toggled, m_map, &HeatMap::setLogarithmic);
        connect(m_map, &HeatMap::logarithmicChanged, m_log, &QCheckBox::setChecked);
        connect(previous, &QToolButton::clicked, m_map, [this] { m_map->stepOutlier(-1); });
        connect(next, &QToolButton::clicked, m_map, [this] { m_map->stepOutlier(1); });
        connect(fit, &QToolButton::clicked, m_map, &HeatMap::fit);
        connect(m_map, &HeatMap::hovered, this, &OutliersPanel::hover);
        addViewMenu(m_map, [this] { return table(); });
        setFocusProxy(m_map);
        hover(-1, -1);
    }

protected:
    void showLayer(std::int64_t layer) override
    {
        m_view = {};
        m_map->setPyramid(nullptr);
        m_summary->clear();
        m_summary->setToolTip({});
        m_jobs.cancelChannel(channel());
        if (m_model != m_document.model()) {
            m_model = m_document.model();
            m_cache.clear();
        }
        if (layer < 0 || !m_document.layer(layer).quantizable) {
            m_map->setMessage(!m_document.isOpen() ? tr("Open a checkpoint to see its weights.")
                              : layer < 0          ? tr("Select a layer.")
                                                   : tr("This tensor is not a weight matrix."));
            return;
        }
        for (const auto& [cached, view] : m_cache) {
            if (cached == layer) {
                show(view);
                return;
            }
        }
        m_map->setMessage(tr("Looking for outliers…"));
        m_jobs.start(
            {.title = tr("Outlier map"), .channel = channel(), .quiet = true}, this,
            [model = m_document.model(), layer](const JobContext& context) -> Result<std::shared_ptr<OutlierView>> {
                QL_TRY(weights, model->loadWeights(layer, context));
                QL_TRY(pyramid, computePyramid(weights.view, context));
                QL_TRY(summary, findOutliers(weights.view, context, kSigmas, kListed));
                QL_CHECK(model->checkpoint->checkIntact());
                auto view = std::make_shared<OutlierView>();
                view->pyramid = std::make_shared<const OutlierPyramid>(std::move(pyramid));
                view->summary = std::move(summary);
                return view;
            },
            [this, layer](const Result<std::shared_ptr<OutlierView>>& result) {
                if (!result) {
                    m_map->setMessage(errorText(result.error()));
                    return;
                }
                const OutlierView& view = **result;
                m_cache.emplace_front(layer, view);
                std::int64_t kept = 0;
                std::size_t count = 0;
                for (const auto& entry : m_cache) {
                    kept += entry.second.sizeBytes();
                    if (kept > kCacheBytes)
                        break;
                    ++count;
                }
                m_cache.resize(std::max<std::size_t>(count, 1));
                show(view);
            });
    }

private:
    static QString channel() { return QStringLiteral("outliers"); }

    void show(const OutlierView& view)
    {
        m_view = view;
        m_map->setPyramid(view.pyramid);
        m_map->setOutliers(view.summary.largest);
        const Layer& layer = m_document.layer(shownLayer());
        const QString text = tr("%1    largest |w| %2, beyond 6 σ: %3 (%4)")
                                 .arg(nameWithBlock(layer), numberText(static_cast<double>(view.pyramid->absmax), 4),
                                      countText(view.summary.count), percentText(view.summary.share));
        m_summary->setText(text);
        m_summary->setToolTip(toQString(layer.name));
    }

    void hover(qint64 row, qint64 col)
    {
        m_document.selection().setHovered(row, col, this);
        if (row < 0 || !m_view.pyramid) {
            m_where->setText(tr("Wheel zooms, drag pans, 0 fits, N goes to the next outlier"));
            return;
        }
        QString text = tr("row (output) %1, column (input) %2").arg(countText(row), countText(col));
        const OutlierPyramid& pyramid = *m_view.pyramid;
        if (!pyramid.values.empty())
            text +=
                tr(":  weight %1")
                    .arg(numberText(
                        static_cast<double>(pyramid.values[static_cast<std::size_t>(row * pyramid.cols + col)]), 6));
        text += tr("    row max %1, column max %2")
                    .arg(numberText(static_cast<double>(pyramid.rowMax[static_cast<std::size_t>(row)]), 4),
                         numberText(static_cast<double>(pyramid.colMax[static_cast<std::size_t>(col)]), 4));
        m_where->setText(text);
    }

    ViewTable table() const
    {
        ViewTable table{{QStringLiteral("row"), QStringLiteral("column"), QStringLiteral("weight")}, {}};
        for (const Outlier& outlier : m_view.summary.largest)
            table.rows.push_back(
                {QString::number(outlier.row), QString::number(outlier.col), plainNumber(outlier.value)});
        return table;
    }

    HeatMap* m_map;
    ElidedLabel* m_where;
    ElidedLabel* m_summary;
    QCheckBox* m_log;
    OutlierView m_view;
    std::shared_ptr<const Model> m_model;
    std::deque<std::pair<std::int64_t, OutlierView>> m_cache;
};

} // namespace

namespace panels {
extern const Panel outliers;
const Panel outliers{
    "outliers", QT_TRANSLATE_NOOP("Panel", "Outlier map"), PanelPlace::centre,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new OutliersPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "outliers_panel.moc"
