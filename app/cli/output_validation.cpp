// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/output_validation.h"

#include "core/checkpoint/reader.h"
#include "core/model/evaluation/images.h"
#include "core/model/tokenizer/tokenizer.h"

#include <nlohmann/json.hpp>

namespace ql::cli {

namespace {

constexpr double kMasked = 0.15;   // the share BERT was trained with
constexpr std::int64_t kCases = 8; // of arrays that run together

struct Batches {
    std::int64_t count = 0;
    std::function<Result<OutputBatch>(std::int64_t)> batch;
};

/// Windows of text, one a batch; with a mask token and a head some tokens are hidden and asked for.
Result<Batches> textBatches(Console& console, const Model& model, const graph::Graph& graph, const TextOptions& text)
{
    QL_TRY(tokenizer, openTokenizer(*model.checkpoint, console.context()));
    console.warn(tokenizer->warnings());
    QL_TRY(windows, text.readWrapped(console, *tokenizer));
    auto masked = std::make_shared<MaskedWindows>(MaskedWindows{std::move(windows), {}});
    const bool hasHead = graph.values[static_cast<std::size_t>(graph.outputs.front())].name == "logits";
    auto mask = tokenizer->idOf("[MASK]");
    if (!mask)
        mask = tokenizer->idOf("<mask>");
    if (hasHead && mask) {
        std::vector<std::int64_t> kept(tokenizer->prefixIds().begin(), tokenizer->prefixIds().end());
        kept.insert(kept.end(), tokenizer->suffixIds().begin(), tokenizer->suffixIds().end());
        *masked = maskTokens(std::move(masked->windows), *mask, kept, kMasked, 0);
    }
    return Batches{masked->windows.count(), [masked, tokens = graph.inputs.front()](std::int64_t index) {
                       const auto ids = masked->windows.window(index);
                       OutputBatch batch;
                       auto& array = batch.inputs[tokens].integers;
                       array = graph::Array<std::int64_t>({1, std::ssize(ids)});
                       std::ranges::copy(ids, array.write());
                       if (!masked->answers.empty()) {
                           const auto first = masked->answers.begin() + index * std::ssize(ids);
                           batch.answers.assign(first, first + std::ssize(ids));
                       }
                       return Result<OutputBatch>(std::move(batch));
                   }};
}

/// Cases [first, last), along the first dimension.
template<typename T>
graph::Array<T> casesOf(const TensorView& view, std::int64_t first, std::int64_t last)
{
    Shape shape = view.shape;
    shape[0] = last - first;
    graph::Array<T> array(std::move(shape));
    std::vector<double> values(static_cast<std::size_t>(array.numel()));
    decode(view.dtype, view.data, first * (view.numel() / view.shape[0]), array.numel(), values.data());
    std::ranges::transform(values, array.write(), [](double x) { return static_cast<T>(x); });
    return array;
}

/// Arrays named as the inputs, a few cases at a time.
Result<Batches> arrayBatches(Console& console, const graph::Graph& graph, const std::string& path)
{
    QL_TRY(file, openCheckpoint(path, console.context()));
    auto arrays = std::make_shared<std::map<std::string, TensorData>>();
    std::int64_t cases = -1;
    for (std::size_t i = 0; i < file->tensors().size(); ++i) {
        const TensorInfo& tensor = file->tensors()[i];
        QL_TRY(data, file->load(static_cast<std::int64_t>(i), console.context()));
        if (tensor.shape.empty() || tensor.shape[0] == 0 || (cases >= 0 && tensor.shape[0] != cases))
            return usageError("has no cases, or another number of them than the arrays before it",
                              path + ": " + tensor.name);
        cases = tensor.shape[0];
        arrays->emplace(tensor.name, std::move(data));
    }
    for (const graph::ValueId id : graph.inputs)
        if (const auto& input = graph.values[static_cast<std::size_t>(id)];
            !input.isConstant() && !arrays->contains(input.name))
            return usageError("lacks the array '" + input.name + "', an input of the model", path);
    return Batches{(cases + kCases - 1) / kCases,
                   [file, arrays, &graph, cases](std::int64_t index) -> Result<OutputBatch> {
                       const std::int64_t first = index * kCases;
                       const std::int64_t last = std::min(cases, first + kCases);
                       OutputBatch batch;
                       for (const graph::ValueId id : graph.inputs) {
                           const auto found = arrays->find(graph.values[static_cast<std::size_t>(id)].name);
                           if (found == arrays->end())
                               continue;
                           const TensorView& view = found->second.view;
                           if (info(view.dtype).isInteger)
                               batch.inputs[id].integers = casesOf<std::int64_t>(view, first, last);
                           else
                               batch.inputs[id].real = casesOf<float>(view, first, last);
                       }
                       if (const auto labels = arrays->find("labels"); labels != arrays->end()) {
                           const auto values = casesOf<std::int64_t>(labels->second.view, first, last);
                           batch.answers.assign(values.data(), values.data() + values.numel());
                       }
                       QL_CHECK(file->checkIntact());
                       return batch;
                   }};
}

/// Pictures of a folder, a few at a time.
Result<Batches> imageBatches(Console& console, const Model& model, const graph::Graph& graph,
                             const OutputSource& source)
{
    if (graph.values[static_cast<std::size_t>(graph.inputs.front())].name != "pixels")
        return usageError("takes no pictures; leave --images out", model.checkpoint->path().string());
    QL_TRY(settings, imageSettingsOf(model));
    QL_TRY(listed, listImages(source.images, source.labels, model));
    const auto images = std::make_shared<const ImageFolder>(std::move(listed));
    const std::int64_t cases = std::ssize(images->files);
    return Batches{(cases + kCases - 1) / kCases,
                   [images, &context = console.context(), settings = settings, pixels = graph.inputs.front(),
                    cases](std::int64_t index) -> Result<OutputBatch> {
                       const std::int64_t first = index * kCases;
                       const std::int64_t last = std::min(cases, first + kCases);
                       OutputBatch batch;
                       graph::Array<float>& array = batch.inputs[pixels].real;
                       array = graph::Array<float>({last - first, 3, settings.height, settings.width});
                       for (std::int64_t i = first; i < last; ++i)
                           QL_CHECK(readImage(images->files[static_cast<std::size_t>(i)], settings,
                                              array.write() + (i - first) * 3 * settings.height * settings.width,
                                              context));
                       batch.answers.assign(images->labels.begin() + first, images->labels.begin() + last);
                       return batch;
                   }};
}

nlohmann::ordered_json json(const AnswerScore& score)
{
    return {{"loss", numberOrNull(score.loss)}, {"top1", score.top1}, {"top5", score.top5}};
}

} // namespace

Result<nlohmann::ordered_json> validateOutputs(Console& console, const Model& model, const graph::Graph& graph,
                                               const OutputSource& source, const ModelVersion& own,
                                               const ModelVersion* other)
{
    QL_TRY(batches, !source.images.empty()   ? imageBatches(console, model, graph, source)
                    : !source.inputs.empty() ? arrayBatches(console, graph, source.inputs)
                                             : textBatches(console, model, graph, source.text));
    console.status("running " + std::to_string(batches.count) + " batches");
    QL_TRY(score, evaluateOutputs(
                      {.graph = graph, .batches = batches.count, .batch = batches.batch, .model = own, .other = other},
                      console.context()));
    nlohmann::ordered_json document{{"batches", batches.count}};
    if (score.model.count > 0) {
        document["answers"] = score.model.count;
        document["model"] = json(score.model);
        if (other)
            document["other"] = json(score.other);
    }
    if (other) {
        auto outputs = nlohmann::ordered_json::array();
        for (const OutputScore& output : score.outputs)
            outputs.push_back({{"name", output.name},
                               {"rows", output.rows},
                               {"sqnr_db", numberOrNull(output.sqnrDb)},
                               {"mean_cosine", output.meanCosine},
                               {"least_cosine", output.leastCosine}});
        document["outputs"] = std::move(outputs);
        if (std::ranges::find(score.outputs, "logits", &OutputScore::name) != score.outputs.end())
            document["same_top"] = score.sameTop;
    }
    return document;
}

} // namespace ql::cli
