// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/variant_options.h"
#include "core/base/npz.h"
#include "core/checkpoint/reader.h"
#include "core/model/frontends/frontend.h"
#include "core/model/graph/run.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::vector<std::int64_t> ids;
    std::string inputs;
    std::string npz;
    bool isDouble = false;
    ActivationsOption activations;
    TransformsOption transforms;
};

/// The arrays of a file that are named as inputs of the graph.
template<typename T>
Result<void> readInputs(const std::string& path, const graph::Graph& graph, graph::Values<T>& values,
                        const JobContext& context)
{
    QL_TRY(file, openCheckpoint(path, context));
    for (const graph::ValueId id : graph.inputs) {
        const std::int64_t tensor = file->indexOf(graph.values[static_cast<std::size_t>(id)].name);
        if (tensor < 0)
            continue;
        QL_TRY(data, file->load(tensor, context));
        const TensorView& view = data.view;
        if (info(view.dtype).isInteger) {
            auto& array = values[id].integers = graph::Array<std::int64_t>(view.shape);
            decodeIntegers(view.dtype, view.data, 0, view.numel(), array.write());
        } else if (isDecodable(view.dtype)) {
            auto& array = values[id].real = graph::Array<T>(view.shape);
            decode(view.dtype, view.data, 0, view.numel(), array.write());
        } else {
            return badInput("holds numbers of a type that is not computed with", path);
        }
    }
    return {};
}

template<typename T>
Result<int> compute(Console& console, const Options& options, const Model& model, const graph::Graph& graph)
{
    graph::Values<T> values;
    if (!options.inputs.empty())
        QL_CHECK(readInputs(options.inputs, graph, values, console.context()));
    if (!options.ids.empty()) {
        if (graph.inputs.empty())
            return usageError("has a graph without inputs, so --ids go nowhere", options.file);
        auto& tokens = values[graph.inputs.front()].integers;
        tokens = graph::Array<std::int64_t>({1, std::ssize(options.ids)});
        std::ranges::copy(options.ids, tokens.write());
    }
    for (const graph::ValueId id : graph.inputs) {
        const graph::ValueInfo& input = graph.values[static_cast<std::size_t>(id)];
        if (!values.contains(id) && !input.isConstant())
            return usageError("needs its input '" + input.name +
                                  "': give --ids for tokens, or an .npz with an array of that name as --inputs",
                              options.file);
    }
    console.status("running");
    const graph::CheckpointWeights weights(model);
    QL_CHECK(graph::forwardAll(graph, weights, values, console.context()));
    QL_TRY(npz, NpzWriter::create(options.npz));
    auto outputs = nlohmann::ordered_json::array();
    for (const graph::ValueId id : graph.outputs) {
        const std::string& name = graph.values[static_cast<std::size_t>(id)].name;
        const graph::Value<T>& value = values.at(id);
        Shape shape = value.shape();
        if (options.inputs.empty() && !shape.empty() && shape.front() == 1)
            shape.erase(shape.begin()); // the batch
        const auto add = [&](const char* dtype, const auto& array) {
            const std::span elements(array.data(), static_cast<std::size_t>(array.numel()));
            return npz.add(name, dtype, shape, std::as_bytes(elements));
        };
        QL_CHECK(value.real ? add(sizeof(T) == 4 ? "f4" : "f8", value.real) : add("i8", value.integers));
        outputs.push_back({{"name", name}, {"shape", shape}});
    }
    QL_CHECK(npz.commit());
    console.show({{"outputs", std::move(outputs)}});
    return 0;
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations));
    const Model& model = *opened.model;
    QL_TRY(graph, buildGraph(model));
    return options.isDouble ? compute<double>(console, options, model, graph)
                            : compute<float>(console, options, model, graph);
}

} // namespace

extern const Command run_;
const Command run_{
    "run", "what the model computes: logits, hidden states", [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--ids", options->ids, "token ids of one sequence, e.g. 1,2,3")->delimiter(',');
        app.add_option("--inputs", options->inputs,
                       ".npz with arrays named as the inputs: tokens, attention_mask, token_types [batch, tokens]; "
                       "pixels [batch, channels, height, width]; of ONNX files as they name them");
        app.add_option("--npz", options->npz,
                       "archive to write: logits, hidden, pooled, as the model has them, or what an ONNX file names; "
                       "[tokens, width] for --ids, with a batch before that for --inputs")
            ->required();
        options->transforms.declare(app);
        options->activations.declare(app);
        app.add_flag("--float64", options->isDouble, "compute in float64");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
