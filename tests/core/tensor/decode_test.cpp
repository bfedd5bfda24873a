// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/rng.h"
#include "core/tensor/decode_kernels.h"
#include "core/tensor/half.h"
#include "tests/support/vector_targets.h"

#include <QTest>

#include <cmath>
#include <cstring>
#include <vector>

using namespace ql;

namespace {

template<typename T>
auto bitsOf(T value)
{
    if constexpr (sizeof(T) == 4)
        return std::bit_cast<std::uint32_t>(value);
    else
        return std::bit_cast<std::uint64_t>(value);
}

/// The value of one stored element, by the scalar conversions.
float scalarValue(Dtype dtype, const std::byte* at)
{
    std::uint8_t byte = 0;
    std::uint16_t half = 0;
    float value = 0;
    std::memcpy(&byte, at, 1);
    switch (dtype) {
    case Dtype::f32:
        std::memcpy(&value, at, 4);
        return value;
    case Dtype::f8_e4m3:
        return floatFromE4m3(byte);
    case Dtype::f8_e5m2:
        return floatFromE5m2(byte);
    case Dtype::i8:
        return static_cast<float>(static_cast<std::int8_t>(byte));
    case Dtype::u8:
        return static_cast<float>(byte);
    default:
        break;
    }
    std::memcpy(&half, at, 2);
    switch (dtype) {
    case Dtype::f16:
        return floatFromF16(half);
    case Dtype::bf16:
        return floatFromBf16(half);
    case Dtype::i16:
        return static_cast<float>(static_cast<std::int16_t>(half));
    case Dtype::u16:
        return static_cast<float>(half);
    default:
        qFatal("no scalar reference");
    }
}

/// By the formula of section 0: (−1)^s·2^(e−B)·(1+m/2^M), subnormal for e = 0.
double minifloat(unsigned code, int exponentBits, int mantissaBits)
{
    const int bias = (1 << (exponentBits - 1)) - 1;
    const unsigned magnitude = code & ((1U << (exponentBits + mantissaBits)) - 1U);
    const int exponent = static_cast<int>(magnitude >> mantissaBits);
    const double mantissa = static_cast<double>(magnitude & ((1U << mantissaBits) - 1U)) / (1 << mantissaBits);
    const double value = exponent == 0 ? std::ldexp(mantissa, 1 - bias) : std::ldexp(1 + mantissa, exponent - bias);
    return code == magnitude ? value : -value;
}

} // namespace

class DecodeTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Every code of every type of 16 bits and less, and float32 patterns, at odd addresses and lengths.
    void vectorsEqualScalarsInEveryBit()
    {
        const CounterRng rng(41);
        for (const DtypeInfo& row : allDtypes()) {
            if (!hasVectorDecode(row.dtype))
                continue;
            const auto size = static_cast<std::size_t>(row.blockBytes);
            constexpr std::size_t kCodes = 65536 + 77;
            std::vector<std::byte> bytes(kCodes * size + 3);
            for (std::size_t i = 0; i < kCodes; ++i) {
                auto code = static_cast<std::uint32_t>(i);
                if (size == 4)
                    code = static_cast<std::uint32_t>(rng.bits(i) >> 9U) | (i % 5 == 0 ? 0x7f800000U : 0U);
                std::memcpy(bytes.data() + 3 + i * size, &code, size);
            }
            test::forEachVectorTarget([&](const std::string& target) {
                for (const std::int64_t n : {std::int64_t{kCodes}, std::int64_t{0}, std::int64_t{1}, std::int64_t{7},
                                             std::int64_t{16}, std::int64_t{33}}) {
                    const std::int64_t first = n > 100 ? 0 : 31'740;
                    std::vector<float> floats(static_cast<std::size_t>(n) + 1, 777.0F);
                    std::vector<double> doubles(static_cast<std::size_t>(n) + 1, 777.0);
                    decode(row.dtype, bytes.data() + 3, first, n, floats.data());
                    decode(row.dtype, bytes.data() + 3, first, n, doubles.data());
                    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
                        const std::byte* at = bytes.data() + 3 + (static_cast<std::size_t>(first) + i) * size;
                        const float want = scalarValue(row.dtype, at);
                        volatile float opaque = want; // converted as the processor does it
                        const auto wide = static_cast<double>(opaque);
                        if (bitsOf(floats[i]) != bitsOf(want) || bitsOf(doubles[i]) != bitsOf(wide))
                            QFAIL((std::string(row.word) + " code " + std::to_string(i) + " on " + target).c_str());
                    }
                    QCOMPARE(floats.back(), 777.0F);
                    QCOMPARE(doubles.back(), 777.0);
                }
            });
        }
    }

    void subByteCodesByTheirFormula()
    {
        const struct {
            Dtype dtype;
            int exponentBits, mantissaBits;
        } types[] = {{Dtype::f6_e2m3, 2, 3}, {Dtype::f6_e3m2, 3, 2}, {Dtype::f4_e2m1, 2, 1}};
        for (const auto& [dtype, exponentBits, mantissaBits] : types) {
            const int bits = 1 + exponentBits + mantissaBits;
            constexpr std::int64_t kCount = 192;
            std::vector<std::byte> bytes(static_cast<std::size_t>(*storedBytes(dtype, kCount)));
            const auto codeAt = [&](std::size_t i) {
                return static_cast<unsigned>(i * 5 + i / 64) & ((1U << bits) - 1U);
            };
            for (std::size_t i = 0; i < kCount; ++i)
                for (std::size_t bit = 0; bit < static_cast<std::size_t>(bits); ++bit)
                    if ((codeAt(i) >> bit & 1U) != 0) {
                        const std::size_t at = i * static_cast<std::size_t>(bits) + bit;
                        bytes[at / 8] |= static_cast<std::byte>(1U << (at % 8));
                    }
            std::vector<float> floats(kCount);
            std::vector<double> doubles(kCount / 2);
            decode(dtype, bytes.data(), 0, kCount, floats.data());
            decode(dtype, bytes.data(), kCount / 2, kCount / 2, doubles.data());
            for (std::size_t i = 0; i < kCount; ++i) {
                const double want = minifloat(codeAt(i), exponentBits, mantissaBits);
                QCOMPARE(bitsOf(static_cast<double>(floats[i])), bitsOf(want));
                if (i >= kCount / 2)
                    QCOMPARE(bitsOf(doubles[i - kCount / 2]), bitsOf(want));
            }
        }
    }

    void scalarTablesByTheirFormula()
    {
        for (unsigned code = 0; code < 256; ++code) {
            const auto byte = static_cast<std::uint8_t>(code);
            if ((code & 0x7fU) != 0x7fU)
                QCOMPARE(static_cast<double>(floatFromE4m3(byte)), minifloat(code, 4, 3));
            else
                QVERIFY(std::isnan(floatFromE4m3(byte)));
            if ((code & 0x7fU) < 0x7cU)
                QCOMPARE(static_cast<double>(floatFromE5m2(byte)), minifloat(code, 5, 2));
            else
                QVERIFY((code & 3U) == 0 ? std::isinf(floatFromE5m2(byte)) : std::isnan(floatFromE5m2(byte)));
            if (code < 255)
                QCOMPARE(static_cast<double>(floatFromE8m0(byte)), std::ldexp(1.0, static_cast<int>(code) - 127));
        }
        QVERIFY(std::isnan(floatFromE8m0(255)));
        for (unsigned code = 0; code < 65536; ++code)
            if ((code & 0x7c00U) != 0x7c00U)
                QCOMPARE(static_cast<double>(floatFromF16(static_cast<std::uint16_t>(code))), minifloat(code, 5, 10));
    }

    void wideTypes()
    {
        const std::int64_t ints[] = {0,         -1,       1, std::int64_t{1} << 53, (std::int64_t{1} << 53) + 1,
                                     INT64_MIN, INT64_MAX};
        double doubles[7];
        float floats[7];
        decode(Dtype::i64, reinterpret_cast<const std::byte*>(ints), 0, 7, doubles);
        decode(Dtype::i64, reinterpret_cast<const std::byte*>(ints), 0, 7, floats);
        for (int i = 0; i < 7; ++i) {
            QCOMPARE(doubles[i], static_cast<double>(ints[i]));
            QCOMPARE(floats[i], static_cast<float>(ints[i]));
        }
        const double wide[] = {1 + 0x1p-24, 1 + 0x1.8p-23, 1e300, -1e-300, 0x1p-149};
        decode(Dtype::f64, reinterpret_cast<const std::byte*>(wide), 0, 5, floats);
        QCOMPARE(floats[0], 1.0F); // ties to even
        QCOMPARE(floats[1], 1 + 0x1p-22F);
        QVERIFY(std::isinf(floats[2]) && floats[3] == 0 && std::signbit(floats[3]));
        QCOMPARE(bitsOf(floats[4]), 1U);
    }
};

QTEST_APPLESS_MAIN(DecodeTest)
#include "decode_test.moc"
