// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/scale_tuning.h"

#include "core/base/rng.h"
#include "core/jobs/parallel.h"
#include "core/model/evaluation/divergence_gradients.h"
#include "core/model/evaluation/loss_gradients.h"
#include "core/model/graph/row_kernels.h"
#include "core/model/graph/stored_weights.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

namespace ql {

namespace {

/// Weights of which some vectors, and factors of some rows, change.
class TunedWeights final : public graph::WeightSource {
public:
    explicit TunedWeights(const graph::WeightSource& base) : m_base(base) {}

    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        if (const auto changed = m_changed.find(layer); changed != m_changed.end())
            return changed->second;
        const auto factors = m_factors.find(layer);
        return factors != m_factors.end() ? multiplied(layer, factors->second, context)
                                          : m_base.weights(layer, context);
    }

    void setFactors(std::int64_t layer, std::vector<double> factors) { m_factors[layer] = std::move(factors); }
    void setVector(std::int64_t layer, const Shape& shape, std::span<const double> values)
    {
        const auto owner = std::make_shared<Buffer>(4 * std::ssize(values));
        std::ranges::transform(values, owner->as<float>(), [](double value) { return static_cast<float>(value); });
        m_changed[layer] = {{Dtype::f32, shape, owner->data()}, owner};
    }

private:
    Result<TensorData> multiplied(std::int64_t layer, const std::vector<double>& factors,
                                  const JobContext& context) const
    {
        QL_TRY(data, m_base.weights(layer, context));
        QL_TRY(weights, graph::decoded<float>(data, context));
        const auto rows = std::ssize(factors);
        const std::int64_t cols = rows > 0 ? weights.numel() / rows : 0;
        const auto owner = std::make_shared<Buffer>(4 * weights.numel());
        QL_CHECK(parallelFor(context, rows, graph::rowGrain(cols), [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t r = begin; r < end; ++r)
                graph::scaleRow(weights.data() + r * cols, cols,
                                static_cast<float>(factors[static_cast<std::size_t>(r)]), 0.0F,
                                owner->as<float>() + r * cols);
        }));
        return TensorData{{Dtype::f32, weights.shape(), owner->data()}, owner};
    }

    const graph::WeightSource& m_base;
    std::map<std::int64_t, TensorData> m_changed;
    std::map<std::int64_t, std::vector<double>> m_factors;
};

/// A gain, a bias or a layer's factors of rows on its way.
struct Parameter {
    std::int64_t layer = -1;
    std::vector<double> start, unit; // w₀ and s; of ln f 0 and 1
    bool isRowFactors = false;

    std::vector<double> values(const double* theta) const
    {
        std::vector<double> tuned = start;
        for (std::size_t i = 0; i < tuned.size(); ++i) {
            tuned[i] += unit[i] * theta[i];
            if (isRowFactors)
                tuned[i] = std::exp(tuned[i]);
        }
        return tuned;
    }
};

/// In the order of the gradient.
Result<std::vector<Parameter>> parametersOf(const Model& model, std::span<const Norm> norms,
                                            std::span<const LayerRows> rows, const JobContext& context)
{
    std::vector<Parameter> parameters;
    for (const Norm& norm : norms) {
        QL_TRY(gain, vectorOf(model, norm.gain, context));
        double squares = 0;
        for (const double w : gain)
            squares += (norm.offset + w) * (norm.offset + w);
        const double least = 0.1 * std::sqrt(squares / static_cast<double>(std::max<std::size_t>(1, gain.size())));
        std::vector<double> unit;
        for (const double w : gain)
            unit.push_back(std::max(std::fabs(norm.offset + w), least));
        parameters.push_back({norm.gain, std::move(gain), unit});
        if (norm.bias >= 0) {
            QL_TRY(bias, vectorOf(model, norm.bias, context));
            parameters.push_back({norm.bias, std::move(bias), std::move(unit)});
        }
    }
    for (const LayerRows& its : rows) {
        const auto count = static_cast<std::size_t>(its.rows);
        parameters.push_back({its.layer, std::vector<double>(count), std::vector<double>(count, 1.0), true});
    }
    return parameters;
}

/// Adam over one long vector θ.
class Adam {
public:
    explicit Adam(std::size_t n) : m_theta(n), m_mean(n), m_square(n) {}
    const std::vector<double>& theta() const { return m_theta; }
    void step(std::span<const double> gradient, double rate)
    {
        ++m_steps;
        const double meanPart = 1 - std::pow(kBeta1, static_cast<double>(m_steps));
        const double squarePart = 1 - std::pow(kBeta2, static_cast<double>(m_steps));
        for (std::size_t i = 0; i < m_theta.size(); ++i) {
            m_mean[i] = kBeta1 * m_mean[i] + (1 - kBeta1) * gradient[i];
            m_square[i] = kBeta2 * m_square[i] + (1 - kBeta2) * gradient[i] * gradient[i];
            m_theta[i] -= rate * (m_mean[i] / meanPart) / (std::sqrt(m_square[i] / squarePart) + kEpsilon);
        }
    }

private:
    static constexpr double kBeta1 = 0.9, kBeta2 = 0.99, kEpsilon = 1e-12;
    std::vector<double> m_theta, m_mean, m_square;
    std::int64_t m_steps = 0;
};

double rateAt(const ScaleTuningSettings& settings, std::int64_t step)
{
    const double rising = std::max(1.0, 0.1 * static_cast<double>(settings.steps));
    const double part = static_cast<double>(step) / static_cast<double>(settings.steps);
    return settings.rate * std::min(1.0, static_cast<double>(step + 1) / rising) * 0.5 *
           (1 + std::cos(std::numbers::pi * part));
}

/// Each window once before any comes again, each time in another order.
class Order {
public:
    Order(std::int64_t windows, std::uint64_t seed) : m_order(static_cast<std::size_t>(windows)), m_seed(seed) {}
    std::vector<std::int64_t> next(std::int64_t count)
    {
        std::vector<std::int64_t> chosen;
        while (std::ssize(chosen) < std::min(count, std::ssize(m_order))) {
            if (m_at == 0)
                shuffle();
            chosen.push_back(m_order[m_at]);
            m_at = (m_at + 1) % m_order.size();
        }
        return chosen;
    }

private:
    void shuffle()
    {
        std::iota(m_order.begin(), m_order.end(), 0);
        const CounterRng random(m_seed, m_round++);
        for (std::size_t i = m_order.size(); i > 1; --i)
            std::swap(m_order[i - 1], m_order[random.bits(i) % i]);
    }
    std::vector<std::int64_t> m_order;
    std::uint64_t m_seed;
    std::uint64_t m_round = 0;
    std::size_t m_at = 0;
};

} // namespace

Result<TunedValues> tuneScales(const ScaleTuningTask& task, std::span<const Norm> norms,
                               std::span<const LayerRows> rows, const JobContext& context)
{
    if (task.planned.layerInput || task.planned.keysValues)
        return refused("the plan rounds the inputs of layers, and rounding has no gradient; repair by statistics, or "
                       "leave activation schemes out");
    const ScaleTuningSettings& settings = task.settings;
    QL_TRY(parameters, parametersOf(task.model, norms, rows, context));
    std::vector<std::int64_t> vectors;
    std::size_t count = 0;
    for (const Parameter& parameter : parameters) {
        if (!parameter.isRowFactors)
            vectors.push_back(parameter.layer);
        count += parameter.start.size();
    }
    if (count == 0 || task.windows.count() == 0)
        return TunedValues();
    context.progress().addTotal(HeadStates<float>::units(task.graph, task.windows.count()) +
                                settings.steps *
                                    gradientUnits(task.graph, std::min(settings.batch, task.windows.count())));
    QL_TRY(states, HeadStates<float>::of(task.graph, *task.own.weights, task.windows, context));
    TunedWeights weights(*task.planned.weights);
    Adam adam(count);
    Order order(task.windows.count(), settings.seed);
    const auto forEach = [&](const auto& take) {
        const double* theta = adam.theta().data();
        for (const Parameter& parameter : parameters) {
            take(parameter, parameter.values(theta));
            theta += parameter.start.size();
        }
    };
    for (std::int64_t step = 0; step < settings.steps; ++step) {
        const DivergenceTask<float> divergence{
            task.graph, weights, states, task.windows, order.next(settings.batch), vectors, {rows.begin(), rows.end()}};
        QL_TRY(found, divergenceGradient<float>(divergence, context));
        if (task.onStep)
            task.onStep(step, found.kld);
        std::size_t offset = 0;
        for (const Parameter& parameter : parameters)
            for (const double unit : parameter.unit)
                found.gradient[offset++] *= unit;
        adam.step(found.gradient, rateAt(settings, step));
        forEach([&](const Parameter& parameter, std::vector<double> values) {
            if (parameter.isRowFactors)
                weights.setFactors(parameter.layer, std::move(values));
            else
                weights.setVector(parameter.layer, task.model.layers[static_cast<std::size_t>(parameter.layer)].shape,
                                  values);
        });
    }
    TunedValues tuned;
    forEach([&](const Parameter& parameter, const std::vector<double>& values) {
        RepairedTensor tensor{.layer = parameter.layer, .values = {}};
        for (const double value : values)
            tensor.values.push_back(static_cast<float>(value));
        (parameter.isRowFactors ? tuned.rowFactors : tuned.tensors).push_back(std::move(tensor));
    });
    return tuned;
}

} // namespace ql
