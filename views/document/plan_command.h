// SPDX-License-Identifier: GPL-3.0-or-later
// Undo steps of the document: a set of layers with old and new candidates and locks, a change of target, another list
// of candidates or limits, another variant of the model, other named plans.
#pragma once

#include "views/document/document.h"

#include <QUndoCommand>

namespace ql::views {

/// The changes are already in force when it is pushed. Mergeable steps of the same layers join, so that holding a key
/// is one step.
class PlanCommand : public QUndoCommand {
public:
    PlanCommand(Document& document, std::vector<PlanChange> changes, const QString& text, bool mergeable);
    void undo() override;
    void redo() override;
    int id() const override { return m_mergeable ? 1 : -1; }
    bool mergeWith(const QUndoCommand* next) override;

private:
    Document& m_document;
    std::vector<PlanChange> m_changes;
    bool m_mergeable;
    bool m_inForce = true;
};

class TargetCommand : public QUndoCommand {
public:
    TargetCommand(Document& document, const Target* before, const Plan& planBefore, const Target* after,
                  const Plan& planAfter, const QString& text);
    void undo() override;
    void redo() override;

private:
    Document& m_document;
    const Target* m_before;
    const Target* m_after;
    Plan m_planBefore, m_planAfter;
};

class VariantCommand : public QUndoCommand {
public:
    /// Null: the model as stored.
    VariantCommand(Document& document, std::shared_ptr<const Variant> before, const Plan& planBefore,
                   std::shared_ptr<const Variant> after, const Plan& planAfter, const QString& text);
    void undo() override;
    void redo() override;

private:
    Document& m_document;
    std::shared_ptr<const Variant> m_before, m_after;
    Plan m_planBefore, m_planAfter;
};

/// The list of named plans and the plan that is shown.
class PlansCommand : public QUndoCommand {
public:
    struct State {
        NamedPlans plans;
        const Target* target = nullptr;
        Plan plan;
    };
    PlansCommand(Document& document, State before, State after, const QString& text);
    void undo() override;
    void redo() override;

private:
    Document& m_document;
    State m_before, m_after;
};

class CandidatesCommand : public QUndoCommand {
public:
    CandidatesCommand(Document& document, std::vector<Candidate> before, std::vector<Candidate> after,
                      const QString& text);
    void undo() override;
    void redo() override;

private:
    Document& m_document;
    std::vector<Candidate> m_before, m_after;
};

class LimitsCommand : public QUndoCommand {
public:
    LimitsCommand(Document& document, std::vector<Limit> before, std::vector<Limit> after, const QString& text);
    void undo() override;
    void redo() override;

private:
    Document& m_document;
    std::vector<Limit> m_before, m_after;
};

} // namespace ql::views
