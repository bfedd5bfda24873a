// SPDX-License-Identifier: GPL-3.0-or-later
// --transform on the command line: what the sample computes stays, files of variants verify, and what does not belong
// together is refused by name.
#include "tests/support/qloupe.h"

#include <QFile>
#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

using namespace ql::test;

namespace {
const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");
const QString kActivations = kSample + QStringLiteral("/activations.npz");
} // namespace

class CliTransformsTest : public QObject {
    Q_OBJECT
private:
    QTemporaryDir m_folder;

    Outcome run(const QString& line, const QStringList& more = {})
    {
        return qloupe(QStringList{QStringLiteral("--json"), QStringLiteral("--quiet")} + line.split(QLatin1Char(' ')) +
                      more);
    }
    QString at(const QString& name) const { return m_folder.filePath(name); }

private Q_SLOTS:
    void transformsAreListed()
    {
        const Outcome listed = run(QStringLiteral("list transforms"));
        QCOMPARE(listed.exitCode, 0);
        QStringList ids;
        for (const auto& row : listed.json()[QStringLiteral("transforms")].toArray())
            ids << row.toObject()[QStringLiteral("id")].toString();
        for (const char* id :
             {"smooth", "smooth_plus", "awq", "os_plus", "percentile", "equalize", "permute", "hadamard"})
            QVERIFY2(ids.contains(QString::fromUtf8(id)), id);
        struct Said {
            const char *id, *reach, *needs;
        };
        for (const Said& said : {Said{"permute", "local; stream= whole model",
                                      "nothing; inner=inputs Gram matrices of activations; "
                                      "stream=inputs Gram matrices of activations"},
                                 Said{"equalize", "local", "nothing"}, Said{"hadamard", "whole model", "nothing"},
                                 Said{"awq", "local", "Gram matrices of activations"}}) {
            const Outcome explained = run(QStringLiteral("list transforms --explain ") + QLatin1String(said.id));
            QVERIFY2(explained.exitCode == 0, explained.err.constData());
            QCOMPARE(explained.json()[QStringLiteral("reach")].toString(), QLatin1String(said.reach));
            QCOMPARE(explained.json()[QStringLiteral("needs")].toString(), QLatin1String(said.needs));
        }
        QCOMPARE(run(QStringLiteral("list transforms --explain nothing")).exitCode, 2);
    }

    void unquantizedVariantsAreTheModel()
    {
        for (const char* text :
             {"hadamard:heads", "equalize", "permute:inner=inputs:stream=inputs", "awq:sites=norms:scheme=int4:g32"}) {
            const Outcome shown =
                run(QStringLiteral("validate %1 --text %1/test.txt --context 64 --windows 2").arg(kSample),
                    {QStringLiteral("--activations"), kActivations, QStringLiteral("--transform"),
                     QString::fromUtf8(text)});
            QVERIFY2(shown.exitCode == 0, shown.err.constData());
            const auto other = shown.json()[QStringLiteral("other")].toObject();
            QVERIFY(other[QStringLiteral("kld")].toObject()[QStringLiteral("value")].toDouble() < 1e-7);
            QCOMPARE(other[QStringLiteral("same_top")].toObject()[QStringLiteral("value")].toDouble(), 1.0);
        }
    }

    /// The plan carries its variant: nothing has to be said twice.
    void fromPlanToFile()
    {
        QCOMPARE(run(QStringLiteral("solve %1 --candidates int4:g64,int8:g64 --bpw 5 --target compressed-tensors "
                                    "--transform permute --transform hadamard --out %2")
                         .arg(kSample, at(QStringLiteral("plan.json"))))
                     .exitCode,
                 0);
        QFile plan(at(QStringLiteral("plan.json")));
        QVERIFY(plan.open(QIODevice::ReadOnly));
        QVERIFY(plan.readAll().contains("\"variant\": \"permute+hadamard\""));
        const QString out = at(QStringLiteral("out"));
        QCOMPARE(run(QStringLiteral("export %1 --plan %2 --out %3").arg(kSample, plan.fileName(), out)).exitCode, 0);
        QFile config(out + QStringLiteral("/config.json"));
        QVERIFY(config.open(QIODevice::ReadOnly));
        QVERIFY(config.readAll().contains("\"tie_word_embeddings\": false"));
        QCOMPARE(run(QStringLiteral("verify %1 --against %2").arg(out, kSample)).exitCode, 0);
        for (const char* line :
             {"validate %1 --plan %2 --text %1/test.txt --context 64 --windows 1",
              "trace %1 --plan %2 --text %1/test.txt --context 64", "generate %1 --plan %2 --prompt once --tokens 4"}) {
            const Outcome shown = run(QString::fromUtf8(line).arg(kSample, plan.fileName()));
            QVERIFY2(shown.exitCode == 0, shown.err.constData());
        }
        const Outcome twice = run(QStringLiteral("export %1 --plan %2 --out %3 --transform equalize")
                                      .arg(kSample, plan.fileName(), at(QStringLiteral("other"))));
        QCOMPARE(twice.exitCode, 2);
        QVERIFY(twice.err.contains("--transform permute+hadamard"));
    }

    void otherCommands()
    {
        const QString npz = at(QStringLiteral("x.npz"));
        for (const char* line :
             {"stats %1 --transform hadamard --layer *norm.weight", "run %1 --transform hadamard --ids 1,2,3 --npz %2",
              "dump %1 --transform hadamard --npz %2",
              "quantize %1 --transform hadamard --scheme int4:g64 --layer *q_proj* --npz %2",
              "sensitivity %1 --transform hadamard --layer *0*q_proj* --candidates int4:g64"}) {
            const QString text = QString::fromUtf8(line);
            const Outcome shown = run(text.contains(QStringLiteral("%2")) ? text.arg(kSample, npz) : text.arg(kSample));
            QVERIFY2(shown.exitCode == 0, shown.err.constData());
            if (text.startsWith(QStringLiteral("stats")))
                for (const auto& row : shown.json()[QStringLiteral("tensors")].toArray()) {
                    QCOMPARE(row.toObject()[QStringLiteral("min")].toDouble(), 1.0); // folded
                    QCOMPARE(row.toObject()[QStringLiteral("max")].toDouble(), 1.0);
                }
        }
    }

    void refusals_data()
    {
        QTest::addColumn<QString>("line");
        QTest::addColumn<QByteArray>("named");
        QTest::newRow("no activations") << "--transform smooth" << QByteArray("add --activations");
        QTest::newRow("only squares") << QStringLiteral("--transform smooth --activations ") + kActivations
                                      << QByteArray("only squares are known");
        QTest::newRow("unknown") << "--transform smoth" << QByteArray("there are smooth");
        QTest::newRow("block") << "--transform hadamard:block=7" << QByteArray("Hadamard matrix");
        QTest::newRow("no divisor") << "--transform hadamard:block=1024" << QByteArray("do not divide");
    }
    void refusals()
    {
        QFETCH(QString, line);
        QFETCH(QByteArray, named);
        const Outcome shown =
            run(QStringLiteral("quantize %1 --scheme int4:g64 --npz %2 ").arg(kSample, at(QStringLiteral("no.npz"))) +
                line);
        QVERIFY(shown.exitCode == 2 || shown.exitCode == 3);
        QVERIFY2(shown.err.contains(named), shown.err.constData());
    }
};

QTEST_APPLESS_MAIN(CliTransformsTest)
#include "cli_transforms_test.moc"
