// SPDX-License-Identifier: GPL-3.0-or-later
// Against all singular values by one-sided Jacobi rotations, and matrices made of known ones.
#include "core/base/rng.h"
#include "core/base/truncated_svd.h"
#include "core/jobs/tiles.h"
#include "tests/support/acceptance.h"

#include <QTest>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

using namespace ql;

namespace {

using Matrix = std::vector<double>;

Matrix normalMatrix(std::int64_t rows, std::int64_t cols, std::uint64_t seed)
{
    const CounterRng rng(seed);
    Matrix a(static_cast<std::size_t>(rows * cols));
    for (std::size_t i = 0; i < a.size(); ++i)
        a[i] = rng.normal(i);
    return a;
}

/// Rotates pairs of rows until all are orthogonal: their lengths are the singular values, falling.
Matrix allSingularValues(Matrix a, std::size_t rows, std::size_t cols)
{
    for (bool turned = true; turned;) {
        turned = false;
        for (std::size_t i = 0; i < rows; ++i)
            for (std::size_t j = i + 1; j < rows; ++j) {
                double ii = 0;
                double jj = 0;
                double ij = 0;
                for (std::size_t k = 0; k < cols; ++k) {
                    ii += a[i * cols + k] * a[i * cols + k];
                    jj += a[j * cols + k] * a[j * cols + k];
                    ij += a[i * cols + k] * a[j * cols + k];
                }
                if (std::fabs(ij) <= 1e-15 * std::sqrt(ii * jj))
                    continue;
                turned = true;
                const double zeta = (jj - ii) / (2 * ij);
                const double t = (zeta >= 0 ? 1 : -1) / (std::fabs(zeta) + std::hypot(1, zeta));
                const double c = 1 / std::hypot(1, t);
                for (std::size_t k = 0; k < cols; ++k) {
                    const double x = a[i * cols + k];
                    const double y = a[j * cols + k];
                    a[i * cols + k] = c * (x - t * y);
                    a[j * cols + k] = c * (t * x + y);
                }
            }
    }
    Matrix values;
    for (std::size_t i = 0; i < rows; ++i) {
        double sum = 0;
        for (std::size_t k = 0; k < cols; ++k)
            sum += a[i * cols + k] * a[i * cols + k];
        values.push_back(std::sqrt(sum));
    }
    std::ranges::sort(values, std::greater());
    return values;
}

/// ‖A − U·Σ·V‖.
double residual(const Matrix& a, const TruncatedSvd& svd, std::int64_t rows, std::int64_t cols)
{
    double sum = 0;
    for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < cols; ++j) {
            double x = a[static_cast<std::size_t>(i * cols + j)];
            for (std::int64_t k = 0; k < svd.rank; ++k)
                x -= svd.left[static_cast<std::size_t>(i * svd.rank + k)] * svd.values[static_cast<std::size_t>(k)] *
                     svd.right[static_cast<std::size_t>(k * cols + j)];
            sum += x * x;
        }
    return std::sqrt(sum);
}

double tail(const Matrix& values, std::int64_t rank)
{
    double sum = 0;
    for (auto k = static_cast<std::size_t>(rank); k < values.size(); ++k)
        sum += values[k] * values[k];
    return std::sqrt(sum);
}

/// Makes rows orthonormal by Gram and Schmidt, twice.
void orthonormalRows(Matrix& a, std::size_t rows, std::size_t cols)
{
    for (int pass = 0; pass < 2; ++pass)
        for (std::size_t i = 0; i < rows; ++i) {
            double* row = a.data() + i * cols;
            for (std::size_t j = 0; j < i; ++j) {
                double dot = 0;
                for (std::size_t k = 0; k < cols; ++k)
                    dot += row[k] * a[j * cols + k];
                for (std::size_t k = 0; k < cols; ++k)
                    row[k] -= dot * a[j * cols + k];
            }
            double squares = 0;
            for (std::size_t k = 0; k < cols; ++k)
                squares += row[k] * row[k];
            for (std::size_t k = 0; k < cols; ++k)
                row[k] /= std::sqrt(squares);
        }
}

} // namespace

class TruncatedSvdTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void eckartYoung_data()
    {
        QTest::addColumn<int>("rows");
        QTest::addColumn<int>("cols");
        QTest::addColumn<int>("rank");
        for (const auto& [rows, cols] : {std::pair(40, 60), std::pair(60, 40), std::pair(1, 9), std::pair(9, 1),
                                         std::pair(33, 33), std::pair(120, 70)})
            for (const int rank : {1, 3, 8, 32, 128})
                QTest::addRow("%d x %d, %d", rows, cols, rank) << rows << cols << rank;
    }
    void eckartYoung()
    {
        QFETCH(int, rows);
        QFETCH(int, cols);
        QFETCH(int, rank);
        const Matrix a = normalMatrix(rows, cols, 3);
        Matrix turned(a);
        if (rows > cols)
            for (int i = 0; i < rows; ++i)
                for (int j = 0; j < cols; ++j)
                    turned[static_cast<std::size_t>(j * rows + i)] = a[static_cast<std::size_t>(i * cols + j)];
        const Matrix values = allSingularValues(turned, static_cast<std::size_t>(std::min(rows, cols)),
                                                static_cast<std::size_t>(std::max(rows, cols)));
        const TruncatedSvd svd = truncatedSvd(a.data(), rows, cols, rank, parallelTiles(m_context)).value();
        QCOMPARE(svd.rank, std::int64_t{std::min({rank, rows, cols})});
        for (std::size_t k = 0; k < svd.values.size(); ++k)
            QVERIFY(std::fabs(svd.values[k] - values[k]) < 1e-12 * values[0]);
        const double norm = tail(values, 0);
        QVERIFY(std::fabs(residual(a, svd, rows, cols) - tail(values, svd.rank)) < 1e-10 * norm);
        for (std::int64_t k = 0; k < svd.rank; ++k) // orthonormal columns of U and rows of V
            for (std::int64_t l = 0; l <= k; ++l) {
                double left = 0;
                double right = 0;
                for (std::int64_t i = 0; i < rows; ++i)
                    left += svd.left[static_cast<std::size_t>(i * svd.rank + k)] *
                            svd.left[static_cast<std::size_t>(i * svd.rank + l)];
                for (std::int64_t j = 0; j < cols; ++j)
                    right += svd.right[static_cast<std::size_t>(k * cols + j)] *
                             svd.right[static_cast<std::size_t>(l * cols + j)];
                QVERIFY(std::fabs(left - (k == l)) < 1e-10 && std::fabs(right - (k == l)) < 1e-10);
            }
        if (rows == 40 && rank == 8)
            QL_NEAR("A5", "LoRC: residual norm over √Σ_{i>r}σ², before factors are rounded",
                    residual(a, svd, rows, cols) / tail(values, 8), 1, 1e-10);
    }

    /// Beyond what is done whole: values that fall, fall slowly, or are all equal.
    void largeMatrices_data()
    {
        QTest::addColumn<int>("rows");
        QTest::addColumn<int>("cols");
        QTest::addColumn<double>("ratio");
        for (const double ratio : {0.8, 0.99, 0.999, 1.0}) {
            QTest::addRow("300 x 420, %g", ratio) << 300 << 420 << ratio;
            QTest::addRow("420 x 300, %g", ratio) << 420 << 300 << ratio;
        }
    }
    void largeMatrices()
    {
        QFETCH(int, rows);
        QFETCH(int, cols);
        QFETCH(double, ratio);
        constexpr std::int64_t kCount = 300;
        Matrix u = normalMatrix(kCount, rows, 4);
        Matrix v = normalMatrix(kCount, cols, 5);
        orthonormalRows(u, kCount, static_cast<std::size_t>(rows));
        orthonormalRows(v, kCount, static_cast<std::size_t>(cols));
        Matrix values;
        for (std::int64_t k = 0; k < kCount; ++k)
            values.push_back(std::pow(ratio, static_cast<double>(k)));
        Matrix a(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols));
        for (std::size_t k = 0; k < values.size(); ++k)
            for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
                const double factor = u[k * static_cast<std::size_t>(rows) + i] * values[k];
                for (std::size_t j = 0; j < static_cast<std::size_t>(cols); ++j)
                    a[i * static_cast<std::size_t>(cols) + j] += factor * v[k * static_cast<std::size_t>(cols) + j];
            }
        for (const std::int64_t rank : {1, 16, 56, 64, 128}) {
            const TruncatedSvd svd = truncatedSvd(a.data(), rows, cols, rank, parallelTiles(m_context)).value();
            const double left = residual(a, svd, rows, cols);
            const double least = tail(values, rank);
            // The energy that is captured is that of the largest values to 1e-8 of all.
            QVERIFY2(left >= least * (1 - 1e-9) && left * left - least * least < 1e-8 * std::pow(tail(values, 0), 2),
                     qPrintable(QStringLiteral("%1 %2").arg(left, 0, 'g', 15).arg(least, 0, 'g', 15)));
            for (const int threads : {1, 3}) {
                Executor executor(threads);
                const JobContext context(executor);
                const TruncatedSvd other = truncatedSvd(a.data(), rows, cols, rank, parallelTiles(context)).value();
                QVERIFY(other.left == svd.left && other.values == svd.values && other.right == svd.right);
            }
        }
    }

    void oddMatrices()
    {
        const Matrix zeros(20 * 30);
        const TruncatedSvd none = truncatedSvd(zeros.data(), 20, 30, 4, parallelTiles(m_context)).value();
        QCOMPARE(none.values, Matrix(4));
        QVERIFY(std::ranges::all_of(none.right, [](double x) { return x == 0; }));
        const Matrix wide(300 * 400);
        QCOMPARE(truncatedSvd(wide.data(), 300, 400, 4, parallelTiles(m_context)).value().values, Matrix(4));
        QCOMPARE(truncatedSvd(nullptr, 0, 30, 4, parallelTiles(m_context)).value().rank, std::int64_t{0});
        // Of rank 2: the others are 0 to rounding.
        const Matrix u = normalMatrix(300, 2, 6);
        const Matrix v = normalMatrix(2, 400, 7);
        Matrix a(300 * 400);
        for (std::size_t i = 0; i < 300; ++i)
            for (std::size_t j = 0; j < 400; ++j)
                a[i * 400 + j] = u[i * 2] * v[j] + u[i * 2 + 1] * v[400 + j];
        const TruncatedSvd two = truncatedSvd(a.data(), 300, 400, 5, parallelTiles(m_context)).value();
        QVERIFY(two.values[1] > 1 && two.values[2] < 1e-10 * two.values[0]);
        QVERIFY(residual(a, two, 300, 400) < 1e-10 * two.values[0]);
    }

    void stopsSoon()
    {
        const Matrix a = normalMatrix(1500, 1500, 8);
        std::stop_source source;
        const JobContext context(m_executor, source.get_token());
        std::chrono::steady_clock::time_point asked;
        std::jthread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
            asked = std::chrono::steady_clock::now();
            source.request_stop();
        });
        const auto svd = truncatedSvd(a.data(), 1500, 1500, 64, parallelTiles(context));
        const auto now = std::chrono::steady_clock::now();
        later.join();
        if (svd)
            QSKIP("done before it could be stopped");
        QCOMPARE(svd.error().code, Errc::cancelled);
        QVERIFY(now - asked < std::chrono::milliseconds(500)); // 50 ms of work, on a busy machine
    }
};

QTEST_APPLESS_MAIN(TruncatedSvdTest)
#include "truncated_svd_test.moc"
