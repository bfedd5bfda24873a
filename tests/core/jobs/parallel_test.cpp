// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/rng.h"
#include "core/jobs/parallel.h"

#include <QTest>

#include <chrono>
#include <numeric>
#include <thread>

using namespace ql;

Q_DECLARE_METATYPE(ql::Executor::Backend)

class ParallelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void reductionsAreEqualForAnyThreadCount()
    {
        const CounterRng rng(7);
        double first = 0;
        for (const auto backend : {Executor::Backend::tbb, Executor::Backend::threads}) {
            for (const int threads : {1, 2, 5}) {
                Executor executor(threads, backend);
                const JobContext context(executor);
                const auto sum = deterministicReduce(
                    context, 1'000'003, 4096, 0.0,
                    [&](std::int64_t begin, std::int64_t end) {
                        double part = 0;
                        for (std::int64_t i = begin; i < end; ++i)
                            part += rng.normal(static_cast<std::uint64_t>(i)) * 1e6;
                        return part;
                    },
                    [](double& into, double next) { into += next; });
                QVERIFY(sum);
                if (first == 0)
                    first = *sum;
                QCOMPARE(*sum, first);
            }
        }
    }
    void everyIndexOnce()
    {
        for (const auto backend : {Executor::Backend::tbb, Executor::Backend::threads}) {
            Executor executor(3, backend);
            std::vector<int> seen(1000, 0);
            QVERIFY(parallelFor(JobContext(executor), 1000, 7, [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t i = begin; i < end; ++i)
                    ++seen[static_cast<std::size_t>(i)];
            }));
            QVERIFY(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
        }
    }
    void lowestErrorWins()
    {
        Executor executor(2);
        const auto result =
            parallelFor(JobContext(executor), 100, 10, [](std::int64_t begin, std::int64_t) -> Result<void> {
                if (begin >= 30)
                    return badInput("chunk " + std::to_string(begin));
                return {};
            });
        QVERIFY(!result);
        QCOMPARE(result.error().what, std::string("chunk 30"));
    }
    void stopsSoon()
    {
        for (const auto backend : {Executor::Backend::tbb, Executor::Backend::threads}) {
            Executor executor(2, backend);
            std::stop_source source;
            std::jthread stopper([&] {
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
                source.request_stop();
            });
            std::atomic<int> ran = 0;
            const auto result =
                parallelFor(JobContext(executor, source.get_token()), 1'000'000, 1, [&](std::int64_t, std::int64_t) {
                    ++ran;
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                });
            QVERIFY(!result);
            QCOMPARE(result.error().code, Errc::cancelled);
            QVERIFY(ran < 100'000);
        }
    }
    void progressNeverFalls()
    {
        Progress progress;
        progress.addTotal(10);
        progress.addDone(5);
        QCOMPARE(progress.fraction(), 0.5);
        progress.addTotal(10);
        QCOMPARE(progress.fraction(), 0.5);
        progress.addDone(15);
        QVERIFY(progress.fraction() < 1);
        progress.finish();
        QCOMPARE(progress.fraction(), 1.0);
    }
};

QTEST_APPLESS_MAIN(ParallelTest)
#include "parallel_test.moc"
