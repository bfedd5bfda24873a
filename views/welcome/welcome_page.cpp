// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/welcome/welcome_page.h"

#include "core/base/resources.h"
#include "views/document/recent_files.h"
#include "views/theme/problem_color.h"
#include "views/theme/theme.h"

#include <QCommandLinkButton>
#include <QEvent>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QPushButton>
#include <QToolButton>
#include <QVBoxLayout>

namespace ql::views {

namespace {

/// A flat button that reads like a list entry; the path stands below the name.
QPushButton* makeEntry(const QString& path, QWidget* parent)
{
    const QFileInfo file(path);
    auto* entry = new QPushButton(parent);
    entry->setFlat(true);
    entry->setStyleSheet(QStringLiteral("QPushButton { text-align: left; padding: 3px 6px; border: 1px solid "
                                        "transparent; color: palette(window-text); }"
                                        "QPushButton:disabled { color: palette(placeholder-text); }"
                                        "QPushButton:hover { background: palette(midlight); }"
                                        "QPushButton:focus { border-color: palette(highlight); }"));
    entry->setText(
        QStringLiteral("%1   —   %2")
            .arg(file.fileName(), entry->fontMetrics().elidedText(file.absolutePath(), Qt::ElideMiddle, 330)));
    entry->setToolTip(path);
    entry->setEnabled(file.exists());
    if (!file.exists())
        entry->setToolTip(WelcomePage::tr("%1 is not there now").arg(path));
    return entry;
}

} // namespace

WelcomePage::WelcomePage(QWidget* parent)
    : QWidget(parent), m_problem(new QLabel(this)), m_busy(new QLabel(this)), m_recent(new QWidget(this))
{
    setAcceptDrops(false);                                     // the window takes drops anywhere
    setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Ignored); // behind a model it asks for no room
    auto* outer = new QHBoxLayout(this);
    outer->addStretch(1);
    auto* column = new QVBoxLayout;
    outer->addLayout(column);
    outer->addStretch(1);
    column->addStretch(1);

    auto* title = new QLabel(tr("QuantLoupe"), this);
    QFont large = font();
    large.setPointSizeF(large.pointSizeF() * 2.2);
    large.setBold(true);
    title->setFont(large);
    column->addWidget(title);
    auto* subtitle = new QLabel(
        tr("See how every layer reacts to fewer bits, assign them by hand or by solver, export what runtimes load."),
        this);
    subtitle->setWordWrap(true);
    column->addWidget(subtitle);
    column->addSpacing(10);

    const auto link = [&](const QString& text, const QString& description) {
        auto* button = new QCommandLinkButton(text, description, this);
        button->setMinimumWidth(380);
        column->addWidget(button);
        return button;
    };
    auto* file = link(tr("Open a file"), tr("safetensors, GGUF, ONNX, HDF5 or Keras, NumPy — or a saved study"));
    auto* folder = link(tr("Open a folder"), tr("A Hugging Face model: config.json with its safetensors"));
    auto* sample = link(tr("Open the sample"), tr("A small trained language model that comes with the program"));
    sample->setEnabled(findSample().has_value());
    connect(file, &QPushButton::clicked, this, &WelcomePage::openFileRequested);
    connect(folder, &QPushButton::clicked, this, &WelcomePage::openFolderRequested);
    connect(sample, &QPushButton::clicked, this, &WelcomePage::sampleRequested);
    column->addSpacing(6);
    column->addWidget(new QLabel(tr("Or drop a file or folder anywhere in this window."), this));
    column->addSpacing(6);
    m_busy->hide();
    m_problem->hide();
    m_problem->setWordWrap(true);
    m_problem->setTextInteractionFlags(Qt::TextSelectableByMouse);
    column->addWidget(m_busy);
    column->addWidget(m_problem);
    m_recentColumn = new QVBoxLayout(m_recent);
    m_recentColumn->setContentsMargins(0, 0, 0, 0);
    m_recentColumn->setSpacing(0);
    column->addWidget(m_recent);
    column->addStretch(2);
    setFocusProxy(file);
    refresh();
}

void WelcomePage::refresh()
{
    while (QLayoutItem* item = m_recentColumn->takeAt(0)) {
        delete item->widget();
        delete item;
    }
    const auto heading = [this](const QString& text) {
        auto* label = new QLabel(text, m_recent);
        QFont bold = font();
        bold.setBold(true);
        label->setFont(bold);
        label->setContentsMargins(0, 8, 0, 2);
        m_recentColumn->addWidget(label);
    };
    const std::vector<RecoveredWork> left = Recovery::leftBehind();
    if (!left.empty())
        heading(tr("Not saved when the program ended"));
    for (const RecoveredWork& work : left) {
        auto* entry = makeEntry(work.checkpoint, m_recent);
        entry->setText(tr("%1   —   plan of %2").arg(QFileInfo(work.checkpoint).fileName(), work.time));
        connect(entry, &QPushButton::clicked, this, [this, work] { Q_EMIT recoverRequested(work); });
        auto* discard = new QToolButton(m_recent);
        discard->setText(tr("Discard"));
        discard->setAccessibleName(tr("Discard the plan of %1").arg(work.time));
        connect(
            discard, &QToolButton::clicked, this, [this, work] { Q_EMIT discardRequested(work); },
            Qt::QueuedConnection); // the answer removes the button
        auto* line = new QWidget(m_recent);
        auto* row = new QHBoxLayout(line);
        row->setContentsMargins(0, 0, 0, 0);
        row->addWidget(entry, 1);
        row->addWidget(discard);
        m_recentColumn->addWidget(line);
    }
    const QStringList recent = recentFiles();
    if (!recent.isEmpty())
        heading(tr("Recent"));
    for (const QString& path : recent) {
        auto* entry = makeEntry(path, m_recent);
        connect(entry, &QPushButton::clicked, this, [this, path] { Q_EMIT pathRequested(path); });
        m_recentColumn->addWidget(entry);
    }
}

void WelcomePage::setProblem(const QString& text)
{
    setProblemColor(*m_problem);
    m_problem->setText(text);
    m_problem->setVisible(!text.isEmpty());
}

void WelcomePage::setBusy(const QString& text)
{
    m_busy->setText(text);
    m_busy->setVisible(!text.isEmpty());
}

void WelcomePage::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange)
        QMetaObject::invokeMethod(this, &WelcomePage::refresh,
                                  Qt::QueuedConnection); // style sheets keep the old colours
}

void WelcomePage::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    painter.fillRect(rect(), colors(palette()).surface);
}

} // namespace ql::views
