// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/cases.h"

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/checkpoint/reader.h"
#include "core/model/evaluation/images.h"
#include "core/model/graph/first_name.h"

#include <algorithm>

namespace ql {

namespace {

constexpr std::int64_t kCasesPerRun = 8; // whose tokens are not known

/// Cases [first, last), along the first dimension.
graph::Value<float> rowsOf(const TensorView& view, std::int64_t first, std::int64_t last)
{
    Shape shape = view.shape;
    shape[0] = last - first;
    const std::int64_t count = numel(shape);
    const std::int64_t begin = first * (view.numel() / view.shape[0]);
    graph::Value<float> value;
    if (info(view.dtype).isInteger) {
        value.integers = graph::Array<std::int64_t>(std::move(shape));
        decodeIntegers(view.dtype, view.data, begin, count, value.integers.write());
    } else {
        value.real = graph::Array<float>(std::move(shape));
        decode(view.dtype, view.data, begin, count, value.real.write());
    }
    return value;
}

/// What graphs exported from transformers take beside the tokens, for windows without padding.
std::map<graph::ValueId, std::string> inputsBesideTokens(const graph::Graph& graph)
{
    std::map<graph::ValueId, std::string> found;
    for (const graph::ValueId id : std::span(graph.inputs).subspan(1))
        for (const char* name : {"attention_mask", "token_type_ids", "token_types", "position_ids"})
            if (const auto& input = graph.values[static_cast<std::size_t>(id)];
                input.name == name && !input.isConstant())
                found[id] = name;
    return found;
}

graph::Array<std::int64_t> besideTokens(const std::string& name, const Shape& shape)
{
    auto array = graph::Array<std::int64_t>::filled(shape, name == "attention_mask" ? 1 : 0);
    if (name == "position_ids")
        for (std::int64_t i = 0; i < array.numel(); ++i)
            array.write()[i] = i % shape.back();
    return array;
}

} // namespace

std::int64_t Cases::perRun() const
{
    return tokens > 0 ? std::max<std::int64_t>(1, kTokensPerRun / tokens) : kCasesPerRun;
}

Cases firstOf(Cases cases, std::int64_t limit)
{
    if (limit < 1 || limit >= cases.count)
        return cases;
    cases.count = limit;
    Hasher hasher;
    hasher.add(std::as_bytes(std::span(cases.fingerprint)));
    hasher.add(std::as_bytes(std::span(&cases.count, 1)));
    cases.fingerprint = hasher.hex();
    return cases;
}

bool readsTokens(const graph::Graph& graph)
{
    const std::string_view input = firstName(graph, graph.inputs);
    return input == "tokens" || input == "input_ids"; // the latter in exported graphs
}

bool seesPictures(const graph::Graph& graph)
{
    return firstName(graph, graph.inputs) == "pixels";
}

Result<Cases> windowCases(const graph::Graph& graph, Windows windows)
{
    if (graph.inputs.empty())
        return refused("takes no inputs, so no text either");
    Hasher hasher;
    hasher.add(std::as_bytes(std::span(windows.ids)));
    hasher.add(std::as_bytes(std::span(&windows.length, 1)));
    Cases cases{.count = windows.count(), .tokens = windows.length, .fingerprint = hasher.hex(), .batch = {}};
    cases.batch = [windows = std::make_shared<const Windows>(std::move(windows)), input = graph.inputs.front(),
                   beside = inputsBesideTokens(graph)](std::int64_t first, std::int64_t last,
                                                       const JobContext&) -> Result<OutputBatch> {
        graph::Array<std::int64_t> tokens({last - first, windows->length});
        std::copy_n(windows->ids.begin() + first * windows->length, tokens.numel(), tokens.write());
        OutputBatch batch;
        for (const auto& [id, name] : beside)
            batch.inputs[id].integers = besideTokens(name, tokens.shape());
        batch.inputs[input].integers = std::move(tokens);
        return batch;
    };
    return cases;
}

Result<Cases> arrayCases(const graph::Graph& graph, const std::filesystem::path& path, const JobContext& context)
{
    QL_TRY(file, openCheckpoint(path, context));
    auto arrays = std::make_shared<std::map<std::string, TensorData>>();
    Cases cases{.count = -1, .tokens = 0, .fingerprint = file->fingerprint(), .batch = {}};
    for (std::size_t i = 0; i < file->tensors().size(); ++i) {
        const TensorInfo& tensor = file->tensors()[i];
        const std::string where = path.string() + ": " + tensor.name;
        if (tensor.shape.empty() || tensor.shape[0] == 0 || (cases.count >= 0 && tensor.shape[0] != cases.count))
            return usageError("has no cases, or another number of them than the arrays before it", where);
        const bool isInteger = info(tensor.dtype).isInteger;
        if (!isInteger && (tensor.name == "labels" || !isDecodable(tensor.dtype)))
            return usageError("holds numbers of a type that is not taken; labels are integers", where);
        QL_TRY(data, file->load(static_cast<std::int64_t>(i), context));
        cases.count = tensor.shape[0];
        arrays->emplace(tensor.name, std::move(data));
    }
    std::map<graph::ValueId, std::string> inputs;
    for (const graph::ValueId id : graph.inputs) {
        const graph::ValueInfo& input = graph.values[static_cast<std::size_t>(id)];
        if (arrays->contains(input.name))
            inputs[id] = input.name;
        else if (!input.isConstant())
            return usageError("lacks the array '" + input.name + "', an input of the model", path.string());
    }
    cases.batch = [file, arrays, inputs = std::move(inputs)](std::int64_t first, std::int64_t last,
                                                             const JobContext&) -> Result<OutputBatch> {
        OutputBatch batch;
        for (const auto& [id, name] : inputs)
            batch.inputs[id] = rowsOf(arrays->at(name).view, first, last);
        if (const auto labels = arrays->find("labels"); labels != arrays->end()) {
            const auto rows = rowsOf(labels->second.view, first, last).integers;
            batch.answers.assign(rows.data(), rows.data() + rows.numel());
        }
        QL_CHECK(file->checkIntact());
        return batch;
    };
    return cases;
}

Result<Cases> imageCases(const Model& model, const graph::Graph& graph, const std::filesystem::path& folder,
                         const std::filesystem::path& labels, const JobContext& context)
{
    if (!seesPictures(graph))
        return usageError("takes no pictures; leave --images out", model.checkpoint->path().string());
    QL_TRY(settings, imageSettingsOf(model));
    QL_TRY(listed, listImages(folder, labels, model));
    const auto images = std::make_shared<const ImageFolder>(std::move(listed));
    Hasher hasher;
    for (const double number : {static_cast<double>(settings.height), static_cast<double>(settings.width)})
        hasher.add(std::as_bytes(std::span(&number, 1)));
    hasher.add(std::as_bytes(std::span(settings.mean)));
    hasher.add(std::as_bytes(std::span(settings.deviation)));
    for (const std::filesystem::path& path : images->files) {
        QL_CHECK(context.checkStop());
        QL_TRY(file, MappedFile::open(path));
        hasher.add(file->bytes());
        QL_CHECK(file->checkIntact());
    }
    return Cases{.count = std::ssize(images->files),
                 .tokens = 0,
                 .fingerprint = hasher.hex(),
                 .batch = [images, settings = settings, pixels = graph.inputs.front()](
                              std::int64_t first, std::int64_t last, const JobContext& its) -> Result<OutputBatch> {
                     OutputBatch batch;
                     graph::Array<float>& array = batch.inputs[pixels].real;
                     array = graph::Array<float>({last - first, 3, settings.height, settings.width});
                     for (std::int64_t i = first; i < last; ++i)
                         QL_CHECK(readImage(images->files[static_cast<std::size_t>(i)], settings,
                                            array.write() + (i - first) * 3 * settings.height * settings.width, its));
                     batch.answers.assign(images->labels.begin() + first, images->labels.begin() + last);
                     return batch;
                 }};
}

Result<OutputsScore> evaluateCases(const CasesTask& task, const JobContext& context)
{
    const std::int64_t size = task.cases.perComparison();
    const auto through = [&](std::int64_t batches) { return std::min(task.cases.count, batches * size); };
    OutputsTask outputs{.graph = task.graph,
                        .batches = ceilDiv(task.cases.count, size),
                        .batch = [&](std::int64_t i) { return task.cases.batch(i * size, through(i + 1), context); },
                        .model = task.model,
                        .other = task.other};
    if (task.onScore)
        outputs.onScore = [&](const OutputsScore& score, std::int64_t batches) {
            task.onScore(score, through(batches));
        };
    return evaluateOutputs(outputs, context);
}

} // namespace ql
