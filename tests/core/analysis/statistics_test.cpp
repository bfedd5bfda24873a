// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/histogram.h"
#include "core/analysis/statistics.h"
#include "core/base/rng.h"
#include "core/tensor/half.h"
#include "tests/support/reference_statistics.h"
#include "tests/support/vector_targets.h"

#include <nlohmann/json.hpp>

#include <QTest>

#include <cstring>
#include <fstream>

using namespace ql;

namespace {

/// Both NaN, or equal to a relative tolerance (absolute below `floor`).
bool close(double a, double b, double relative, double floor = 0)
{
    if (std::isnan(a) || std::isnan(b))
        return std::isnan(a) && std::isnan(b);
    return a == b || std::fabs(a - b) <= relative * std::max(std::fabs(a), std::fabs(b)) + floor;
}

bool sameBits(const TensorStatistics& a, const TensorStatistics& b)
{
    const auto equal = [](double x, double y) { return std::memcmp(&x, &y, sizeof x) == 0; };
    return a.count == b.count && a.nan == b.nan && a.inf == b.inf && a.zeros == b.zeros && equal(a.min, b.min) &&
           equal(a.max, b.max) && equal(a.mean, b.mean) && equal(a.std, b.std) && equal(a.absmax, b.absmax) &&
           equal(a.kurtosis, b.kurtosis) && equal(a.l2, b.l2);
}

void compare(const TensorStatistics& got, const TensorStatistics& want, const std::string& what)
{
    const char* name = what.c_str();
    QVERIFY2(got.count == want.count && got.nan == want.nan && got.inf == want.inf && got.zeros == want.zeros, name);
    QVERIFY2(close(got.min, want.min, 0) && close(got.max, want.max, 0) && close(got.absmax, want.absmax, 0), name);
    QVERIFY2(close(got.mean, want.mean, 1e-12, 1e-14 * want.absmax), name);
    QVERIFY2(close(got.std, want.std, 1e-10), name);
    QVERIFY2(close(got.l2, want.l2, 1e-12), name);
    QVERIFY2(close(got.kurtosis, want.kurtosis, 1e-9), name);
}

TensorView viewOf(const std::vector<double>& values)
{
    return {Dtype::f64, {static_cast<std::int64_t>(values.size())}, reinterpret_cast<const std::byte*>(values.data())};
}

} // namespace

class StatisticsTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};

    TensorStatistics compute(const TensorView& view)
    {
        auto result = computeStatistics(view, m_context);
        Q_ASSERT(result);
        return *result;
    }

private Q_SLOTS:
    /// Random bytes of every type: for floats a fair share of NaN, infinities and subnormals.
    void everyTypeLengthAndAlignment()
    {
        const CounterRng rng(11);
        for (const DtypeInfo& row : allDtypes()) {
            if (!isDecodable(row.dtype))
                continue;
            for (const std::int64_t length : {0,
                                              1,
                                              2,
                                              3,
                                              7,
                                              8,
                                              9,
                                              15,
                                              16,
                                              17,
                                              31,
                                              511,
                                              512,
                                              513,
                                              529,
                                              16383,
                                              16384,
                                              16385,
                                              3 * 16384 + 5,
                                              20 * 16384 + 3}) {
                const std::int64_t n = length / row.blockElements * row.blockElements;
                const auto bytes = static_cast<std::size_t>(*storedBytes(row.dtype, n));
                for (const std::size_t offset : {0U, 1U, 6U}) {
                    if (length > 1000 && offset == 6)
                        continue;
                    std::vector<std::byte> buffer(bytes + offset, std::byte{0xff});
                    for (std::size_t i = 0; i < bytes; ++i)
                        buffer[offset + i] = static_cast<std::byte>(rng.bits(i + offset) >> 20U);
                    // Random doubles span 600 decades; keep them within what a mean can show.
                    if (row.dtype == Dtype::f64 || row.dtype == Dtype::f32 || row.dtype == Dtype::bf16) {
                        const auto size = static_cast<std::size_t>(row.blockBytes);
                        for (std::size_t i = 0; i < bytes / size; ++i) {
                            if (i % 7 == 3)
                                continue;
                            std::byte* high = buffer.data() + offset + i * size + size - 2;
                            const bool wide = row.dtype == Dtype::f64;
                            high[1] = (high[1] & std::byte{0x80}) | std::byte{0x3f};
                            high[0] = (high[0] & std::byte{0x1f}) | (wide ? std::byte{0xc0} : std::byte{0x60});
                        }
                    }
                    const TensorView view{row.dtype, {n}, buffer.data() + offset};
                    std::vector<double> values(static_cast<std::size_t>(n));
                    decode(row.dtype, view.data, 0, n, values.data());
                    compare(compute(view), test::referenceStatistics(values),
                            std::string(row.word) + " x " + std::to_string(n) + " at " + std::to_string(offset));
                    if (QTest::currentTestFailed())
                        return;
                }
            }
        }
    }

    void hardNumbers_data()
    {
        QTest::addColumn<double>("mean");
        QTest::addColumn<double>("std");
        QTest::newRow("usual weights") << 0.0 << 0.02;
        QTest::newRow("mean/std = 1e4") << 1e4 << 1.0;
        QTest::newRow("mean/std = -1e4, small") << -1e-6 << 1e-10;
        QTest::newRow("around 1e150") << 1e150 << 1e146;
        QTest::newRow("up to 1e150") << 0.0 << 1e149;
        QTest::newRow("around 1e-150") << 1e-150 << 1e-154;
        QTest::newRow("largest") << 0.0 << 2e307;
        QTest::newRow("least") << 0.0 << 1e-305;
    }
    void hardNumbers()
    {
        QFETCH(double, mean);
        QFETCH(double, std);
        const CounterRng rng(5);
        for (const std::size_t n : {3U, 100U, 5000U, 200'000U}) {
            std::vector<double> values(n);
            for (std::size_t i = 0; i < n; ++i)
                values[i] = mean + std * rng.normal(i);
            compare(compute(viewOf(values)), test::referenceStatistics(values), std::to_string(n));
            values[n / 2] = std::numeric_limits<double>::quiet_NaN();
            values[n - 1] = -std::numeric_limits<double>::infinity();
            compare(compute(viewOf(values)), test::referenceStatistics(values), std::to_string(n) + " with NaN");
            std::vector<float> floats(n);
            for (std::size_t i = 0; i < n; ++i)
                floats[i] = static_cast<float>(values[i]);
            for (std::size_t i = 0; i < n; ++i)
                values[i] = static_cast<double>(floats[i]);
            const TensorView view{
                Dtype::f32, {static_cast<std::int64_t>(n)}, reinterpret_cast<const std::byte*>(floats.data())};
            compare(compute(view), test::referenceStatistics(values), std::to_string(n) + " floats");
        }
    }

    /// Exact rational statistics and NumPy histograms, written by tests/data/statistics/make_statistics.py.
    void golden()
    {
        std::ifstream file(QL_TEST_DATA "/statistics/statistics.json");
        const auto json = nlohmann::json::parse(file, nullptr, false);
        QVERIFY(json.is_object());
        const auto uniform = [](std::uint64_t k) {
            std::uint64_t z = k * 0x9e3779b97f4a7c15U + 0x9e3779b97f4a7c15U;
            z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
            z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
            return static_cast<double>((z ^ (z >> 31U)) >> 11U) * 0x1p-53;
        };
        int cases = 0;
        for (const auto& want : json["cases"]) {
            ++cases;
            const Dtype dtype = *dtypeFromWord(want["dtype"].get<std::string>());
            const auto n = json["count"].get<std::size_t>();
            std::vector<std::byte> bytes(n * 8);
            for (std::size_t i = 0; i < n; ++i) {
                const double x = want["mean_parameter"].get<double>() +
                                 want["std_parameter"].get<double>() *
                                     (uniform(3 * i) + uniform(3 * i + 1) + uniform(3 * i + 2) - 1.5);
                const auto f = static_cast<float>(x);
                const auto half = static_cast<Half>(x);
                if (dtype == Dtype::f64)
                    std::memcpy(bytes.data() + 8 * i, &x, 8);
                else if (dtype == Dtype::f32)
                    std::memcpy(bytes.data() + 4 * i, &f, 4);
                else
                    std::memcpy(bytes.data() + 2 * i, &half, 2);
            }
            const TensorView view{dtype, {static_cast<std::int64_t>(n)}, bytes.data()};
            const TensorStatistics got = compute(view);
            const std::string name = want["name"].get<std::string>();
            const auto near = [&](double value, const char* key, double tolerance) {
                QVERIFY2(close(value, want[key].get<double>(), tolerance), (name + ": " + key).c_str());
            };
            near(got.min, "min", 0);
            near(got.max, "max", 0);
            near(got.absmax, "absmax", 0);
            near(got.mean, "mean", 1e-13);
            near(got.std, "std", 1e-11);
            near(got.l2, "l2", 1e-14);
            near(got.kurtosis, "kurtosis", 1e-9);
            const auto counts = want["histogram"].get<std::vector<std::int64_t>>();
            const auto histogram = computeHistogram(view, m_context, counts.size());
            QVERIFY(histogram);
            QVERIFY2(histogram->counts == counts, name.c_str());
        }
        QCOMPARE(cases, 9);
    }

    /// Chunks so different that no single shift or scale fits them all.
    void unequalParts()
    {
        const CounterRng rng(6);
        std::vector<double> values(100'000);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = i < 40'000 ? 0.0 : (i < 70'000 ? 1e-130 : 1e-90) * (rng.normal(i) + 3);
        compare(compute(viewOf(values)), test::referenceStatistics(values), "tiny parts");
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = i < 520 ? 5.0 : 1e4 + rng.normal(i);
        compare(compute(viewOf(values)), test::referenceStatistics(values), "start unlike the rest");
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = (i < 50'000 ? 1e120 : 1e-120) * rng.normal(i);
        compare(compute(viewOf(values)), test::referenceStatistics(values), "240 decades");
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = static_cast<double>(i);
        const TensorStatistics ramp = compute(viewOf(values));
        const double n = 1e5;
        QVERIFY(close(ramp.mean, (n - 1) / 2, 1e-15));
        QVERIFY(close(ramp.std, std::sqrt((n * n - 1) / 12), 1e-13));
        QVERIFY(close(ramp.kurtosis, 3 * (3 * n * n - 7) / (5 * (n * n - 1)), 1e-12)); // of the discrete uniform law
    }

    void undefinedIsNan()
    {
        const double nan = std::numeric_limits<double>::quiet_NaN();
        const TensorStatistics none = compute(viewOf({}));
        QCOMPARE(none.count, 0);
        QVERIFY(std::isnan(none.min) && std::isnan(none.mean) && std::isnan(none.kurtosis) && std::isnan(none.l2));
        const TensorStatistics noFinite = compute(viewOf({nan, nan, INFINITY}));
        QCOMPARE(noFinite.nan, 2);
        QCOMPARE(noFinite.inf, 1);
        QVERIFY(std::isnan(noFinite.max) && std::isnan(noFinite.std) && std::isnan(noFinite.absmax));
        const TensorStatistics constant = compute(viewOf(std::vector<double>(70'001, 0.1)));
        QCOMPARE(constant.mean, 0.1);
        QCOMPARE(constant.std, 0.0);
        QVERIFY(std::isnan(constant.kurtosis));
        QVERIFY(close(constant.l2, 0.1 * std::sqrt(70'001.0), 1e-15));
        const TensorStatistics zeros = compute(viewOf({-0.0, 0.0, -0.0}));
        QCOMPARE(zeros.zeros, 3);
        QVERIFY(!std::signbit(zeros.min) && !std::signbit(zeros.max) && !std::signbit(zeros.mean));
        QCOMPARE(zeros.l2, 0.0);
        const TensorStatistics scalar = compute({Dtype::f64, {}, viewOf({2.5}).data});
        QCOMPARE(scalar.count, 1);
    }

    void equalBitsOnAnyThreadsAndTargets()
    {
        const CounterRng rng(9);
        constexpr std::int64_t kCount = 40 * 16384 + 77;
        std::vector<std::byte> bytes(kCount * 8);
        for (const Dtype dtype :
             {Dtype::f64, Dtype::f32, Dtype::bf16, Dtype::f16, Dtype::i8, Dtype::i64, Dtype::q8_0}) {
            for (const double mean : {0.0, 3000.0}) {
                for (std::size_t i = 0; i < static_cast<std::size_t>(kCount); ++i) {
                    const double x = mean + rng.normal(i);
                    const auto f = static_cast<float>(x);
                    const auto bits = std::bit_cast<std::uint32_t>(f) >> 16U;
                    const auto half = static_cast<Half>(f);
                    if (dtype == Dtype::f64)
                        std::memcpy(bytes.data() + i * 8, &x, 8);
                    else if (dtype == Dtype::f32)
                        std::memcpy(bytes.data() + i * 4, &f, 4);
                    else if (dtype == Dtype::bf16)
                        std::memcpy(bytes.data() + i * 2, &bits, 2);
                    else if (dtype == Dtype::f16)
                        std::memcpy(bytes.data() + i * 2, &half, 2);
                    else
                        bytes[i] = static_cast<std::byte>(rng.bits(i));
                }
                const std::int64_t n = dtype == Dtype::i64 ? kCount / 8 : kCount / 32 * 32;
                const TensorView view{dtype, {n}, bytes.data()};
                const TensorStatistics first = compute(view);
                for (const auto backend : {Executor::Backend::tbb, Executor::Backend::threads}) {
                    for (const int threads : {1, 3}) {
                        Executor executor(threads, backend);
                        QVERIFY2(sameBits(*computeStatistics(view, JobContext(executor)), first),
                                 info(dtype).word.data());
                    }
                }
                int targets = 0;
                test::forEachVectorTarget([&](const std::string& target) {
                    ++targets;
                    QVERIFY2(sameBits(compute(view), first), target.c_str());
                });
                QVERIFY(targets > 0);
            }
        }
    }

    /// NaN and infinities are found by every target's conversion of small floats.
    void nonFiniteOnAnyTarget()
    {
        for (const Dtype dtype : {Dtype::f16, Dtype::bf16, Dtype::f8_e5m2, Dtype::f8_e4m3}) {
            std::vector<std::byte> bytes(65536 * 2);
            for (std::size_t i = 0; i < 65536; ++i) {
                const auto code = static_cast<std::uint16_t>(i);
                std::memcpy(bytes.data() + 2 * i, &code, 2);
            }
            const TensorView view{dtype, {65536}, bytes.data()};
            std::vector<double> values(65536);
            decode(dtype, bytes.data(), 0, 65536, values.data());
            const TensorStatistics want = test::referenceStatistics(values);
            QVERIFY(want.nan > 0);
            test::forEachVectorTarget([&](const std::string& target) { compare(compute(view), want, target); });
        }
    }

    void severalAreTheSameAsOneByOne()
    {
        const std::size_t sizes[] = {0, 1, 1000, 300'000, 262'144, 16'385};
        std::vector<std::vector<double>> values;
        std::vector<TensorView> views;
        for (const std::size_t size : sizes) {
            const CounterRng rng(size);
            std::vector<double>& made = values.emplace_back(size);
            for (std::size_t i = 0; i < size; ++i)
                made[i] = rng.normal(i);
        }
        for (const std::vector<double>& made : values)
            views.push_back(viewOf(made));
        const auto together = computeStatistics(views, m_context).value();
        QCOMPARE(together.size(), views.size());
        for (std::size_t i = 0; i < views.size(); ++i)
            QVERIFY2(sameBits(together[i], compute(views[i])), std::to_string(sizes[i]).c_str());
    }

    void refusesAndCancels()
    {
        const std::vector<double> values(10, 1.0);
        TensorView view = viewOf(values);
        view.dtype = Dtype::c64;
        const auto refused = computeStatistics(view, m_context);
        QVERIFY(!refused);
        QCOMPARE(refused.error().code, Errc::badInput);
        std::stop_source source;
        source.request_stop();
        const auto cancelled = computeStatistics(viewOf(values), JobContext(m_executor, source.get_token()));
        QVERIFY(!cancelled);
        QCOMPARE(cancelled.error().code, Errc::cancelled);
    }
};

QTEST_APPLESS_MAIN(StatisticsTest)
#include "statistics_test.moc"
