// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/measured_search.h"

#include "core/base/rng.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

namespace ql {

namespace {

using Choice = std::vector<std::size_t>;

constexpr std::size_t kDrawsPerStart = 10; // where draws have the same optimum
constexpr double kMutations = 4;           // items of a child

class Search {
public:
    Search(const AllocationProblem& problem, const JointTerms& terms, const MeasureChoice& measure,
           const MeasuredSearchSettings& settings, const JobContext& context)
        : m_problem(problem), m_terms(terms), m_measure(measure), m_settings(settings), m_context(context)
    {}

    Result<std::vector<MeasuredChoice>> run()
    {
        QL_CHECK(measureOptima());
        for (std::size_t step = 0; step < m_settings.steps; ++step) {
            QL_TRY(next, bestUnmeasured(step));
            if (next.choice.empty())
                break;
            QL_CHECK(add(std::move(next.choice), next.predicted));
        }
        return std::move(m_measured);
    }

private:
    Result<void> add(Choice choice, double predicted)
    {
        QL_CHECK(m_context.checkStop());
        QL_TRY(value, m_measure(choice));
        m_known.insert(choice);
        m_measured.push_back({.choice = std::move(choice), .predicted = predicted, .measured = value});
        return {};
    }

    Result<void> measureOptima()
    {
        AllocationProblem drawn = m_problem;
        const Solver& solver = solverFor(m_problem);
        const CounterRng rng(m_settings.evolution.seed);
        for (std::size_t draw = 0; m_measured.size() < m_settings.start && draw < kDrawsPerStart * m_settings.start;
             ++draw) {
            for (std::size_t o = 0; draw > 0 && o < drawn.losses.size(); ++o)
                drawn.losses[o] =
                    m_problem.losses[o] * std::exp(m_settings.spread * rng.normal(draw * drawn.losses.size() + o));
            QL_TRY(optimum, solveJointly(solver, drawn, m_terms, m_context));
            if (!m_known.contains(optimum.allocation.choice))
                QL_CHECK(add(std::move(optimum.allocation.choice), std::numeric_limits<double>::quiet_NaN()));
        }
        return {};
    }

    /// What the evolution thinks best of all that was not measured; an empty choice where it met nothing new.
    Result<MeasuredChoice> bestUnmeasured(std::size_t step) const
    {
        std::vector<Choice> plans;
        std::vector<double> values;
        for (const MeasuredChoice& one : m_measured) {
            plans.push_back(one.choice);
            values.push_back(one.measured);
        }
        EvolutionSettings evolution = m_settings.evolution;
        evolution.seed += step + 1;
        evolution.start = plans;
        if (!(evolution.mutation > 0))
            evolution.mutation = std::min(0.5, kMutations / static_cast<double>(m_problem.itemCount()));
        QL_TRY(predictor, PlanPredictor::fit(m_problem, std::move(plans), values));
        MeasuredChoice best{.choice = {}, .predicted = std::numeric_limits<double>::infinity(), .measured = 0};
        const PlanObjective objective = [&](std::span<const std::size_t> choice) {
            const double value = predictor(choice);
            if (value < best.predicted && !m_known.contains(Choice(choice.begin(), choice.end()))) {
                best.choice.assign(choice.begin(), choice.end());
                best.predicted = value;
            }
            return value;
        };
        QL_CHECK(evolve(m_problem, objective, evolution, m_context));
        return best;
    }

    const AllocationProblem& m_problem;
    const JointTerms& m_terms;
    const MeasureChoice& m_measure;
    const MeasuredSearchSettings& m_settings;
    const JobContext& m_context;
    std::vector<MeasuredChoice> m_measured;
    std::set<Choice> m_known;
};

} // namespace

Result<std::vector<MeasuredChoice>> searchMeasured(const AllocationProblem& problem, const JointTerms& terms,
                                                   const MeasureChoice& measure, const MeasuredSearchSettings& settings,
                                                   const JobContext& context)
{
    if (settings.start < 1 || problem.itemCount() == 0)
        return usageError("a search needs items, and a plan to start from");
    return Search(problem, terms, measure, settings, context).run();
}

std::span<const PlanSearch> planSearches()
{
    static constexpr std::array kAll{
        PlanSearch{.id = "evolution",
                   .title = "Evolution by a predictor fitted on measured plans (no proof)",
                   .objective =
                       "the measured KLD: predictor = ratio · sum of losses + kernel ridge regression over the "
                       "share of items that plans have in common; each best by it is measured and joins the fit",
                   .source = "Wang et al., APQ, CVPR 2020, sections 3.2 and 3.3"},
        PlanSearch{.id = "ratios",
                   .title = "Ratios of two groups' bits",
                   .objective =
                       "the measured KLD over ratios k: each group is solved within its own bits, "
                       "B·(1 + r)/(k·r + 1) for the others and k times that for the first, r their weights' ratio",
                   .source = "Zhao et al., MixDQ, ECCV 2024, section 3.3"},
    };
    return kAll;
}

} // namespace ql
