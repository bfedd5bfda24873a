// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/allocation/summary_bar.h"

#include "views/document/document.h"
#include "views/panels/allocation/budget_bar.h"
#include "views/panels/allocation/plan_numbers.h"
#include "views/panels/panel.h"
#include "views/runs/limit_check.h"
#include "views/runs/predictions.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalBlocker>
#include <QStandardItemModel>
#include <QToolButton>

#include <cmath>

namespace ql::views {

namespace {

/// What the number is, and what it is not.
QString lossText(const Document& document, double loss, const std::optional<Prediction>& expected, bool isTrusted)
{
    if (expected && std::isfinite(expected->high)) {
        if (expected->low == expected->high) // nothing is quantized
            return SummaryBar::tr("predicted KLD %1 nats per token").arg(numberText(expected->value, 4));
        const QString text =
            SummaryBar::tr("predicted KLD %1 (%2 … %3) nats per token")
                .arg(numberText(expected->value, 4), numberText(expected->low), numberText(expected->high));
        return isTrusted ? text : SummaryBar::tr("%1 · the last prediction missed").arg(text);
    }
    const Totals& totals = document.totals();
    if (totals.probed + totals.exact > 0)
        return SummaryBar::tr("predicted KLD %1 ± %2 nats per token, %3 of %4 items measured")
            .arg(numberText(loss, 4), numberText(totals.lossError, 2), countText(totals.probed + totals.exact),
                 countText(std::ssize(document.table().items)));
    const QString number = numberText(loss, 4);
    if (document.metric() && document.metric()->isProxy)
        return SummaryBar::tr("predicted loss %1  (%2, not KLD)").arg(number, toQString(document.metric()->title));
    switch (document.metric() ? document.metric()->needs : MetricNeeds::nothing) {
    case MetricNeeds::nothing:
    case MetricNeeds::depth:
    case MetricNeeds::curvature:
    case MetricNeeds::eigenvalues:
        return SummaryBar::tr("predicted loss %1  (squared weight error, not KLD)").arg(number);
    case MetricNeeds::diagonal:
        return SummaryBar::tr("predicted loss %1  (squared output error of uncorrelated inputs, not KLD)").arg(number);
    case MetricNeeds::gram:
        return SummaryBar::tr("predicted loss %1  (squared output error, not KLD)").arg(number);
    case MetricNeeds::fisher:
        return SummaryBar::tr("predicted KLD %1 nats per token, after %2 windows, inputs taken for uncorrelated")
            .arg(number)
            .arg(document.activations() ? document.activations()->fisherWindows() : 0);
    case MetricNeeds::lossGram:
        return SummaryBar::tr("predicted KLD %1 nats per token, after %2 windows")
            .arg(number)
            .arg(document.activations() ? document.activations()->fisherWindows() : 0);
    }
    return {};
}

} // namespace

SummaryBar::SummaryBar(Document& document, const Predictions& predictions, const LimitCheck& limits, QWidget* parent)
    : QWidget(parent),
      m_document(document),
      m_predictions(predictions),
      m_limits(limits),
      m_target(new QComboBox(this)),
      m_metric(new QComboBox(this)),
      m_budget(new QLineEdit(this)),
      m_balance(new QPushButton(tr("&Balance"), this)),
      m_bar(new BudgetBar(this)),
      m_numbers(new PlanNumbers(this)),
      m_passed(new QToolButton(this))
{
    m_lines = new QBoxLayout(QBoxLayout::LeftToRight, this);
    m_lines->setContentsMargins(8, 4, 8, 4);
    m_lines->setSpacing(6);
    m_choices = new QHBoxLayout;
    m_choices->setSpacing(6);
    auto* told = new QHBoxLayout;
    told->setSpacing(6);
    told->addWidget(m_numbers, 1);
    told->addWidget(m_passed);
    m_lines->addLayout(told);
    m_lines->addLayout(m_choices, 1);
    const auto label = [this](const QString& text, QWidget* buddy) {
        auto* made = new QLabel(text, this);
        made->setBuddy(buddy);
        return made;
    };
    m_choices->addStretch(1);
    m_choices->addWidget(label(tr("&Target"), m_target));
    m_choices->addWidget(m_target);
    m_choices->addWidget(label(tr("&Loss"), m_metric));
    m_choices->addWidget(m_metric);
    m_choices->addWidget(label(tr("B&udget"), m_budget));
    m_choices->addWidget(m_budget);
    m_choices->addWidget(m_bar, 2);
    m_choices->addWidget(m_balance);
    m_target->setToolTip(
        tr("The runtime the plan is made for: it limits candidates, ties layers and counts the bytes"));
    m_target->setAccessibleName(tr("Target"));
    m_metric->setAccessibleName(tr("Predicted loss"));
    m_metric->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    m_budget->setFixedWidth(fontMetrics().horizontalAdvance(QStringLiteral("90 MB or 5.0 bpw")) + 16);
    m_budget->setPlaceholderText(tr("90 MB or 5.0 bpw"));
    m_budget->setAccessibleName(tr("Budget"));
    m_budget->setToolTip(
        tr("What Balance may use: the target's files (90 MB, 1.2 GiB) or bits per weight (5.0 bpw), or both (90 MB + 5 "
           "bpw). Further limits are in the panel Limits."));
    m_balance->setToolTip(
        tr("Finds the plan with the least predicted loss within the limits; locked layers stay. You see it first."));
    m_bar->setMinimumWidth(150);
    m_bar->setMaximumWidth(320);
    m_passed->setAutoRaise(true);
    m_passed->setObjectName(QStringLiteral("limitsPassed"));
    m_passed->setToolTip(tr("Shows them in the panel Limits"));
    m_passed->hide();
    connect(m_passed, &QToolButton::clicked, this, [this] { raisePanel(*this, "limits"); });
    connect(&limits, &LimitCheck::changed, this, &SummaryBar::showLimits);
    connect(m_balance, &QPushButton::clicked, this, [this] {
        takeBudget();
        Q_EMIT balanceRequested();
    });
    connect(m_budget, &QLineEdit::editingFinished, this, &SummaryBar::takeBudget);
    connect(m_target, &QComboBox::activated, this, [this](int index) {
        m_document.setTarget(allTargets()[static_cast<std::size_t>(index)]);
        refreshChoices();
    });
    connect(m_metric, &QComboBox::activated, this, [this](int index) {
        m_document.setMetric(allMetrics()[static_cast<std::size_t>(index)]);
        refreshChoices();
    });
    connect(&document, &Document::tableChanged, this, &SummaryBar::refreshChoices);
    connect(&document, &Document::settingsChanged, this, &SummaryBar::refreshChoices);
    connect(&document, &Document::activationsChanged, this, &SummaryBar::refreshChoices);
    connect(&document, &Document::totalsChanged, this, &SummaryBar::refreshTotals);
    connect(&document, &Document::measured, this, &SummaryBar::refreshTotals);
    connect(&predictions, &Predictions::changed, this, &SummaryBar::refreshTotals);
    refreshChoices();
    showLimits();
}

QSize SummaryBar::minimumSizeHint() const
{
    const QMargins margins = m_lines->contentsMargins();
    return {m_choices->minimumSize().width() + margins.left() + margins.right(), m_lines->minimumSize().height()};
}

void SummaryBar::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    arrange();
}

void SummaryBar::arrange()
{
    const int link = m_passed->isHidden() ? 0 : m_passed->sizeHint().width() + 6;
    const int needed = m_numbers->sizeHint().width() + link + m_choices->minimumSize().width() + 40;
    const auto direction = width() < needed ? QBoxLayout::TopToBottom : QBoxLayout::LeftToRight;
    if (direction == m_lines->direction())
        return;
    m_lines->setDirection(direction);
    updateGeometry(); // it is of another height now
}

void SummaryBar::setBusy(bool busy)
{
    m_busy = busy;
    refreshTotals();
}

void SummaryBar::refreshChoices()
{
    const auto fill = [](QComboBox* combo, const QStringList& texts, const QStringList& refusals, int current) {
        const QSignalBlocker quiet(combo);
        combo->clear();
        combo->addItems(texts);
        auto* model = qobject_cast<QStandardItemModel*>(combo->model());
        for (int i = 0; model && i < combo->count(); ++i) {
            model->item(i)->setEnabled(refusals[i].isEmpty());
            model->item(i)->setToolTip(refusals[i]);
        }
        combo->setCurrentIndex(current);
    };
    QStringList texts;
    QStringList refusals;
    int current = -1;
    for (const Target* target : allTargets()) {
        texts << toQString(target->profile.id);
        const auto accepted = m_document.isOpen() ? target->profile.acceptsModel(*m_document.model()) : Result<void>();
        refusals << (accepted ? QString() : errorText(accepted.error()));
        if (target == m_document.target())
            current = static_cast<int>(texts.size()) - 1;
    }
    fill(m_target, texts, refusals, current);
    texts.clear();
    refusals.clear();
    current = -1;
    for (const Metric* metric : allMetrics()) {
        texts << toQString(metric->id).replace(QLatin1Char('_'), QLatin1Char(' '));
        const auto usable = checkUsable(*metric, m_document.activations().get());
        refusals << (usable ? QString() : errorText(usable.error()));
        if (metric == m_document.metric())
            current = static_cast<int>(texts.size()) - 1;
    }
    fill(m_metric, texts, refusals, current);
    if (const Metric* metric = m_document.metric())
        m_metric->setToolTip(toQString(metric->title) + QStringLiteral("\n") + toQString(metric->formula) +
                             QStringLiteral(" / ") + toQString(metric->unit));
    if (!m_budget->hasFocus() || !m_budget->isModified())
        m_budget->setText(budgetText(m_document.budget()));
    setEnabled(m_document.isOpen());
    m_numbers->forgetRoom();
    refreshTotals();
}

void SummaryBar::takeBudget()
{
    if (const auto budget = parseBudget(m_budget->text())) {
        m_document.setBudget(*budget);
        m_budget->setModified(false);
        m_budget->setPalette(palette());
    } else {
        QPalette p = palette();
        p.setColor(QPalette::Text, colors(p).bad);
        m_budget->setPalette(p);
    }
}

void SummaryBar::showNumbers()
{
    const Totals& totals = m_document.totals();
    const Metric* metric = m_document.metric();
    const QString bits = tr("%1 bits per weight").arg(fixedText(totals.bitsPerWeight, 3));
    const std::string source = m_document.lossSource();
    const auto expected = m_predictions.ofPlan();
    const bool isTrusted = !expected || m_predictions.isTrusted(source);
    m_numbers->setTexts(totals.fileBytes ? tr("%1 · %2").arg(bytesText(*totals.fileBytes), bits) : bits,
                        !std::isnan(totals.loss) ? lossText(m_document, totals.loss, expected, isTrusted)
                        : m_document.isMeasuring()
                            ? tr("predicted loss: measuring…")
                            : tr("predicted loss unknown, layers not measured: %1").arg(totals.unmeasured));
    m_numbers->setWarning(!isTrusted);
    QString ofLoss = metric ? tr("%1 in %2, summed over the layers: %3")
                                  .arg(toQString(metric->title), toQString(metric->unit), toQString(metric->formula))
                            : QString();
    if (totals.probed + totals.exact > 0)
        ofLoss += tr("\nOf the layers under this plan, tied ones together, %1 were measured by running the model with "
                     "each alone, %2 by gradients along the change of their codes.")
                      .arg(countText(totals.exact), countText(totals.probed));
    if (expected) {
        ofLoss += tr("\nThe sum is %1; %2 validated plans say what KLD it stands for, and where %3 of such plans are.")
                      .arg(numberText(totals.loss, 4), countText(expected->plans), percentText(expected->level));
        if (!isTrusted)
            ofLoss +=
                tr("\nThe last validated plan was outside of its interval: validate a plan before it is relied on.\n%1")
                    .arg(m_predictions.suspects(source));
    }
    m_numbers->setToolTips(
        totals.fileBytes
            ? tr("The target's files: %1 bytes exactly\nCodes, scales and padding of the plan's layers: %2 bits")
                  .arg(countText(*totals.fileBytes), countText(totals.payloadBits))
            : totals.refusal,
        ofLoss);
}

void SummaryBar::showLimits()
{
    // A budget alone is what the bar tells.
    const std::vector<Limit>& limits = m_limits.limits();
    const bool isBudget = limits.size() == 1 &&
                          (limits.front().kind == LimitKind::size || limits.front().kind == LimitKind::bitsPerWeight);
    const int passed = m_document.isOpen() && !isBudget ? m_limits.passed() : 0;
    QPalette p = palette();
    p.setColor(QPalette::ButtonText, colors(p).bad);
    m_passed->setPalette(p);
    if (passed > 0)
        m_passed->setText(passed == 1 ? tr("1 limit is not kept") : tr("%1 limits are not kept").arg(passed));
    if (m_passed->isHidden() != (passed == 0)) {
        m_passed->setVisible(passed > 0);
        arrange();
    }
}

void SummaryBar::refreshTotals()
{
    if (!m_document.isOpen()) {
        m_numbers->setTexts(tr("No plan"), {});
        m_numbers->setWarning(false);
        m_numbers->setToolTips({}, {});
        m_bar->setState(0, 0, {});
        m_balance->setEnabled(false);
        return;
    }
    showNumbers();
    const Totals& totals = m_document.totals();
    const Budget budget = m_document.budget();
    const bool isOverBits = budget.bitsPerWeight && totals.bitsPerWeight > *budget.bitsPerWeight + 5e-4;
    if (!totals.refusal.isEmpty()) {
        m_bar->setState(0, 0, totals.refusal);
        m_bar->setToolTip(totals.refusal);
    } else if (budget.fileBytes && totals.fileBytes && !(isOverBits && *totals.fileBytes <= *budget.fileBytes)) {
        const std::int64_t left = *budget.fileBytes - *totals.fileBytes;
        m_bar->setState(static_cast<double>(*totals.fileBytes), static_cast<double>(*budget.fileBytes),
                        left >= 0 ? tr("%1 under budget").arg(bytesText(left))
                                  : tr("%1 over budget").arg(bytesText(-left)));
        m_bar->setToolTip(tr("%1 of %2 bytes").arg(countText(*totals.fileBytes), countText(*budget.fileBytes)));
    } else if (budget.bitsPerWeight) {
        const double left = *budget.bitsPerWeight - totals.bitsPerWeight;
        m_bar->setState(totals.bitsPerWeight, *budget.bitsPerWeight,
                        std::fabs(left) < 5e-4 ? tr("at the budget")
                        : left > 0             ? tr("%1 bits under budget").arg(fixedText(left, 3))
                                               : tr("%1 bits over budget").arg(fixedText(-left, 3)));
        m_bar->setToolTip({});
    } else {
        m_bar->setState(0, 0, tr("no budget"));
    }
    m_balance->setEnabled(!m_busy && !m_document.isMeasuring() && !m_document.planLayers().empty());
    arrange();
}

} // namespace ql::views
