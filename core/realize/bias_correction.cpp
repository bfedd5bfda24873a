// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/bias_correction.h"

#include "core/calibration/channel_means.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/model/stored_order.h"
#include "core/realize/changed_tensors.h"
#include "core/realize/plan_weights.h"

#include <cmath>
#include <map>

namespace ql {

namespace {

struct Pair {
    std::int64_t layer, bias;
};

class Finder {
public:
    Finder(const Model& model, const graph::Graph& graph) : m_model(model), m_graph(graph)
    {
        for (const graph::Node& node : graph.nodes)
            for (const graph::ValueId id : node.inputs)
                if (id != graph::kLeftOut && layerOf(id) >= 0)
                    ++m_uses[layerOf(id)];
    }

    /// The planned layers with biases of their own; says why others were left.
    std::vector<Pair> find(const Plan& plan, std::vector<Warning>& notes) const
    {
        std::vector<Pair> pairs;
        for (const graph::Node& node : m_graph.nodes) {
            const std::int64_t layer = m_graph.productLayerOf(node);
            if (layer < 0 || node.inputs.size() < 3 || node.inputs[2] == graph::kLeftOut ||
                plan.candidates[static_cast<std::size_t>(layer)].weights.isKeep())
                continue;
            const Layer& its = m_model.layers[static_cast<std::size_t>(layer)];
            const std::int64_t bias = layerOf(node.inputs[2]);
            const auto note = [&](const std::string& why) {
                notes.push_back({its.name, "its bias is not corrected: " + why});
            };
            if (bias < 0)
                note("it is computed");
            else if (m_uses.at(layer) > 1 || m_uses.at(bias) > 1)
                note("weights or bias are used several times");
            else if (m_model.layers[static_cast<std::size_t>(bias)].numel() != its.shape[0])
                note("it has not one value for each row of the weights");
            else if (m_model.layers[static_cast<std::size_t>(bias)].stored.moves())
                note("its elements are stored in another order");
            else
                pairs.push_back({layer, bias});
        }
        return pairs;
    }

private:
    std::int64_t layerOf(graph::ValueId id) const { return m_graph.values[static_cast<std::size_t>(id)].layer; }

    const Model& m_model;
    const graph::Graph& m_graph;
    std::map<std::int64_t, std::int64_t> m_uses; // of layers by nodes
};

/// Σ_i (Ŵ − W)_oi·E[x_i] of each row; means: of one range of rows after the other.
Result<std::vector<double>> meanShift(const TensorView& weights, const TensorView& restored,
                                      const std::vector<double>& means, const JobContext& context)
{
    const MatrixShape matrix = matrixShape(weights.shape);
    const std::int64_t parts = std::ssize(means) / matrix.cols;
    const std::int64_t range = matrix.rows / parts;
    std::vector<double> shift(static_cast<std::size_t>(matrix.rows));
    constexpr std::int64_t kGrain = 1 << 17; // elements
    QL_CHECK(parallelFor(context, matrix.rows, std::max<std::int64_t>(1, kGrain / matrix.cols),
                         [&](std::int64_t begin, std::int64_t end) {
                             WeightTile own(weights);
                             WeightTile planned(restored);
                             for (std::int64_t r = begin; r < end; ++r) {
                                 const float* w = own.read(r * matrix.cols, matrix.cols);
                                 const float* v = planned.read(r * matrix.cols, matrix.cols);
                                 const double* mean = means.data() + r / range * matrix.cols;
                                 double sum = 0;
                                 for (std::int64_t i = 0; i < matrix.cols; ++i)
                                     if (std::isfinite(w[i]))
                                         sum += (static_cast<double>(v[i]) - static_cast<double>(w[i])) * mean[i];
                                 shift[static_cast<std::size_t>(r)] = sum;
                             }
                         }));
    return shift;
}

} // namespace

Result<BiasCorrection> correctBiases(const std::shared_ptr<const Model>& model, const graph::Graph& graph,
                                     const Plan& plan, const TargetProfile* target, const Activations& activations,
                                     const JobContext& context)
{
    BiasCorrection result;
    const PlanWeights planned(*model, plan, target, &activations);
    ChangedTensors changed;
    const std::vector<Pair> pairs = Finder(*model, graph).find(plan, result.notes);
    bool isKnown = pairs.empty();
    for (const auto& [layer, bias] : pairs) {
        const Layer& its = model->layers[static_cast<std::size_t>(layer)];
        QL_TRY(means, channelMeansOf(activations, layer, context));
        const std::int64_t cols = matrixShape(its.shape).cols;
        const std::int64_t parts = cols > 0 ? std::ssize(means) / cols : 0;
        if (parts < 1 || parts * cols != std::ssize(means) || its.shape[0] % parts != 0) {
            result.notes.push_back({its.name, "its bias is not corrected: the means of its inputs are not known"});
            continue;
        }
        isKnown = true;
        QL_TRY(weights, model->loadWeights(layer, context));
        QL_TRY(restored, planned.weights(layer, context));
        QL_TRY(shift, meanShift(weights.view, restored.view, means, context));
        QL_TRY(stored, model->loadWeights(bias, context));
        WeightTile tile(stored.view);
        const float* old = tile.read(0, its.shape[0]);
        Buffer values(4 * its.shape[0]);
        CorrectedBias entry{.layer = layer, .bias = bias};
        for (std::int64_t o = 0; o < its.shape[0]; ++o) {
            const double moved = shift[static_cast<std::size_t>(o)];
            values.as<float>()[o] = static_cast<float>(static_cast<double>(old[o]) - moved);
            entry.rms += static_cast<double>(old[o]) * static_cast<double>(old[o]);
            entry.correction += moved * moved;
        }
        entry.rms = std::sqrt(entry.rms / static_cast<double>(its.shape[0]));
        entry.correction = std::sqrt(entry.correction / static_cast<double>(its.shape[0]));
        result.corrected.push_back(entry);
        changed[static_cast<std::size_t>(model->layers[static_cast<std::size_t>(bias)].tensor)] =
            std::make_shared<const Buffer>(std::move(values));
    }
    if (!isKnown)
        return refused("correcting biases needs the means of layers' inputs: give --activations of a study made by "
                       "qloupe calibrate, or of captured X, and no transforms");
    result.model = withChangedTensors(*model, std::move(changed));
    return result;
}

} // namespace ql
