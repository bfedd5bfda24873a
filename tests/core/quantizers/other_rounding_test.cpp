// SPDX-License-Identifier: GPL-3.0-or-later
// Rounding by chance and ties away from zero, against all levels that a scheme has.
#include "core/formats/element_coder.h"
#include "tests/support/acceptance.h"
#include "tests/support/quantize_support.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// What a weight may become: the levels about it, by trying all codes, and how far along it lies.
struct Between {
    double low = 0, high = 0;
    double share = 0;
};

Between between(const QuantizedTensor& q, std::int64_t element, float weight)
{
    const MatrixShape m = q.matrix();
    const std::int64_t row = element / m.cols;
    const std::int64_t column = element % m.cols;
    const auto unit = static_cast<std::size_t>(q.scheme.granularity == Granularity::tensor ? 0
                                               : q.scheme.granularity == Granularity::channel
                                                   ? row
                                                   : row * q.scheme.groupsPerRow(m.cols) + column / q.scheme.groupSize);
    const ElementCoder coder(q.scheme);
    std::vector<std::uint8_t> codes = q.scheme.element->grid.codes;
    if (coder.kind == FormatKind::integer) {
        codes.clear();
        for (int code = coder.low; code <= coder.high; ++code)
            codes.push_back(static_cast<std::uint8_t>(code));
    }
    std::vector<float> values(codes.size());
    decodeRun(coder,
              {.scale = q.scales[unit] * q.tensorScale,
               .zero = q.zeroPoints.empty() ? 0 : q.zeroPoints[unit],
               .minimum = q.minima.empty() ? 0 : q.minima[unit]},
              codes.data(), std::ssize(codes), values.data());
    std::ranges::sort(values);
    if (weight <= values.front())
        return {.low = static_cast<double>(values.front()), .high = static_cast<double>(values.front()), .share = 0};
    if (weight >= values.back())
        return {.low = static_cast<double>(values.back()), .high = static_cast<double>(values.back()), .share = 0};
    const auto above = std::ranges::upper_bound(values, weight);
    Between found{.low = static_cast<double>(above[-1]), .high = static_cast<double>(*above), .share = 0};
    found.share = (static_cast<double>(weight) - found.low) / (found.high - found.low);
    return found;
}

std::string stochastic(std::uint64_t seed)
{
    return "rtn:stochastic:seed=" + std::to_string(seed);
}

struct Moments {
    double mean = 0, variance = 0;
};
Moments momentsOf(const std::vector<double>& draws)
{
    const auto n = static_cast<double>(draws.size());
    Moments moments;
    for (const double x : draws)
        moments.mean += x / n;
    for (const double x : draws)
        moments.variance += (x - moments.mean) * (x - moments.mean) / n;
    return moments;
}

} // namespace

class OtherRoundingTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// 10⁴ weights x beside one that sets the scale, Δ = ¼.
    void meanAndVarianceOfDraws_data()
    {
        QTest::addColumn<double>("steps");
        for (const double steps : {0.125, 2.3, -0.5, -3.8125, 6.01})
            QTest::addRow("x = %g steps", steps) << steps;
    }
    void meanAndVarianceOfDraws()
    {
        QFETCH(double, steps);
        constexpr double kStep = 0.25;
        constexpr std::size_t kDraws = 10000;
        std::vector<float> w(kDraws + 1, static_cast<float>(steps * kStep));
        w.front() = static_cast<float>(7 * kStep);
        const auto exact = static_cast<double>(w.back());
        const QuantizedTensor q = quantized(viewOf(w, {1, std::ssize(w)}), "int4", "rtn:stochastic");
        QCOMPARE(q.scales.front(), static_cast<float>(kStep));
        const std::vector<float> values = restored(q);
        QCOMPARE(values.front(), w.front()); // a level stays
        const double low = std::floor(exact / kStep) * kStep;
        QL_HOLDS("B6", "draws are never beyond the two levels about a weight",
                 std::ranges::all_of(values.begin() + 1, values.end(), [&](float value) {
                     return static_cast<double>(value) == low || static_cast<double>(value) == low + kStep;
                 }));
        QL_HOLDS("B6", "equal seeds give equal draws, others do not",
                 sameBits(restored(quantized(viewOf(w, {1, std::ssize(w)}), "int4", stochastic(0))), values) &&
                     !sameBits(restored(quantized(viewOf(w, {1, std::ssize(w)}), "int4", stochastic(1))), values));
        const auto [mean, variance] = momentsOf({values.begin() + 1, values.end()});
        const double f = (exact - low) / kStep;
        const double expected = kStep * kStep * f * (1 - f);
        const std::string x = " of 10^4 draws at " + formatSignificant(steps, 5) + " steps";
        QL_NEAR("B6", "mean" + x + ", 3 deviations", mean, exact, 3 * std::sqrt(expected / kDraws));
        // Deviation of the variance of n draws: √((μ₄ − σ⁴)/n), μ₄ = Δ⁴·f(1 − f)(1 − 3f(1 − f)); none at f = ½ but that
        // of (mean − x)².
        const double fourth = kStep * kStep * expected * (1 - 3 * f * (1 - f));
        const double deviation = std::sqrt(std::max(0.0, fourth - expected * expected) / kDraws);
        QL_NEAR("B6", "variance" + x + ", Δ²·f(1 − f)", variance, expected, 3 * deviation + 9 * expected / kDraws);
    }

    /// The same for one weight and 10⁴ seeds.
    void meanOverSeeds()
    {
        const std::vector<float> w{7, 2.3F, -1.6F, 0};
        std::vector<double> first, second;
        for (std::uint64_t seed = 0; seed < 10000; ++seed) {
            const std::vector<float> values = restored(quantized(viewOf(w, {1, 4}), "int4", stochastic(seed)));
            QVERIFY(values[0] == 7 && values[3] == 0);
            first.push_back(static_cast<double>(values[1]));
            second.push_back(static_cast<double>(values[2]));
        }
        QL_NEAR("B6", "mean over 10^4 seeds, 3 deviations", momentsOf(first).mean, static_cast<double>(w[1]),
                3 * std::sqrt(0.3 * 0.7 / 10000));
        QL_NEAR("B6", "mean over 10^4 seeds of a negative weight", momentsOf(second).mean, static_cast<double>(w[2]),
                3 * std::sqrt(0.4 * 0.6 / 10000));
        double together = 0;
        for (std::size_t i = 0; i < first.size(); ++i)
            together += (first[i] - momentsOf(first).mean) * (second[i] - momentsOf(second).mean) / 10000;
        QVERIFY(std::fabs(together) < 4 * std::sqrt(0.3 * 0.7 * 0.4 * 0.6 / 10000)); // elements are independent
    }

    void everyScheme_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const std::string& text : scaledSchemes())
            QTest::newRow(text.c_str()) << QByteArray::fromStdString(text);
    }
    /// Only the two levels about a weight come out, with probability by distance; ties away from zero are as near as
    /// nearest. Scales are rtn's.
    void everyScheme()
    {
        QFETCH(QByteArray, scheme);
        const std::string text = scheme.toStdString();
        std::vector<float> w = normalSamples(2 * 70, 31);
        std::fill_n(w.begin(), 16, 0.0F);
        const TensorView view = viewOf(w, {2, 70});
        const QuantizedTensor nearest = quantized(view, text);
        const std::vector<float> near = restored(nearest);
        const QuantizedTensor away = quantized(view, text, "rtn:away");
        QVERIFY(sameBits(away.scales, nearest.scales) && sameBits(away.minima, nearest.minima) &&
                away.zeroPoints == nearest.zeroPoints && away.tensorScale == nearest.tensorScale);
        const std::vector<float> ties = restored(away);
        std::vector<Between> levels;
        for (std::size_t i = 0; i < w.size(); ++i) {
            levels.push_back(between(nearest, static_cast<std::int64_t>(i), w[i]));
            const double tolerance = 1e-6 * (std::fabs(static_cast<double>(w[i])) + levels[i].high - levels[i].low);
            QVERIFY(std::fabs(std::fabs(static_cast<double>(ties[i] - w[i])) -
                              std::fabs(static_cast<double>(near[i] - w[i]))) <= tolerance);
        }
        constexpr int kSeeds = 200;
        std::vector<int> ups(w.size());
        for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
            const QuantizedTensor q = quantized(view, text, stochastic(seed));
            QVERIFY(sameBits(q.scales, nearest.scales) && sameBits(q.minima, nearest.minima) &&
                    q.zeroPoints == nearest.zeroPoints && q.tensorScale == nearest.tensorScale);
            const std::vector<float> values = restored(q);
            for (std::size_t i = 0; i < w.size(); ++i) {
                const auto value = static_cast<double>(values[i]);
                const bool isHigh = value == levels[i].high;
                // The level of a weight beside it by less than float tells apart may count as either neighbour.
                QVERIFY2(isHigh || value == levels[i].low ||
                             std::fabs(value - static_cast<double>(w[i])) <=
                                 1e-6 * std::fabs(static_cast<double>(w[i])),
                         text.c_str());
                ups[i] += isHigh ? 1 : 0;
            }
        }
        double squares = 0;
        int count = 0;
        for (std::size_t i = 0; i < w.size(); ++i) {
            const double f = levels[i].share;
            if (f < 0.05 || f > 0.95)
                continue;
            const double z = (ups[i] - kSeeds * f) / std::sqrt(kSeeds * f * (1 - f));
            squares += z * z;
            ++count;
        }
        // χ² with that many degrees of freedom, within five deviations.
        QVERIFY2(std::fabs(squares - count) <= 5 * std::sqrt(2.0 * count), text.c_str());
    }

    void longRuns_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const char* scheme : {"int4", "int8", "int4:tensor", "nf4:g128", "int8:g32:asym", "nvfp4", "int4:min"})
            QTest::newRow(scheme) << QByteArray(scheme);
    }
    /// Rows beyond what is handled at once: scales are those of the right run, bits equal for any thread count.
    void longRuns()
    {
        QFETCH(QByteArray, scheme);
        const std::string text = scheme.toStdString();
        std::vector<float> w = normalSamples(2 * 70000, 32);
        for (std::size_t i = 70000; i < w.size(); ++i)
            w[i] *= 37;
        const TensorView view = viewOf(w, {2, 70000});
        const QuantizedTensor q = quantized(view, text, "rtn:stochastic:seed=9");
        const std::vector<float> values = restored(q);
        for (std::size_t i = 0; i < w.size(); i += 613) {
            const Between levels = between(q, static_cast<std::int64_t>(i), w[i]);
            const auto value = static_cast<double>(values[i]);
            QVERIFY(value == levels.low || value == levels.high ||
                    std::fabs(value - static_cast<double>(w[i])) <= 1e-6 * std::fabs(static_cast<double>(w[i])));
        }
        for (const int threads : {1, 3}) {
            Executor executor(threads);
            QVERIFY(sameBits(quantized(view, text, "rtn:stochastic:seed=9", executor), q));
            QVERIFY(sameBits(quantized(view, text, "rtn:away", executor), quantized(view, text, "rtn:away")));
        }
        QVERIFY(!sameBits(quantized(view, text, "rtn:stochastic:seed=10"), q));
        QVERIFY(sameBits(quantized(view, text, "rtn:stochastic"), quantized(view, text, stochastic(0))));
        if (text == "int8") { // f(1 − f) has the mean 1/6 where levels are close, nearest codes' f² 1/12
            const double ratio = squaredError(view, q) / squaredError(view, quantized(view, text));
            QVERIFY2(std::fabs(ratio - 2) < 0.03, std::to_string(ratio).c_str());
        }
    }

    void tiesGoAway()
    {
        const auto away = [](const std::vector<float>& w, const char* scheme) {
            return restored(quantized(viewOf(w, {1, std::ssize(w)}), scheme, "rtn:away"));
        };
        using Floats = std::vector<float>;
        QCOMPARE(away({7, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F, 2.499F, -2.499F}, "int4"),
                 (Floats{7, 1, 2, 3, -1, -2, -3, 2, -2}));
        QCOMPARE(restored(quantized(viewOf({7, 0.5F, 2.5F, -0.5F, -2.5F}, {1, 5}), "int4")), (Floats{7, 0, 2, 0, -2}));
        QCOMPARE(away({6, 0.25F, -0.25F, 2.5F, -2.5F, 5, -5, 0.2499F}, "e2m1"),
                 (Floats{6, 0.5F, -0.5F, 3, -3, 6, -6, 0}));
        // Scale 1, the real 0 at a whole code, and ties away from it.
        QCOMPARE(away({-2, 13, 0.5F, 2.5F, -0.5F}, "int4:asym"), (Floats{-2, 13, 1, 3, -1}));
        // Steps from the minimum on: 0.5, 2.5 of them.
        QCOMPARE(away({-2, 13, -1.5F, 0.5F}, "int4:min"), (Floats{-2, 13, -1, 1}));
    }

    void whatIsNotFinite()
    {
        const std::vector<float> w{kNan, kInfinity, -kInfinity, 1, -0.3F, 0, -0.0F};
        for (const char* scheme : {"int4", "e2m1", "nf4", "int4:asym", "int4:min"})
            for (const char* spec : {"rtn:away", "rtn:stochastic", "rtn:stochastic:seed=77"}) {
                const TensorView view = viewOf(w, {1, 7});
                const std::vector<float> values = restored(quantized(view, scheme, spec));
                const std::vector<float> nearest = restored(quantized(view, scheme));
                for (const std::size_t i : {0U, 1U, 2U})
                    QVERIFY2(std::bit_cast<std::uint32_t>(values[i]) == std::bit_cast<std::uint32_t>(nearest[i]),
                             scheme);
                QVERIFY(sameBits(quantized(viewOf({}, {0, 7}), scheme, spec), quantized(viewOf({}, {0, 7}), scheme)));
            }
        // Casts round as they do.
        QVERIFY(sameBits(quantized(viewOf({0.1F}, {1, 1}), "f16", "rtn:stochastic"),
                         quantized(viewOf({0.1F}, {1, 1}), "f16")));
    }
};

QTEST_APPLESS_MAIN(OtherRoundingTest)
#include "other_rounding_test.moc"
