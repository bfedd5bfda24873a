// SPDX-License-Identifier: GPL-3.0-or-later
// Products against sums in double, for every way operands are stored, one row (a token that is generated) and many.
#include "core/base/matrix_product.h"
#include "core/base/rng.h"
#include "core/jobs/tiles.h"

#include <QTest>

#include <cmath>
#include <cstring>
#include <limits>

using namespace ql;

namespace {

template<typename T>
std::vector<T> randoms(std::int64_t n, std::uint64_t salt)
{
    const CounterRng rng(5, salt);
    std::vector<T> values(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<T>(2 * rng.uniform(i) - 1);
    return values;
}

struct Sizes {
    std::int64_t rows, cols, depth;
};

/// With operands whose stored rows have gaps between them.
template<typename T>
void compare(const Sizes& s, bool aTransposed, bool bTransposed, T beta, const JobContext& context)
{
    constexpr std::int64_t kGap = 3;
    MatrixProduct<T> p{.rows = s.rows, .cols = s.cols, .depth = s.depth, .alpha = T(0.5), .beta = beta};
    p.aTransposed = aTransposed;
    p.bTransposed = bTransposed;
    p.aStride = (aTransposed ? s.rows : s.depth) + kGap;
    p.bStride = (bTransposed ? s.depth : s.cols) + kGap;
    p.cStride = s.cols + kGap;
    const auto a = randoms<T>((aTransposed ? s.depth : s.rows) * p.aStride, 1);
    const auto b = randoms<T>((bTransposed ? s.cols : s.depth) * p.bStride, 2);
    // What was there counts for nothing if it is not added to.
    const std::vector<T> before =
        beta == T{0} ? std::vector<T>(static_cast<std::size_t>(s.rows * p.cStride), std::numeric_limits<T>::quiet_NaN())
                     : randoms<T>(s.rows * p.cStride, 3);
    std::vector<T> c = before;
    p.a = a.data();
    p.b = b.data();
    p.c = c.data();
    QVERIFY(multiply(p, parallelTiles(context)));
    const auto at = [](const std::vector<T>& values, std::int64_t i) {
        return static_cast<double>(values[static_cast<std::size_t>(i)]);
    };
    const double tolerance = static_cast<double>(std::numeric_limits<T>::epsilon() * static_cast<T>(s.depth));
    for (std::int64_t i = 0; i < s.rows; ++i)
        for (std::int64_t j = 0; j < s.cols; ++j) {
            double sum = 0;
            for (std::int64_t k = 0; k < s.depth; ++k)
                sum += at(a, aTransposed ? k * p.aStride + i : i * p.aStride + k) *
                       at(b, bTransposed ? j * p.bStride + k : k * p.bStride + j);
            const double expected =
                0.5 * sum + (beta == T{0} ? 0 : static_cast<double>(beta) * at(before, i * p.cStride + j));
            if (!(std::fabs(at(c, i * p.cStride + j) - expected) <= tolerance))
                QFAIL(qPrintable(
                    QStringLiteral("%1×%2×%3 at %4, %5").arg(s.rows).arg(s.cols).arg(s.depth).arg(i).arg(j)));
        }
    std::vector<T> again = before;
    p.c = again.data();
    Executor other(3);
    QVERIFY(multiply(p, parallelTiles(JobContext(other))));
    QVERIFY(std::memcmp(again.data(), c.data(), c.size() * sizeof(T)) == 0);
}

} // namespace

class MatrixProductTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void isWhatTheSumsSay()
    {
        for (const Sizes& sizes :
             {Sizes{1, 1, 1}, {1, 1100, 70}, {1, 70, 8300}, {2, 600, 33}, {300, 40, 9}, {2100, 1030, 2}})
            for (const bool aTransposed : {false, true})
                for (const bool bTransposed : {false, true}) {
                    compare<float>(sizes, aTransposed, bTransposed, 0, m_context);
                    compare<float>(sizes, aTransposed, bTransposed, 1, m_context);
                    compare<double>(sizes, aTransposed, bTransposed, 0, m_context);
                    compare<double>(sizes, aTransposed, bTransposed, 0.25, m_context);
                }
    }

    void byItselfFillsTheLowerHalf()
    {
        constexpr float kThere = std::numeric_limits<float>::quiet_NaN();
        for (const auto& [rows, n] : {std::pair{1, 1}, {7, 3}, {33, 130}, {1024, 65}}) {
            const std::int64_t stride = n + 3;
            const auto x = randoms<float>(rows * stride, 4);
            std::vector<float> c(static_cast<std::size_t>(n * stride), kThere);
            multiplyByItself(x.data(), rows, n, stride, c.data(), stride);
            for (std::int64_t i = 0; i < n; ++i)
                for (std::int64_t j = 0; j < stride; ++j) {
                    double sum = 0;
                    for (std::int64_t r = 0; r < rows; ++r)
                        sum += static_cast<double>(x[static_cast<std::size_t>(r * stride + i)]) *
                               static_cast<double>(x[static_cast<std::size_t>(r * stride + j)]);
                    const float made = c[static_cast<std::size_t>(i * stride + j)];
                    if (!(j > i ? std::isnan(made) : std::fabs(static_cast<double>(made) - sum) <= 5e-7 * rows))
                        QFAIL(qPrintable(QStringLiteral("%1 of %2×%3 at %4, %5: %6")
                                             .arg(made)
                                             .arg(rows)
                                             .arg(n)
                                             .arg(i)
                                             .arg(j)
                                             .arg(sum)));
                }
        }
    }
};

QTEST_APPLESS_MAIN(MatrixProductTest)
#include "matrix_product_test.moc"
