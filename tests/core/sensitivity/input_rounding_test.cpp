// SPDX-License-Identifier: GPL-3.0-or-later
// What rounding inputs moves a loss by, against sums written out in double.
#include "core/base/rng.h"
#include "core/sensitivity/input_rounding.h"

#include <QTest>

#include <cmath>

using namespace ql;

namespace {

graph::Array<float> normals(Shape shape, std::uint64_t seed)
{
    graph::Array<float> array(std::move(shape));
    const CounterRng rng(seed);
    float* const data = array.write();
    for (std::int64_t i = 0; i < array.numel(); ++i)
        data[i] = static_cast<float>(rng.normal(static_cast<std::uint64_t>(i)));
    return array;
}

void toHalves(float* row, std::int64_t width)
{
    for (std::int64_t i = 0; i < width; ++i)
        row[i] = std::nearbyint(2 * row[i]) / 2;
}

void toNothing(float* row, std::int64_t width)
{
    std::fill_n(row, width, 0.0F);
}

constexpr std::int64_t kTokens = 5, kIn = 70, kOut = 33;

WeightUse<float> linearUse(bool isTransposed, std::uint64_t seed)
{
    WeightUse<float> use;
    use.input = normals({kTokens, kIn}, seed);
    use.outputGradient = normals({kTokens, kOut}, seed + 1);
    use.left = isTransposed ? use.input : use.outputGradient;
    use.right = isTransposed ? use.outputGradient : use.input;
    return use;
}

/// Σ over tokens, rows and columns of dy·W·(r(x) − x).
double expected(const WeightUse<float>& use, const graph::Array<float>& weights, bool isTransposed,
                Runtime::Round round)
{
    graph::Array<float> rounded = use.input;
    for (std::int64_t t = 0; t < kTokens; ++t)
        round(rounded.write() + t * kIn, kIn);
    double sum = 0;
    for (std::int64_t t = 0; t < kTokens; ++t)
        for (std::int64_t o = 0; o < kOut; ++o)
            for (std::int64_t i = 0; i < kIn; ++i) {
                const std::int64_t at = isTransposed ? i * kOut + o : (use.firstRow + o) * kIn + i;
                sum += static_cast<double>(use.outputGradient.data()[t * kOut + o]) *
                       static_cast<double>(weights.data()[at]) *
                       (static_cast<double>(rounded.data()[t * kIn + i]) -
                        static_cast<double>(use.input.data()[t * kIn + i]));
            }
    return sum;
}

} // namespace

class InputRoundingTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void sumsAreThoseWrittenOut()
    {
        Executor executor(2);
        const JobContext context(executor);
        const Runtime::Round roundings[] = {toHalves, toNothing};
        for (const bool isTransposed : {false, true}) {
            const graph::Array<float> weights = normals(isTransposed ? Shape{kIn, kOut} : Shape{2 * kOut, kIn}, 3);
            std::vector<WeightUse<float>> uses{linearUse(isTransposed, 5), linearUse(isTransposed, 7)};
            if (!isTransposed)
                uses[1].firstRow = kOut; // the second of two experts
            uses.emplace_back();         // a table has no inputs to round
            const auto products = roundingProducts(uses, weights, roundings, context).value();
            QCOMPARE(products.size(), std::size_t{2});
            for (std::size_t r = 0; r < 2; ++r) {
                const double sum = expected(uses[0], weights, isTransposed, roundings[r]) +
                                   expected(uses[1], weights, isTransposed, roundings[r]);
                QVERIFY2(std::fabs(products[r] - sum) <= 1e-4 * std::sqrt(double(2 * kTokens * kIn * kOut)),
                         qPrintable(QStringLiteral("%1 %2").arg(products[r]).arg(sum)));
                QVERIFY(std::fabs(sum) > 1);
            }
            Executor one(1, Executor::Backend::threads);
            QCOMPARE(roundingProducts(uses, weights, roundings, JobContext(one)).value(), products);
        }
    }
};

QTEST_APPLESS_MAIN(InputRoundingTest)
#include "input_rounding_test.moc"
