// SPDX-License-Identifier: GPL-3.0-or-later
// The bench's figures term by term, of the model and of its variants, its fronts by brute force, and the same for any
// number of threads.
#include "core/export/export.h"
#include "core/realize/realize.h"
#include "core/sensitivity/bench.h"
#include "core/transforms/variant.h"

#include <QTest>

#include <algorithm>
#include <cmath>
#include <set>

using namespace ql;

class BenchTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    std::shared_ptr<const Model> m_model;
    std::shared_ptr<const Activations> m_activations;
    BenchRequest m_request;

    static std::vector<BenchEntry> run(Executor& executor, const std::shared_ptr<const Model>& model,
                                       const BenchRequest& request)
    {
        std::vector<BenchEntry> entries;
        const auto done = bench(
            model, request, [&](const BenchEntry& entry) { entries.push_back(entry); }, JobContext(executor));
        if (!done)
            return {};
        return entries;
    }
    std::vector<BenchEntry> run(Executor& executor) const { return run(executor, m_model, m_request); }
    BenchRequest requestOf(const char* transforms, const char* schemes) const
    {
        BenchRequest request = m_request;
        request.candidates = crossCandidates(schemes, "rtn,gptq").value();
        request.transforms = parseTransformList(transforms).value();
        return request;
    }
    /// tr(W·H·Wᵀ) of a layer, term by term.
    static double energyOf(const Model& model, const Activations& activations, std::int64_t layer,
                           const JobContext& context)
    {
        const TensorData weights = model.loadWeights(layer, context).value();
        const Shape& shape = model.layers[static_cast<std::size_t>(layer)].shape;
        std::vector<float> w(static_cast<std::size_t>(shape[0] * shape[1]));
        decode(weights.view.dtype, weights.view.data, 0, shape[0] * shape[1], w.data());
        const auto inputs = activations.statistics(layer, context).value();
        const auto cols = static_cast<std::size_t>(shape[1]);
        double energy = 0;
        for (std::size_t row = 0; row < w.size(); row += cols)
            for (std::size_t i = 0; i < cols; ++i)
                for (std::size_t j = 0; j < cols; ++j)
                    energy +=
                        static_cast<double>(w[row + i]) * inputs->gram[i * cols + j] * static_cast<double>(w[row + j]);
        return energy;
    }

private Q_SLOTS:
    void initTestCase()
    {
        const JobContext context(m_executor);
        m_model = openModel(QL_SOURCE_DIR "/resources/sample", context).value();
        m_activations = openActivations(QL_SOURCE_DIR "/resources/sample/activations.npz", *m_model, context).value();
        m_request.layers = {m_activations->layers()[0], m_activations->layers()[1]};
        m_request.candidates =
            crossCandidates("int4:g32,int3:g32:asym,nf4:g32,gguf:q4_0,mxfp4,bf16,keep", "rtn,rtn:ggml,mse,gptq,imatrix")
                .value();
        m_request.activations = m_activations;
        for (const Target* target : allTargets())
            m_request.targets.push_back(&target->profile);
    }

    void everyPairThatFitsIsThereOnce()
    {
        std::set<std::string> texts;
        for (const Candidate& candidate : m_request.candidates)
            QVERIFY(texts.insert(printCandidate(candidate)).second);
        for (const char* scheme : {"int4:g32", "nf4:g32", "gguf:q4_0"})
            for (const char* quantizer : {"rtn", "rtn:ggml", "mse", "gptq", "imatrix"}) {
                const auto candidate = parseCandidate(std::string(scheme) + "@" + quantizer);
                QCOMPARE(candidate.has_value() && texts.contains(printCandidate(*candidate)), candidate.has_value());
            }
        QVERIFY(texts.contains("bf16") && texts.contains("keep"));
        QVERIFY(!crossCandidates("", "rtn"));
        QVERIFY(!crossCandidates("int4:g32", ""));
        QVERIFY(!crossCandidates("int99", "rtn"));
        QVERIFY(!crossCandidates("int4:g32", "magic"));
        const auto none = crossCandidates("int4:g32", "rtn:ggml");
        QVERIFY(!none && none.error().what.find("accepts") != std::string::npos);
        QVERIFY(crossCandidates(kUsualSchemes, kUsualQuantizers));
    }

    void figuresAreThoseOfEveryWeight()
    {
        const auto entries = run(m_executor);
        QCOMPARE(entries.size(), m_request.layers.size() * m_request.candidates.size());
        const JobContext context(m_executor);
        for (const BenchEntry& entry : entries) {
            QVERIFY2(entry.refusal.empty(), entry.refusal.c_str());
            const Candidate& candidate = m_request.candidates[entry.candidate];
            const Layer& layer = m_model->layers[static_cast<std::size_t>(entry.layer)];
            QCOMPARE(entry.bitsPerWeight,
                     static_cast<double>(layerPayloadBits(layer, candidate)) / static_cast<double>(layer.numel()));
            if (candidate.weights.isKeep()) {
                QCOMPARE(entry.error.sumSquaredError, 0.0);
                QCOMPARE(*entry.outputError, 0.0);
                continue;
            }
            const TensorData weights = m_model->loadWeights(entry.layer, context).value();
            const auto rows = layer.shape[0];
            const auto cols = layer.shape[1];
            std::vector<float> w(static_cast<std::size_t>(rows * cols));
            decode(weights.view.dtype, weights.view.data, 0, rows * cols, w.data());
            const auto inputs = m_activations->statistics(entry.layer, context).value();
            const auto quantized = realize(weights.view, candidate, inputs.get(), context).value();
            std::vector<float> restored(w.size());
            quantized.restoreRows(0, rows, restored.data());
            double squares = 0;
            double largest = 0;
            double output = 0;
            double energy = 0;
            for (std::size_t row = 0; row < w.size(); row += static_cast<std::size_t>(cols))
                for (std::size_t i = 0; i < static_cast<std::size_t>(cols); ++i) {
                    const double d = static_cast<double>(w[row + i]) - static_cast<double>(restored[row + i]);
                    squares += d * d;
                    largest = std::max(largest, std::fabs(d));
                    double ofDifferences = 0;
                    double ofWeights = 0;
                    for (std::size_t j = 0; j < static_cast<std::size_t>(cols); ++j) {
                        const double h = inputs->gram[i * static_cast<std::size_t>(cols) + j];
                        ofDifferences += h * (static_cast<double>(w[row + j]) - static_cast<double>(restored[row + j]));
                        ofWeights += h * static_cast<double>(w[row + j]);
                    }
                    output += d * ofDifferences;
                    energy += static_cast<double>(w[row + i]) * ofWeights;
                }
            QVERIFY(std::fabs(entry.error.sumSquaredError - squares) <= 1e-9 * squares + 1e-30);
            QCOMPARE(entry.error.maxAbsError, largest);
            QVERIFY2(std::fabs(*entry.outputError - output / energy) <= 1e-6 * output / energy + 1e-30,
                     printCandidate(candidate).c_str());
            if (!entry.report.objective.empty())
                QVERIFY(entry.report.reached <= entry.report.rtn || entry.report.keptRtn);
        }
    }

    void frontsByBruteForce()
    {
        auto entries = run(m_executor);
        for (const bool byWeights : {false, true}) {
            markFront(entries, byWeights);
            for (const BenchEntry& a : entries) {
                const double error = benchError(a, !byWeights);
                // What is as good on both axes is on the front once.
                bool beaten = false;
                bool twin = false;
                for (const BenchEntry& b : entries) {
                    if (&a == &b || a.layer != b.layer)
                        continue;
                    const double other = benchError(b, !byWeights);
                    beaten = beaten || (b.bitsPerWeight <= a.bitsPerWeight && other <= error &&
                                        (b.bitsPerWeight < a.bitsPerWeight || other < error));
                    twin = twin || (b.bitsPerWeight == a.bitsPerWeight && other == error && b.onFront);
                }
                QCOMPARE(a.onFront, !beaten && !twin);
            }
        }
        // Nothing refused is on a front, and without outputs it is the weights'.
        entries.front().onFront = false;
        entries.front().refusal = "no";
        for (BenchEntry& entry : entries)
            entry.outputError.reset();
        markFront(entries);
        QVERIFY(!entries.front().onFront);
    }

    /// What is found on a variant is what the bench finds where that variant is the model.
    void variantsBesideTheModel()
    {
        const JobContext context(m_executor);
        const BenchRequest request = requestOf("none,awq:scheme=int4:g32,hadamard:heads", "int4:g32,bf16");
        auto entries = run(m_executor, m_model, request);
        const std::size_t each = request.layers.size() * request.candidates.size();
        QCOMPARE(entries.size(), 3 * each);
        for (std::size_t t = 0; t < request.transforms.size(); ++t) {
            BenchRequest alone = request;
            alone.transforms = {TransformSpecs()};
            std::shared_ptr<const Model> model = m_model;
            if (!request.transforms[t].empty()) {
                const Variant variant = makeVariant(m_model, request.transforms[t], m_activations, context).value();
                model = variant.model;
                alone.activations = variant.activations;
                for (std::int64_t& layer : alone.layers) {
                    layer = model->indexOf(m_model->layers[static_cast<std::size_t>(layer)].name);
                    QVERIFY(layer >= 0);
                }
                // The rewrite leaves these layers' outputs, but for rounding in float32: so their errors compare.
                for (std::size_t i = 0; i < alone.layers.size(); ++i) {
                    const double before = energyOf(*m_model, *m_activations, request.layers[i], context);
                    const double after = energyOf(*model, *variant.activations, alone.layers[i], context);
                    QVERIFY2(std::fabs(after - before) <= 1e-5 * before,
                             qPrintable(QString::number(after / before - 1)));
                }
            }
            const auto wanted = run(m_executor, model, alone);
            QCOMPARE(wanted.size(), each);
            for (std::size_t i = 0; i < each; ++i) {
                const BenchEntry& entry = entries[t * each + i];
                QCOMPARE(entry.transform, t);
                QVERIFY2(entry.refusal.empty(), entry.refusal.c_str());
                QCOMPARE(entry.layer, request.layers[i / request.candidates.size()]);
                QCOMPARE(entry.candidate, wanted[i].candidate);
                QCOMPARE(entry.bitsPerWeight, wanted[i].bitsPerWeight);
                QCOMPARE(entry.error.sumSquaredError, wanted[i].error.sumSquaredError);
                QCOMPARE(entry.outputError, wanted[i].outputError);
                QCOMPARE(entry.report.reached, wanted[i].report.reached);
                QVERIFY(entry.runsIn == wanted[i].runsIn);
            }
        }
        // One front a layer, whatever the variant.
        markFront(entries);
        for (const BenchEntry& a : entries) {
            const bool beaten = std::ranges::any_of(entries, [&](const BenchEntry& b) {
                return a.layer == b.layer && b.bitsPerWeight <= a.bitsPerWeight &&
                       benchError(b, true) <= benchError(a, true) &&
                       (b.bitsPerWeight < a.bitsPerWeight || benchError(b, true) < benchError(a, true));
            });
            QVERIFY(!a.onFront || !beaten);
        }
    }

    void whatATransformRefusesAreEntries()
    {
        // Ranges are not in the file: smooth names the mend. Hadamard unties the head: that layer does not compare.
        BenchRequest request = requestOf("smooth,none,hadamard", "int4:g32");
        request.layers.push_back(m_model->indexOf("model.embed_tokens.weight"));
        QVERIFY(request.layers.back() >= 0);
        const auto entries = run(m_executor, m_model, request);
        const std::size_t each = request.layers.size() * request.candidates.size();
        QCOMPARE(entries.size(), 3 * each);
        for (const BenchEntry& entry : entries) {
            const bool isUntied = entry.transform == 2 && entry.layer == request.layers.back();
            // The embedding's inputs are not in the file, so gptq refuses it anyway.
            const bool isBlind = entry.layer == request.layers.back() && entry.candidate == 1;
            QCOMPARE(!entry.refusal.empty(), entry.transform == 0 || isUntied || isBlind);
            if (entry.transform == 0)
                QVERIFY2(entry.refusal.find("transform smooth") != std::string::npos &&
                             entry.refusal.find("--activations") != std::string::npos,
                         entry.refusal.c_str());
            if (isUntied)
                QVERIFY2(entry.refusal.find("two layers") != std::string::npos, entry.refusal.c_str());
        }
        request.activations = nullptr;
        request.transforms = parseTransformList("awq,none").value();
        const auto blind = run(m_executor, m_model, request);
        QVERIFY(blind.size() == 2 * each && !blind.front().refusal.empty() && blind[each].refusal.empty());
    }

    void listsOfTransforms()
    {
        const auto list = parseTransformList(" none, awq ,smooth:alpha=0.6+hadamard,awq,none");
        QVERIFY(list && list->size() == 3);
        QCOMPARE(printTransform((*list)[0]), std::string("none"));
        QCOMPARE(printTransform((*list)[2]), std::string("smooth:alpha=0.6+hadamard"));
        QVERIFY(!parseTransformList(""));
        QVERIFY(!parseTransformList("none,magic"));
    }

    void equalForAnyNumberOfThreads()
    {
        const auto two = run(m_executor);
        Executor one(1);
        const auto alone = run(one);
        QCOMPARE(alone.size(), two.size());
        for (std::size_t i = 0; i < two.size(); ++i) {
            QCOMPARE(alone[i].error.sumSquaredError, two[i].error.sumSquaredError);
            QCOMPARE(alone[i].outputError, two[i].outputError);
            QCOMPARE(alone[i].report.reached, two[i].report.reached);
        }
    }

    void refusalsAndStops()
    {
        BenchRequest blind = m_request;
        blind.activations = nullptr;
        std::vector<BenchEntry> entries;
        QVERIFY(bench(
            m_model, blind, [&](const BenchEntry& entry) { entries.push_back(entry); }, JobContext(m_executor)));
        for (const BenchEntry& entry : entries) {
            const bool needs = blind.candidates[entry.candidate].quantizer.id == "gptq";
            QCOMPARE(!entry.refusal.empty(), needs);
            QVERIFY(!entry.outputError);
        }
        std::stop_source stop;
        int delivered = 0;
        const auto stopped = bench(
            m_model, m_request,
            [&](const BenchEntry&) {
                if (++delivered == 2)
                    stop.request_stop();
            },
            JobContext(m_executor, stop.get_token()));
        QVERIFY(!stopped && stopped.error().code == Errc::cancelled);
        QCOMPARE(delivered, 2);
    }

    void whereItRuns()
    {
        const auto entries = run(m_executor);
        for (const BenchEntry& entry : entries) {
            const std::string scheme = printScheme(m_request.candidates[entry.candidate].weights);
            const auto in = [&](std::string_view id) {
                return std::ranges::find(entry.runsIn, id) != entry.runsIn.end();
            };
            QVERIFY(in("hdf5"));
            if (scheme == "int4:g32")
                QVERIFY(in("compressed-tensors") && !in("gguf"));
            if (scheme == "gguf:q4_0")
                QVERIFY(in("gguf") && !in("compressed-tensors"));
            if (scheme == "nf4:g32")
                QVERIFY(!in("gguf") && !in("compressed-tensors"));
        }
    }
};

QTEST_APPLESS_MAIN(BenchTest)
#include "bench_test.moc"
