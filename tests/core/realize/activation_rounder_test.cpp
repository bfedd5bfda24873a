// SPDX-License-Identifier: GPL-3.0-or-later
// Inputs rounded by schemes, against the definition written out.
#include "core/base/rng.h"
#include "core/quantizers/quantizer.h"
#include "core/realize/activation_rounder.h"
#include "core/tensor/half.h"
#include "tests/support/acceptance.h"

#include <cmath>
#include <functional>

using namespace ql;
using namespace ql::tests;

namespace {

constexpr std::int64_t kSequences = 3, kTokens = 7, kIn = 70;

/// Noise with large first tokens and one large channel.
graph::Array<float> inputs()
{
    graph::Array<float> x({kSequences, kTokens, kIn});
    const CounterRng rng(8);
    float* to = x.write();
    for (std::int64_t i = 0; i < x.numel(); ++i) {
        const double large = (i / kIn % kTokens == 0 ? 30 : 1) * (i % kIn == 5 ? 10 : 1);
        to[i] = static_cast<float>(rng.normal(static_cast<std::uint64_t>(i)) * large);
    }
    return x;
}

/// Where element i takes its scale from: elements with equal numbers share one.
using Share = std::function<std::int64_t(std::int64_t sequence, std::int64_t token, std::int64_t channel)>;

/// x rounded to scale·{−128…127} with scale = absmax of what shares it / 127.
std::vector<double> reference(const graph::Array<float>& x, const Share& share, bool keepFirst)
{
    std::map<std::int64_t, double> absmax;
    const auto at = [&](std::int64_t i) { return share(i / kIn / kTokens, i / kIn % kTokens, i % kIn); };
    const auto isKept = [&](std::int64_t i) { return keepFirst && i / kIn % kTokens == 0; };
    for (std::int64_t i = 0; i < x.numel(); ++i)
        if (!isKept(i))
            absmax[at(i)] = std::max(absmax[at(i)], std::fabs(static_cast<double>(x.data()[i])));
    std::vector<double> rounded;
    for (std::int64_t i = 0; i < x.numel(); ++i) {
        const double scale = absmax[at(i)] / 127;
        const auto value = static_cast<double>(x.data()[i]);
        rounded.push_back(isKept(i) ? value : std::nearbyint(value / scale) * scale);
    }
    return rounded;
}

void compare(const graph::Array<float>& x, const std::vector<double>& wanted)
{
    for (std::int64_t i = 0; i < x.numel(); ++i) {
        const double expected = wanted[static_cast<std::size_t>(i)];
        QVERIFY2(std::fabs(static_cast<double>(x.data()[i]) - expected) <= 1e-5 * std::fabs(expected),
                 qPrintable(QString::number(i)));
    }
}

} // namespace

class ActivationRounderTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

    static Share shareOf(const QString& word)
    {
        return [word](std::int64_t s, std::int64_t t, std::int64_t c) {
            return word == QLatin1String("token")     ? s * kTokens + t
                   : word == QLatin1String("channel") ? s * kIn + c
                   : word == QLatin1String("g32")     ? (s * kTokens + t) * 3 + c / 32
                                                      : s; // tensor
        };
    }

private Q_SLOTS:
    void dynamicScales_data()
    {
        QTest::addColumn<QString>("share");
        QTest::addColumn<bool>("keepFirst");
        for (const char* share : {"token", "tensor", "channel", "g32"})
            for (const bool keepFirst : {false, true})
                QTest::addRow("%s%s", share, keepFirst ? ", first kept" : "")
                    << QString::fromLatin1(share) << keepFirst;
    }
    void dynamicScales()
    {
        QFETCH(QString, share);
        QFETCH(bool, keepFirst);
        const graph::Array<float> x = inputs();
        const ActivationRounder rounder(parseActivationScheme("int8:" + share.toStdString()).value());
        graph::Array<float> rounded = x;
        QVERIFY(rounder.round(rounded, keepFirst, m_context));
        compare(rounded, reference(x, shareOf(share), keepFirst));
        for (const int threads : {1, 3}) {
            Executor executor(threads);
            graph::Array<float> other = x;
            QVERIFY(rounder.round(other, keepFirst, JobContext(executor)));
            QVERIFY(std::equal(other.data(), other.data() + x.numel(), rounded.data()));
        }
    }
    void staticScales_data()
    {
        QTest::addColumn<QString>("share");
        for (const char* share : {"tensor", "channel", "g32"})
            QTest::newRow(share) << QString::fromLatin1(share);
    }
    /// With the ranges of all sequences: the scales are those of one long sequence.
    void staticScales()
    {
        QFETCH(QString, share);
        const graph::Array<float> x = inputs();
        std::vector<double> low(kIn, 0), high(kIn, 0);
        for (std::int64_t i = 0; i < x.numel(); ++i) {
            auto& least = low[static_cast<std::size_t>(i % kIn)];
            auto& most = high[static_cast<std::size_t>(i % kIn)];
            least = std::min(least, static_cast<double>(x.data()[i]));
            most = std::max(most, static_cast<double>(x.data()[i]));
        }
        const auto scheme = parseActivationScheme("int8:static:" + share.toStdString()).value();
        graph::Array<float> rounded = x;
        QVERIFY(ActivationRounder(scheme, low, high).round(rounded, false, m_context));
        const auto once = [&](std::int64_t, std::int64_t, std::int64_t c) {
            return share == QLatin1String("channel") ? c : share == QLatin1String("g32") ? c / 32 : 0;
        };
        compare(rounded, reference(x, once, false));
    }
    /// What calibration did not see saturates.
    void staticScalesSaturate()
    {
        const auto scheme = parseActivationScheme("int8:tensor:static:asym").value();
        const std::vector<double> low{0, 0}, high{1, 2.55};
        graph::Array<float> x({1, 1, 2});
        std::copy_n(std::array{-3.0F, 9.0F}.data(), 2, x.write());
        QVERIFY(ActivationRounder(scheme, low, high).round(x, false, m_context));
        QVERIFY(std::fabs(x.data()[0]) < 1e-6F);
        QVERIFY(std::fabs(x.data()[1] - 2.55F) < 1e-5F);
    }
    void keptColumnsMoveNoScale_data()
    {
        QTest::addColumn<QString>("text");
        for (const char* text : {"int8", "int8:tensor", "int8:channel", "int8:g32", "mxfp4", "int8:tensor:static"})
            QTest::newRow(text) << QString::fromLatin1(text);
    }
    /// They become float16; all others are rounded as if zeros stood there.
    void keptColumnsMoveNoScale()
    {
        QFETCH(QString, text);
        const auto scheme = parseActivationScheme(text.toStdString()).value();
        const std::vector<std::int32_t> kept{5, 40, 69};
        const auto isKept = [&](std::int64_t i) { return std::ranges::find(kept, i % kIn) != kept.end(); };
        std::vector<double> low(kIn, -2), high(kIn, 2);
        for (const std::int32_t column : kept)
            low[static_cast<std::size_t>(column)] = high[static_cast<std::size_t>(column)] = 0;
        ActivationRounder plain = scheme.isStatic ? ActivationRounder(scheme, low, high) : ActivationRounder(scheme);
        const graph::Array<float> x = inputs();
        graph::Array<float> zeroed = x;
        for (std::int64_t i = 0; i < x.numel(); ++i)
            if (isKept(i))
                zeroed.write()[i] = 0;
        QVERIFY(plain.round(zeroed, true, m_context));
        plain.keepColumns(kept);
        graph::Array<float> rounded = x;
        QVERIFY(plain.round(rounded, true, m_context));
        for (std::int64_t i = 0; i < x.numel(); ++i) {
            const float value = x.data()[i];
            const bool isFirst = i / kIn % kTokens == 0;
            const float expected = isFirst ? value : isKept(i) ? floatFromF16(f16FromFloat(value)) : zeroed.data()[i];
            QCOMPARE(rounded.data()[i], expected);
        }
    }
    void likeWeights_data()
    {
        QTest::addColumn<QString>("text");
        for (const char* text : {"gguf:q8_0", "gguf:q4_0", "mxfp4", "nvfp4", "bf16", "int4:g32:asym", "fp8_e4m3"})
            QTest::newRow(text) << QString::fromLatin1(text);
    }
    /// Each sequence as W[tokens, in].
    void likeWeights()
    {
        QFETCH(QString, text);
        const auto scheme = parseActivationScheme(text.toStdString()).value();
        const graph::Array<float> x = inputs();
        graph::Array<float> rounded = x;
        QVERIFY(ActivationRounder(scheme).round(rounded, false, m_context));
        const bool isGguf = scheme.scheme.name.starts_with("gguf:");
        for (std::int64_t s = 0; s < kSequences; ++s) {
            const QuantizeTask task{
                .weights = {.dtype = Dtype::f32,
                            .shape = {kTokens, kIn},
                            .data = reinterpret_cast<const std::byte*>(x.data() + s * kTokens * kIn)},
                .scheme = scheme.scheme,
                .spec = {.id = "rtn", .option = isGguf ? "ggml" : "", .values = {}}};
            std::vector<float> wanted(kTokens * kIn);
            quantize(task, m_context).value().restoreRows(0, kTokens, wanted.data());
            QVERIFY(std::equal(wanted.begin(), wanted.end(), rounded.data() + s * kTokens * kIn));
        }
    }
    /// Methods B2: 77 tokens of 1280, the first a thousand times as large; one scale for all of them.
    void firstTokenOfText()
    {
        constexpr std::int64_t kChannels = 1280;
        constexpr std::int64_t kAll = 77 * kChannels;
        graph::Array<float> x({1, 77, kChannels});
        graph::Array<float> rest({1, 76, kChannels});
        const CounterRng rng(9);
        for (std::int64_t i = 0; i < kAll; ++i) {
            const double value = rng.normal(static_cast<std::uint64_t>(i)) * (i < kChannels ? 1000 : 1);
            x.write()[i] = static_cast<float>(value);
            if (i >= kChannels)
                rest.write()[i - kChannels] = static_cast<float>(value);
        }
        const ActivationRounder rounder(parseActivationScheme("int8:tensor").value());
        graph::Array<float> together = x;
        graph::Array<float> kept = x;
        graph::Array<float> alone = rest;
        QVERIFY(rounder.round(together, false, m_context) && rounder.round(kept, true, m_context) &&
                rounder.round(alone, false, m_context));
        const auto qsnr = [&](const graph::Array<float>& rounded) {
            double signal = 0;
            double noise = 0;
            for (std::int64_t i = kChannels; i < kAll; ++i) {
                signal += std::pow(static_cast<double>(x.data()[i]), 2);
                noise += std::pow(static_cast<double>(x.data()[i]) - static_cast<double>(rounded.data()[i]), 2);
            }
            return 10 * std::log10(signal / noise);
        };
        QL_AT_MOST("B2", "first token x 1000, int8 per tensor: QSNR of the others in dB", qsnr(together), 1);
        QL_AT_LEAST("B2", "first token x 1000 kept, int8 per tensor: QSNR of the others in dB", qsnr(kept), 35);
        QL_HOLDS("B2", "the kept token is exact", std::equal(x.data(), x.data() + kChannels, kept.data()));
        QL_HOLDS("B2", "the others are what they are alone",
                 std::equal(alone.data(), alone.data() + rest.numel(), kept.data() + kChannels));
    }

    void ofOtherShapes()
    {
        graph::Array<float> rows = inputs().reshaped({kSequences * kTokens, kIn});
        const graph::Array<float> x = rows;
        const ActivationRounder rounder(parseActivationScheme("int8").value());
        QVERIFY(rounder.round(rows, true, m_context)); // no sequences, so no first tokens
        compare(rows, reference(x, shareOf(QStringLiteral("token")), false));
        graph::Array<float> none({0, kIn});
        QVERIFY(rounder.round(none, false, m_context));
        graph::Array<float> first({2, 1, kIn});
        std::fill_n(first.write(), first.numel(), 0.3F);
        QVERIFY(rounder.round(first, true, m_context));
        QCOMPARE(first.data()[0], 0.3F);
    }
};

QTEST_APPLESS_MAIN(ActivationRounderTest)
#include "activation_rounder_test.moc"
