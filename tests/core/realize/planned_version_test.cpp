// SPDX-License-Identifier: GPL-3.0-or-later
// Models run with activation schemes and with rounded keys and values.
#include "core/calibration/calibrated_activations.h"
#include "core/model/evaluation/evaluate.h"
#include "core/model/evaluation/generate.h"
#include "core/model/frontends/frontend.h"
#include "core/model/graph/vector_math.h"
#include "core/realize/activation_rounder.h"
#include "core/realize/planned_version.h"
#include "tests/support/memory_sink.h"

#include <QTest>

#include <cmath>

using namespace ql;

class PlannedVersionTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;
    graph::Graph m_graph;
    std::shared_ptr<const graph::CheckpointWeights> m_weights;
    Windows m_windows{16, {}};

    Plan plan(const char* candidate, const char* glob = "*layers*_proj*") const
    {
        Plan plan = keepPlan(*m_model);
        const auto layers = m_model->match(glob).value();
        for (const std::int64_t layer : layers)
            if (m_model->layers[static_cast<std::size_t>(layer)].quantizable)
                plan.candidates[static_cast<std::size_t>(layer)] = parseCandidate(candidate).value();
        return plan;
    }
    Result<ModelVersion> version(const Plan* plan, const Activations* activations = nullptr,
                                 const char* keysValues = nullptr, bool keepFirstToken = false)
    {
        VersionSettings settings{.plan = plan, .activations = activations, .keepFirstToken = keepFirstToken};
        if (keysValues)
            settings.keysValues = parseActivationScheme(keysValues).value();
        return plannedVersion(*m_model, settings, m_context);
    }
    ComparisonScore score(const ModelVersion& other, Scored scored = Scored::secondHalf)
    {
        const EvaluationTask task{.graph = m_graph,
                                  .windows = m_windows,
                                  .scored = scored,
                                  .model = {.weights = m_weights},
                                  .other = &other,
                                  .onScores = {},
                                  .known = {}};
        return comparisonOf(evaluate(task, m_context).value(), m_windows.count());
    }

private Q_SLOTS:
    void initTestCase()
    {
        m_model = openModel(std::filesystem::path(QL_TEST_DATA "/frontends/mistral"), m_context).value();
        m_graph = buildGraph(*m_model).value();
        m_weights = std::make_shared<graph::CheckpointWeights>(*m_model);
        for (std::int64_t i = 0; i < 8 * 16; ++i)
            m_windows.ids.push_back(i * i % 31 + i % 5);
    }

    /// What the model computes and what layers become is the same whether it is made anew or held from another plan.
    void plansShareStatesAndCodes()
    {
        const auto scores = [&](const Plan& plan, ReferenceStates* reference, std::shared_ptr<CodeCache> codes) {
            VersionSettings settings{.plan = &plan};
            settings.codes = std::move(codes);
            const ModelVersion other = plannedVersion(*m_model, settings, m_context).value();
            EvaluationTask task{.graph = m_graph,
                                .windows = m_windows,
                                .scored = Scored::all,
                                .model = {.weights = m_weights},
                                .other = &other,
                                .onScores = {},
                                .known = {}};
            task.reference = reference;
            std::vector<double> klds;
            const std::vector<TokenScore> tokens = evaluate(task, m_context).value();
            for (const TokenScore& score : tokens)
                klds.insert(klds.end(), {score.nll, score.kld});
            return klds;
        };
        ReferenceStates reference;
        const auto codes = std::make_shared<CodeCache>(std::int64_t{1} << 30);
        const Plan first = plan("int3:g16");
        Plan second = first;
        const auto layer = static_cast<std::size_t>(m_model->match("*layers*_proj*").value().front());
        second.candidates[layer] = parseCandidate("int5:g16").value();
        const std::vector<double> wanted = scores(first, nullptr, nullptr);
        QVERIFY(scores(first, &reference, codes) == wanted);
        QCOMPARE(reference.groups.size(), std::size_t{1});
        const std::int64_t held = codes->heldBytes();
        QVERIFY(held > 0);
        const auto shared = codes->find(static_cast<std::int64_t>(layer), first.candidates[layer]);
        QVERIFY(shared);
        QVERIFY(scores(second, &reference, codes) == scores(second, nullptr, nullptr));
        QVERIFY(codes->heldBytes() > held); // one layer more
        QVERIFY(scores(first, &reference, codes) == wanted);
        QCOMPARE(codes->find(static_cast<std::int64_t>(layer), first.candidates[layer]), shared);
        CodeCache none(0);
        none.keep(0, first.candidates[layer], shared);
        QVERIFY(!none.find(0, first.candidates[layer]));
    }

    void nothingAsked()
    {
        const Plan keep = keepPlan(*m_model);
        const auto same = version(&keep).value();
        QVERIFY(!same.layerInput && !same.laterInput && !same.keysValues);
        QCOMPARE(score(same).kld.value, 0.0);
    }

    void fewerBitsAreFurtherAway()
    {
        double before = 0;
        for (const char* candidate : {"keep+a:int8", "keep+a:int6", "keep+a:int4"}) {
            const Plan rounded = plan(candidate);
            const double kld = score(version(&rounded).value()).kld.value;
            QVERIFY2(kld > 2 * before, candidate);
            before = kld;
        }
        before = 0;
        for (const char* scheme : {"int8", "int6", "int4"}) {
            const double kld = score(version(nullptr, nullptr, scheme).value()).kld.value;
            QVERIFY2(kld > 2 * before, scheme);
            before = kld;
        }
    }

    /// The layer with a scheme sees rounded inputs, its neighbours that read the same value do not.
    void onlyTheLayersOfThePlan()
    {
        const Plan rounded = plan("keep+a:int4", "*layers.1.*q_proj*");
        const auto made = version(&rounded).value();
        const std::int64_t q = m_model->indexOf("model.layers.1.self_attn.q_proj.weight");
        graph::Values<float> values;
        values[m_graph.inputs.front()].integers = graph::Array<std::int64_t>({1, 6});
        std::copy_n(m_windows.ids.begin(), 6, values[m_graph.inputs.front()].integers.write());
        int compared = 0;
        graph::ForwardOptions<float> options;
        options.layerInput = [&](const graph::Node& node, std::int64_t layer, graph::Array<float>& x) -> Result<void> {
            const graph::Array<float> before = x;
            QL_CHECK(made.layerInput(node, layer, x));
            const bool same = std::equal(x.data(), x.data() + x.numel(), before.data());
            compared += same == (layer != q) ? 1 : -100;
            return {};
        };
        QVERIFY(graph::forwardAll(m_graph, *m_weights, values, m_context, options));
        QVERIFY(compared > 10);
    }

    void staticScalesNeedRanges()
    {
        const Plan rounded = plan("int8+a:int8:tensor:static");
        const auto without = version(&rounded);
        QVERIFY(!without);
        QVERIFY(without.error().code == Errc::refused);
        QVERIFY2(without.error().where.find("layers.0") != std::string::npos, without.error().where.c_str());
        const auto sink = std::make_shared<test::MemorySink>();
        const Cases cases = windowCases(m_graph, m_windows).value();
        const CalibrationTask task{*m_model, m_graph, *m_weights, cases, {}, *sink, {}};
        QVERIFY(calibrate(task, m_context));
        const auto activations = calibratedActivations(sink, findCalibration(*sink, *m_model), "here");
        const auto made = version(&rounded, activations.get());
        QVERIFY2(made.has_value(), made ? "" : describe(made.error()).c_str());
        const double fixed = score(*made).kld.value;
        const Plan coarse = plan("int8+a:int3:tensor:static");
        QVERIFY(fixed > 0 && fixed < score(version(&coarse, activations.get()).value()).kld.value);
    }

    /// A token that is far larger than the others takes the range of a tensor's scale; kept, it takes none.
    void theFirstTokenMayBeKept()
    {
        const Plan rounded = plan("keep+a:int4:tensor");
        const auto plain = version(&rounded).value();
        const auto kept = version(&rounded, nullptr, nullptr, true).value();
        graph::Array<float> x({2, 3, 20});
        std::fill_n(x.write(), x.numel(), 1.0F);
        x.write()[0] = x.write()[3 * 20] = 1000.0F;
        const std::int64_t layer = m_model->indexOf("model.layers.0.self_attn.q_proj.weight");
        const auto through = [&](const graph::LayerInputHook<float>& hook) {
            graph::Array<float> y = x;
            if (!hook(m_graph.nodes.front(), layer, y))
                return graph::Array<float>();
            return y;
        };
        QCOMPARE(through(plain.layerInput).data()[30], 0.0F);
        QCOMPARE(through(kept.layerInput).data()[30], 1.0F);
        QCOMPARE(through(kept.layerInput).data()[0], 1000.0F);
        QCOMPARE(through(kept.laterInput).data()[30], 0.0F); // rows that are no beginning of a text
    }

    /// Token by token, with what was kept rounded, is as in one pass.
    void generatesAsItScores()
    {
        const Plan rounded = plan("int6+a:int6");
        for (const char* scheme : {"gguf:q8_0", "int4", "int4:g6"}) {
            const auto made = version(&rounded, nullptr, scheme).value();
            const std::vector<std::int64_t> prompt(m_windows.ids.begin(), m_windows.ids.begin() + 5);
            const GenerationTask task{.model = *m_model,
                                      .graph = m_graph,
                                      .version = made,
                                      .prompt = prompt,
                                      .tokens = 8,
                                      .sampling = {},
                                      .endIds = {},
                                      .tokenizer = nullptr,
                                      .onToken = {}};
            const auto generation = generate(task, m_context).value();
            graph::Values<float> values;
            graph::Array<std::int64_t> tokens({1, 13});
            auto* to = std::ranges::copy(prompt, tokens.write()).out;
            for (const GeneratedToken& token : generation.tokens)
                *to++ = token.id;
            values[m_graph.inputs.front()].integers = tokens;
            QVERIFY(graph::forwardAll(m_graph, *made.weights, values, m_context, made.options(true)));
            const graph::Array<float>& logits = values.at(m_graph.outputs.front()).real;
            for (std::int64_t i = 0; i < 8; ++i) {
                const float* row = logits.data() + (4 + i) * logits.width();
                const GeneratedToken& token = generation.tokens[static_cast<std::size_t>(i)];
                const double wanted = static_cast<double>(row[token.id]) - graph::logSumExp(row, logits.width());
                QVERIFY2(std::fabs(token.logProbability - wanted) < 1e-3,
                         qPrintable(QString::number(token.logProbability - wanted)));
            }
        }
    }

    void refusals()
    {
        for (const char* scheme : {"int8:channel", "int8:tensor", "int8:tensor:static", "int8:channel:static"}) {
            const auto made = version(nullptr, nullptr, scheme);
            QVERIFY2(!made && made.error().code == Errc::refused, scheme);
        }
        QVERIFY(version(nullptr, nullptr, "f16"));
        const Plan rounded = plan("keep+a:int8");
        const auto both =
            plannedVersion(*m_model, {.plan = &rounded, .runtime = findRuntime("llama.cpp").value()}, m_context);
        QVERIFY(!both);
        QVERIFY2(both.error().what.find("llama.cpp") != std::string::npos, both.error().what.c_str());
    }
    void convolutions()
    {
        const auto vit = openModel(std::filesystem::path(QL_TEST_DATA "/frontends/vit"), m_context).value();
        Plan rounded = keepPlan(*vit);
        for (std::size_t i = 0; i < vit->layers.size(); ++i)
            if (vit->layers[i].op == Operator::convolution)
                rounded.candidates[i] = parseCandidate("int8+a:int8").value();
        const auto made = plannedVersion(*vit, {.plan = &rounded}, m_context);
        QVERIFY(!made);
        QVERIFY2(made.error().what.find("convolution") != std::string::npos, made.error().what.c_str());
    }
};

QTEST_APPLESS_MAIN(PlannedVersionTest)
#include "planned_version_test.moc"
