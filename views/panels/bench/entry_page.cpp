// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/bench/entry_page.h"

#include "core/analysis/median_levels.h"
#include "core/plan/runs_in.h"
#include "core/realize/realize.h"
#include "views/charts/axes.h"
#include "views/charts/chart_view.h"
#include "views/charts/histogram_series.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QAreaSeries>
#include <QDialogButtonBox>
#include <QLabel>
#include <QLegend>
#include <QLineSeries>
#include <QLogValueAxis>
#include <QSplitter>
#include <QTextBrowser>
#include <QVBoxLayout>
#include <QValueAxis>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

QString cell(const QString& text, bool isNumber = false)
{
    return QStringLiteral("<td%1>%2</td>")
        .arg(isNumber ? QStringLiteral(" align=\"right\"") : QString(), text.toHtmlEscaped());
}

QString row(const QStringList& cells)
{
    return QStringLiteral("<tr>%1</tr>").arg(cells.join(QString()));
}

QString section(const QString& title, const QString& rows)
{
    return QStringLiteral("<h4>%1</h4><table cellspacing=\"0\" cellpadding=\"3\">%2</table>")
        .arg(title.toHtmlEscaped(), rows);
}

QString runsInText(const Model& model, const Layer& layer, const Candidate& candidate)
{
    std::vector<const TargetProfile*> targets;
    for (const Target* target : allTargets())
        targets.push_back(&target->profile);
    QStringList runtimes;
    QStringList stores;
    for (const TargetProfile* target : runsIn(model, layer, candidate, targets))
        (target->onlyStores ? stores : runtimes)
            << EntryPage::tr("%1 (%2)").arg(toQString(target->id), toQString(target->loadedBy));
    if (!runtimes.isEmpty())
        return runtimes.join(QStringLiteral("; "));
    return stores.isEmpty() ? EntryPage::tr("no target holds it in this layer")
                            : EntryPage::tr("research: stored in %1 only").arg(stores.join(QStringLiteral("; ")));
}

} // namespace

EntryPage::EntryPage(const Document& document, JobRunner& jobs, std::int64_t layer, const Candidate& candidate,
                     QWidget* parent)
    : QDialog(parent),
      m_jobs(jobs),
      m_layer(toQString(document.layer(layer).name)),
      m_candidate(candidate),
      m_view(new ChartView(this)),
      m_note(new QLabel(this)),
      m_text(new QTextBrowser(this))
{
    const Layer& its = document.layer(layer);
    const auto explanation = explain(candidate, its.shape);
    setWindowTitle(toQString(printCandidate(candidate)));
    resize(760, 720);
    m_view->setAccessibleName(tr("Levels over the weights"));
    m_text->setAccessibleName(tr("Explanation"));
    m_text->setFrameShape(QFrame::NoFrame);
    m_note->setWordWrap(true);
    m_note->setContentsMargins(8, 0, 8, 0);
    if (explanation)
        m_text->setHtml(html(*explanation, runsInText(*document.model(), its, candidate)));
    auto* top = new QWidget(this);
    auto* picture = new QVBoxLayout(top);
    picture->setContentsMargins(0, 0, 0, 0);
    picture->addWidget(m_view, 1);
    picture->addWidget(m_note);
    auto* parts = new QSplitter(Qt::Vertical, this);
    parts->addWidget(top);
    parts->addWidget(m_text);
    parts->setStretchFactor(0, 2);
    parts->setStretchFactor(1, 3);
    parts->setChildrenCollapsible(false);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto* column = new QVBoxLayout(this);
    column->addWidget(parts, 1);
    column->addWidget(buttons);
    m_text->setFocus(); // arrows scroll
    connect(m_view, &ChartView::themeChanged, this, &EntryPage::draw, Qt::QueuedConnection);
    m_view->setMessage(tr("Counting…"));
    m_job = m_jobs.start(
        {.title = tr("Levels of %1").arg(windowTitle()), .channel = {}, .quiet = true}, this,
        [model = document.model(), activations = document.activations(), layer, candidate](const JobContext& context) {
            return makePicture(*model, layer, candidate, activations.get(), context);
        },
        [this](Result<Picture> made) {
            m_job = 0;
            if (made)
                m_picture = std::move(*made);
            else
                m_view->setMessage(errorText(made.error()));
            draw();
        });
}

EntryPage::~EntryPage()
{
    if (m_job != 0)
        m_jobs.cancel(m_job);
}

Result<EntryPage::Picture> EntryPage::makePicture(const Model& model, std::int64_t layer, const Candidate& candidate,
                                                  const Activations* activations, const JobContext& context)
{
    Picture picture;
    QL_TRY(weights, model.loadWeights(layer, context));
    QL_TRY(histogram, computeHistogram(weights.view, context));
    picture.weights = std::move(histogram).rebinned(kShownBins);
    QL_CHECK(model.checkpoint->checkIntact());
    if (candidate.weights.isKeep())
        return picture;
    const auto quantized = realize(model, layer, candidate, activations, context);
    if (quantized)
        picture.levels = medianLevels(*quantized);
    else if (quantized.error().code == Errc::usage || quantized.error().code == Errc::refused)
        picture.refusal = errorText(quantized.error());
    else
        return quantized.error();
    return picture;
}

QString EntryPage::levelsNote(bool drawn) const
{
    if (!m_picture->refusal.isEmpty())
        return tr("No levels on this layer: %1").arg(m_picture->refusal);
    if (m_picture->levels.empty())
        return m_candidate.weights.isCast() || m_candidate.weights.isKeep()
                   ? tr("Weights of %1. Nothing is scaled, so there are no levels to draw.").arg(m_layer)
                   : tr("Weights of %1. A code is of several weights, so one has no levels of its own.").arg(m_layer);
    return drawn ? tr("Weights of %1; the levels are drawn at the median of its scales.").arg(m_layer)
                 : tr("Weights of %1. The levels, at the median of its scales, lie closer than can be drawn.")
                       .arg(m_layer);
}

void EntryPage::draw()
{
    if (!m_picture)
        return;
    QChart* chart = m_view->newChart();
    const Histogram& shown = m_picture->weights;
    m_view->setMessage(shown.total() == 0 ? tr("No finite values.") : QString());
    if (shown.total() == 0)
        return;
    const Colors c = colors(m_view->palette());
    const auto most = static_cast<double>(*std::ranges::max_element(shown.counts));
    const double top = std::pow(10, std::ceil(std::log10(most * 1.2)));
    addHistogram(*chart, shown, kLogFloor, c.series[0], tr("weights"));
    // From below the axis, so that what joins the ticks is out of sight.
    const QList<QPointF> ticks = levelTicks(m_picture->levels, shown, kLogFloor / 2, top, m_view->width() - 60);
    if (!ticks.isEmpty()) {
        auto* levels = new QLineSeries(chart);
        levels->setName(tr("%1 levels").arg(m_picture->levels.size()));
        levels->replace(ticks);
        levels->setPen(QPen(c.series[1], 1.2));
        chart->addSeries(levels);
    }
    m_note->setText(levelsNote(!ticks.isEmpty()));
    auto* x = new QValueAxis(chart);
    setRoundTicks(*x, shown.min, shown.max, 6);
    x->setTitleText(tr("weight"));
    auto* y = new QLogValueAxis(chart);
    setPowerTicks(*y, kLogFloor, top);
    y->setTitleText(tr("count"));
    chart->addAxis(x, Qt::AlignBottom);
    chart->addAxis(y, Qt::AlignLeft);
    for (QAbstractSeries* series : chart->series()) {
        series->attachAxis(x);
        series->attachAxis(y);
    }
    chart->legend()->setVisible(true);
    chart->legend()->setAlignment(Qt::AlignTop);
    m_view->applyTheme();
}

QString EntryPage::html(const Explanation& explanation, const QString& runsIn) const
{
    QString facts;
    for (const Fact& fact : explanation.facts)
        facts += row({cell(toQString(fact.what)), cell(toQString(fact.text))});
    facts += row({cell(tr("runs in")), cell(runsIn)});
    QString text =
        QStringLiteral("<h3>%1</h3><p>%2</p><table cellspacing=\"0\" cellpadding=\"3\">%3</table>")
            .arg(toQString(explanation.name).toHtmlEscaped(), toQString(explanation.title).toHtmlEscaped(), facts);
    QString storage;
    QStringList sum;
    for (const StorageLine& line : explanation.storage) {
        storage += row({cell(toQString(line.what)),
                        cell(tr("%1 × %2 bit").arg(countText(line.count), countText(line.bitsEach)), true),
                        cell(fixedText(line.bitsPerWeight, 4), true)});
        sum << fixedText(line.bitsPerWeight, 4);
    }
    if (!storage.isEmpty()) {
        storage +=
            row({cell(tr("bits per weight")), cell(sum.size() > 1 ? sum.join(QStringLiteral(" + ")) : QString(), true),
                 cell(fixedText(explanation.bitsPerWeight, 4), true)});
        text += section(tr("Storage of W%1").arg(toQString(formatShape(explanation.shape))), storage);
    }
    QString options;
    for (const ExplainedOption& option : explanation.options)
        options +=
            row({cell(toQString(option.text)), cell(toQString(option.meaning)),
                 cell(option.fallback.empty() ? QString() : tr("if left out: %1").arg(toQString(option.fallback)))});
    if (!options.isEmpty())
        text += section(tr("Options of %1").arg(toQString(m_candidate.quantizer.id)), options);
    return text;
}

} // namespace ql::views
