// SPDX-License-Identifier: GPL-3.0-or-later
// Random damage to small good ONNX files, to bytes inside them, and arrays of other files as inputs: whatever comes,
// importing and running the graph end in values or an error that says where, in bounded memory and time. The seed is
// fixed, so a failure repeats.
#include "core/model/frontends/frontend.h"
#include "tests/support/mutations.h"
#include "tests/support/onnx_node_tests.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

#include <chrono>

using namespace ql;

class OnnxMutationTest : public QObject {
    Q_OBJECT
private:
    enum class End { refused, imported, run };

    Executor m_executor{1};
    JobContext m_context{m_executor, {}, nullptr, std::int64_t{32} << 20U};
    test::TemporaryFolder m_folder{test::TemporaryFolder::inMemory()};
    std::vector<TensorData> m_pool; // inputs of all files

    /// Inputs go by name, or those of the pool to any input.
    End end(const std::string& file, const std::map<std::string, TensorData>& inputs, test::Random& random,
            const QByteArray& which)
    {
        const auto explained = [&](const Error& error) {
            if (error.what.empty() || error.where.empty())
                QTest::qFail((which + ": '" + describe(error).c_str() + "'").constData(), __FILE__, __LINE__);
        };
        const auto model = openModel(m_folder.write("model.onnx", file), m_context);
        const auto graph = model ? buildGraph(**model) : Result<graph::Graph>(model.error());
        if (!graph) {
            explained(graph.error());
            return End::refused;
        }
        auto values = test::inputsOf<float>(*graph, inputs);
        for (const graph::ValueId id : graph->inputs)
            if (inputs.empty())
                values[id] = test::valueOf<float>(m_pool[random.below(m_pool.size())].view);
        const auto done = graph::forwardAll<float>(*graph, graph::CheckpointWeights(**model), values, m_context);
        if (!done)
            explained(done.error());
        return done ? End::run : End::imported;
    }

private Q_SLOTS:
    void mutants()
    {
        std::vector<std::pair<std::string, test::OnnxNodeTest>> seeds;
        for (auto& seed : test::onnxNodeTests(m_context))
            seeds.push_back(std::move(seed));
        for (const char* name : {"onnx_cnn", "onnx_vit", "onnx_bert"}) {
            const std::filesystem::path folder = std::filesystem::path(QL_TEST_DATA "/frontends") / name;
            std::ifstream file(folder / "model.onnx", std::ios::binary);
            test::OnnxNodeTest seed{{std::istreambuf_iterator<char>(file), {}}, {}, {}};
            const auto golden = openCheckpoint(folder / "golden.npz", m_context).value();
            for (std::int64_t i = 0; i < std::ssize(golden->tensors()); ++i) {
                const std::string& key = golden->tensors()[static_cast<std::size_t>(i)].name;
                if (key.ends_with(".0"))
                    seed.inputs[key.substr(0, key.size() - 2)] = golden->load(i, m_context).value();
            }
            for (int weight = 0; weight < 40; ++weight) // beside 600 single nodes
                seeds.emplace_back(name, seed);
        }
        for (const auto& [name, seed] : seeds)
            for (const auto& [input, array] : seed.inputs)
                m_pool.push_back(array);
        const int asked = qEnvironmentVariableIntValue("QL_MUTANTS");
        const int mutants = asked > 0 ? asked : 6000;
        std::map<End, int> ends;
        for (int i = 0; i < mutants; ++i) {
            const auto& [name, seed] = seeds[static_cast<std::size_t>(i) % seeds.size()];
            test::Random random(static_cast<std::uint64_t>(i));
            const bool isSeed = i < std::ssize(seeds); // the first round is undamaged
            const bool exchangesInputs = !isSeed && i % 2 == 0;
            std::string file = seed.model;
            if (!isSeed && i % 8 == 1)
                test::mutate(file, random);
            else if (!isSeed)
                for (std::size_t n = random.below(exchangesInputs ? 2 : 4); n-- > 0;) // often a number or a letter
                    file[random.below(file.size())] =
                        static_cast<char>(random.below(2) == 0 ? random.below(16) : random.next());
            const QByteArray which = "mutant " + QByteArray::number(i) + " of " + name.c_str();
            const auto start = std::chrono::steady_clock::now();
            const End how =
                end(file, exchangesInputs ? std::map<std::string, TensorData>() : seed.inputs, random, which);
            ++ends[how];
            const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            QVERIFY2(seconds < 5, which.constData());
            QVERIFY2(how == End::run || !isSeed, which.constData());
        }
        qInfo("%d refused, %d imported, %d run", ends[End::refused], ends[End::imported], ends[End::run]);
        for (const End how : {End::refused, End::imported, End::run})
            QVERIFY(ends[how] > mutants / 10);
    }
};

QTEST_APPLESS_MAIN(OnnxMutationTest)
#include "onnx_mutation_test.moc"
