// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/tensor/ggml_blocks.h"

#include <QTest>

#include <bit>
#include <cmath>
#include <cstring>
#include <set>

using namespace ql;

namespace {

template<typename T>
T take(std::span<const std::byte>& bytes)
{
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes = bytes.subspan(sizeof value);
    return value;
}

std::vector<float> decodeHex(Dtype dtype, const char* hex)
{
    const QByteArray bytes = QByteArray::fromHex(hex);
    const DtypeInfo& type = info(dtype);
    std::vector<float> values(static_cast<std::size_t>(bytes.size() / type.blockBytes * type.blockElements));
    decodeGgmlBlocks(dtype, reinterpret_cast<const std::byte*>(bytes.data()), bytes.size() / type.blockBytes,
                     values.data());
    return values;
}

/// The input of the vectors below: x[i] = ((37 i mod 101) - 50) / 64.
float ramp(std::size_t i)
{
    return static_cast<float>(static_cast<int>(37 * i % 101) - 50) / 64.0F;
}

} // namespace

class GgmlBlocksTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Random blocks with zero, subnormal, largest and infinite scales: equal bits with gguf-py's dequantize.
    void equalsReference()
    {
        const auto file = MappedFile::open(QL_TEST_DATA "/ggml/blocks.bin");
        QVERIFY(file);
        std::span<const std::byte> bytes = (*file)->bytes();
        std::set<Dtype> seen;
        while (!bytes.empty()) {
            const Dtype dtype = dtypeFromGgml(take<std::uint32_t>(bytes)).value();
            const auto blocks = static_cast<std::int64_t>(take<std::uint32_t>(bytes));
            const DtypeInfo& type = info(dtype);
            const auto elements = static_cast<std::size_t>(blocks * type.blockElements);
            const std::span<const std::byte> stored = bytes.first(static_cast<std::size_t>(blocks * type.blockBytes));
            bytes = bytes.subspan(stored.size());
            std::vector<float> values(elements);
            decode(dtype, stored.data(), 0, static_cast<std::int64_t>(elements), values.data());
            for (std::size_t i = 0; i < elements; ++i) {
                const auto expected = take<float>(bytes);
                if (std::isnan(expected) && std::isnan(values[i]))
                    continue;
                if (std::bit_cast<std::uint32_t>(values[i]) != std::bit_cast<std::uint32_t>(expected))
                    QFAIL(qPrintable(QString::fromStdString(std::string(type.word)) +
                                     QString(QStringLiteral(" element %1: %2, not %3"))
                                         .arg(i)
                                         .arg(static_cast<double>(values[i]))
                                         .arg(static_cast<double>(expected))));
            }
            seen.insert(dtype);
        }
        for (const DtypeInfo& type : allDtypes())
            QCOMPARE(seen.contains(type.dtype), type.isGgml && isDecodable(type.dtype));
    }

    /// Blocks written by ggml's reference quantizers from a known ramp: every value is within half a step.
    void restoresWhatGgmlWrote_data()
    {
        QTest::addColumn<int>("dtype");
        QTest::addColumn<QByteArray>("hex");
        QTest::addColumn<double>("tolerance");
        const auto row = [](const char* name, Dtype dtype, const char* hex, double tolerance) {
            QTest::newRow(name) << static_cast<int>(dtype) << QByteArray(hex) << tolerance;
        };
        row("q4_0", Dtype::q4_0, "402ee046acf258bd1379df358be046acf268", 0.1);
        row("q4_1", Dtype::q4_1, "ab2e40bad0369bf257bd1369ce258ae0469cf258", 0.06);
        row("q5_0", Dtype::q5_0, "402aa4a52d6dc07c38f3bf6b26e2ae5a15d18d49f4c0", 0.06);
        row("q5_1", Dtype::q5_1, "742a40baa4a52d6db07b37e3af6a26d29d5905c18c48f4b0", 0.03);
        row("q8_0", Dtype::q8_0, "4d1e81df3d9af856b41270cd2b89e745a2005ebb1977d53390ee4caa0866c3217fdc", 0.004);
        row("iq4_nl", Dtype::iq4_nl, "551ee035acf147ce1269df249bf036bdf158", 0.1);
        row("mxfp4", Dtype::mxfp4, "7c6fdb257ec946fea267ec146fda357eb0", 0.13);
        row("nvfp4", Dtype::nvfp4, "202020207fcb45fea956ee0266ed1267dc347fba45ffb956ee0167dd0267dc347fca56fe", 0.13);
    }
    void restoresWhatGgmlWrote()
    {
        QFETCH(int, dtype);
        QFETCH(QByteArray, hex);
        QFETCH(double, tolerance);
        const std::vector<float> values = decodeHex(static_cast<Dtype>(dtype), hex.constData());
        for (std::size_t i = 0; i < values.size(); ++i)
            QVERIFY2(std::fabs(static_cast<double>(values[i] - ramp(i))) <= tolerance, qPrintable(QString::number(i)));
    }

    /// The two types gguf-py cannot restore: ggml's own bytes give the sign, and the sign or zero, of every input.
    void signsOfTheBinaryAndTernaryTypes()
    {
        const std::vector<float> binary = decodeHex(Dtype::q1_0, "4e36a4a52d6d69494b5b5ad2d29696b4b4a5");
        QCOMPARE(binary.size(), std::size_t{128});
        for (std::size_t i = 0; i < binary.size(); ++i)
            QCOMPARE(std::signbit(binary[i]), ramp(i) < 0);
        const std::vector<float> ternary = decodeHex(Dtype::q2_0, "403a14491649924592659164912459244916");
        QCOMPARE(ternary.size(), std::size_t{64});
        const float d = *std::ranges::max_element(ternary);
        for (std::size_t i = 0; i < ternary.size(); ++i)
            QCOMPARE(ternary[i] / d, std::round(ramp(i) / d));
    }

    /// decode() of a part of an unaligned array equals that part of the whole, in float and in double.
    void partsEqualTheWhole()
    {
        const QByteArray two = QByteArray("x") + QByteArray::fromHex("402ee046acf258bd1379df358be046acf268") +
                               QByteArray::fromHex("402af046acf258bd1379df358be046acf268");
        const auto* data = reinterpret_cast<const std::byte*>(two.data()) + 1;
        std::vector<float> whole(64);
        std::vector<float> part(32);
        std::vector<double> doubles(32);
        decode(Dtype::q4_0, data, 0, 64, whole.data());
        decode(Dtype::q4_0, data, 32, 32, part.data());
        decode(Dtype::q4_0, data, 32, 32, doubles.data());
        for (std::size_t i = 0; i < 32; ++i) {
            QCOMPARE(part[i], whole[32 + i]);
            QCOMPARE(doubles[i], static_cast<double>(whole[32 + i]));
        }
    }
};

QTEST_APPLESS_MAIN(GgmlBlocksTest)
#include "ggml_blocks_test.moc"
