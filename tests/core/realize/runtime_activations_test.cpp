// SPDX-License-Identifier: GPL-3.0-or-later
// Activations rounded as runtimes round them, against the definition written out in double.
#include "core/realize/runtime_activations.h"
#include "core/tensor/half.h"

#include <QTest>

#include <cmath>

using namespace ql;

namespace {

std::vector<float> noise(std::int64_t n)
{
    std::vector<float> values;
    for (std::int64_t i = 0; i < n; ++i)
        values.push_back(static_cast<float>(std::sin(0.37 * static_cast<double>(i * i)) * (i % 50 == 7 ? 20 : 1)));
    return values;
}

} // namespace

class RuntimeActivationsTest : public QObject {
    Q_OBJECT
    const Runtime& m_llama = *findRuntime("llama.cpp").value();

private Q_SLOTS:
    void typesAskForBlocks()
    {
        const auto has = [&](Dtype weights, std::int64_t width) {
            return m_llama.roundingFor(weights, width) != nullptr;
        };
        for (const Dtype block32 : {Dtype::q4_0, Dtype::q4_1, Dtype::q5_0, Dtype::q5_1, Dtype::q8_0, Dtype::iq4_nl}) {
            QVERIFY(has(block32, 576));
            QVERIFY(!has(block32, 33));
        }
        for (const Dtype block256 : {Dtype::q2_k, Dtype::q4_k, Dtype::q6_k, Dtype::iq3_s}) {
            QVERIFY(has(block256, 512));
            QVERIFY(!has(block256, 576));
        }
        QVERIFY(has(Dtype::f16, 3));
        QVERIFY(has(Dtype::bf16, 3));
        QVERIFY(!has(Dtype::f32, 64));
    }

    void blocksOf32()
    {
        const std::vector<float> x = noise(320);
        std::vector<float> rounded = x;
        m_llama.roundingFor(Dtype::q8_0, 320)(rounded.data(), 320);
        for (std::size_t begin = 0; begin < x.size(); begin += 32) {
            double absmax = 0;
            for (std::size_t i = begin; i < begin + 32; ++i)
                absmax = std::max(absmax, std::fabs(static_cast<double>(x[i])));
            const double scale = static_cast<double>(floatFromF16(f16FromFloat(static_cast<float>(absmax / 127))));
            for (std::size_t i = begin; i < begin + 32; ++i) {
                const double code = static_cast<double>(rounded[i]) / scale;
                QVERIFY(std::fabs(code - std::nearbyint(code)) < 1e-5);
                QVERIFY(std::fabs(code) < 127.01);
                // Codes are chosen with the scale before it was rounded to f16.
                QVERIFY(std::fabs(std::nearbyint(code) - static_cast<double>(x[i]) * 127 / absmax) <= 0.5 + 1e-4);
            }
        }
    }

    void blocksOf256()
    {
        const std::vector<float> x = noise(512);
        std::vector<float> rounded = x;
        m_llama.roundingFor(Dtype::q4_k, 512)(rounded.data(), 512);
        for (std::size_t begin = 0; begin < x.size(); begin += 256) {
            double largest = 0;
            for (std::size_t i = begin; i < begin + 256; ++i)
                if (std::fabs(static_cast<double>(x[i])) > std::fabs(largest))
                    largest = static_cast<double>(x[i]);
            const double step = std::fabs(largest) / 127;
            for (std::size_t i = begin; i < begin + 256; ++i)
                QVERIFY(std::fabs(static_cast<double>(rounded[i]) - static_cast<double>(x[i])) <= step * 0.501);
        }
    }

    void zerosStayZero()
    {
        for (const Dtype weights : {Dtype::q8_0, Dtype::q4_k, Dtype::f16, Dtype::bf16}) {
            std::vector<float> zeros(256, 0.0F);
            m_llama.roundingFor(weights, 256)(zeros.data(), 256);
            QCOMPARE(zeros, std::vector<float>(256, 0.0F));
        }
    }

    void unknownRuntimesAreNamed()
    {
        const auto unknown = findRuntime("abacus");
        QVERIFY(!unknown);
        QVERIFY(unknown.error().what.find("llama.cpp") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(RuntimeActivationsTest)
#include "runtime_activations_test.moc"
