// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "core/allocation/solver.h"
#include "core/analysis/analysis.h"
#include "core/checkpoint/reader.h"
#include "core/export/export.h"
#include "core/formats/scheme.h"
#include "core/model/frontends/frontend.h"
#include "core/model/frontends/onnx/onnx_operator.h"
#include "core/model/graph/operator.h"
#include "core/model/tokenizer/token_model.h"
#include "core/quantizers/quantizer.h"
#include "core/sensitivity/metric.h"
#include "core/transforms/transform.h"

#include <nlohmann/json.hpp>

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
    return rows;
}

Json quantizers()
{
    auto rows = Json::array();
    for (const Quantizer* quantizer : allQuantizers()) {
        auto options = quantizer->options();
        std::erase(options, ""); // the default
        rows.push_back({{"id", quantizer->id},
                        {"title", quantizer->title},
                        {"formula", quantizer->formula},
                        {"options", options},
                        {"source", quantizer->source}});
    }
    return rows;
}

Json transforms()
{
    auto rows = Json::array();
    for (const Transform* transform : allTransforms()) {
        std::vector<std::string> options;
        for (const TransformOption& option : transform->words)
            options.emplace_back(option.key);
        for (const TransformOption& option : transform->keys)
            options.push_back(std::string(option.key) + "= (" + std::string(option.help) + ")");
        rows.push_back({{"id", transform->id},
                        {"title", transform->title},
                        {"formula", transform->formula},
                        {"reach", transform->isLocal ? "local" : "whole model"},
                        {"needs", word(transform->needs)},
                        {"options", options},
                        {"source", transform->source}});
    }
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
                        {"needs", word(metric->needs)}});
    return rows;
}

Json solvers()
{
    auto rows = Json::array();
    for (const Solver* solver : allSolvers())
        rows.push_back({{"id", solver->id}, {"title", solver->title}, {"source", solver->source}});
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

struct Kind {
    const char* name;
    Json (*rows)();
    const char* heading = name;
};
constexpr Kind kKinds[] = {{"formats", formats},
                           {"schemes", schemes},
                           {"quantizers", quantizers},
                           {"transforms", transforms},
                           {"readers", readers},
                           {"targets", targets},
                           {"metrics", metrics},
                           {"solvers", solvers},
                           {"operators", operators},
                           {"onnx-operators", onnxOperators},
                           {"layer-kinds", layerKinds},
                           {"architectures", architectures},
                           {"tokenizers", tokenizers},
                           {"analyses", analyses},
                           {"architectures", modelTypes, "model types that run"}};

} // namespace

extern const Command list_;
const Command list_{
    "list",
    "what there is: formats, schemes, quantizers, transforms, readers, targets, metrics, solvers, operators, "
    "onnx-operators, layer-kinds, architectures, tokenizers, analyses",
    [](CLI::App& app) -> CommandRun {
        const auto kind = std::make_shared<std::string>();
        std::vector<std::string> names;
        for (const Kind& k : kKinds)
            names.emplace_back(k.name);
        app.add_option("KIND", *kind, "what to list")->required()->check(CLI::IsMember(names));
        return [kind](Console& console) -> Result<int> {
            Json document;
            for (const Kind& k : kKinds)
                if (*kind == k.name)
                    document[k.heading] = k.rows();
            console.show(document);
            return 0;
        };
    }};

} // namespace ql::cli::commands
