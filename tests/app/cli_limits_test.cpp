// SPDX-License-Identifier: GPL-3.0-or-later
// Limits of `solve` beside the size, and `pareto`.
#include "tests/support/qloupe.h"

#include <QFile>
#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

using namespace ql::test;

namespace {

const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");

QJsonObject candidatesOf(const QString& path)
{
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        return {};
    return QJsonDocument::fromJson(file.readAll()).object()[QStringLiteral("candidates")].toObject();
}

} // namespace

class CliLimitsTest : public QObject {
    Q_OBJECT
private:
    QTemporaryDir m_folder;

    QString at(const QString& name) const { return m_folder.filePath(name); }
    Outcome run(const QString& line)
    {
        return qloupe(QStringList{QStringLiteral("--json"), QStringLiteral("--quiet")} + line.split(QLatin1Char(' ')));
    }
    Outcome solve(const QString& limits)
    {
        return run(QStringLiteral("solve %1 --candidates int3:g64,int4:g64,int8:g64 %2 --out %3")
                       .arg(kSample, limits, at(QStringLiteral("plan.json"))));
    }
    static double number(const Outcome& outcome, const char* key)
    {
        return outcome.json()[QLatin1String(key)].toDouble();
    }

private Q_SLOTS:
    void groupsTiesAndAllowed()
    {
        const Outcome free = solve(QStringLiteral("--bpw 5"));
        QVERIFY2(free.exitCode == 0, free.err.constData());
        const Outcome held =
            solve(QStringLiteral("--bpw 5 --group down_proj=3.5 --tie o_proj --allow q_proj=int8:g64"));
        QVERIFY2(held.exitCode == 0, held.err.constData());
        QVERIFY(number(held, "predicted_loss") >= number(free, "predicted_loss"));
        QVERIFY(number(held, "bits_per_weight") <= 5);
        const QJsonObject limit = held.json()[QLatin1String("limits")].toArray().at(0).toObject();
        QVERIFY(limit[QLatin1String("used")].toDouble() <= limit[QLatin1String("at_most")].toDouble());
        const QJsonObject candidates = candidatesOf(at(QStringLiteral("plan.json")));
        QString ofOutputs;
        int queries = 0;
        for (auto it = candidates.begin(); it != candidates.end(); ++it) {
            if (it.key().contains(QLatin1String("down_proj")))
                QCOMPARE(it.value().toString(), QStringLiteral("int3:g64"));
            if (it.key().contains(QLatin1String("q_proj"))) {
                QCOMPARE(it.value().toString(), QStringLiteral("int8:g64"));
                ++queries;
            }
            if (it.key().contains(QLatin1String("o_proj"))) {
                if (ofOutputs.isEmpty())
                    ofOutputs = it.value().toString();
                QCOMPARE(it.value().toString(), ofOutputs);
            }
        }
        QVERIFY(queries > 1 && !ofOutputs.isEmpty());
    }

    /// Pins take roles and names as other limits do, and are kept.
    void pinsTakeRolesAndNames()
    {
        const Outcome pinned =
            solve(QStringLiteral("--bpw 5 --pin v_proj=int8:g64 --pin *.layers.0.*down_proj*=int3:g64"));
        QVERIFY2(pinned.exitCode == 0, pinned.err.constData());
        const QJsonObject candidates = candidatesOf(at(QStringLiteral("plan.json")));
        int values = 0;
        int down = 0;
        for (auto it = candidates.begin(); it != candidates.end(); ++it) {
            if (it.key().contains(QLatin1String("v_proj"))) {
                QCOMPARE(it.value().toString(), QStringLiteral("int8:g64"));
                ++values;
            }
            if (it.key().contains(QLatin1String("layers.0.")) && it.key().contains(QLatin1String("down_proj"))) {
                QCOMPARE(it.value().toString(), QStringLiteral("int3:g64"));
                ++down;
            }
        }
        QCOMPARE(values, 4);
        QCOMPARE(down, 1);
        const Outcome none = solve(QStringLiteral("--bpw 5 --pin x_proj=int8:g64"));
        QCOMPARE(none.exitCode, 2);
        QVERIFY2(none.err.contains("has this role or a name that matches"), none.err.constData());
    }

    void leastSizeForALoss()
    {
        const Outcome five = solve(QStringLiteral("--bpw 5"));
        const Outcome least =
            solve(QStringLiteral("--max-loss %1").arg(number(five, "predicted_loss") * 1.0001, 0, 'g', 15));
        QVERIFY2(least.exitCode == 0, least.err.constData());
        QVERIFY(number(least, "bits_per_weight") <= number(five, "bits_per_weight"));
        QVERIFY(number(least, "predicted_loss") <= number(five, "predicted_loss") * 1.0001);
        QVERIFY(number(least, "bits_per_weight") > 4.5);
    }

    void operationsLatencyAndMemory()
    {
        QFile table(at(QStringLiteral("latency.csv")));
        QVERIFY(table.open(QIODevice::WriteOnly));
        table.write("layer,candidate,ms\n*,int3:g64,1\n*,int4:g64,1\n*,int8:g64,2\n");
        table.close();
        const Outcome timed =
            solve(QStringLiteral("--bpw 8 --latency %1 --max-latency 40 --bops 1e12").arg(table.fileName()));
        QVERIFY2(timed.exitCode == 0, timed.err.constData());
        QCOMPARE(timed.json()[QLatin1String("limits")].toArray().size(), 2);
        const Outcome memory = solve(QStringLiteral("--vram 1GB --kv-context 512 --kv q8_0"));
        QVERIFY2(memory.exitCode == 0, memory.err.constData());
        QVERIFY(number(memory, "bits_per_weight") > 8);
        const Outcome tight = solve(QStringLiteral("--vram 100KB --kv-context 512"));
        QCOMPARE(tight.exitCode, 3);
        QVERIFY2(tight.err.contains("--vram") && tight.err.contains("of 100000; of this ") &&
                     tight.err.contains("keys and values"),
                 tight.err.constData());
        const Outcome two = solve(QStringLiteral("--vram 1GB --ram 1GB --bpw 5"));
        QVERIFY2(two.exitCode == 0, two.err.constData());
        QVERIFY(two.json().contains(QLatin1String("blocks_in_ram")));
    }

    void refusals()
    {
        QCOMPARE(solve(QStringLiteral("--tie o_proj")).exitCode, 2);
        QCOMPARE(solve(QStringLiteral("--bpw 5 --tie nothing*")).exitCode, 2);
        QCOMPARE(solve(QStringLiteral("--bpw 5 --group q_proj")).exitCode, 2);
        QCOMPARE(solve(QStringLiteral("--bpw 5 --allow q_proj=int5:g64")).exitCode, 2);
        QCOMPARE(solve(QStringLiteral("--bpw 5 --ram 1GB")).exitCode, 2);
        const Outcome exact = solve(QStringLiteral("--bpw 5 --bops 1e12 --solver exact"));
        QCOMPARE(exact.exitCode, 2);
        QVERIFY2(exact.err.contains("ilp"), exact.err.constData());
    }

    void everySolverIsNoBetterThanExact()
    {
        const double best = number(solve(QStringLiteral("--bpw 5")), "predicted_loss");
        for (const char* solver : {"ilp", "greedy", "closed_form", "two_level"}) {
            const Outcome found = solve(QStringLiteral("--bpw 5 --solver %1").arg(QLatin1String(solver)));
            QVERIFY2(found.exitCode == 0, found.err.constData());
            QVERIFY2(number(found, "predicted_loss") >= best * (1 - 1e-12), solver);
        }
    }

    void frontOfSizes()
    {
        const Outcome shown =
            run(QStringLiteral("pareto %1 --candidates int3:g64,int4:g64,int8:g64 --target compressed-tensors "
                               "--budgets 20 --plans 3 --out %2")
                    .arg(kSample, at(QStringLiteral("plans"))));
        QVERIFY2(shown.exitCode == 0, shown.err.constData());
        const QJsonArray front = shown.json()[QLatin1String("front")].toArray();
        QVERIFY(front.size() > 10);
        QCOMPARE(number(shown, "largest_gap"), 0.0);
        for (int i = 1; i < front.size(); ++i) {
            const QJsonObject row = front.at(i).toObject();
            const QJsonObject before = front.at(i - 1).toObject();
            QVERIFY(row[QLatin1String("loss")].toDouble() < before[QLatin1String("loss")].toDouble());
            QVERIFY(row[QLatin1String("bytes")].toDouble() > before[QLatin1String("bytes")].toDouble());
            QVERIFY(before[QLatin1String("next")].toString().contains(QLatin1String(" to ")));
        }
        const QJsonArray plans = shown.json()[QLatin1String("plans")].toArray();
        QCOMPARE(plans.size(), 3);
        const QString middle = at(QStringLiteral("plans/%1.json").arg(plans.at(1).toInt()));
        const Outcome exported =
            run(QStringLiteral("export %1 --plan %2 --out %3").arg(kSample, middle, at(QStringLiteral("exported"))));
        QVERIFY2(exported.exitCode == 0, exported.err.constData());

        const Outcome part =
            run(QStringLiteral("pareto %1 --candidates int3:g64,int8:g64 --budgets 5 --from 4 --to 6").arg(kSample));
        QVERIFY2(part.exitCode == 0, part.err.constData());
        for (const auto& row : part.json()[QLatin1String("front")].toArray()) {
            const double bits = row.toObject()[QLatin1String("bits_per_weight")].toDouble();
            QVERIFY(bits > 3 && bits <= 6);
        }
        QCOMPARE(run(QStringLiteral("pareto %1 --from 60MB").arg(kSample)).exitCode, 2);
    }

    /// Its points are what solve finds under the same limits.
    void frontUnderSeveralLimits()
    {
        const QString limits = QStringLiteral("--vram 6.3MB --ram 7.2MB --kv-context 512 --max-loss %1");
        const double loosest = number(solve(QStringLiteral("--bpw 3.6")), "predicted_loss");
        const Outcome shown =
            run(QStringLiteral("pareto %1 --candidates int3:g64,int4:g64,int8:g64 --budgets 8 ").arg(kSample) +
                limits.arg(loosest));
        QVERIFY2(shown.exitCode == 0, shown.err.constData());
        const QJsonArray front = shown.json()[QLatin1String("front")].toArray();
        QVERIFY(front.size() > 1);
        for (const auto& each : front) {
            const QJsonObject row = each.toObject();
            QVERIFY(row.contains(QLatin1String("blocks_in_ram")) && row.contains(QLatin1String("gap")));
            QVERIFY(row[QLatin1String("loss")].toDouble() <= loosest);
        }
        const QJsonObject last = front.at(front.size() - 1).toObject();
        const Outcome solved = solve(QStringLiteral("--vram 6.3MB --ram 7.2MB --kv-context 512 --bpw %1")
                                         .arg(last[QLatin1String("bits_per_weight")].toDouble() + 1e-6, 0, 'g', 15));
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        const double loss = number(solved, "predicted_loss");
        QVERIFY(loss <= last[QLatin1String("loss")].toDouble() * 1.001);
        QVERIFY(loss * (1 + last[QLatin1String("gap")].toDouble()) >=
                last[QLatin1String("loss")].toDouble() * 0.999999);
        QCOMPARE(run(QStringLiteral("pareto %1 --vram 100KB --ram 100KB").arg(kSample)).exitCode, 3);
        QCOMPARE(run(QStringLiteral("pareto %1 --max-loss 1e-30").arg(kSample)).exitCode, 3);
    }
};

QTEST_GUILESS_MAIN(CliLimitsTest)
#include "cli_limits_test.moc"
