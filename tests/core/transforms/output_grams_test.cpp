// SPDX-License-Identifier: GPL-3.0-or-later
// Gram matrices of the gradients of outputs behind transforms against a calibration of the transformed model: those of
// the experts of a stack, each by its own.
#include "core/transforms/variant.h"
#include "tests/support/language_model.h"

#include <cmath>

using namespace ql;
using test::MemorySink;

class OutputGramsTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void ofStackedExperts_data()
    {
        QTest::addColumn<QString>("transforms");
        QTest::newRow("order") << QStringLiteral("permute:inner=none:stream=inputs");
        QTest::newRow("rotation") << QStringLiteral("hadamard");
    }
    void ofStackedExperts()
    {
        QFETCH(QString, transforms);
        const auto [model, graph, windows] = test::languageModel(
            QL_TEST_DATA "/frontends/mixtral/model.gguf", 16, 3, [](std::int64_t i) { return (i * i + 5 * i) % 37; },
            m_context);
        const auto calibrated = [&](const std::shared_ptr<const Model>& its) {
            return test::calibrated(its, windows, {.seed = 3, .gramLimit = 1000, .outputGram = true},
                                    std::make_shared<MemorySink>(), m_context);
        };
        const auto known = calibrated(model);
        const auto variant = makeVariant(model, parseTransforms(transforms.toStdString()).value(), known, m_context);
        QVERIFY2(variant, variant ? "" : describe(variant.error()).c_str());
        const auto own = calibrated(variant->model);
        int compared = 0;
        for (std::size_t i = 0; i < variant->model->layers.size(); ++i) {
            const Layer& layer = variant->model->layers[i];
            const auto index = static_cast<std::int64_t>(i);
            const auto measured = own->statistics(index, m_context).value();
            if (!measured || measured->parts.empty())
                continue;
            const auto said = variant->activations->statistics(index, m_context).value();
            const auto before = known->statistics(variant->baseLayer[i], m_context).value();
            QVERIFY(said && before);
            QCOMPARE(said->parts.size(), measured->parts.size());
            for (std::size_t part = 0; part < said->parts.size(); ++part) {
                const std::vector<float>& a = said->parts[part].outputGram;
                const std::vector<float>& b = measured->parts[part].outputGram;
                QVERIFY2(a.size() == b.size(), layer.name.c_str());
                if (b.empty())
                    continue; // no token went there
                const float largest = std::ranges::max(b);
                for (std::size_t k = 0; k < b.size(); ++k)
                    QVERIFY2(std::fabs(a[k] - b[k]) <= 1e-3F * largest, layer.name.c_str());
                if (a != before->parts[part].outputGram)
                    ++compared; // its outputs are others now
            }
        }
        QVERIFY(compared >= 2);
    }
};

QTEST_APPLESS_MAIN(OutputGramsTest)
#include "output_grams_test.moc"
