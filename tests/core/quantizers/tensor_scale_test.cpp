// SPDX-License-Identifier: GPL-3.0-or-later
// The factor of ue4m3 scales: whoever multiplies by it and whoever divides by its reciprocal get the same bits, it is
// hardly larger than asked for, and layers that runtimes fuse share one.
#include "core/model/fused_layers.h"
#include "core/quantizers/scale_rule.h"
#include "core/realize/realize.h"
#include "core/tensor/half.h"
#include "tests/support/export_support.h"
#include "tests/support/tiny_llama.h"

#include <QTest>

#include <cmath>
#include <random>

using namespace ql;
using namespace ql::test;

class TensorScaleTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void dividingByTheReciprocalIsMultiplying()
    {
        const Scheme scheme = parseScheme("nvfp4").value();
        std::mt19937 random(5);
        std::uniform_real_distribution<float> exponent(-60, 60);
        for (int i = 0; i < 20000; ++i) {
            const float largest = std::exp2(exponent(random));
            const float t = tensorScaleFor(scheme, largest);
            const float wanted = largest / (448 * 6);
            QVERIFY(t >= wanted && t <= wanted * 1.0004F);
            const float reciprocal = 1 / t;
            for (unsigned code = 1; code < 127; ++code) {
                const float scale = floatFromE4m3(static_cast<std::uint8_t>(code));
                QCOMPARE(scale * t, scale / reciprocal);
            }
            QCOMPARE(tensorScaleFor(scheme, 4 * largest), 4 * t);
        }
        for (const float extreme : {0x1p-149F, 0x1p-126F, std::numeric_limits<float>::max()}) {
            const float t = tensorScaleFor(scheme, extreme);
            QVERIFY(t > 0 && std::isfinite(t));
        }
        QCOMPARE(tensorScaleFor(scheme, 0), 1.0F);
        QCOMPARE(tensorScaleFor(parseScheme("int4:g32").value(), 5), 1.0F);
    }

    void fusedLayersShareIt()
    {
        const TemporaryFolder folder;
        TinyLlama().writeFolder(folder / "model");
        const auto model = openModel(folder / "model", m_context).value();
        const auto index = [&](const std::string& name) {
            return model->indexOf("model.layers.1." + name + "_proj.weight");
        };
        const Candidate candidate = parseCandidate("nvfp4").value();
        const auto factor = [&](std::int64_t layer) {
            return realize(*model, layer, candidate, nullptr, m_context)->tensorScale;
        };
        const auto alone = [&](std::int64_t layer) {
            return realize(model->loadWeights(layer, m_context)->view, candidate, nullptr, m_context)->tensorScale;
        };
        QCOMPARE(fusedWith(*model, index("self_attn.k")).size(), std::size_t{2});
        QCOMPARE(fusedWith(*model, index("mlp.up")), std::vector<std::int64_t>{index("mlp.gate")});
        QVERIFY(fusedWith(*model, index("self_attn.o")).empty() && fusedWith(*model, index("mlp.down")).empty());
        float largest = 0;
        for (const char* name : {"self_attn.q", "self_attn.k", "self_attn.v"})
            largest = std::max(largest, alone(index(name)));
        for (const char* name : {"self_attn.q", "self_attn.k", "self_attn.v"})
            QCOMPARE(factor(index(name)), largest);
        QCOMPARE(factor(index("mlp.gate")), factor(index("mlp.up")));
        QCOMPARE(factor(index("mlp.down")), alone(index("mlp.down")));
        // the quantizers that go over the codes again take the shared one, too
        const Candidate searched = parseCandidate("nvfp4@mse:steps=8").value();
        QCOMPARE(realize(*model, index("self_attn.v"), searched, nullptr, m_context)->tensorScale, largest);
        QCOMPARE(sharedAbsMax(*model, index("self_attn.v"), parseCandidate("mxfp4").value(), m_context).value(), 0.0F);
    }
};

QTEST_APPLESS_MAIN(TensorScaleTest)
#include "tensor_scale_test.moc"
