// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/plan_command.h"

#include <algorithm>

namespace ql::views {

PlanCommand::PlanCommand(Document& document, std::vector<PlanChange> changes, const QString& text, bool mergeable)
    : QUndoCommand(text), m_document(document), m_changes(std::move(changes)), m_mergeable(mergeable)
{}

void PlanCommand::undo()
{
    m_document.applyChanges(m_changes, false);
}

void PlanCommand::redo()
{
    if (m_inForce) // QUndoStack::push() calls redo() at once
        m_inForce = false;
    else
        m_document.applyChanges(m_changes, true);
}

bool PlanCommand::mergeWith(const QUndoCommand* next)
{
    const auto* other = dynamic_cast<const PlanCommand*>(next);
    if (!other || !m_mergeable || !other->m_mergeable ||
        !std::equal(m_changes.begin(), m_changes.end(), other->m_changes.begin(), other->m_changes.end(),
                    [](const PlanChange& a, const PlanChange& b) { return a.layer == b.layer; }))
        return false;
    for (std::size_t i = 0; i < m_changes.size(); ++i)
        m_changes[i].after = other->m_changes[i].after;
    return true;
}

TargetCommand::TargetCommand(Document& document, const Target* before, const Plan& planBefore, const Target* after,
                             const Plan& planAfter, const QString& text)
    : QUndoCommand(text),
      m_document(document),
      m_before(before),
      m_after(after),
      m_planBefore(planBefore),
      m_planAfter(planAfter)
{}

void TargetCommand::undo()
{
    m_document.applyTarget(m_before, m_planBefore);
}

void TargetCommand::redo()
{
    m_document.applyTarget(m_after, m_planAfter);
}

VariantCommand::VariantCommand(Document& document, std::shared_ptr<const Variant> before, const Plan& planBefore,
                               std::shared_ptr<const Variant> after, const Plan& planAfter, const QString& text)
    : QUndoCommand(text),
      m_document(document),
      m_before(std::move(before)),
      m_after(std::move(after)),
      m_planBefore(planBefore),
      m_planAfter(planAfter)
{}

void VariantCommand::undo()
{
    m_document.applyVariant(m_before, m_planBefore);
}

void VariantCommand::redo()
{
    m_document.applyVariant(m_after, m_planAfter);
}

PlansCommand::PlansCommand(Document& document, State before, State after, const QString& text)
    : QUndoCommand(text), m_document(document), m_before(std::move(before)), m_after(std::move(after))
{}

void PlansCommand::undo()
{
    m_document.applyPlans(m_before.plans, m_before.target, m_before.plan);
}

void PlansCommand::redo()
{
    m_document.applyPlans(m_after.plans, m_after.target, m_after.plan);
}

CandidatesCommand::CandidatesCommand(Document& document, std::vector<Candidate> before, std::vector<Candidate> after,
                                     const QString& text)
    : QUndoCommand(text), m_document(document), m_before(std::move(before)), m_after(std::move(after))
{}

void CandidatesCommand::undo()
{
    m_document.applyCandidates(m_before);
}

void CandidatesCommand::redo()
{
    m_document.applyCandidates(m_after);
}

LimitsCommand::LimitsCommand(Document& document, std::vector<Limit> before, std::vector<Limit> after,
                             const QString& text)
    : QUndoCommand(text), m_document(document), m_before(std::move(before)), m_after(std::move(after))
{}

void LimitsCommand::undo()
{
    m_document.applyLimits(m_before);
}

void LimitsCommand::redo()
{
    m_document.applyLimits(m_after);
}

} // namespace ql::views
