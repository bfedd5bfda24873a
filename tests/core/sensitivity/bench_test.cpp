// SPDX-License-Identifier: GPL-3.0-or-later
// The bench's figures term by term, its fronts by brute force, and the same for any number of threads.
#include "core/export/export.h"
#include "core/realize/realize.h"
#include "core/sensitivity/bench.h"

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

    std::vector<BenchEntry> run(Executor& executor) const
    {
        std::vector<BenchEntry> entries;
        const auto done = bench(
            *m_model, m_request, [&](const BenchEntry& entry) { entries.push_back(entry); }, JobContext(executor));
        if (!done)
            return {};
        return entries;
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
        m_request.activations = m_activations.get();
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
            *m_model, blind, [&](const BenchEntry& entry) { entries.push_back(entry); }, JobContext(m_executor)));
        for (const BenchEntry& entry : entries) {
            const bool needs = blind.candidates[entry.candidate].quantizer.id == "gptq";
            QCOMPARE(!entry.refusal.empty(), needs);
            QVERIFY(!entry.outputError);
        }
        std::stop_source stop;
        int delivered = 0;
        const auto stopped = bench(
            *m_model, m_request,
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
