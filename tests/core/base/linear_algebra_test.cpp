// SPDX-License-Identifier: GPL-3.0-or-later
// Against plain double loops at sizes around the tiles, and equal bits for any number of threads.
#include "core/base/rng.h"
#include "core/jobs/tiles.h"

#include <QTest>

#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

using namespace ql;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using Matrix = std::vector<double>;

Matrix positiveDefinite(std::int64_t n)
{
    // Diagonally dominant: condition small, so that errors stay near rounding.
    Matrix a(static_cast<std::size_t>(n * n));
    const CounterRng rng(11, static_cast<std::uint64_t>(n));
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j <= i; ++j) {
            const double x = rng.normal(static_cast<std::uint64_t>(i * n + j));
            a[static_cast<std::size_t>(i * n + j)] = a[static_cast<std::size_t>(j * n + i)] =
                i == j ? 4 * std::sqrt(static_cast<double>(n)) + std::fabs(x) : x;
        }
    return a;
}

double largest(const Matrix& a)
{
    double largest = 0;
    for (const double x : a)
        largest = std::max(largest, std::fabs(x));
    return largest;
}

double difference(const Matrix& a, const Matrix& b)
{
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        largest = std::max(largest, std::isnan(a[i]) ? kInf : std::fabs(a[i] - b[i]));
    return largest;
}

/// A·Bᵀ by loops.
Matrix timesTransposed(const Matrix& a, const Matrix& b, std::int64_t n)
{
    Matrix c(a.size());
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j) {
            double sum = 0;
            for (std::int64_t k = 0; k < n; ++k)
                sum += a[static_cast<std::size_t>(i * n + k)] * b[static_cast<std::size_t>(j * n + k)];
            c[static_cast<std::size_t>(i * n + j)] = sum;
        }
    return c;
}

Matrix transposed(const Matrix& a, std::int64_t n)
{
    Matrix b(a.size());
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j)
            b[static_cast<std::size_t>(j * n + i)] = a[static_cast<std::size_t>(i * n + j)];
    return b;
}

} // namespace

class LinearAlgebraTest : public QObject {
    Q_OBJECT

    void sizes()
    {
        QTest::addColumn<int>("n");
        for (const int n : {1, 3, 255, 257, 511, 512, 513, 1100})
            QTest::addRow("%d", n) << n;
    }

private Q_SLOTS:
    void gram_data()
    {
        QTest::addColumn<int>("rows");
        QTest::addColumn<int>("n");
        for (const int n : {1, 3, 511, 512, 513, 1100})
            for (const int rows : {1, 513, 1025})
                QTest::addRow("%d x %d", rows, n) << rows << n;
    }
    void gram()
    {
        QFETCH(int, rows);
        QFETCH(int, n);
        const auto width = static_cast<std::size_t>(n);
        std::vector<float> x(static_cast<std::size_t>(rows) * width);
        const CounterRng rng(5);
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] = static_cast<float>(rng.normal(i));
        Matrix expected(width * width, 1.0);
        for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r)
            for (std::size_t i = 0; i < width; ++i)
                for (std::size_t j = 0; j < width; ++j)
                    expected[i * width + j] +=
                        static_cast<double>(x[r * width + i]) * static_cast<double>(x[r * width + j]);
        Matrix first;
        for (const int threads : {1, 2, 5}) {
            Executor executor(threads);
            const JobContext context(executor);
            Matrix g(width * width, 1.0);
            QVERIFY(accumulateGram(x.data(), rows, n, g.data(), parallelTiles(context)));
            QVERIFY(difference(g, expected) < 1e-15 * rows * largest(expected));
            for (std::size_t i = 0; i < width; ++i)
                for (std::size_t j = 0; j < i; ++j)
                    QVERIFY(g[i * width + j] == g[j * width + i]);
            if (first.empty())
                first = g;
            QVERIFY(g == first);
        }
    }
    void trace_data() { gram_data(); }
    void trace()
    {
        QFETCH(int, rows);
        QFETCH(int, n);
        const auto width = static_cast<std::size_t>(n);
        const Matrix h = positiveDefinite(n);
        Matrix d(static_cast<std::size_t>(rows) * width);
        const CounterRng rng(6);
        for (std::size_t i = 0; i < d.size(); ++i)
            d[i] = rng.normal(i);
        long double expected = 0;
        for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r)
            for (std::size_t i = 0; i < width; ++i) {
                double sum = 0;
                for (std::size_t j = 0; j < width; ++j)
                    sum += h[i * width + j] * d[r * width + j];
                expected += static_cast<long double>(sum * d[r * width + i]);
            }
        double first = 0;
        for (const int threads : {1, 2, 5}) {
            Executor executor(threads);
            const JobContext context(executor);
            const auto value = quadraticTrace(d.data(), rows, n, h.data(), parallelTiles(context));
            QVERIFY(value);
            QVERIFY(std::fabs(*value - static_cast<double>(expected)) < 1e-13 * static_cast<double>(expected));
            if (first == 0)
                first = *value;
            QCOMPARE(*value, first);
        }
    }
    void factor_data() { sizes(); }
    void factor()
    {
        QFETCH(int, n);
        const Matrix a = positiveDefinite(n);
        const double tolerance = 4e-16 * n * largest(a);
        Matrix firstFactor;
        Matrix firstInverse;
        Matrix firstProduct;
        for (const int threads : {1, 2, 5}) {
            Executor executor(threads);
            const JobContext context(executor);
            const TileRunner run = parallelTiles(context);
            Matrix l = a;
            QVERIFY(choleskyLower(l.data(), n, run));
            Matrix inverse = l;
            QVERIFY(invertLower(inverse.data(), n, run));
            Matrix product(a.size(), kNan);
            QVERIFY(lowerTransposeTimesLower(inverse.data(), n, product.data(), run));
            if (firstFactor.empty()) {
                for (int i = 0; i < n; ++i)
                    for (int j = i + 1; j < n; ++j) {
                        QVERIFY(l[static_cast<std::size_t>(i * n + j)] == 0);
                        QVERIFY(inverse[static_cast<std::size_t>(i * n + j)] == 0);
                    }
                QVERIFY(difference(timesTransposed(l, l, n), a) < tolerance);
                Matrix identity(a.size(), 0.0);
                for (int i = 0; i < n; ++i)
                    identity[static_cast<std::size_t>(i * n + i)] = 1;
                QVERIFY(difference(timesTransposed(l, transposed(inverse, n), n), identity) < 1e-15 * n);
                QVERIFY(difference(timesTransposed(a, product, n), identity) < 1e-15 * n * largest(a));
                firstFactor = l;
                firstInverse = inverse;
                firstProduct = product;
            }
            QVERIFY(l == firstFactor);
            QVERIFY(inverse == firstInverse);
            QVERIFY(product == firstProduct);
        }
    }
    /// The error of each element against the bound that the header states, and the same bits for any thread count.
    void productsInFloat_data() { sizes(); }
    void productsInFloat()
    {
        QFETCH(int, n);
        const Matrix a = positiveDefinite(n);
        Matrix first;
        for (const int threads : {1, 2, 5}) {
            Executor executor(threads);
            const JobContext context(executor);
            Matrix l = a;
            QVERIFY(choleskyLower(l.data(), n, parallelTiles(context), FactorProducts::inFloat));
            if (first.empty()) {
                first = l;
                const Matrix product = timesTransposed(l, l, n);
                for (int i = 0; i < n; ++i)
                    for (int j = 0; j < n; ++j) {
                        const auto at = static_cast<std::size_t>(i * n + j);
                        const double scale =
                            std::sqrt(a[static_cast<std::size_t>(i * n + i)] * a[static_cast<std::size_t>(j * n + j)]);
                        QVERIFY(std::fabs(product[at] - a[at]) <= 1e-6 * scale);
                        QVERIFY(j <= i || l[at] == 0);
                    }
            }
            QVERIFY(l == first);
        }
    }

    void badPivotsAreNamed()
    {
        Executor executor(2);
        const JobContext context(executor);
        for (const int bad : {0, 255, 256, 700, 1099}) {
            for (const double value : {0.0, -1.0, kNan, -kInf}) {
                Matrix a = positiveDefinite(1100);
                a[static_cast<std::size_t>(bad) * 1101] = value;
                const auto result = choleskyLower(a.data(), 1100, parallelTiles(context));
                QVERIFY(!result);
                QCOMPARE(result.error().code, Errc::badInput);
                QVERIFY(result.error().what.find("pivot " + std::to_string(bad) + " of 1100") != std::string::npos);
            }
        }
        Matrix zero(9, 0.0);
        QVERIFY(!invertLower(zero.data(), 3, parallelTiles(context)));
    }
    void triangleAboveIsIgnored()
    {
        Executor executor(2);
        const JobContext context(executor);
        Matrix l = positiveDefinite(600);
        QVERIFY(choleskyLower(l.data(), 600, parallelTiles(context)));
        Matrix dirty = l;
        for (std::size_t i = 0; i < 600; ++i)
            for (std::size_t j = i + 1; j < 600; ++j)
                dirty[i * 600 + j] = kNan;
        Matrix expected(l.size());
        Matrix product(l.size());
        QVERIFY(lowerTransposeTimesLower(l.data(), 600, expected.data(), parallelTiles(context)));
        QVERIFY(lowerTransposeTimesLower(dirty.data(), 600, product.data(), parallelTiles(context)));
        QVERIFY(product == expected);
    }
    void stopsSoon()
    {
        Executor executor(2);
        std::stop_source source;
        const JobContext context(executor, source.get_token());
        Matrix a = positiveDefinite(2500);
        std::chrono::steady_clock::time_point asked;
        std::jthread stopper([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
            asked = std::chrono::steady_clock::now();
            source.request_stop();
        });
        Result<void> result;
        while (result)
            result = choleskyLower(a.data(), 2500, parallelTiles(context));
        stopper.join();
        QCOMPARE(result.error().code, Errc::cancelled);
        QVERIFY(std::chrono::steady_clock::now() - asked < std::chrono::seconds(2));
    }
};

QTEST_APPLESS_MAIN(LinearAlgebraTest)
#include "linear_algebra_test.moc"
