// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/jobs/parallel.h"
#include "views/jobs/job_runner.h"

#include <QSignalSpy>
#include <QTest>
#include <QThread>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

using namespace ql;
using namespace ql::views;

class JobRunnerTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void deliversOnceInTheGuiThread()
    {
        Executor executor(2);
        JobRunner jobs(executor);
        int delivered = 0;
        const QThread* thread = nullptr;
        std::int64_t sum = 0;
        jobs.start(
            {.title = QStringLiteral("sum")}, this,
            [](const JobContext& context) {
                return deterministicReduce(
                    context, 1000, 100, std::int64_t{0},
                    [](std::int64_t begin, std::int64_t end) {
                        std::int64_t part = 0;
                        for (std::int64_t i = begin; i < end; ++i)
                            part += i;
                        return part;
                    },
                    [](std::int64_t& into, std::int64_t next) { into += next; });
            },
            [&](const Result<std::int64_t>& result) {
                ++delivered;
                thread = QThread::currentThread();
                sum = *result;
            });
        QTRY_COMPARE_WITH_TIMEOUT(delivered, 1, 10000);
        QCOMPARE(thread, QThread::currentThread());
        QCOMPARE(sum, 499500);
        QVERIFY(jobs.isIdle());
        QVERIFY(jobs.failures().empty());
    }

    void cancelIsAnErrorAndNoFailure()
    {
        Executor executor(1);
        JobRunner jobs(executor);
        std::optional<Errc> code;
        const auto id = jobs.start(
            {.title = QStringLiteral("long")}, this,
            [](const JobContext& context) -> Result<bool> {
                for (;;) {
                    QL_CHECK(context.checkStop());
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                }
            },
            [&](const Result<bool>& result) { code = result.error().code; });
        QCOMPARE(jobs.running().size(), std::size_t{1});
        jobs.cancel(id);
        QTRY_VERIFY_WITH_TIMEOUT(code.has_value(), 5000);
        QCOMPARE(*code, Errc::cancelled);
        QVERIFY(jobs.failures().empty());
    }

    void exceptionsBecomeErrorsAndAreListed()
    {
        Executor executor(1);
        JobRunner jobs(executor);
        QSignalSpy listed(&jobs, &JobRunner::failuresChanged);
        QString what;
        jobs.start(
            {.title = QStringLiteral("throws")}, this,
            [](const JobContext&) -> Result<int> { throw std::runtime_error("third party"); },
            [&](const Result<int>& result) { what = QString::fromStdString(result.error().what); });
        QTRY_VERIFY_WITH_TIMEOUT(what.contains(QStringLiteral("third party")), 5000);
        QCOMPARE(listed.size(), 1);
        QCOMPARE(jobs.failures().size(), std::size_t{1});
        QCOMPARE(jobs.failures().front().title, QStringLiteral("throws"));
    }

    void aLaterJobOfTheChannelReplacesTheEarlier()
    {
        Executor executor(1);
        JobRunner jobs(executor);
        std::vector<int> delivered;
        std::atomic<bool> release = false;
        // The first ignores its stop token and returns a value all the same: it must be dropped.
        jobs.start(
            {.title = QStringLiteral("old"), .channel = QStringLiteral("c")}, this,
            [&release](const JobContext&) -> Result<int> {
                while (!release)
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                return 1;
            },
            [&](const Result<int>& result) { delivered.push_back(*result); });
        jobs.start(
            {.title = QStringLiteral("new"), .channel = QStringLiteral("c")}, this,
            [](const JobContext&) -> Result<int> { return 2; },
            [&](const Result<int>& result) { delivered.push_back(*result); });
        QTRY_COMPARE_WITH_TIMEOUT(delivered.size(), std::size_t{1}, 5000);
        release = true;
        QTRY_VERIFY_WITH_TIMEOUT(jobs.isIdle(), 5000);
        QCOMPARE(delivered, std::vector<int>{2});
    }

    void nothingIsDeliveredToTheDead()
    {
        Executor executor(1);
        JobRunner jobs(executor);
        auto receiver = std::make_unique<QObject>();
        std::atomic<bool> release = false;
        bool delivered = false;
        jobs.start(
            {.title = QStringLiteral("orphan")}, receiver.get(),
            [&release](const JobContext&) -> Result<int> {
                while (!release)
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                return 1;
            },
            [&](const Result<int>&) { delivered = true; });
        receiver.reset();
        release = true;
        QTRY_VERIFY_WITH_TIMEOUT(jobs.isIdle(), 5000);
        QVERIFY(!delivered);
    }

    void destructionStopsAndJoins()
    {
        Executor executor(1);
        std::atomic<bool> ended = false;
        {
            JobRunner jobs(executor);
            jobs.start(
                {.title = QStringLiteral("running")}, this,
                [&ended](const JobContext& context) -> Result<int> {
                    while (!context.stopRequested())
                        std::this_thread::sleep_for(std::chrono::milliseconds(1));
                    ended = true;
                    return cancelledError();
                },
                [](const Result<int>&) { QFAIL("delivered after destruction"); });
        }
        QVERIFY(ended);
        QCoreApplication::processEvents();
    }

    void progressAndRemainingTimeAreReported()
    {
        Executor executor(1);
        JobRunner jobs(executor);
        std::atomic<bool> release = false;
        jobs.start(
            {.title = QStringLiteral("half")}, this,
            [&release](const JobContext& context) -> Result<int> {
                context.progress().addTotal(10);
                context.progress().addDone(5);
                while (!release)
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                return 1;
            },
            [](const Result<int>&) {});
        QTRY_COMPARE_WITH_TIMEOUT(jobs.running().front().fraction, 0.5, 5000);
        QVERIFY(jobs.running().front().remainingSeconds >= 0);
        QSignalSpy changed(&jobs, &JobRunner::changed);
        QVERIFY(changed.wait(5000));
        release = true;
        QTRY_VERIFY_WITH_TIMEOUT(jobs.isIdle(), 5000);
    }
};

QTEST_GUILESS_MAIN(JobRunnerTest)
#include "job_runner_test.moc"
