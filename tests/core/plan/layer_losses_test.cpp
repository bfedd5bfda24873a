// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hash.h"
#include "core/plan/layer_losses.h"
#include "tests/support/fused_target.h"
#include "tests/support/memory_model.h"
#include "tests/support/memory_sink.h"

#include <QTest>

#include <algorithm>
#include <cmath>

using namespace ql;

namespace {

Candidate candidate(const char* text)
{
    return parseCandidate(text).value();
}

LayerLoss loss(std::int64_t layer, const char* text, double value, double error, Evidence evidence)
{
    return {.layer = layer, .candidate = candidate(text), .loss = value, .standardError = error, .evidence = evidence};
}

/// Of layers 0 and 1, by gradients.
LayerLosses twoProbed()
{
    return {.metric = "gradient_probe",
            .activations = "a",
            .candidates = {candidate("int4:g16")},
            .cells = {loss(0, "int4:g16", 1, 0.5, Evidence::probed), loss(1, "int4:g16", 2, 0.5, Evidence::probed)}};
}

} // namespace

class LayerLossesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void textKeepsEveryDigit()
    {
        const Model model = test::tinyModel(1, 32);
        LayerLosses losses{.metric = "gradient_probe",
                           .activations = "abc",
                           .candidates = parseCandidates("int4:g16,keep,int8:g16@mse").value(),
                           .cells = {loss(0, "int4:g16:s=f16", 1.0 / 3, 1e-9 / 7, Evidence::probed),
                                     loss(2, "int8:g16@mse", 0, 0, Evidence::measured)}};
        const std::string text = printLosses(losses, model);
        const LayerLosses read = parseLosses(text, model).value();
        QCOMPARE(read.metric, losses.metric);
        QCOMPARE(read.activations, losses.activations);
        QVERIFY(read.candidates == losses.candidates);
        QCOMPARE(read.cells.size(), std::size_t{2});
        for (std::size_t i = 0; i < 2; ++i) {
            QCOMPARE(read.cells[i].layer, losses.cells[i].layer);
            QVERIFY(read.cells[i].candidate == losses.cells[i].candidate);
            QCOMPARE(read.cells[i].loss, losses.cells[i].loss);
            QCOMPARE(read.cells[i].standardError, losses.cells[i].standardError);
            QCOMPARE(read.cells[i].evidence, losses.cells[i].evidence);
        }
        QCOMPARE(printLosses(read, model), text);
        QVERIFY(text.find("tokens") == std::string::npos && text.find("time") == std::string::npos); // not known
        losses.cells[1].tokens = 8192;
        losses.cells[1].time = 1764488000;
        const LayerLosses dated = parseLosses(printLosses(losses, model), model).value();
        QCOMPARE(dated.cells[1].tokens, 8192);
        QCOMPARE(dated.cells[1].time, 1764488000);
        losses.couplings = {{.layers = {0, 2},
                             .candidates = {candidate("int4:g16"), candidate("int8:g16@mse")},
                             .loss = -1.0 / 7,
                             .standardError = 1e-5 / 3},
                            {.layers = {1, 2},
                             .candidates = {candidate("int4:g16"), candidate("int4:g16")},
                             .loss = 0.5,
                             .standardError = 0.1}};
        const std::string coupled = printLosses(losses, model);
        const LayerLosses both = parseLosses(coupled, model).value();
        QCOMPARE(both.couplings.size(), std::size_t{2});
        QVERIFY(both.couplings[0].layers == losses.couplings[0].layers);
        QVERIFY(both.couplings[0].candidates == losses.couplings[0].candidates);
        QCOMPARE(both.couplings[0].loss, -1.0 / 7);
        QCOMPARE(both.couplings[0].standardError, 1e-5 / 3);
        QCOMPARE(printLosses(both, model), coupled);
        Plan plan = keepPlan(model);
        plan.candidates[0] = candidate("int4:g16");
        plan.candidates[1] = candidate("int4:g16");
        plan.candidates[2] = candidate("int8:g16@mse");
        QCOMPARE(plannedCoupling(both.couplings, plan), -1.0 / 7);
        LayerLosses better = both;
        better.couplings[1].loss = 0.4;
        better.couplings[1].standardError = 0.01;
        better.couplings.erase(better.couplings.begin());
        LayerLosses rounded = both;
        rounded.runtime = "llama.cpp";
        QCOMPARE(parseLosses(printLosses(rounded, model), model).value().runtime, rounded.runtime);
        const LayerLosses together = merged(both, better).value();
        QCOMPARE(together.couplings.size(), std::size_t{2});
        QCOMPARE(together.couplings[1].loss, 0.4);
        losses.couplings[0].layers[1] = 0;
        QCOMPARE(parseLosses(printLosses(losses, model), model).error().code, Errc::badInput);
        losses.couplings.clear();
        losses.cells.clear();
        losses.candidates.clear();
        QVERIFY(parseLosses(printLosses(losses, model), model));
    }

    void damagedTextIsRefusedByName()
    {
        const Model model = test::tinyModel(1, 32);
        const LayerLosses losses{.metric = "m",
                                 .activations = "",
                                 .candidates = {candidate("int4:g16")},
                                 .cells = {loss(0, "int4:g16", 0.5, 0.25, Evidence::gradients)}};
        const std::string text = printLosses(losses, model);
        const auto refusal = [&](std::string_view from, std::string_view to) {
            std::string changed = text;
            changed.replace(changed.find(from), from.size(), to);
            const auto read = parseLosses(changed, model);
            return read ? std::string() : describe(read.error());
        };
        const auto says = [&](std::string_view from, std::string_view to, const char* what) {
            const std::string found = refusal(from, to);
            QVERIFY2(found.find(what) != std::string::npos, (found + " / " + what).c_str());
        };
        says("\"loss\": 0.5", "\"loss\": -0.5", "not negative");
        says("\"loss\": 0.5", "\"loss\": 1e999", "JSON");
        says("\"loss\": 0.5", "\"loss\": null", "not negative");
        says("0.25", "\"0.25\"", "standard_error");
        says("\"evidence\"", "\"tokens\": -1, \"evidence\"", "'tokens'");
        says("\"gradients\"", "\"hearsay\"", "there are");
        says("\"layer\": \"", "\"layer\": \"x", "another model");
        says("losses\": 1", "losses\": 2", "version");
        says("quantloupe_losses", "quantloupe_plan", "no table of losses");
        says("\"fingerprint\": \"", "\"fingerprint\": \"x", "open that one");
        says("\"variant\": \"", "\"variant\": \"hadamard", "--transform hadamard");
        says("]", "", "JSON");
        const std::size_t cell = text.find("{\"layer\"");
        const std::string row = text.substr(cell, text.find('\n', cell) - cell);
        says(row, row + "," + row, "twice");
    }

    void betterEvidenceStays()
    {
        const LayerLosses cheap{.metric = "kfac",
                                .activations = "a",
                                .candidates = parseCandidates("int4:g16,int8:g16").value(),
                                .cells = {loss(0, "int4:g16", 1, 0, Evidence::gradients),
                                          loss(1, "int4:g16", 2, 0.5, Evidence::probed),
                                          loss(2, "int4:g16", 3, 0, Evidence::measured)}};
        const LayerLosses dear{
            .metric = "gradient_probe",
            .activations = "a",
            .candidates = parseCandidates("int3:g16,int8:g16").value(),
            .cells = {loss(0, "int4:g16", 10, 1, Evidence::probed), loss(1, "int4:g16", 20, 0.4, Evidence::probed),
                      loss(2, "int4:g16", 30, 0.1, Evidence::probed), loss(3, "int3:g16", 40, 0.1, Evidence::probed)}};
        const LayerLosses both = merged(cheap, dear).value();
        QCOMPARE(both.cells.size(), std::size_t{4});
        QCOMPARE(both.cells[0].loss, 10.0);
        QCOMPARE(both.cells[1].loss, 20.0);
        QCOMPARE(both.cells[2].loss, 3.0);
        QCOMPARE(both.cells[3].loss, 40.0);
        QCOMPARE(both.candidates.size(), std::size_t{3});
        LayerLosses other = dear;
        other.activations = "b";
        QCOMPARE(merged(cheap, other).error().code, Errc::refused);
        other = dear;
        other.runtime = "llama.cpp";
        QCOMPARE(merged(cheap, other).error().code, Errc::refused);
    }

    void studiesKeepATableForEachActivationsAndRuntime()
    {
        const Model model = test::tinyModel(1, 32);
        test::MemorySink sink;
        QVERIFY(keptLosses(sink, model, "a").cells.empty());
        LayerLosses losses = twoProbed();
        QVERIFY(keepLosses(sink, losses, model));
        losses.cells = {loss(1, "int4:g16", 3, 0.1, Evidence::measured), loss(2, "int4:g16", 4, 1, Evidence::probed)};
        QVERIFY(keepLosses(sink, losses, model));
        const LayerLosses kept = keptLosses(sink, model, "a");
        QCOMPARE(kept.cells.size(), std::size_t{3});
        QCOMPARE(kept.cells[0].loss, 1.0);
        QCOMPARE(kept.cells[1].loss, 3.0);
        QCOMPARE(kept.cells[2].loss, 4.0);
        QVERIFY(keptLosses(sink, model, "b").cells.empty());
        QCOMPARE(sink.pieces.size(), std::size_t{1});
        Hasher key; // as it was before there were runtimes: studies of then still tell
        key.add(keepPlan(model).variant + "\na");
        QCOMPARE(sink.pieces.begin()->first, "layer_losses/" + key.hex());
        // Those that count a runtime's rounding stand beside them, and add up among themselves.
        QVERIFY(keptLosses(sink, model, "a", "llama.cpp").cells.empty());
        LayerLosses rounded = losses;
        rounded.metric = kProbedWithRounding;
        rounded.runtime = "llama.cpp";
        rounded.cells = {loss(1, "int4:g16", 7, 1, Evidence::probed)};
        QVERIFY(keepLosses(sink, rounded, model));
        rounded.cells = {loss(2, "int4:g16", 8, 1, Evidence::probed)};
        QVERIFY(keepLosses(sink, rounded, model));
        QCOMPARE(sink.pieces.size(), std::size_t{2});
        const LayerLosses withRounding = keptLosses(sink, model, "a", "llama.cpp");
        QCOMPARE(withRounding.cells.size(), std::size_t{2});
        QCOMPARE(withRounding.cells[0].loss, 7.0);
        QCOMPARE(withRounding.cells[1].loss, 8.0);
        QCOMPARE(withRounding.runtime, std::string("llama.cpp"));
        QCOMPARE(withRounding.metric, std::string(kProbedWithRounding));
        QCOMPARE(keptLosses(sink, model, "a").cells.size(), std::size_t{3});
        QCOMPARE(keptLosses(sink, model, "a").runtime, std::string());
        sink.pieces.erase(std::ranges::find_if(
            sink.pieces, [&](const auto& piece) { return piece.first != "layer_losses/" + key.hex(); }));
        sink.pieces.begin()->second.resize(20); // damaged: as if nothing was measured
        QVERIFY(keptLosses(sink, model, "a").cells.empty());
    }

    /// What was measured less often does not name the whole.
    void studiesNameATableByMostOfIt()
    {
        const Model model = test::tinyModel(1, 32);
        test::MemorySink sink;
        LayerLosses losses = twoProbed();
        QVERIFY(keepLosses(sink, losses, model));
        LayerLosses few = losses;
        few.metric = "exact_probe";
        few.cells = {loss(1, "int4:g16", 3, 0.1, Evidence::measured)};
        QVERIFY(keepLosses(sink, few, model));
        QCOMPARE(keptLosses(sink, model, "a").metric, std::string("gradient_probe"));
        few.cells.push_back(loss(0, "int4:g16", 3, 0.1, Evidence::measured));
        QVERIFY(keepLosses(sink, few, model));
        QCOMPARE(keptLosses(sink, model, "a").metric, std::string("exact_probe"));
    }

    /// Tables that say the same have one name.
    void namesAreOfWhatTablesHold()
    {
        const Model model = test::tinyModel(1, 32);
        const LayerLosses losses = twoProbed();
        const std::string name = lossesName({}, losses, model);
        QCOMPARE(name.size(), std::size_t{16});
        QCOMPARE(lossesName({"a.json", "b.qloupe"}, losses, model), "a.json, b.qloupe " + name);
        LayerLosses same = losses;
        same.metric = "exact_probe";
        same.candidates = parseCandidates("int4:g16,int8:g16").value();
        std::swap(same.cells[0], same.cells[1]);
        QCOMPARE(lossesName({}, same, model), name);
        LayerLosses other = losses;
        other.cells[1].standardError = 0.25;
        QVERIFY(lossesName({}, other, model) != name);
        other = losses;
        other.cells.pop_back();
        QVERIFY(lossesName({}, other, model) != name);
        other = losses;
        other.activations = "b";
        QVERIFY(lossesName({}, other, model) != name);
        other = losses;
        other.couplings = {{.layers = {0, 1},
                            .candidates = {candidate("int4:g16"), candidate("int4:g16")},
                            .loss = -0.5,
                            .standardError = 0.1}};
        QVERIFY(lossesName({}, other, model) != name);
    }

    void itemsAddUpTheirLayers()
    {
        const Model model = test::tinyModel(2, 32);
        LayerLosses losses{.metric = "m", .activations = "", .candidates = {}, .cells = {}};
        const std::vector<Candidate> columns = parseCandidates("int4:g16 int8:g16 keep").value();
        for (const std::int64_t layer : model.quantizableLayers())
            for (const char* text : {"int4:g16:s=f16", "int8:g16"}) // the second as it was asked for
                losses.cells.push_back(loss(layer, text, static_cast<double>(1 + layer), 0.5,
                                            layer % 2 == 0 ? Evidence::probed : Evidence::measured));
        const CostTable table = makeCostTable(model, losses, columns, &test::kFusedTarget);
        QCOMPARE(table.items.size(), makeItems(model, &test::kFusedTarget).size());
        bool anyTied = false;
        for (std::size_t i = 0; i < table.items.size(); ++i) {
            const auto& layers = table.items[i].layers;
            anyTied = anyTied || layers.size() > 1;
            double sum = 0;
            bool anyProbed = false;
            std::int64_t bits = 0;
            for (const std::int64_t layer : layers) {
                sum += static_cast<double>(1 + layer);
                anyProbed = anyProbed || layer % 2 == 0;
                bits += layerPayloadBits(model.layers[static_cast<std::size_t>(layer)], candidate("int8:g16:s=f16"));
            }
            QCOMPARE(table.at(i, 1).loss, sum);
            QCOMPARE(table.at(i, 1).payloadBits, bits);
            QCOMPARE(table.at(i, 1).standardError, 0.5 * std::sqrt(static_cast<double>(layers.size())));
            QCOMPARE(table.at(i, 1).evidence, anyProbed ? Evidence::probed : Evidence::measured);
            QCOMPARE(table.at(i, 2).loss, 0.0);
            const bool isEmbedding =
                model.layers[static_cast<std::size_t>(layers.front())].op == Operator::embedding; // refused at 4 bits
            QCOMPARE(table.at(i, 0).allowed, !isEmbedding);
            QCOMPARE(std::isnan(table.at(i, 0).loss), isEmbedding);
            QCOMPARE(printCandidate(table.candidateOf(i, 1)), std::string("int8:g16:s=f16"));
        }
        QVERIFY(anyTied);
        losses.cells.erase(losses.cells.begin()); // the embedding at 4 bits, refused anyway
        losses.cells.erase(losses.cells.begin());
        const CostTable lacking = makeCostTable(model, losses, columns, nullptr);
        QVERIFY(lacking.at(0, 1).allowed);
        QVERIFY(std::isnan(lacking.at(0, 1).loss));
        QCOMPARE(lacking.at(0, 1).evidence, Evidence::unmeasured);
    }
};

QTEST_APPLESS_MAIN(LayerLossesTest)
#include "layer_losses_test.moc"
