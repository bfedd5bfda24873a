// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/error_curves.h"
#include "tests/support/acceptance.h"
#include "tests/support/quantize_support.h"

#include <array>
#include <cmath>
#include <limits>
#include <set>

using namespace ql;
using namespace ql::tests;

namespace {

std::vector<float> normals(std::size_t n, std::uint64_t seed)
{
    const CounterRng rng(seed);
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i)
        values[i] = static_cast<float>(rng.normal(i));
    return values;
}

const CurvePoint& pointOf(const ErrorCurves& curves, const std::string& family, int bits)
{
    for (const ErrorCurve& curve : curves.curves)
        for (const CurvePoint& point : curve.points)
            if (curve.family == family && point.elementBits == bits)
                return point;
    qFatal("no %d-bit point in %s", bits, family.c_str());
}

} // namespace

class ErrorCurvesTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};

    ErrorStats measured(const TensorView& view, const std::string& scheme)
    {
        const auto quantized = quantize({view, parseScheme(scheme).value(), {}, nullptr}, m_context);
        return measureError(view, quantized.value(), m_context).value();
    }
    void verify(const TensorView& view, std::int64_t groupSize)
    {
        const auto curves = computeErrorCurves(view, groupSize, m_context);
        QVERIFY(curves);
        std::set<std::string> schemes;
        for (const ErrorCurve& curve : curves->curves) {
            int last = 0;
            for (const CurvePoint& point : curve.points) {
                QVERIFY(point.elementBits > last);
                last = point.elementBits;
                schemes.insert(point.scheme);
                const ErrorStats stats = measured(view, point.scheme);
                const char* name = point.scheme.c_str();
                QVERIFY2(std::fabs(point.mse - stats.mse()) <= 1e-12 * stats.mse(), name);
                QVERIFY2(std::fabs(point.sqnrDb - stats.sqnrDb()) <= 1e-9 || point.sqnrDb == stats.sqnrDb(), name);
                const MatrixShape m = matrixShape(view.shape);
                QCOMPARE(point.bitsPerWeight,
                         static_cast<double>(payloadBits(parseScheme(point.scheme).value(), m.rows, m.cols)) /
                             static_cast<double>(m.rows * m.cols));
            }
        }
        QCOMPARE(schemes.size(), 7U + 6U + 3U + 3U + 1U + 1U);
        // The best split is the best of all splits.
        const std::string granularity = groupSize > 0 ? ":g" + std::to_string(groupSize) : "";
        for (int bits = 3; bits <= 8; ++bits)
            for (int x = 1; x < bits; ++x) {
                const std::string scheme = "e" + std::to_string(x) + "m" + std::to_string(bits - 1 - x) + granularity;
                QVERIFY2(pointOf(*curves, "ExMy", bits).mse <= measured(view, scheme).mse() * (1 + 1e-12),
                         scheme.c_str());
            }
    }

private Q_SLOTS:
    void equalsQuantizeAndMeasure()
    {
        std::vector<float> values = normals(45 * 333, 31);
        verify(viewOf(values, {45, 333}), 0);
        verify(viewOf(values, {45, 333}), 64);
        verify(viewOf(values, {45 * 333}), 128);
        for (std::size_t i = 0; i < values.size(); i += 1000)
            values[i] *= 30;
        for (std::size_t i = 40; i < 120; ++i)
            values[i] = 0;
        verify(viewOf(values, {45, 9, 37}), 32);
        values[7] = std::numeric_limits<float>::quiet_NaN();
        values[3000] = -std::numeric_limits<float>::infinity();
        verify(viewOf(values, {45, 333}), 100);
    }

    /// N(0,1), 2^21 samples: the published table, ±0.15 dB, and mean crest factors.
    void gaussianTable()
    {
        const std::vector<float> values = normals(std::size_t{1} << 21U, 32);
        const auto curves = computeErrorCurves(viewOf(values, {1 << 14, 128}), 32, m_context);
        QVERIFY(curves);
        QL_NEAR("C1", "N(0,1), mean crest factor of 16", curves->crestFactor16, 2.110, 0.003);
        QL_NEAR("C1", "N(0,1), mean crest factor of 32", curves->crestFactor32, 2.366, 0.003);
        QL_NEAR("C1", "N(0,1), mean crest factor of 128", curves->crestFactorChannel, 2.834, 0.005);
        const auto near = [&](const char* family, int bits, const char* scheme, double db) {
            const CurvePoint& point = pointOf(*curves, family, bits);
            QCOMPARE(point.scheme, std::string(scheme));
            QL_NEAR("C1", std::string("N(0,1), curve of ") + scheme + ", QSNR in dB", point.sqnrDb, db, 0.15);
        };
        near("MX INT", 8, "mxint8", 41.61);
        near("MX INT", 6, "mxint6", 29.42);
        near("MX INT", 4, "mxint4", 16.84);
        near("MX FP", 8, "mxfp8_e4m3", 31.52);
        near("MX FP", 6, "mxfp6_e2m3", 30.96);
        near("MX FP", 4, "mxfp4", 18.76);
        near("NV INT", 4, "nvint4", 21.28);
        near("NV FP", 4, "nvfp4", 20.44);
        QCOMPARE(pointOf(*curves, "MX INT", 8).bitsPerWeight, 8.25);
        QCOMPARE(pointOf(*curves, "MX FP", 6).bitsPerWeight, 6.25);
        QVERIFY(std::fabs(pointOf(*curves, "NV FP", 4).bitsPerWeight - 4.5) < 1e-4);
        QCOMPARE(pointOf(*curves, "INT", 4).bitsPerWeight, 5.0);
        // 6 dB a bit, and every crest factor within its bounds.
        for (int bits = 4; bits <= 8; ++bits) {
            const double step = pointOf(*curves, "INT", bits).sqnrDb - pointOf(*curves, "INT", bits - 1).sqnrDb;
            QVERIFY(step > 5.9 && step < 8.5);
        }
    }

    void crossovers()
    {
        const auto found = crestFactorCrossovers();
        const std::map<std::string_view, double> want = {
            {"mxint8", 7.55}, {"mxint6", 1.96}, {"mxint4", 2.04}, {"nvint4", 2.39}};
        QCOMPARE(found.size(), want.size());
        for (const Crossover& crossover : found) {
            QL_NEAR("C1",
                    std::string(crossover.integer) + " against " + std::string(crossover.minifloat) +
                        ", crest factor below which the integer wins, by the formulas",
                    crossover.crestFactor, want.at(crossover.integer), 0.01);
            QCOMPARE(crossover.block, crossover.integer.starts_with("nv") ? 16 : 32);
            const PairQsnr at = theoreticalQsnrDb(crossover, crossover.crestFactor);
            QVERIFY(std::fabs(at.integerDb - at.minifloatDb) < 1e-9);
            const PairQsnr below = theoreticalQsnrDb(crossover, crossover.crestFactor - 0.5);
            QVERIFY(below.integerDb > below.minifloatDb);
        }
        // Levels at the crossings, and the limit of wide ranges, E4M3: 13.80 + 6.02·3 dB.
        const auto level = [](const char* what, double got, double expected) {
            return acceptNear("C1", std::string(what) + ", QSNR in dB by the formula", got, expected, 0.006);
        };
        QL_ACCEPT(level("int8, E8M0, crest factor 7.5459", theoreticalIntQsnrDb(8, 7.5459, kRhoE8m0, 0), 31.86));
        QL_ACCEPT(level("E4M3, E8M0, crest factor 7.5459", theoreticalFpQsnrDb(4, 3, 448, 7.5459, kRhoE8m0, 0), 31.86));
        QL_ACCEPT(level("E2M3, E8M0, crest factor 1.9592", theoreticalFpQsnrDb(2, 3, 7.5, 1.9592, kRhoE8m0, 0), 31.54));
        QL_ACCEPT(level("E2M1, E8M0, crest factor 2.0415", theoreticalFpQsnrDb(2, 1, 6, 2.0415, kRhoE8m0, 0), 19.14));
        QL_ACCEPT(level("int4, E4M3, crest factor 2.3899", theoreticalIntQsnrDb(4, 2.3899, kRhoE4m3, 16), 21.14));
        QL_ACCEPT(level("E2M1, E4M3, crest factor 2.3899", theoreticalFpQsnrDb(2, 1, 6, 2.3899, kRhoE4m3, 16), 21.14));
        QL_NEAR("C1", "E4M3, wide range: 13.80 + 6.02 M dB", theoreticalFpQsnrDb(4, 3, 448, 3, 1, 0), 31.86, 0.01);
        // Pairs that are not compared in the charts.
        const auto crossing = [](int bits, int e, int m, double largest, double rho) {
            double low = 1;
            double high = 40;
            for (int i = 0; i < 60; ++i) {
                const double middle = (low + high) / 2;
                (theoreticalIntQsnrDb(bits, middle, rho, 0) > theoreticalFpQsnrDb(e, m, largest, middle, rho, 0)
                     ? low
                     : high) = middle;
            }
            return low;
        };
        QL_NEAR("C1", "mxint8 against mxfp8_e5m2, crest factor by the formulas", crossing(8, 5, 2, 57344, kRhoE8m0),
                15.09, 0.01);
        QL_NEAR("C1", "mxint6 against mxfp6_e3m2, crest factor by the formulas", crossing(6, 3, 2, 28, kRhoE8m0), 3.77,
                0.01);
        QL_NEAR("C1", "int8 against E4M3, float scales, crest factor by the formulas", crossing(8, 4, 3, 448, 1), 11.32,
                0.01);
        // Seven levels on either side where the formula has eight.
        double low = 1.5;
        double high = 3;
        for (int i = 0; i < 60; ++i) {
            const double middle = (low + high) / 2;
            (theoreticalIntQsnrDb(4, middle, kRhoE4m3, 16) - 20 * std::log10(8.0 / 7) >
                     theoreticalFpQsnrDb(2, 1, 6, middle, kRhoE4m3, 16)
                 ? low
                 : high) = middle;
        }
        QL_NEAR("C1", "nvint4 with its 7 levels against nvfp4, crest factor by the formulas", low, 2.15, 0.006);
    }

    /// Blocks of 16 whose largest value is set by the crest factor: where NVINT4 and NVFP4 are equally good. 15 of them
    /// are Gaussian, clipped at the largest.
    void measuredCrossover()
    {
        const CounterRng rng(33);
        double low = 1.6;
        double high = 3;
        for (int step = 0; step < 12; ++step) {
            const double crest = (low + high) / 2;
            std::vector<float> x(std::size_t{1} << 18U);
            for (std::size_t block = 0; block < x.size(); block += 16) {
                // The largest is 1 and the root mean square 1/crest: the others share what is left.
                double squares = 0;
                std::array<double, 16> values{};
                for (std::size_t i = 1; i < 16; ++i) {
                    values[i] = rng.normal(block + i);
                    squares += values[i] * values[i];
                }
                const double factor = std::sqrt((16 / (crest * crest) - 1) / squares);
                values[0] = rng.bits(block) % 2 == 0 ? 1 : -1;
                const double size = std::exp2(-2 * rng.uniform((1ULL << 40) + block)); // scales of blocks are rounded
                for (std::size_t i = 0; i < 16; ++i)
                    x[block + i] = static_cast<float>(size * std::clamp(values[i] * (i == 0 ? 1 : factor), -1.0, 1.0));
            }
            const TensorView view = viewOf(x, {1 << 10, 1 << 8});
            (measured(view, "nvint4").sqnrDb() > measured(view, "nvfp4").sqnrDb() ? low : high) = crest;
        }
        // Between what the formulas say with 7 and with 8 levels.
        QVERIFY2(low > 2.15 && low < 2.39, qPrintable(QString::number(low)));
    }

    /// Q(−x) = −Q(x) where no code is without a twin.
    void symmetricFormatsAreOdd()
    {
        std::vector<float> x = normals(1 << 14, 34);
        std::vector<float> negated = x;
        for (float& value : negated)
            value = -value;
        const auto restoredBy = [&](const std::vector<float>& values, const char* scheme) {
            const auto made =
                quantize({viewOf(values, {1 << 6, 1 << 8}), parseScheme(scheme).value(), {}, nullptr}, m_context);
            std::vector<float> out(values.size());
            made->restoreRows(0, 1 << 6, out.data());
            return out;
        };
        for (const char* scheme : {"mxint8", "mxint6", "mxint4", "nvint4", "int8:g32:restricted", "int4:restricted",
                                   "mxfp4", "nvfp4", "balanced2"}) {
            std::vector<float> turned = restoredBy(negated, scheme);
            for (float& value : turned)
                value = -value;
            QL_HOLDS(std::string_view(scheme) == "balanced2" ? "C8" : "C1",
                     std::string(scheme) + ": Q(-x) = -Q(x) exactly", turned == restoredBy(x, scheme));
        }
    }

    void edgesAndErrors()
    {
        const std::vector<float> zeros(64, 0.0F);
        const auto flat = computeErrorCurves(viewOf(zeros, {2, 32}), 0, m_context);
        QVERIFY(flat);
        QCOMPARE(flat->crestFactor32, 0.0);
        for (const ErrorCurve& curve : flat->curves)
            for (const CurvePoint& point : curve.points)
                QVERIFY(point.mse == 0 && point.sqnrDb == std::numeric_limits<double>::infinity());
        std::vector<float> peak(64, 0.0F);
        peak[5] = 3;
        const auto spiky = computeErrorCurves(viewOf(peak, {2, 32}), 0, m_context);
        QVERIFY(std::fabs(spiky->crestFactor32 - std::sqrt(32.0)) < 1e-12); // the largest there is
        QVERIFY(std::fabs(spiky->crestFactor16 - 4) < 1e-12);
        QVERIFY(!computeErrorCurves(viewOf(zeros, {0, 32}), 0, m_context));
        QVERIFY(!computeErrorCurves(viewOf(zeros, {2, 32}), -1, m_context));
        QVERIFY(!computeErrorCurves({Dtype::c64, {2}, nullptr}, 0, m_context));
        std::stop_source source;
        source.request_stop();
        const auto cancelled =
            computeErrorCurves(viewOf(zeros, {2, 32}), 0, JobContext(m_executor, source.get_token()));
        QVERIFY(!cancelled);
        QCOMPARE(cancelled.error().code, Errc::cancelled);
    }
};

QTEST_APPLESS_MAIN(ErrorCurvesTest)
#include "error_curves_test.moc"
