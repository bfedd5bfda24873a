// SPDX-License-Identifier: GPL-3.0-or-later
// The real qloupe measuring losses of codes, and solving from what it wrote.
#include "tests/support/qloupe.h"

#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

using namespace ql::test;

namespace {

const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");

Outcome sensitivity(const QStringList& more)
{
    return qloupe(QStringList{text("sensitivity"), kSample, text("--json")} + more);
}

} // namespace

class CliLossesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Pairs and groups of layers are run together; what pairs lose beyond their sum is solved for.
    void couplingsAreMeasuredAndSolved()
    {
        QTemporaryDir folder;
        const QString table = folder.filePath(text("losses.json"));
        const QStringList request{text("--probe"),      text("exact"),
                                  text("--text"),       kSample + text("/test.txt"),
                                  text("--context"),    text("32"),
                                  text("--windows"),    text("2"),
                                  text("--layer"),      text("model.layers.3.*"),
                                  text("--candidates"), text("int3:g64,int8:g64"),
                                  text("--group"),      text("*mlp*")};
        const Outcome outcome =
            sensitivity(request + QStringList{text("--coupling"), text("pairs"), text("--out"), table});
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        QMap<QString, double> alone;
        for (const auto& each : outcome.json().value(QLatin1String("cells")).toArray()) {
            const QJsonObject cell = each.toObject();
            alone[cell.value(QLatin1String("name")).toString() + cell.value(QLatin1String("candidate")).toString()] =
                cell.value(QLatin1String("loss")).toDouble();
        }
        QCOMPARE(alone.size(), 2 * 7);
        const QJsonArray pairs = outcome.json().value(QLatin1String("couplings")).toArray();
        QCOMPARE(pairs.size(), 6 * 4);
        for (const auto& each : pairs) {
            const QJsonObject pair = each.toObject();
            double rest = pair.value(QLatin1String("loss")).toDouble();
            for (int side = 0; side < 2; ++side)
                rest -= alone.value(pair.value(QLatin1String("layers")).toArray().at(side).toString() +
                                    pair.value(QLatin1String("candidates")).toArray().at(side).toString());
            QVERIFY(qAbs(pair.value(QLatin1String("coupling")).toDouble() - rest) <= 1e-9);
            QVERIFY(pair.value(QLatin1String("coupling_error")).toDouble() > 0);
        }
        const QJsonArray groups = outcome.json().value(QLatin1String("groups")).toArray();
        QCOMPARE(groups.size(), 2);
        QCOMPARE(groups.at(0).toObject().value(QLatin1String("layers")).toInt(), 3);
        QVERIFY(groups.at(0).toObject().value(QLatin1String("loss")).toDouble() >
                groups.at(1).toObject().value(QLatin1String("loss")).toDouble());

        const Outcome solved = qloupe({text("solve"), kSample, text("--json"), text("--losses"), table, text("--bpw"),
                                       text("13.5"), text("--out"), folder.filePath(text("plan.json"))});
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        QCOMPARE(solved.json().value(QLatin1String("couplings_left_out")).toInt(-1), 0);
        QVERIFY(solved.json().value(QLatin1String("coupling")).toDouble() != 0);
        QVERIFY(solved.json().value(QLatin1String("optimal")).toBool());

        const Outcome blocks = sensitivity(request + QStringList{text("--coupling"), text("blocks")});
        QVERIFY2(blocks.exitCode == 0, blocks.err.constData());
        const QJsonObject block = blocks.json().value(QLatin1String("groups")).toArray().at(0).toObject();
        QCOMPARE(block.value(QLatin1String("group")).toString(), text("block 3"));
        QCOMPARE(block.value(QLatin1String("layers")).toInt(), 7);
        QCOMPARE(sensitivity(request + QStringList{text("--limit"), text("3")}).exitCode, 2);
    }
    void probedLossesAreSolved()
    {
        QTemporaryDir folder;
        const QString table = folder.filePath(text("losses.json"));
        const QString study = folder.filePath(text("probe.qloupe"));
        const QStringList request{text("--probe"),      text("gradient"),
                                  text("--text"),       kSample + text("/calibration.txt"),
                                  text("--context"),    text("32"),
                                  text("--candidates"), text("int4:g64,int8:g64"),
                                  text("--study"),      study,
                                  text("--out"),        table};
        const Outcome outcome = sensitivity(request + QStringList{text("--windows"), text("3")});
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        QVERIFY(outcome.err.contains("windows: about"));
        const QJsonArray cells = outcome.json().value(QLatin1String("cells")).toArray();
        QCOMPARE(cells.size(), 2 * 29);
        QCOMPARE(outcome.json().value(QLatin1String("unit")).toString(), text("nats per token"));
        for (const auto& value : cells)
            for (const char* key : {"loss", "standard_error", "sampled", "sampled_error", "bits_per_weight"})
                QVERIFY2(value.toObject().value(QLatin1String(key)).toDouble() > 0, key);
        const Outcome more = sensitivity(request + QStringList{text("--windows"), text("4")});
        QVERIFY2(more.exitCode == 0, more.err.constData());
        QCOMPARE(more.json().value(QLatin1String("windows")).toInt(), 4);

        const QString plan = folder.filePath(text("plan.json"));
        const QStringList solve{text("solve"), kSample, text("--json"), text("--out"), plan, text("--bpw"), text("6")};
        const Outcome solved = qloupe(solve + QStringList{text("--losses"), table});
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        QVERIFY(!solved.err.contains("measuring"));
        QCOMPARE(solved.json().value(QLatin1String("metric")).toString(), text("gradient_probe"));
        const double predicted = solved.json().value(QLatin1String("predicted_loss")).toDouble();
        const double error = solved.json().value(QLatin1String("standard_error")).toDouble();
        QVERIFY(predicted > 0 && error > 0 && error < predicted);
        QVERIFY(solved.json().value(QLatin1String("best_uniform_loss")).toDouble() > predicted);

        const Outcome lacking = qloupe(
            solve + QStringList{text("--losses"), table, text("--candidates"), text("int4:g64,int8:g64,int3:g64")});
        QVERIFY2(lacking.exitCode == 0, lacking.err.constData());
        QVERIFY(lacking.err.contains("29 of 87 choices"));
        const Outcome both = qloupe(solve + QStringList{text("--losses"), table, text("--metric"), text("fisher")});
        QVERIFY(both.exitCode != 0);
        QVERIFY(both.err.contains("excludes"));
        const Outcome other = qloupe(
            solve + QStringList{text("--losses"), table, text("--activations"), kSample + text("/activations.npz")});
        QVERIFY(other.exitCode != 0);
        QVERIFY(other.err.contains("other activations"));
    }

    void tablesAreInNatsPerToken()
    {
        QTemporaryDir folder;
        const Outcome outcome = sensitivity({text("--out"), folder.filePath(text("losses.json"))});
        QVERIFY(outcome.exitCode != 0);
        QVERIFY(outcome.err.contains("nats per token"));
        const Outcome probe = sensitivity({text("--text"), kSample + text("/calibration.txt")});
        QVERIFY(probe.exitCode != 0);
        QVERIFY(probe.err.contains("--probe"));
    }
};

QTEST_GUILESS_MAIN(CliLossesTest)
#include "cli_losses_test.moc"
