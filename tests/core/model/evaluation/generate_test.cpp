// SPDX-License-Identifier: GPL-3.0-or-later
// Tiny models of every family continue a prompt as transformers' generate does; text by text with the sample.
#include "core/model/evaluation/generate.h"
#include "core/model/frontends/frontend.h"
#include "core/model/graph/vector_math.h"
#include "tests/support/memory_model.h"
#include "tests/support/refer_to.h"

#include <nlohmann/json.hpp>

#include <QTest>

#include <fstream>

using namespace ql;

namespace {

nlohmann::json golden()
{
    std::ifstream stream(QL_TEST_DATA "/generation/golden.json");
    return nlohmann::json::parse(stream);
}

/// A model ready to run.
struct Opened {
    std::shared_ptr<const Model> model;
    graph::Graph graph;
    std::shared_ptr<const graph::CheckpointWeights> weights;

    Opened(const std::filesystem::path& path, const JobContext& context)
        : model(openModel(path, context).value()),
          graph(buildGraph(*model).value()),
          weights(std::make_shared<graph::CheckpointWeights>(*model))
    {}
    static Opened tiny(const std::string& name, const JobContext& context)
    {
        return {std::filesystem::path(QL_TEST_DATA "/frontends") / name, context};
    }
    GenerationTask task(std::vector<std::int64_t> prompt, std::int64_t tokens) const
    {
        return {.model = *model,
                .graph = graph,
                .version = {.weights = weights},
                .prompt = std::move(prompt),
                .tokens = tokens,
                .sampling = {},
                .endIds = {},
                .tokenizer = nullptr,
                .onToken = {}};
    }
    /// Whether rotary frequencies change on the way: then keys already kept are those of the shorter text.
    bool turnsOtherwiseBeyond(std::int64_t tokens) const
    {
        return std::ranges::any_of(graph.nodes, [&](const graph::Node& node) {
            const std::int64_t context = node.op->id == "rope" ? node.integer("context", 0) : 0;
            return context > 0 && tokens > context;
        });
    }
};

std::vector<std::int64_t> idsOf(const Generation& generation)
{
    std::vector<std::int64_t> ids;
    for (const GeneratedToken& token : generation.tokens)
        ids.push_back(token.id);
    return ids;
}

} // namespace

class GenerateTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};
    const std::vector<std::int64_t> m_prompt = golden()["mistral"]["prompt"];
    const std::vector<std::int64_t> m_ids = golden()["mistral"]["ids"];

private Q_SLOTS:
    void likeTransformers_data()
    {
        QTest::addColumn<QString>("name");
        const auto file = golden();
        for (const auto& [name, value] : file.items())
            QTest::newRow(name.c_str()) << QString::fromStdString(name);
    }
    void likeTransformers()
    {
        QFETCH(QString, name);
        const auto expected = golden()[name.toStdString()];
        const std::vector<std::int64_t> prompt = expected["prompt"];
        const std::vector<std::int64_t> ids = expected["ids"];
        const Opened opened = Opened::tiny(name.toStdString(), m_context);
        const auto generation = generate(opened.task(prompt, std::ssize(ids)), m_context);
        QVERIFY2(generation.has_value(), generation ? "" : describe(generation.error()).c_str());
        QCOMPARE(idsOf(*generation), ids);
        QVERIFY(generation->end == GenerationEnd::tokenLimit);

        // What came token by token is what the whole sequence gives in one pass.
        if (opened.turnsOtherwiseBeyond(std::ssize(prompt) + std::ssize(ids)))
            return;
        graph::Values<float> values;
        graph::Array<std::int64_t> tokens({1, std::ssize(prompt) + std::ssize(ids)});
        std::ranges::copy(ids, std::ranges::copy(prompt, tokens.write()).out);
        values[opened.graph.inputs.front()].integers = tokens;
        QVERIFY(graph::forwardAll<float>(opened.graph, *opened.weights, values, m_context));
        const graph::Array<float>& logits = values.at(opened.graph.outputs.front()).real;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            const float* row = logits.data() + (std::ssize(prompt) + static_cast<std::int64_t>(i) - 1) * logits.width();
            const double wanted = static_cast<double>(row[ids[i]]) - graph::logSumExp(row, logits.width());
            const double difference = generation->tokens[i].logProbability - wanted;
            // Products of one row add up in another order, which differs from CPU to CPU.
            QVERIFY2(std::fabs(difference) < 5e-5, qPrintable(QString::number(difference)));
        }
    }

    void equalBitsForAnyThreadCountAndMemory()
    {
        const Opened opened = Opened::tiny("mistral", m_context);
        GenerationTask task = opened.task(m_prompt, 10);
        task.sampling = {.temperature = 1.5, .seed = 3};
        const auto expected = generate(task, m_context).value();
        QVERIFY(idsOf(expected) != std::vector<std::int64_t>(m_ids.begin(), m_ids.begin() + 10));
        for (const int threads : {1, 3})
            for (const std::int64_t memoryLimit : {std::int64_t{0}, generationCost(task).weightBytes}) {
                Executor executor(threads);
                const auto other = generate(task, JobContext(executor, {}, nullptr, memoryLimit)).value();
                QCOMPARE(idsOf(other), idsOf(expected));
                for (std::size_t i = 0; i < expected.tokens.size(); ++i)
                    QCOMPARE(other.tokens[i].logProbability, expected.tokens[i].logProbability);
            }
    }

    void weightsAreDecodedOnceOrForEveryToken()
    {
        struct Counting final : graph::WeightSource {
            explicit Counting(const graph::WeightSource& from) : source(from) {}
            Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
            {
                ++count;
                return source.weights(layer, context);
            }
            const graph::WeightSource& source;
            mutable std::atomic<int> count = 0;
        };
        const Opened opened = Opened::tiny("mistral", m_context); // its head is tied to the embedding
        GenerationTask task = opened.task(m_prompt, 4);
        const GenerationCost cost = generationCost(task);
        std::int64_t bytes = 0;
        for (const Layer& layer : opened.model->layers)
            bytes += layer.numel() * 4;
        QCOMPARE(cost.weightBytes, bytes);
        QVERIFY(cost.segmentBytes < bytes && cost.segmentBytes > bytes / 4);
        QCOMPARE(cost.stateBytes, 2 * (std::ssize(m_prompt) + 4) * 2 * (2 * 6) * 4); // blocks · (kv_heads · head_dim)

        const Counting counting(*opened.weights);
        task.version.weights = test::referTo(counting);
        QVERIFY(generate(task, JobContext(m_executor, {}, nullptr, cost.weightBytes + cost.stateBytes)));
        QCOMPARE(counting.count.load(), static_cast<int>(opened.model->layers.size()));
        counting.count = 0;
        QVERIFY(generate(task, JobContext(m_executor, {}, nullptr, cost.weightBytes)));
        QCOMPARE(counting.count.load(), 4 * (static_cast<int>(opened.model->layers.size()) + 1));
    }

    void endsWhereItIsTold()
    {
        const Opened opened = Opened::tiny("mistral", m_context);
        GenerationTask task = opened.task(m_prompt, 15);
        task.endIds = {m_ids[3]};
        auto generation = generate(task, m_context).value();
        const auto end = std::ranges::find(m_ids, m_ids[3]) + 1;
        QCOMPARE(idsOf(generation), std::vector<std::int64_t>(m_ids.begin(), end));
        QVERIFY(generation.end == GenerationEnd::endToken);
        task.endIds = {};
        task.contextLength = std::ssize(m_prompt) + 2;
        generation = generate(task, m_context).value();
        QCOMPARE(idsOf(generation), std::vector<std::int64_t>(m_ids.begin(), m_ids.begin() + 2));
        QVERIFY(generation.end == GenerationEnd::contextFull);
    }

    void stopsBetweenTokens()
    {
        const Opened opened = Opened::tiny("mamba", m_context);
        GenerationTask task = opened.task({5, 6}, 1'000'000);
        std::stop_source stop;
        int tokens = 0;
        task.onToken = [&](const GeneratedToken&) {
            if (++tokens == 3)
                stop.request_stop();
            return Result<void>();
        };
        const auto stopped = generate(task, JobContext(m_executor, stop.get_token()));
        QVERIFY(!stopped);
        QVERIFY(stopped.error().code == Errc::cancelled);
        QCOMPARE(tokens, 3);
        task.onToken = [](const GeneratedToken&) { return Result<void>(ioError("is full")); };
        const auto failed = generate(task, m_context);
        QVERIFY(!failed);
        QVERIFY(failed.error().code == Errc::io);
    }

    void refusals()
    {
        const Opened opened = Opened::tiny("mistral", m_context);
        const auto says = [&](const GenerationTask& task, const char* word) {
            const auto result = generate(task, m_context);
            QVERIFY(!result);
            QVERIFY2(result.error().what.find(word) != std::string::npos, result.error().what.c_str());
        };
        says(opened.task({}, 3), "no tokens");
        says(opened.task(m_prompt, 0), "1 to 2147483648");
        says(opened.task({99}, 3), "99");
        GenerationTask full = opened.task(m_prompt, 3);
        full.contextLength = std::ssize(m_prompt);
        says(full, "shorter");
        GenerationTask odd = opened.task(m_prompt, 3);
        odd.sampling.topP = 2;
        says(odd, "top-p");
        for (const char* name : {"bert_mlm", "roberta", "vit", "llama_headless"}) {
            const Opened other = Opened::tiny(name, m_context);
            says(other.task({5}, 1), "no causal language model");
        }
    }

    void textOfTheSample()
    {
        const Opened sample(std::filesystem::path(QL_SOURCE_DIR) / "resources/sample", m_context);
        const auto tokenizer = openTokenizer(*sample.model->checkpoint, m_context).value();
        const auto prompt = encodePrompt(*tokenizer, "The capital of naïve caf", m_context).value();
        GenerationTask task = sample.task(prompt.ids, 24);
        task.tokenizer = tokenizer;
        task.sampling = {.temperature = 2, .seed = 11}; // bytes of several scripts
        task.endIds = endIdsOf(*sample.model->checkpoint, *tokenizer);
        std::string streamed;
        task.onToken = [&](const GeneratedToken& token) {
            streamed += token.text;
            return Result<void>();
        };
        const auto generation = generate(task, m_context).value();
        std::vector<std::int64_t> all = prompt.ids;
        for (const GeneratedToken& token : generation.tokens)
            all.push_back(token.id);
        QCOMPARE(QString::fromStdString(streamed), QString::fromStdString(generation.text()));
        QCOMPARE(QString::fromStdString(tokenizer->decode(prompt.ids, true) + streamed),
                 QString::fromStdString(tokenizer->decode(all, true)));
    }

    void endsOfTexts()
    {
        const Opened sample(std::filesystem::path(QL_SOURCE_DIR) / "resources/sample", m_context);
        const auto tokenizer = openTokenizer(*sample.model->checkpoint, m_context).value();
        const auto ids = endIdsOf(*sample.model->checkpoint, *tokenizer);
        QVERIFY(std::ranges::find(ids, *tokenizer->eosId()) != ids.end());
        struct Configured : test::MemoryCheckpoint {
            explicit Configured(std::string config) : MemoryCheckpoint("model", {})
            {
                m_contents.configJson = std::move(config);
            }
        };
        using Ids = std::vector<std::int64_t>;
        QCOMPARE(endIdsOf(Configured(R"({"eos_token_id": 7})"), *tokenizer), (Ids{0, 7}));
        QCOMPARE(endIdsOf(Configured(R"({"eos_token_id": [8, 9]})"), *tokenizer), (Ids{0, 8, 9}));
        for (const char* none : {"", "{}", "[3]", R"({"eos_token_id": null})", R"({"eos_token_id": ["a", 1.5]})"})
            QCOMPARE(endIdsOf(Configured(none), *tokenizer), Ids{0});
    }
};

QTEST_APPLESS_MAIN(GenerateTest)
#include "generate_test.moc"
