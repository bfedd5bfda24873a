// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/variant.h"

#include "core/base/hash.h"
#include "core/checkpoint/stored_type.h"
#include "core/jobs/parallel.h"
#include "core/model/frontends/frontend.h"
#include "core/model/stored_order.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>

namespace ql {

namespace {

/// A tensor of the variant: that of the model, with what becomes of it.
struct Source {
    std::int64_t tensor = -1; // of the model's checkpoint
    Layer layer;              // of the model
    LayerRewrite rewrite;
};

class VariantCheckpoint final : public Checkpoint {
public:
    VariantCheckpoint(std::shared_ptr<const Checkpoint> base, Contents contents, std::vector<Source> sources,
                      Dtype computed)
        : Checkpoint(std::move(contents)), m_base(std::move(base)), m_sources(std::move(sources)), m_computed(computed)
    {}
    /// What the variant's start from: the files, too, so that one that was cut short is noticed here as well.
    static Contents contentsOf(const Checkpoint& checkpoint) { return checkpoint.*&VariantCheckpoint::m_contents; }

private:
    Result<TensorData> loadTensor(std::size_t index, const JobContext& context) const override
    {
        const Source& source = m_sources[index];
        QL_TRY(stored, m_base->load(source.tensor, context));
        if (!source.rewrite.changesWeights())
            return stored;
        const Shape shape = m_contents.tensors[index].shape;
        QL_TRY(ordered, toLayerOrder(source.layer, std::move(stored), context));
        QL_TRY(made, rewritten(source.rewrite, source.layer, ordered.view, m_computed, context));
        QL_TRY(back, toStoredOrder(source.layer, std::move(made), context));
        const auto owner = std::make_shared<Buffer>(std::move(back));
        return TensorData{{m_computed, shape, owner->data()}, owner};
    }

    std::shared_ptr<const Checkpoint> m_base;
    std::vector<Source> m_sources;
    Dtype m_computed;
};

/// Of an embedding that was untied from the head each has the uses that are its own.
enum class Uses { all, lookups, products };

/// Where what is known of a layer of the variant comes from.
struct Origin {
    std::int64_t layer = -1;       // of the base; -1: none
    std::int64_t fisherLayer = -1; // likewise
    Uses uses = Uses::all;
    LayerRewrite rewrite;
};

class VariantActivations final : public Activations {
public:
    VariantActivations(std::shared_ptr<const Activations> base, std::vector<Origin> origins, const std::string& text)
        : m_base(std::move(base)), m_origins(std::move(origins))
    {
        Hasher hasher;
        hasher.add(m_base->fingerprint() + "\n" + text);
        m_fingerprint = hasher.hex();
        const auto known = m_base->layers();
        const auto fisher = m_base->fisherLayers();
        bool isLacking = false;
        for (std::size_t i = 0; i < m_origins.size(); ++i) {
            const Origin& origin = m_origins[i];
            if (std::ranges::find(known, origin.layer) != known.end())
                m_layers.push_back(static_cast<std::int64_t>(i));
            if (std::ranges::find(fisher, origin.fisherLayer) == fisher.end())
                continue;
            m_fisherLayers.push_back(static_cast<std::int64_t>(i));
            isLacking = isLacking || !keepsFisher(origin.rewrite);
        }
        if (isLacking)
            m_fisherLayers.clear(); // what some layers lack compares none
    }

    const std::filesystem::path& path() const override { return m_base->path(); }
    std::span<const std::int64_t> layers() const override { return m_layers; }
    const std::string& fingerprint() const override { return m_fingerprint; }
    bool isDiagonal() const override { return m_base->isDiagonal(); }
    std::vector<std::int64_t> seenTokens(std::int64_t layer) const override
    {
        return base(layer) < 0 ? std::vector<std::int64_t>() : m_base->seenTokens(base(layer));
    }
    std::span<const std::int64_t> fisherLayers() const override { return m_fisherLayers; }
    bool knowsLossGrams() const override { return !m_fisherLayers.empty() && m_base->knowsLossGrams(); }
    bool knowsOutputGram(std::int64_t layer) const override
    {
        return base(layer) >= 0 && m_base->knowsOutputGram(base(layer));
    }
    std::int64_t fisherWindows() const override { return m_fisherLayers.empty() ? 0 : m_base->fisherWindows(); }

    Result<std::shared_ptr<const ActivationStatistics>> statistics(std::int64_t layer,
                                                                   const JobContext& context) const override
    {
        if (base(layer) < 0)
            return std::shared_ptr<const ActivationStatistics>();
        QL_TRY(known, m_base->statistics(base(layer), context));
        const LayerRewrite& rewrite = origin(layer).rewrite;
        if (!known || (rewrite.reads.empty() && rewrite.shift.empty() && keepsOutputs(rewrite)))
            return known;
        QL_TRY(made, rewritten(rewrite, *known, context));
        if (!rewrite.writes.empty() && m_base->knowsLossGrams())
            QL_CHECK(weighTokens(origin(layer), made, context));
        return std::make_shared<const ActivationStatistics>(std::move(made));
    }

    Result<std::shared_ptr<const FisherDiagonal>> fisher(std::int64_t layer, const JobContext& context) const override
    {
        if (std::ranges::find(m_fisherLayers, layer) == m_fisherLayers.end())
            return std::shared_ptr<const FisherDiagonal>();
        const Origin& from = origin(layer);
        QL_TRY(known, m_base->fisher(from.fisherLayer, context));
        if (!known)
            return known;
        FisherDiagonal own = *known;
        std::erase_if(own.uses, [&](const LayerFisher& use) {
            return from.uses != Uses::all && (from.uses == Uses::lookups) != use.outputSquares.empty();
        });
        if (own.uses.empty())
            return std::shared_ptr<const FisherDiagonal>();
        QL_TRY(made, rewritten(from.rewrite, own, context));
        return std::make_shared<const FisherDiagonal>(std::move(made));
    }

private:
    const Origin& origin(std::int64_t layer) const { return m_origins[static_cast<std::size_t>(layer)]; }
    std::int64_t base(std::int64_t layer) const { return origin(layer).layer; }

    /// The loss feels each token by its mean square over the outputs: of outputs that were scaled another one, whose
    /// mean over tokens is known.
    Result<void> weighTokens(const Origin& from, ActivationStatistics& made, const JobContext& context) const
    {
        QL_TRY(fisher, m_base->fisher(from.fisherLayer, context));
        const std::vector<double> before = fisher ? fisher->outputMeanSquares() : std::vector<double>();
        const std::vector<double> after = rewrittenOutputSquares(from.rewrite, before);
        const std::span<ActivationStatistics> parts = made.parts.empty() ? std::span(&made, 1) : std::span(made.parts);
        const std::size_t rows = before.size() / parts.size();
        for (std::size_t part = 0; part < parts.size(); ++part) {
            const auto sumOf = [&](const std::vector<double>& squares) {
                const auto begin = squares.begin() + static_cast<std::ptrdiff_t>(part * rows);
                return std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(rows), 0.0);
            };
            const double sum = sumOf(before);
            const double factor = sum > 0 ? sumOf(after) / sum : 1;
            std::vector<float>& products = parts[part].lossGram;
            constexpr std::int64_t kGrain = 1 << 18;
            QL_CHECK(parallelFor(context, std::ssize(products), kGrain, [&](std::int64_t begin, std::int64_t end) {
                for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
                    products[i] = static_cast<float>(factor * static_cast<double>(products[i]));
            }));
        }
        return {};
    }

    std::shared_ptr<const Activations> m_base;
    std::vector<Origin> m_origins; // by layer of the variant
    std::string m_fingerprint;
    std::vector<std::int64_t> m_layers, m_fisherLayers;
};

class BaseWeights final : public graph::WeightSource {
public:
    BaseWeights(std::shared_ptr<const Model> model, std::vector<std::int64_t> baseLayer)
        : m_model(std::move(model)), m_baseLayer(std::move(baseLayer))
    {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        return m_model->loadWeights(m_baseLayer[static_cast<std::size_t>(layer)], context);
    }

private:
    std::shared_ptr<const Model> m_model;
    std::vector<std::int64_t> m_baseLayer;
};

bool isPlainFloat(Dtype dtype)
{
    return dtype == Dtype::f16 || dtype == Dtype::bf16 || dtype == Dtype::f32 || dtype == Dtype::f64;
}

/// The name of an output head of its own, or of the one that the file stores beside the embedding.
std::string headName(const Model& model)
{
    const std::int64_t embedding = model.indexOf("token_embd.weight");
    return embedding >= 0 && model.architecture->id == "gguf" ? "output.weight" : "lm_head.weight";
}

std::string untiedConfig(const std::string& text)
{
    auto config = nlohmann::ordered_json::parse(text, nullptr, false);
    if (!config.is_object())
        return text;
    config["tie_word_embeddings"] = false;
    for (const char* inner : {"text_config", "llm_config"})
        if (const auto found = config.find(inner); found != config.end() && found->is_object())
            (*found)["tie_word_embeddings"] = false;
    return config.dump(2) + "\n";
}

/// The tensors of the model, with what the rewrite makes of each.
Result<std::vector<Source>> sourcesOf(const Model& model, const Rewrite& rewrite, Checkpoint::Contents& contents)
{
    std::vector<Source> sources;
    for (std::size_t i = 0; i < contents.tensors.size(); ++i) {
        Source source{.tensor = static_cast<std::int64_t>(i), .layer = {}, .rewrite = {}};
        // By name, because two names of one range of bytes are one layer.
        if (const std::int64_t layer = model.indexOf(contents.tensors[i].name); layer >= 0) {
            source.layer = model.layers[static_cast<std::size_t>(layer)];
            if (const auto found = rewrite.layers.find(layer); found != rewrite.layers.end())
                source.rewrite = found->second;
        }
        if (source.rewrite.changesWeights() && !isPlainFloat(source.layer.dtype))
            return refused("is stored as " + std::string(info(source.layer.dtype).word) +
                               "; a transform needs the weights in f16, bf16 or f32: open the unquantized model",
                           source.layer.name);
        sources.push_back(std::move(source));
    }
    if (!rewrite.untiedHead)
        return sources;
    const std::string name = headName(model);
    const auto embedding = std::ranges::find(model.layers, "embedding", &Layer::role);
    const auto stored = std::ranges::find(contents.tensors, name, &TensorInfo::name);
    if (stored == contents.tensors.end()) {
        TensorInfo head = contents.tensors[static_cast<std::size_t>(embedding->tensor)];
        head.name = name;
        head.offset = -1;
        contents.tensors.push_back(std::move(head));
        sources.push_back({embedding->tensor, *embedding, *rewrite.untiedHead});
    } else {
        const auto index = stored - contents.tensors.begin();
        stored->offset = -1; // no longer the embedding's bytes
        sources[static_cast<std::size_t>(index)] = {embedding->tensor, *embedding, *rewrite.untiedHead};
    }
    contents.configJson = untiedConfig(contents.configJson);
    return sources;
}

struct Step {
    std::shared_ptr<const Model> model;
    std::shared_ptr<const Activations> activations;
};

Result<Step> apply(const Step& from, const Rewrite& rewrite, const std::string& text, const std::string& fingerprint,
                   Dtype computed)
{
    const Checkpoint& base = *from.model->checkpoint;
    Checkpoint::Contents contents = VariantCheckpoint::contentsOf(base);
    contents.fingerprint = fingerprint;
    std::erase_if(contents.metadata, [](const auto& entry) { return entry.first == kVariantKey; });
    contents.metadata.emplace_back(kVariantKey, text);
    contents.warnings.clear(); // were shown when the model was opened
    QL_TRY(sources, sourcesOf(*from.model, rewrite, contents));
    Step to;
    QL_TRY(model, makeModel(std::make_shared<VariantCheckpoint>(from.model->checkpoint, std::move(contents),
                                                                std::move(sources), computed)));
    to.model = std::move(model);
    if (!from.activations)
        return to;
    std::vector<Origin> origins;
    for (const Layer& layer : to.model->layers) {
        const std::int64_t source = from.model->indexOf(layer.name);
        Origin origin{.layer = source, .fisherLayer = source, .rewrite = {}};
        if (const auto found = rewrite.layers.find(source); found != rewrite.layers.end())
            origin.rewrite = found->second;
        if (rewrite.untiedHead && layer.name == headName(*from.model)) {
            origin.rewrite = *rewrite.untiedHead;
            origin.uses = Uses::products;
        } else if (rewrite.untiedHead && layer.role == "embedding") {
            origin.layer = -1; // what was known of its input is that of the head
            origin.uses = Uses::lookups;
        }
        origins.push_back(std::move(origin));
    }
    to.activations = std::make_shared<VariantActivations>(from.activations, std::move(origins), text);
    return to;
}

} // namespace

Result<Variant> makeVariant(std::shared_ptr<const Model> model, const TransformSpecs& transforms,
                            std::shared_ptr<const Activations> activations, const JobContext& context, Dtype computed)
{
    const std::string start = variantOf(*model->checkpoint);
    Variant variant;
    Step step{model, activations};
    bool looksAtActivations = false;
    TransformSpecs done;
    for (const TransformSpec& spec : transforms) {
        QL_CHECK(context.checkStop());
        QL_TRY(transform, findTransform(spec.id));
        const TransformNeeds needs = needsOf(*transform, spec);
        if (needs != TransformNeeds::nothing && !activations)
            return refused(
                "looks at " + std::string(word(needs)) +
                    ", and none are given; add --activations: a study made by qloupe calibrate, or captured X",
                "transform " + printTransforms({spec}));
        looksAtActivations = looksAtActivations || needs != TransformNeeds::nothing;
        QL_TRY(graph, buildGraph(*step.model));
        auto rewrite = transform->rewrite({*step.model, graph, spec, step.activations.get()}, context);
        if (!rewrite)
            return Error{rewrite.error().code, describe(rewrite.error()), "transform " + printTransforms({spec})};
        done.push_back(spec);
        const std::string text = (start.empty() ? "" : start + "+") + printTransforms(done);
        Hasher hasher;
        hasher.add(model->checkpoint->fingerprint() + "\n" + text + "\n" +
                   (looksAtActivations ? activations->fingerprint() : ""));
        QL_TRY(next, apply(step, *rewrite, text, hasher.hex(), computed));
        step = std::move(next);
        variant.notes.insert(variant.notes.end(), rewrite->notes.begin(), rewrite->notes.end());
    }
    variant.model = step.model;
    variant.activations = step.activations;
    for (const Layer& layer : step.model->layers)
        variant.baseLayer.push_back(model->indexOf(layer.name));
    return variant;
}

ModelVersion baseVersion(std::shared_ptr<const Model> model, const Variant& variant)
{
    return {.weights = std::make_shared<BaseWeights>(std::move(model), variant.baseLayer)};
}

} // namespace ql
