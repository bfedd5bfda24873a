// SPDX-License-Identifier: GPL-3.0-or-later
// Schemes with additions: LoRC (ZeroQuant-FP), LLM.int8(), sparse outliers (SpQR), and what must hold of any sum.
#include "core/base/truncated_svd.h"
#include "core/formats/tensor_additions.h"
#include "core/jobs/tiles.h"
#include "core/quantizers/kept_columns.h"
#include "core/quantizers/low_rank.h"
#include "core/quantizers/sparse_choice.h"
#include "core/realize/activation_rounder.h"
#include "core/tensor/half.h"
#include "tests/support/acceptance.h"
#include "tests/support/layer_inputs.h"
#include "tests/support/quantize_support.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

using namespace ql;
using namespace ql::tests;

namespace {

std::vector<float> plainNormal(std::int64_t n, std::uint64_t seed, double sigma = 1)
{
    const CounterRng rng(seed);
    std::vector<float> out(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<float>(sigma * rng.normal(i));
    return out;
}

/// Student's t.
std::vector<float> heavyTailed(std::int64_t n, std::uint64_t seed, std::size_t freedom = 3)
{
    const CounterRng rng(seed);
    std::vector<float> out(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < out.size(); ++i) {
        double chi = 0;
        for (std::size_t k = 1; k <= freedom; ++k)
            chi += std::pow(rng.normal(8 * i + k), 2);
        out[i] = static_cast<float>(rng.normal(8 * i) / std::sqrt(chi / static_cast<double>(freedom)));
    }
    return out;
}

bool isFloat16(float value)
{
    return floatFromF16(f16FromFloat(value)) == value;
}

QuantizedTensor filled(const TensorView& view, const std::string& scheme, const std::string& spec,
                       const ActivationStatistics* inputs, QuantizerReport* report = nullptr,
                       Executor& executor = sharedExecutor())
{
    const QuantizeTask task{.weights = view,
                            .scheme = parseScheme(scheme).value(),
                            .spec = parseQuantizerSpec(spec).value(),
                            .inputs = inputs,
                            .report = report};
    auto result = quantize(task, JobContext(executor));
    if (!result)
        qFatal("%s@%s: %s", scheme.c_str(), spec.c_str(), describe(result.error()).c_str());
    return std::move(result).value();
}

/// Noise in which 8 of 1000 are 16 times as large.
std::vector<float> withOutliers(std::int64_t n, std::uint64_t seed)
{
    std::vector<float> out = plainNormal(n, seed);
    const CounterRng rng(seed, 1);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] *= rng.uniform(i) < 0.008 ? 16.0F : 1.0F;
    return out;
}

/// X·Wᵀ in double.
std::vector<double> product(const std::vector<float>& x, const std::vector<float>& w, std::size_t in)
{
    const std::size_t tokens = x.size() / in;
    const std::size_t outs = w.size() / in;
    std::vector<double> y(tokens * outs);
    for (std::size_t t = 0; t < tokens; ++t)
        for (std::size_t o = 0; o < outs; ++o)
            for (std::size_t j = 0; j < in; ++j)
                y[t * outs + o] += static_cast<double>(x[t * in + j]) * static_cast<double>(w[o * in + j]);
    return y;
}

double relative(const std::vector<double>& y, const std::vector<double>& other)
{
    double off = 0;
    double squares = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
        off += (y[i] - other[i]) * (y[i] - other[i]);
        squares += y[i] * y[i];
    }
    return std::sqrt(off / squares);
}

/// W·X with both rounded as the candidate says.
std::vector<double> runMixed(const std::vector<float>& x, const std::vector<float>& w, std::int64_t in,
                             const std::string& scheme, const ActivationStatistics& inputs)
{
    const std::int64_t tokens = std::ssize(x) / in;
    const TensorView view = viewOf(w, {std::ssize(w) / in, in});
    const QuantizedTensor weights = filled(view, scheme, "rtn", &inputs);
    ActivationRounder rounder(parseActivationScheme("int8:token").value());
    if (weights.additions) {
        const auto& slots = weights.additions->columns;
        rounder.keepColumns({slots.begin(), std::ranges::find(slots, -1)});
    }
    graph::Array<float> rounded({tokens, in});
    std::copy(x.begin(), x.end(), rounded.write());
    if (!rounder.round(rounded, false, JobContext(sharedExecutor())))
        qFatal("the inputs cannot be rounded");
    return product({rounded.data(), rounded.data() + rounded.numel()}, restored(weights), static_cast<std::size_t>(in));
}

} // namespace

class SumOfPartsTest : public QObject {
    Q_OBJECT
    JobContext m_context{sharedExecutor()};

private Q_SLOTS:
    // Any sum ------------------------------------------------------------------------------------------------------

    void everySum_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        QTest::addColumn<QByteArray>("spec");
        for (const char* const base :
             {"int4:g64", "int3:g50:asym", "int8:tensor", "int4:min", "binary:g64", "nvfp4", "mxfp4", "nf4"})
            for (const char* added : {"+cols5", "+sparse2", "+lr6", "+lr6:scaled", "+cols3+sparse0.7+lr4"})
                for (const char* spec : {"rtn", "gptq"})
                    QTest::addRow("%s%s@%s", base, added, spec) << QByteArray(base) + added << QByteArray(spec);
        for (const char* added : {"+cols5", "+sparse2+lr4"})
            for (const char* base : {"gguf:q4_k", "bitmod4"})
                QTest::addRow("%s%s", base, added)
                    << QByteArray(base) + added << QByteArray(base[0] == 'g' ? "gptq" : "imatrix");
    }
    void everySum()
    {
        QFETCH(QByteArray, scheme);
        QFETCH(QByteArray, spec);
        constexpr std::int64_t kRows = 24;
        constexpr std::int64_t kCols = 256;
        const std::vector<float> w = heavyTailed(kRows * kCols, 31);
        const TensorView view = viewOf(w, {kRows, kCols});
        static const ActivationStatistics inputs = [] { // five columns are large
            std::vector<float> x = correlatedInputs(400, kCols);
            for (std::size_t i = 0; i < x.size(); ++i)
                x[i] *= i % kCols % 40 == 10 && i % kCols < 200 ? 20.0F : 1.0F;
            return statisticsOf(x, kCols);
        }();
        const Scheme parsed = parseScheme(scheme.toStdString()).value();
        QuantizerReport report;
        const QuantizedTensor q = filled(view, scheme.toStdString(), spec.toStdString(), &inputs, &report);
        QVERIFY(q.scheme == parsed && q.additions);
        const TensorAdditions& parts = *q.additions;

        // What is held is what the scheme says that it stores.
        QCOMPARE(std::ssize(parts.columns), parsed.additions.columnSlots(kRows, kCols));
        QCOMPARE(std::ssize(parts.columnValues), kRows * parsed.additions.columnSlots(kRows, kCols));
        QCOMPARE(std::ssize(parts.sparseValues), parsed.additions.sparseCount(kRows, kCols));
        QCOMPARE(std::ssize(parts.sparseColumns), parsed.additions.sparseCount(kRows, kCols));
        QCOMPARE(std::ssize(parts.rowStarts), parsed.additions.sparseMillionths > 0 ? kRows + 1 : 0);
        QCOMPARE(std::ssize(parts.left), kRows * parsed.additions.factorRank(kRows, kCols));
        QCOMPARE(std::ssize(parts.right), kCols * parsed.additions.factorRank(kRows, kCols));
        for (const auto* values : {&parts.columnValues, &parts.sparseValues, &parts.left, &parts.right})
            QVERIFY(std::ranges::all_of(*values, isFloat16));
        QVERIFY(std::ranges::is_sorted(parts.columns));
        for (std::size_t r = 0; r + 1 < parts.rowStarts.size(); ++r)
            for (std::size_t i = parts.rowStarts[r]; i < parts.rowStarts[r + 1]; ++i) {
                QVERIFY(parts.sparseColumns[i] < kCols);
                QVERIFY(i == parts.rowStarts[r] || parts.sparseColumns[i - 1] < parts.sparseColumns[i]);
            }

        // Kept columns are exact to a float16 of what is missing, sparse weights too without error feedback.
        const std::vector<float> back = restored(q);
        const bool hasZero = parsed.element->hasZero() && parsed.zeroPoint != ZeroPoint::minimum;
        const float around = hasZero || parsed.isPacked() ? 0 : 64; // what the codes restore to there
        const auto isKept = [&](std::size_t i) {
            return std::fabs(back[i] - w[i]) <= std::ldexp(std::fabs(w[i]) + around, -10) + 3e-4F;
        };
        if (parts.rank == 0)
            for (const std::int32_t column : parts.columns)
                for (std::size_t r = 0; r < kRows; ++r)
                    QVERIFY(isKept(r * kCols + static_cast<std::size_t>(column)));
        if (spec != "gptq")
            for (std::size_t r = 0; r + 1 < parts.rowStarts.size(); ++r)
                for (std::size_t i = parts.rowStarts[r]; i < parts.rowStarts[r + 1]; ++i)
                    QVERIFY(isKept(r * kCols + parts.sparseColumns[i]));

        // Better than the base alone, by what the quantizer looks at.
        const QuantizedTensor base = filled(view, printScheme(parsed.base()), spec.toStdString(), &inputs);
        QVERIFY(!base.additions);
        if (spec == "gptq")
            QVERIFY(outputError(w, back, inputs) < outputError(w, restored(base), inputs));
        else if (!parsed.additions.scaledRank)
            QVERIFY(squaredError(view, q) < squaredError(view, base));
        if (!report.objective.empty())
            QVERIFY(report.reached < report.rtn || report.keptRtn);

        // The same for any thread count.
        for (const int threads : {1, 3}) {
            Executor executor(threads);
            const QuantizedTensor other =
                filled(view, scheme.toStdString(), spec.toStdString(), &inputs, nullptr, executor);
            QVERIFY(sameBits(q, other) && sameBits(back, restored(other)));
        }
    }

    void oddShapesAndWeights()
    {
        for (const char* scheme : {"int4:g64+cols3+sparse5+lr4", "int4:tensor+sparse50+lr2", "nf4+cols2+sparse0.0001"})
            for (const Shape& shape : {Shape{}, Shape{0}, Shape{0, 5}, Shape{5, 0}, Shape{1}, Shape{7},
                                       Shape{3, 2, 5, 5}, Shape{1, 257}, Shape{257, 1}, Shape{65, 2}}) {
                const std::vector<float> w = normalSamples(numel(shape), 3);
                const QuantizedTensor q = quantized(viewOf(w, shape), scheme);
                const std::vector<float> back = restored(q);
                QCOMPARE(back.size(), w.size());
                for (std::size_t i = 0; i < w.size(); ++i)
                    QVERIFY(std::isfinite(back[i]));
            }
        std::vector<float> w = normalSamples(16 * 64, 4);
        w[3] = std::numeric_limits<float>::quiet_NaN();
        w[70] = std::numeric_limits<float>::infinity();
        w[200] = 1e30F; // more than a float16 holds
        const QuantizedTensor q = quantized(viewOf(w, {16, 64}), "int4:g32+cols4+sparse3+lr3");
        const std::vector<float> back = restored(q);
        for (const float x : back)
            QVERIFY(std::isfinite(x));
        const std::vector<float> zeros(16 * 64);
        QVERIFY(sameBits(restored(quantized(viewOf(zeros, {16, 64}), "int4:g32+cols4+sparse3+lr3")), zeros));
    }

    void errorsSayTheMend()
    {
        const std::vector<float> w = normalSamples(8 * 64, 4);
        const auto failure = [&](const char* scheme, const char* spec, const ActivationStatistics* inputs) {
            const QuantizeTask task{.weights = viewOf(w, {8, 64}),
                                    .scheme = parseScheme(scheme).value(),
                                    .spec = parseQuantizerSpec(spec).value(),
                                    .inputs = inputs};
            const auto result = quantize(task, m_context);
            return result ? std::string() : describe(result.error());
        };
        ActivationStatistics onlySquares;
        onlySquares.in = 64;
        onlySquares.channelRms.assign(64, 1.0);
        QVERIFY(failure("int8+cols4:over6", "rtn", nullptr).find("leave :over out") != std::string::npos);
        QVERIFY(failure("int8+cols4:over6", "rtn", &onlySquares).find("leave :over out") != std::string::npos);
        QVERIFY(failure("int8+lr4:scaled", "rtn", nullptr).find("leave :scaled out") != std::string::npos);
        QVERIFY(failure("int8+lr4:scaled", "rtn", &onlySquares).empty());
        QVERIFY(failure("int8+lr4", "gptq", nullptr).find("activations") != std::string::npos);
        std::stop_source source;
        source.request_stop();
        const QuantizeTask task{viewOf(w, {8, 64}), parseScheme("int4+cols1+sparse1+lr1").value(), {}};
        QCOMPARE(quantize(task, JobContext(sharedExecutor(), source.get_token())).error().code, Errc::cancelled);
        QCOMPARE(quantize(task, JobContext(sharedExecutor(), {}, nullptr, 1000)).error().code, Errc::outOfMemory);
    }

    // Low rank -----------------------------------------------------------------------------------------------------

    void lorcIsTheBestOfItsRank()
    {
        constexpr std::int64_t kRows = 48;
        constexpr std::int64_t kCols = 64;
        const std::vector<float> w = plainNormal(kRows * kCols, 5, 0.05);
        const TensorView view = viewOf(w, {kRows, kCols});
        const QuantizedTensor base = quantized(view, "int4:g32");
        const std::vector<float> back = restored(base);
        std::vector<double> rest(w.size());
        for (std::size_t i = 0; i < w.size(); ++i)
            rest[i] = static_cast<double>(w[i]) - static_cast<double>(back[i]);
        const TruncatedSvd all = truncatedSvd(rest.data(), kRows, kCols, 48, parallelTiles(m_context)).value();
        for (const std::int64_t rank : {1, 4, 8, 24}) {
            const double least =
                std::inner_product(all.values.begin() + rank, all.values.end(), all.values.begin() + rank, 0.0);
            const LowRankFactors factors = factorsOfRest(view, base, rank, {}, m_context).value();
            QVERIFY(std::fabs(factors.unrounded / least - 1) < 1e-9);
            QVERIFY(std::fabs(factors.before / std::inner_product(rest.begin(), rest.end(), rest.begin(), 0.0) - 1) <
                    1e-12);
            const QuantizedTensor sum = quantized(view, "int4:g32+lr" + std::to_string(rank));
            QVERIFY(sameBits(sum.codes, base.codes) && sameBits(sum.scales, base.scales));
            const double reached = squaredError(view, sum);
            QVERIFY(reached < 1.001 * least); // float16 factors
            if (rank == 8) {
                QL_NEAR("A5", "LoRC rank 8: ‖W − Ŵ − AB‖ over √Σ_{i>r}σ² before factors are rounded",
                        std::sqrt(factors.unrounded / least), 1, 1e-10);
                QL_NEAR("A5", "LoRC rank 8: the same with factors in float16", std::sqrt(reached / least), 1, 1e-3);
            }
            // No other correction of that rank is better: random ones, and the best moved a little.
            const CounterRng rng(17, static_cast<std::uint64_t>(rank));
            for (std::uint64_t trial = 0; trial < 20; ++trial) {
                double moved = 0;
                std::vector<double> left(static_cast<std::size_t>(kRows * rank));
                for (std::size_t i = 0; i < left.size(); ++i)
                    left[i] = static_cast<double>(factors.left[i]) + 1e-3 * rng.normal(trial * 4096 + i);
                for (std::size_t r = 0; r < kRows; ++r)
                    for (std::size_t c = 0; c < kCols; ++c) {
                        double x = rest[r * kCols + c];
                        for (std::size_t k = 0; k < static_cast<std::size_t>(rank); ++k)
                            x -= left[r * static_cast<std::size_t>(rank) + k] *
                                 static_cast<double>(factors.right[k * kCols + c]);
                        moved += x * x;
                    }
                QVERIFY(moved > least);
            }
        }
        const auto bits = [&](const char* text) {
            return static_cast<double>(payloadBits(parseScheme(text).value(), 4096, 11008)) / (4096.0 * 11008.0);
        };
        QL_NEAR("A5", "LoRC rank 8: extra bits a weight over 16·r·(O+K)/(O·K)",
                (bits("e2m1:g256:s=f16+lr8") - bits("e2m1:g256:s=f16")) /
                    (16.0 * 8 * (4096 + 11008) / (4096.0 * 11008)),
                1, 1e-12);
    }

    /// With known inputs the scaled factors are the better ones for the output where inputs differ much in size.
    void scaledFactorsAreOfTheOutput()
    {
        constexpr std::int64_t kRows = 64;
        constexpr std::int64_t kCols = 96;
        const std::vector<float> w = plainNormal(kRows * kCols, 6, 0.05);
        std::vector<float> x = plainNormal(300 * kCols, 7);
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] *= std::exp2(static_cast<float>(i % kCols) / 16);
        const ActivationStatistics inputs = statisticsOf(x, kCols);
        const TensorView view = viewOf(w, {kRows, kCols});
        QuantizerReport report;
        const QuantizedTensor plain = filled(view, "int3:g32+lr8", "rtn", &inputs);
        const QuantizedTensor scaled = filled(view, "int3:g32+lr8:scaled", "rtn", &inputs, &report);
        QVERIFY(outputError(w, restored(scaled), inputs) < 0.8 * outputError(w, restored(plain), inputs));
        QVERIFY(squaredError(view, scaled) > squaredError(view, plain));
        QCOMPARE(report.objective, std::string("Σ rms²·(w − ŵ)²"));
        QVERIFY(report.reached < report.rtn && !report.keptRtn);
    }

    // LLM.int8() ---------------------------------------------------------------------------------------------------

    void llmInt8()
    {
        constexpr std::int64_t kTokens = 512;
        constexpr std::int64_t kIn = 1024;
        constexpr std::int64_t kOut = 64;
        double leastGain = 1e9;
        double mostGain = 0;
        bool allFound = true;
        for (std::uint64_t seed = 1; seed <= 8; ++seed) {
            std::vector<float> x = plainNormal(kTokens * kIn, seed);
            std::set<std::int32_t> outliers;
            for (std::uint64_t i = 0; i < 6; ++i)
                outliers.insert(static_cast<std::int32_t>(CounterRng(seed, 9).bits(i) % kIn));
            QCOMPARE(outliers.size(), std::size_t{6});
            for (std::size_t t = 0; t < kTokens; ++t)
                for (const std::int32_t j : outliers)
                    x[t * kIn + static_cast<std::size_t>(j)] *= 40;
            const std::vector<float> w = plainNormal(kOut * kIn, 100 + seed, 0.02);
            ActivationStatistics inputs;
            inputs.in = kIn;
            inputs.tokens = kTokens;
            inputs.channelMin.assign(kIn, 0);
            inputs.channelMax.assign(kIn, 0);
            inputs.channelRms.assign(kIn, 0);
            for (std::size_t i = 0; i < x.size(); ++i) {
                const auto value = static_cast<double>(x[i]);
                inputs.channelMin[i % kIn] = std::min(inputs.channelMin[i % kIn], value);
                inputs.channelMax[i % kIn] = std::max(inputs.channelMax[i % kIn], value);
                inputs.channelRms[i % kIn] += value * value;
            }
            for (double& rms : inputs.channelRms)
                rms = std::sqrt(rms / kTokens);
            const TensorView view = viewOf(w, {kOut, kIn});
            const QuantizedTensor mixed = filled(view, "int8+cols16:over6", "rtn", &inputs);
            std::vector<std::int32_t> expected(outliers.begin(), outliers.end());
            expected.resize(16, -1);
            allFound = allFound && mixed.additions->columns == expected;
            for (std::size_t r = 0; r < kOut; ++r) // their codes are 0
                for (const std::int32_t j : outliers)
                    QCOMPARE(mixed.codes.as<std::int8_t>()[r * kIn + static_cast<std::size_t>(j)], std::int8_t{0});
            const std::vector<double> y = product(x, w, kIn);
            const double vectorWise = relative(y, runMixed(x, w, kIn, "int8", inputs));
            const double decomposed = relative(y, runMixed(x, w, kIn, "int8+cols16:over6", inputs));
            leastGain = std::min(leastGain, vectorWise / decomposed);
            mostGain = std::max(mostGain, vectorWise / decomposed);
            if (seed == 1) {
                QL_NEAR("C3", "relative error of the output, vector-wise int8", vectorWise, 0.048, 0.003);
                QL_NEAR("C3", "relative error of the output, 6 columns in float16", decomposed, 0.0033, 0.0003);
            }
            if (seed > 1)
                continue;
            // α → 0: every column is kept.
            const double exact = relative(y, runMixed(x, w, kIn, "int8+cols1024:over0.001", inputs));
            QL_AT_MOST("C3", "relative error of the output as α → 0: float16 of both", exact, 3e-4);
            // α → ∞, and inputs below it: plain vector-wise, bit for bit.
            const QuantizedTensor plain = quantized(view, "int8");
            const QuantizedTensor never = filled(view, "int8+cols16:over9999", "rtn", &inputs);
            QL_HOLDS("C3", "no |x| ≥ α: bit-identical to plain vector-wise",
                     sameBits(plain, never) && sameBits(restored(plain), restored(never)) &&
                         runMixed(x, w, kIn, "int8", inputs) == runMixed(x, w, kIn, "int8+cols16:over9999", inputs));
        }
        QL_HOLDS("C3", "decomposition finds exactly the 6 columns, 8 seeds", allFound);
        QL_AT_LEAST("C3", "gain of the decomposition, least of 8 seeds", leastGain, 10);
        QL_NEAR("C3", "gain of the decomposition, between 14.0 and 14.6", (leastGain + mostGain) / 2, 14.3, 0.6);
    }

    void columnsByWhatIsKnown()
    {
        constexpr std::int64_t kCols = 40;
        std::vector<float> w(5 * kCols, 0.5F);
        for (std::size_t r = 0; r < 5; ++r) {
            w[r * kCols + 7] = 4;
            w[r * kCols + 30] = -3;
        }
        const Additions two{.columns = 2};
        const TensorView view = viewOf(w, {5, kCols});
        using Columns = std::vector<std::int32_t>;
        QCOMPARE(keptColumns(view, two, nullptr, m_context).value(), (Columns{7, 30}));
        ActivationStatistics inputs;
        inputs.in = kCols;
        inputs.channelRms.assign(kCols, 1.0);
        inputs.channelRms[30] = 0.01;
        inputs.channelRms[2] = 9;
        QCOMPARE(keptColumns(view, two, &inputs, m_context).value(), (Columns{2, 7}));
        inputs.channelMin.assign(kCols, -1);
        inputs.channelMax.assign(kCols, 1);
        inputs.channelMin[11] = -6;
        inputs.channelMax[4] = 5.9;
        QCOMPARE(keptColumns(view, two, &inputs, m_context).value(), (Columns{4, 11}));
        QCOMPARE(keptColumns(view, {.columns = 2, .columnsOver = 6}, &inputs, m_context).value(), (Columns{11}));
        // What error feedback knows of the others is untouched.
        inputs.gram.assign(kCols * kCols, 2);
        const ActivationStatistics rest = withoutColumns(inputs, Columns{4, 11});
        for (std::size_t i = 0; i < kCols; ++i)
            for (std::size_t j = 0; j < kCols; ++j)
                QCOMPARE(rest.gram[i * kCols + j], i == 4 || i == 11 || j == 4 || j == 11 ? 0.0 : 2.0);
    }

    /// With error feedback kept columns take no error from others and give none: those codes are what GPTQ makes of the
    /// matrix without these columns.
    void gptqSeesKeptColumnsAsExact()
    {
        constexpr std::int64_t kRows = 16;
        constexpr std::int64_t kCols = 128;
        const std::vector<float> w = plainNormal(kRows * kCols, 8, 0.05);
        std::vector<float> x = correlatedInputs(500, kCols);
        for (std::size_t t = 0; t < 500; ++t)
            for (std::size_t j = 120; j < kCols; ++j)
                x[t * kCols + j] *= 30;
        const ActivationStatistics inputs = statisticsOf(x, kCols);
        const QuantizedTensor sum =
            filled(viewOf(w, {kRows, kCols}), "int3+cols8", "gptq:order=natural:damp=0", &inputs);
        QCOMPARE(sum.additions->columns, (std::vector<std::int32_t>{120, 121, 122, 123, 124, 125, 126, 127}));
        std::vector<float> fewer;
        std::vector<float> fewerX;
        for (std::size_t r = 0; r < kRows; ++r)
            fewer.insert(fewer.end(), w.begin() + static_cast<std::ptrdiff_t>(r * kCols),
                         w.begin() + static_cast<std::ptrdiff_t>(r * kCols + 120));
        for (std::size_t t = 0; t < 500; ++t)
            fewerX.insert(fewerX.end(), x.begin() + static_cast<std::ptrdiff_t>(t * kCols),
                          x.begin() + static_cast<std::ptrdiff_t>(t * kCols + 120));
        const ActivationStatistics fewerInputs = statisticsOf(fewerX, 120);
        const QuantizedTensor alone =
            filled(viewOf(fewer, {kRows, 120}), "int3", "gptq:order=natural:damp=0", &fewerInputs);
        int differing = 0;
        for (std::size_t r = 0; r < kRows; ++r)
            for (std::size_t j = 0; j < 120; ++j)
                differing += sum.codes.as<std::int8_t>()[r * kCols + j] != alone.codes.as<std::int8_t>()[r * 120 + j];
        QVERIFY2(differing <= 4, qPrintable(QString::number(differing))); // a singular H is damped by hardly anything
    }

    // Sparse weights -----------------------------------------------------------------------------------------------

    /// All ways to share three places over three runs, by brute force.
    void sharesAreTheBest()
    {
        constexpr std::int64_t kCols = 24;
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            const std::vector<float> w = heavyTailed(kCols, seed);
            const TensorView view = viewOf(w, {1, kCols});
            const Scheme scheme = parseScheme("int3:g8").value();
            std::array<std::vector<double>, 3> errors; // of each run without its k largest
            for (std::size_t run = 0; run < 3; ++run) {
                std::vector<float> part(w.begin() + static_cast<std::ptrdiff_t>(8 * run),
                                        w.begin() + static_cast<std::ptrdiff_t>(8 * run + 8));
                for (int k = 0; k <= 3; ++k) {
                    errors[run].push_back(
                        squaredError(viewOf(part, {1, 8}), quantized(viewOf(part, {1, 8}), "int3:g8")));
                    *std::ranges::max_element(part, {}, [](float v) { return std::fabs(v); }) = 0;
                }
            }
            double least = 1e9;
            for (std::size_t a = 0; a <= 3; ++a)
                for (std::size_t b = 0; a + b <= 3; ++b)
                    least = std::min(least, errors[0][a] + errors[1][b] + errors[2][3 - a - b]);
            const QuantizeTask task{.weights = view, .scheme = scheme, .spec = {}};
            const SparsePositions found = chooseSparse(task, 3, m_context).value();
            QCOMPARE(found.columns.size(), std::size_t{3});
            std::array<std::size_t, 3> counts{};
            for (const std::uint32_t column : found.columns)
                ++counts[column / 8];
            const double reached = errors[0][counts[0]] + errors[1][counts[1]] + errors[2][counts[2]];
            // Along the hull; a place more or less beside it where its corners do not fit the number.
            double hullStep = 0;
            for (const auto& its : errors)
                hullStep = std::max(hullStep, its[0] - its[3]);
            QVERIFY(reached <= least + hullStep);
            // And they are the largest of their runs.
            for (std::size_t run = 0; run < 3; ++run) {
                std::vector<std::uint32_t> order(8);
                std::iota(order.begin(), order.end(), static_cast<std::uint32_t>(8 * run));
                std::ranges::sort(order,
                                  [&](std::uint32_t a, std::uint32_t b) { return std::fabs(w[a]) > std::fabs(w[b]); });
                order.resize(counts[run]);
                for (const std::uint32_t column : order)
                    QVERIFY(std::ranges::find(found.columns, column) != found.columns.end());
            }
        }
    }

    void oneScaleKeepsTheLargest()
    {
        const std::vector<float> w = heavyTailed(30 * 50, 3);
        const QuantizeTask task{
            .weights = viewOf(w, {30, 50}), .scheme = parseScheme("int4:tensor").value(), .spec = {}};
        const SparsePositions found = chooseSparse(task, 37, m_context).value();
        std::vector<float> kept;
        for (std::size_t r = 0; r < 30; ++r)
            for (std::size_t i = found.rowStarts[r]; i < found.rowStarts[r + 1]; ++i)
                kept.push_back(std::fabs(w[r * 50 + found.columns[i]]));
        std::ranges::sort(kept, std::greater());
        std::vector<float> all(w);
        for (float& v : all)
            v = std::fabs(v);
        std::ranges::sort(all, std::greater());
        all.resize(37);
        QCOMPARE(kept, all);
    }

    void sparseOutliersHelpHeavyTails()
    {
        constexpr std::int64_t kRows = 128;
        constexpr std::int64_t kCols = 512;
        const ActivationStatistics inputs = statisticsOf(correlatedInputs(800, kCols, 64, 0.5), kCols);
        const auto error = [&](const std::vector<float>& w, const char* scheme, const char* spec) {
            return outputError(w, restored(filled(viewOf(w, {kRows, kCols}), scheme, spec, &inputs)), inputs);
        };
        const std::vector<float> t3 = heavyTailed(kRows * kCols, 41, 3);
        const std::vector<float> t2 = heavyTailed(kRows * kCols, 42, 2);
        const std::vector<float> mixed = withOutliers(kRows * kCols, 43);
        QL_AT_LEAST("A13", "2-bit rows by GPTQ, output MSE over that with 1 % in float16: Student t of 3",
                    error(t3, "int2", "gptq") / error(t3, "int2+sparse1", "gptq"), 2);
        QL_AT_LEAST("A13", "2-bit rows by GPTQ, output MSE over that with 1 % in float16: Student t of 2",
                    error(t2, "int2", "gptq") / error(t2, "int2+sparse1", "gptq"), 5);
        QL_AT_LEAST("A13",
                    "2-bit rows by GPTQ, output MSE over that with 1 % in float16: 0.8 % of weights 16 times as large",
                    error(mixed, "int2", "gptq") / error(mixed, "int2+sparse1", "gptq"), 10);
        for (const auto* w : {&t3, &t2, &mixed})
            for (const char* spec : {"rtn", "mse"})
                QVERIFY(error(*w, "int2+sparse1", spec) < 0.7 * error(*w, "int2", spec));
        // Finer groups that cost more bits help less; indices are counted.
        const auto bits = [&](const char* text) {
            return static_cast<double>(payloadBits(parseScheme(text).value(), kRows, kCols)) / (kRows * kCols);
        };
        QL_NEAR("A13", "bits a weight that 1 % of W[128, 512] take with their indices",
                bits("int2:s=f16+sparse1") - bits("int2:s=f16"), (656.0 * 32 + 129.0 * 32) / 65536, 1e-12);
        QVERIFY(bits("int2:s=f16+sparse1") < bits("int2:g32:s=f16"));
        QVERIFY(error(t2, "int2:s=f16+sparse1", "gptq") < error(t2, "int2:g32:s=f16", "gptq"));
    }
};

QTEST_APPLESS_MAIN(SumOfPartsTest)
#include "sum_of_parts_test.moc"
