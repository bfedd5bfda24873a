// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/histogram.h"
#include "core/base/rng.h"
#include "core/base/text.h"
#include "tests/support/vector_targets.h"

#include <QTest>

#include <cmath>

using namespace ql;

namespace {

/// The rule of histogram.h, edge by edge.
Histogram bruteForce(const std::vector<double>& values, std::size_t bins, double min, double max)
{
    Histogram h;
    h.min = min;
    h.max = max;
    h.counts.assign(bins, 0);
    const double unit = std::isfinite(max - min) ? 1 : 2;
    const double width = (max / unit - min / unit) / static_cast<double>(bins);
    for (const double x : values) {
        if (!std::isfinite(x)) {
            ++h.nonFinite;
        } else if (x < min) {
            ++h.below;
        } else if (x > max) {
            ++h.above;
        } else {
            std::size_t bin = 0;
            for (std::size_t k = 1; k < bins; ++k)
                if (unit * (min / unit + static_cast<double>(k) * width) <= x)
                    bin = k;
            ++h.counts[bin];
        }
    }
    return h;
}

bool equal(const Histogram& a, const Histogram& b)
{
    return a.min == b.min && a.max == b.max && a.counts == b.counts && a.below == b.below && a.above == b.above &&
           a.nonFinite == b.nonFinite;
}

template<typename T>
TensorView viewOf(Dtype dtype, const std::vector<T>& values)
{
    return {dtype, {static_cast<std::int64_t>(values.size())}, reinterpret_cast<const std::byte*>(values.data())};
}

} // namespace

class HistogramTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    /// Values on the edges and one step beside them, in ranges whose widths are not representable.
    void exactAtEdges()
    {
        for (const auto& [min, max] : {std::pair{0.0, 1.0},
                                       {-8.0, 7.0},
                                       {-0.3, 0.7},
                                       {1e6, 1e6 + 0.1},
                                       {-1e-300, 3e-300},
                                       {1e15, 1e15 + 3},
                                       {-1e308, 1.5e308},
                                       {0.0, 5e-324},
                                       {-1e-30, 1e30}}) {
            for (const std::size_t bins : {1U, 2U, 3U, 10U, 49U, 255U}) {
                std::vector<double> values = {NAN, INFINITY, -INFINITY, min, max, 0.0, -0.0};
                const double width = (max - min) / static_cast<double>(bins);
                if (!std::isfinite(width))
                    continue;
                for (std::size_t k = 0; k <= bins; ++k) {
                    const double edge = min + static_cast<double>(k) * width;
                    values.insert(values.end(),
                                  {edge, std::nextafter(edge, -INFINITY), std::nextafter(edge, INFINITY)});
                }
                test::forEachVectorTarget([&, low = min, high = max](const std::string& target) {
                    const auto got = computeHistogram(viewOf(Dtype::f64, values), m_context, bins, low, high);
                    QVERIFY(got);
                    QVERIFY2(equal(*got, bruteForce(values, bins, low, high)),
                             (std::to_string(bins) + " bins from " + formatDouble(low) + " to " + formatDouble(high) +
                              ", " + target)
                                 .c_str());
                });
            }
        }
    }

    void floatsOnTheirGrid()
    {
        const CounterRng rng(3);
        std::vector<float> values(70'001);
        std::vector<double> doubles;
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = std::round(static_cast<float>(rng.normal(i)) * 40) / 40;
            doubles.push_back(static_cast<double>(values[i]));
        }
        const auto got = computeHistogram(viewOf(Dtype::f32, values), m_context, 160, -2, 2);
        QVERIFY(got);
        QVERIFY(equal(*got, bruteForce(doubles, 160, -2, 2)));
        QVERIFY(got->below > 0 && got->above > 0);
        QCOMPARE(got->total() + got->below + got->above, 70'001);
    }

    void everyTypeCountsEveryElement()
    {
        const CounterRng rng(4);
        for (const DtypeInfo& row : allDtypes()) {
            if (!isDecodable(row.dtype))
                continue;
            constexpr std::int64_t kCount = 3 * 4096 + 512;
            std::vector<std::byte> bytes(static_cast<std::size_t>(*storedBytes(row.dtype, kCount)));
            for (std::size_t i = 0; i < bytes.size(); ++i)
                bytes[i] = static_cast<std::byte>(rng.bits(i));
            std::vector<double> values(kCount);
            decode(row.dtype, bytes.data(), 0, kCount, values.data());
            const auto got = computeHistogram({row.dtype, {kCount}, bytes.data()}, m_context, 64);
            QVERIFY2(got, row.word.data());
            QVERIFY2(equal(*got, bruteForce(values, 64, got->min, got->max)), row.word.data());
            QCOMPARE(got->below + got->above, 0);
            QVERIFY(got->counts.back() > 0 && got->counts.front() > 0);
        }
    }

    void rangesOfOneValueOrNone()
    {
        const auto constant = computeHistogram(viewOf(Dtype::f32, std::vector<float>(5, 3.0F)), m_context, 10);
        QVERIFY(constant);
        QCOMPARE(constant->min, 2.5);
        QCOMPARE(constant->max, 3.5);
        QCOMPARE(constant->counts[5], 5);
        const auto large = computeHistogram(viewOf(Dtype::f64, std::vector<double>(5, 1e30)), m_context, 10);
        QVERIFY(large && large->min < 1e30 && large->max > 1e30);
        QCOMPARE(large->total(), 5);
        const auto empty = computeHistogram(viewOf(Dtype::f64, std::vector<double>{}), m_context);
        QVERIFY(empty);
        QCOMPARE(empty->counts.size(), kBaseBins);
        QCOMPARE(empty->total(), 0);
        QVERIFY(empty->max > empty->min);
        const auto none = computeHistogram(viewOf(Dtype::f64, std::vector<double>{NAN, INFINITY}), m_context);
        QVERIFY(none);
        QCOMPARE(none->nonFinite, 2);
        const auto widest =
            computeHistogram(viewOf(Dtype::f64, std::vector<double>{-1.7e308, 0, 1.7e308}), m_context, 4);
        QVERIFY(widest);
        QCOMPARE(widest->counts, (std::vector<std::int64_t>{1, 0, 1, 1}));
        QVERIFY(!computeHistogram(viewOf(Dtype::f64, std::vector<double>{1}), m_context, 0));
        QVERIFY(!computeHistogram(viewOf(Dtype::f64, std::vector<double>{1}), m_context, 8, 0, INFINITY));
        QVERIFY(!computeHistogram(viewOf(Dtype::c64, std::vector<double>{1}), m_context));
    }

    void equalForAnyThreads()
    {
        const CounterRng rng(8);
        std::vector<float> values(3'000'000);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = static_cast<float>(rng.normal(i));
        const auto first = computeHistogram(viewOf(Dtype::f32, values), m_context);
        QVERIFY(first);
        QCOMPARE(first->total(), 3'000'000);
        for (const int threads : {1, 3}) {
            Executor executor(threads, Executor::Backend::threads);
            const auto again = computeHistogram(viewOf(Dtype::f32, values), JobContext(executor));
            QVERIFY(again && equal(*again, *first));
        }
        std::stop_source source;
        source.request_stop();
        const auto cancelled = computeHistogram(viewOf(Dtype::f32, values), JobContext(m_executor, source.get_token()));
        QVERIFY(!cancelled);
        QCOMPARE(cancelled.error().code, Errc::cancelled);
    }

    void rebinning()
    {
        Histogram h;
        h.min = 0;
        h.max = 12;
        h.counts = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
        QCOMPARE(h.rebinned(5).counts, (std::vector<std::int64_t>{3, 7, 11, 15, 19, 23}));
        QCOMPARE(h.rebinned(12).counts, h.counts);
        QCOMPARE(h.rebinned(100).counts, h.counts);
        QCOMPARE(h.rebinned(0).counts, (std::vector<std::int64_t>{78}));
        QCOMPARE(h.rebinned(3).binWidth(), 4.0);
        h.counts.assign(kBaseBins, 1);
        QCOMPARE(h.rebinned(200).counts.size(), 256U);
    }
};

QTEST_APPLESS_MAIN(HistogramTest)
#include "histogram_test.moc"
