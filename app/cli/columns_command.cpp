// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/number_check.h"
#include "app/cli/variant_options.h"
#include "core/analysis/column_bits.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string layer = "*";
    std::vector<int> bits{2, 3, 4};
    double exponent = 1.95;
    TransformsOption transforms;
    ActivationsOption activations;
};

nlohmann::ordered_json rowOf(const std::string& name, int bits, const ColumnBits& found)
{
    return {{"name", name},
            {"bits", bits},
            {"gm_over_am", found.geometricOverArithmetic},
            {"loss_ratio", numberOrNull(found.allocated.loss / found.uniform.loss)},
            {"output_error", found.uniform.outputError},
            {"output_error_by_column", found.allocated.outputError},
            {"variation", found.uniform.variation},
            {"variation_by_column", found.allocated.variation},
            {"mean_bits", found.meanBits},
            {"mean_stored_bits", found.meanStoredBits + found.sideBitsPerWeight}};
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations));
    if (!opened.activations)
        return usageError("columns get bits by XᵀX of the layers' inputs: give --activations, made by qloupe calibrate",
                          options.file);
    const Model& model = *opened.model;
    QL_TRY(layers, model.match(options.layer));
    auto rows = nlohmann::ordered_json::array();
    std::vector<Warning> left;
    for (const std::int64_t layer : layers) {
        const Layer& its = model.layers[static_cast<std::size_t>(layer)];
        if (!its.quantizable)
            continue;
        QL_TRY(statistics, opened.activations->statistics(layer, console.context()));
        if (!statistics || statistics->gram.empty()) {
            left.push_back({its.name, statistics && !statistics->parts.empty()
                                          ? "left out: ranges of its rows see inputs of their own"
                                          : "left out: XᵀX of its inputs is not known"});
            continue;
        }
        console.status("levels of columns of " + its.name);
        QL_TRY(weights, model.loadWeights(layer, console.context()));
        for (const int bits : options.bits) {
            QL_TRY(found, columnBits(weights.view, *statistics, {.bits = bits, .exponent = options.exponent},
                                     console.context()));
            rows.push_back(rowOf(its.name, bits, found));
        }
    }
    QL_CHECK(model.checkpoint->checkIntact());
    console.warn(left);
    if (rows.empty())
        return usageError("no layer that '" + options.layer + "' matches has XᵀX of its inputs", options.file);
    console.show(
        {{"gm_over_am",
          "geometric over arithmetic mean of the columns' losses: what their own levels could make of the loss"},
         {"output_error", "tr(ΔW·H·ΔWᵀ) / tr(W·H·Wᵀ) of GPTQ with equal levels, and with levels by column"},
         {"mean_bits", "log2 of the levels, as an entropy coder needs"},
         {"mean_stored_bits", "whole bits a code, and 16 bits a column for its levels"},
         {"layers", std::move(rows)}});
    return 0;
}

} // namespace

extern const Command columns_;
const Command columns_{
    "columns", "what levels of their own for the columns of a layer could gain over equal bits: GPTQ twice",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--layer", options->layer, "layer name or glob")->capture_default_str();
        app.add_option("--bits", options->bits, "widths, separated by commas")->delimiter(',')->capture_default_str();
        app.add_option("--exponent", options->exponent,
                       "t in levels = 2^bits·(loss/GM)^(1/t): 2 by theory, 1.95 as published")
            ->capture_default_str()
            ->check(above(0));
        options->transforms.declare(app);
        options->activations.declare(app);
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
