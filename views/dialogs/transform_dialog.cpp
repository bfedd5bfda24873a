// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/dialogs/transform_dialog.h"

#include "views/dialogs/transform_page.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/runs/runs.h"
#include "views/text/format.h"
#include "views/theme/problem_color.h"
#include "views/theme/tick_delegate.h"

#include <QDialogButtonBox>
#include <QFileInfo>
#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QProgressBar>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSplitter>
#include <QTextBrowser>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace ql::views {

TransformDialog::TransformDialog(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent)
    : QDialog(parent),
      m_document(document),
      m_jobs(jobs),
      m_runs(runs),
      m_list(new QListWidget(this)),
      m_about(new QTextBrowser(this)),
      m_text(new QLineEdit(this)),
      m_result(new QLabel(this)),
      m_progress(new QProgressBar(this)),
      m_status(new QLabel(this))
{
    setWindowTitle(tr("Transform the model"));
    resize(820, 520);
    auto* parts = new QSplitter(this);
    parts->addWidget(m_list);
    parts->addWidget(m_about);
    parts->setStretchFactor(0, 1);
    parts->setStretchFactor(1, 3);
    parts->setChildrenCollapsible(false);
    auto* form = new QFormLayout;
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow); // wrapped lines too
    auto* label = new QLabel(tr("T&ransforms"), this);
    label->setBuddy(m_text);
    form->addRow(label, m_text);
    form->addRow(tr("Shows"), m_result);
    auto* buttons = new QDialogButtonBox(this);
    m_start = buttons->addButton(tr("&Transform"), QDialogButtonBox::AcceptRole);
    m_stop = buttons->addButton(tr("&Stop"), QDialogButtonBox::ActionRole);
    connect(buttons->addButton(QDialogButtonBox::Close), &QPushButton::clicked, this, &QDialog::close);
    auto* column = new QVBoxLayout(this);
    column->addWidget(parts, 1);
    column->addLayout(form);
    column->addWidget(m_progress);
    column->addWidget(m_status);
    column->addWidget(buttons);

    m_list->setObjectName(QStringLiteral("transforms"));
    m_list->setAccessibleName(tr("Transforms to tick"));
    m_list->setItemDelegate(new TickDelegate(m_list));
    m_about->setAccessibleName(tr("Explanation"));
    m_about->setFrameShape(QFrame::NoFrame);
    m_text->setObjectName(QStringLiteral("transformText"));
    m_text->setAccessibleName(tr("Transforms, in the order in which they are applied"));
    m_text->setPlaceholderText(tr("none; e.g. smooth:alpha=0.6+hadamard"));
    m_text->setClearButtonEnabled(true);
    m_result->setObjectName(QStringLiteral("transformResult"));
    m_result->setWordWrap(true);
    m_progress->setRange(0, 1000);
    m_progress->setTextVisible(false);
    m_progress->setAccessibleName(tr("Progress of the transform"));
    m_status->setObjectName(QStringLiteral("transformStatus"));
    m_status->setWordWrap(true);
    m_status->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_start->setDefault(true);
    m_stop->setAutoDefault(false);
    buildList();
    connect(m_list, &QListWidget::currentRowChanged, this, &TransformDialog::explainCurrent);
    connect(m_list, &QListWidget::itemChanged, this, &TransformDialog::takeTick);
    connect(m_text, &QLineEdit::textChanged, this, &TransformDialog::followText);
    connect(m_start, &QPushButton::clicked, this, &TransformDialog::start);
    connect(m_stop, &QPushButton::clicked, &m_document, &Document::stopTransforming);
    connect(&m_jobs, &JobRunner::changed, this, &TransformDialog::showProgress);
    connect(&m_runs.calibration, &CalibrationRun::changed, this, &TransformDialog::refresh);
    connect(&m_document, &Document::activationsChanged, this, &TransformDialog::refresh);
    connect(&m_document, &Document::modelChanged, this, [this] {
        if (!m_document.isOpen())
            close();
        refresh();
    });
    connect(&m_document, &Document::transformed, this, &TransformDialog::showNotes);
    connect(&m_document, &Document::transformFailed, this, [this](const QString& reason) {
        m_started = false;
        say(reason.isEmpty() ? tr("Stopped; the model is shown as it was.") : reason, !reason.isEmpty());
        refresh();
    });
    m_list->setCurrentRow(0);
    say({}, false);
    setText(toQString(m_document.variantText()));
    refresh();
    m_list->setFocus();
}

void TransformDialog::setText(const QString& text)
{
    m_text->setText(text);
}

void TransformDialog::buildList()
{
    for (const Transform* transform : allTransforms()) {
        auto* item = new QListWidgetItem(toQString(transform->id), m_list);
        item->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemIsUserCheckable);
        item->setCheckState(Qt::Unchecked);
        item->setToolTip(toQString(transform->title));
    }
}

void TransformDialog::explainCurrent()
{
    const int row = m_list->currentRow();
    if (row >= 0)
        m_about->setHtml(transformHtml(*allTransforms()[static_cast<std::size_t>(row)]));
}

void TransformDialog::takeTick(const QListWidgetItem* item)
{
    m_list->setCurrentItem(const_cast<QListWidgetItem*>(item));
    auto specs = parseTransforms(m_text->text().toStdString());
    TransformSpecs now = specs ? std::move(*specs) : TransformSpecs();
    const std::string id = item->text().toStdString();
    if (item->checkState() == Qt::Checked)
        now.push_back({.id = id, .option = {}, .values = {}});
    else
        std::erase_if(now, [&](const TransformSpec& spec) { return spec.id == id; });
    m_text->setText(toQString(printTransforms(now)));
}

void TransformDialog::followText()
{
    const QSignalBlocker quiet(m_list);
    const auto specs = parseTransforms(m_text->text().toStdString());
    for (int row = 0; specs && row < m_list->count(); ++row) {
        const std::string id = m_list->item(row)->text().toStdString();
        const bool isThere = std::ranges::find(*specs, id, &TransformSpec::id) != specs->end();
        m_list->item(row)->setCheckState(isThere ? Qt::Checked : Qt::Unchecked);
    }
    say({}, false);
    refresh();
}

QString TransformDialog::missing(const TransformSpecs& specs) const
{
    const Activations* known =
        m_document.variant() ? m_document.variant()->activations.get() : m_document.activations().get();
    for (const TransformSpec& spec : specs)
        if (const auto transform = findTransform(spec.id))
            if (const QString what = missingFor(needsOf(**transform, spec), known); !what.isEmpty())
                return tr("%1: %2").arg(toQString(spec.id), what);
    if (!specs.empty() && m_runs.calibration.state() == CalibrationRun::State::running)
        return tr("A calibration is running; wait for it, or pause it.");
    return {};
}

void TransformDialog::refresh()
{
    const auto specs = parseTransforms(m_text->text().toStdString());
    const bool running = m_document.transformJob() != 0;
    const QString text = specs ? toQString(printTransforms(*specs)) : QString();
    const QString problem = !specs ? errorText(specs.error()) : missing(*specs);
    const bool isShown = specs && text == toQString(m_document.variantText());
    const QString file = QFileInfo(m_document.checkpointPath()).fileName();
    setProblemColor(*m_result, !problem.isEmpty());
    m_result->setText(!problem.isEmpty()          ? problem
                      : isShown && text.isEmpty() ? tr("%1, as it is now").arg(file)
                      : text.isEmpty()            ? tr("%1 as stored").arg(file)
                      : isShown                   ? tr("%1 + %2, as it is now").arg(file, text)
                                : tr("%1 + %2; the plan is carried over, and Undo goes back").arg(file, text));
    m_start->setEnabled(m_document.isOpen() && problem.isEmpty() && !isShown && !running);
    m_stop->setEnabled(running);
    m_text->setEnabled(!running);
    m_list->setEnabled(!running);
    showProgress();
}

void TransformDialog::showProgress()
{
    const std::uint64_t job = m_document.transformJob();
    m_progress->setVisible(job != 0);
    for (const JobState& state : m_jobs.running())
        if (state.id == job)
            m_progress->setValue(static_cast<int>(std::lround(state.fraction * 1000)));
}

void TransformDialog::start()
{
    const auto specs = parseTransforms(m_text->text().toStdString());
    if (!specs)
        return;
    m_started = true;
    say(specs->empty() ? QString() : tr("Making the variant…"), false);
    m_document.transform(*specs);
    refresh();
}

void TransformDialog::showNotes(const std::vector<Warning>& notes)
{
    refresh();
    if (!std::exchange(m_started, false)) // another one made it
        return;
    if (notes.empty()) {
        close();
        return;
    }
    constexpr std::size_t kMost = 8;
    QStringList lines{tr("Done. What was not done, or was done otherwise:")};
    for (std::size_t i = 0; i < std::min(notes.size(), kMost); ++i)
        lines << QStringLiteral("• %1").arg(
            notes[i].where.empty() ? toQString(notes[i].what)
                                   : tr("%1: %2").arg(toQString(notes[i].where), toQString(notes[i].what)));
    if (notes.size() > kMost)
        lines << tr("… and %1 more").arg(countText(std::ssize(notes) - static_cast<std::ptrdiff_t>(kMost)));
    say(lines.join(QLatin1Char('\n')), false);
}

void TransformDialog::say(const QString& text, bool isProblem)
{
    setProblemColor(*m_status, isProblem);
    m_status->setText(text);
    m_status->setVisible(!text.isEmpty());
}

} // namespace ql::views
