// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/sample_plans.h"

#include "core/allocation/free_items.h"
#include "core/base/rng.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace ql {

namespace {

constexpr double kGroupSpread = 0.7; // of r and b, per bit
constexpr double kMostKappa = 50;
constexpr double kEdited = 1.0 / 8; // of the items

class Sampling {
public:
    Sampling(const Model& model, const SampleRequest& request, SampleKind kind, const JobContext& context)
        : m_model(model), m_request(request), m_kind(kind), m_table(request.tables.front()), m_context(context)
    {
        m_start = keepPlan(model);
        if (request.target)
            m_start.target = request.target->id;
        m_free = freeItems(m_table, m_start);
    }

    Result<SampledPlan> at(int number)
    {
        const CounterRng rng(m_request.seed,
                             static_cast<std::uint64_t>(number) * 8 + static_cast<std::uint64_t>(m_kind));
        const std::vector<double>& sizes = m_request.bitsPerWeight;
        const double size = sizes[static_cast<std::size_t>(number) % sizes.size()];
        SampledPlan sample{.plan = m_start, .kind = m_kind, .metric = {}, .bitsPerWeight = 0};
        switch (m_kind) {
        case SampleKind::random:
            drawAll(rng, size, sample.plan);
            break;
        case SampleKind::single: {
            for (const FreeItem& item : m_free)
                give(item, largestOf(item), sample.plan);
            const FreeItem& item = m_free[pick(rng.uniform(0), m_free.size())];
            give(item, item.columns[pick(rng.uniform(1), item.columns.size())], sample.plan);
            break;
        }
        case SampleKind::solved: {
            const CostTable& table =
                m_request.tables[static_cast<std::size_t>(number) / sizes.size() % m_request.tables.size()];
            QL_TRY(solved, solve(table, size));
            sample.plan = std::move(solved);
            sample.metric = table.metric;
            break;
        }
        case SampleKind::edited: {
            std::vector<double> sorted = sizes;
            std::ranges::sort(sorted);
            QL_TRY(solved, solve(m_table, sorted[sorted.size() / 2]));
            sample.plan = std::move(solved);
            sample.metric = m_table.metric;
            for (std::size_t i = 0; i < m_free.size(); ++i)
                if (rng.uniform(2 * i) < kEdited)
                    give(m_free[i], m_free[i].columns[pick(rng.uniform(2 * i + 1), m_free[i].columns.size())],
                         sample.plan);
            break;
        }
        }
        sample.bitsPerWeight = bitsPerWeight(m_model, sample.plan, layersInPlan(m_model, m_request.target));
        return sample;
    }

    bool isEmpty() const { return m_free.empty(); }

private:
    static std::size_t pick(double uniform, std::size_t count)
    {
        return std::min(count - 1, static_cast<std::size_t>(uniform * static_cast<double>(count)));
    }

    void give(const FreeItem& item, std::size_t column, Plan& plan) const
    {
        assignColumn(m_model, m_table, m_request.target, item.item, column, plan);
    }

    Result<Plan> solve(const CostTable& table, double size) const
    {
        BalanceRequest request;
        request.table = &table;
        request.start = m_start;
        request.target = m_request.target;
        request.bitsPerWeight = size;
        QL_TRY(result, balance(m_model, request, m_context));
        return std::move(result.plan);
    }

    std::size_t largestOf(const FreeItem& item) const
    {
        return *std::ranges::max_element(item.columns, {},
                                         [&](std::size_t column) { return m_table.at(item.item, column).payloadBits; });
    }

    std::int64_t weightsOf(const FreeItem& item) const
    {
        return ql::weightsOf(m_model, m_table.items[item.item].layers);
    }

    /// The chances of an item's columns.
    std::vector<double> chances(const FreeItem& item, double slope) const
    {
        const auto weights = static_cast<double>(weightsOf(item));
        std::vector<double> chances;
        double least = 0;
        for (const std::size_t column : item.columns) {
            chances.push_back(slope * static_cast<double>(m_table.at(item.item, column).payloadBits) / weights);
            least = chances.size() == 1 ? chances.front() : std::min(least, chances.back());
        }
        double sum = 0;
        for (double& chance : chances)
            sum += chance = std::exp(least - chance);
        for (double& chance : chances)
            chance /= sum;
        return chances;
    }

    double meanBits(const std::vector<double>& slopes, double kappa) const
    {
        double bits = 0;
        double weights = 0;
        for (std::size_t i = 0; i < m_free.size(); ++i) {
            const std::vector<double> chance = chances(m_free[i], kappa + slopes[i]);
            for (std::size_t c = 0; c < chance.size(); ++c)
                bits += chance[c] * static_cast<double>(m_table.at(m_free[i].item, m_free[i].columns[c]).payloadBits);
            weights += static_cast<double>(weightsOf(m_free[i]));
        }
        return bits / weights;
    }

    void drawAll(const CounterRng& rng, double size, Plan& plan) const
    {
        std::map<std::string, double> groups; // of role or block
        std::uint64_t next = 0;
        const auto effect = [&](const std::string& group) {
            const auto [found, isNew] = groups.try_emplace(group, 0.0);
            if (isNew)
                found->second = kGroupSpread * rng.normal(next++);
            return found->second;
        };
        std::vector<double> slopes;
        for (const FreeItem& item : m_free) {
            const Layer& layer = m_model.layers[static_cast<std::size_t>(m_table.items[item.item].layers.front())];
            slopes.push_back(effect(layer.role) + effect(std::to_string(layer.block)));
        }
        double low = -kMostKappa; // many bits
        double high = kMostKappa;
        for (int step = 0; step < 60; ++step) {
            const double middle = 0.5 * (low + high);
            (meanBits(slopes, middle) > size ? low : high) = middle;
        }
        const std::uint64_t base = 2 * next + 2; // normal numbers take two each
        for (std::size_t i = 0; i < m_free.size(); ++i) {
            const std::vector<double> chance = chances(m_free[i], high + slopes[i]);
            double rest = rng.uniform(base + i);
            std::size_t column = 0;
            while (column + 1 < chance.size() && rest >= chance[column])
                rest -= chance[column++];
            give(m_free[i], m_free[i].columns[column], plan);
        }
    }

    const Model& m_model;
    const SampleRequest& m_request;
    const SampleKind m_kind;
    const CostTable& m_table;
    const JobContext& m_context;
    Plan m_start;
    std::vector<FreeItem> m_free;
};

} // namespace

std::string_view word(SampleKind kind)
{
    constexpr std::array<std::string_view, 4> kWords{"random", "solved", "edited", "single"};
    return kWords[static_cast<std::size_t>(kind)];
}

Result<std::vector<SampledPlan>> samplePlans(const Model& model, const SampleRequest& request, SampleKind kind,
                                             int count, const JobContext& context)
{
    std::vector<SampledPlan> samples;
    if (count <= 0)
        return samples;
    if (request.tables.empty() || request.bitsPerWeight.empty())
        return usageError("give at least one metric and one size to sample plans by");
    Sampling sampling(model, request, kind, context);
    if (sampling.isEmpty())
        return refused("no layer has a candidate that was measured, so there is nothing to sample");
    for (int i = 0; i < count; ++i) {
        QL_CHECK(context.checkStop());
        QL_TRY(sample, sampling.at(i));
        samples.push_back(std::move(sample));
    }
    return samples;
}

} // namespace ql
