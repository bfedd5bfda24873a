// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/scale_tuning.h"

#include "core/base/checked.h"
#include "core/base/rng.h"
#include "core/model/evaluation/divergence_gradients.h"
#include "core/model/evaluation/loss_gradients.h"
#include "core/realize/tuned_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <optional>

namespace ql {

namespace {

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

/// All that is moved, one after the other as in θ and in the gradient.
class Parameters {
public:
    static Result<Parameters> of(const Model& model, std::span<const Norm> norms, std::span<const LayerRows> rows,
                                 const JobContext& context)
    {
        Parameters made;
        for (const Norm& norm : norms)
            QL_CHECK(made.addNorm(model, norm, context));
        for (const LayerRows& its : rows) {
            const auto count = static_cast<std::size_t>(its.rows);
            made.add({its.layer, std::vector<double>(count), std::vector<double>(count, 1.0), true});
        }
        return made;
    }

    std::size_t count() const { return m_count; }
    /// Layers of gains and biases.
    const std::vector<std::int64_t>& vectors() const { return m_vectors; }
    /// From the gradient with respect to the values, or to ln f, to that with respect to θ.
    void toTheta(std::vector<double>& gradient) const
    {
        std::size_t at = 0;
        for (const Parameter& parameter : m_list)
            for (const double unit : parameter.unit)
                gradient[at++] *= unit;
    }
    void put(const Model& model, const std::vector<double>& theta, TunedWeights& weights) const
    {
        forEach(theta, [&](const Parameter& parameter, std::vector<double> values) {
            if (parameter.isRowFactors)
                weights.setFactors(parameter.layer, std::move(values));
            else
                weights.setVector(parameter.layer, model.layers[static_cast<std::size_t>(parameter.layer)].shape,
                                  values);
        });
    }
    void put(const std::vector<double>& theta, TunedValues& tuned) const
    {
        forEach(theta, [&](const Parameter& parameter, const std::vector<double>& values) {
            RepairedTensor tensor{.layer = parameter.layer, .values = {}};
            for (const double value : values)
                tensor.values.push_back(static_cast<float>(value));
            (parameter.isRowFactors ? tuned.rowFactors : tuned.tensors).push_back(std::move(tensor));
        });
    }

private:
    Result<void> addNorm(const Model& model, const Norm& norm, const JobContext& context)
    {
        QL_TRY(gain, vectorOf(model, norm.gain, context));
        double squares = 0;
        for (const double w : gain)
            squares += (norm.offset + w) * (norm.offset + w);
        const double least = 0.1 * std::sqrt(squares / static_cast<double>(std::max<std::size_t>(1, gain.size())));
        std::vector<double> unit;
        for (const double w : gain)
            unit.push_back(std::max(std::fabs(norm.offset + w), least));
        add({norm.gain, std::move(gain), unit});
        if (norm.bias >= 0) {
            QL_TRY(bias, vectorOf(model, norm.bias, context));
            add({norm.bias, std::move(bias), std::move(unit)});
        }
        return {};
    }
    void add(Parameter parameter)
    {
        if (!parameter.isRowFactors)
            m_vectors.push_back(parameter.layer);
        m_count += parameter.start.size();
        m_list.push_back(std::move(parameter));
    }
    template<typename Take>
    void forEach(const std::vector<double>& theta, const Take& take) const
    {
        const double* at = theta.data();
        for (const Parameter& parameter : m_list) {
            take(parameter, parameter.values(at));
            at += parameter.start.size();
        }
    }

    std::vector<Parameter> m_list;
    std::vector<std::int64_t> m_vectors;
    std::size_t m_count = 0;
};

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
    return settings.usedRate() * std::min(1.0, static_cast<double>(step + 1) / rising) * 0.5 *
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
    QL_TRY(parameters, Parameters::of(task.model, norms, rows, context));
    TunedValues tuned;
    if (parameters.count() == 0 || task.windows.count() == 0)
        return tuned;
    const bool isChecked = settings.check > 0 && task.checked.count() > 0;
    const std::int64_t checks = isChecked ? 1 + ceilDiv(settings.steps, settings.check) : 0;
    context.progress().addTotal(
        HeadStates<float>::units(task.graph, task.windows.count()) +
        (isChecked ? (1 + checks) * HeadStates<float>::units(task.graph, task.checked.count()) : 0) +
        settings.steps * gradientUnits(task.graph, std::min(settings.batch, task.windows.count())));
    QL_TRY(states, HeadStates<float>::of(task.graph, *task.own.weights, task.windows, context));
    TunedWeights weights(*task.planned.weights);
    Adam adam(parameters.count());
    Order order(task.windows.count(), settings.seed);

    std::optional<HeadStates<float>> checkedStates; // the model's
    std::vector<double> bestTheta;
    double least = std::numeric_limits<double>::infinity();
    const auto check = [&](std::int64_t step) -> Result<void> {
        QL_TRY(version, HeadStates<float>::of(task.graph, weights, task.checked, context));
        QL_TRY(kld, meanDivergence(*checkedStates, version, context));
        tuned.checks.push_back({step, kld});
        if (kld < least) {
            least = kld;
            bestTheta = adam.theta();
            tuned.keptSteps = step;
        }
        return {};
    };
    if (isChecked) {
        QL_TRY(made, HeadStates<float>::of(task.graph, *task.own.weights, task.checked, context));
        checkedStates = std::move(made);
        QL_CHECK(check(0));
    }
    for (std::int64_t step = 0; step < settings.steps; ++step) {
        const DivergenceTask<float> divergence{.graph = task.graph,
                                               .weights = weights,
                                               .model = states,
                                               .windows = task.windows,
                                               .chosen = order.next(settings.batch),
                                               .layers = parameters.vectors(),
                                               .rowFactors = {rows.begin(), rows.end()}};
        QL_TRY(found, divergenceGradient<float>(divergence, context));
        if (task.onStep)
            task.onStep(step, found.kld);
        parameters.toTheta(found.gradient);
        adam.step(found.gradient, rateAt(settings, step));
        parameters.put(task.model, adam.theta(), weights);
        const std::int64_t done = step + 1;
        if (isChecked && (done % settings.check == 0 || done == settings.steps))
            QL_CHECK(check(done));
    }
    if (!isChecked)
        tuned.keptSteps = settings.steps;
    parameters.put(isChecked ? bestTheta : adam.theta(), tuned);
    return tuned;
}

} // namespace ql
