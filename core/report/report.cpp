// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/report/report.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/realize/realize.h"
#include "core/report/heat_map_png.h"
#include "core/report/svg.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace ql {

namespace {

constexpr std::string_view kStyle = R"css(
:root { --ink: #1d2430; --soft: #5b6675; --paper: #fff; --line: #dde3ea; --panel: #f6f8fa;
  --s0: #2f6db5; --s1: #d9822b; --s2: #3a9a5b; --s3: #b5432f; --s4: #7d5ab5; --s5: #8a6d3b; --s6: #c2589b; --s7: #5b6675; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --paper: #171b21; --line: #323a45; --panel: #1f252d;
  --s0: #6ea8e8; --s1: #eba45a; --s2: #6cc48a; --s3: #e5806d; --s4: #ac92dd; --s5: #c2a878; --s6: #e08cc0; --s7: #9aa6b5; } }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: var(--ink); background: var(--paper); max-width: 1120px; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { font-size: 1.25rem; margin-top: 2.4rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem } h3 { font-size: 1rem; font-family: monospace }
p.note { color: var(--soft); margin-top: .2rem }
.facts { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0 } .fact { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .6rem 1rem; min-width: 130px }
.fact b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums } .fact span { color: var(--soft); font-size: .82rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); gap: 1rem; align-items: start } figure { margin: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .6rem }
figcaption { color: var(--soft); font-size: .82rem; padding-top: .3rem } img.heat { width: 100%; height: 240px; image-rendering: pixelated; border-radius: 4px } svg { width: 100%; height: auto; display: block }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: var(--soft) } svg .title { font-size: 12.5px; fill: var(--ink); font-weight: 600 }
svg .grid { stroke: var(--line) } svg .axis { stroke: var(--soft) } svg .mark { stroke: var(--soft); stroke-dasharray: 4 3 }
svg .s0 { --c: var(--s0) } svg .s1 { --c: var(--s1) } svg .s2 { --c: var(--s2) } svg .s3 { --c: var(--s3) } svg .s4 { --c: var(--s4) } svg .s5 { --c: var(--s5) } svg .s6 { --c: var(--s6) } svg .s7 { --c: var(--s7) }
svg path { stroke: var(--c); stroke-width: 1.6; fill: none } svg circle { fill: var(--c) } svg .bar rect, svg .legend rect { fill: var(--c) }
table { border-collapse: collapse; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums } th { text-align: left; color: var(--soft); font-weight: 600; position: sticky; top: 0; background: var(--paper) }
td, th { padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap } td.n, th.n { text-align: right } td.name { font-family: monospace; font-size: .8rem }
.scroll { overflow: auto; max-height: 520px; border: 1px solid var(--line); border-radius: 8px } .ok { color: var(--s2) } .bad { color: var(--s3) } pre { overflow: auto; background: var(--panel); padding: 1rem; border-radius: 8px }
)css";

std::string fact(const std::string& value, const std::string& label)
{
    return "<div class='fact'><b>" + escapeHtml(value) + "</b><span>" + escapeHtml(label) + "</span></div>";
}

std::string figure(const std::string& content, const std::string& caption)
{
    return "<figure>" + content + "<figcaption>" + escapeHtml(caption) + "</figcaption></figure>";
}

/// A cell: numbers are right-aligned.
std::string number(const std::string& text)
{
    return "<td class='n'>" + escapeHtml(text) + "</td>";
}

double candidateBits(const Layer& layer, const Candidate& candidate)
{
    return static_cast<double>(layerPayloadBits(layer, candidate)) / static_cast<double>(layer.numel());
}

std::string planChart(const ReportInput& input)
{
    SvgChart chart{"Bits per weight of each layer",
                   "layer, in the checkpoint's order",
                   "bits per weight",
                   false,
                   {},
                   {},
                   1060,
                   240};
    std::map<std::string, SvgSeries> perCandidate;
    double at = 0;
    for (const std::int64_t layer : input.model.quantizableLayers()) {
        const auto index = static_cast<std::size_t>(layer);
        SvgSeries& series = perCandidate[printCandidate(input.plan.candidates[index])];
        series.kind = SvgSeries::Kind::bars;
        series.x.push_back(at++);
        series.y.push_back(candidateBits(input.model.layers[index], input.plan.candidates[index]));
    }
    for (auto& [name, series] : perCandidate) {
        series.name = name;
        chart.series.push_back(std::move(series));
    }
    return figure(renderSvg(chart),
                  "One bar a layer; the colour is the candidate. Scales and zero points are counted.");
}

std::string lossChart(const ReportInput& input)
{
    if (!input.table)
        return {};
    SvgChart chart{"Predicted loss of each candidate",
                   "item, in the checkpoint's order",
                   input.table->unit,
                   true,
                   {},
                   {},
                   1060,
                   260};
    for (std::size_t column = 0; column < input.table->candidates.size(); ++column) {
        SvgSeries series{printCandidate(input.table->candidates[column]), SvgSeries::Kind::line, {}, {}};
        for (std::size_t item = 0; item < input.table->items.size(); ++item) {
            const Cost& cost = input.table->at(item, column);
            if (!cost.allowed || !std::isfinite(cost.loss))
                continue;
            series.x.push_back(static_cast<double>(item));
            series.y.push_back(cost.loss);
        }
        chart.series.push_back(std::move(series));
    }
    const bool isWeightError = input.table->metric == "weight_error";
    return figure(renderSvg(chart), isWeightError ? "Squared weight error, not KLD: it ranks candidates of one layer "
                                                    "well and layers against each other poorly."
                                                  : "Metric " + input.table->metric + ". Logarithmic axis.");
}

std::string layerTable(const ReportInput& input)
{
    std::string rows;
    for (const ReportLayer& entry : input.layers) {
        const auto index = static_cast<std::size_t>(entry.layer);
        const Layer& layer = input.model.layers[index];
        const Candidate& candidate = input.plan.candidates[index];
        rows += "<tr><td class='name'>" + escapeHtml(layer.name) + "</td><td>" + escapeHtml(layer.role) + "</td><td>" +
                escapeHtml(formatShape(layer.shape)) + "</td><td>" + escapeHtml(printCandidate(candidate)) +
                (input.plan.locked[index] ? " 🔒" : "") + "</td>" +
                number(formatFixed(candidateBits(layer, candidate), 3)) +
                number(entry.error.count > 0 ? formatFixed(entry.error.sqnrDb(), 2) : "–") +
                number(entry.error.count > 0 ? formatSignificant(entry.error.sumSquaredError, 4) : "–") +
                number(formatSignificant(entry.statistics.std, 4)) + number(formatFixed(entry.statistics.kurtosis, 2)) +
                number(formatFixed(entry.statistics.crestFactor(), 2)) +
                number(formatSignificant(1e6 * entry.outlierShare, 3)) + "</tr>";
    }
    return "<div class='scroll'><table><thead><tr><th>layer</th><th>role</th><th>shape</th><th>candidate</th><th "
           "class='n'>bits/weight</th><th class='n'>SQNR / dB</th>"
           "<th class='n'>Σ(w−ŵ)²</th><th class='n'>std</th><th class='n'>kurtosis</th><th class='n'>crest "
           "factor</th><th class='n'>beyond 6σ / ppm</th></tr></thead><tbody>" +
           rows + "</tbody></table></div>";
}

Result<std::string> histogramFigure(const ReportInput& input, const TensorView& weights, std::int64_t layer,
                                    const JobContext& context)
{
    constexpr std::size_t kShownBins = 128;
    const auto index = static_cast<std::size_t>(layer);
    const Candidate& candidate = input.plan.candidates[index];
    QL_TRY(histogram, computeHistogram(weights, context, kBaseBins));
    const auto series = [](const Histogram& full, const std::string& name) {
        const Histogram shown = full.rebinned(kShownBins);
        SvgSeries result{name, SvgSeries::Kind::steps, {}, {}};
        for (std::size_t bin = 0; bin <= shown.counts.size(); ++bin)
            result.x.push_back(shown.min + static_cast<double>(bin) * shown.binWidth());
        for (const std::int64_t count : shown.counts)
            result.y.push_back(std::max(0.5, static_cast<double>(count)));
        return result;
    };
    SvgChart chart{"Weights and what they become", "value", "count per bin (0 drawn at 0.5)", true,
                   {series(histogram, "weights")}, {}};
    if (!candidate.weights.isKeep()) {
        QL_TRY(quantized, realize(input.model, layer, candidate, input.activations, context));
        QL_TRY(restored, computeHistogram(quantized, context, kBaseBins, histogram.min, histogram.max));
        chart.series.push_back(series(restored, printCandidate(candidate)));
    }
    return figure(renderSvg(chart), "Histogram over the full range, logarithmic counts.");
}

Result<std::string> curvesFigure(const TensorView& weights, const JobContext& context)
{
    QL_TRY(curves, computeErrorCurves(weights, 128, context));
    SvgChart chart{"FP against INT", "element bits", "SQNR / dB", false, {}, {}};
    for (const ErrorCurve& curve : curves.curves) {
        SvgSeries series{curve.family, SvgSeries::Kind::line, {}, {}};
        for (const CurvePoint& point : curve.points) {
            series.x.push_back(point.elementBits);
            series.y.push_back(point.sqnrDb);
        }
        chart.series.push_back(std::move(series));
    }
    return figure(renderSvg(chart), "Round to nearest; higher is better. Crest factor of blocks of 32: " +
                                        formatFixed(curves.crestFactor32, 2) +
                                        ", of 16: " + formatFixed(curves.crestFactor16, 2) +
                                        ". MXINT4 beats MXFP4 below 2.04, NVINT4 beats NVFP4 below 2.39 (theory).");
}

Result<std::string> layerPictures(const ReportInput& input, std::int64_t layer, const JobContext& context)
{
    const Layer& description = input.model.layers[static_cast<std::size_t>(layer)];
    QL_TRY(data, input.model.loadWeights(layer, context));
    QL_TRY(histogram, histogramFigure(input, data.view, layer, context));
    QL_TRY(curves, curvesFigure(data.view, context));
    QL_TRY(pyramid, computePyramid(data.view, context));
    QL_CHECK(input.model.checkpoint->checkIntact());
    QL_TRY(png, heatMapPng(pyramid, 1024, 512));
    const std::string picture =
        "<img class='heat' alt='outlier heat map' src='data:image/png;base64," + base64(png) + "'/>";
    return "<h3>" + escapeHtml(description.name) + "</h3><div class='charts'>" + histogram +
           figure(picture, "Largest |w| under each pixel, " + formatShape(description.shape) +
                               ", logarithmic colours from " +
                               formatSignificant(static_cast<double>(pyramid.absmax) / 1000, 3) + " to " +
                               formatSignificant(static_cast<double>(pyramid.absmax), 3) + ".") +
           curves + "</div>";
}

std::string estimate(const Estimate& estimate, double unit, int digits)
{
    return number(formatFixed(estimate.value * unit, digits)) +
           number(formatFixed(estimate.tokenError * unit, digits)) +
           number(formatFixed(estimate.windowError * unit, digits));
}

/// Mean KLD of each window.
std::string windowChart(const ReportValidation& validation)
{
    SvgChart chart{"KLD of each window", "window", "mean KLD / nats per token", false, {}, {}, 1060, 220};
    SvgSeries series{"plan against model", SvgSeries::Kind::bars, {}, {}};
    const std::size_t length = validation.scores.size() / static_cast<std::size_t>(validation.windows);
    for (std::size_t begin = 0; begin < validation.scores.size(); begin += length) {
        double sum = 0;
        for (std::size_t i = begin; i < begin + length; ++i)
            sum += validation.scores[i].kld;
        series.x.push_back(static_cast<double>(begin / length));
        series.y.push_back(sum / static_cast<double>(length));
    }
    chart.series.push_back(std::move(series));
    return figure(renderSvg(chart), "How unevenly the plan's damage is spread over the text.");
}

std::string validation(const ReportInput& input)
{
    if (!input.validation)
        return {};
    const ReportValidation& run = *input.validation;
    const PerplexityScore model = perplexityOf(run.scores, run.windows);
    const ComparisonScore plan = comparisonOf(run.scores, run.windows);
    const auto row = [](const std::string& name, const std::string& cells) {
        return "<tr><td>" + name + "</td>" + cells + "</tr>";
    };
    return "<h2>Validation by running the model</h2><p class='note'>" +
           escapeHtml(
               std::to_string(run.windows) + " windows of " + std::to_string(run.windowLength) + " tokens of " +
               run.text + "; " + std::to_string(model.tokens) + " tokens are scored." +
               (run.runtime.empty() ? "" : " The plan ran with activations rounded as " + run.runtime + " does.")) +
           "</p><table><thead><tr><th>figure</th><th class='n'>value</th><th class='n'>± over tokens</th>"
           "<th class='n'>± over windows</th></tr></thead><tbody>" +
           row("perplexity of the model", estimate(model.perplexity, 1, 4)) +
           row("perplexity of the plan", estimate(plan.perplexity, 1, 4)) +
           row("mean KLD / nats per token", estimate(plan.kld, 1, 5)) +
           row("same most likely token / %", estimate(plan.sameTop, 100, 2)) +
           row("RMS difference of the token's probability / %", estimate(plan.rmsDeltaP, 100, 2)) + "</tbody></table>" +
           windowChart(run);
}

std::string verification(const ReportInput& input)
{
    if (input.files.empty())
        return {};
    std::string html =
        "<h2>Exported model</h2><table><thead><tr><th>file</th><th class='n'>bytes</th></tr></thead><tbody>";
    for (const WrittenFile& file : input.files)
        html += "<tr><td class='name'>" + escapeHtml(file.name) + "</td>" + number(std::to_string(file.sizeBytes)) +
                "</tr>";
    html += "</tbody></table>";
    if (!input.verification)
        return html;
    std::int64_t elements = 0;
    std::string failures;
    for (const VerifiedTensor& tensor : input.verification->tensors) {
        elements += tensor.elements;
        if (!tensor.ok())
            failures += "<li>" +
                        escapeHtml(tensor.name + ": " +
                                   (tensor.problem.empty() ? std::to_string(tensor.differing) + " elements differ"
                                                           : tensor.problem)) +
                        "</li>";
    }
    for (const std::string& problem : input.verification->problems)
        failures += "<li>" + escapeHtml(problem) + "</li>";
    html += "<p class='" + std::string(input.verification->ok() ? "ok" : "bad") + "'>" +
            (input.verification->ok() ? "✔ Read back by an independent decoder: all "
                                      : "✘ Read back by an independent decoder: problems among ") +
            std::to_string(input.verification->tensors.size()) + " tensors (" + std::to_string(elements) +
            " elements)" + (input.verification->ok() ? " equal the plan bit for bit." : ".") + "</p>";
    return failures.empty() ? html : html + "<ul class='bad'>" + failures + "</ul>";
}

std::string facts(const ReportInput& input)
{
    std::int64_t weights = 0;
    for (const std::int64_t layer : input.planLayers)
        weights += input.model.layers[static_cast<std::size_t>(layer)].numel();
    std::string html =
        "<div class='facts'>" +
        fact(formatSignificant(static_cast<double>(weights) / 1e6, 4) + " M", "weights in the plan") +
        fact(formatFixed(bitsPerWeight(input.model, input.plan, input.planLayers), 3), "bits per weight") +
        fact(formatBytes(input.model.checkpoint->sizeBytes()), "checkpoint");
    if (input.fileBytes > 0)
        html += fact(formatBytes(input.fileBytes), "exported (" + input.plan.target + ")");
    if (input.table) {
        const double loss = predictLoss(*input.table, input.plan);
        html += fact(formatSignificant(loss, 4), "predicted loss (" + input.table->metric + ") / " + input.table->unit);
        if (!input.uniformCandidate.empty())
            html += fact(formatFixed(input.uniformLoss / loss, 2) + "×", "less than uniform " + input.uniformCandidate);
    }
    if (input.validation) {
        const Estimate kld = comparisonOf(input.validation->scores, input.validation->windows).kld;
        html += fact(formatSignificant(kld.value, 3) + " ± " + formatSignificant(kld.windowError, 2),
                     "measured KLD / nats per token");
    }
    return html + "</div>";
}

} // namespace

Result<std::filesystem::path> writeReport(const ReportInput& input, const std::filesystem::path& folder,
                                          const JobContext& context)
{
    const std::string plan = printPlan(input.plan, input.model);
    std::string html =
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
        "content='width=device-width'><title>" +
        escapeHtml(input.title) + "</title><style>" + std::string(kStyle) + "</style></head><body><h1>" +
        escapeHtml(input.title) + "</h1><p class='note'>" +
        escapeHtml(input.model.checkpoint->reader() + ", " + std::string(input.model.architecture->title) + ", " +
                   std::to_string(input.model.blockCount) + " blocks · fingerprint " +
                   input.model.checkpoint->fingerprint()) +
        "</p>" + facts(input) + "<h2>Plan</h2>" + planChart(input) + lossChart(input) + "<h2>Layers</h2>" +
        layerTable(input) + "<h2>A closer look</h2>";
    for (const std::int64_t layer : input.pictured) {
        QL_CHECK(context.checkStop());
        QL_TRY(pictures, layerPictures(input, layer, context));
        html += pictures;
    }
    html += validation(input) + verification(input) +
            "<h2>Plan as text</h2><details><summary>plan.json</summary><pre>" + escapeHtml(plan) +
            "</pre></details></body></html>\n";

    const auto path = folder / "report.html";
    const auto write = [](const std::filesystem::path& name, const std::string& text) -> Result<void> {
        QL_TRY(file, AtomicFile::create(name));
        QL_CHECK(file.write(text));
        return file.commit();
    };
    QL_CHECK(write(folder / kReportPlan, plan));
    QL_CHECK(write(path, html));
    return path;
}

} // namespace ql
