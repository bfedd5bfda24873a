// SPDX-License-Identifier: GPL-3.0-or-later
// Metrics of layers against published figures, closed forms and brute force; their losses of candidates; and what a
// report makes of measured cells.
#include "core/analysis/column_bits.h"
#include "core/analysis/salience.h"
#include "core/sensitivity/layer_report.h"
#include "tests/support/acceptance.h"
#include "tests/support/laws.h"
#include "tests/support/layer_case.h"
#include "tests/support/memory_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

class LayerMetricsTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

    double valueOf(std::string_view id, const std::vector<float>& weights, Shape shape,
                   const ActivationStatistics* inputs = nullptr) const
    {
        static const Model kNone;
        const TensorView view = viewOf(weights, std::move(shape));
        const auto value = findMetric(id).value()->ofLayer(
            {.model = kNone, .layer = 0, .weights = view, .activations = inputs, .fisher = nullptr}, m_context);
        if (!value)
            qFatal("%s", describe(value.error()).c_str());
        return *value;
    }

    std::vector<Measurement> measured(const Model& model, const MeasureRequest& request) const
    {
        std::vector<Measurement> cells;
        const auto done = measure(
            model, request, [&](const Measurement& cell) { cells.push_back(cell); }, m_context);
        if (!done)
            qFatal("%s", describe(done.error()).c_str());
        return cells;
    }

    static MeasureRequest requestOf(const Model& model, std::string_view candidates,
                                    const std::vector<std::string_view>& metrics)
    {
        MeasureRequest request;
        request.layers = model.quantizableLayers();
        request.candidates = parseCandidates(candidates).value();
        for (const std::string_view id : metrics)
            request.metrics.push_back(findMetric(id).value());
        return request;
    }

private Q_SLOTS:
    /// Methods C5: the share beyond one deviation of known laws.
    void sharesOfKnownLaws()
    {
        const Shape shape{1 << 10, 1 << 10};
        // Three deviations of the share of 2^20 samples are 0.0011.
        QL_NEAR("C5", "ZD of N(0,1)", valueOf("zd", million("normal"), shape), 0.15866, 0.0012);
        QL_NEAR("C5", "ZD of Laplace", valueOf("zd", million("laplace"), shape), 0.12156, 0.0012);
        QL_NEAR("C5", "ZD of U[-1,1]", valueOf("zd", million("uniform"), shape), 0.21132, 0.0012);
        QL_NEAR("C5", "ZD of both signs, N(0,1)", valueOf("zd_two_sided", million("normal"), shape), 2 * 0.15866,
                0.0018);
        QVERIFY(std::fabs(valueOf("kurtosis", million("uniform"), shape) - 1.8) < 0.01);
        QVERIFY(std::fabs(valueOf("kurtosis", million("laplace"), shape) - 6) < 0.2);
        QVERIFY(std::fabs(valueOf("crest_factor", million("uniform"), shape) - std::sqrt(3.0)) < 1e-2);
    }

    /// Metrics of one layer share one pass over its weights: a second one would see what was changed since.
    void momentsAreComputedOnce()
    {
        const Model none;
        std::vector<float> w{0, 0, 0, 4};
        const TensorView view = viewOf(w, {2, 2});
        const LayerInput input{.model = none, .layer = 0, .weights = view, .activations = nullptr, .fisher = nullptr};
        const double before = findMetric("kurtosis").value()->ofLayer(input, m_context).value();
        w = {1, 2, 3, -4};
        QCOMPARE(findMetric("kurtosis").value()->ofLayer(input, m_context).value(), before);
        QCOMPARE(findMetric("crest_factor").value()->ofLayer(input, m_context).value(), 2.0);
    }

    void smallCasesByHand()
    {
        // mean 1, deviation √3: one of the four is above 1 + √3.
        const std::vector<float> w{0, 0, 0, 4};
        QCOMPARE(valueOf("zd", w, {2, 2}), 0.25);
        QCOMPARE(valueOf("zd_two_sided", w, {2, 2}), 0.25);
        QCOMPARE(valueOf("zd", {0, 0, 0, -4}, {2, 2}), 0.0);
        QCOMPARE(valueOf("zd_two_sided", {0, 0, 0, -4}, {2, 2}), 0.25);
        QCOMPARE(valueOf("crest_factor", w, {2, 2}), 2.0);
        QCOMPARE(valueOf("synflow", {1, -2, 0.5F, 0}, {2, 2}), 3.5);
        const float nan = std::numeric_limits<float>::quiet_NaN();
        QCOMPARE(valueOf("synflow", {1, -2, nan, 0}, {2, 2}), 3.0);
        QVERIFY(std::isnan(valueOf("kurtosis", {1, 1, 1, 1}, {2, 2})));
        // The importance falls as the share rises, and stays finite without any.
        const Metric& zd = *findMetric("zd").value();
        QVERIFY(zd.importanceOf(0.1) > zd.importanceOf(0.2) && std::isfinite(zd.importanceOf(0)));
    }

    void lossesAreImportanceTimesRelativeError()
    {
        const Model model = test::tinyModel(2, 32);
        const MeasureRequest request =
            requestOf(model, "int3:g16,int8:g16,keep",
                      {"relative_weight_error", "zd", "kurtosis", "crest_factor", "synflow", "size"});
        const auto cells = measured(model, request);
        QCOMPARE(cells.size(), request.layers.size() * 3);
        for (const Measurement& cell : cells) {
            const Layer& layer = model.layers[static_cast<std::size_t>(cell.layer)];
            const bool isKept = cell.candidate == 2;
            const double nmse = isKept ? 0 : cell.error.sumSquaredError / cell.error.sumSquares;
            QCOMPARE(cell.losses[0], nmse);
            const std::vector<float> w = [&] {
                const TensorData data = model.loadWeights(cell.layer, m_context).value();
                std::vector<float> values(static_cast<std::size_t>(layer.numel()));
                decode(data.view.dtype, data.view.data, 0, layer.numel(), values.data());
                return values;
            }();
            for (std::size_t m = 1; m <= 4; ++m) {
                const Metric& metric = *request.metrics[m];
                QCOMPARE(std::isnan(cell.ofLayer[m]), isKept);
                if (isKept) {
                    QCOMPARE(cell.losses[m], 0.0);
                    continue;
                }
                QCOMPARE(cell.ofLayer[m], valueOf(metric.id, w, layer.shape));
                QCOMPARE(cell.losses[m], metric.importanceOf(cell.ofLayer[m]) * nmse);
            }
            QVERIFY(std::isnan(cell.ofLayer[0]) && std::isnan(cell.ofLayer[5]));
            const auto bits = static_cast<double>(layerPayloadBits(layer, request.candidates[cell.candidate]));
            QCOMPARE(cell.losses[5], isKept ? 0.0 : 32.0 * static_cast<double>(layer.numel()) - bits);
        }
    }

    /// One pass over inputs: against the definitions, term by term.
    void metricsOfInputs()
    {
        const LayerCase c = layerCase(24, 12, 3, 64);
        const std::size_t n = 12;
        double energy = 0;
        double output = 0;
        for (std::size_t row = 0; row < c.weights.size(); row += n)
            for (std::size_t i = 0; i < n; ++i) {
                const auto w = static_cast<double>(c.weights[row + i]);
                energy += w * w * c.inputs.gram[i * n + i] / static_cast<double>(c.inputs.tokens);
                for (std::size_t j = 0; j < n; ++j)
                    output += w * c.inputs.gram[i * n + j] * static_cast<double>(c.weights[row + j]);
            }
        const double foundEnergy = valueOf("energy", c.weights, {24, 12}, &c.inputs);
        QVERIFY(std::fabs(foundEnergy - energy) < 1e-12 * energy);
        const double foundOutput = valueOf("relative_output_error", c.weights, {24, 12}, &c.inputs);
        QVERIFY(std::fabs(foundOutput - output) < 1e-9 * output);

        // U_jj² is the first element of the inverse of what is left of H + λI from column j on.
        double damping = 0;
        for (std::size_t i = 0; i < n; ++i)
            damping += kSalienceDamping * c.inputs.gram[i * n + i] / static_cast<double>(n);
        const Salience salience = computeSalience(c.view(), c.inputs, 5, m_context).value();
        double total = 0;
        for (std::size_t j = 0; j < n; ++j) {
            std::vector<double> left; // eliminate from the last column back to j: the pivot is 1 / U_jj²
            const std::size_t m = n - j;
            for (std::size_t r = j; r < n; ++r)
                for (std::size_t k = j; k < n; ++k)
                    left.push_back(c.inputs.gram[r * n + k] + (r == k ? damping : 0));
            for (std::size_t pivot = m - 1; pivot > 0; --pivot)
                for (std::size_t r = 0; r < pivot; ++r)
                    for (std::size_t k = 0; k < pivot; ++k)
                        left[r * m + k] -= left[r * m + pivot] * left[pivot * m + k] / left[pivot * m + pivot];
            double channel = 0;
            for (std::size_t row = 0; row < 24; ++row)
                channel += std::pow(static_cast<double>(c.weights[row * n + j]), 2) * left.front();
            QVERIFY(std::fabs(salience.channels[j] - channel) < 1e-6 * channel);
            total += channel;
        }
        QVERIFY(std::fabs(salience.total - total) < 1e-6 * total);
        QVERIFY(std::fabs(valueOf("salience", c.weights, {24, 12}, &c.inputs) - salience.total) < 1e-12 * total);
        QCOMPARE(salience.groups.size(), std::size_t{3});
        QCOMPARE(salience.groups[2], salience.channels[10] + salience.channels[11]);
        double rows = 0;
        for (const double row : salience.rows)
            rows += row;
        QVERIFY(std::fabs(rows - total) < 1e-6 * total);
        QVERIFY(!computeSalience(c.view(), c.inputs, 0, m_context));
        QVERIFY(!computeSalience(c.view(), ActivationStatistics(), 5, m_context));

        const double losses = valueOf("column_loss", c.weights, {24, 12}, &c.inputs);
        QCOMPARE(losses, columnBits(c.view(), c.inputs, {.bits = 3}, m_context).value().uniform.loss);
        QVERIFY(std::isnan(valueOf("column_loss", c.weights, {12, 24}, &c.inputs)));

        // Losses of a candidate: the law of bits, and the share of the output's energy.
        static const Model kNone;
        const QuantizedTensor codes = c.quantize("int4:channel:s=f16", "rtn").value();
        const ErrorStats error = measureError(c.view(), codes, m_context).value();
        const TensorView view = c.view();
        MetricInput input{.model = kNone,
                          .layer = 0,
                          .weights = view,
                          .quantized = codes,
                          .error = error,
                          .activations = &c.inputs,
                          .fisher = nullptr,
                          .ofLayer = foundOutput};
        const double share = findMetric("relative_output_error").value()->measure(input, m_context).value();
        QVERIFY(std::fabs(share - c.error(codes) / output) < 1e-6 * share);
        input.ofLayer = losses;
        const double bits = 4 + 16.0 / 12;
        const double law = findMetric("baq").value()->measure(input, m_context).value();
        QVERIFY(std::fabs(law - losses * std::pow(4.0, 3 - bits)) < 1e-12 * law);
    }

    /// A place without a metric stays NaN and changes nothing else; defaults are never proxies.
    void proxiesAreAskedFor()
    {
        const Model model = test::tinyModel(1, 32);
        MeasureRequest request = requestOf(model, "int4:g16", {"weight_error", "zd", "kurtosis"});
        const auto whole = measured(model, request);
        request.metrics[1] = nullptr;
        for (const Measurement& cell : measured(model, request)) {
            const auto same = std::ranges::find(whole, cell.layer, &Measurement::layer);
            QVERIFY(std::isnan(cell.losses[1]) && std::isnan(cell.ofLayer[1]));
            QCOMPARE(cell.losses[0], same->losses[0]);
            QCOMPARE(cell.losses[2], same->losses[2]);
        }
        QVERIFY(!bestMetric(nullptr).isProxy);
        for (const Metric* metric : allMetrics()) {
            QVERIFY(metric->measure || metric->ofLayer);
            QVERIFY2(!metric->judgesLayers() || metric->isProxy, metric->id.data());
        }
    }

    void reportsByBruteForce()
    {
        const Model model = test::tinyModel(3, 32);
        MeasureRequest request = requestOf(model, "int8:g16,int3:g16,int4:g16", {"weight_error", "zd", "kurtosis"});
        const auto cells = measured(model, request);
        const auto cellAt = [&](std::int64_t layer, std::size_t column) -> const Measurement& {
            return *std::ranges::find_if(
                cells, [&](const Measurement& c) { return c.layer == layer && c.candidate == column; });
        };
        for (const std::int64_t layer : request.layers) {
            const Layer& its = model.layers[static_cast<std::size_t>(layer)];
            const LayerReport report = layerReport(model, request, cells, {.layer = layer, .column = 2, .by = 0});
            QCOMPARE(report.figures.size(), std::size_t{3});
            for (std::size_t m = 0; m < 3; ++m) {
                const LayerFigure& figure = report.figures[m];
                const auto weight = [&](std::int64_t other) {
                    const Measurement& cell = cellAt(other, 2);
                    return m == 0 ? cell.losses[0] : figure.metric->importanceOf(cell.ofLayer[m]);
                };
                QCOMPARE(figure.value, m == 0 ? cellAt(layer, 2).losses[0] : cellAt(layer, 2).ofLayer[m]);
                QCOMPARE(figure.evidence, Evidence::dataFree);
                std::int64_t above = 0;
                std::int64_t aboveInRole = 0;
                std::int64_t role = 0;
                for (const std::int64_t other : request.layers) {
                    const bool same = model.layers[static_cast<std::size_t>(other)].role == its.role;
                    role += same ? 1 : 0;
                    above += weight(other) > weight(layer) ? 1 : 0;
                    aboveInRole += same && weight(other) > weight(layer) ? 1 : 0;
                }
                QCOMPARE(figure.amongAll.place, above + 1);
                QCOMPARE(figure.amongAll.of, std::ssize(request.layers));
                QCOMPARE(figure.amongRole.place, aboveInRole + 1);
                QCOMPARE(figure.amongRole.of, role);
            }
            // By rising bits: int3, int4, int8; a step from int4 leads to either.
            QCOMPARE(report.candidates.size(), std::size_t{3});
            QCOMPARE(report.candidates[0].column, std::size_t{1});
            QCOMPARE(report.candidates[2].column, std::size_t{0});
            QVERIFY(report.more && report.less);
            QCOMPARE(report.more->column, std::size_t{0});
            QCOMPARE(report.less->column, std::size_t{1});
            QCOMPARE(report.more->payloadBits, 4 * its.numel());
            QCOMPARE(report.less->payloadBits, -its.numel());
            QCOMPARE(report.less->loss, cellAt(layer, 1).losses[0] - cellAt(layer, 2).losses[0]);
            const std::int64_t around = its.block < 0 ? 0 : its.block == 1 ? 2 : 1;
            QCOMPARE(std::ssize(report.neighbours), around);
            for (const LayerNeighbour& neighbour : report.neighbours) {
                const Layer& other = model.layers[static_cast<std::size_t>(neighbour.layer)];
                QVERIFY(other.role == its.role && std::abs(other.block - its.block) == 1);
                QCOMPARE(neighbour.values[1], cellAt(neighbour.layer, 2).ofLayer[1]);
            }
        }
    }

    /// Nothing measured is said so, never zero.
    void reportsWithoutCells()
    {
        const Model model = test::tinyModel(1, 32);
        const MeasureRequest request = requestOf(model, "int4:g16,int8:g16", {"weight_error", "zd"});
        const LayerReport report = layerReport(model, request, {}, {.layer = request.layers[1], .column = 0, .by = 0});
        for (const LayerFigure& figure : report.figures) {
            QVERIFY(std::isnan(figure.value));
            QCOMPARE(figure.evidence, Evidence::unmeasured);
            QCOMPARE(figure.amongAll.place, 0);
        }
        QVERIFY(!report.more && !report.less);
        QVERIFY(std::isnan(report.candidates.front().losses.front()) && report.candidates.front().error.count == 0);
        QVERIFY(report.candidates.front().payloadBits > 0);
    }

    void weightsAreDescribed()
    {
        Model model;
        const auto checkpoint = test::addLayers(model, {{"layer", {64, 32}}});
        const LayerWeights weights = describeWeights(model, 0, m_context).value();
        QCOMPARE(weights.statistics.count, 64 * 32);
        QCOMPARE(weights.histogram.counts.size(), kReportBins);
        QCOMPARE(weights.histogram.total(), 64 * 32);
        QCOMPARE(std::fabs(weights.outliers.largest.front().value), weights.statistics.absmax);
        QCOMPARE(weights.outliers.largest.size(), std::size_t{5});
    }
};

QTEST_APPLESS_MAIN(LayerMetricsTest)
#include "layer_metrics_test.moc"
