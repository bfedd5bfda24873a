// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/evolution.h"

#include "core/allocation/side_sums.h"
#include "core/base/linear_algebra.h"
#include "core/base/rng.h"
#include "core/base/sum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>

namespace ql {

namespace {

using Choice = std::vector<std::size_t>;

constexpr int kDraws = 50; // of one child, before it is mended

class Breeding {
public:
    Breeding(const AllocationProblem& problem, const PlanObjective& objective, const EvolutionSettings& settings)
        : m_problem(problem), m_objective(objective), m_settings(settings), m_rng(settings.seed)
    {}

    Result<Evolution> run(const JobContext& context)
    {
        Evolution evolution;
        for (const Choice& given : m_settings.start)
            if (allocation::keepsLimits(m_problem, given))
                add(given);
        for (std::size_t i = m_people.size(); i < m_settings.population; ++i) {
            QL_CHECK(context.checkStop());
            if (auto child = draw([&](std::size_t item) { return anyOption(item); }))
                add(std::move(*child));
        }
        if (m_people.empty())
            return refused("no choice was found that keeps all limits; raise one of them");
        for (std::size_t generation = 0; generation < m_settings.generations; ++generation) {
            keepParents();
            const std::size_t parents = m_people.size();
            for (std::size_t child = parents; child < m_settings.population; ++child) {
                QL_CHECK(context.checkStop());
                const Choice mother = m_people[below(parents)].choice;
                const Choice father = m_people[below(parents)].choice;
                const bool mutates = child % 2 == 0;
                auto drawn = draw([&](std::size_t item) {
                    if (mutates)
                        return m_rng.uniform(m_next++) < m_settings.mutation ? anyOption(item) : mother[item];
                    return m_rng.bits(m_next++) % 2 == 0 ? mother[item] : father[item];
                });
                if (drawn)
                    add(std::move(*drawn));
            }
            const auto best = std::ranges::min_element(m_people, {}, &Person::value);
            if (evolution.bestOf.empty() || best->value < evolution.value) {
                evolution.value = best->value;
                evolution.choice = best->choice;
            }
            evolution.bestOf.push_back(evolution.value);
        }
        if (evolution.bestOf.empty()) {
            const auto best = std::ranges::min_element(m_people, {}, &Person::value);
            evolution.value = best->value;
            evolution.choice = best->choice;
        }
        evolution.evaluations = static_cast<std::int64_t>(m_known.size());
        return evolution;
    }

private:
    struct Person {
        Choice choice;
        double value = 0;
    };

    std::size_t options(std::size_t item) const { return m_problem.offsets[item + 1] - m_problem.offsets[item]; }
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(m_rng.bits(m_next++) % n); }
    std::size_t anyOption(std::size_t item) { return below(options(item)); }

    /// The best, each once.
    void keepParents()
    {
        std::ranges::stable_sort(m_people, {}, &Person::value);
        std::set<Choice> seen;
        std::erase_if(m_people, [&](const Person& person) { return !seen.insert(person.choice).second; });
        m_people.resize(std::min(m_people.size(), std::max<std::size_t>(m_settings.parents, 1)));
    }

    /// A choice that keeps the limits and was not seen before; a mended one if no draw keeps them, nothing if all were
    /// seen.
    template<typename Gene>
    std::optional<Choice> draw(const Gene& gene)
    {
        Choice choice(m_problem.itemCount());
        bool keepsOnce = false;
        for (int attempt = 0; attempt < kDraws; ++attempt) {
            for (std::size_t i = 0; i < choice.size(); ++i)
                choice[i] = gene(i);
            if (!allocation::keepsLimits(m_problem, choice))
                continue;
            if (!m_known.contains(choice))
                return choice;
            keepsOnce = true;
        }
        return keepsOnce ? std::nullopt : mended(std::move(choice));
    }
    /// Takes items, in a drawn order, to their smallest option until the limits hold.
    std::optional<Choice> mended(Choice choice)
    {
        std::vector<std::size_t> order(choice.size());
        for (std::size_t i = 0; i < order.size(); ++i)
            order[i] = i;
        for (std::size_t i = order.size(); i > 1; --i)
            std::swap(order[i - 1], order[below(i)]);
        for (const std::size_t item : order) {
            for (std::size_t o = 0; o < options(item); ++o)
                if (m_problem.sizes[m_problem.offsets[item] + o] <
                    m_problem.sizes[m_problem.offsets[item] + choice[item]])
                    choice[item] = o;
            if (allocation::keepsLimits(m_problem, choice))
                return choice;
        }
        return std::nullopt;
    }
    void add(Choice choice)
    {
        const auto [known, isNew] = m_known.try_emplace(choice, 0);
        if (isNew) {
            known->second = m_objective(choice);
            if (std::isnan(known->second))
                known->second = std::numeric_limits<double>::infinity();
        }
        m_people.push_back({std::move(choice), known->second});
    }

    const AllocationProblem& m_problem;
    const PlanObjective& m_objective;
    const EvolutionSettings& m_settings;
    CounterRng m_rng;
    std::uint64_t m_next = 0;
    std::vector<Person> m_people;
    std::map<Choice, double> m_known;
};

Result<void> runTiles(std::int64_t n, const std::function<void(std::int64_t)>& task)
{
    for (std::int64_t i = 0; i < n; ++i)
        task(i);
    return {};
}

} // namespace

Result<Evolution> evolve(const AllocationProblem& problem, const PlanObjective& objective,
                         const EvolutionSettings& settings, const JobContext& context)
{
    QL_CHECK(allocation::checkSides(problem));
    if (settings.population < 2 || problem.itemCount() == 0)
        return usageError("an evolution needs items, and a population of 2 or more");
    return Breeding(problem, objective, settings).run(context);
}

Result<PlanPredictor> PlanPredictor::fit(const AllocationProblem& problem, std::vector<Choice> plans,
                                         std::span<const double> measured, double ridge)
{
    if (plans.empty() || plans.size() != measured.size() || !(ridge > 0))
        return usageError("a predictor needs plans with a measured value each, and a ridge above 0");
    PlanPredictor predictor;
    predictor.m_offsets = problem.offsets;
    predictor.m_losses = problem.losses;
    predictor.m_plans = std::move(plans);
    const std::size_t n = predictor.m_plans.size();
    CompensatedSum values;
    CompensatedSum sums;
    for (std::size_t i = 0; i < n; ++i) {
        values.add(measured[i]);
        sums.add(predictor.additive(predictor.m_plans[i]));
    }
    predictor.m_ratio = sums.value() > 0 ? values.value() / sums.value() : 0;
    std::vector<double> factor(n * n);
    predictor.m_weights.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j)
            factor[i * n + j] = predictor.shared(predictor.m_plans[i], predictor.m_plans[j]) + (i == j ? ridge : 0);
        predictor.m_weights[i] = measured[i] - predictor.m_ratio * predictor.additive(predictor.m_plans[i]);
    }
    QL_CHECK(choleskyLower(factor.data(), static_cast<std::int64_t>(n), runTiles));
    std::vector<double>& x = predictor.m_weights;
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < i; ++j)
            x[i] -= factor[i * n + j] * x[j];
        x[i] /= factor[i * n + i];
    }
    for (std::size_t i = n; i-- > 0;) {
        for (std::size_t j = i + 1; j < n; ++j)
            x[i] -= factor[j * n + i] * x[j];
        x[i] /= factor[i * n + i];
    }
    return predictor;
}

double PlanPredictor::operator()(std::span<const std::size_t> choice) const
{
    CompensatedSum value;
    value.add(m_ratio * additive(choice));
    for (std::size_t i = 0; i < m_plans.size(); ++i)
        value.add(m_weights[i] * shared(choice, m_plans[i]));
    return value.value();
}

double PlanPredictor::additive(std::span<const std::size_t> choice) const
{
    CompensatedSum sum;
    for (std::size_t i = 0; i < choice.size(); ++i)
        sum.add(m_losses[m_offsets[i] + choice[i]]);
    return sum.value();
}

double PlanPredictor::shared(std::span<const std::size_t> a, std::span<const std::size_t> b) const
{
    std::size_t equal = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        equal += a[i] == b[i] ? 1U : 0U;
    return static_cast<double>(equal) / static_cast<double>(a.size());
}

} // namespace ql
