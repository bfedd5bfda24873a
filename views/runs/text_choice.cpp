// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/text_choice.h"

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
#include <QPushButton>
#include <QSpinBox>

namespace ql::views {

namespace {

constexpr int kLongestWindow = 1 << 20;
constexpr int kMostWindows = 1 << 24;
constexpr int kUsualWindows = 40;

QLabel* labelOf(const QString& text, QWidget* buddy)
{
    auto* label = new QLabel(text, buddy->parentWidget());
    label->setBuddy(buddy);
    return label;
}

} // namespace

QString askForText(QWidget* parent, const QString& current)
{
    return QFileDialog::getOpenFileName(parent, TextChoice::tr("Text to run the model on"), current,
                                        TextChoice::tr("Text (*.txt *.md);;Token ids (*.npy *.npz);;All files (*)"));
}

TextChoice::TextChoice(Document& document, JobRunner& jobs, TextUse use, QFormLayout& form)
    : QObject(form.parentWidget()),
      m_document(document),
      m_jobs(jobs),
      m_use(use),
      m_path(new QLineEdit(form.parentWidget())),
      m_browse(new QPushButton(tr("&Browse…"), form.parentWidget())),
      m_note(new QLabel(form.parentWidget())),
      m_length(new QSpinBox(form.parentWidget())),
      m_limit(new QSpinBox(form.parentWidget()))
{
    auto* pathRow = new QHBoxLayout;
    pathRow->addWidget(m_path, 1);
    pathRow->addWidget(m_browse);
    form.addRow(labelOf(tr("&Text"), m_path), pathRow);
    form.addRow(QString(), m_note);
    const auto spinRow = [&form](const QString& label, QSpinBox* spin, const QString& unit) {
        auto* row = new QHBoxLayout;
        spin->setFixedWidth(spin->fontMetrics().horizontalAdvance(QStringLiteral("0 000 000 000")));
        spin->setAlignment(Qt::AlignRight);
        spin->setGroupSeparatorShown(true);
        row->addWidget(spin);
        row->addWidget(new QLabel(unit, form.parentWidget()));
        row->addStretch(1);
        form.addRow(labelOf(label, spin), row);
    };
    spinRow(tr("&Context"), m_length, tr("tokens in a window, each computed on its own"));
    spinRow(tr("&Windows"), m_limit, tr("0: the whole text"));
    m_path->setObjectName(QStringLiteral("textPath"));
    m_path->setAccessibleName(tr("Text file"));
    m_path->setPlaceholderText(tr("a text file, UTF-8, or token ids in a .npy file"));
    m_browse->setAutoDefault(false);
    m_note->setWordWrap(true);
    m_note->setObjectName(QStringLiteral("textNote"));
    m_length->setRange(2, kLongestWindow);
    m_length->setObjectName(QStringLiteral("contextTokens"));
    m_length->setAccessibleName(tr("Tokens in a window"));
    m_length->setValue(document.isOpen() ? static_cast<int>(usualWindowLength(*document.model())) : 512);
    m_limit->setRange(0, kMostWindows);
    m_limit->setObjectName(QStringLiteral("windowCount"));
    m_limit->setAccessibleName(tr("Windows"));
    m_limit->setValue(kUsualWindows);
    m_path->setText(usualText(document, use));
    connect(m_browse, &QPushButton::clicked, this, &TextChoice::browse);
    connect(m_path, &QLineEdit::textChanged, this, &TextChoice::read);
    connect(m_length, &QSpinBox::valueChanged, this, &TextChoice::refresh);
    connect(m_limit, &QSpinBox::valueChanged, this, &TextChoice::refresh);
    read();
}

std::int64_t TextChoice::length() const
{
    return m_length->value();
}

std::int64_t TextChoice::limit() const
{
    return m_limit->value();
}

std::int64_t TextChoice::windows() const
{
    return m_text ? m_text->windowCount(length(), limit()) : 0;
}

QString TextChoice::arguments() const
{
    const bool isIds = !textSource(m_path->text()).tokens.empty();
    return QStringLiteral("--%1 %2 --context %3 --windows %4")
        .arg(isIds ? QStringLiteral("tokens") : QStringLiteral("text"), shellQuoted(m_path->text()))
        .arg(length())
        .arg(limit());
}

void TextChoice::setEnabled(bool enabled)
{
    for (QWidget* widget : {static_cast<QWidget*>(m_path), static_cast<QWidget*>(m_browse),
                            static_cast<QWidget*>(m_length), static_cast<QWidget*>(m_limit)})
        widget->setEnabled(enabled);
}

void TextChoice::remember() const
{
    rememberText(m_path->text(), m_use);
}

void TextChoice::browse()
{
    const QString path = askForText(m_path->window(), m_path->text());
    if (!path.isEmpty())
        m_path->setText(path);
}

void TextChoice::read()
{
    m_text.reset();
    m_problem.clear();
    const QString channel =
        m_use == TextUse::calibration ? QStringLiteral("read calibration text") : QStringLiteral("read held-out text");
    m_jobs.cancelChannel(channel);
    refresh();
    if (m_path->text().isEmpty() || !m_document.isOpen())
        return;
    m_jobs.start(
        {.title = tr("Reading the text"), .channel = channel, .quiet = true}, this,
        [model = m_document.model(), path = m_path->text()](const JobContext& context) {
            return prepareText(model, path, context);
        },
        [this](Result<std::shared_ptr<const PreparedText>> text) {
            if (text)
                m_text = std::move(*text);
            else if (text.error().code != Errc::cancelled)
                m_problem = errorText(text.error());
            refresh();
        });
}

void TextChoice::refresh()
{
    QString note;
    bool bad = true;
    if (!m_problem.isEmpty()) {
        note = m_problem;
    } else if (m_text && windows() == 0) {
        note = tr("The text has %1 tokens, less than one window of %2: give more text or a smaller context.")
                   .arg(countText(m_text->tokenCount()), countText(length()));
    } else {
        bad = false;
        note = m_path->text().isEmpty()
                   ? tr("Any text in the model's language will do; keep some apart for validation.")
               : !m_text ? tr("Reading…")
                         : tr("%1 tokens, %2 whole windows; %3 of them are taken")
                               .arg(countText(m_text->tokenCount()), countText(m_text->tokenCount() / length()),
                                    countText(windows()));
    }
    QPalette p = m_path->palette();
    p.setColor(QPalette::WindowText, bad ? colors(p).bad : colors(p).dim);
    m_note->setPalette(p);
    m_note->setText(note);
    Q_EMIT changed();
}

} // namespace ql::views
