// SPDX-License-Identifier: GPL-3.0-or-later
// Every tiny model of tests/data/frontends, as folder, as GGUF and as ONNX file, makes what transformers or torch makes
// of it.
#include "core/checkpoint/reader.h"
#include "core/model/frontends/frontend.h"
#include "core/model/graph/run.h"

#include <QTest>

#include <cmath>
#include <set>

using namespace ql;

namespace {

/// The arrays "name.case" of golden.npz.
class Golden {
public:
    Golden(const std::filesystem::path& path, const JobContext& context) : m_context(context)
    {
        if (auto opened = openCheckpoint(path, context))
            m_file = *std::move(opened);
    }
    explicit operator bool() const { return m_file != nullptr; }
    std::int64_t find(const std::string& name, int index) const
    {
        return m_file->indexOf(name + "." + std::to_string(index));
    }
    template<typename T>
    graph::Array<T> read(std::int64_t tensor) const
    {
        auto data = m_file->load(tensor, m_context);
        std::vector<double> values(static_cast<std::size_t>(data->view.numel()));
        decode(data->view.dtype, data->view.data, 0, data->view.numel(), values.data());
        graph::Array<T> array(data->view.shape);
        std::ranges::transform(values, array.write(), [](double x) { return static_cast<T>(x); });
        return array;
    }

private:
    const JobContext& m_context;
    std::shared_ptr<const Checkpoint> m_file;
};

} // namespace

class EveryModelTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor;
    JobContext m_context{m_executor};
    std::set<std::string> m_typesRun;

    /// Runs one case of the golden file; returns how many outputs were compared.
    template<typename T>
    int compare(const Model& model, const graph::Graph& graph, const Golden& golden, int index, double tolerance)
    {
        graph::Values<T> values;
        for (const graph::ValueId id : graph.inputs) {
            const std::string& name = graph.values[static_cast<std::size_t>(id)].name;
            const std::int64_t tensor = golden.find(name, index);
            if (tensor < 0)
                continue;
            if (name == "pixels")
                values[id].real = golden.read<T>(tensor);
            else
                values[id].integers = golden.read<std::int64_t>(tensor);
        }
        const graph::CheckpointWeights weights(model);
        const auto done = graph::forwardAll<T>(graph, weights, values, m_context);
        if (!done) {
            QTest::qFail(describe(done.error()).c_str(), __FILE__, __LINE__);
            return 0;
        }
        int compared = 0;
        for (const graph::ValueId id : graph.outputs) {
            const std::string& name = graph.values[static_cast<std::size_t>(id)].name;
            const std::int64_t tensor = golden.find(name, index);
            if (tensor < 0)
                continue;
            const auto& made = values.at(id).real;
            const auto expected = golden.read<double>(tensor);
            if (made.shape() != expected.shape()) {
                QTest::qFail((name + " " + formatShape(made.shape())).c_str(), __FILE__, __LINE__);
                return 0;
            }
            const std::int64_t mask = golden.find("attention_mask", index);
            const auto isToken = mask < 0 ? graph::Array<std::int64_t>() : golden.read<std::int64_t>(mask);
            double worst = 0;
            for (std::int64_t i = 0; i < made.numel(); ++i)
                if (!isToken || isToken.rows() * isToken.width() != made.rows() ||
                    isToken.data()[i / made.width()] != 0)
                    worst = std::max(worst, std::fabs(static_cast<double>(made.data()[i]) - expected.data()[i]));
            if (!(worst <= tolerance))
                QTest::qFail((name + "." + std::to_string(index) + " differs by " + std::to_string(worst)).c_str(),
                             __FILE__, __LINE__);
            ++compared;
        }
        return compared;
    }

private Q_SLOTS:
    void models_data()
    {
        QTest::addColumn<QString>("path");
        std::set<std::filesystem::path> found;
        for (const auto& entry : std::filesystem::directory_iterator(QL_TEST_DATA "/frontends")) {
            if (std::filesystem::exists(entry.path() / "config.json"))
                found.insert(entry.path());
            for (const char* file : {"model.gguf", "model.onnx"})
                if (std::filesystem::exists(entry.path() / file))
                    found.insert(entry.path() / file);
        }
        for (const auto& path : found)
            QTest::newRow(path.lexically_relative(QL_TEST_DATA "/frontends").c_str()) << QString::fromStdString(path);
    }
    void models()
    {
        QFETCH(QString, path);
        const std::filesystem::path file = path.toStdString();
        const bool isFile = !file.extension().empty();
        const Golden golden((isFile ? file.parent_path() : file) / "golden.npz", m_context);
        QVERIFY(golden);
        const auto model = openModel(file, m_context);
        QVERIFY(model);
        const auto graph = buildGraph(**model);
        QVERIFY2(graph.has_value(), graph ? "" : describe(graph.error()).c_str());
        m_typesRun.insert(ModelConfig(**model).type());
        const auto& outputs = graph->outputs;
        for (int index = 0; index == 0 || golden.find("tokens", index) >= 0; ++index) {
            QVERIFY(golden.find(graph->values[static_cast<std::size_t>(outputs.front())].name, index) >= 0);
            QVERIFY(compare<float>(**model, *graph, golden, index, 1e-4) > 0);
            // GGUF keeps settings, and the norms of Gemma, in float32; ONNX all constants.
            QVERIFY(compare<double>(**model, *graph, golden, index, isFile ? 5e-5 : 1e-9) > 0);
        }
    }
    /// Every type a front end claims has a model here.
    void everyTypeIsRun()
    {
        for (const Frontend* frontend : allFrontends())
            for (const ModelType& type : frontend->types)
                QVERIFY2(m_typesRun.contains(std::string(type.id)), std::string(type.id).c_str());
    }
};

QTEST_APPLESS_MAIN(EveryModelTest)
#include "every_model_test.moc"
