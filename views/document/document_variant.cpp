// SPDX-License-Identifier: GPL-3.0-or-later
// Variants of the model: made by jobs, shown as an undo step, each with a plan of its own.
#include "core/checkpoint/stored_type.h"
#include "core/plan/plan_variant.h"
#include "views/document/document.h"
#include "views/document/plan_command.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <algorithm>

namespace ql::views {

std::string Document::variantText() const
{
    return m_variant ? variantOf(*m_variant->model->checkpoint) : std::string();
}

std::vector<std::string> Document::variants() const
{
    std::vector<std::string> texts{std::string()};
    for (const auto& [variant, plan] : m_plans)
        if (!variant.empty())
            texts.push_back(variant);
    if (std::ranges::find(texts, variantText()) == texts.end())
        texts.push_back(variantText());
    return texts;
}

void Document::transform(const TransformSpecs& specs)
{
    if (!m_model)
        return;
    if (specs.empty()) {
        if (m_variant) {
            const auto plan = planOf(nullptr);
            showVariant(nullptr, plan ? *plan : carriedPlan(nullptr), tr("Model as stored"));
        }
        Q_EMIT transformed({});
        return;
    }
    makeVariantThen(specs, [this, specs](Result<std::shared_ptr<const Variant>> made) {
        if (!made) {
            Q_EMIT transformFailed(made.error().code == Errc::cancelled ? QString() : errorText(made.error()));
            return;
        }
        const auto known = planOf(*made);
        showVariant(*made, known ? *known : carriedPlan(*made),
                    tr("Transform by %1").arg(toQString(printTransforms(specs))));
        Q_EMIT transformed((*made)->notes);
    });
}

void Document::stopTransforming()
{
    if (m_transformJob != 0)
        m_jobs.cancel(m_transformJob);
}

void Document::makeVariantThen(const TransformSpecs& specs, VariantDone done)
{
    using Made = std::shared_ptr<const Variant>;
    m_transformJob = m_jobs.start(
        {.title = tr("Transforming by %1").arg(toQString(printTransforms(specs))),
         .channel = QStringLiteral("transform"),
         .quiet = true},
        this,
        [base = m_base, activations = m_baseActivations, specs](const JobContext& context) -> Result<Made> {
            QL_TRY(variant, makeVariant(base, specs, activations, context));
            return std::make_shared<const Variant>(std::move(variant));
        },
        [this, done = std::move(done)](Result<Made> made) {
            m_transformJob = 0;
            done(std::move(made));
        });
}

void Document::adoptPlanText(const std::string& json, const QString& text,
                             std::function<void(const Result<void>&)> done)
{
    const auto variant = variantOfPlan(json);
    const auto specs = variant ? parseTransforms(*variant) : Result<TransformSpecs>(variant.error());
    if (!m_model || !specs) {
        done(m_model ? Result<void>(specs.error()) : usageError("open a checkpoint first"));
        return;
    }
    if (*variant == variantText()) {
        const auto plan = parsePlan(json, *m_model);
        if (plan)
            adoptPlan(*plan, text);
        done(plan ? Result<void>() : plan.error());
        return;
    }
    const auto show = [this, json, text](std::shared_ptr<const Variant> made) -> Result<void> {
        QL_TRY(plan, parsePlan(json, made ? *made->model : *m_base));
        // One step: the plan is there with the variant, and its target after that.
        const auto target = plan.target.empty() ? Result<const Target*>(m_target) : findTarget(plan.target);
        const bool isOther = target && *target != m_target;
        const Model& model = made ? *made->model : *m_base;
        const Plan first = isOther ? planFor(model, plan, m_target) : plan;
        m_undo.beginMacro(text);
        showVariant(std::move(made), first, text);
        if (isOther)
            m_undo.push(new TargetCommand(*this, m_target, m_plan, *target, plan, text));
        m_undo.endMacro();
        return {};
    };
    if (specs->empty()) {
        done(show(nullptr));
        return;
    }
    makeVariantThen(*specs, [show, done = std::move(done)](Result<std::shared_ptr<const Variant>> made) {
        done(made ? show(*made) : Result<void>(made.error()));
    });
}

/// The plan that the variant had when it was left.
Result<Plan> Document::planOf(const std::shared_ptr<const Variant>& variant) const
{
    const Model& model = variant ? *variant->model : *m_base;
    const auto found = m_plans.find(variantOf(*model.checkpoint));
    if (found == m_plans.end())
        return usageError("has no plan yet");
    QL_TRY(plan, parsePlan(found->second, model, true)); // the activations may be others by now
    const bool isSameTarget = m_target && m_target->profile.id == plan.target;
    return isSameTarget ? plan : planFor(model, std::move(plan), m_target);
}

/// The present plan on the layers of another variant; those that the present one does not tell apart get the same.
Plan Document::carriedPlan(const std::shared_ptr<const Variant>& variant) const
{
    const Model& to = variant ? *variant->model : *m_base;
    const auto baseOf = [](const std::shared_ptr<const Variant>& of, std::int64_t layer) {
        return of ? of->baseLayer[static_cast<std::size_t>(layer)] : layer;
    };
    std::vector<std::int64_t> present(m_base->layers.size(), -1); // layer shown of each layer of the base
    for (std::int64_t layer = 0; layer < std::ssize(m_model->layers); ++layer)
        if (const std::int64_t base = baseOf(m_variant, layer);
            base >= 0 && present[static_cast<std::size_t>(base)] < 0)
            present[static_cast<std::size_t>(base)] = layer;
    Plan plan = keepPlan(to);
    for (const std::int64_t layer : to.quantizableLayers()) {
        std::int64_t from = m_model->indexOf(to.layers[static_cast<std::size_t>(layer)].name);
        if (const std::int64_t base = baseOf(variant, layer); from < 0 && base >= 0)
            from = present[static_cast<std::size_t>(base)];
        if (from < 0)
            continue;
        plan.candidates[static_cast<std::size_t>(layer)] = candidate(from);
        plan.locked[static_cast<std::size_t>(layer)] = isLocked(from);
    }
    return planFor(to, std::move(plan), m_target);
}

void Document::showVariant(std::shared_ptr<const Variant> variant, const Plan& plan, const QString& text)
{
    cancelEdit();
    m_undo.push(new VariantCommand(*this, m_variant, m_plan, std::move(variant), plan, text));
}

void Document::applyVariant(std::shared_ptr<const Variant> variant, const Plan& plan)
{
    stopMeasuring();
    m_plans[variantText()] = printPlan(m_plan, *m_model);
    m_plansNamed[variantText()] = printNamedPlans(m_named);
    const auto nameOf = [this](std::int64_t layer) { return layer >= 0 ? this->layer(layer).name : std::string(); };
    const std::string current = nameOf(m_selection.current());
    std::vector<std::string> selected;
    for (const std::int64_t layer : m_selection.selected())
        selected.push_back(nameOf(layer));
    m_selection.clear();
    m_variant = std::move(variant);
    m_model = m_variant ? m_variant->model : m_base;
    m_activations = m_variant ? m_variant->activations : m_baseActivations;
    m_planLayers = m_model->quantizableLayers();
    m_plan = plan;
    m_plan.target = m_target ? std::string(m_target->profile.id) : std::string();
    takeNamedPlans();
    takeBestMetric();
    m_facts.assign(m_model->layers.size(), {});
    buildTable();
    tellAll();
    m_selection.setCurrent(m_model->indexOf(current));
    std::vector<std::int64_t> still;
    for (const std::string& name : selected)
        if (const std::int64_t layer = m_model->indexOf(name); layer >= 0)
            still.push_back(layer);
    m_selection.setSelected(still);
    startStatistics();
}

} // namespace ql::views
