// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "core/allocation/measured_search.h"
#include "core/analysis/analysis.h"
#include "core/checkpoint/reader.h"
#include "core/export/export.h"
#include "core/formats/scheme.h"
#include "core/model/frontends/frontend.h"
#include "core/model/frontends/onnx/onnx_operator.h"
#include "core/model/graph/operator.h"
#include "core/model/tokenizer/token_model.h"
#include "core/plan/explain.h"
#include "core/plan/runs_in.h"
#include "core/quantizers/options.h"
#include "core/sensitivity/metric.h"
#include "core/transforms/transform.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace ql::cli::commands {

namespace {

using Json = nlohmann::ordered_json;

Json formats()
{
    auto rows = Json::array();
    for (const FormatFamily* family : allFormatFamilies()) {
        for (const std::string& id : family->instances()) {
            const NumberFormatPtr format = family->parse(id);
            rows.push_back({{"id", id}, {"bits", format->bits}, {"title", format->title}, {"source", format->source}});
        }
    }
    return rows;
}

Json schemes()
{
    auto rows = Json::array();
    for (const NamedScheme& scheme : allNamedSchemes())
        rows.push_back({{"id", scheme.name}, {"means", scheme.text}, {"title", scheme.title}});
    for (const AdditionKind& kind : allAdditionKinds())
        rows.push_back({{"id", kind.text}, {"means", "behind any scheme with codes"}, {"title", kind.title}});
    return rows;
}

Json quantizers()
{
    auto rows = Json::array();
    for (const Quantizer* quantizer : allQuantizers()) {
        auto options = quantizer->options();
        std::erase(options, ""); // the default
        for (const QuantizerOption& option : quantizer->values)
            options.push_back(printOption(option));
        rows.push_back({{"id", quantizer->id},
                        {"title", quantizer->title},
                        {"formula", quantizer->formula},
                        {"options", options},
                        {"needs", describe(quantizer->needs)},
                        {"source", quantizer->source}});
    }
    return rows;
}

Json rowOf(const Transform& transform)
{
    std::vector<std::string> options;
    for (const TransformOption& option : transform.words)
        options.emplace_back(option.key);
    for (const TransformOption& option : transform.keys)
        options.push_back(std::string(option.key) + "= (" + std::string(option.help) + ")");
    return {{"id", transform.id},          {"title", transform.title},          {"formula", transform.formula},
            {"reach", reachOf(transform)}, {"needs", describeNeeds(transform)}, {"options", options},
            {"source", transform.source}};
}

Json transforms()
{
    auto rows = Json::array();
    for (const Transform* transform : allTransforms())
        rows.push_back(rowOf(*transform));
    return rows;
}

Json readers()
{
    auto rows = Json::array();
    for (const Reader* reader : allReaders())
        rows.push_back({{"id", reader->id}, {"title", reader->title}, {"extensions", reader->extensions}});
    return rows;
}

Json targets()
{
    auto rows = Json::array();
    for (const Target* target : allTargets())
        rows.push_back({{"id", target->profile.id},
                        {"title", target->profile.title},
                        {"loaded by", target->profile.loadedBy},
                        {"source", target->profile.source}});
    return rows;
}

Json metrics()
{
    auto rows = Json::array();
    for (const Metric* metric : allMetrics())
        rows.push_back({{"id", metric->id},
                        {"title", metric->title},
                        {"unit", metric->unit},
                        {"formula", metric->formula},
                        {"needs", word(metric->needs)},
                        {"evidence", word(evidenceOf(metric->needs))},
                        {"source", metric->source}});
    return rows;
}

Json solvers()
{
    auto rows = Json::array();
    for (const Solver* solver : allSolvers())
        rows.push_back(
            {{"id", solver->id}, {"title", solver->title}, {"by", "qloupe solve"}, {"source", solver->source}});
    for (const PlanSearch& search : planSearches())
        rows.push_back(
            {{"id", search.id}, {"title", search.title}, {"by", "qloupe search"}, {"source", search.source}});
    return rows;
}

Json operators()
{
    auto rows = Json::array();
    for (const graph::Operator* op : graph::allOperators())
        rows.push_back({{"id", op->id},
                        {"title", op->title},
                        {"weights of a layer", op->weights >= 0},
                        {"gradient", op->gradientFloat != nullptr}});
    return rows;
}

Json onnxOperators()
{
    auto rows = Json::array();
    for (const OnnxFamily* family : allOnnxFamilies())
        for (const OnnxOperator& op : family->operators)
            rows.push_back({{"id", op.id}, {"title", family->title}});
    return rows;
}

Json layerKinds()
{
    auto rows = Json::array();
    for (const OperatorInfo& kind : allOperators())
        rows.push_back({{"id", kind.id}, {"title", kind.title}, {"quantizable", kind.quantizable}});
    return rows;
}

Json architectures()
{
    auto rows = Json::array();
    for (const Architecture* architecture : allArchitectures())
        rows.push_back({{"id", architecture->id}, {"title", architecture->title}, {"source", architecture->source}});
    return rows;
}

Json modelTypes()
{
    auto rows = Json::array();
    for (const Frontend* frontend : allFrontends())
        for (const ModelType& type : frontend->types)
            rows.push_back({{"id", type.id}, {"title", frontend->title}, {"source", frontend->source}});
    return rows;
}

Json analyses()
{
    auto rows = Json::array();
    for (const Analysis* analysis : allAnalyses())
        rows.push_back({{"id", analysis->id}, {"title", analysis->title}, {"description", analysis->description}});
    return rows;
}

Json tokenizers()
{
    auto rows = Json::array();
    for (const tok::TokenModelKind* kind : tok::allTokenModels())
        rows.push_back({{"id", kind->id}, {"title", kind->title}, {"tokenizer.json", kind->type}});
    return rows;
}

Json show(const Explanation& explanation)
{
    Json document{{"id", explanation.name}, {"title", explanation.title}};
    for (const Fact& fact : explanation.facts)
        document[fact.what] = fact.text;
    if (!explanation.storage.empty()) {
        auto rows = Json::array();
        for (const StorageLine& line : explanation.storage)
            rows.push_back({{"part", line.what},
                            {"number", line.count},
                            {"bits_each", line.bitsEach},
                            {"bits_per_weight", line.bitsPerWeight}});
        document["storage of W" + formatShape(explanation.shape)] = std::move(rows);
        document["bits_per_weight"] = explanation.bitsPerWeight;
    }
    if (!explanation.options.empty()) {
        auto rows = Json::array();
        for (const ExplainedOption& option : explanation.options)
            rows.push_back({{"option", option.text}, {"meaning", option.meaning}, {"if_left_out", option.fallback}});
        document["options"] = std::move(rows);
    }
    return document;
}

Result<Json> explainedFormat(const std::string& name)
{
    QL_TRY(format, findNumberFormat(name));
    return show(explainFormat(*format));
}

/// A candidate has a scheme, too.
Result<Json> explainedScheme(const std::string& name)
{
    QL_TRY(candidate, parseCandidate(name));
    if (name.find('@') == std::string::npos)
        return show(explainScheme(candidate.weights));
    QL_TRY(explanation, explain(candidate));
    return show(explanation);
}

Result<Json> explainedQuantizer(const std::string& name)
{
    QL_TRY(spec, parseQuantizerSpec(name));
    QL_TRY(quantizer, findQuantizer(spec.id));
    return show(explainQuantizer(*quantizer));
}

Result<Json> explainedTransform(const std::string& name)
{
    QL_TRY(transform, findTransform(name));
    return rowOf(*transform);
}

Result<Json> explainedMetric(const std::string& name)
{
    QL_TRY(metric, findMetric(name));
    return Json{{"id", metric->id},
                {"title", metric->title},
                {"formula", metric->formula},
                {"unit", metric->unit},
                {"judges", metric->judgesLayers() ? "layers: its value times the relative weight error of the candidate"
                                                  : "candidates of layers"},
                {"needs", word(metric->needs)},
                {"evidence", word(evidenceOf(metric->needs))},
                {"taken", metric->isProxy ? "when it is asked for" : "by default, if none is known that tells more"},
                {"source", metric->source}};
}

Result<Json> explainedSolver(const std::string& name)
{
    for (const PlanSearch& search : planSearches())
        if (search.id == name)
            return Json{{"id", search.id},
                        {"title", search.title},
                        {"minimises", search.objective},
                        {"limits", "bits per weight and all further limits but a largest loss and a second device"},
                        {"by", "qloupe search --by " + name},
                        {"source", search.source}};
    QL_TRY(solver, findSolver(name));
    return Json{{"id", solver->id},
                {"title", solver->title},
                {"minimises", "the sum of losses by the metric or the tables given"},
                {"limits", solver->honoursSides ? "the size and all further limits" : "the size"},
                {"by", "qloupe solve --solver " + name},
                {"source", solver->source}};
}

/// Schemes by where they run on a model: of a layer inside its blocks, if it has some.
Result<Json> groupedSchemes(Console& console, const std::string& file)
{
    QL_TRY(model, openModelFor(console, file));
    const auto layers = model->quantizableLayers();
    if (layers.empty())
        return refused("has no layer that can be quantized", file);
    const auto layerAt = [&](std::int64_t index) -> const Layer& {
        return model->layers[static_cast<std::size_t>(index)];
    };
    const auto inside = std::ranges::find_if(layers, [&](std::int64_t index) { return layerAt(index).block >= 0; });
    const Layer& layer = layerAt(inside != layers.end() ? *inside : layers.front());
    std::vector<const TargetProfile*> profiles;
    for (const Target* target : allTargets())
        profiles.push_back(&target->profile);
    Json document{{"of the layer", layer.name}};
    auto rows = Json::array();
    for (const SchemeGroup& group : schemeGroups(*model, layer, profiles))
        for (const Scheme& scheme : group.schemes) {
            const Explanation explanation = explainScheme(scheme, layer.shape);
            rows.push_back({{"id", explanation.name},
                            {"where", group.title()},
                            {"bits_per_weight", explanation.bitsPerWeight},
                            {"title", explanation.title}});
        }
    document["schemes"] = std::move(rows);
    return document;
}

struct Kind {
    const char* name;
    Json (*rows)();
    const char* heading = name;
    Result<Json> (*explain)(const std::string& name) = nullptr;
};
constexpr Kind kKinds[] = {{"formats", formats, "formats", explainedFormat},
                           {"schemes", schemes, "schemes", explainedScheme},
                           {"quantizers", quantizers, "quantizers", explainedQuantizer},
                           {"transforms", transforms, "transforms", explainedTransform},
                           {"readers", readers},
                           {"targets", targets},
                           {"metrics", metrics, "metrics", explainedMetric},
                           {"solvers", solvers, "solvers", explainedSolver},
                           {"operators", operators},
                           {"onnx-operators", onnxOperators},
                           {"layer-kinds", layerKinds},
                           {"architectures", architectures},
                           {"tokenizers", tokenizers},
                           {"analyses", analyses},
                           {"architectures", modelTypes, "model types that run"}};

struct Options {
    std::string kind;
    std::string explain;
    std::string model;
};

Result<int> run(Console& console, const Options& options)
{
    if (!options.model.empty()) {
        if (options.kind != "schemes" || !options.explain.empty())
            return usageError("--model groups schemes: qloupe list schemes --model FILE");
        QL_TRY(groups, groupedSchemes(console, options.model));
        console.show(groups);
        return 0;
    }
    Json document;
    for (const Kind& kind : kKinds) {
        if (options.kind != kind.name)
            continue;
        if (options.explain.empty()) {
            document[kind.heading] = kind.rows();
            continue;
        }
        if (!kind.explain)
            return usageError("--explain is for formats, schemes, quantizers, transforms, metrics and solvers; of " +
                              options.kind + " the list says what there is to say");
        QL_TRY(explained, kind.explain(options.explain));
        document = std::move(explained);
    }
    console.show(document);
    return 0;
}

} // namespace

extern const Command list_;
const Command list_{
    "list",
    "what there is: formats, schemes, quantizers, transforms, readers, targets, metrics, solvers, operators, "
    "onnx-operators, layer-kinds, architectures, tokenizers, analyses",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        std::vector<std::string> names;
        for (const Kind& k : kKinds)
            names.emplace_back(k.name);
        app.add_option("KIND", options->kind, "what to list")->required()->check(CLI::IsMember(names));
        app.add_option("--explain", options->explain,
                       "one format, scheme (int4:g64, also int4:g64+lr8, int4:g64@mse), quantizer, transform, metric "
                       "or solver: formula, storage, source, options");
        app.add_option("--model", options->model, "schemes: grouped by where they run on this checkpoint");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
