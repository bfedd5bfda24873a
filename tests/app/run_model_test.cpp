// SPDX-License-Identifier: GPL-3.0-or-later
// Runs the real qloupe where it runs the sample model: validate and calibrate, also killed and started again.
#include "tests/support/qloupe.h"

#include <QDir>
#include <QFile>
#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

#include <cmath>

using namespace ql::test;

namespace {

const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");
const QString kTokens = kSample + QStringLiteral("/golden/tokens.npy");

double number(const QJsonObject& object, const char* key)
{
    const QJsonValue value = object.value(QLatin1String(key));
    return value.isObject() ? value.toObject().value(QLatin1String("value")).toDouble(-1) : value.toDouble(-1);
}

} // namespace

class RunModelTest : public QObject {
    Q_OBJECT
    QTemporaryDir m_folder;
    QString path(const char* name) const { return m_folder.filePath(text(name)); }

    QStringList calibrate(const QString& study) const
    {
        return {text("calibrate"), kSample,   text("--tokens"), kTokens, text("--context"), text("128"),
                text("--batch"),   text("4"), text("--out"),    study,   text("--json"),    text("--quiet")};
    }
    QStringList calibrateWithFisher(const QString& study) const
    {
        return calibrate(study) << text("--gram") << text("diag") << text("--fisher") << text("--fisher-batch")
                                << text("3");
    }
    /// What can be measured with a calibrated study: output errors, predicted KLD.
    QByteArray measured(const QString& study) const
    {
        const Outcome outcome = qloupe({text("sensitivity"), kSample, text("--activations"), study,
                                        text("--candidates"), text("int4:channel"), text("--json"), text("--quiet")});
        return outcome.exitCode == 0 ? outcome.out : QByteArray();
    }

    QString threeBits()
    {
        const QString plan = path("plan.json");
        return qloupe({text("solve"), kSample, text("--candidates"), text("int3:channel"), text("--bpw"), text("4"),
                       text("--out"), plan, text("--quiet")})
                           .exitCode == 0
                   ? plan
                   : QString();
    }

private Q_SLOTS:
    void validateGivesPerplexity()
    {
        QFile golden(kSample + QStringLiteral("/golden/perplexity.json"));
        QVERIFY(golden.open(QIODevice::ReadOnly));
        const QJsonArray windows =
            QJsonDocument::fromJson(golden.readAll()).object().value(QLatin1String("window_nll")).toArray();
        double sum = 0;
        for (int i = 0; i < 8; ++i)
            sum += windows[i].toDouble();
        const Outcome outcome = qloupe({text("validate"), kSample, text("--tokens"), kTokens, text("--context"),
                                        text("256"), text("--score-all"), text("--json"), text("--quiet")});
        QCOMPARE(outcome.exitCode, 0);
        const QJsonObject json = outcome.json();
        QCOMPARE(json.value(QLatin1String("tokens")).toInt(), 8 * 255);
        const double wanted = std::exp(sum / (8 * 255));
        QVERIFY(std::fabs(number(json, "perplexity") - wanted) <= 1e-4 * wanted);
    }

    void validateComparesAPlan()
    {
        const QString plan = threeBits();
        const Outcome outcome =
            qloupe({text("validate"), kSample, text("--plan"), plan, text("--tokens"), kTokens, text("--context"),
                    text("256"), text("--windows"), text("2"), text("--json"), text("--quiet")});
        QCOMPARE(outcome.exitCode, 0);
        const QJsonObject other = outcome.json().value(QLatin1String("other")).toObject();
        QVERIFY(number(other, "kld") > 0.01);
        QVERIFY(number(other, "perplexity") > number(outcome.json(), "perplexity"));
        QVERIFY(number(other, "same_top") < 1);
    }

    void traceFollowsAPlanDown()
    {
        const Outcome outcome = qloupe({text("trace"), kSample, text("--plan"), threeBits(), text("--tokens"), kTokens,
                                        text("--context"), text("128"), text("--json"), text("--quiet")});
        QCOMPARE(outcome.exitCode, 0);
        QCOMPARE(outcome.json().value(QLatin1String("tokens")).toInt(), 128);
        const QJsonArray segments = outcome.json().value(QLatin1String("segments")).toArray();
        QCOMPARE(segments.size(), 5);
        QCOMPARE(segments[0].toObject().value(QLatin1String("segment")).toString(), text("embedding"));
        const QJsonObject last = segments[4].toObject();
        QCOMPARE(last.value(QLatin1String("block")).toInt(), 3);
        const QJsonObject accumulated = last.value(QLatin1String("accumulated")).toObject();
        QVERIFY(accumulated.value(QLatin1String("cosine")).toDouble() < 1);
        QVERIFY(accumulated.value(QLatin1String("relative_rmse")).toDouble() >
                last.value(QLatin1String("alone")).toObject().value(QLatin1String("relative_rmse")).toDouble());
    }

    void aKilledCalibrationContinues()
    {
        QCOMPARE(qloupe(calibrate(path("whole.qloupe"))).exitCode, 0);
        const QByteArray wanted = measured(path("whole.qloupe"));
        QVERIFY(!wanted.isEmpty());
        for (int i = 0; i < 20; ++i) {
            const QString study = path("killed.qloupe");
            QProcess process;
            process.start(kQloupe, calibrate(study));
            process.waitForFinished(1 + i * i * 2); // a later moment each time
            process.kill();
            process.waitForFinished();
        }
        const Outcome outcome = qloupe(calibrate(path("killed.qloupe")));
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        QCOMPARE(outcome.json().value(QLatin1String("tokens")).toInt(), 8 * 256);
        QCOMPARE(measured(path("killed.qloupe")), wanted);
    }

    void whatAKilledFirstRunKeptIsFound()
    {
        const QString study = path("first.qloupe");
        QProcess process;
        process.start(kQloupe, calibrate(study));
        const QDir segments(study + QStringLiteral(".d"));
        QTRY_VERIFY_WITH_TIMEOUT(!QDir(segments).entryList({text("[!.]*")}, QDir::Files).isEmpty(), 60'000);
        process.kill();
        process.waitForFinished();
        QVERIFY(!measured(study).isEmpty());
    }

    void aKilledFisherPassContinues()
    {
        const QString whole = path("whole-fisher.qloupe");
        const Outcome first = qloupe(calibrateWithFisher(whole));
        QVERIFY2(first.exitCode == 0, first.err.constData());
        const QJsonObject fisher = first.json().value(QLatin1String("fisher")).toObject();
        QCOMPARE(fisher.value(QLatin1String("windows")).toInt(), 16);
        QCOMPARE(fisher.value(QLatin1String("tokens")).toInt(), 16 * 128);
        QVERIFY(first.err.contains("--gram full keeps what kfac needs"));
        const QByteArray wanted = measured(whole);
        const QJsonObject json = QJsonDocument::fromJson(wanted).object();
        QCOMPARE(
            json.value(QLatin1String("metrics")).toArray().last().toObject().value(QLatin1String("windows")).toInt(),
            16);
        QVERIFY(json.value(QLatin1String("cells")).toArray()[0].toObject().value(QLatin1String("fisher")).toDouble() >
                0);
        const QString study = path("killed-fisher.qloupe");
        for (int i = 0; i < 6; ++i) {
            QProcess process;
            process.start(kQloupe, calibrateWithFisher(study));
            process.waitForFinished(200 + i * i * 60);
            process.kill();
            process.waitForFinished();
        }
        const Outcome last = qloupe(calibrateWithFisher(study));
        QVERIFY2(last.exitCode == 0, last.err.constData());
        QCOMPARE(measured(study), wanted);
        // It is the metric that is minimised where it is known.
        const Outcome solved = qloupe({text("solve"), kSample, text("--activations"), study, text("--candidates"),
                                       text("int4:g64,int8:g64"), text("--bpw"), text("5.5"), text("--out"),
                                       path("plan-fisher.json"), text("--json"), text("--quiet")});
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        QCOMPARE(solved.json().value(QLatin1String("metric")).toString(), text("fisher"));
        QVERIFY(solved.err.contains("no loss-weighted"));
        QCOMPARE(solved.json().value(QLatin1String("unit")).toString(), text("nats per token"));
        QCOMPARE(qloupe({text("solve"), kSample, text("--metric"), text("fisher"), text("--bpw"), text("5.5"),
                         text("--out"), path("none.json")})
                     .exitCode,
                 2);
    }

    void wrongInputIsExplained()
    {
        QCOMPARE(
            qloupe({text("validate"), kSample, text("--tokens"), kTokens, text("--context"), text("9999")}).exitCode,
            2);
        QCOMPARE(qloupe({text("validate"), kSample, text("--tokens"), kSample}).exitCode, 2);
        const Outcome outcome =
            qloupe({text("validate"), kTokens, text("--tokens"), kTokens, text("--context"), text("64")});
        QCOMPARE(outcome.exitCode, 3);
        QVERIFY2(outcome.err.contains("cannot be run"), outcome.err.constData());
        QCOMPARE(qloupe({text("validate"), kSample, text("--tokens"), kTokens, text("--as"), text("abacus")}).exitCode,
                 2);
    }
};

QTEST_APPLESS_MAIN(RunModelTest)
#include "run_model_test.moc"
