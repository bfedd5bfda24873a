// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/proxy_search.h"

#include "core/base/rank_statistics.h"
#include "core/base/rng.h"
#include "core/base/sum.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace ql {

namespace {

constexpr std::size_t kUnaries = 8;
constexpr std::size_t kBinaries = 6;
constexpr double kMutation = 0.3; // of each gene
constexpr double kFresh = 0.5;    // of pairs: the best with a random one, which keeps them apart

void normalize(std::vector<double>& values)
{
    CompensatedSum sum;
    for (const double value : values)
        sum.add(std::fabs(value));
    const double mean = sum.value() / static_cast<double>(values.size());
    if (mean > 0 && std::isfinite(mean))
        for (double& value : values)
            value /= mean;
}

void apply(ProxyUnary unary, std::vector<double>& values)
{
    const auto each = [&](auto function) {
        for (double& value : values)
            value = function(value);
    };
    switch (unary) {
    case ProxyUnary::keep:
        break;
    case ProxyUnary::square:
        each([](double x) { return x * x; });
        break;
    case ProxyUnary::root:
        each([](double x) { return std::sqrt(std::fabs(x)); });
        break;
    case ProxyUnary::logarithm:
        each([](double x) { return std::log1p(std::fabs(x)); });
        break;
    case ProxyUnary::exponential:
        each([](double x) { return std::exp(std::min(x, 700.0)); });
        break;
    case ProxyUnary::inverse:
        each([](double x) { return 1 / x; });
        break;
    case ProxyUnary::absolute:
        each([](double x) { return std::fabs(x); });
        break;
    case ProxyUnary::rank:
        values = averageRanks(values);
        normalize(values);
        break;
    }
}

double merge(ProxyBinary binary, double a, double b)
{
    switch (binary) {
    case ProxyBinary::first:
        return a;
    case ProxyBinary::add:
        return a + b;
    case ProxyBinary::subtract:
        return a - b;
    case ProxyBinary::multiply:
        return a * b;
    case ProxyBinary::divide:
        return a / b;
    case ProxyBinary::larger:
        return std::max(a, b);
    }
    return a;
}

std::vector<double> branchOf(const ProxyBranch& branch, const ProxyProblem& problem)
{
    std::vector<double> values = problem.cells[branch.input];
    normalize(values);
    for (const ProxyUnary unary : branch.unary)
        apply(unary, values);
    return values;
}

std::string printBranch(const ProxyBranch& branch, const ProxyProblem& problem)
{
    constexpr std::array<std::string_view, kUnaries> kWords{"", "square", "sqrt", "log1p", "exp", "1/", "abs", "rank"};
    std::string text = problem.inputs[branch.input];
    for (const ProxyUnary unary : branch.unary)
        if (unary != ProxyUnary::keep)
            text = std::string(kWords[static_cast<std::size_t>(unary)]) + "(" + text + ")";
    return text;
}

struct Individual {
    ProxyExpression expression;
    double fitness = 0;
};

/// Numbers one after the other.
class Dice {
public:
    explicit Dice(std::uint64_t seed) : m_rng(seed) {}
    double share() { return m_rng.uniform(m_next++); }
    std::size_t below(std::size_t n)
    {
        return std::min(n - 1, static_cast<std::size_t>(share() * static_cast<double>(n)));
    }

private:
    CounterRng m_rng;
    std::uint64_t m_next = 0;
};

class Search {
public:
    Search(const ProxyProblem& problem, const ProxySearchSettings& settings, const JobContext& context)
        : m_problem(problem), m_settings(settings), m_context(context), m_dice(settings.seed)
    {}

    Result<ProxyResult> run()
    {
        for (std::size_t input = 0; input < m_problem.inputs.size(); ++input) {
            ProxyExpression seed;
            seed.branches[0].input = seed.branches[1].input = input;
            add(seed);
        }
        if (m_population.empty())
            return refused("no metric alone orders the plans, so there is nothing to search from");
        sort();
        m_result.bestSeed = m_population.front().fitness;
        const auto most = static_cast<std::size_t>(m_settings.population);
        for (int tries = 0; m_population.size() < most && tries < 100 * m_settings.population; ++tries) {
            QL_CHECK(m_context.checkStop());
            add(random());
        }
        for (int generation = 0; generation < m_settings.generations; ++generation) {
            for (std::size_t i = 0; i < most; ++i) {
                QL_CHECK(m_context.checkStop());
                const ProxyExpression other = m_dice.share() < kFresh ? random() : chosen();
                add(mutated(crossed(chosen(), other)));
            }
            sort();
            m_population.resize(std::min(m_population.size(), most));
            m_result.bestSoFar.push_back(m_population.front().fitness);
        }
        m_result.expression = m_population.front().expression;
        m_result.spearman = m_population.front().fitness;
        return std::move(m_result);
    }

private:
    void add(const ProxyExpression& expression)
    {
        if (std::ranges::find(m_population, expression, &Individual::expression) != m_population.end())
            return;
        const std::vector<double> sums = proxySums(expression, m_problem);
        const double fitness = spearman(sums, m_problem.measured);
        if (sums.empty() || std::isnan(fitness))
            ++m_result.dropped;
        else
            m_population.push_back({expression, fitness});
    }
    /// The best first; of equal ones the older.
    void sort() { std::ranges::stable_sort(m_population, std::greater<>(), &Individual::fitness); }

    ProxyBranch randomBranch()
    {
        ProxyBranch branch;
        branch.input = m_dice.below(m_problem.inputs.size());
        for (ProxyUnary& unary : branch.unary)
            unary = static_cast<ProxyUnary>(m_dice.below(kUnaries));
        return branch;
    }
    ProxyExpression random()
    {
        ProxyExpression expression;
        for (ProxyBranch& branch : expression.branches)
            branch = randomBranch();
        expression.binary = static_cast<ProxyBinary>(m_dice.below(kBinaries));
        return expression;
    }
    ProxyExpression chosen()
    {
        std::size_t best = m_dice.below(m_population.size());
        for (int i = 1; i < m_settings.tournament; ++i)
            if (const std::size_t other = m_dice.below(m_population.size());
                m_population[other].fitness > m_population[best].fitness)
                best = other;
        return m_population[best].expression;
    }
    ProxyExpression crossed(const ProxyExpression& a, const ProxyExpression& b)
    {
        ProxyExpression child = a;
        if (m_dice.share() < 0.5)
            child.branches[1] = b.branches[m_dice.below(2)];
        if (m_dice.share() < 0.5)
            child.binary = b.binary;
        return child;
    }
    ProxyExpression mutated(ProxyExpression expression)
    {
        for (ProxyBranch& branch : expression.branches) {
            if (m_dice.share() < kMutation)
                branch.input = m_dice.below(m_problem.inputs.size());
            for (ProxyUnary& unary : branch.unary)
                if (m_dice.share() < kMutation)
                    unary = static_cast<ProxyUnary>(m_dice.below(kUnaries));
        }
        if (m_dice.share() < kMutation)
            expression.binary = static_cast<ProxyBinary>(m_dice.below(kBinaries));
        return expression;
    }

    const ProxyProblem& m_problem;
    const ProxySearchSettings& m_settings;
    const JobContext& m_context;
    Dice m_dice;
    std::vector<Individual> m_population;
    ProxyResult m_result;
};

} // namespace

std::string printProxy(const ProxyExpression& expression, const ProxyProblem& problem)
{
    constexpr std::array<std::string_view, kBinaries> kWords{"", " + ", " - ", " * ", " / ", " max "};
    const std::string first = printBranch(expression.branches[0], problem);
    if (expression.binary == ProxyBinary::first)
        return first;
    return first + std::string(kWords[static_cast<std::size_t>(expression.binary)]) +
           printBranch(expression.branches[1], problem);
}

std::vector<double> proxySums(const ProxyExpression& expression, const ProxyProblem& problem)
{
    std::vector<double> cells = branchOf(expression.branches[0], problem);
    if (expression.binary != ProxyBinary::first) {
        const std::vector<double> second = branchOf(expression.branches[1], problem);
        for (std::size_t i = 0; i < cells.size(); ++i)
            cells[i] = merge(expression.binary, cells[i], second[i]);
    }
    std::vector<double> sums;
    for (const std::vector<std::size_t>& plan : problem.plans) {
        CompensatedSum sum;
        for (const std::size_t cell : plan)
            sum.add(cells[cell]);
        if (!std::isfinite(sum.value()))
            return {};
        sums.push_back(sum.value());
    }
    if (std::ranges::adjacent_find(sums, std::not_equal_to<>()) == sums.end()) // constant
        return {};
    return sums;
}

Result<ProxyResult> searchProxy(const ProxyProblem& problem, const ProxySearchSettings& settings,
                                const JobContext& context)
{
    return Search(problem, settings, context).run();
}

} // namespace ql
