// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/landscape/landscape_form.h"

#include "core/model/evaluation/windows.h"
#include "views/panels/view_menu.h"
#include "views/text/elided_label.h"
#include "views/theme/problem_color.h"

#include <QDoubleSpinBox>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QSpinBox>
#include <QVBoxLayout>

#include <cmath>

namespace ql::views {

namespace {

constexpr int kUsualTokens = 64;
constexpr int kMostTokens = 1 << 20;
constexpr int kMostWindows = 1 << 20;
constexpr int kMostIterations = 1000;

} // namespace

LandscapeForm::LandscapeForm(QWidget* parent)
    : QWidget(parent),
      m_text(new ElidedLabel(this)),
      m_choose(new QPushButton(tr("Text…"), this)),
      m_windows(new QSpinBox(this)),
      m_tokens(new QSpinBox(this)),
      m_span(new QDoubleSpinBox(this)),
      m_points(new QSpinBox(this)),
      m_iterations(new QSpinBox(this)),
      m_cost(new QLabel(this)),
      m_start(new QPushButton(tr("Measure"), this)),
      m_progress(new QProgressBar(this)),
      m_status(new QLabel(this)),
      m_words(new QLabel(this)),
      m_command(new QLineEdit(this))
{
    buildForm();
    connect(m_choose, &QPushButton::clicked, this, &LandscapeForm::textAsked);
    connect(m_start, &QPushButton::clicked, this, [this] {
        if (m_isRunning)
            Q_EMIT stopAsked();
        else
            Q_EMIT startAsked();
    });
    for (QSpinBox* spin : {m_windows, m_tokens, m_iterations})
        connect(spin, &QSpinBox::valueChanged, this, &LandscapeForm::changed);
    connect(m_span, &QDoubleSpinBox::valueChanged, this, &LandscapeForm::changed);
    connect(m_points, &QSpinBox::valueChanged, this, [this](int points) {
        if (points % 2 == 0)
            m_points->setValue(points + 1); // the weights themselves are in the middle
        else
            Q_EMIT changed();
    });
}

void LandscapeForm::buildForm()
{
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(8, 4, 8, 4);
    column->setSpacing(4);
    auto* text = new QHBoxLayout;
    text->addWidget(m_text, 1);
    text->addWidget(m_choose);
    text->addWidget(m_start);
    column->addLayout(text);
    column->addWidget(m_progress);
    column->addWidget(m_status);
    column->addWidget(m_words);
    auto* form = new QFormLayout;
    form->setVerticalSpacing(2);
    column->addLayout(form);
    addRow(*form, tr("Windows"), m_windows, tr("of"), m_tokens);
    addRow(*form, tr("Span"), m_span, tr("in"), m_points);
    addRow(*form, tr("Iterations"), m_iterations, {}, nullptr);
    column->addWidget(m_cost);
    column->addWidget(m_command);
    column->addStretch(1);

    m_choose->setToolTip(tr("The text whose first windows the model reads"));
    m_windows->setAccessibleName(tr("Windows"));
    m_tokens->setAccessibleName(tr("Tokens in a window"));
    m_span->setAccessibleName(tr("Span, of the weights' norm"));
    m_points->setAccessibleName(tr("Points along an axis"));
    m_iterations->setAccessibleName(tr("Iterations, at most"));
    m_windows->setRange(1, kMostWindows);
    m_windows->setObjectName(QStringLiteral("landscapeWindows"));
    m_tokens->setRange(static_cast<int>(kShortestWindow), kMostTokens);
    m_tokens->setValue(kUsualTokens);
    m_tokens->setSuffix(tr(" tokens"));
    m_tokens->setObjectName(QStringLiteral("landscapeTokens"));
    m_span->setRange(0.01, 100);
    m_span->setDecimals(2);
    m_span->setValue(5);
    m_span->setSuffix(tr(" %"));
    m_span->setObjectName(QStringLiteral("landscapeSpan"));
    m_span->setToolTip(tr("How far the weights are moved at the edges, as a part of their norm"));
    m_points->setRange(3, 41);
    m_points->setSingleStep(2);
    m_points->setValue(11);
    m_points->setSuffix(tr(" points"));
    m_points->setToolTip(tr("Along each of the two axes, an odd number"));
    m_points->setKeyboardTracking(false); // a number that is typed may be even on the way
    m_points->setObjectName(QStringLiteral("landscapePoints"));
    m_iterations->setRange(1, kMostIterations);
    m_iterations->setValue(static_cast<int>(LandscapeChoice().iterations));
    m_iterations->setObjectName(QStringLiteral("landscapeIterations"));
    m_iterations->setToolTip(tr("Of the power iteration that finds each eigenvector; it ends earlier once it settles"));
    m_start->setObjectName(QStringLiteral("landscapeStart"));
    m_progress->setRange(0, 1000);
    m_progress->setTextVisible(false);
    m_progress->setAccessibleName(tr("Progress of the measurement"));
    for (QLabel* label : {m_cost, m_status, m_words})
        label->setWordWrap(true);
    m_cost->setObjectName(QStringLiteral("landscapeCost"));
    m_status->setObjectName(QStringLiteral("landscapeStatus"));
    m_words->setObjectName(QStringLiteral("landscapeWords"));
    m_command->setReadOnly(true);
    m_command->setFont(QFont(QStringLiteral("monospace")));
    m_command->setObjectName(QStringLiteral("landscapeCommand"));
    m_command->setAccessibleName(tr("The same as a command line"));
}

void LandscapeForm::addRow(QFormLayout& form, const QString& title, QWidget* field, const QString& secondTitle,
                           QWidget* second)
{
    auto* label = new QLabel(title, this);
    label->setBuddy(field);
    auto* fields = new QHBoxLayout;
    fields->setSpacing(8);
    fields->addWidget(field);
    if (second) {
        auto* between = new QLabel(secondTitle, this);
        between->setBuddy(second);
        fields->addWidget(between);
        fields->addWidget(second);
    }
    fields->addStretch(1);
    form.addRow(label, fields);
}

Portion LandscapeForm::portion() const
{
    return {m_tokens->value(), m_windows->value()};
}

double LandscapeForm::span() const
{
    return m_span->value() / 100;
}

std::int64_t LandscapeForm::points() const
{
    return m_points->value();
}

std::int64_t LandscapeForm::iterations() const
{
    return m_iterations->value();
}

QString LandscapeForm::arguments() const
{
    return QStringLiteral("--context %1 --windows %2 --slice --span %3 --points %4 --iterations %5")
        .arg(m_tokens->value())
        .arg(m_windows->value())
        .arg(plainNumber(span()))
        .arg(points())
        .arg(iterations());
}

void LandscapeForm::setText(const QString& path)
{
    m_text->setText(path.isEmpty() ? tr("No text chosen") : QFileInfo(path).fileName());
}

void LandscapeForm::setCost(const QString& text, bool isProblem)
{
    m_cost->setText(text);
    m_cost->setVisible(!text.isEmpty());
    setProblemColor(*m_cost, isProblem);
}

void LandscapeForm::setCommand(const QString& text, const QString& whyNone)
{
    if (m_command->text() != text)
        m_command->setText(text);
    m_command->setPlaceholderText(whyNone);
    m_command->setCursorPosition(0);
}

void LandscapeForm::setState(bool isRunning, bool isPossible, bool isOpen)
{
    m_isRunning = isRunning;
    m_choose->setEnabled(isOpen && !isRunning);
    for (QWidget* field : std::initializer_list<QWidget*>{m_windows, m_tokens, m_span, m_points, m_iterations})
        field->setEnabled(!isRunning);
    m_start->setEnabled(isRunning || isPossible);
    m_start->setText(isRunning ? tr("Stop") : tr("Measure"));
    m_progress->setVisible(isRunning);
}

void LandscapeForm::setStatus(const QString& text, bool isProblem)
{
    m_status->setText(text);
    m_status->setVisible(!text.isEmpty());
    setProblemColor(*m_status, isProblem);
}

void LandscapeForm::setProgress(double fraction)
{
    m_progress->setValue(static_cast<int>(std::lround(fraction * m_progress->maximum())));
}

void LandscapeForm::setWords(const QString& text)
{
    m_words->setText(text);
    m_words->setVisible(!text.isEmpty());
}

} // namespace ql::views
