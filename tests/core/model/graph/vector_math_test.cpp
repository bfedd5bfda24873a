// SPDX-License-Identifier: GPL-3.0-or-later
// The vector kernels of every compiled target: functions over the whole range of floats against double, softmax to a
// few ulps, rows bit for bit against the plain loop, at lengths that are no multiple of a vector.
#include "core/base/rng.h"
#include "core/model/graph/row_kernels.h"
#include "core/model/graph/vector_math.h"
#include "tests/support/vector_targets.h"

#include <QTest>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

using namespace ql;
using namespace ql::graph;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Every 4001st float, all signs and exponents, and the odd ones.
std::vector<float> sweep()
{
    std::vector<float> all{0.0F, -0.0F, kInf, -kInf, std::numeric_limits<float>::quiet_NaN()};
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32U); bits += 4001)
        if (const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(bits)); std::isfinite(x))
            all.push_back(x);
    return all;
}

/// Normal numbers of mean 0 and deviation 3.
std::vector<float> normals(std::int64_t n, std::uint64_t seed)
{
    const CounterRng rng(seed);
    std::vector<float> values;
    for (std::int64_t i = 0; i < n; ++i)
        values.push_back(static_cast<float>(3 * rng.normal(static_cast<std::uint64_t>(i))));
    return values;
}

/// Difference in units of the last place of the expected value, at least that of the smallest normal float.
double ulps(float actual, double expected)
{
    const double unit = std::ldexp(1.0, std::max(std::ilogb(expected), -126) - 23);
    return std::fabs(static_cast<double>(actual) - expected) / unit;
}

struct Function {
    const char* name;
    Activation activation;
    double ulps; // where |f| ≥ floor
    double floor;
    double below; // error where |f| is less
};
// What the float kernels round in the argument of exp costs more and more ulps where the result vanishes, and results
// that are no normal floats may be 0.
constexpr Function kFunctions[] = {
    {"relu", Activation::relu, 0, 0, 0},
    {"relu2", Activation::relu2, 0.5, 0, 0},
    {"softplus", Activation::softplus, 0.5, 0, 0},
    {"gelu", Activation::gelu, 0.6, 0, 0},
    {"silu", Activation::silu, 3, 2e-36, 2e-36},
    {"sigmoid", Activation::sigmoid, 3, 2e-38, 2e-38},
    {"tanh", Activation::tanh, 3, 0, 0},
    {"quickGelu", Activation::quickGelu, 4, 0.1, 5e-8},
    {"geluTanh", Activation::geluTanh, 6, 0.1, 5e-8},
    {"exp", Activation::exp, 2, 0, 0},
};

} // namespace

class VectorMathTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void functionsFollowDouble_data()
    {
        QTest::addColumn<int>("index");
        for (std::size_t i = 0; i < std::size(kFunctions); ++i)
            QTest::newRow(kFunctions[i].name) << static_cast<int>(i);
    }
    void functionsFollowDouble()
    {
        QFETCH(int, index);
        const Function& f = kFunctions[static_cast<std::size_t>(index)];
        const std::vector<float> x = sweep();
        std::vector<double> exact(x.begin(), x.end());
        const auto n = static_cast<std::int64_t>(x.size());
        activate(f.activation, exact.data(), n, exact.data());
        test::forEachVectorTarget([&](const std::string& target) {
            std::vector<float> y(x.size());
            activate(f.activation, x.data(), n, y.data());
            double worst = 0;
            double worstSmall = 0;
            for (std::size_t i = 0; i < x.size(); ++i) {
                if (std::isnan(exact[i]) ||
                    std::fabs(exact[i]) > static_cast<double>(std::numeric_limits<float>::max())) {
                    if (std::isnan(x[i]))
                        QVERIFY2(std::isnan(y[i]), target.c_str());
                    else if (std::isfinite(x[i]))
                        QVERIFY2(std::isinf(y[i]), qPrintable(QString::number(static_cast<double>(x[i]))));
                    continue;
                }
                double& most = std::fabs(exact[i]) >= f.floor ? worst : worstSmall;
                const double error = std::fabs(exact[i]) >= f.floor ? ulps(y[i], exact[i])
                                                                    : std::fabs(static_cast<double>(y[i]) - exact[i]);
                if (!(error <= most))
                    most = error;
            }
            qInfo("%s on %s: %.2f ulps, below %g %.1e", f.name, target.c_str(), worst, f.floor, worstSmall);
            QVERIFY2(worst <= f.ulps, target.c_str());
            QVERIFY2(worstSmall <= f.below, target.c_str());
        });
    }

    void derivativesFollowDouble()
    {
        for (const Function& f : kFunctions) {
            std::vector<float> x;
            for (float at = -20; at < 20; at += 0.001F)
                x.push_back(at);
            std::vector<double> exact(x.begin(), x.end());
            activateDerivative(f.activation, exact.data(), static_cast<std::int64_t>(x.size()), exact.data());
            test::forEachVectorTarget([&](const std::string& target) {
                std::vector<float> y(x.size());
                activateDerivative(f.activation, x.data(), static_cast<std::int64_t>(x.size()), y.data());
                for (std::size_t i = 0; i < x.size(); ++i)
                    QVERIFY2(std::fabs(static_cast<double>(y[i]) - exact[i]) <=
                                 0x1p-20 * std::max(1.0, std::fabs(exact[i])),
                             (target + " " + f.name + " at " + std::to_string(x[i])).c_str());
            });
        }
    }

    void softmaxIsExactToAFewUlps()
    {
        test::forEachVectorTarget([&](const std::string& target) {
            double worst = 0;
            for (const std::int64_t n : {1, 2, 7, 16, 100, 1025, 49152}) {
                std::vector<float> x = normals(n, static_cast<std::uint64_t>(n));
                for (float& e : x)
                    e *= 8; // down to exp(−100)
                std::vector<double> exact(x.begin(), x.end());
                softmax(exact.data(), n);
                softmax(x.data(), n);
                for (std::size_t i = 0; i < x.size(); ++i)
                    worst = std::max(worst, ulps(x[i], exact[i]));
            }
            qInfo("softmax on %s: %.2f ulps", target.c_str(), worst);
            QVERIFY2(worst <= 4, target.c_str());
            std::vector<float> hidden{-kInf, 1, -kInf, 1};
            softmax(hidden.data(), 4);
            QVERIFY((hidden == std::vector<float>{0, 0.5F, 0, 0.5F}));
            std::vector<float> none(5, -kInf);
            softmax(none.data(), 5);
            QVERIFY(none == std::vector<float>(5, 0));
            std::vector<float> broken{0, std::numeric_limits<float>::quiet_NaN(), 1};
            softmax(broken.data(), 3);
            QVERIFY(std::isnan(broken[0]) && std::isnan(broken[1]));
        });
    }

    void rowsEqualThePlainLoop()
    {
        test::forEachVectorTarget([&](const std::string& target) {
            for (std::int64_t n = 0; n < 70; ++n) {
                const std::vector<float> a = normals(2 * n + 1, 1);
                const std::vector<float> b = normals(n + 1, 2);
                const std::vector<float> c = normals(n + 1, 3);
                std::vector<float> expected(a.size(), 9.0F);
                std::vector<float> actual(a.size(), 9.0F);
                const auto check = [&](const char* what, const auto& kernel, const auto& plain) {
                    for (std::int64_t i = 0; i < n; ++i)
                        plain(static_cast<std::size_t>(i));
                    kernel();
                    QVERIFY2(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)) == 0,
                             (target + " " + what + " " + std::to_string(n)).c_str());
                };
                check(
                    "add", [&] { applyRow(Plus(), a.data(), 1, b.data(), 1, n, actual.data()); },
                    [&](std::size_t i) { expected[i] = a[i] + b[i]; });
                check(
                    "add one", [&] { applyRow(Plus(), a.data(), 0, b.data(), 1, n, actual.data()); },
                    [&](std::size_t i) { expected[i] = a[0] + b[i]; });
                check(
                    "multiply by one", [&] { applyRow(Times(), a.data(), 1, b.data(), 0, n, actual.data()); },
                    [&](std::size_t i) { expected[i] = a[i] * b[0]; });
                check(
                    "multiply by every other", [&] { applyRow(Times(), a.data(), 2, b.data(), 1, n, actual.data()); },
                    [&](std::size_t i) { expected[i] = a[2 * i] * b[i]; });
                check(
                    "scale", [&] { scaleRow(a.data(), n, 0.7F, -0.1F, actual.data()); },
                    [&](std::size_t i) { expected[i] = 0.7F * a[i] + -0.1F; });
                check(
                    "mix", [&] { mixRows(a.data(), 0.7F, b.data(), -0.3F, 0.1F, n, actual.data()); },
                    [&](std::size_t i) { expected[i] = 0.7F * a[i] + -0.3F * b[i] + 0.1F; });
                check(
                    "normalize",
                    [&] {
                        normalizeRow(a.data(), n, {0.3F, 1e-8F, 1.7F, b.data(), 1.0F, c.data()}, actual.data());
                    },
                    [&](std::size_t i) { expected[i] = (a[i] - 0.3F - 1e-8F) * 1.7F * (1.0F + b[i]) + c[i]; });
                check(
                    "normalize plainly",
                    [&] {
                        normalizeRow(a.data(), n, {0, 0, 1.7F, nullptr, 5.0F, nullptr}, actual.data());
                    },
                    [&](std::size_t i) { expected[i] = a[i] * 1.7F; });
                for (const std::int64_t partner : {n, std::int64_t{0}})
                    for (const float sign : {1.0F, -1.0F}) {
                        check(
                            partner == 0 ? "rotate neighbours" : "rotate halves",
                            [&] {
                                rotatePairs(a.data(), n, {b.data(), c.data(), sign, partner}, actual.data());
                            },
                            [&](std::size_t i) {
                                const std::size_t first = partner == 0 ? 2 * i : i;
                                const std::size_t second = partner == 0 ? 2 * i + 1 : i + static_cast<std::size_t>(n);
                                expected[first] = a[first] * b[i] - sign * a[second] * c[i];
                                expected[second] = a[second] * b[i] + sign * a[first] * c[i];
                            });
                    }
                check(
                    "add squares", [&] { addSquaresTo(actual.data(), b.data(), n); },
                    [&](std::size_t i) { expected[i] += b[i] * b[i]; });
                std::vector<double> sums(b.size(), 0.25);
                addSquaresTo(sums.data(), b.data(), n);
                for (std::size_t i = 0; i < b.size(); ++i) {
                    const auto x = static_cast<double>(b[i]);
                    QCOMPARE(sums[i], std::ssize(b) - 1 == static_cast<std::int64_t>(i) ? 0.25 : 0.25 + x * x);
                }
                if (n == 0)
                    continue;
                double mean = 0;
                for (std::int64_t i = 0; i < n; ++i)
                    mean += static_cast<double>(a[static_cast<std::size_t>(i)]) / static_cast<double>(n);
                double variance = 0;
                for (std::int64_t i = 0; i < n; ++i)
                    variance += std::pow(static_cast<double>(a[static_cast<std::size_t>(i)]) - mean, 2) /
                                static_cast<double>(n);
                const Moments moments = momentsOf(a.data(), n);
                QVERIFY(std::fabs(moments.mean - mean) < 1e-14 && std::fabs(moments.variance - variance) < 1e-12);
            }
        });
    }
};

QTEST_APPLESS_MAIN(VectorMathTest)
#include "vector_math_test.moc"
