// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/outliers.h"
#include "core/analysis/statistics.h"
#include "core/base/rng.h"
#include "tests/support/vector_targets.h"

#include <QTest>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace ql;

namespace {

float magnitude(float x)
{
    return std::isnan(x) ? INFINITY : std::fabs(x);
}

/// Every level, row and column maximum by brute force.
void verify(const OutlierPyramid& p, const std::vector<float>& values, std::int64_t rows, std::int64_t cols)
{
    QCOMPARE(p.rows, rows);
    QCOMPARE(p.cols, cols);
    FloatArray rowMax(static_cast<std::size_t>(rows), 0.0F), colMax(static_cast<std::size_t>(cols), 0.0F);
    float absmax = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < cols; ++c) {
            const float x = magnitude(values[static_cast<std::size_t>(r * cols + c)]);
            rowMax[static_cast<std::size_t>(r)] = std::max(rowMax[static_cast<std::size_t>(r)], x);
            colMax[static_cast<std::size_t>(c)] = std::max(colMax[static_cast<std::size_t>(c)], x);
            absmax = std::max(absmax, x);
        }
    }
    QVERIFY(p.rowMax == rowMax);
    QVERIFY(p.colMax == colMax);
    QCOMPARE(p.absmax, absmax);
    std::int64_t levelRows = rows, levelCols = cols;
    std::size_t k = 0;
    while (std::max(levelRows, levelCols) > 64) {
        levelRows = (levelRows + 1) / 2;
        levelCols = (levelCols + 1) / 2;
        QVERIFY(k < p.levels.size());
        const PyramidLevel& level = p.levels[k++];
        QCOMPARE(level.rows, levelRows);
        QCOMPARE(level.cols, levelCols);
        const std::int64_t span = std::int64_t{1} << k;
        FloatArray want(level.maxAbs.size(), 0.0F);
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t c = 0; c < cols; ++c) {
                float& cell = want[static_cast<std::size_t>(r / span * levelCols + c / span)];
                cell = std::max(cell, magnitude(values[static_cast<std::size_t>(r * cols + c)]));
            }
        QVERIFY(level.maxAbs == want);
        QCOMPARE(*std::max_element(level.maxAbs.begin(), level.maxAbs.end()), absmax);
    }
    QCOMPARE(p.levels.size(), k);
}

} // namespace

class OutliersTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void pyramidEqualsBruteForce()
    {
        const CounterRng rng(21);
        for (const auto& [rows, cols] : {std::pair<std::int64_t, std::int64_t>{1, 1},
                                         {1, 63},
                                         {64, 64},
                                         {65, 64},
                                         {1, 65},
                                         {65, 1},
                                         {67, 131},
                                         {1, 20'001},
                                         {20'001, 1},
                                         {129, 8195},
                                         {257, 130},
                                         {3, 16'385}}) {
            std::vector<float> values(static_cast<std::size_t>(rows * cols));
            for (std::size_t i = 0; i < values.size(); ++i)
                values[i] = static_cast<float>(rng.normal(i));
            const TensorView view{Dtype::f32, {rows, cols}, reinterpret_cast<const std::byte*>(values.data())};
            for (const bool special : {false, true}) {
                if (special) {
                    values[values.size() - 1] = NAN;
                    values[values.size() / 2] = -NAN;
                    values[values.size() / 3] = -INFINITY;
                }
                test::forEachVectorTarget([&, r = rows, c = cols](const std::string& target) {
                    const auto got = computePyramid(view, m_context);
                    QVERIFY(got);
                    QVERIFY2(got->values.size() == values.size(), target.c_str());
                    verify(*got, values, r, c);
                });
                if (QTest::currentTestFailed())
                    return;
            }
        }
    }

    void pyramidOfOtherTypesAndShapes()
    {
        const CounterRng rng(22);
        std::vector<std::byte> bytes(8 * 140 * 128);
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<std::byte>(rng.bits(i));
        for (const DtypeInfo& row : allDtypes()) {
            if (!isDecodable(row.dtype))
                continue;
            // Rows of 128 begin inside the blocks of 256.
            std::vector<float> values(140 * 128);
            decode(row.dtype, bytes.data(), 0, 140 * 128, values.data());
            const auto got = computePyramid({row.dtype, {140, 8, 16}, bytes.data()}, m_context);
            QVERIFY2(got, row.word.data());
            verify(*got, values, 140, 128);
        }
        std::vector<float> values(66 * 70);
        decode(Dtype::f6_e2m3, bytes.data(), 0, 66 * 70, values.data());
        const auto got = computePyramid({Dtype::f6_e2m3, {70, 66}, bytes.data()}, m_context);
        QVERIFY(got);
        verify(*got, values, 70, 66);
        for (const Shape& shape : {Shape{0}, Shape{0, 5}, Shape{5, 0}}) {
            const auto empty = computePyramid({Dtype::f32, shape, bytes.data()}, m_context);
            QVERIFY(empty);
            QVERIFY(empty->levels.empty() && empty->values.empty());
        }
        const auto scalar = computePyramid({Dtype::i8, {}, bytes.data()}, m_context);
        QVERIFY(scalar && scalar->rows == 1 && scalar->cols == 1);
        QVERIFY(!computePyramid({Dtype::c64, {4}, bytes.data()}, m_context));
        std::stop_source source;
        source.request_stop();
        QVERIFY(!computePyramid({Dtype::f32, {100}, bytes.data()}, JobContext(m_executor, source.get_token())));
    }

    void largestAndShare()
    {
        const CounterRng rng(23);
        constexpr std::int64_t kRows = 300, kCols = 2001;
        std::vector<float> values(kRows * kCols);
        for (std::size_t i = 0; i < values.size(); ++i) // coarse, so that many are equal
            values[i] = std::round(static_cast<float>(rng.normal(i)) * 20) / 20;
        for (const std::size_t at : {5U, 70'000U, 599'999U})
            values[at] = -40;
        const TensorView view{Dtype::f32, {kRows, kCols}, reinterpret_cast<const std::byte*>(values.data())};
        for (const bool special : {false, true}) {
            if (special) {
                values[77'777] = NAN;
                values[5'555] = INFINITY;
            }
            const double std = computeStatistics(view, m_context)->std;
            std::vector<std::int64_t> order(values.size());
            std::iota(order.begin(), order.end(), 0);
            std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
                return magnitude(values[static_cast<std::size_t>(a)]) > magnitude(values[static_cast<std::size_t>(b)]);
            });
            for (const double sigmas : {0.0, 2.0, 6.0}) {
                const auto above = std::count_if(values.begin(), values.end(), [&](float x) {
                    return static_cast<double>(magnitude(x)) > sigmas * std;
                });
                for (const std::size_t limit : {0U, 1U, 100U, 5000U}) {
                    for (const int threads : {1, 3}) {
                        Executor executor(threads, Executor::Backend::threads);
                        const auto got = findOutliers(view, JobContext(executor), sigmas, limit);
                        QVERIFY(got);
                        QCOMPARE(got->threshold, sigmas * std);
                        QCOMPARE(got->count, above);
                        QCOMPARE(got->share, static_cast<double>(above) / static_cast<double>(values.size()));
                        QCOMPARE(got->largest.size(), limit);
                        for (std::size_t i = 0; i < limit; ++i)
                            QCOMPARE(got->largest[i].row * kCols + got->largest[i].col, order[i]);
                    }
                }
            }
        }
        const auto few = findOutliers({Dtype::f32, {3}, view.data}, m_context);
        QVERIFY(few);
        QCOMPARE(few->largest.size(), 3U);
        const auto empty = findOutliers({Dtype::f32, {0}, view.data}, m_context);
        QVERIFY(empty && empty->largest.empty() && empty->share == 0);
        QVERIFY(!findOutliers(view, m_context, -1));
        QVERIFY(!findOutliers(view, m_context, NAN));
    }

    /// Doubles keep what float would round away.
    void doublesAreCompared()
    {
        const std::vector<double> values = {1, 1 + 1e-12, 1 - 1e-12, -1 - 2e-12};
        const auto got =
            findOutliers({Dtype::f64, {4}, reinterpret_cast<const std::byte*>(values.data())}, m_context, 1, 4);
        QVERIFY(got);
        QCOMPARE(got->largest[0].col, 3);
        QCOMPARE(got->largest[1].col, 1);
        QCOMPARE(got->largest[2].col, 0);
        QCOMPARE(got->largest[1].value, 1 + 1e-12);
    }
};

QTEST_APPLESS_MAIN(OutliersTest)
#include "outliers_test.moc"
