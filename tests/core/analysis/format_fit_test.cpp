// SPDX-License-Identifier: GPL-3.0-or-later
// Errors of grids: by theory against published tables and samples, over sorted weights against coding each; the
// formats, clips and exponents that fit, against published tables and by brute force.
#include "core/analysis/expected_error.h"
#include "core/analysis/format_fit.h"
#include "core/base/rng.h"
#include "tests/support/acceptance.h"

#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TensorView viewOf(const std::vector<float>& values, Shape shape)
{
    return {Dtype::f32, std::move(shape), reinterpret_cast<const std::byte*>(values.data())};
}

enum class Law { uniform, normal, laplace, student3 };

std::vector<float> samples(Law law, std::int64_t n, std::uint64_t seed = 7)
{
    const CounterRng rng(seed);
    const CounterRng chi(seed, 1);
    std::vector<float> out(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < out.size(); ++i) {
        const double u = 2 * rng.uniform(i) - 1;
        double x = u;
        if (law == Law::normal)
            x = rng.normal(i);
        if (law == Law::laplace)
            x = -std::copysign(std::log1p(-std::fabs(u)), u);
        if (law == Law::student3) {
            double square = 0;
            for (std::size_t k = 0; k < 3; ++k)
                square += std::pow(chi.normal(3 * i + k), 2);
            x = rng.normal(i) / std::sqrt(square / 3);
        }
        out[i] = static_cast<float>(x);
    }
    return out;
}

/// n weights as evenly over the law as can be: samples without the luck of their tails.
std::vector<float> quantiles(const WeightLaw& law, std::int64_t n)
{
    std::vector<float> out;
    double x = 0; // ascending
    for (std::int64_t i = 0; i < n / 2; ++i) {
        const double mass = (static_cast<double>(i) + 0.5) / static_cast<double>(n);
        double low = x;
        double high = std::max(2 * x, 1e-3);
        while (law.partialMoment(0, 0, high) < mass)
            high *= 2;
        for (int k = 0; k < 40; ++k)
            (law.partialMoment(0, 0, (low + high) / 2) < mass ? low : high) = (low + high) / 2;
        x = (low + high) / 2;
        out.push_back(static_cast<float>(x));
        out.push_back(static_cast<float>(-x));
    }
    return out;
}

GridCells cellsOf(const std::string& element)
{
    return element.starts_with("int") ? GridCells::ofIntegers(element.back() - '0')
                                      : GridCells::of(*findNumberFormat(element).value());
}

const FormatFit& fitOf(const FormatFits& fits, const std::string& element)
{
    for (const FormatFit& fit : fits.fits)
        if (fit.element == element)
            return fit;
    qFatal("no %s", element.c_str());
}

} // namespace

class FormatFitTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};

    FormatFits fit(const std::vector<float>& values, Shape shape, int bits, const FitSettings& settings)
    {
        return fitFormats(viewOf(values, std::move(shape)), {bits}, settings, m_context).value().front();
    }

private Q_SLOTS:
    /// Methods A4: SQNR at the clip of least error.
    void expectedErrors_data()
    {
        QTest::addColumn<QByteArray>("element");
        QTest::addColumn<double>("uniform");
        QTest::addColumn<double>("normal");
        QTest::addColumn<double>("normalClip"); // 0: not published
        QTest::addColumn<double>("student");
        const auto row = [](const char* element, double uniform, double normal, double clip, double student) {
            QTest::newRow(element) << QByteArray(element) << uniform << normal << clip << student;
        };
        row("int8", 48.13, 40.54, 3.92, 34.39);
        row("e2m5", 44.49, 42.67, 4.35, 38.43);
        row("e3m4", 38.49, 37.57, 5.11, 37.52);
        row("e4m3", 32.41, 31.56, 0, 31.54);
        row("e5m2", 26.28, 25.58, 0, 25.56);
        row("e2m1", 20.06, 18.97, 2.92, 17.76);
        row("e3m0", 15.68, 14.23, 0, 14.17);
        row("int4", 23.52, 18.90, 2.47, 16.41);
        row("e1m2", 23.52, 18.90, 2.47, 16.41);
        row("int3", 16.73, 13.29, 0, 11.62);
        row("int2", 7.37, 7.21, 0, 6.33);
    }
    void expectedErrors()
    {
        QFETCH(QByteArray, element);
        QFETCH(double, uniform);
        QFETCH(double, normal);
        QFETCH(double, normalClip);
        QFETCH(double, student);
        const GridCells cells = cellsOf(element.toStdString());
        const auto what = [&](const char* law) { return element.toStdString() + " on " + law + ", SQNR in dB"; };
        // The published clips of uniform weights were sought from 0.9 on; for three elements less is better.
        const double clip = bestClip(WeightLaw::uniform(), cells, 1.2);
        const double db = expectedSqnrDb(WeightLaw::uniform(), cells, std::max(clip, 0.9));
        QL_NEAR("A4", what("U[-1,1] (clip from 0.9)").c_str(), db, uniform, 0.02);
        QVERIFY(expectedSqnrDb(WeightLaw::uniform(), cells, clip) >= db);
        const double best = bestClip(WeightLaw::normal(), cells, 60);
        QL_NEAR("A4", what("N(0,1)").c_str(), expectedSqnrDb(WeightLaw::normal(), cells, best), normal, 0.02);
        if (normalClip > 0)
            QL_NEAR("A4", (element.toStdString() + " on N(0,1), clip").c_str(), best, normalClip, 0.02);
        QL_NEAR("A4", what("t(8)").c_str(),
                expectedSqnrDb(WeightLaw::student(8), cells, bestClip(WeightLaw::student(8), cells, 60)), student,
                0.02);
        // Samples.
        const std::vector<float> values = quantiles(WeightLaw::normal(), 1 << 18);
        const SortedMagnitudes sorted(values);
        QL_NEAR("A4", what("N(0,1), 2^18 quantiles").c_str(),
                10 * std::log10(sorted.sumOfSquares() / sorted.squaredError(cells, best)), normal, 0.1);
    }

    /// Methods A4: with the largest weight coded exactly.
    void crestFactorsWhereFloatsOvertake()
    {
        const GridCells int8 = cellsOf("int8");
        const auto crossing = [&](const char* element) {
            const GridCells cells = cellsOf(element);
            double low = 3;
            double high = 30;
            for (int i = 0; i < 60; ++i) {
                const double middle = (low + high) / 2;
                const WeightLaw law = WeightLaw::normal();
                (expectedSqnrDb(law, int8, middle) > expectedSqnrDb(law, cells, middle) ? low : high) = middle;
            }
            return low;
        };
        QL_NEAR("A4", "crest factor where E4M3 overtakes INT8", crossing("e4m3"), 11.6, 0.05 * 11.6);
        QL_NEAR("A4", "crest factor where E3M4 overtakes INT8", crossing("e3m4"), 5.9, 0.05 * 5.9);
        for (const double crest : {5.0, 8.0, 12.0, 20.0})
            QL_NEAR("A4", ("INT8 at crest factor " + formatDouble(crest) + ", SQNR in dB").c_str(),
                    expectedSqnrDb(WeightLaw::normal(), int8, crest), 52.87 - 20 * std::log10(crest), 0.05);
    }

    void partialMomentsAreIntegrals()
    {
        for (const WeightLaw& law : {WeightLaw::uniform(), WeightLaw::normal(), WeightLaw::student(3),
                                     WeightLaw::student(4), WeightLaw::student(5), WeightLaw::student(8)}) {
            QVERIFY(std::fabs(law.partialMoment(0, 0, kInfinity) - 0.5) < 1e-12);
            QVERIFY(std::fabs(2 * law.partialMoment(2, 0, kInfinity) - law.variance()) < 1e-12);
            // The density from the zeroth moment, the others from that by Simpson's rule.
            const double a = 0.2;
            const double b = 0.9;
            constexpr int kSteps = 200;
            for (int n = 1; n <= 2; ++n) {
                double sum = 0;
                const double h = (b - a) / kSteps;
                for (int i = 0; i < kSteps; ++i) {
                    const double left = a + i * h;
                    // ∫xⁿp over a short piece: the middle's xⁿ times its mass, and the curvature's share of it.
                    const double mass = law.partialMoment(0, left, left + h);
                    sum += std::pow(left + h / 2, n) * mass;
                }
                QVERIFY(std::fabs(sum - law.partialMoment(n, a, b)) < 1e-5);
            }
        }
        QVERIFY(std::fabs(WeightLaw::student(3).partialMoment(0, 0, 2.353363) - 0.45) < 1e-6); // tables of t
        QVERIFY(std::fabs(WeightLaw::student(8).partialMoment(0, 0, 1.859548) - 0.45) < 1e-6);
    }

    void sortedErrorsEqualCodingEach()
    {
        std::vector<float> values = samples(Law::student3, 3000);
        values[5] = std::numeric_limits<float>::quiet_NaN();
        values[6] = -std::numeric_limits<float>::infinity();
        values[7] = 0;
        const SortedMagnitudes sorted(values);
        QCOMPARE(sorted.count(), 2998);
        for (const char* element : {"e2m1", "e3m0", "e4m3", "e2m5", "e5m2", "e1m2"}) {
            const NumberFormatPtr format = findNumberFormat(element).value();
            for (const double clip : {0.3, 2.0, 11.0}) {
                double error = 0;
                const double scale = clip / static_cast<double>(format->maxLevel);
                for (const float w : values)
                    if (std::isfinite(w)) {
                        const std::uint8_t code =
                            nearestCode(*format, static_cast<float>(static_cast<double>(w) / scale));
                        error +=
                            std::pow(static_cast<double>(w) - scale * static_cast<double>(format->levels[code]), 2);
                    }
                const double got = sorted.squaredError(GridCells::of(*format), clip);
                QVERIFY2(std::fabs(got - error) <= 1e-6 * error, element);
            }
        }
        for (const double a : {0.5, 0.69, 1.0}) { // sign(w)·(|q|·M^a/Q)^(1/a), q = round(|w|^a·Q/M^a)
            const double largest = sorted.largest();
            double error = 0;
            for (const float w : values)
                if (std::isfinite(w)) {
                    const auto magnitude = std::fabs(static_cast<double>(w));
                    const double q = std::nearbyint(std::pow(magnitude / largest, a) * 7);
                    error += std::pow(magnitude - largest * std::pow(q / 7, 1 / a), 2);
                }
            QVERIFY(std::fabs(sorted.squaredError(GridCells::ofPower(4, a, true), largest) - error) <= 1e-9 * error);
        }
    }

    /// Methods B10, acceptance 3: one clip for all weights, searched.
    void searchedClips()
    {
        const FitSettings tensor{.byRow = false};
        const std::vector<float> normal = quantiles(WeightLaw::normal(), 1 << 18);
        const FormatFits eight = fit(normal, {1 << 18}, 8, tensor);
        for (const auto& [element, db] :
             {std::pair{"e2m5", 42.66}, {"int8:restricted", 40.52}, {"e3m4", 37.58}, {"e4m3", 31.58}, {"e5m2", 25.59}})
            QL_NEAR("B10", ("(3) " + std::string(element) + " on N(0,1), SQNR in dB").c_str(),
                    fitOf(eight, element).sqnrDb, db, 0.1);
        QCOMPARE(eight.fits.front().element, std::string("e2m5"));
        QL_NEAR("B10", "(3) clip of e2m5 on N(0,1)", eight.fits.front().clipSigmas, 4.5, 0.2);
        const FormatFits four = fit(normal, {1 << 18}, 4, tensor);
        QL_NEAR("B10", "(3) e2m1 on N(0,1), SQNR in dB", fitOf(four, "e2m1").sqnrDb, 18.96, 0.05);
        QL_NEAR("B10", "(3) clip of e2m1 on N(0,1)", fitOf(four, "e2m1").clipSigmas, 2.95, 0.1);
        QL_NEAR("B10", "(3) int4 on N(0,1), SQNR in dB", fitOf(four, "int4:restricted").sqnrDb, 18.90, 0.05);
        QL_NEAR("B10", "(3) clip of int4 on N(0,1)", fitOf(four, "int4:restricted").clipSigmas, 2.46, 0.05);
        QVERIFY(std::fabs(fitOf(four, "e1m2").sqnrDb - fitOf(four, "int4:restricted").sqnrDb) < 1e-9);
        QCOMPARE(four.fits.front().element, std::string("e2m1"));
        const FormatFits heavy = fit(quantiles(WeightLaw::student(3), 1 << 18), {1 << 18}, 8, tensor);
        QL_HOLDS("B10", "(3) e3m4 is best of 8 bits on t(3)", heavy.fits.front().element == "e3m4");
        QL_NEAR("B10", "(3) e3m4 on t(3), SQNR in dB", fitOf(heavy, "e3m4").sqnrDb, 36.8, 0.6);
        QL_NEAR("B10", "(3) e4m3 on t(3), SQNR in dB", fitOf(heavy, "e4m3").sqnrDb, 31.7, 0.2);
    }

    /// Methods C6: rows of 4096, the largest weight coded exactly.
    void rangesByRow()
    {
        const FitSettings ranges{.byRow = true, .clips = {1}};
        const auto four = [&](Law law) { return fit(samples(law, 128 * 4096), {128, 4096}, 4, ranges); };
        const auto near = [](const FormatFits& fits, const char* law, const char* element, double db,
                             double tolerance) {
            return acceptNear("C6", std::string(element) + " by row on " + law + ", SQNR in dB",
                              fitOf(fits, element).sqnrDb, db, tolerance);
        };
        const FormatFits uniform = four(Law::uniform);
        QVERIFY(near(uniform, "uniform", "e1m2", 22.9, 0.2) && near(uniform, "uniform", "e2m1", 19.2, 0.2) &&
                near(uniform, "uniform", "e3m0", 14.5, 0.2));
        QL_HOLDS("C6", "uniform rows want e1m2", uniform.mostWanted == "e1m2");
        const FormatFits normal = four(Law::normal); // e1m2 is int4, for which C13 has 16.02
        QVERIFY(near(normal, "N(0,1)", "e2m1", 18.6, 0.2) && near(normal, "N(0,1)", "e1m2", 16.3, 0.3));
        QL_HOLDS("C6", "Gaussian rows want e2m1", normal.mostWanted == "e2m1");
        const FormatFits laplace = four(Law::laplace);
        QVERIFY(near(laplace, "Laplace", "e2m1", 15.8, 0.2) && near(laplace, "Laplace", "e3m0", 14.2, 0.2) &&
                near(laplace, "Laplace", "e1m2", 12.0, 0.2));
        QL_HOLDS("C6", "Laplace rows want e2m1", laplace.mostWanted == "e2m1");
        const FormatFits student = four(Law::student3);
        QL_HOLDS("C6", "rows of t(3) want e3m0", student.mostWanted == "e3m0");
        QVERIFY(near(student, "t(3)", "e3m0", 14.3, 0.2));
        const FormatFits eight = fit(samples(Law::normal, 128 * 4096), {128, 4096}, 8, ranges);
        QL_NEAR("C6", "e2m5 by row on N(0,1), SQNR in dB", fitOf(eight, "e2m5").sqnrDb, 43.0, 0.2);
        QCOMPARE(eight.fits.front().element, std::string("e2m5"));
        const FormatFits heavy = fit(samples(Law::student3, 128 * 4096), {128, 4096}, 8, ranges);
        QL_NEAR("C6", "e3m4 by row on t(3), SQNR in dB", fitOf(heavy, "e3m4").sqnrDb, 38.2, 0.3);
        QL_HOLDS("C6", "rows of t(3) want e3m4 of 8 bits", heavy.mostWanted == "e3m4");
    }

    /// Methods C13: rows of 4096.
    void exponents()
    {
        const FitSettings ranges{.byRow = true, .clips = {1}};
        const auto power = [&](Law law, int bits) {
            return fit(samples(law, 128 * 4096), {128, 4096}, bits, ranges).power;
        };
        const PowerFit normal = power(Law::normal, 4);
        QL_NEAR("C13", "exponent of N(0,1), 4 bits", normal.exponent, 0.69, 0.03);
        QL_NEAR("C13", "pow4_69 on N(0,1), SQNR in dB", normal.sqnrDb, 17.37, 0.1);
        QL_NEAR("C13", "int4 on N(0,1), SQNR in dB", normal.sqnrDbOfIntegers, 16.02, 0.25);
        QL_NEAR("C13", "pow4_50 on N(0,1), SQNR in dB", normal.sqnrDbCurve[20], 16.82, 0.1);
        const PowerFit eight = power(Law::normal, 8);
        QL_NEAR("C13", "exponent of N(0,1), 8 bits", eight.exponent, 0.68, 0.03);
        QL_NEAR("C13", "pow8_68 on N(0,1), SQNR in dB", eight.sqnrDb, 42.55, 0.1);
        const PowerFit laplace = power(Law::laplace, 4);
        QL_NEAR("C13", "exponent of Laplace, 4 bits", laplace.exponent, 0.54, 0.03);
        QL_NEAR("C13", "pow4_54 on Laplace, SQNR in dB", laplace.sqnrDb, 15.21, 0.1);
        QL_NEAR("C13", "pow3 on Laplace at its best, SQNR in dB", power(Law::laplace, 3).sqnrDb, 7.74, 0.1);
        QL_NEAR("C13", "exponent of uniform, 4 bits", power(Law::uniform, 4).exponent, 1.0, 0.03);
    }

    void everyRowHasItsOwn()
    {
        // Rows of three laws: each votes for its own split, and each has its own clip.
        std::vector<float> values;
        for (const Law law : {Law::uniform, Law::uniform, Law::normal, Law::student3}) {
            const std::vector<float> row = samples(law, 4096, 90 + values.size());
            values.insert(values.end(), row.begin(), row.end());
        }
        values.resize(5 * 4096, 0.0F); // and one of zeros
        const FormatFits fits = fit(values, {5, 4096}, 4, {.byRow = true, .clips = {1}});
        QCOMPARE(fits.runs, 4);
        QCOMPARE(fitOf(fits, "e2m1").runsWon, 0.25);
        QCOMPARE(fitOf(fits, "e3m0").runsWon, 0.25);
        QCOMPARE(fitOf(fits, "int4:restricted").runsWon + fitOf(fits, "e1m2").runsWon, 0.5);
        QCOMPARE(fits.mostWanted, std::string("e1m2"));
        const FormatFits searched = fit(values, {5, 4096}, 4, {});
        for (const FormatFit& entry : searched.fits)
            QVERIFY(entry.sqnrDb >= fitOf(fits, entry.element).sqnrDb && entry.clip <= 1.2);
    }

    void limitsThreadsAndErrors()
    {
        const std::vector<float> values = samples(Law::laplace, 64 * 512);
        Executor three(3);
        const auto few = fitFormats(viewOf(values, {64, 512}), {4, 5}, {.mostWeights = 8 * 512}, m_context).value();
        QCOMPARE(few.front().runs, 8);
        QCOMPARE(few.front().weights, 8 * 512);
        const auto again =
            fitFormats(viewOf(values, {64, 512}), {4, 5}, {.mostWeights = 8 * 512}, JobContext(three)).value();
        for (std::size_t i = 0; i < 2; ++i)
            for (std::size_t k = 0; k < few[i].fits.size(); ++k)
                QVERIFY(few[i].fits[k].sqnrDb == again[i].fits[k].sqnrDb &&
                        few[i].fits[k].clip == again[i].fits[k].clip);
        const std::vector<float> zeros(64, 0.0F);
        QVERIFY(fit(zeros, {2, 32}, 4, {}).fits.empty());
        QVERIFY(!fitFormats(viewOf(zeros, {0, 32}), {4}, {}, m_context));
        QVERIFY(!fitFormats(viewOf(zeros, {2, 32}), {2}, {}, m_context));
        QVERIFY(!fitFormats(viewOf(zeros, {2, 32}), {4}, {.clips = {}}, m_context));
        QVERIFY(!fitFormats(viewOf(zeros, {2, 32}), {4}, {.clips = {0.0}}, m_context));
        QVERIFY(!fitFormats({Dtype::c64, {2}, nullptr}, {4}, {}, m_context));
        std::stop_source source;
        source.request_stop();
        const auto stopped = fitFormats(viewOf(values, {64, 512}), {4}, {}, JobContext(m_executor, source.get_token()));
        QVERIFY(!stopped && stopped.error().code == Errc::cancelled);
    }
};

QTEST_APPLESS_MAIN(FormatFitTest)
#include "format_fit_test.moc"
