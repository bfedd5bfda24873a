// SPDX-License-Identifier: GPL-3.0-or-later
// Every transform on every tiny model of tests/data/frontends: what the unquantized model computes stays, and what is
// derived of the inputs of its layers is what a run of the variant sees. Models without a place for a transform refuse
// it, and which do is written down here. And the order of a sorted residual stream.
#include "core/checkpoint/reader.h"
#include "core/checkpoint/stored_type.h"
#include "core/model/frontends/frontend.h"
#include "core/transforms/variant.h"
#include "tests/support/acceptance.h"
#include "tests/support/captured_inputs.h"

#include <cmath>
#include <numeric>
#include <set>

using namespace ql;
using namespace ql::tests;

namespace {

using Inputs = std::map<std::string, std::pair<graph::Array<double>, graph::Array<std::int64_t>>>;

/// The first case of golden.npz.
Inputs inputsOf(const std::filesystem::path& golden, const JobContext& context)
{
    Inputs inputs;
    const auto file = openCheckpoint(golden, context);
    if (!file)
        return inputs;
    for (const char* name : {"tokens", "attention_mask", "token_types", "pixels"}) {
        const std::int64_t tensor = (*file)->indexOf(std::string(name) + ".0");
        if (tensor < 0)
            continue;
        const auto data = (*file)->load(tensor, context);
        auto& [real, integers] = inputs[name];
        if (info(data->view.dtype).isInteger) {
            integers = graph::Array<std::int64_t>(data->view.shape);
            decodeIntegers(data->view.dtype, data->view.data, 0, data->view.numel(), integers.write());
        } else {
            real = graph::Array<double>(data->view.shape);
            decode(data->view.dtype, data->view.data, 0, data->view.numel(), real.write());
        }
    }
    return inputs;
}

template<typename T>
graph::Values<T> valuesFor(const graph::Graph& graph, const Inputs& inputs)
{
    graph::Values<T> values;
    for (const graph::ValueId id : graph.inputs) {
        const auto found = inputs.find(graph.values[static_cast<std::size_t>(id)].name);
        if (found == inputs.end())
            continue;
        values[id].integers = found->second.second;
        if (const auto& real = found->second.first) {
            values[id].real = graph::Array<T>(real.shape());
            std::transform(real.data(), real.data() + real.numel(), values[id].real.write(),
                           [](double x) { return static_cast<T>(x); });
        }
    }
    return values;
}

/// √(Σ(x − y)² / Σx²) over all outputs.
template<typename T>
double difference(const graph::Graph& a, const graph::Values<T>& x, const graph::Graph& b, const graph::Values<T>& y)
{
    double error = 0;
    double whole = 0;
    for (std::size_t i = 0; i < a.outputs.size(); ++i) {
        const graph::Array<T>& p = x.at(a.outputs[i]).real;
        const graph::Array<T>& q = y.at(b.outputs[i]).real;
        if (p.shape() != q.shape())
            return INFINITY;
        for (std::int64_t k = 0; k < p.numel(); ++k) {
            error += std::pow(static_cast<double>(p.data()[k]) - static_cast<double>(q.data()[k]), 2);
            whole += std::pow(static_cast<double>(p.data()[k]), 2);
        }
    }
    return std::sqrt(error / whole);
}

double worst(const std::vector<double>& a, const std::vector<double>& b)
{
    if (a.size() != b.size())
        return INFINITY;
    double largest = 1e-30;
    double error = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        largest = std::max(largest, std::fabs(b[i]));
        error = std::max(error, std::fabs(a[i] - b[i]));
    }
    return error / largest;
}

} // namespace

class EveryTransformTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor;
    JobContext m_context{m_executor};
    std::map<std::string, std::set<std::string>> m_refusals; // models by transform
    std::map<std::string, int> m_done;
    std::map<std::string, double> m_worst, m_worstSingle; // difference of outputs, in double and in float

    static std::string textOf(const Transform& transform)
    {
        // Tiny models are 16 to 48 channels wide.
        return transform.needs == TransformNeeds::gram ? std::string(transform.id) + ":scheme=int4:g8"
                                                       : std::string(transform.id);
    }

    template<typename T>
    void run(const Model& model, const Inputs& inputs, graph::Graph& graph, graph::Values<T>& values,
             test::CapturedInputs* captured = nullptr)
    {
        graph = buildGraph(model).value();
        values = valuesFor<T>(graph, inputs);
        const graph::CheckpointWeights weights(model);
        test::CapturedInputs unused;
        test::CapturedInputs& into = captured ? *captured : unused;
        const auto done = into.run<T>(graph, weights, values, m_context);
        QVERIFY2(done.has_value(), done ? "" : describe(done.error()).c_str());
        into.finish();
    }

    void compareStatistics(const Variant& variant, const test::CapturedInputs& seen)
    {
        QVERIFY(variant.activations);
        for (const std::int64_t layer : seen.layers()) {
            const auto derived = variant.activations->statistics(layer, m_context);
            QVERIFY(derived.has_value());
            const auto real = seen.statistics(layer, m_context).value();
            const std::string& name = variant.model->layers[static_cast<std::size_t>(layer)].name;
            if (!*derived)
                continue;
            if (!(*derived)->gram.empty())
                QVERIFY2(worst((*derived)->gram, real->gram) < 1e-9, name.c_str());
            const std::vector<float>& loss = (*derived)->lossGram;
            QCOMPARE(loss.empty(), (*derived)->gram.empty());
            if (!loss.empty())
                QVERIFY2(worst({loss.begin(), loss.end()}, real->gram) < 1e-5, name.c_str());
            if (!(*derived)->channelRms.empty())
                QVERIFY2(worst((*derived)->channelRms, real->channelRms) < 1e-9, name.c_str());
            if (!(*derived)->channelMin.empty()) {
                QVERIFY2(worst((*derived)->channelMin, real->channelMin) < 1e-9, name.c_str());
                QVERIFY2(worst((*derived)->channelMax, real->channelMax) < 1e-9, name.c_str());
            }
        }
    }

    std::vector<double> weightsOf(const Model& model, std::int64_t layer)
    {
        const auto data = model.loadWeights(layer, m_context).value();
        std::vector<double> weights(static_cast<std::size_t>(data.view.numel()));
        decode(data.view.dtype, data.view.data, 0, data.view.numel(), weights.data());
        return weights;
    }

    /// Mean over norms' outputs of rms_c / rms, from the layers that alone read each.
    std::vector<double> scores(const Model& model, const Activations& activations)
    {
        std::vector<double> sum;
        int sites = 0;
        for (std::size_t i = 0; i < model.layers.size(); ++i) {
            const std::string& role = model.layers[i].role;
            const bool isFirst = role == "q_proj" || role == "qkv_proj" || role == "up_proj" || role == "output" ||
                                 (role == "embedding" && model.tiedEmbedding);
            if (!isFirst)
                continue;
            const auto x = activations.statistics(static_cast<std::int64_t>(i), m_context).value();
            if (!x)
                continue; // a head that is stored and not used
            const auto n = static_cast<std::size_t>(x->in);
            double all = 0;
            for (std::size_t c = 0; c < n; ++c)
                all += x->gram[c * n + c] / static_cast<double>(n);
            sum.resize(n, 0);
            for (std::size_t c = 0; c < n; ++c)
                sum[c] += std::sqrt(x->gram[c * n + c] / all);
            ++sites;
        }
        for (double& score : sum)
            score /= sites;
        return sum;
    }

private Q_SLOTS:
    void models_data()
    {
        QTest::addColumn<QString>("path");
        for (const auto& entry : std::filesystem::directory_iterator(QL_TEST_DATA "/frontends"))
            for (const char* file : {"config.json", "model.gguf", "model.onnx"})
                if (std::filesystem::exists(entry.path() / file)) {
                    const bool isFolder = std::string_view(file) == "config.json";
                    const auto path = isFolder ? entry.path() : entry.path() / file;
                    QTest::newRow(path.lexically_relative(QL_TEST_DATA "/frontends").c_str())
                        << QString::fromStdString(path.string());
                }
    }
    void models()
    {
        QFETCH(QString, path);
        const std::filesystem::path file = path.toStdString();
        const Inputs inputs =
            inputsOf((file.extension().empty() ? file : file.parent_path()) / "golden.npz", m_context);
        QVERIFY(!inputs.empty());
        const auto model = openModel(file, m_context).value();
        graph::Graph graph;
        graph::Values<double> values;
        const auto captured = std::make_shared<test::CapturedInputs>();
        run<double>(*model, inputs, graph, values, captured.get());
        graph::Graph floatGraph;
        graph::Values<float> floatValues;
        run<float>(*model, inputs, floatGraph, floatValues);

        std::vector<std::string> texts;
        for (const Transform* transform : allTransforms())
            texts.push_back(textOf(*transform));
        texts.emplace_back("hadamard:heads");
        texts.emplace_back("hadamard:block=4:seed=7");
        texts.emplace_back("permute:stream=inputs");
        texts.emplace_back("permute:inner=inputs:stream=inputs");
        texts.emplace_back("smooth:alpha=0.7:sites=all+permute+hadamard:heads");
        for (const std::string& text : texts) {
            const auto specs = parseTransforms(text);
            QVERIFY2(specs.has_value(), text.c_str());
            QCOMPARE(printTransforms(*specs), text);
            const auto exact = makeVariant(model, *specs, captured, m_context, Dtype::f64);
            if (!exact) {
                QCOMPARE(exact.error().code, Errc::refused);
                QVERIFY2(!exact.error().what.empty(), text.c_str());
                m_refusals[text].insert(QTest::currentDataTag());
                continue;
            }
            ++m_done[text];
            QCOMPARE(variantOf(*exact->model->checkpoint), text);
            QVERIFY(exact->model->checkpoint->fingerprint() != model->checkpoint->fingerprint());
            graph::Graph other;
            graph::Values<double> otherValues;
            const auto seen = std::make_shared<test::CapturedInputs>();
            run<double>(*exact->model, inputs, other, otherValues, seen.get());
            const double error = difference(graph, values, other, otherValues);
            m_worst[text] = std::max(m_worst[text], error);
            QVERIFY2(error < 1e-10, (text + ": " + std::to_string(error * 1e10) + "e-10").c_str());
            compareStatistics(*exact, *seen);

            const auto single = makeVariant(model, *specs, captured, m_context);
            QCOMPARE(single->model->checkpoint->fingerprint(), exact->model->checkpoint->fingerprint());
            graph::Values<float> singleValues;
            run<float>(*single->model, inputs, other, singleValues);
            const double singleError = difference(floatGraph, floatValues, other, singleValues);
            m_worstSingle[text] = std::max(m_worstSingle[text], singleError);
            QVERIFY2(singleError < 1e-5, (text + ": " + std::to_string(singleError * 1e5) + "e-5").c_str());

            // The model itself on the variant's graph.
            graph::Values<double> baseValues = valuesFor<double>(other, inputs);
            QVERIFY(graph::forwardAll<double>(other, *baseVersion(model, *exact).weights, baseValues, m_context));
            QVERIFY(difference(graph, values, other, baseValues) == 0);
        }
    }
    /// Of whole models, rewritten in double and in float.
    void publishedBounds()
    {
        for (const auto& [section, text, limit] : {std::tuple("A7", "smooth_plus:scheme=int4:g8", 1e-6),
                                                   {"A8", "percentile", 1e-6},
                                                   {"B3", "equalize", 1e-5},
                                                   {"C2", "os_plus", 1e-4},
                                                   {"C12", "permute", 1e-5},
                                                   {"C1", "hadamard", 1e-5}}) {
            const std::string name =
                std::string(text) + ", " + std::to_string(m_done[text]) + " models: relative change of outputs, ";
            QVERIFY2(m_done[text] > 0, text);
            QL_AT_MOST(section, name + "float64", m_worst[text], limit);
            QL_AT_MOST(section, name + "float32", m_worstSingle[text], std::max(limit, 1e-5));
        }
    }
    /// What refuses changes only knowingly.
    void refusals()
    {
        const auto total = [](const std::set<std::string>& names) {
            std::string all;
            for (const std::string& name : names)
                all += " " + name;
            return all;
        };
        for (const auto& [text, names] : m_refusals)
            qInfo("%s: %d models, refused by%s", text.c_str(), m_done[text], total(names).c_str());
        for (const std::string text : {"smooth", "percentile", "equalize", "permute", "hadamard", "os_plus",
                                       "permute:stream=inputs", "permute:inner=inputs:stream=inputs"})
            QVERIFY2(m_done[text] >= 20, text.c_str());
        for (const std::string name : {"bert", "gpt2", "vit", "opt", "roberta"})
            QVERIFY2(m_refusals["hadamard"].contains(name), name.c_str());
        // Another order passes norms with biases, norms behind attention and tables of positions.
        for (const std::string name : {"gpt2", "gemma2", "opt"})
            QVERIFY2(!m_refusals["permute:stream=inputs"].contains(name), name.c_str());
    }

    /// The order is that of the score, recomputed here; embedding, gains and head follow it, and tied stays tied.
    void streamIsSorted_data()
    {
        QTest::addColumn<QString>("name");
        for (const char* name : {"qwen2", "llama", "gemma", "gpt2"})
            QTest::newRow(name) << QString::fromUtf8(name);
    }
    void streamIsSorted()
    {
        QFETCH(QString, name);
        const std::filesystem::path folder = std::filesystem::path(QL_TEST_DATA "/frontends") / name.toStdString();
        const Inputs inputs = inputsOf(folder / "golden.npz", m_context);
        const auto model = openModel(folder, m_context).value();
        const auto captured = std::make_shared<test::CapturedInputs>();
        graph::Graph graph;
        graph::Values<double> values;
        run<double>(*model, inputs, graph, values, captured.get());
        const auto specs = parseTransforms("permute:inner=none:stream=inputs").value();
        const Variant variant = makeVariant(model, specs, captured, m_context, Dtype::f64).value();
        QCOMPARE(variant.model->tiedEmbedding, model->tiedEmbedding);
        QCOMPARE(variant.model->layers.size(), model->layers.size());

        const std::vector<double> before = scores(*model, *captured);
        const std::vector<double> after = scores(*variant.model, *variant.activations);
        QCOMPARE(after.size(), before.size());
        QVERIFY(before != after); // else nothing is seen below
        std::vector<std::size_t> order(before.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return before[a] > before[b]; });
        for (std::size_t c = 0; c < order.size(); ++c)
            QVERIFY(std::fabs(after[c] - before[order[c]]) <= 1e-12 * before[order[c]]);
        int gains = 0;
        for (std::size_t i = 0; i < model->layers.size(); ++i) {
            const Layer& layer = model->layers[i];
            QCOMPARE(variant.model->layers[i].name, layer.name);
            const bool isGain = layer.role == "input_norm" || layer.role == "final_norm";
            if (!isGain && layer.role != "embedding" && layer.role != "output" && layer.role != "q_proj")
                continue;
            gains += isGain;
            const std::vector<double> from = weightsOf(*model, static_cast<std::int64_t>(i));
            const std::vector<double> to = weightsOf(*variant.model, static_cast<std::int64_t>(i));
            QCOMPARE(to.size(), from.size());
            for (std::size_t k = 0; k < to.size(); ++k)
                QCOMPARE(to[k], from[k / order.size() * order.size() + order[k % order.size()]]);
        }
        QVERIFY(gains > 1);
    }

    /// What is said to be needed is what is asked for: as usual, and with each option that asks for more.
    void needsAreToldByOption()
    {
        for (const Transform* transform : allTransforms()) {
            const std::string id(transform->id);
            const TransformNeeds usual = needsOf(*transform, parseTransforms(id).value().front());
            std::string told(word(usual));
            for (const TransformOption& option : transform->keys) {
                if (option.taking.empty())
                    continue;
                const std::string value = std::string(option.key) + "=" + std::string(option.taking);
                const auto specs = parseTransforms(id + ":" + value);
                QVERIFY2(specs, value.c_str());
                const TransformNeeds needs = needsOf(*transform, specs->front());
                QVERIFY2(needs > usual, value.c_str());
                told += "; " + value + " " + std::string(word(needs));
            }
            QCOMPARE(describeNeeds(*transform), told);
            QVERIFY2(!transform->needsWith || told != word(usual), id.c_str());
        }
    }

    void permuteOptions()
    {
        const auto model = openModel(QL_TEST_DATA "/frontends/qwen2", m_context).value();
        for (const char* text : {"permute:stream=inputs", "permute:inner=inputs"}) {
            const auto blind = makeVariant(model, parseTransforms(text).value(), nullptr, m_context);
            QVERIFY(!blind);
            QCOMPARE(blind.error().code, Errc::refused);
            QVERIFY2(blind.error().what.find("--activations") != std::string::npos, blind.error().what.c_str());
        }
        QVERIFY(makeVariant(model, parseTransforms("permute").value(), nullptr, m_context).has_value());
        for (const char* text :
             {"permute:stream=weights", "permute:stream", "permute:inner=none", "permute:order=inputs"}) {
            const auto odd = parseTransforms(text);
            QVERIFY2(!odd, text);
            QCOMPARE(odd.error().code, Errc::usage);
        }
        const auto unknown = makeVariant(model, parseTransforms("permute:stream=inputs").value(),
                                         std::make_shared<test::CapturedInputs>(), m_context);
        QVERIFY(!unknown); // none of the layers is known
        QVERIFY(unknown.error().what.find("residual stream") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(EveryTransformTest)
#include "every_transform_test.moc"
