// SPDX-License-Identifier: GPL-3.0-or-later
// Proof of plans: perplexity of the model and of the plan and the KLD between them, window by window with their
// standard errors while a validation runs, or how far the outputs of a model that is no language model moved; and the
// table of all validations of the study.
#include "views/charts/axes.h"
#include "views/charts/chart_view.h"
#include "views/dialogs/validate_dialog.h"
#include "views/document/document.h"
#include "views/panels/drawn_panel.h"
#include "views/panels/panel.h"
#include "views/panels/row_table.h"
#include "views/panels/validation/outputs_view.h"
#include "views/panels/validation/validation_model.h"
#include "views/panels/view_menu.h"
#include "views/runs/runs.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/problem_color.h"
#include "views/theme/theme.h"

#include <QAreaSeries>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLegend>
#include <QLegendMarker>
#include <QLineSeries>
#include <QLocale>
#include <QPointer>
#include <QPushButton>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QTableView>
#include <QToolTip>
#include <QVBoxLayout>
#include <QValueAxis>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr std::size_t kMostPoints = 2000;
constexpr std::int64_t kErrorsFrom = 4; // windows; the error of fewer would rule the axis

using Curve = Measured ValidationPoint::*;

class ValidationPanel : public DrawnPanel {
    Q_OBJECT
public:
    ValidationPanel(const PanelContext& context, QWidget* parent)
        : DrawnPanel(parent),
          m_document(context.document),
          m_jobs(context.jobs),
          m_runs(context.runs),
          m_summary(new ElidedLabel(this)),
          m_validate(new QPushButton(tr("Val&idate…"), this)),
          m_stop(new QPushButton(tr("&Stop"), this)),
          m_perplexity(new ChartView(this)),
          m_kld(new ChartView(this)),
          m_outputs(new OutputsView(this)),
          m_model(new ValidationModel(context.runs.validations, this)),
          m_proxy(new QSortFilterProxyModel(this)),
          m_table(new QTableView(this))
    {
        auto* top = new QHBoxLayout;
        top->setContentsMargins(8, 4, 8, 0);
        top->addWidget(m_summary, 1);
        top->addWidget(m_stop);
        top->addWidget(m_validate);
        auto* parts = new QSplitter(this);
        parts->addWidget(m_perplexity);
        parts->addWidget(m_kld);
        parts->addWidget(m_outputs);
        parts->addWidget(m_table);
        parts->setChildrenCollapsible(false);
        parts->setSizes({300, 300, 350, 1000});
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(4);
        column->addLayout(top);
        column->addWidget(parts, 1);
        m_perplexity->setAccessibleName(tr("Perplexity over windows"));
        m_kld->setAccessibleName(tr("KLD over windows"));
        buildTable();
        const ValidationRuns& runs = m_runs.validations;
        connect(&runs, &ValidationRuns::added, this, &ValidationPanel::showNewest);
        connect(&runs, &ValidationRuns::reset, this, &ValidationPanel::showNewest);
        connect(&runs, &ValidationRuns::grown, this, &ValidationPanel::touch);
        connect(&runs, &ValidationRuns::stateChanged, this, &ValidationPanel::touch);
        connect(&m_document, &Document::modelChanged, this, &ValidationPanel::touch);
        connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this, &ValidationPanel::touch);
        connect(m_perplexity, &ChartView::themeChanged, this, &ValidationPanel::touch, Qt::QueuedConnection);
        connect(m_perplexity, &ChartView::hovered, this, &ValidationPanel::hover);
        connect(m_kld, &ChartView::hovered, this, &ValidationPanel::hover);
        connect(m_stop, &QPushButton::clicked, &m_runs.validations, &ValidationRuns::cancel);
        connect(m_validate, &QPushButton::clicked, this, [this] {
            auto* dialog = new ValidateDialog(m_document, m_jobs, m_runs, window());
            dialog->setAttribute(Qt::WA_DeleteOnClose);
            dialog->show();
        });
        for (ChartView* view : {m_perplexity, m_kld})
            addViewMenu(view, [this] { return pointsTable(); });
        addViewMenu(m_table, [this] { return tableOf(*m_table); });
        setFocusProxy(m_perplexity);
        draw();
    }

private:
    void buildTable()
    {
        m_proxy->setSourceModel(m_model);
        m_proxy->setSortRole(Qt::UserRole);
        m_table->setModel(m_proxy);
        m_table->setSortingEnabled(true);
        m_table->sortByColumn(ValidationModel::kTime, Qt::DescendingOrder);
        showAsRows(*m_table);
        m_table->setWordWrap(false);
        m_table->horizontalHeader()->setHighlightSections(false);
        m_table->horizontalHeader()->setStretchLastSection(true);
        const auto wide = [this](int column, const QString& sample) {
            m_table->setColumnWidth(column, fontMetrics().horizontalAdvance(sample) + 20);
        };
        wide(ValidationModel::kTime, QLocale().toString(QDateTime(QDate(2026, 11, 28), {}), QLocale::ShortFormat));
        wide(ValidationModel::kPlan, QStringLiteral("int4:g64:s=bf16 ×84"));
        wide(ValidationModel::kVariant, QStringLiteral("smooth+hadamard"));
        wide(ValidationModel::kBits, QStringLiteral("16.000"));
        wide(ValidationModel::kSize, QStringLiteral("123.4 MB"));
        wide(ValidationModel::kPerplexity, QStringLiteral("perplexity"));
        wide(ValidationModel::kPlanPerplexity, QStringLiteral("1234.567"));
        wide(ValidationModel::kKld, QStringLiteral("0.0123 ± 0.0008"));
        wide(ValidationModel::kSqnr, QStringLiteral("SQNR / dB"));
        wide(ValidationModel::kCosine, QStringLiteral("0.999999"));
        for (const int column : {ValidationModel::kLoss, ValidationModel::kPlanLoss})
            wide(column, QStringLiteral("12.3456"));
        for (const int column : {ValidationModel::kTop1, ValidationModel::kPlanTop1})
            wide(column, QStringLiteral("99.9 %"));
        wide(ValidationModel::kSameTop, QStringLiteral("same top-1"));
        wide(ValidationModel::kPredicted, QStringLiteral("predicted"));
        wide(ValidationModel::kCount, QStringLiteral("400 × 512"));
        wide(ValidationModel::kSource, QStringLiteral("test.txt")); // and what is left
        m_table->setAccessibleName(tr("Validations"));
        connect(m_table, &QTableView::activated, this, &ValidationPanel::adopt);
    }

    void showNewest()
    {
        m_table->setCurrentIndex(m_proxy->index(0, 0));
        touch();
    }

    /// The chosen row, or the newest.
    const ValidationRecord* shown() const
    {
        if (m_model->rowCount() == 0)
            return nullptr;
        const QModelIndex current = m_proxy->mapToSource(m_table->currentIndex());
        return &m_model->record(current.isValid() ? current.row() : 0);
    }

    void adopt(const QModelIndex& index)
    {
        const ValidationRecord& record = m_model->record(m_proxy->mapToSource(index).row());
        m_document.adoptPlanText(record.planJson.toStdString(), tr("Adopt the validated plan"),
                                 [summary = QPointer(m_summary)](const Result<void>& adopted) {
                                     if (!adopted && summary && adopted.error().code != Errc::cancelled) {
                                         setProblemColor(*summary);
                                         summary->setText(errorText(adopted.error()));
                                     }
                                 });
    }

    void draw() override
    {
        const ValidationRuns& runs = m_runs.validations;
        const ValidationRecord* record = shown();
        m_validate->setEnabled(m_document.isOpen() && !runs.isRunning());
        m_stop->setVisible(runs.isRunning());
        m_summary->setText(summary(record));
        setProblemColor(*m_summary, !runs.problem().isEmpty());
        const QString message =
            !m_document.isOpen() ? tr("Open a checkpoint first.")
            : runs.isRunning()   ? tr("The first figures are on their way…")
                                 : tr("Validate runs the plan beside the model on held-out text, pictures or arrays.");
        for (int column = 0; column < ValidationModel::kColumns; ++column)
            m_table->setColumnHidden(column, !m_model->isUsed(column));
        const bool hasOutputs = record && record->outputs;
        m_perplexity->newChart();
        m_kld->newChart();
        m_perplexity->setMessage(record ? QString() : message);
        m_outputs->setVisible(hasOutputs);
        m_perplexity->setVisible(!hasOutputs);
        m_kld->setVisible(record && !hasOutputs);
        setFocusProxy(hasOutputs ? static_cast<QWidget*>(m_outputs) : m_perplexity);
        if (!record)
            return;
        if (hasOutputs) {
            m_outputs->setPoint(*record->outputs);
            return;
        }
        drawCurves(*m_perplexity, *record, tr("perplexity"),
                   {{&ValidationPoint::perplexity, tr("model")}, {&ValidationPoint::planPerplexity, tr("plan")}});
        drawCurves(*m_kld, *record, tr("KLD / nats per token"), {{&ValidationPoint::kld, tr("mean KLD of the plan")}});
    }

    QString summary(const ValidationRecord* record) const
    {
        const ValidationRuns& runs = m_runs.validations;
        if (!runs.problem().isEmpty())
            return runs.problem();
        if (!record)
            return {};
        QString text = record->outputs ? summary(*record->outputs) : summary(record->last());
        if (runs.isRunning() && record == &runs.records().back()) {
            const QString wanted = countedCases(runs.wanted(), record->length > 0);
            text += tr(" · %1 of %2").arg(countText(record->count()), wanted);
        }
        return text;
    }

    static QString summary(const ValidationPoint& last)
    {
        return tr("Perplexity %1 ± %2, plan %3 ± %4 · KLD %5 ± %6 nats per token · same top-1 %7 ± %8")
            .arg(fixedText(last.perplexity.value, 3), numberText(last.perplexity.error, 2),
                 fixedText(last.planPerplexity.value, 3), numberText(last.planPerplexity.error, 2),
                 numberText(last.kld.value), numberText(last.kld.error, 2), percentText(last.sameTop.value),
                 percentText(last.sameTop.error));
    }

    static QString summary(const OutputsPoint& last)
    {
        const auto with = [](const RowMean& mean) { return withErrorText(mean.value, mean.error, 3); };
        const auto share = [](const RowMean& mean) { return percentWithErrorText(mean.value, mean.error); };
        const OutputScore& output = last.leading();
        const OutputsScore& score = last.score;
        QString text = tr("SQNR of %1 %2 dB · cosine %3, least %4")
                           .arg(toQString(output.name), fixedText(output.sqnrDb, 2), fixedText(output.cosine.value, 6),
                                fixedText(output.leastCosine, 6));
        if (last.hasAnswers())
            text += tr(" · loss %1, plan %2 · top-1 %3, plan %4")
                        .arg(with(score.model.loss), with(score.other.loss), share(score.model.top1),
                             share(score.other.top1));
        if (last.hasLogits())
            text += tr(" · same top-1 %1").arg(share(score.sameTop));
        return text;
    }

    /// Lines with a band of one standard error on both sides.
    static void drawCurves(ChartView& view, const ValidationRecord& record, const QString& title,
                           const std::vector<std::pair<Curve, QString>>& curves)
    {
        QChart* chart = view.chart();
        const Colors c = colors(view.palette());
        const std::size_t step = record.points.size() / kMostPoints + 1;
        double lowest = INFINITY;
        double highest = -INFINITY;
        QList<QAbstractSeries*> bands;
        std::size_t color = curves.size() > 1 ? 0 : 2;
        for (const auto& [curve, name] : curves) {
            QList<QPointF> line;
            QList<QPointF> upper;
            QList<QPointF> lower;
            for (std::size_t i = 0; i < record.points.size(); i += step) {
                const ValidationPoint& point = record.points[i];
                const Measured& measured = point.*curve;
                const auto x = static_cast<double>(point.windows);
                line << QPointF(x, measured.value);
                lowest = std::min(lowest, measured.value);
                highest = std::max(highest, measured.value);
                if (point.windows < kErrorsFrom)
                    continue;
                upper << QPointF(x, measured.value + measured.error);
                lower << QPointF(x, measured.value - measured.error);
                lowest = std::min(lowest, lower.back().y());
                highest = std::max(highest, upper.back().y());
            }
            const QColor ink = c.series[color++];
            if (upper.size() > 1) {
                auto* top = new QLineSeries(chart);
                auto* bottom = new QLineSeries(chart);
                top->replace(upper);
                bottom->replace(lower);
                auto* band = new QAreaSeries(top, bottom);
                QColor fill = ink;
                fill.setAlpha(45);
                band->setBrush(fill);
                band->setPen(Qt::NoPen);
                chart->addSeries(band);
                bands << band;
            }
            auto* series = new QLineSeries(chart);
            series->setName(name);
            series->replace(line);
            series->setPen(QPen(ink, 1.8));
            series->setPointsVisible(line.size() <= 64);
            chart->addSeries(series);
        }
        auto* x = new QValueAxis(chart);
        setRoundTicks(*x, 0, static_cast<double>(std::max<std::int64_t>(2, record.last().windows)), 4);
        x->setTitleText(tr("windows"));
        auto* y = new QValueAxis(chart);
        const double margin = std::max(0.05 * (highest - lowest), 1e-9 + 0.001 * std::fabs(highest));
        setRoundTicks(*y, std::max(0.0, lowest - margin), highest + margin, 4);
        y->setTitleText(title);
        chart->addAxis(x, Qt::AlignBottom);
        chart->addAxis(y, Qt::AlignLeft);
        for (QAbstractSeries* series : chart->series()) {
            series->attachAxis(x);
            series->attachAxis(y);
        }
        chart->legend()->setVisible(true);
        chart->legend()->setAlignment(Qt::AlignTop);
        for (QAbstractSeries* band : bands)
            for (QLegendMarker* marker : chart->legend()->markers(band))
                marker->setVisible(false);
        view.applyTheme();
    }

    void hover(const QPointF& value, const QPoint& point, bool inside)
    {
        const ValidationRecord* record = shown();
        if (!inside || !record) {
            QToolTip::hideText();
            return;
        }
        const auto nearest = std::min_element(record->points.begin(), record->points.end(),
                                              [&](const ValidationPoint& a, const ValidationPoint& b) {
                                                  return std::fabs(static_cast<double>(a.windows) - value.x()) <
                                                         std::fabs(static_cast<double>(b.windows) - value.x());
                                              });
        const auto with = [](const Measured& m) {
            return QStringLiteral("%1 ± %2").arg(numberText(m.value, 5), numberText(m.error, 2));
        };
        QToolTip::showText(point,
                           tr("%1 windows\nperplexity %2\nof the plan %3\nKLD %4 nats per token")
                               .arg(countText(nearest->windows), with(nearest->perplexity),
                                    with(nearest->planPerplexity), with(nearest->kld)),
                           this);
    }

    ViewTable pointsTable() const
    {
        ViewTable table{{QStringLiteral("windows"), QStringLiteral("perplexity"), QStringLiteral("perplexity_error"),
                         QStringLiteral("plan_perplexity"), QStringLiteral("plan_perplexity_error"),
                         QStringLiteral("kld"), QStringLiteral("kld_error"), QStringLiteral("same_top"),
                         QStringLiteral("same_top_error")},
                        {}};
        if (const ValidationRecord* record = shown())
            for (const ValidationPoint& point : record->points) {
                QStringList row{QString::number(point.windows)};
                for (const Measured& m : {point.perplexity, point.planPerplexity, point.kld, point.sameTop})
                    row << plainNumber(m.value) << plainNumber(m.error);
                table.rows.push_back(row);
            }
        return table;
    }

    Document& m_document;
    JobRunner& m_jobs;
    Runs& m_runs;
    ElidedLabel* m_summary;
    QPushButton* m_validate;
    QPushButton* m_stop;
    ChartView* m_perplexity;
    ChartView* m_kld;
    OutputsView* m_outputs;
    ValidationModel* m_model;
    QSortFilterProxyModel* m_proxy;
    QTableView* m_table;
};

} // namespace

namespace panels {
extern const Panel validation;
const Panel validation{
    "validation", QT_TRANSLATE_NOOP("Panel", "Validation"), PanelPlace::bottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new ValidationPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "validation_panel.moc"
