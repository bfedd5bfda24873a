// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/bench.h"

#include "core/base/text.h"
#include "core/plan/runs_in.h"
#include "core/realize/realize.h"
#include "core/sensitivity/metric.h"
#include "core/sensitivity/quadratic_error.h"
#include "core/transforms/variant.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>

namespace ql {

namespace {

/// What candidates are tried on: the model as it is, a variant of it, or nothing and why.
struct Tried {
    std::shared_ptr<const Model> model;
    std::shared_ptr<const Activations> activations;
    std::map<std::int64_t, std::vector<std::int64_t>> layers; // those of each of the base
    std::string refusal;
};

bool isRefusal(Errc code)
{
    return code == Errc::usage || code == Errc::refused || code == Errc::badInput;
}

Result<Tried> tryTransform(const std::shared_ptr<const Model>& base, const TransformSpecs& specs,
                           const std::shared_ptr<const Activations>& activations, const JobContext& context)
{
    Tried tried{.model = base, .activations = activations, .layers = {}, .refusal = {}};
    std::vector<std::int64_t> baseLayer;
    if (specs.empty()) {
        for (std::int64_t layer = 0; layer < std::ssize(base->layers); ++layer)
            baseLayer.push_back(layer);
    } else {
        auto made = makeVariant(base, specs, activations, context);
        if (!made && !isRefusal(made.error().code))
            return made.error();
        if (!made) {
            tried.refusal = describe(made.error());
            return tried;
        }
        tried.model = made->model;
        tried.activations = made->activations;
        baseLayer = std::move(made->baseLayer);
    }
    for (std::int64_t layer = 0; layer < std::ssize(baseLayer); ++layer)
        tried.layers[baseLayer[static_cast<std::size_t>(layer)]].push_back(layer);
    return tried;
}

/// Why the layer of the base is not tried there; empty if it is.
std::string layerRefusal(const Tried& tried, std::int64_t layer, const TransformSpecs& specs)
{
    if (!tried.refusal.empty())
        return tried.refusal;
    const auto found = tried.layers.find(layer);
    if (found != tried.layers.end() && found->second.size() == 1)
        return {};
    return "transform " + printTransform(specs) +
           " makes two layers of this one, which do not compare with it; transform the model and try both";
}

class LayerBench {
public:
    LayerBench(const Tried& tried, const BenchRequest& request, std::size_t transform, std::int64_t baseLayer,
               const JobContext& context)
        : m_model(*tried.model),
          m_activations(tried.activations.get()),
          m_request(request),
          m_transform(transform),
          m_baseLayer(baseLayer),
          m_index(tried.layers.at(baseLayer).front()),
          m_layer(m_model.layers[static_cast<std::size_t>(m_index)]),
          m_context(context)
    {}

    Result<void> run(const std::function<void(const BenchEntry&)>& deliver)
    {
        if (m_activations) {
            QL_TRY(found, m_activations->statistics(m_index, m_context));
            m_inputs = std::move(found);
        }
        QL_TRY(weights, m_model.loadWeights(m_index, m_context));
        if (m_inputs && m_inputs->knowsGram()) {
            QL_TRY(energy, metrics::outputEnergy(weights.view, m_inputs.get(), m_context));
            m_energy = energy;
        }
        for (std::size_t i = 0; i < m_request.candidates.size(); ++i) {
            QL_CHECK(m_context.checkStop());
            QL_TRY(entry, tryOut(i, weights.view));
            m_context.progress().addDone(m_layer.numel());
            deliver(entry);
        }
        return m_model.checkpoint->checkIntact();
    }

private:
    Result<double> outputError(const TensorView& weights, const QuantizedTensor& quantized) const
    {
        QL_TRY(metric, findMetric("output_error"));
        const ErrorStats none;
        return metric->measure({.model = m_model,
                                .layer = m_index,
                                .weights = weights,
                                .quantized = quantized,
                                .error = none,
                                .activations = m_inputs.get(),
                                .fisher = nullptr},
                               m_context);
    }

    Result<BenchEntry> tryOut(std::size_t index, const TensorView& weights) const
    {
        const Candidate& candidate = m_request.candidates[index];
        BenchEntry entry;
        entry.layer = m_baseLayer;
        entry.candidate = index;
        entry.transform = m_transform;
        for (const TargetProfile* target : runsIn(m_model, m_layer, candidate, m_request.targets))
            entry.runsIn.push_back(target->id);
        entry.bitsPerWeight =
            static_cast<double>(layerPayloadBits(m_layer, candidate)) / static_cast<double>(m_layer.numel());
        if (candidate.weights.isKeep()) {
            entry.outputError = m_energy ? std::optional(0.0) : std::nullopt;
            entry.error.count = m_layer.numel();
            return entry;
        }
        QL_TRY(shared, sharedAbsMax(m_model, m_index, candidate, m_context));
        const auto before = std::chrono::steady_clock::now();
        auto quantized = realize(weights, candidate, m_inputs.get(), m_context, &entry.report, shared);
        entry.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
        if (!quantized) {
            const Errc code = quantized.error().code;
            if (code != Errc::usage && code != Errc::refused)
                return quantized.error();
            entry.refusal = quantized.error().what;
            return entry;
        }
        QL_TRY(error, measureError(weights, *quantized, m_context));
        entry.error = error;
        if (m_energy) {
            QL_TRY(measured, outputError(weights, *quantized));
            entry.outputError = *m_energy > 0 ? measured / *m_energy : 0;
        }
        return entry;
    }

    const Model& m_model;
    const Activations* m_activations;
    const BenchRequest& m_request;
    const std::size_t m_transform;
    const std::int64_t m_baseLayer;
    const std::int64_t m_index; // in the variant
    const Layer& m_layer;
    const JobContext& m_context;
    std::shared_ptr<const ActivationStatistics> m_inputs;
    std::optional<double> m_energy;
};

std::vector<std::string_view> words(std::string_view list)
{
    std::vector<std::string_view> out;
    for (const std::string_view part : split(list, ','))
        if (!trim(part).empty())
            out.push_back(trim(part));
    return out;
}

} // namespace

Result<std::vector<Candidate>> crossCandidates(std::string_view schemes, std::string_view quantizers)
{
    std::vector<Candidate> candidates;
    const auto add = [&](Candidate candidate) {
        if (std::ranges::find(candidates, candidate) == candidates.end())
            candidates.push_back(std::move(candidate));
    };
    std::vector<QuantizerSpec> specs;
    for (const std::string_view text : words(quantizers)) {
        QL_TRY(spec, parseQuantizerSpec(text));
        specs.push_back(std::move(spec));
    }
    std::string refusal;
    for (const std::string_view text : words(schemes)) {
        QL_TRY(plain, parseCandidate(text));
        if (plain.weights.isKeep() || plain.weights.isCast()) {
            add(std::move(plain));
            continue;
        }
        for (const QuantizerSpec& spec : specs) {
            QL_TRY(quantizer, findQuantizer(spec.id));
            if (const auto accepted = quantizer->accepts(plain.weights, spec); !accepted) {
                refusal = accepted.error().what;
                continue;
            }
            Candidate candidate = plain;
            candidate.quantizer = spec;
            add(std::move(candidate));
        }
    }
    if (candidates.empty())
        return usageError(refusal.empty()
                              ? "no scheme or no quantizer is given; write e.g. int4:g64,nf4:g64 and rtn,mse"
                              : "no quantizer given accepts a scheme given: " + refusal);
    return candidates;
}

Result<std::vector<TransformSpecs>> parseTransformList(std::string_view list)
{
    std::vector<TransformSpecs> transforms;
    for (const std::string_view text : words(list)) {
        TransformSpecs specs;
        if (text != kNoTransform) {
            QL_TRY(parsed, parseTransforms(text));
            specs = std::move(parsed);
        }
        if (std::ranges::find(transforms, specs) == transforms.end())
            transforms.push_back(std::move(specs));
    }
    if (transforms.empty())
        return usageError("no transform is given; write e.g. none,smooth,awq");
    return transforms;
}

std::string printTransform(const TransformSpecs& specs)
{
    return specs.empty() ? std::string(kNoTransform) : printTransforms(specs);
}

bool anyTransform(const std::vector<TransformSpecs>& transforms)
{
    return !std::ranges::all_of(transforms, &TransformSpecs::empty);
}

Result<void> bench(const std::shared_ptr<const Model>& model, const BenchRequest& request,
                   const std::function<void(const BenchEntry&)>& deliver, const JobContext& context)
{
    const auto numel = [&](std::int64_t layer) { return model->layers[static_cast<std::size_t>(layer)].numel(); };
    for (const std::int64_t layer : request.layers)
        context.progress().addTotal(numel(layer) * std::ssize(request.candidates) * std::ssize(request.transforms));
    for (std::size_t t = 0; t < request.transforms.size(); ++t) {
        QL_CHECK(context.checkStop());
        QL_TRY(tried, tryTransform(model, request.transforms[t], request.activations, context));
        for (const std::int64_t layer : request.layers) {
            const std::string refusal = layerRefusal(tried, layer, request.transforms[t]);
            if (refusal.empty()) {
                QL_CHECK(LayerBench(tried, request, t, layer, context).run(deliver));
                continue;
            }
            context.progress().addDone(numel(layer) * std::ssize(request.candidates));
            BenchEntry entry;
            entry.layer = layer;
            entry.transform = t;
            entry.refusal = refusal;
            for (entry.candidate = 0; entry.candidate < request.candidates.size(); ++entry.candidate) {
                QL_CHECK(context.checkStop());
                deliver(entry);
            }
        }
    }
    return {};
}

double benchError(const BenchEntry& entry, bool byOutput)
{
    if (byOutput)
        return entry.outputError.value_or(0);
    return entry.error.sumSquares > 0 ? entry.error.sumSquaredError / entry.error.sumSquares : 0;
}

void markFront(std::vector<BenchEntry>& entries, bool byWeights)
{
    std::map<std::int64_t, std::vector<BenchEntry*>> byLayer;
    for (BenchEntry& entry : entries) {
        entry.onFront = false;
        if (entry.refusal.empty())
            byLayer[entry.layer].push_back(&entry);
    }
    for (auto& [layer, its] : byLayer) {
        const bool byOutput =
            !byWeights && std::ranges::all_of(its, [](const BenchEntry* e) { return e->outputError.has_value(); });
        std::ranges::stable_sort(
            its, {}, [&](const BenchEntry* e) { return std::pair(e->bitsPerWeight, benchError(*e, byOutput)); });
        double least = std::numeric_limits<double>::infinity();
        for (BenchEntry* entry : its) {
            const double error = benchError(*entry, byOutput);
            entry->onFront = error < least;
            least = std::min(least, error);
        }
    }
}

} // namespace ql
