// SPDX-License-Identifier: GPL-3.0-or-later
// What published kernels and rules rest on, from the codes, scales and zero points as they are stored: exact zeros,
// products of integers, signs and tables of sums in place of integers, and who shares a scale.
#include "core/tensor/half.h"
#include "tests/support/acceptance.h"
#include "tests/support/laws.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

/// The code 0…2^b−1 of an integer that is stored in two's complement.
int unsignedCode(const QuantizedTensor& q, std::size_t i)
{
    return q.codes.as<std::int8_t>()[i] + (1 << (q.scheme.element->bits - 1));
}

int unsignedZero(const QuantizedTensor& q, std::size_t run)
{
    return q.zeroPoints[run] + (1 << (q.scheme.element->bits - 1));
}

double qsnrOf(const std::vector<float>& w, const std::vector<float>& restored, std::size_t first, std::size_t last)
{
    double signal = 0;
    double noise = 0;
    for (std::size_t i = first; i < last; ++i) {
        signal += std::pow(static_cast<double>(w[i]), 2);
        noise += std::pow(static_cast<double>(w[i]) - static_cast<double>(restored[i]), 2);
    }
    return 10 * std::log10(signal / noise);
}

} // namespace

class StoredCodesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void zeroIsExact_data()
    {
        QTest::addColumn<double>("low");
        QTest::addColumn<double>("high");
        QTest::newRow("both signs") << -0.7 << 1.9;
        QTest::newRow("positive") << 2.0 << 3.0;
        QTest::newRow("negative") << -3.0 << -2.0;
        QTest::newRow("constant") << 5.0 << 5.0;
        QTest::newRow("negative constant") << -5.0 << -5.0;
    }
    void zeroIsExact()
    {
        QFETCH(double, low);
        QFETCH(double, high);
        const CounterRng rng(51);
        std::vector<float> w(8 * 64);
        for (std::size_t i = 0; i < w.size(); ++i)
            w[i] = static_cast<float>(low + (high - low) * rng.uniform(i));
        std::vector<float> padded(w);
        for (std::size_t i = 0; i < padded.size(); i += 7)
            padded[i] = 0;
        for (const char* scheme :
             {"int8:asym", "int4:asym", "int8:tensor:asym", "int8:restricted", "int4", "int3:g16:asym"}) {
            const std::string name = std::string(scheme) + ", " + QTest::currentDataTag() + ": ";
            const std::vector<float> x = restored(quantized(viewOf(padded, {8, 64}), scheme));
            bool isExact = true;
            for (std::size_t i = 0; i < x.size(); i += 7)
                isExact = isExact && x[i] == 0;
            QL_HOLDS("B6", name + "0 is restored as 0", isExact);
            const QuantizedTensor q = quantized(viewOf(w, {8, 64}), scheme);
            const std::vector<float> y = restored(q);
            double worst = 0;
            for (std::size_t i = 0; i < y.size(); ++i)
                worst = std::max(worst, std::fabs(static_cast<double>(w[i]) - static_cast<double>(y[i])) /
                                            static_cast<double>(q.scales[i * q.scales.size() / y.size()]));
            QL_AT_MOST("B6", name + "largest error in steps", worst, 1 + 1e-5); // the zero point is rounded, too
        }
    }

    /// Σ(q_w − z_w)(q_x − z_x) = Σq_w·q_x − z_w·Σq_x − z_x·Σq_w + K·z_w·z_x.
    void integerProducts()
    {
        constexpr std::size_t kIn = 300;
        constexpr std::size_t kOut = 20;
        constexpr std::size_t kTokens = 9;
        const std::vector<float> w = normalSamples(kOut * kIn, 52);
        std::vector<float> x = normalSamples(kTokens * kIn, 53, 1);
        for (float& value : x)
            value = std::max(value, -0.2F); // mostly positive
        const QuantizedTensor qw = quantized(viewOf(w, {kOut, kIn}), "int8:asym");
        const QuantizedTensor qx = quantized(viewOf(x, {kTokens, kIn}), "int8:tensor:asym");
        const std::vector<float> rw = restored(qw);
        const std::vector<float> rx = restored(qx);
        const std::int64_t zx = unsignedZero(qx, 0);
        double error = 0;
        double whole = 0;
        for (std::size_t t = 0; t < kTokens; ++t)
            for (std::size_t o = 0; o < kOut; ++o) {
                std::int64_t products = 0;
                std::int64_t sumW = 0;
                std::int64_t sumX = 0;
                double expected = 0;
                for (std::size_t i = 0; i < kIn; ++i) {
                    const std::int64_t a = unsignedCode(qw, o * kIn + i);
                    const std::int64_t b = unsignedCode(qx, t * kIn + i);
                    products += a * b;
                    sumW += a;
                    sumX += b;
                    expected += static_cast<double>(rw[o * kIn + i]) * static_cast<double>(rx[t * kIn + i]);
                }
                const std::int64_t zw = unsignedZero(qw, o);
                const std::int64_t sum = products - zw * sumX - zx * sumW + static_cast<std::int64_t>(kIn) * zw * zx;
                const double made =
                    static_cast<double>(sum) * static_cast<double>(qw.scales[o]) * static_cast<double>(qx.scales[0]);
                error += std::pow(made - expected, 2);
                whole += expected * expected;
            }
        QL_AT_MOST("B6",
                   "int8 product expanded by zero points, relative difference from the product of what is restored",
                   std::sqrt(error / whole), 1e-6);
    }

    /// Σq_w·q_x = Σ_ij 2^(i+j)·popcount(w_i & x_j) of the codes' bit planes, then as above: any two widths.
    void bitPlanes()
    {
        constexpr std::size_t kIn = 192;
        constexpr std::size_t kOut = 6;
        const std::vector<float> w = normalSamples(kOut * kIn, 61);
        const std::vector<float> x = normalSamples(kIn, 62);
        const auto planesOf = [](const QuantizedTensor& q, std::size_t row) {
            std::vector<std::array<std::uint64_t, kIn / 64>> planes(static_cast<std::size_t>(q.scheme.element->bits));
            for (std::size_t p = 0; p < planes.size(); ++p)
                for (std::size_t i = 0; i < kIn; ++i)
                    planes[p][i / 64] |=
                        std::uint64_t{(static_cast<unsigned>(unsignedCode(q, row * kIn + i)) >> p) & 1U} << (i % 64);
            return planes;
        };
        for (int bitsW = 2; bitsW <= 8; ++bitsW) {
            bool areEqual = true;
            const QuantizedTensor qw = quantized(viewOf(w, {kOut, kIn}), "int" + std::to_string(bitsW) + ":asym");
            for (int bitsX = 2; bitsX <= 8; ++bitsX) {
                const QuantizedTensor qx = quantized(viewOf(x, {1, kIn}), "int" + std::to_string(bitsX) + ":asym");
                const auto planesX = planesOf(qx, 0);
                for (std::size_t o = 0; o < kOut; ++o) {
                    const auto planesW = planesOf(qw, o);
                    std::int64_t products = 0;
                    for (std::size_t a = 0; a < planesW.size(); ++a)
                        for (std::size_t b = 0; b < planesX.size(); ++b)
                            for (std::size_t word = 0; word < kIn / 64; ++word)
                                products += std::int64_t{std::popcount(planesW[a][word] & planesX[b][word])} << (a + b);
                    std::int64_t sumW = 0;
                    std::int64_t sumX = 0;
                    std::int64_t expected = 0;
                    const std::int64_t zw = unsignedZero(qw, o);
                    const std::int64_t zx = unsignedZero(qx, 0);
                    for (std::size_t i = 0; i < kIn; ++i) {
                        const std::int64_t a = unsignedCode(qw, o * kIn + i);
                        const std::int64_t b = unsignedCode(qx, i);
                        sumW += a;
                        sumX += b;
                        expected += (a - zw) * (b - zx);
                    }
                    areEqual = areEqual &&
                               products - zw * sumX - zx * sumW + static_cast<std::int64_t>(kIn) * zw * zx == expected;
                }
            }
            QL_HOLDS("C8", "int" + std::to_string(bitsW) + ":asym times int2 to int8: products of bit planes are exact",
                     areEqual);
        }
    }

    /// Rows whose ranges span a factor of 1000.
    void scalesOfRows()
    {
        constexpr std::size_t kCols = 256;
        std::vector<float> w = samples("normal", 16 * kCols);
        for (std::size_t i = 0; i < w.size(); ++i)
            w[i] *= static_cast<float>(std::pow(1000, static_cast<double>(i / kCols) / 15));
        for (const char* part : {":restricted", ":asym"}) {
            const std::vector<float> byRow = restored(quantized(viewOf(w, {16, kCols}), std::string("int8") + part));
            const std::vector<float> byTensor =
                restored(quantized(viewOf(w, {16, kCols}), std::string("int8:tensor") + part));
            double least = std::numeric_limits<double>::infinity();
            for (std::size_t row = 0; row < 5; ++row) // more than 100 times smaller than the largest
                least = std::min(least, qsnrOf(w, byRow, row * kCols, (row + 1) * kCols) -
                                            qsnrOf(w, byTensor, row * kCols, (row + 1) * kCols));
            QL_AT_LEAST("B6", std::string("int8") + part + ", small rows of ranges x 1000: dB by rows over by tensor",
                        least, 20);
        }
        QL_NEAR("B6", "payload of int8 by tensor over that of f32",
                static_cast<double>(payloadBits(parseScheme("int8:tensor").value(), 4096, 4096)) /
                    static_cast<double>(payloadBits(parseScheme("f32").value(), 4096, 4096)),
                0.25, 1e-6);
    }

    /// Q-BERT: scales for equal blocks of output rows, which are nested; and what BERT-base takes then.
    void groupsOfOutputRows()
    {
        constexpr std::int64_t kRows = 768;
        constexpr std::int64_t kCols = 768;
        std::vector<float> w = samples("normal", kRows * kCols, 54);
        const CounterRng rng(55);
        for (std::size_t i = 0; i < w.size(); ++i) // rows of different sizes
            w[i] *= static_cast<float>(std::exp(0.5 * rng.normal(i / kCols)));
        const auto error = [&](std::int64_t groups) {
            const std::int64_t rows = kRows / groups;
            double sum = 0;
            for (std::int64_t g = 0; g < groups; ++g) {
                const TensorView part{
                    Dtype::f32, {rows, kCols}, reinterpret_cast<const std::byte*>(w.data() + g * rows * kCols)};
                sum += squaredError(part, quantized(part, "int4:tensor:asym"));
            }
            return sum;
        };
        std::vector<double> errors;
        for (const std::int64_t groups : {1, 12, 128, 768})
            errors.push_back(error(groups));
        QL_HOLDS("A6", "int4, squared error falls from 1 group of output rows to 12, 128 and 768",
                 std::ranges::is_sorted(errors, std::greater<>()));
        QL_NEAR("A6", "int4, 768 groups of 768 rows over scales by channel, squared error",
                errors.back() /
                    squaredError(viewOf(w, {kRows, kCols}), quantized(viewOf(w, {kRows, kCols}), "int4:asym")),
                1, 1e-12);

        const auto mebibytes = [](std::int64_t bits) { return static_cast<double>(bits) / 8 / (1 << 20); };
        const auto matrix = [](int bits, std::int64_t rows,
                               std::int64_t cols) { // 128 groups, each a minimum beside its scale
            const Scheme scheme = parseScheme("int" + std::to_string(bits) + ":tensor:s=f32").value();
            return 128 * (payloadBits(scheme, rows / 128, cols) + 32);
        };
        constexpr std::int64_t kEncoder = 85'054'464;
        constexpr std::int64_t kEmbeddings = 23'837'184;
        const auto encoder = [&](int bits, std::int64_t layers) {
            const std::int64_t matrices =
                4 * matrix(bits, 768, 768) + matrix(bits, 3072, 768) + matrix(bits, 768, 3072);
            const std::int64_t others = kEncoder / 12 - 4 * 768 * 768 - 2 * 768 * 3072; // biases and norms
            return layers * (matrices + others * bits);
        };
        const double whole = mebibytes(payloadBits(parseScheme("f32").value(), 1, kEncoder));
        QL_NEAR("A6", "BERT-base in f32, MiB",
                whole + mebibytes(payloadBits(parseScheme("f32").value(), 1, kEmbeddings)), 415.4, 0.05);
        for (const auto& [bits, expected] : {std::pair(8, 81.2), {4, 40.6}, {3, 30.5}, {2, 20.35}})
            QL_NEAR("A6", "encoder of BERT-base at " + std::to_string(bits) + " bits, 128 groups a matrix, MiB",
                    mebibytes(encoder(bits, 12)), expected, 0.05);
        const double embeddings = mebibytes(payloadBits(parseScheme("int8:tensor").value(), 1, kEmbeddings));
        for (const auto& [bits, expected] : {std::pair(8, 103.9), {4, 63.4}, {3, 53.2}, {2, 43.1}})
            QL_NEAR("A6", "the same with embeddings at 8 bits, " + std::to_string(bits) + " bits, MiB",
                    mebibytes(encoder(bits, 12)) + embeddings, expected, 0.05);
        QL_NEAR("A6", "half of the layers at 2 bits, half at 4, MiB", mebibytes(encoder(2, 6) + encoder(4, 6)), 30.5,
                0.05);
        const double mixed = mebibytes(encoder(2, 6) + encoder(3, 6));
        QL_NEAR("A6", "half of the layers at 2 bits, half at 3, MiB", mixed, 25.4, 0.05);
        QL_NEAR("A6", "f32 over half of the layers at 2 bits, half at 3", whole / mixed, 12.8, 0.05);
    }

    /// s(q − z) = s/2·(q' − z'), q' = 2q − (2^b − 1) a sum of ±2^i by the bits of q, z' = 2z − (2^b − 1).
    void integersAsSigns()
    {
        const std::vector<float> w = samples("normal", 32 * 256, 56);
        for (int bits = 2; bits <= 8; ++bits) {
            const QuantizedTensor q = quantized(viewOf(w, {32, 256}), "int" + std::to_string(bits) + ":g128:asym");
            const std::vector<float> x = restored(q);
            bool isExact = true;
            double worst = 0;
            for (std::size_t i = 0; i < w.size(); ++i) {
                const int code = unsignedCode(q, i);
                const int zero = unsignedZero(q, i / 128);
                int odd = 0;
                double planes = 0; // α_i·b_i with α_i = s·2^(i−1)
                double alphas = 0;
                const auto scale = static_cast<double>(q.scales[i / 128]);
                for (int p = 0; p < bits; ++p) {
                    const int sign = (code >> p & 1) != 0 ? 1 : -1;
                    odd += sign * (1 << p);
                    planes += sign * std::ldexp(scale, p - 1);
                    alphas += std::ldexp(scale, p - 1);
                }
                isExact = isExact && odd == 2 * code - ((1 << bits) - 1);
                const int oddZero = 2 * zero - ((1 << bits) - 1);
                isExact = isExact && x[i] == q.scales[i / 128] / 2 * static_cast<float>(odd - oddZero);
                const double sum = planes + alphas - scale * zero;
                isExact = isExact && static_cast<float>(sum) == x[i];
                worst = std::max(worst, std::fabs(sum - scale * (code - zero)) / scale);
            }
            const std::string name = "int" + std::to_string(bits) + ":g128:asym";
            QL_HOLDS("C14", name + " as odd symmetric integers, sums of signed powers of two: the same bits", isExact);
            QL_AT_MOST("A11", name + " as planes of signs and an offset, largest difference in steps", worst, 1e-12);
        }
    }

    /// y = Σ_planes α·(table sums) − …: tables of the 2^4 signed sums of four inputs, of which those with the last sign
    /// set are the others negated, against the product of what is restored.
    void tablesOfSums()
    {
        constexpr std::size_t kIn = 256;
        constexpr std::size_t kOut = 24;
        constexpr std::size_t kPart = 4;
        const std::vector<float> w = samples("normal", kOut * kIn, 57);
        const CounterRng rng(58);
        std::vector<int> x(kIn); // int8 inputs: sums are exact
        for (std::size_t i = 0; i < kIn; ++i)
            x[i] = static_cast<int>(rng.bits(i) % 255) - 127;
        std::vector<std::array<int, 16>> whole(kIn / kPart);
        std::vector<std::array<int, 8>> half(kIn / kPart);
        std::size_t entries = 0;
        for (std::size_t part = 0; part < whole.size(); ++part) {
            for (unsigned index = 0; index < 16; ++index)
                for (unsigned j = 0; j < kPart; ++j)
                    whole[part][index] += (index >> j & 1U) != 0 ? x[kPart * part + j] : -x[kPart * part + j];
            std::copy_n(whole[part].begin(), 8, half[part].begin());
            entries += half[part].size();
        }
        const auto fromHalf = [&](std::size_t part, unsigned index) {
            return index < 8 ? half[part][index] : -half[part][15 - index];
        };
        QL_NEAR("C14", "entries of half tables for 256 inputs", static_cast<double>(entries), 8 * kIn / 4, 0);
        bool areEqual = true;
        for (int bits = 2; bits <= 4; ++bits) {
            const QuantizedTensor q = quantized(viewOf(w, {kOut, kIn}), "int" + std::to_string(bits) + ":asym");
            bool isExact = true;
            for (std::size_t o = 0; o < kOut; ++o) {
                std::int64_t sum = 0;
                std::int64_t direct = 0;
                std::int64_t inputs = 0;
                for (std::size_t i = 0; i < kIn; ++i) {
                    direct += std::int64_t{2} * x[i] * (unsignedCode(q, o * kIn + i) - unsignedZero(q, o));
                    inputs += x[i];
                }
                for (int p = 0; p < bits; ++p)
                    for (std::size_t part = 0; part < whole.size(); ++part) {
                        unsigned index = 0;
                        for (std::size_t j = 0; j < kPart; ++j)
                            index |= (static_cast<unsigned>(unsignedCode(q, o * kIn + kPart * part + j)) >> p & 1U)
                                     << j;
                        areEqual = areEqual && fromHalf(part, index) == whole[part][index];
                        sum += std::int64_t{fromHalf(part, index)} * (1 << p);
                    }
                sum -= inputs * (2 * unsignedZero(q, o) - ((1 << bits) - 1));
                isExact = isExact && sum == direct;
            }
            QL_HOLDS("C14",
                     "int" + std::to_string(bits) + ":asym, integer inputs: products by tables equal to the last bit",
                     isExact);
        }
        QL_HOLDS("C14", "half tables give what whole ones do", areEqual);

        // Signs of bcq3 as stored: a byte is an index into the sums of 8 inputs, a bit that is set means minus.
        const QuantizedTensor q = quantized(viewOf(w, {kOut, kIn}), "bcq3");
        const std::vector<float> dense = restored(q);
        std::vector<std::array<double, 256>> tables(kIn / 8);
        std::vector<double> inputs(kIn);
        for (std::size_t i = 0; i < kIn; ++i)
            inputs[i] = rng.normal(1000 + i);
        for (std::size_t part = 0; part < tables.size(); ++part)
            for (unsigned index = 0; index < 256; ++index) {
                tables[part][index] = 0;
                for (unsigned j = 0; j < 8; ++j)
                    tables[part][index] += (index >> j & 1U) != 0 ? -inputs[8 * part + j] : inputs[8 * part + j];
            }
        double error = 0;
        double size = 0;
        for (std::size_t o = 0; o < kOut; ++o) {
            double expected = 0;
            for (std::size_t i = 0; i < kIn; ++i)
                expected += static_cast<double>(dense[o * kIn + i]) * inputs[i];
            double sum = 0;
            for (std::size_t group = 0; group < kIn / 128; ++group) {
                const std::byte* block = q.codes.data() + 54 * (o * (kIn / 128) + group);
                for (std::size_t p = 0; p < 3; ++p) {
                    std::uint16_t alpha = 0;
                    std::memcpy(&alpha, block + 2 * p, sizeof alpha);
                    double plane = 0;
                    for (std::size_t byte = 0; byte < 16; ++byte)
                        plane += tables[16 * group + byte][static_cast<unsigned>(block[6 + 16 * p + byte])];
                    sum += static_cast<double>(floatFromF16(alpha)) * plane;
                }
            }
            error += std::pow(sum - expected, 2);
            size += expected * expected;
        }
        QL_AT_MOST("A11",
                   "bcq3, products by tables of 8 inputs from the stored bytes, relative difference from dense ones",
                   std::sqrt(error / size), 1e-5);
        // Two planes of zeros and ones, 64 weights a group.
        const QuantizedTensor dual = quantized(viewOf(w, {kOut, kIn}), "dualbin");
        const std::vector<float> dualDense = restored(dual);
        error = size = 0;
        for (std::size_t o = 0; o < kOut; ++o) {
            double expected = 0;
            double sum = 0;
            for (std::size_t group = 0; group < kIn / 64; ++group) {
                const std::byte* block = dual.codes.data() + 20 * (o * (kIn / 64) + group);
                for (std::size_t p = 0; p < 2; ++p) {
                    std::uint16_t alpha = 0;
                    std::memcpy(&alpha, block + 2 * p, sizeof alpha);
                    double plane = 0;
                    for (std::size_t e = 0; e < 64; ++e)
                        if ((static_cast<unsigned>(block[4 + 8 * p + e / 8]) >> (e % 8) & 1U) != 0)
                            plane += inputs[64 * group + e];
                    sum += static_cast<double>(floatFromF16(alpha)) * plane;
                }
                for (std::size_t e = 0; e < 64; ++e)
                    expected += static_cast<double>(dualDense[o * kIn + 64 * group + e]) * inputs[64 * group + e];
            }
            error += std::pow(sum - expected, 2);
            size += expected * expected;
        }
        QL_AT_MOST("B11", "dualbin, products of two planes of additions, relative difference from dense ones",
                   std::sqrt(error / size), 1e-5);
    }

    /// XNOR-Net: a product of ±1 is K − 2·(bits that differ); without a scale signs lose 2 − 2√(2/π).
    void signs()
    {
        const std::vector<float> w = samples("normal", 64 * 256, 59);
        QuantizedTensor q = quantized(viewOf(w, {64, 256}), "binary", "mean");
        bool areEqual = true;
        const auto bit = [&](std::size_t i) {
            return q.scheme.element->levels[static_cast<std::size_t>(q.codes.as<std::uint8_t>()[i])] < 0;
        };
        for (std::size_t a = 0; a < 64; ++a) {
            int product = 0;
            int differing = 0;
            for (std::size_t i = 0; i < 256; i += 64) {
                std::uint64_t left = 0;
                std::uint64_t right = 0;
                for (std::size_t k = 0; k < 64; ++k) {
                    left |= std::uint64_t{bit(a * 256 + i + k)} << k;
                    right |= std::uint64_t{bit((63 - a) * 256 + i + k)} << k;
                    product += (w[a * 256 + i + k] < 0) == (w[(63 - a) * 256 + i + k] < 0) ? 1 : -1;
                }
                differing += std::popcount(left ^ right);
            }
            areEqual = areEqual && product == 256 - 2 * differing;
        }
        QL_HOLDS("B17", "products of stored signs by counting bits", areEqual);
        const TensorView view = rowsOf(million("normal"));
        QuantizedTensor whole = quantized(view, "binary", "mean");
        std::ranges::fill(whole.scales, 1.0F);
        const double error =
            std::pow(10, -measureError(view, whole, JobContext(sharedExecutor())).value().sqnrDb() / 10);
        QL_NEAR("B17", "N(0,1), signs without a scale, relative error", error, 2 - 2 * std::sqrt(2 / M_PI), 0.002);
        QL_NEAR("B17", "N(0,1), binary@mean, relative error", relativeError(view, "binary", "mean"), 1 - 2 / M_PI,
                0.001);
    }

    /// Steps of a diffusion model whose values are from 0.1 to 10 in size: one scale for all, or one for each.
    void scalesOfSteps()
    {
        constexpr std::size_t kSteps = 20;
        constexpr std::size_t kValues = 4096;
        std::vector<float> x = samples("normal", kSteps * kValues, 60);
        std::vector<float> constant(x);
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] *= static_cast<float>(0.1 * std::pow(100, static_cast<double>(i / kValues) / (kSteps - 1)));
        const std::vector<float> one = restored(quantized(viewOf(x, {kSteps, kValues}), "int4:tensor:restricted"));
        const std::vector<float> own = restored(quantized(viewOf(x, {kSteps, kValues}), "int4:restricted"));
        QL_NEAR("C17", "4 bits, smallest step, one scale for all, QSNR in dB", qsnrOf(x, one, 0, kValues), 0, 0.05);
        double mean = 0;
        for (std::size_t step = 0; step < kSteps; ++step)
            mean += qsnrOf(x, own, step * kValues, (step + 1) * kValues) / kSteps;
        QL_NEAR("C17", "4 bits, steps of 4096 values with scales of their own, mean QSNR in dB", mean, 16.1, 0.3);
        QL_NEAR("C17", "4 bits, largest step, dB between its own scale and one for all",
                qsnrOf(x, own, x.size() - kValues, x.size()) - qsnrOf(x, one, x.size() - kValues, x.size()), 0, 1e-9);
        for (float& value : constant)
            value = std::clamp(value, -3.0F, 3.0F);
        QL_HOLDS("C17", "4 bits, steps of equal ranges: the same values",
                 restored(quantized(viewOf(constant, {kSteps, kValues}), "int4:tensor:restricted")) ==
                     restored(quantized(viewOf(constant, {kSteps, kValues}), "int4:restricted")));
    }

    /// Minifloats hardly mind how many weights share a scale, integers do; heavier tails turn the order.
    void lengthsOfGroups()
    {
        const auto lost = [](const char* law, const std::string& element, const std::string& rest) {
            return qsnrDb(rowsOf(million(law)), element + ":g32" + rest) -
                   qsnrDb(rowsOf(million(law)), element + ":g4096" + rest);
        };
        for (const auto& [law, expected] : {std::pair("normal", 0.8), {"laplace", 1.4}, {"t5", 1.4}})
            QL_AT_MOST("B3",
                       lawName(law) + ", e3m2, dB lost from groups of 32 to 4096 (published " +
                           formatSignificant(expected, 2) + ")",
                       lost(law, "e3m2", ""), 1.5);
        for (const auto& [law, expected, tolerance] :
             {std::tuple("normal", 4.2, 0.2), {"laplace", 6.6, 0.2}, {"t5", 9.3, 1.0}})
            QL_NEAR("B3", lawName(law) + ", int6, dB lost from groups of 32 to 4096", lost(law, "int6", ":restricted"),
                    expected, tolerance);
        const TensorView normal = rowsOf(million("normal"));
        const TensorView heavy = rowsOf(million("t5"));
        QL_HOLDS("B3", "Student t(5), groups of 128: e2m3 > int6 > e3m2",
                 qsnrDb(heavy, "e2m3:g128") > qsnrDb(heavy, "int6:g128:restricted") &&
                     qsnrDb(heavy, "int6:g128:restricted") > qsnrDb(heavy, "e3m2:g128"));
        QL_NEAR("B3", "N(0,1), groups of 128: dB between int6 and e2m3",
                qsnrDb(normal, "int6:g128:restricted") - qsnrDb(normal, "e2m3:g128"), 0, 0.1);
    }
};

QTEST_APPLESS_MAIN(StoredCodesTest)
#include "stored_codes_test.moc"
