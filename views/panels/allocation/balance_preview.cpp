// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/allocation/balance_preview.h"

#include "views/document/document.h"
#include "views/document/layer_names.h"
#include "views/text/format.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QKeyEvent>
#include <QLabel>
#include <QPushButton>
#include <QTableWidget>
#include <QVBoxLayout>

namespace ql::views {

BalancePreview::BalancePreview(Document& document, QWidget* parent)
    : QWidget(parent),
      m_document(document),
      m_text(new QLabel(this)),
      m_changes(new QTableWidget(0, 3, this)),
      m_discard(new QPushButton(tr("&Discard"), this)),
      m_accept(new QPushButton(tr("&Accept"), this))
{
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(6, 2, 6, 6);
    column->setSpacing(4);
    m_text->setWordWrap(true);
    setMinimumWidth(fontMetrics().averageCharWidth() * 62);
    column->addWidget(m_text);
    column->addWidget(m_changes, 1);
    auto* buttons = new QHBoxLayout;
    buttons->addStretch(1);
    buttons->addWidget(m_discard);
    buttons->addWidget(m_accept);
    column->addLayout(buttons);
    m_changes->setHorizontalHeaderLabels({tr("layer"), tr("now"), tr("proposed")});
    m_changes->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_changes->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_changes->setSelectionMode(QAbstractItemView::SingleSelection);
    m_changes->setShowGrid(false);
    m_changes->setAlternatingRowColors(true);
    m_changes->setWordWrap(false); // else names break at their dots
    m_changes->verticalHeader()->hide();
    m_changes->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 4);
    m_changes->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
    m_changes->setColumnWidth(1, fontMetrics().horizontalAdvance(QStringLiteral("int4:g128:s=bf16  ")));
    m_changes->setColumnWidth(2, m_changes->columnWidth(1));
    m_changes->setAccessibleName(tr("Layers that Balance would change"));
    m_accept->setToolTip(tr("Makes the proposal the plan; one step to undo"));
    connect(m_accept, &QPushButton::clicked, this, &BalancePreview::accepted);
    m_discard->setToolTip(tr("Leaves the plan as it is (Esc)"));
    connect(m_discard, &QPushButton::clicked, this, &BalancePreview::discarded);
    connect(m_changes, &QTableWidget::itemSelectionChanged, this, [this] {
        const auto items = m_changes->selectedItems();
        if (!items.isEmpty())
            Q_EMIT layerChosen(items.front()->data(Qt::UserRole).toLongLong());
    });
}

Result<Proposal> propose(const Model& model, const BalanceRequest& request, const JobContext& context)
{
    QL_TRY(balanced, balance(model, request, context));
    auto uniform = bestUniform(model, request, balanced);
    return Proposal{.balanced = std::move(balanced),
                    .uniform = std::move(uniform),
                    .isSmallest = request.constraints.loss.has_value()};
}

void BalancePreview::show(const Proposal& proposal, const QString& warning)
{
    const BalanceResult& result = proposal.balanced;
    std::vector<std::int64_t> changed;
    for (const std::int64_t layer : m_document.planLayers()) {
        if (!(result.plan.candidates[static_cast<std::size_t>(layer)] == m_document.candidate(layer)))
            changed.push_back(layer);
    }
    const Totals& now = m_document.totals();
    QString text = tr("<b>Proposal:</b> %1 bits per weight (now %2)")
                       .arg(fixedText(result.bitsPerWeight, 3), fixedText(now.bitsPerWeight, 3));
    if (result.fileBytes > 0)
        text += tr(", %1").arg(bytesText(result.fileBytes)) +
                (now.fileBytes ? tr(" (now %1)").arg(bytesText(*now.fileBytes)) : QString());
    text += tr(". Predicted loss %1 (now %2). ").arg(numberText(result.predictedLoss, 4), numberText(now.loss, 4));
    if (result.blocksOnSecond)
        text += tr("The embedding and the first %1 blocks are in the memory beside the device. ")
                    .arg(*result.blocksOnSecond);
    if (proposal.isSmallest)
        text += result.allocation.optimal ? tr("No smaller plan keeps the predicted loss.")
                                          : tr("A smaller plan that keeps the predicted loss is possible.");
    else
        text += result.allocation.optimal
                    ? tr("No plan within the limits is predicted to be better.")
                    : tr("At best %1 is possible.").arg(numberText(result.allocation.lowerBound, 4));
    if (proposal.uniform)
        text += tr(" The best single candidate that fits, %1, is predicted at %2.")
                    .arg(toQString(printCandidate(m_document.table().candidates[proposal.uniform->column])),
                         numberText(proposal.uniform->predictedLoss, 4));
    text += QLatin1Char(' ') + (changed.empty()       ? tr("Nothing changes.")
                                : changed.size() == 1 ? tr("One layer changes.")
                                                      : tr("%1 layers change.").arg(changed.size()));
    if (!warning.isEmpty())
        text += QStringLiteral(" <b>%1</b>").arg(warning.toHtmlEscaped());
    m_text->setText(text);
    m_changes->clearSelection();
    m_changes->setRowCount(static_cast<int>(changed.size()));
    for (int row = 0; row < m_changes->rowCount(); ++row) {
        const std::int64_t layer = changed[static_cast<std::size_t>(row)];
        const QString cells[] = {nameWithBlock(m_document.layer(layer)),
                                 toQString(printCandidate(m_document.candidate(layer))),
                                 toQString(printCandidate(result.plan.candidates[static_cast<std::size_t>(layer)]))};
        for (int column = 0; column < 3; ++column) {
            auto* item = new QTableWidgetItem(cells[column]);
            item->setData(Qt::UserRole, static_cast<qlonglong>(layer));
            item->setToolTip(column == 0 ? toQString(m_document.layer(layer).name) : cells[column]);
            m_changes->setItem(row, column, item);
        }
    }
    m_accept->setEnabled(!changed.empty());
    m_accept->setDefault(true);
    setFocusProxy(m_accept->isEnabled() ? m_accept : m_discard);
    QWidget::show();
}

void BalancePreview::keyPressEvent(QKeyEvent* event)
{
    if (event->key() == Qt::Key_Escape)
        Q_EMIT discarded();
    else
        QWidget::keyPressEvent(event);
}

} // namespace ql::views
