// SPDX-License-Identifier: GPL-3.0-or-later
// Encoders and classifiers beside a version of themselves, against the definitions written out.
#include "core/model/evaluation/cases.h"
#include "core/model/evaluation/outputs.h"
#include "core/model/evaluation/text_cases.h"
#include "core/model/evaluation/windows.h"
#include "core/model/frontends/frontend.h"
#include "core/realize/plan_weights.h"
#include "tests/support/damaged_weights.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/refer_to.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

#include <cmath>

using namespace ql;

namespace {

struct Opened {
    std::shared_ptr<const Model> model;
    graph::Graph graph;
    Plan plan;
    graph::CheckpointWeights own;
    PlanWeights planned;
    ModelVersion other;

    Opened(const char* name, const char* candidate, const JobContext& context)
        : model(openModel(std::filesystem::path(QL_TEST_DATA "/frontends") / name, context).value()),
          graph(buildGraph(*model).value()),
          plan(uniformPlan(*model, parseCandidate(candidate).value())),
          own(*model),
          planned(*model, plan, nullptr, nullptr),
          other{.weights = test::referTo(planned)}
    {}
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;

    graph::ValueId input(std::string_view name) const
    {
        return *std::ranges::find_if(
            graph.inputs, [&](graph::ValueId id) { return graph.values[static_cast<std::size_t>(id)].name == name; });
    }
    graph::Array<float> output(const graph::WeightSource& weights, graph::Values<float> values, std::string_view name,
                               const JobContext& context) const
    {
        if (!graph::forwardAll(graph, weights, values, context))
            return {};
        for (const graph::ValueId id : graph.outputs)
            if (graph.values[static_cast<std::size_t>(id)].name == name)
                return values.at(id).real;
        return {};
    }
};

graph::Array<std::int64_t> integers(Shape shape, const std::function<std::int64_t(std::int64_t)>& value)
{
    graph::Array<std::int64_t> array(std::move(shape));
    for (std::int64_t i = 0; i < array.numel(); ++i)
        array.write()[i] = value(i);
    return array;
}

double cosine(const float* a, const float* b, std::int64_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        ab += static_cast<double>(a[i]) * static_cast<double>(b[i]);
        aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
        bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    }
    return ab / std::sqrt(aa * bb);
}

const OutputScore& find(const OutputsScore& score, std::string_view name)
{
    return *std::ranges::find(score.outputs, name, &OutputScore::name);
}

} // namespace

class OutputsTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void embeddingsOfAnEncoder()
    {
        const Opened bert("bert", "int4:channel", m_context);
        const auto batch = [&](std::int64_t index) {
            OutputBatch made;
            made.inputs[bert.input("tokens")].integers =
                integers({2, 6}, [&](std::int64_t i) { return 3 + (i * 7 + index * 5) % 30; });
            made.inputs[bert.input("attention_mask")].integers =
                integers({2, 6}, [](std::int64_t i) { return i < 10 ? 1 : 0; });
            return Result<OutputBatch>(made);
        };
        const OutputsTask task{.graph = bert.graph,
                               .batches = 3,
                               .batch = batch,
                               .model = {.weights = test::referTo(bert.own)},
                               .other = &bert.other};
        const OutputsScore score = evaluateOutputs(task, m_context).value();
        QCOMPARE(score.model.count, 0);
        double cosines = 0, least = 1, squares = 0, errors = 0;
        for (std::int64_t i = 0; i < 3; ++i) {
            const auto inputs = batch(i).value().inputs;
            const auto x = bert.output(bert.own, inputs, "hidden", m_context);
            const auto y = bert.output(bert.planned, inputs, "hidden", m_context);
            for (std::int64_t c = 0; c < x.numel(); ++c) {
                squares += std::pow(static_cast<double>(x.data()[c]), 2);
                errors += std::pow(static_cast<double>(x.data()[c]) - static_cast<double>(y.data()[c]), 2);
            }
            for (std::int64_t b = 0; b < 2; ++b) {
                const std::int64_t tokens = b == 0 ? 6 : 4; // the second has padding
                std::vector<float> means[2];
                for (const auto* from : {&x, &y}) {
                    auto& mean = means[from == &y];
                    mean.assign(static_cast<std::size_t>(x.width()), 0);
                    for (std::int64_t t = 0; t < tokens; ++t)
                        for (std::int64_t c = 0; c < x.width(); ++c)
                            mean[static_cast<std::size_t>(c)] += from->data()[(b * 6 + t) * x.width() + c];
                }
                const double value = cosine(means[0].data(), means[1].data(), x.width());
                cosines += value / 6;
                least = std::min(least, value);
            }
        }
        const OutputScore& embedding = find(score, "embedding");
        QCOMPARE(embedding.rows, 6);
        QVERIFY(std::fabs(embedding.cosine.value - cosines) < 1e-6 && cosines < 0.9999);
        QVERIFY(std::fabs(embedding.leastCosine - least) < 1e-6);
        QVERIFY(embedding.cosine.error > 0 && embedding.cosine.error < 1 - least);
        QVERIFY(std::fabs(find(score, "hidden").sqnrDb - 10 * std::log10(squares / errors)) < 1e-4);
        QCOMPARE(find(score, "pooled").rows, 6);
    }

    void classesOfImages()
    {
        const Opened vit("vit", "int3:channel", m_context);
        graph::Array<float> pixels({4, 3, 12, 18});
        for (std::int64_t i = 0; i < pixels.numel(); ++i)
            pixels.write()[i] = static_cast<float>(std::sin(0.7 * static_cast<double>(i % 997)));
        OutputBatch batch;
        batch.inputs[vit.graph.inputs.front()].real = pixels;
        const auto own = vit.output(vit.own, batch.inputs, "logits", m_context);
        const auto other = vit.output(vit.planned, batch.inputs, "logits", m_context);
        const std::int64_t classes = own.width();
        const auto best = [&](const graph::Array<float>& logits, std::int64_t row) {
            const float* begin = logits.data() + row * classes;
            return std::max_element(begin, begin + classes) - begin;
        };
        batch.answers = {best(own, 0), best(own, 1), (best(own, 2) + 1) % classes, -1};
        double same = 0, top1 = 0;
        for (std::int64_t row = 0; row < 4; ++row) {
            same += best(own, row) == best(other, row) ? 0.25 : 0;
            top1 += row < 3 && best(other, row) == batch.answers[static_cast<std::size_t>(row)] ? 1 : 0;
        }
        OutputsTask task{.graph = vit.graph,
                         .batches = 1,
                         .batch = [&](std::int64_t) { return Result<OutputBatch>(batch); },
                         .model = {.weights = test::referTo(vit.own)},
                         .other = &vit.other};
        const OutputsScore score = evaluateOutputs(task, m_context).value();
        QCOMPARE(score.model.count, 3);
        QCOMPARE(score.model.top1.value, 2.0 / 3);
        QCOMPARE(score.model.top5.value, 1.0); // of five classes
        QCOMPARE(score.other.top1.value, top1 / 3);
        QCOMPARE(score.sameTop.value, same);
        double loss = 0;
        for (std::int64_t row = 0; row < 3; ++row) {
            double sum = 0;
            for (std::int64_t c = 0; c < classes; ++c)
                sum += std::exp(static_cast<double>(own.data()[row * classes + c]));
            const auto answer = batch.answers[static_cast<std::size_t>(row)];
            loss += (std::log(sum) - static_cast<double>(own.data()[row * classes + answer])) / 3;
        }
        QVERIFY(std::fabs(score.model.loss.value - loss) < 1e-5);
        // √(p(1 − p)/(n − 1)) of two of three; no error where all are found.
        QVERIFY(std::fabs(score.model.top1.error - std::sqrt(2.0 / 9 / 2)) < 1e-12);
        QCOMPARE(score.model.top5.error, 0.0);
        QVERIFY(score.model.loss.error > 0);

        task.other = nullptr;
        QVERIFY(evaluateOutputs(task, m_context).value().outputs.empty());
        batch.answers = {0, 0, 0, classes};
        QVERIFY(!evaluateOutputs(task, m_context));
        batch.answers = {0};
        QVERIFY(!evaluateOutputs(task, m_context));
        for (const std::vector<std::int64_t>& none : {std::vector<std::int64_t>(), {-1, -1, -1, -1}}) {
            batch.answers = none;
            const auto refusal = evaluateOutputs(task, m_context);
            QVERIFY(!refusal);
            QVERIFY(refusal.error().what.starts_with("there is nothing to compare with"));
        }
    }

    void outputsThatAreNotFiniteAreRefused()
    {
        const Opened bert("bert", "keep", m_context);
        const test::DamagedWeights damaged(*bert.model, bert.model->quantizableLayers().back());
        const ModelVersion other{.weights = test::referTo(damaged)};
        const auto refusal = evaluateOutputs({.graph = bert.graph,
                                              .batches = 1,
                                              .batch =
                                                  [&](std::int64_t) {
                                                      OutputBatch made;
                                                      made.inputs[bert.input("tokens")].integers =
                                                          integers({1, 8}, [](std::int64_t i) { return 3 + i; });
                                                      return Result<OutputBatch>(made);
                                                  },
                                              .model = {.weights = test::referTo(bert.own)},
                                              .other = &other},
                                             m_context);
        QVERIFY(!refusal);
        QVERIFY2(refusal.error().what.find("are not finite") != std::string::npos, refusal.error().what.c_str());
    }

    /// Exporters of transformers give these three names.
    void windowsOfExportedEncoders()
    {
        test::TemporaryFolder folder;
        const auto opened = [&](const std::string& parts, const test::Texts& inputs) {
            folder.write("m.onnx", test::onnxModel(test::onnxGraph(parts, inputs, {"y"})));
            return openModel(folder.path() / "m.onnx", m_context).value();
        };
        const test::Texts names{"input_ids", "attention_mask", "token_type_ids", "token_types", "position_ids"};
        const auto model = opened(test::onnxNode("Concat", names, {"y"}, test::onnxInt("axis", 0)), names);
        const auto graph = buildGraph(*model).value();
        const auto cases = windowCases(graph, {3, {5, 6, 7, 8, 9, 10}}).value();
        graph::Values<float> values = cases.batch(0, 2, m_context).value().inputs;
        QVERIFY(graph::forwardAll(graph, graph::CheckpointWeights(*model), values, m_context));
        const auto& y = values.at(graph.outputs.front()).integers;
        const std::vector<std::int64_t> expected{5, 6, 7, 8, 9, 10, 1, 1, 1, 1, 1, 1, 0, 0, 0,
                                                 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 1, 2, 0, 1, 2};
        QCOMPARE(std::vector(y.data(), y.data() + y.numel()), expected);
        const auto constant = opened(test::onnxNode("Relu", {"x"}, {"y"}) + test::onnxTensor("x", {1}, {1}), {});
        QVERIFY(!windowCases(buildGraph(*constant).value(), {3, {5, 6, 7}}));
    }

    void integersAreNoDistanceApart()
    {
        const auto scores = [&](const std::string& nodes, const test::Texts& outputs) {
            const test::TemporaryFolder folder;
            const auto file = folder.write("model.onnx", test::onnxModel(test::onnxGraph(nodes, {"x"}, outputs)));
            const auto model = openModel(file, m_context).value();
            const graph::Graph graph = buildGraph(*model).value();
            const graph::CheckpointWeights own(*model);
            const ModelVersion other{.weights = test::referTo(own)};
            return evaluateOutputs(
                {.graph = graph,
                 .batches = 1,
                 .batch =
                     [&](std::int64_t) {
                         OutputBatch made;
                         made.inputs[graph.inputs.front()].real = graph::Array<float>::filled({2, 3}, 1.5F);
                         return Result<OutputBatch>(made);
                     },
                 .model = {.weights = test::referTo(own)},
                 .other = &other},
                m_context);
        };
        const std::string cast = test::onnxNode("Cast", {"x"}, {"n"}, test::onnxInt("to", 7));
        const auto both = scores(cast + test::onnxNode("Relu", {"x"}, {"y"}), {"n", "y"});
        QVERIFY(both);
        QCOMPARE(both->outputs.size(), std::size_t{1});
        QCOMPARE(both->outputs.front().name, std::string("y"));
        const auto none = scores(cast, {"n"});
        QVERIFY(!none);
        QVERIFY(none.error().code == Errc::refused);
    }

    void theModelItself()
    {
        const Opened bert("bert_mlm", "keep", m_context);
        const auto batch = [&](std::int64_t) {
            OutputBatch made;
            made.inputs[bert.input("tokens")].integers = integers({1, 8}, [](std::int64_t i) { return 3 + i; });
            return Result<OutputBatch>(made);
        };
        const OutputsScore score = evaluateOutputs({.graph = bert.graph,
                                                    .batches = 2,
                                                    .batch = batch,
                                                    .model = {.weights = test::referTo(bert.own)},
                                                    .other = &bert.other},
                                                   m_context)
                                       .value();
        QCOMPARE(score.sameTop.value, 1.0);
        QVERIFY(std::isinf(find(score, "logits").sqnrDb));
        QVERIFY(find(score, "logits").leastCosine > 1 - 1e-12);
    }

    void casesOneAfterTheOther()
    {
        const Opened bert("bert_mlm", "int4:channel", m_context);
        Windows windows{6, {}};
        for (std::int64_t i = 0; i < 30; ++i)
            windows.ids.push_back(5 + i);
        const Cases all = windowCases(bert.graph, windows).value();
        const Cases three = firstOf(all, 3);
        QCOMPARE(three.count, 3);
        QVERIFY(three.fingerprint != all.fingerprint);
        for (const std::int64_t limit : {0, 5, 6})
            QCOMPARE(firstOf(all, limit).fingerprint, all.fingerprint);
        std::vector<std::int64_t> steps;
        std::vector<OutputsScore> scores;
        const OutputsScore score = evaluateCases({.graph = bert.graph,
                                                  .cases = three,
                                                  .model = {.weights = test::referTo(bert.own)},
                                                  .other = &bert.other,
                                                  .onScore =
                                                      [&](const OutputsScore& known, std::int64_t cases) {
                                                          steps.push_back(cases);
                                                          scores.push_back(known);
                                                      }},
                                                 m_context)
                                       .value();
        QCOMPARE(steps, (std::vector<std::int64_t>{1, 2, 3})); // windows go one by one
        QCOMPARE(find(scores.front(), "logits").rows, 6);
        QCOMPARE(find(scores.back(), "logits").sqnrDb, find(score, "logits").sqnrDb);
        QVERIFY(find(scores.front(), "logits").sqnrDb != find(score, "logits").sqnrDb);
    }

    void encodersReadWindowsInFrames()
    {
        const std::filesystem::path source(QL_TEST_DATA "/frontends/bert_mlm");
        const test::TemporaryFolder folder;
        for (const char* name : {"config.json", "model.safetensors"})
            std::filesystem::copy_file(source / name, folder.path() / name);
        const std::filesystem::path ids = folder.write("ids.txt", "5 6 7 8 9 10 11");
        const auto bare = openModel(folder.path(), m_context).value();
        const TextTokens alone = readTokens(*bare, {{}, ids}, m_context, TextReader::encoder).value();
        QVERIFY(!alone.mask); // ids need no tokenizer
        QCOMPARE(alone.windows(3, 0).value().ids, (std::vector<std::int64_t>{5, 6, 7, 8, 9, 10}));

        folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\ne\n");
        const std::filesystem::path text = folder.write("text.txt", "a b c d e a b");
        const auto model = openModel(folder.path(), m_context).value();
        const TextTokens read = readTokens(*model, {text, {}}, m_context, TextReader::encoder).value();
        QVERIFY(read.mask && read.mask->id == 4);
        QCOMPARE(read.mask->kept, (std::vector<std::int64_t>{2, 3}));
        QCOMPARE(read.windowCount(5, 0), 2);
        QCOMPARE(read.windows(5, 0).value().ids, (std::vector<std::int64_t>{2, 5, 6, 7, 3, 2, 8, 9, 5, 3}));
        QCOMPARE(read.windowCount(5, 1), 1);
        for (const std::int64_t length : {3, 10}) { // nothing inside; more than there is
            QCOMPARE(read.windowCount(length, 0), 0);
            const auto none = read.windows(length, 0);
            QVERIFY(!none);
            QCOMPARE(none.error().where, text.string());
        }
        const graph::Graph graph = buildGraph(*model).value();
        const Cases cases = encoderCases(graph, read, 5, 0).value();
        const OutputBatch batch = cases.batch(0, 2, m_context).value();
        QCOMPARE(std::ranges::count_if(batch.answers, [](std::int64_t answer) { return answer >= 0; }), 2);
        QCOMPARE(readTokens(*model, {{}, ids}, m_context, TextReader::encoder).value().mask->id, 4);
    }

    void maskedTokens()
    {
        Windows windows{10, {}};
        for (std::int64_t i = 0; i < 40; ++i)
            windows.ids.push_back(i % 10 == 0 ? 101 : i % 10 == 9 ? 102 : 200 + i);
        const std::vector<std::int64_t> kept{101, 102};
        const MaskedWindows masked = maskTokens(windows, 103, kept, 0.3, 5);
        for (std::size_t i = 0; i < 40; ++i) {
            const bool hidden = masked.windows.ids[i] == 103;
            QCOMPARE(masked.answers[i], hidden ? windows.ids[i] : -1);
            QVERIFY(hidden || masked.windows.ids[i] == windows.ids[i]);
        }
        std::vector<std::int64_t> places[4];
        for (std::int64_t i = 0; i < 40; ++i)
            if (masked.answers[static_cast<std::size_t>(i)] >= 0)
                places[i / 10].push_back(i % 10);
        for (const auto& window : places)
            QCOMPARE(window.size(), std::size_t{3});
        QVERIFY(places[0] != places[1] || places[1] != places[2]);
        QCOMPARE(maskTokens(windows, 103, kept, 0.3, 5).answers, masked.answers);
        QVERIFY(maskTokens(windows, 103, kept, 0.3, 6).answers != masked.answers);
        QCOMPARE(std::ranges::count(maskTokens(windows, 103, kept, 1, 5).windows.ids, 103), 4 * 8);
    }
};

QTEST_APPLESS_MAIN(OutputsTest)
#include "outputs_test.moc"
