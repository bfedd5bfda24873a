// SPDX-License-Identifier: GPL-3.0-or-later
// Walks every block format: its scales read back, its searches against plain rules, odd weights, storage.
#include "core/base/rng.h"
#include "core/formats/block_format.h"
#include "core/formats/unit_kernels.h"
#include "core/tensor/ggml_blocks.h"
#include "core/tensor/half.h"
#include "tests/support/quantize_support.h"
#include "tests/support/vector_targets.h"

#include <bit>
#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

const BlockFormat& formatOf(const QByteArray& id)
{
    return *findBlockFormat(parseScheme(id.toStdString()).value());
}

/// Random bytes; f16 scales that are no number or infinite are made finite.
std::vector<std::byte> randomBlock(const BlockFormat& format, std::uint64_t seed)
{
    const CounterRng rng(seed);
    std::vector<std::byte> block(static_cast<std::size_t>(format.bytes));
    for (std::size_t i = 0; i < block.size(); ++i)
        block[i] = static_cast<std::byte>(rng.bits(i) & 255U);
    std::vector<float> values(static_cast<std::size_t>(format.elements));
    const auto isFinite = [&] {
        format.restore(block.data(), 0, format.elements, values.data());
        return std::ranges::all_of(values, [](float x) { return std::isfinite(x); });
    };
    for (std::uint64_t i = 1000; !isFinite(); i += block.size())
        for (std::size_t k = 0; k < block.size(); ++k)
            block[k] = static_cast<std::byte>(rng.bits(i + k) & 255U);
    return block;
}

std::vector<float> decoded(const BlockFormat& format, const std::vector<std::byte>& blocks)
{
    const std::size_t count = blocks.size() / static_cast<std::size_t>(format.bytes);
    std::vector<float> values(count * static_cast<std::size_t>(format.elements));
    format.restore(blocks.data(), 0, std::ssize(values), values.data());
    return values;
}

std::vector<float> searched(const BlockFormat& format, const std::vector<float>& weights,
                            const std::vector<float>& importance = {})
{
    const auto elements = static_cast<std::size_t>(format.elements);
    std::vector<std::byte> blocks(weights.size() / elements * static_cast<std::size_t>(format.bytes));
    for (std::size_t b = 0; b < weights.size() / elements; ++b)
        format.search(weights.data() + b * elements, importance.empty() ? nullptr : importance.data() + b * elements,
                      blocks.data() + b * static_cast<std::size_t>(format.bytes));
    return decoded(format, blocks);
}

double errorOf(const std::vector<float>& weights, const std::vector<float>& restored,
               const std::vector<float>& importance = {})
{
    double error = 0;
    for (std::size_t i = 0; i < weights.size(); ++i)
        error += (importance.empty() ? 1 : static_cast<double>(importance[i])) *
                 std::pow(static_cast<double>(weights[i]) - static_cast<double>(restored[i]), 2);
    return error;
}

/// The error of codes chosen one by one as the nearest value, for a block's own scales.
double errorOfNearestCodes(const BlockFormat& format, const std::vector<float>& weights,
                           const std::vector<std::byte>& block)
{
    std::vector<float> scale(weights.size());
    std::vector<float> offset(weights.size());
    format.affine(block.data(), scale.data(), offset.data());
    double error = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        double least = std::numeric_limits<double>::infinity();
        for (const float level : format.levels)
            least = std::min(
                least,
                std::pow(static_cast<double>(weights[i]) - static_cast<double>(level * scale[i] + offset[i]), 2));
        error += least;
    }
    return error;
}

std::vector<float> importances(std::size_t n, std::uint64_t seed)
{
    const CounterRng rng(seed);
    std::vector<float> importance(n);
    for (std::size_t i = 0; i < n; ++i)
        importance[i] = static_cast<float>(std::exp(2 * rng.normal(i)));
    return importance;
}

/// Relative error Σ(w − ŵ)²/Σw² that each type must stay below for normal weights: a tenth above what it reaches.
double mostError(std::string_view id)
{
    struct Row {
        std::string_view id;
        double most;
    };
    static constexpr Row kRows[] = {
        {"gguf:iq2_xxs", 0.145}, {"gguf:iq2_xs", 0.12}, {"gguf:iq2_s", 0.1},     {"gguf:iq3_xxs", 0.05},
        {"gguf:iq3_s", 0.035},   {"gguf:q2_k", 0.085},  {"gguf:q3_k", 0.027},    {"gguf:q4_k", 0.0065},
        {"gguf:q5_k", 0.0017},   {"gguf:q6_k", 0.0004}, {"gguf:iq4_xs", 0.0075}, {"gguf:iq4_nl", 0.0075},
        {"gguf:mxfp4", 0.0165},  {"gguf:tq1_0", 0.21},  {"gguf:tq2_0", 0.21},    {"bitmod3", 0.0425},
        {"bitmod4", 0.0106},     {"ptqtp", 0.0303},     {"dualbin", 0.145},      {"bcq1", 0.4},
        {"bcq2", 0.126},         {"bcq3", 0.0395},      {"bcq4", 0.0124}};
    for (const Row& row : kRows)
        if (row.id == id)
            return row.most;
    return 0;
}

} // namespace

class BlockFormatTest : public QObject {
    Q_OBJECT
private:
    static void eachFormat()
    {
        QTest::addColumn<QByteArray>("id");
        for (const BlockFormat* format : allBlockFormats())
            QTest::newRow(std::string(format->id).c_str())
                << QByteArray(format->id.data(), static_cast<qsizetype>(format->id.size()));
    }

private Q_SLOTS:
    void isWhatItSays_data() { eachFormat(); }
    void isWhatItSays()
    {
        QFETCH(QByteArray, id);
        const BlockFormat& format = formatOf(id);
        QVERIFY(!format.source.empty() && kTileWeights % format.elements == 0);
        if (format.dtype) {
            QCOMPARE(std::string(format.id), "gguf:" + std::string(info(*format.dtype).word));
            QCOMPARE(format.elements, info(*format.dtype).blockElements);
            QCOMPARE(format.bytes, info(*format.dtype).blockBytes);
        } else {
            QVERIFY(format.decode && !format.layout.empty());
        }
        const Scheme scheme = parseScheme(id.toStdString()).value();
        QVERIFY(scheme.isPacked());
        QCOMPARE(printScheme(scheme), id.toStdString());
        QCOMPARE(scheme.scaleCount(4, 512), std::int64_t{0});
        QCOMPARE(payloadBits(scheme, 4, 512), std::int64_t{4} * 512 / format.elements * format.bytes * 8);
        QVERIFY(std::ranges::is_sorted(format.levels));
    }

    /// Scales and offsets read back, and other codes put in, restore to the decoder's own bits.
    void codesAreReplaced_data() { eachFormat(); }
    void codesAreReplaced()
    {
        QFETCH(QByteArray, id);
        const BlockFormat& format = formatOf(id);
        if (!format.codesElements())
            QSKIP("points of a grid");
        const auto n = static_cast<std::size_t>(format.elements);
        for (std::uint64_t seed = 0; seed < 40; ++seed) {
            const std::vector<std::byte> block = randomBlock(format, seed);
            std::vector<float> scale(n);
            std::vector<float> offset(n);
            format.affine(block.data(), scale.data(), offset.data());
            const CounterRng rng(seed, 1);
            std::vector<std::uint8_t> codes(n);
            for (std::size_t i = 0; i < n; ++i)
                codes[i] = static_cast<std::uint8_t>(rng.bits(i) % format.levels.size());
            std::vector<std::byte> packed(block.size());
            format.pack(block.data(), codes.data(), packed.data());
            const std::vector<float> values = decoded(format, packed);
            for (std::size_t i = 0; i < n; ++i)
                QCOMPARE(std::bit_cast<std::uint32_t>(format.levels[codes[i]] * scale[i] + offset[i]),
                         std::bit_cast<std::uint32_t>(values[i]));
        }
    }

    void isGoodOnNormalWeights_data() { eachFormat(); }
    void isGoodOnNormalWeights()
    {
        QFETCH(QByteArray, id);
        const BlockFormat& format = formatOf(id);
        const CounterRng rng(3);
        std::vector<float> weights(64 * 256);
        for (std::size_t i = 0; i < weights.size(); ++i)
            weights[i] = static_cast<float>(0.02 * rng.normal(i));
        const std::vector<float> zeros(weights.size());
        const double relative = errorOf(weights, searched(format, weights)) / errorOf(weights, zeros);
        QVERIFY2(relative < mostError(format.id), qPrintable(QString::number(relative)));
    }

    /// No code of an element can be exchanged for a better one, and no scale of the block by a few steps of f16.
    void isALocalOptimum_data() { eachFormat(); }
    void isALocalOptimum()
    {
        QFETCH(QByteArray, id);
        const BlockFormat& format = formatOf(id);
        if (!format.codesElements())
            QSKIP("points of a grid");
        const auto n = static_cast<std::size_t>(format.elements);
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
            const std::vector<float> weights = normalSamples(format.elements, 100 + seed);
            std::vector<std::byte> block(static_cast<std::size_t>(format.bytes));
            format.search(weights.data(), nullptr, block.data());
            const double error = errorOf(weights, decoded(format, block));
            const double nearest = errorOfNearestCodes(format, weights, block);
            QVERIFY2(error <= nearest * (1 + 1e-4), qPrintable(QString::number(error / nearest)));
            QVERIFY(n == weights.size());
        }
    }

    void importanceMatters_data() { eachFormat(); }
    void importanceMatters()
    {
        QFETCH(QByteArray, id);
        const BlockFormat& format = formatOf(id);
        const std::vector<float> weights = normalSamples(32 * 256, 7);
        const std::vector<float> importance = importances(weights.size(), 8);
        const double weighted = errorOf(weights, searched(format, weights, importance), importance);
        const double plain = errorOf(weights, searched(format, weights), importance);
        const bool scalesAreRanges = id.startsWith("bitmod"); // importances choose special values only
        QVERIFY2(weighted < plain * (scalesAreRanges ? 1 : 0.97), qPrintable(QString::number(weighted / plain)));
        // Only ratios matter.
        std::vector<float> doubled(importance);
        for (float& x : doubled)
            x *= 1024;
        QVERIFY(sameBits(searched(format, weights, importance), searched(format, weights, doubled)));
        QVERIFY(sameBits(searched(format, weights), searched(format, weights, std::vector<float>(weights.size(), 3))));
    }

    void importanceMayBeOdd_data() { eachFormat(); }
    void importanceMayBeOdd()
    {
        QFETCH(QByteArray, id);
        const BlockFormat& format = formatOf(id);
        const std::vector<float> weights = normalSamples(4 * 256, 9);
        for (const float odd : {0.0F, -1.0F, std::numeric_limits<float>::quiet_NaN(),
                                std::numeric_limits<float>::infinity(), 1e38F, 1e-38F}) {
            std::vector<float> importance(weights.size(), odd);
            for (const float x : searched(format, weights, importance))
                QVERIFY(std::isfinite(x));
            importance[5] = 1;
            for (const float x : searched(format, weights, importance))
                QVERIFY(std::isfinite(x));
        }
    }

    void oddWeights_data() { eachFormat(); }
    void oddWeights()
    {
        QFETCH(QByteArray, id);
        const BlockFormat& format = formatOf(id);
        const auto n = static_cast<std::size_t>(format.elements);
        QVERIFY(sameBits(searched(format, std::vector<float>(n, 0.0F)), std::vector<float>(n, 0.0F)));
        QVERIFY(sameBits(searched(format, std::vector<float>(n, -0.0F)), std::vector<float>(n, 0.0F)));
        // NaN counts as 0; infinities keep their sign and move no scale.
        std::vector<float> weights = normalSamples(format.elements, 12);
        std::vector<float> clean(weights);
        weights[3] = std::numeric_limits<float>::quiet_NaN();
        clean[3] = 0;
        QVERIFY(sameBits(searched(format, weights), searched(format, clean)));
        weights[7] = std::numeric_limits<float>::infinity();
        weights[9] = -std::numeric_limits<float>::infinity();
        const std::vector<float> odd = searched(format, weights);
        const std::vector<float> range = searched(format, clean);
        float largest = 0;
        for (const float x : range)
            largest = std::max(largest, std::fabs(x));
        for (const float x : odd)
            QVERIFY(std::isfinite(x) && std::fabs(x) <= 2 * largest);
        QVERIFY(odd[7] > 0 && odd[9] < 0);
        for (const float x : searched(format, std::vector<float>(n, std::numeric_limits<float>::infinity())))
            QVERIFY(std::isfinite(x));
        // Equal weights, tiny and huge ones: finite, and no further off than the largest weight.
        for (const float size : {0x1p-149F, 1e-42F, 1e-30F, 1e-9F, 1e-7F, 1e-3F, 1.0F, 1e4F, 1e8F, 1e38F, 3.4e38F}) {
            std::vector<float> constant(n, size);
            std::vector<float> ramp(n);
            for (std::size_t i = 0; i < n; ++i)
                ramp[i] = size * ((i % 2 ? 1.0F : -1.0F) * static_cast<float>(i + 1) / static_cast<float>(n));
            for (const std::vector<float>& given : {constant, ramp}) {
                const std::vector<float> x = searched(format, given);
                for (std::size_t i = 0; i < n; ++i)
                    QVERIFY2(std::isfinite(x[i]) && std::fabs(x[i] - given[i]) <= size * 1.001F,
                             qPrintable(QString::number(static_cast<double>(size)) + QStringLiteral(" at ") +
                                        QString::number(i) + QStringLiteral(": ") +
                                        QString::number(static_cast<double>(x[i]))));
            }
        }
    }

    void blocksAreIndependent_data() { eachFormat(); }
    void blocksAreIndependent()
    {
        QFETCH(QByteArray, id);
        const BlockFormat& format = formatOf(id);
        std::vector<float> weights = normalSamples(256, 14);
        for (std::size_t i = 0; i < 32; ++i)
            weights[i] *= 1000;
        const auto count = 256 / format.elements;
        std::vector<std::byte> together(static_cast<std::size_t>(count * format.bytes));
        format.searchTile(weights.data(), nullptr, count, together.data());
        QVERIFY(sameBits(decoded(format, together), searched(format, weights)));
    }

    void equalForAnyVectors_data() { eachFormat(); }
    void equalForAnyVectors()
    {
        QFETCH(QByteArray, id);
        const BlockFormat& format = formatOf(id);
        const std::vector<float> weights = normalSamples(8 * 256, 15);
        const std::vector<float> importance = importances(weights.size(), 16);
        const std::vector<float> plain = searched(format, weights);
        const std::vector<float> weighted = searched(format, weights, importance);
        test::forEachVectorTarget([&](const std::string& target) {
            QVERIFY2(sameBits(plain, searched(format, weights)), target.c_str());
            QVERIFY2(sameBits(weighted, searched(format, weights, importance)), target.c_str());
        });
    }

    /// Ternary: the best of all thresholds by brute force, for every k the least squares of its scale.
    void ternaryIsExact()
    {
        const BlockFormat& format = formatOf("gguf:tq2_0");
        for (std::uint64_t seed = 0; seed < 10; ++seed) {
            const std::vector<float> weights = normalSamples(256, 30 + seed);
            const std::vector<float> importance = importances(256, 60 + seed);
            double least = std::numeric_limits<double>::infinity();
            for (const float threshold : weights) {
                double product = 0;
                double sum = 0;
                for (std::size_t i = 0; i < 256; ++i)
                    if (std::fabs(weights[i]) >= std::fabs(threshold)) {
                        product += static_cast<double>(importance[i]) * std::fabs(static_cast<double>(weights[i]));
                        sum += static_cast<double>(importance[i]);
                    }
                std::vector<float> restored(256);
                for (std::size_t i = 0; i < 256; ++i)
                    if (std::fabs(weights[i]) >= std::fabs(threshold))
                        restored[i] = std::copysign(static_cast<float>(product / sum), weights[i]);
                least = std::min(least, errorOf(weights, restored, importance));
            }
            const double reached = errorOf(weights, searched(format, weights, importance), importance);
            QVERIFY2(reached <= least * (1 + 1e-5), qPrintable(QString::number(reached / least)));
        }
    }

    /// IQ2_XS against every point and sign for one unit and every scale a block can have: a block whose other units are
    /// zeros leaves d free.
    void gridsComeCloseToBruteForce()
    {
        for (const char* id : {"gguf:iq2_xs", "gguf:iq3_s"}) {
            const BlockFormat& format = formatOf(id);
            const std::size_t length = std::string_view(id) == "gguf:iq2_xs" ? 16 : 32;
            std::vector<float> weights(256);
            const std::vector<float> unit = normalSamples(static_cast<std::int64_t>(length), 40);
            std::copy(unit.begin(), unit.end(), weights.begin());
            std::vector<std::byte> block(static_cast<std::size_t>(format.bytes));
            format.search(weights.data(), nullptr, block.data());
            const double reached = errorOf(weights, decoded(format, block));
            // Any other d, with everything else as it is, is no better.
            for (int step = -40; step <= 40; ++step) {
                std::vector<std::byte> other(block);
                std::uint16_t bits = 0;
                std::memcpy(&bits, other.data(), 2);
                bits = static_cast<std::uint16_t>(bits + step);
                std::memcpy(other.data(), &bits, 2);
                QVERIFY(errorOf(weights, decoded(format, other)) >= reached * (1 - 1e-4));
            }
        }
    }

    void refusalNamesBlockAndMend()
    {
        const std::vector<float> w(4 * 576);
        for (const char* text : {"gguf:q4_k", "gguf:iq2_xxs", "gguf:tq1_0"}) {
            const QuantizeTask task{.weights = viewOf(w, {4, 576}), .scheme = parseScheme(text).value(), .spec = {}};
            const auto result = quantize(task, JobContext(sharedExecutor()));
            QVERIFY(!result);
            QCOMPARE(result.error().code, Errc::refused);
            for (const char* part : {"576", "256", text, "gguf:iq4_nl"})
                QVERIFY2(result.error().what.find(part) != std::string::npos, result.error().what.c_str());
        }
    }

    void tensorsHoldBlocks_data() { eachFormat(); }
    void tensorsHoldBlocks()
    {
        QFETCH(QByteArray, id);
        const BlockFormat& format = formatOf(id);
        static Executor one(1);
        static Executor plain(3, Executor::Backend::threads);
        for (const Shape& shape : {Shape{0, 256}, Shape{5, 512}, Shape{40, 768}, Shape{3, 2, 128}}) {
            const std::vector<float> w = normalSamples(numel(shape), 18);
            const TensorView view = viewOf(w, shape);
            for (const char* spec : {"rtn", "mse", "imatrix"}) {
                const QuantizedTensor q = quantized(view, id.toStdString(), spec, one);
                QCOMPARE(q.codes.sizeBytes() * 8, q.payloadBits());
                QCOMPARE(q.codes.sizeBytes(), numel(shape) / format.elements * format.bytes);
                QVERIFY(q.scales.empty() && q.minima.empty() && q.zeroPoints.empty());
                QVERIFY(sameBits(restored(q), searched(format, w)));
                QVERIFY(sameBits(q, quantized(view, id.toStdString(), spec, sharedExecutor())));
                QVERIFY(sameBits(q, quantized(view, id.toStdString(), spec, plain)));
                const ErrorStats error = measureError(view, q, JobContext(sharedExecutor())).value();
                QCOMPARE(error.count, numel(shape));
                QVERIFY(std::fabs(error.sumSquaredError - errorOf(w, restored(q))) <= 1e-9 * error.sumSquares);
            }
        }
    }
};

QTEST_APPLESS_MAIN(BlockFormatTest)
#include "block_format_test.moc"
