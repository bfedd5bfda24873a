// SPDX-License-Identifier: GPL-3.0-or-later
// The mean squared error that a format's levels have under a law, in closed form, at the scale that makes it least:
// against published figures, against what the mse search reaches on samples, and where FP8 overtakes INT8.
#include "tests/support/acceptance.h"
#include "tests/support/laws.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

using namespace ql;
using namespace ql::tests;

namespace {

/// ∫x^k·density over a half-line up to x, k = 0, 1, 2.
struct PartialMoments {
    double zeroth = 0, first = 0, second = 0;
    friend PartialMoments operator-(const PartialMoments& a, const PartialMoments& b)
    {
        return {a.zeroth - b.zeroth, a.first - b.first, a.second - b.second};
    }
};

struct Law {
    std::string name; // as in laws.h
    double secondMoment;
    std::function<PartialMoments(double)> below;
};

double normalDensity(double x)
{
    return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
}

/// Distribution function of Student's law, an even number of degrees of freedom.
double studentBelow(double x, int degrees)
{
    const double cos2 = degrees / (degrees + x * x);
    double term = 1;
    double sum = 1;
    for (int k = 1; k < degrees / 2; ++k) {
        term *= cos2 * (2 * k - 1) / (2 * k);
        sum += term;
    }
    return 0.5 + x / std::sqrt(degrees + x * x) / 2 * sum;
}

double studentFactor(int degrees)
{
    return std::tgamma((degrees + 1) / 2.0) / std::tgamma(degrees / 2.0) / std::sqrt(degrees * std::numbers::pi);
}

Law uniformLaw()
{
    return {"uniform", 1 / 3.0, [](double x) -> PartialMoments {
                const double y = std::clamp(x, -1.0, 1.0);
                return {(y + 1) / 2, (y * y - 1) / 4, (y * y * y + 1) / 6};
            }};
}

Law normalLaw()
{
    return {"normal", 1, [](double x) -> PartialMoments {
                const double zeroth = std::erfc(-x / std::numbers::sqrt2) / 2;
                return {zeroth, -normalDensity(x), zeroth - (std::isfinite(x) ? x * normalDensity(x) : 0)};
            }};
}

/// x²·f = ν·(1 + x²/ν)·f − ν·f, and (1 + x²/ν)·f is a Student density of two degrees less, scaled.
Law studentLaw(int degrees)
{
    const double v = degrees;
    return {"t" + std::to_string(degrees), v / (v - 2), [=](double x) -> PartialMoments {
                if (!std::isfinite(x))
                    return x < 0 ? PartialMoments{} : PartialMoments{1, 0, v / (v - 2)};
                const double c = studentFactor(degrees);
                const double inner = studentBelow(x * std::sqrt((v - 2) / v), degrees - 2);
                const double zeroth = studentBelow(x, degrees);
                const double widened = c / studentFactor(degrees - 2) * std::sqrt(v / (v - 2)) * inner;
                return {zeroth, -c * v / (v - 1) * std::pow(1 + x * x / v, -(v - 1) / 2), v * (widened - zeroth)};
            }};
}

/// Levels between −1 and 1: as they are, without the one that has no twin.
std::vector<double> levelsOf(const std::string& format)
{
    std::vector<double> levels;
    const NumberFormatPtr found = findNumberFormat(format).value();
    for (const float level : found->grid.levels)
        if (level >= -found->maxLevel)
            levels.push_back(static_cast<double>(level / found->maxLevel));
    return levels;
}

double expectedError(const std::vector<double>& levels, double clip, const Law& law)
{
    double sum = 0;
    PartialMoments below = law.below(-std::numeric_limits<double>::infinity());
    for (std::size_t i = 0; i < levels.size(); ++i) {
        const double g = clip * levels[i];
        const double end =
            i + 1 < levels.size() ? clip * (levels[i] + levels[i + 1]) / 2 : std::numeric_limits<double>::infinity();
        const PartialMoments upTo = law.below(end);
        const PartialMoments cell = upTo - below;
        sum += cell.second - 2 * g * cell.first + g * g * cell.zeroth;
        below = upTo;
    }
    return sum;
}

struct Best {
    double db = 0, clip = 0;
};

/// The clip between two with the least error: many at equal ratios, then ever closer about the best.
Best bestClip(const std::vector<double>& levels, const Law& law, double least = 0.2, double most = 200)
{
    double low = least;
    double high = most;
    double best = low;
    for (int round = 0; round < 3; ++round) {
        const int steps = round == 0 ? 2000 : 50;
        const double ratio = std::pow(high / low, 1.0 / steps);
        double smallest = std::numeric_limits<double>::infinity();
        for (int i = 0; i <= steps; ++i) {
            const double clip = low * std::pow(ratio, i);
            if (const double error = expectedError(levels, clip, law); error < smallest) {
                smallest = error;
                best = clip;
            }
        }
        low = std::max(least, best / ratio);
        high = std::min(most, best * ratio);
    }
    return {10 * std::log10(law.secondMoment / expectedError(levels, best, law)), best};
}

} // namespace

class ExpectedErrorTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void partialMomentsAreThoseOfTheDensity()
    {
        for (const Law& law : {uniformLaw(), normalLaw(), studentLaw(8)}) {
            const PartialMoments all = law.below(std::numeric_limits<double>::infinity()) -
                                       law.below(-std::numeric_limits<double>::infinity());
            QVERIFY(std::fabs(all.zeroth - 1) < 1e-12);
            QVERIFY(std::fabs(all.first) < 1e-12);
            QVERIFY(std::fabs(all.second - law.secondMoment) < 1e-12);
            // ∫x^k·f from what is left of a fine grid's cells: x^k·ΔF.
            PartialMoments summed;
            constexpr int kCells = 40'000;
            for (int i = 0; i < kCells; ++i) {
                const double a = -2 + 3.5 * i / kCells;
                const double b = -2 + 3.5 * (i + 1) / kCells;
                const double mass = (law.below(b) - law.below(a)).zeroth;
                summed.first += (a + b) / 2 * mass;
                summed.second += (a + b) * (a + b) / 4 * mass;
            }
            const PartialMoments exact = law.below(1.5) - law.below(-2);
            QVERIFY2(std::fabs(summed.first - exact.first) < 1e-7, law.name.c_str());
            QVERIFY2(std::fabs(summed.second - exact.second) < 1e-7, law.name.c_str());
        }
    }

    void bestClips_data()
    {
        QTest::addColumn<QByteArray>("format");
        QTest::addColumn<QByteArray>("scheme");
        QTest::addColumn<double>("uniform");
        QTest::addColumn<double>("normal");
        QTest::addColumn<double>("student");
        QTest::addColumn<double>("clip"); // of N(0, 1); 0: not published
        const auto row = [](const char* format, const char* scheme, double uniform, double normal, double student,
                            double clip = 0) {
            QTest::newRow(format) << QByteArray(format) << QByteArray(scheme) << uniform << normal << student << clip;
        };
        row("int8", "int8:restricted", 48.13, 40.54, 34.39, 3.92);
        row("e2m5", "e2m5", 44.49, 42.67, 38.43, 4.35);
        row("e3m4", "e3m4", 38.49, 37.57, 37.52, 5.11);
        row("e4m3", "e4m3", 32.41, 31.56, 31.54);
        row("e5m2", "e5m2", 26.28, 25.58, 25.56);
        row("e2m1", "e2m1", 20.06, 18.97, 17.76, 2.92);
        row("e3m0", "e3m0", 15.68, 14.23, 14.17);
        row("int4", "int4:restricted", 23.52, 18.90, 16.41, 2.47);
        row("int3", "int3:restricted", 16.73, 13.29, 11.62);
        row("int2", "int2:restricted", 7.37, 7.21, 6.33);
    }
    void bestClips()
    {
        QFETCH(QByteArray, format);
        QFETCH(QByteArray, scheme);
        QFETCH(double, uniform);
        QFETCH(double, normal);
        QFETCH(double, student);
        QFETCH(double, clip);
        const std::vector<double> levels = levelsOf(format.toStdString());
        for (const auto& [law, expected] :
             {std::pair(uniformLaw(), uniform), {normalLaw(), normal}, {studentLaw(8), student}}) {
            const std::string name = lawName(law.name) + ", " + format.toStdString() + ", best clip";
            const Best best = bestClip(levels, law);
            // The published ones of the uniform law are the best about its end: few levels are better spread within.
            const bool isUniform = law.name == "uniform";
            const Best published = isUniform ? bestClip(levels, law, 0.9, 1.2) : best;
            QL_NEAR("A4", name + (isUniform ? " from 0.9 on" : "") + ", QSNR in dB, in closed form", published.db,
                    expected, 0.02);
            if (law.name == "normal" && clip > 0)
                QL_NEAR("A4", name + " in standard deviations", best.clip, clip, 0.02);
            if (law.name == "t8")
                continue; // the few samples beyond the clip decide: a million say little
            // Where there are many levels short rows would hardly be clipped. The search shrinks the range.
            const std::int64_t cols = levels.size() > 15 ? 1 << 20 : 4096;
            const Best within = isUniform ? bestClip(levels, law, 0.2, 1) : best;
            QL_NEAR("A4", name + ", QSNR in dB, " + scheme.toStdString() + "@mse on 2^20 samples",
                    qsnrDb(rowsOf(million(law.name), cols), scheme.toStdString(), "mse:steps=200"), within.db, 0.1);
        }
    }

    void gaussianOrder()
    {
        std::vector<double> found;
        for (const char* format : {"e2m5", "int8", "e3m4", "e4m3", "e5m2"})
            found.push_back(bestClip(levelsOf(format), normalLaw()).db);
        QL_HOLDS("A4", "N(0,1), best clips: E2M5 > INT8 > E3M4 > E4M3 > E5M2",
                 std::ranges::is_sorted(found, std::greater<>()));
        for (const char* format : {"e4m3", "e5m2"}) {
            const double normal = bestClip(levelsOf(format), normalLaw()).db;
            const double student = bestClip(levelsOf(format), studentLaw(8)).db;
            QL_AT_MOST("A4", std::string(format) + ", best clips: dB between N(0,1) and Student t(8)",
                       std::fabs(normal - student), 0.05);
        }
    }

    /// N(0, 1) and one weight as large as the crest factor says, by rtn with one scale: INT8 loses 6 dB where the
    /// factor doubles, minifloats nothing.
    void crestFactors()
    {
        std::vector<float> w = samples("normal", 1 << 18);
        const auto at = [&](const char* scheme, double crest) {
            w[0] = static_cast<float>(crest);
            return qsnrDb(viewOf(w, {1, std::ssize(w)}), scheme);
        };
        for (const double crest : {8.0, 11.6, 16.0, 32.0})
            QL_NEAR("A4", "N(0,1), largest " + formatSignificant(crest, 3) + " deviations, int8 by range, QSNR in dB",
                    at("int8:tensor:restricted", crest), 52.87 - 20 * std::log10(crest), 0.1);
        QL_NEAR("A4", "N(0,1), largest 11.6 deviations, fp8_e4m3 by range, QSNR in dB", at("fp8_e4m3:tensor", 11.6),
                31.53, 0.1);
        const auto crossing = [&](const char* minifloat, double low, double high) {
            for (int i = 0; i < 12; ++i) {
                const double middle = (low + high) / 2;
                (at("int8:tensor:restricted", middle) > at(minifloat, middle) ? low : high) = middle;
            }
            return low;
        };
        QL_NEAR("A4", "crest factor at which fp8_e4m3 overtakes int8, by range", crossing("fp8_e4m3:tensor", 8, 16),
                11.6, 0.05 * 11.6);
        QL_NEAR("A4", "crest factor at which e3m4 overtakes int8, by range", crossing("e3m4:tensor", 5, 8), 5.9,
                0.05 * 5.9);
    }

    /// The survey's optimum for levels that are as many on either side of 0, and a law with heavy tails.
    void clipsOfTheSurvey()
    {
        const Best int4 = bestClip(levelsOf("int4"), normalLaw());
        const Best int8 = bestClip(levelsOf("int8"), normalLaw());
        QL_NEAR("B8", "N(0,1), int4:restricted, best clip in standard deviations", int4.clip, 2.46, 0.02);
        QL_NEAR("B8", "N(0,1), int4:restricted, best clip, QSNR in dB", int4.db, 18.90, 0.02);
        QL_NEAR("B8", "N(0,1), int8:restricted, best clip in standard deviations", int8.clip, 3.93, 0.02);
        QL_NEAR("B8", "N(0,1), int8:restricted, best clip, QSNR in dB", int8.db, 40.52, 0.03);
        const std::vector<float> heavy = samples("t3", 1 << 18);
        const TensorView view = viewOf(heavy, {1, 1 << 18});
        const double range = qsnrDb(view, "int8:tensor:restricted");
        for (const char* spec : {"mse", "percentile:p=99.99"})
            QL_AT_LEAST("B8", std::string("Student t(3), 2^18 samples, int8:tensor@") + spec + " over rtn, dB",
                        qsnrDb(view, "int8:tensor:restricted", spec) - range, 0);
    }
};

QTEST_APPLESS_MAIN(ExpectedErrorTest)
#include "expected_error_test.moc"
