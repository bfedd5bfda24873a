// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/source_choice.h"

#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"
#include "views/text/shell.h"
#include "views/theme/theme.h"

#include <QFileDialog>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QPushButton>
#include <QSpinBox>

namespace ql::views {

namespace {

constexpr int kLongestWindow = 1 << 20;
constexpr int kMostCases = 1 << 24;
constexpr int kUsualWindows = 40;

QLabel* labelOf(const QString& text, QWidget* buddy)
{
    auto* label = new QLabel(text, buddy->parentWidget());
    label->setBuddy(buddy);
    return label;
}

QHBoxLayout* rowOf(QWidget* field, QWidget* button)
{
    auto* row = new QHBoxLayout;
    row->addWidget(field, 1);
    row->addWidget(button);
    return row;
}

/// The row as one widget, that can be hidden.
QWidget* holderOf(QHBoxLayout* row, QWidget* parent)
{
    auto* holder = new QWidget(parent);
    row->setContentsMargins(0, 0, 0, 0);
    holder->setLayout(row);
    return holder;
}

QHBoxLayout* rowOf(QSpinBox* spin, QLabel* unit)
{
    auto* row = new QHBoxLayout;
    spin->setFixedWidth(spin->fontMetrics().horizontalAdvance(QStringLiteral("0 000 000 000")));
    spin->setAlignment(Qt::AlignRight);
    spin->setGroupSeparatorShown(true);
    row->addWidget(spin);
    row->addWidget(unit);
    row->addStretch(1);
    return row;
}

/// What a language model reads.
QString textFilter()
{
    return SourceChoice::tr("Text (*.txt *.md);;Token ids (*.npy *.npz);;All files (*)");
}

} // namespace

QString askForText(QWidget* parent, const QString& current)
{
    return QFileDialog::getOpenFileName(parent, SourceChoice::tr("Text to run the model on"), current, textFilter());
}

SourceChoice::SourceChoice(Document& document, JobRunner& jobs, SourceUse use, QFormLayout& form)
    : QObject(form.parentWidget()),
      m_document(document),
      m_jobs(jobs),
      m_use(use),
      m_form(form),
      m_path(new QLineEdit(form.parentWidget())),
      m_browse(new QPushButton(tr("&Browse…"), form.parentWidget())),
      m_note(new QLabel(form.parentWidget())),
      m_labels(new QLineEdit(form.parentWidget())),
      m_browseLabels(new QPushButton(tr("Bro&wse…"), form.parentWidget())),
      m_length(new QSpinBox(form.parentWidget())),
      m_limit(new QSpinBox(form.parentWidget())),
      m_limitUnit(new QLabel(form.parentWidget()))
{
    buildForm();
    m_path->setText(textBeside(document, use));
    connect(m_browse, &QPushButton::clicked, this, &SourceChoice::browseFile);
    connect(m_browseLabels, &QPushButton::clicked, this, &SourceChoice::browseLabels);
    connect(m_path, &QLineEdit::textChanged, this, &SourceChoice::read);
    connect(m_labels, &QLineEdit::textChanged, this, &SourceChoice::read);
    connect(m_length, &QSpinBox::valueChanged, this, &SourceChoice::refresh);
    connect(m_limit, &QSpinBox::valueChanged, this, &SourceChoice::refresh);
    refresh();
    readModel();
}

void SourceChoice::buildForm()
{
    QWidget* parent = m_form.parentWidget();
    m_title = labelOf(tr("&Text"), m_path);
    m_form.addRow(m_title, rowOf(m_path, m_browse));
    m_form.addRow(QString(), m_note);
    m_labelsRow.emplace(m_form, m_note, labelOf(tr("&Labels"), m_labels),
                        holderOf(rowOf(m_labels, m_browseLabels), parent));
    m_lengthRow.emplace(
        m_form, m_note, labelOf(tr("&Context"), m_length),
        holderOf(rowOf(m_length, new QLabel(tr("tokens in a window, each computed on its own"), parent)), parent));
    m_limitTitle = labelOf({}, m_limit);
    m_form.addRow(m_limitTitle, rowOf(m_limit, m_limitUnit));

    m_path->setObjectName(QStringLiteral("sourcePath"));
    m_browse->setAutoDefault(false);
    m_note->setWordWrap(true);
    m_note->setObjectName(QStringLiteral("sourceNote"));
    m_labels->setObjectName(QStringLiteral("labelsPath"));
    m_labels->setAccessibleName(tr("CSV file of labels"));
    m_labels->setPlaceholderText(tr("the subfolders; or a CSV file with lines file,number"));
    m_browseLabels->setAutoDefault(false);
    m_length->setRange(static_cast<int>(kShortestWindow), kLongestWindow);
    m_length->setObjectName(QStringLiteral("contextTokens"));
    m_length->setAccessibleName(tr("Tokens in a window"));
    m_length->setValue(m_document.isOpen() ? static_cast<int>(usualWindowLength(*m_document.model())) : 512);
    m_limit->setRange(0, kMostCases);
    m_limit->setObjectName(QStringLiteral("windowCount"));
    m_limit->setValue(kUsualWindows);
}

void SourceChoice::readModel()
{
    if (!m_document.isOpen())
        return;
    m_jobs.start(
        {.title = tr("Reading the model"), .channel = channel(), .quiet = true}, this,
        [model = m_document.model()](const JobContext&) { return prepareModel(model); },
        [this](Result<std::shared_ptr<const RunnableModel>> runnable) {
            if (runnable) {
                m_runnable = std::move(*runnable);
                offerSources();
            } else {
                m_problem = errorText(runnable.error());
                refresh();
            }
        });
}

void SourceChoice::offerSources()
{
    const RunnableModel& model = *m_runnable;
    const QString arrays = model.inputs.join(QStringLiteral(", "));
    if (model.isLanguageModel) {
        m_path->setPlaceholderText(tr("a text file, UTF-8, or token ids in a .npy file"));
    } else if (model.readsText) {
        m_path->setPlaceholderText(
            tr("a text file, UTF-8, token ids in a .npy file, or arrays in a .npz file: %1").arg(arrays));
    } else if (model.seesPictures) {
        m_title->setText(tr("Pic&tures"));
        m_path->setPlaceholderText(
            tr("a folder of PNG and JPEG pictures, or a .npz file with the array %1").arg(arrays));
        auto* menu = new QMenu(m_browse);
        menu->addAction(tr("&Folder of pictures…"), this, &SourceChoice::browseFolder);
        menu->addAction(tr("&Arrays…"), this, &SourceChoice::browseFile);
        m_browse->setMenu(menu);
    } else {
        m_title->setText(tr("Arra&ys"));
        m_path->setPlaceholderText(tr("a .npz file with arrays named as the inputs: %1").arg(arrays));
    }
    if (!model.readsText)
        m_limit->setValue(0);
    if (m_path->text().isEmpty()) {
        const QSignalBlocker blocker(m_path); // it is read below
        m_path->setText(lastSource(kind(), m_use));
    }
    read();
}

SourceKind SourceChoice::kind() const
{
    return m_runnable ? sourceKind(*m_runnable, m_path->text()) : SourceKind::text;
}

QString SourceChoice::channel() const
{
    return m_use == SourceUse::calibration ? QStringLiteral("read calibration source")
           : m_use == SourceUse::heldOut   ? QStringLiteral("read held-out source")
                                           : QStringLiteral("read probing source");
}

Portion SourceChoice::portion() const
{
    return {m_length->value(), m_limit->value()};
}

std::int64_t SourceChoice::count() const
{
    return m_source ? m_source->count(portion()) : 0;
}

QString SourceChoice::arguments() const
{
    return arguments(m_limit->value());
}

QString SourceChoice::arguments(std::int64_t limit) const
{
    const QString path = shellQuoted(m_path->text());
    if (isText(kind()))
        return QStringLiteral("--%1 %2 --context %3 --windows %4")
            .arg(kind() == SourceKind::tokens ? QStringLiteral("tokens") : QStringLiteral("text"), path)
            .arg(m_length->value())
            .arg(limit);
    QString words =
        kind() == SourceKind::arrays ? QStringLiteral("--inputs ") + path : QStringLiteral("--images ") + path;
    if (!m_labels->text().isEmpty() && m_labelsRow->isVisible())
        words += QStringLiteral(" --labels ") + shellQuoted(m_labels->text());
    if (limit > 0)
        words += QStringLiteral(" --cases %1").arg(limit);
    return words;
}

void SourceChoice::setEnabled(bool enabled)
{
    for (QWidget* widget :
         std::initializer_list<QWidget*>{m_path, m_browse, m_labels, m_browseLabels, m_length, m_limit})
        widget->setEnabled(enabled);
}

void SourceChoice::remember() const
{
    rememberSource(kind(), m_use, m_path->text());
}

void SourceChoice::browseFile()
{
    const QString filter = !m_runnable || m_runnable->isLanguageModel ? textFilter()
                           : m_runnable->readsText
                               ? tr("Text (*.txt *.md);;Token ids (*.npy);;Arrays (*.npz);;All files (*)")
                               : tr("Arrays (*.npz)");
    const QString path =
        QFileDialog::getOpenFileName(m_path->window(), tr("What to run the model on"), m_path->text(), filter);
    if (!path.isEmpty())
        m_path->setText(path);
}

void SourceChoice::browseFolder()
{
    const QString path =
        QFileDialog::getExistingDirectory(m_path->window(), tr("Pictures to run the model on"), m_path->text());
    if (!path.isEmpty())
        m_path->setText(path);
}

void SourceChoice::browseLabels()
{
    const QString path = QFileDialog::getOpenFileName(m_path->window(), tr("Labels of the pictures"), m_labels->text(),
                                                      tr("CSV (*.csv);;All files (*)"));
    if (!path.isEmpty())
        m_labels->setText(path);
}

void SourceChoice::read()
{
    if (!m_runnable)
        return;
    m_source.reset();
    m_problem.clear();
    m_jobs.cancelChannel(channel());
    refresh();
    if (m_path->text().isEmpty())
        return;
    const QString labels = m_labelsRow->isVisible() ? m_labels->text() : QString();
    m_jobs.start(
        {.title = tr("Reading what the model is run on"), .channel = channel(), .quiet = true}, this,
        [runnable = m_runnable, path = m_path->text(), labels](const JobContext& context) {
            return prepareSource(runnable, path, labels, context);
        },
        [this](Result<std::shared_ptr<const PreparedSource>> source) {
            if (source)
                m_source = std::move(*source);
            else if (source.error().code != Errc::cancelled)
                m_problem = errorText(source.error());
            refresh();
        });
}

QString SourceChoice::note() const
{
    if (!m_document.isOpen())
        return {};
    if (!m_problem.isEmpty())
        return m_problem;
    if (!m_runnable)
        return tr("Reading the model…");
    if (m_path->text().isEmpty())
        return isText(kind()) ? tr("Any text in the model's language will do; keep some apart for validation.")
               : kind() == SourceKind::pictures
                   ? tr("Any pictures of the kind it is made for will do; keep some apart for validation.")
                   : tr("A row of every array is a case; keep some apart for validation.");
    if (!m_source)
        return tr("Reading…");
    const std::int64_t taken = count();
    const Portion all{m_length->value(), 0};
    if (const TextTokens* text = m_source->text()) {
        const std::int64_t tokens = std::ssize(text->ids);
        return taken == 0
                   ? tr("The text has %1 tokens, less than one window of %2: give more text or a smaller context.")
                         .arg(countText(tokens), countText(m_length->value()))
                   : tr("%1 tokens, %2 whole windows; %3 of them are taken")
                         .arg(countText(tokens), countText(m_source->count(all)), countText(taken));
    }
    return (kind() == SourceKind::pictures ? tr("%1 pictures; %2 of them are taken")
                                           : tr("%1 cases; %2 of them are taken"))
        .arg(countText(m_source->count(all)), countText(taken));
}

void SourceChoice::refresh()
{
    const bool text = isText(kind());
    m_lengthRow->setVisible(text);
    m_labelsRow->setVisible(m_use == SourceUse::heldOut && kind() == SourceKind::pictures);
    m_limitTitle->setText(text ? tr("&Windows") : tr("&Cases"));
    m_limitUnit->setText(text ? tr("0: the whole text") : tr("0: all of them"));
    m_limit->setAccessibleName(text ? tr("Windows") : tr("Cases"));
    m_path->setAccessibleName(m_title->text().remove(QLatin1Char('&')));
    const bool bad = !m_problem.isEmpty() || (m_source && count() == 0);
    QPalette p = m_path->palette();
    p.setColor(QPalette::WindowText, bad ? colors(p).bad : colors(p).dim);
    m_note->setPalette(p);
    m_note->setText(note());
    Q_EMIT changed();
}

} // namespace ql::views
