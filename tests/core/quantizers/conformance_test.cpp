// SPDX-License-Identifier: GPL-3.0-or-later
// Published numbers: golden blocks, conformance vectors, reference QSNR tables, storage costs.
#include "core/base/file.h"
#include "core/tensor/half.h"
#include "tests/support/acceptance.h"
#include "tests/support/laws.h"

#include <nlohmann/json.hpp>

#include <bit>
#include <cmath>

using namespace ql;
using namespace ql::tests;

namespace {

std::string hex(const std::vector<std::uint8_t>& bytes)
{
    std::string text;
    for (const std::uint8_t byte : bytes)
        for (const int nibble : {byte >> 4, byte & 15})
            text += "0123456789abcdef"[nibble];
    return text;
}

/// A block of 32 codes as GGUF lays it out.
std::vector<std::uint8_t> packed(const QuantizedTensor& q, std::size_t index)
{
    std::vector<std::uint8_t> block;
    const auto put16 = [&](float value) {
        const std::uint16_t bits = f16FromFloat(value);
        block.push_back(static_cast<std::uint8_t>(bits & 255));
        block.push_back(static_cast<std::uint8_t>(bits >> 8));
    };
    put16(q.scales[index]);
    if (!q.minima.empty())
        put16(q.minima[index]);
    const int bits = q.scheme.element->bits;
    const int offset = q.minima.empty() && bits < 8 ? 1 << (bits - 1) : 0;
    const auto code = [&](std::size_t i) { return q.codes.as<std::int8_t>()[32 * index + i] + offset; };
    if (bits == 5) {
        std::uint32_t high = 0;
        for (std::size_t i = 0; i < 32; ++i)
            high |= static_cast<std::uint32_t>(code(i) >> 4) << i;
        for (unsigned byte = 0; byte < 4; ++byte)
            block.push_back(static_cast<std::uint8_t>(high >> (8 * byte)));
    }
    for (std::size_t i = 0; i < (bits == 8 ? 32U : 16U); ++i)
        block.push_back(static_cast<std::uint8_t>(bits == 8 ? code(i) : (code(i) & 15) | (code(i + 16) & 15) << 4));
    return block;
}

nlohmann::json readGolden(const char* name)
{
    const auto text = readTextFile(std::filesystem::path(QL_TEST_DATA) / "quantizers" / name, 1 << 20);
    return nlohmann::json::parse(text.value());
}

} // namespace

class ConformanceTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void ggmlGoldenBlocks_data()
    {
        QTest::addColumn<QByteArray>("type");
        QTest::addColumn<QByteArray>("golden");
        QTest::newRow("q4_0") << QByteArray("q4_0") << QByteArray("402ee046acf258bd1379df358be046acf268");
        QTest::newRow("q4_1") << QByteArray("q4_1") << QByteArray("ab2e40bad0369bf257bd1369ce258ae0469cf258");
        QTest::newRow("q5_0") << QByteArray("q5_0") << QByteArray("402aa4a52d6dc07c38f3bf6b26e2ae5a15d18d49f4c0");
        QTest::newRow("q5_1") << QByteArray("q5_1") << QByteArray("742a40baa4a52d6db07b37e3af6a26d29d5905c18c48f4b0");
        QTest::newRow("q8_0") << QByteArray("q8_0")
                              << QByteArray("4d1e81df3d9af856b41270cd2b89e745a2005ebb1977d53390ee4caa0866c3217fdc");
    }
    void ggmlGoldenBlocks()
    {
        QFETCH(QByteArray, type);
        QFETCH(QByteArray, golden);
        std::vector<float> x(32);
        for (int i = 0; i < 32; ++i)
            x[static_cast<std::size_t>(i)] = static_cast<float>((37 * i) % 101 - 50) / 64;
        const QuantizedTensor q = quantized(viewOf(x, {1, 32}), ("gguf:" + type).constData(), "rtn:ggml");
        QCOMPARE(hex(packed(q, 0)), golden.toStdString());
    }

    void compressedTensorsBits()
    {
        const nlohmann::json golden = readGolden("compressed_tensors.json");
        std::vector<std::uint16_t> w;
        for (const auto& bits : golden["weights_bf16"])
            w.push_back(bits.get<std::uint16_t>());
        const TensorView view{Dtype::bf16, golden["shape"].get<Shape>(), reinterpret_cast<const std::byte*>(w.data())};
        for (const auto& expected : golden["cases"]) {
            const auto scheme = expected["scheme"].get<std::string>();
            const QuantizedTensor q = quantized(view, scheme, "rtn:ct");
            QCOMPARE(expected["scales"].size(), q.scales.size());
            for (std::size_t i = 0; i < q.scales.size(); ++i) {
                QVERIFY2(expected["scales"][i].get<int>() == bf16FromFloat(q.scales[i]), scheme.c_str());
                if (!q.zeroPoints.empty())
                    QVERIFY2(expected["zeros"][i].get<int>() == q.zeroPoints[i], scheme.c_str());
            }
            QCOMPARE(expected["codes"].size(), static_cast<std::size_t>(q.codes.sizeBytes()));
            for (std::size_t i = 0; i < expected["codes"].size(); ++i)
                QVERIFY2(expected["codes"][i].get<int>() == q.codes.as<std::int8_t>()[i],
                         (scheme + " at " + std::to_string(i)).c_str());
        }
    }

    void ggufBits()
    {
        const nlohmann::json golden = readGolden("gguf.json");
        std::vector<float> w;
        for (const auto& bits : golden["weights_f32"])
            w.push_back(std::bit_cast<float>(bits.get<std::uint32_t>()));
        for (const auto& expected : golden["cases"]) {
            const auto type = expected["type"].get<std::string>();
            const QuantizedTensor q = quantized(viewOf(w, golden["shape"].get<Shape>()), "gguf:" + type, "rtn:ggml");
            std::string text;
            for (std::size_t block = 0; block < q.scales.size(); ++block)
                text += hex(packed(q, block));
            QCOMPARE(text, expected["bytes"].get<std::string>());
            std::vector<float> decoded(w.size());
            std::vector<std::uint8_t> bytes;
            for (std::size_t block = 0; block < q.scales.size(); ++block)
                for (const std::uint8_t byte : packed(q, block))
                    bytes.push_back(byte);
            decode(dtypeFromWord(type).value(), reinterpret_cast<const std::byte*>(bytes.data()), 0,
                   static_cast<std::int64_t>(w.size()), decoded.data());
            QVERIFY2(sameBits(decoded, restored(q)), type.c_str());
        }
    }

    void microscalingVectors()
    {
        std::vector<float> x(32);
        const std::vector<float> head{.25F, .75F, 1.25F, 1.75F, 2.5F, 3.5F, 5, 7};
        std::copy(head.begin(), head.end(), x.begin());
        const auto first8 = [&](const char* spec) {
            std::vector<float> values = restored(quantized(viewOf(x, {1, 32}), "mxfp4", spec));
            values.resize(8);
            return values;
        };
        QL_HOLDS("C1", "the published block by mxfp4, floor rule",
                 first8("rtn:ocp") == (std::vector<float>{0, 1, 1, 2, 2, 4, 4, 6}));
        QL_HOLDS("C1", "the published block by mxfp4, ceil rule",
                 first8("rtn") == (std::vector<float>{0, 1, 1, 2, 2, 4, 4, 8}));
        std::vector<float> y(32);
        y[3] = 1.995F;
        y[9] = -1.995F;
        const std::vector<float> values = restored(quantized(viewOf(y, {1, 32}), "mxint8", "rtn:ocp"));
        QL_HOLDS("C1", "mxint8 clips alike on both sides", values[3] == 1.984375F && values[9] == -1.984375F);
    }

    void referenceQsnr_data()
    {
        QTest::addColumn<QByteArray>("law");
        QTest::addColumn<int>("group");
        QTest::addColumn<QByteArray>("element");
        QTest::addColumn<double>("expected");
        const std::vector<const char*> elements{"int3:restricted",
                                                "int3:asym",
                                                "int4:restricted",
                                                "int4:asym",
                                                "int6:restricted",
                                                "int8:restricted",
                                                "e2m1",
                                                "e3m0",
                                                "e2m2",
                                                "e3m1",
                                                "e2m3",
                                                "e3m2",
                                                "e4m3",
                                                "e5m2"};
        const auto rows = [&](const char* law, int group, const std::vector<double>& expected) {
            for (std::size_t i = 0; i < elements.size(); ++i)
                QTest::addRow("%s %d %s", law, group, elements[i])
                    << QByteArray(law) << group << QByteArray(elements[i]) << expected[i];
        };
        rows("normal", 32,
             {12.90, 15.23, 20.26, 21.85, 33.19, 45.43, 19.90, 14.87, 26.13, 20.31, 32.31, 26.40, 32.53, 26.40});
        rows("normal", 128,
             {11.25, 13.33, 18.61, 19.95, 31.54, 43.78, 19.26, 14.31, 25.42, 19.86, 31.54, 25.80, 31.86, 25.80});
        rows("normal", 4096,
             {8.71, 10.48, 16.07, 17.09, 29.00, 41.25, 18.50, 14.20, 24.78, 19.73, 30.89, 25.57, 31.55, 25.57});
        rows("laplace", 128,
             {8.96, 11.29, 15.91, 17.70, 28.74, 40.98, 18.35, 14.66, 24.84, 20.14, 31.08, 26.10, 32.16, 26.10});
        rows("t5", 128,
             {8.29, 10.96, 15.32, 17.53, 28.23, 40.47, 18.19, 14.75, 24.76, 20.23, 31.01, 26.19, 32.23, 26.19});
    }
    void referenceQsnr()
    {
        QFETCH(QByteArray, law);
        QFETCH(int, group);
        QFETCH(QByteArray, element);
        QFETCH(double, expected);
        QByteArray scheme = element;
        const QByteArray part = ":g" + QByteArray::number(group);
        const auto colon = scheme.indexOf(':');
        scheme.insert(colon < 0 ? scheme.size() : colon, part);
        // Those that ZeroQuant(4+2) compares; all of them are of the study of minifloats.
        const bool isOfFp6 =
            law == "normal" && (group == 4096 ? element == "e3m2" || element == "e2m3" || element == "int6:restricted"
                                              : group == 128 && element == "int4:asym");
        QL_NEAR(isOfFp6 ? "B5" : "B3", lawName(law.toStdString()) + ", " + scheme.toStdString() + ", QSNR in dB",
                qsnrDb(rowsOf(million(law.toStdString())), scheme.toStdString()), expected, law == "t5" ? 0.4 : 0.1);
    }

    void microscalingQsnr_data()
    {
        QTest::addColumn<QByteArray>("law");
        QTest::addColumn<QByteArray>("scheme");
        QTest::addColumn<QByteArray>("spec");
        QTest::addColumn<double>("expected");
        const auto row = [](const char* law, const char* scheme, const char* spec, double expected) {
            QTest::addRow("%s %s %s", law, scheme, spec)
                << QByteArray(law) << QByteArray(scheme) << QByteArray(spec) << expected;
        };
        const std::vector<const char*> names{"mxint8",     "mxfp8_e4m3", "mxfp8_e5m2", "mxint6",
                                             "mxfp6_e2m3", "mxfp6_e3m2", "mxint4",     "mxfp4"};
        const std::vector<double> ceil{41.61, 31.52, 25.53, 29.42, 30.96, 25.53, 16.84, 18.76};
        const std::vector<double> ocp{41.66, 30.65, 25.35, 29.62, 30.94, 25.35, 17.56, 18.79};
        for (std::size_t i = 0; i < names.size(); ++i) {
            row("normal", names[i], "rtn", ceil[i]);
            row("normal", names[i], "rtn:ocp", ocp[i]);
        }
        row("normal", "nvint4", "rtn", 21.28);
        row("normal", "nvfp4", "rtn", 20.44);
        row("laplace", "nvint4", "rtn", 19.80);
        row("laplace", "nvfp4", "rtn", 20.66);
        row("laplace", "mxint8", "rtn", 39.93);
        row("laplace", "mxfp8_e4m3", "rtn", 31.53);
    }
    void microscalingQsnr()
    {
        QFETCH(QByteArray, law);
        QFETCH(QByteArray, scheme);
        QFETCH(QByteArray, spec);
        QFETCH(double, expected);
        QL_NEAR("C1", lawName(law.toStdString()) + ", " + (scheme + "@" + spec).toStdString() + ", QSNR in dB",
                qsnrDb(rowsOf(million(law.toStdString())), scheme.toStdString(), spec.toStdString()), expected, 0.15);
    }

    void minifloatsOfOneExponentBitAreIntegers()
    {
        const std::vector<float> x = samples("normal", 64 * 300, 3);
        bool areEqual = true;
        for (int m = 1; m <= 6; ++m)
            for (const char* granularity : {":g32", ":channel", ":tensor"}) {
                const std::string e1 = "e1m" + std::to_string(m) + granularity;
                const std::string integer = "int" + std::to_string(m + 2) + granularity + ":restricted";
                const std::vector<float> a = restored(quantized(viewOf(x, {64, 300}), e1.c_str()));
                const std::vector<float> b = restored(quantized(viewOf(x, {64, 300}), integer.c_str()));
                areEqual = areEqual && sameBits(a, b);
            }
        QL_HOLDS("B3", "e1m<y> is int<y+2>:restricted bit for bit, y = 1…6, by group, row and tensor", areEqual);
        QL_HOLDS("C6", "e1m<y> has the levels of symmetric integers", areEqual);
    }

    void storageCosts()
    {
        const auto bpw = [](const char* scheme) {
            return static_cast<double>(payloadBits(parseScheme(scheme).value(), 4096, 4096)) / (4096.0 * 4096.0);
        };
        const double tensorScale = 32 / (4096.0 * 4096.0);
        for (const auto& [scheme, expected] : {std::pair("mxfp8_e4m3", 8.25),
                                               {"mxfp8_e5m2", 8.25},
                                               {"mxint8", 8.25},
                                               {"mxfp6_e2m3", 6.25},
                                               {"mxfp6_e3m2", 6.25},
                                               {"mxint6", 6.25},
                                               {"mxfp4", 4.25},
                                               {"mxint4", 4.25},
                                               {"nvfp4", 4.5 + tensorScale},
                                               {"nvint4", 4.5 + tensorScale}})
            QL_NEAR("C1", std::string("bits per weight of ") + scheme, bpw(scheme), expected, 0);
        QCOMPARE(bpw("int4:g128:s=f16"), 4 + 16 / 128.0);
        QCOMPARE(bpw("int4:g128:asym:s=f16"), 4 + 16 / 128.0 + 4 / 128.0);
        QCOMPARE(bpw("int3:s=bf16"), 3 + 16 / 4096.0);
        QCOMPARE(bpw("gguf:q4_0"), 4.5);
        QCOMPARE(bpw("gguf:q4_1"), 5.0);
        QCOMPARE(bpw("gguf:q5_0"), 5.5);
        QCOMPARE(bpw("gguf:q5_1"), 6.0);
        QCOMPARE(bpw("gguf:q8_0"), 8.5);
        QCOMPARE(bpw("bf16"), 16.0);
        // 2^20 weights in int4 by groups of 128, f16 scales and zero points of 4 bits.
        QL_NEAR("B16", "bits of 2^20 weights, int4:g128:asym:s=f16",
                static_cast<double>(payloadBits(parseScheme("int4:g128:asym:s=f16").value(), 1024, 1024)), 4358144, 0);
        QCOMPARE(payloadBits(parseScheme("keep").value(), 10, 10, 4.5), 450);
    }
};

QTEST_APPLESS_MAIN(ConformanceTest)
#include "conformance_test.moc"
