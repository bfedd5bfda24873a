// SPDX-License-Identifier: GPL-3.0-or-later
// What Balance proposes, before it is accepted: sizes and losses before and after, and every layer that would change.
#pragma once

#include "core/allocation/uniform.h"

#include <QWidget>

class QLabel;
class QPushButton;
class QTableWidget;

namespace ql::views {

class Document;

struct Proposal {
    BalanceResult balanced;
    std::optional<UniformPlan> uniform; // the best single candidate within the same limits
    bool isSmallest = false;            // within a limit of the loss; else the least loss within the size
};
Result<Proposal> propose(const Model& model, const BalanceRequest& request, const JobContext& context);

class BalancePreview : public QWidget {
    Q_OBJECT
public:
    explicit BalancePreview(Document& document, QWidget* parent = nullptr);
    /// With what there is to warn of.
    void show(const Proposal& proposal, const QString& warning = {});

protected:
    void keyPressEvent(QKeyEvent* event) override; // Esc discards

Q_SIGNALS:
    void accepted();
    void discarded();
    void layerChosen(qint64 layer);

private:
    Document& m_document;
    QLabel* m_text;
    QTableWidget* m_changes;
    QPushButton* m_discard;
    QPushButton* m_accept;
};

} // namespace ql::views
