// SPDX-License-Identifier: GPL-3.0-or-later
// Whether predictions hold: every plan that was validated, what was predicted of it and what it measured, as a chart
// and a table; and, while the last one missed, what is suspected.
#include "views/document/document.h"
#include "views/panels/drawn_panel.h"
#include "views/panels/panel.h"
#include "views/panels/panel_side.h"
#include "views/panels/predictions/prediction_chart.h"
#include "views/panels/predictions/predictions_model.h"
#include "views/panels/row_table.h"
#include "views/panels/view_menu.h"
#include "views/runs/measured_plans.h"
#include "views/runs/runs.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/problem_color.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QTableView>
#include <QVBoxLayout>

#include <algorithm>
#include <map>

namespace ql::views {

namespace {

constexpr qsizetype kHashDigits = 10; // of a plan that no validation here knows

class PredictionsPanel : public DrawnPanel {
    Q_OBJECT
public:
    PredictionsPanel(const PanelContext& context, QWidget* parent)
        : DrawnPanel(parent),
          m_document(context.document),
          m_runs(context.runs),
          m_measured(context.document, context.runs.validations),
          m_summary(new ElidedLabel(this)),
          m_chart(new PredictionChart(this)),
          m_model(new PredictionsModel(this)),
          m_proxy(new QSortFilterProxyModel(this)),
          m_table(new QTableView(this))
    {
        showTable();
        auto* top = new QHBoxLayout;
        top->addWidget(m_summary, 1);
        auto* parts = new QSplitter(this);
        parts->addWidget(m_chart);
        parts->addWidget(panelSide(top, m_table, nullptr));
        parts->setChildrenCollapsible(false);
        parts->setStretchFactor(0, 2);
        parts->setStretchFactor(1, 3);
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->addWidget(parts);
        m_chart->setAccessibleName(tr("Predicted against measured"));
        m_chart->setObjectName(QStringLiteral("predictionChart"));
        m_summary->setObjectName(QStringLiteral("predictionsSummary"));
        const auto again = [this] { touch(); };
        connect(&m_runs.predictions, &Predictions::changed, this, again);
        connect(&m_runs.validations, &ValidationRuns::reset, this, again); // which name the plans
        connect(&m_document, &Document::modelChanged, this, again);
        connect(&m_document, &Document::settingsChanged, this, again); // the metric
        connect(&m_document, &Document::totalsChanged, this, [this] {
            if (m_document.isOpen() && source() != m_source) // probes tell, or no longer
                touch();
        });
        connect(m_chart, &PredictionChart::pointChosen, this,
                [this](int point) { m_table->setCurrentIndex(m_proxy->mapFromSource(m_model->index(point, 0))); });
        connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
                [this](const QModelIndex& index) { m_chart->setChosen(m_proxy->mapToSource(index).row()); });
        addViewMenu(m_chart, [this] { return pointsTable(); });
        addViewMenu(m_table, [this] { return pointsTable(); });
        setFocusProxy(m_chart);
        draw();
    }

private:
    void showTable()
    {
        m_proxy->setSourceModel(m_model);
        m_proxy->setSortRole(Qt::UserRole);
        m_table->setModel(m_proxy);
        m_table->setSortingEnabled(true);
        m_table->sortByColumn(-1, Qt::AscendingOrder); // as they come
        showAsRows(*m_table);
        m_table->setWordWrap(false);
        m_table->setMinimumSize(90, 40);
        m_table->setAccessibleName(tr("Predictions and measurements"));
        m_table->horizontalHeader()->setHighlightSections(false);
        m_table->horizontalHeader()->setStretchLastSection(true);
        const auto wide = [this](int column, const QString& sample) {
            m_table->setColumnWidth(column, fontMetrics().horizontalAdvance(sample) + 24);
        };
        wide(PredictionsModel::kPlan, QStringLiteral("int4:g64:s=bf16 ×84"));
        wide(PredictionsModel::kText, QStringLiteral("test.txt, 40 windows"));
        wide(PredictionsModel::kPredicted, QStringLiteral("predicted"));
        wide(PredictionsModel::kInterval, QStringLiteral("0.00123 … 0.00456"));
        wide(PredictionsModel::kMeasured, QStringLiteral("0.001234 ± 0.00012"));
    }

    /// What the plan's losses are of, if any was predicted so; else that of the last record.
    std::string source() const
    {
        const std::vector<PredictionRecord>& records = m_runs.predictions.records();
        std::string now = m_document.lossSource();
        const bool isKnown =
            std::ranges::any_of(records, [&](const PredictionRecord& record) { return record.of.metric == now; });
        return records.empty() || isKnown ? now : records.back().of.metric;
    }

    std::vector<PredictionsModel::Row> rowsOf(const std::string& source)
    {
        std::map<std::string, QString> names; // by hash
        for (const MeasuredPlan& plan : m_measured.all())
            names[planHash(*plan.plan, *m_document.model())] = plan.record->plan;
        const std::vector<PredictionRecord>& records = m_runs.predictions.records();
        std::vector<PredictionsModel::Row> rows;
        for (auto record = records.rbegin(); record != records.rend(); ++record) {
            if (record->of.metric != source)
                continue;
            const auto name = names.find(record->plan);
            rows.push_back({.record = *record,
                            .plan = name != names.end() ? name->second : toQString(record->plan).left(kHashDigits),
                            .expected = record->wasPredicted
                                            ? record->expected
                                            : lossModelOf(records, record->of, record->plan, record->groups)
                                                  .predict(record->point.predicted, 0, record->point.shares)});
        }
        return rows;
    }

    void draw() override
    {
        const std::string source = m_document.isOpen() ? this->source() : std::string();
        m_source = source;
        m_model->setRows(source.empty() ? std::vector<PredictionsModel::Row>() : rowsOf(source));
        std::vector<PredictedPoint> points;
        for (const PredictionsModel::Row& row : m_model->rows())
            points.push_back({.predicted = row.expected.value,
                              .low = row.expected.low,
                              .high = row.expected.high,
                              .measured = row.record.point.measured,
                              .wasPredicted = row.record.wasPredicted,
                              .isInside = row.isInside(),
                              .tip = tr("%1\npredicted %2, measured %3 nats per token")
                                         .arg(row.plan, numberText(row.expected.value, 4),
                                              numberText(row.record.point.measured, 4))});
        m_chart->setPoints(std::move(points));
        m_chart->setChosen(-1);
        m_chart->setMessage(!m_document.isOpen() ? tr("Open a checkpoint first.")
                            : m_model->rowCount() == 0
                                ? tr("Validate plans of a language model that is calibrated with "
                                     "gradients (Calibrate…, Fisher information): each says how well "
                                     "its KLD was predicted.")
                                : QString());
        const bool isBroken = m_model->rowCount() > 0 && !m_runs.predictions.isTrusted(source);
        setProblemColor(*m_summary, isBroken);
        m_summary->setText(m_model->rowCount() > 0 ? summary(source, isBroken) : QString());
        m_summary->setToolTip(isBroken ? m_runs.predictions.suspects(source) : QString());
    }

    QString summary(const std::string& source, bool isBroken) const
    {
        const auto& rows = m_model->rows();
        const auto predicted = std::ranges::count_if(rows, [](const auto& row) { return row.record.wasPredicted; });
        const auto inside =
            std::ranges::count_if(rows, [](const auto& row) { return row.record.wasPredicted && row.isInside(); });
        const QString counted =
            tr("%1: %2 plans measured, %3 of them predicted before, %4 inside their interval.")
                .arg(sourceTitle(source), countText(std::ssize(rows)), countText(predicted), countText(inside));
        if (!isBroken)
            return counted;
        const QString suspects = m_runs.predictions.suspects(source);
        return tr("The last prediction missed; %1 %2")
            .arg(suspects.isEmpty()
                     ? tr("what is to blame shows once more plans are measured.")
                     : tr("suspected: %1.").arg(QString(suspects).replace(QLatin1Char('\n'), QStringLiteral("; "))),
                 counted);
    }

    ViewTable pointsTable() const
    {
        ViewTable table{{QStringLiteral("plan"), QStringLiteral("text"), QStringLiteral("windows"),
                         QStringLiteral("runtime"), QStringLiteral("sum"), QStringLiteral("predicted"),
                         QStringLiteral("low"), QStringLiteral("high"), QStringLiteral("was_predicted"),
                         QStringLiteral("measured"), QStringLiteral("standard_error"), QStringLiteral("losses")},
                        {}};
        for (const PredictionsModel::Row& row : m_model->rows())
            table.rows.push_back({row.plan, toQString(row.record.text), QString::number(row.record.windowCount),
                                  toQString(row.record.of.runtime), plainNumber(row.record.point.predicted.sum),
                                  plainNumber(row.expected.value), plainNumber(row.expected.low),
                                  plainNumber(row.expected.high),
                                  row.record.wasPredicted ? QStringLiteral("1") : QStringLiteral("0"),
                                  plainNumber(row.record.point.measured), plainNumber(row.record.point.standardError),
                                  toQString(row.record.losses)});
        return table;
    }

    Document& m_document;
    Runs& m_runs;
    MeasuredPlans m_measured;
    ElidedLabel* m_summary;
    PredictionChart* m_chart;
    PredictionsModel* m_model;
    QSortFilterProxyModel* m_proxy;
    QTableView* m_table;
    std::string m_source; // of what is shown
};

} // namespace

namespace panels {
extern const Panel predictions;
const Panel predictions{
    "predictions", QT_TRANSLATE_NOOP("Panel", "Predicted and measured"), PanelPlace::bottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new PredictionsPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "predictions_panel.moc"
