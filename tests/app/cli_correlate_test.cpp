// SPDX-License-Identifier: GPL-3.0-or-later
// Plans of the sample are sampled, measured and predicted by the real qloupe.
#include "tests/support/acceptance.h"
#include "tests/support/qloupe.h"

#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

using namespace ql::test;
using namespace ql::tests;

namespace {

const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");

QJsonObject ofMetric(const QJsonArray& rows, const char* metric)
{
    for (const auto& row : rows)
        if (row.toObject().value(QLatin1String("metric")).toString() == text(metric))
            return row.toObject();
    return {};
}

double number(const QJsonObject& object, const char* key)
{
    return object.value(QLatin1String(key)).toDouble(qQNaN());
}

} // namespace

class CliCorrelateTest : public QObject {
    Q_OBJECT

    QTemporaryDir m_folder;
    QString path(const char* name) const { return m_folder.filePath(text(name)); }
    QStringList words(const char* command) const
    {
        return {text(command),   kSample,        text("--activations"),       path("study.qloupe"), text("--json"),
                text("--quiet"), text("--text"), kSample + text("/test.txt"), text("--context"),    text("128")};
    }

private Q_SLOTS:
    void initTestCase()
    {
        const Outcome outcome =
            qloupe({text("calibrate"), kSample, text("--text"), kSample + text("/calibration.txt"), text("--windows"),
                    text("16"), text("--context"), text("128"), text("--fisher"), text("--out"), path("study.qloupe")});
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
    }
    void lossesOrderPlansAndSizeDoesNot()
    {
        const QStringList correlate =
            words("correlate") + QStringList{text("--windows"),    text("4"),
                                             text("--plans"),      text("24"),
                                             text("--bpw"),        text("5,6"),
                                             text("--candidates"), text("int2:g64,int3:g64,int4:g64,int6:g64,int8:g64"),
                                             text("--search"),     text("--out"),
                                             path("bench.qloupe")};
        const Outcome outcome = qloupe(correlate);
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        const QJsonArray rows = outcome.json().value(QLatin1String("correlations")).toArray();
        const double fisher = number(ofMetric(rows, "fisher"), "spearman");
        const double size = number(ofMetric(rows, "size"), "spearman");
        QL_AT_LEAST("A14", "sample: Spearman of ½ΣF·ΔW² above that of size only", fisher - size, 0.05);
        QL_AT_LEAST("A14", "sample: Spearman of ½ΣF·ΔW² with measured KLD", fisher, 0.8);
        QL_NEAR("A14", "sample: Spearman of random losses", number(ofMetric(rows, "random"), "spearman"), 0, 0.3);
        QVERIFY(number(ofMetric(rows, "fisher"), "spearman_low") <= fisher);
        QVERIFY(!outcome.json().value(QLatin1String("recommended")).toString().isEmpty());
        const QJsonObject search = outcome.json().value(QLatin1String("search")).toObject();
        QVERIFY(number(search, "spearman") >= number(search, "best_metric_alone"));
        QVERIFY(!search.value(QLatin1String("expression")).toString().isEmpty());
        QCOMPARE(qloupe(correlate).out, outcome.out); // every plan is found in the study
    }
    /// Plans run as a runtime rounds activations, and what that costs alone is told apart.
    void roundedActivationsAreAFloor()
    {
        const QStringList correlate =
            words("correlate") + QStringList{text("--windows"),    text("2"),
                                             text("--plans"),      text("6"),
                                             text("--bpw"),        text("6,7"),
                                             text("--candidates"), text("gguf:q4_0,gguf:q5_0,gguf:q8_0"),
                                             text("--metrics"),    text("fisher"),
                                             text("--as"),         text("llama.cpp"),
                                             text("--out"),        path("rounded.qloupe")};
        const Outcome outcome = qloupe(correlate);
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        const QJsonArray plans = outcome.json().value(QLatin1String("measured")).toArray();
        QVERIFY(plans.size() >= 5);
        for (const auto& each : plans) {
            const QJsonObject row = each.toObject();
            QVERIFY(number(row, "floor") > 0 && number(row, "floor") < number(row, "kld"));
            // all three types round inputs alike
            QCOMPARE(number(row, "floor"), number(plans.at(0).toObject(), "floor"));
        }
        QCOMPARE(qloupe(correlate).out, outcome.out);
        QStringList unknown = correlate;
        unknown[unknown.indexOf(text("llama.cpp"))] = text("none");
        QCOMPARE(qloupe(unknown).exitCode, 2);
    }
    void predictionsAreChecked()
    {
        const QString plan = path("plan.json");
        QStringList solve{text("solve"),         kSample,
                          text("--activations"), path("study.qloupe"),
                          text("--candidates"),  text("int3:g64,int4:g64,int8:g64"),
                          text("--bpw"),         text("5.5"),
                          text("--out"),         plan,
                          text("--json"),        text("--quiet")};
        QCOMPARE(qloupe(solve).exitCode, 0);
        const QStringList validate =
            words("validate") + QStringList{text("--windows"), text("4"), text("--plan"), plan};
        const QJsonObject alone = qloupe(validate).json().value(QLatin1String("prediction")).toObject();
        QCOMPARE(alone.value(QLatin1String("unit")).toString(), text("nats per token"));
        QCOMPARE(number(alone, "plans_behind"), 0.0);
        QVERIFY(alone.value(QLatin1String("trusted")).isBool());
        const QJsonObject known = qloupe(validate + QStringList{text("--out"), path("bench.qloupe")})
                                      .json()
                                      .value(QLatin1String("prediction"))
                                      .toObject();
        QVERIFY(number(known, "plans_behind") >= 18);
        QCOMPARE(number(known, "predicted_sum"), number(alone, "predicted_sum"));
        QCOMPARE(number(known, "floor"), 0.0);
        QVERIFY((number(known, "high") - number(known, "low")) < (number(alone, "high") - number(alone, "low")));
        QCOMPARE(known.value(QLatin1String("inside")).toBool(), number(known, "low") <= number(known, "measured") &&
                                                                    number(known, "measured") <= number(known, "high"));
        // rounding of activations has a floor of its own
        solve[5] = text("gguf:q4_0,gguf:q8_0");
        QCOMPARE(qloupe(solve).exitCode, 0);
        const QJsonObject rounded = qloupe(validate + QStringList{text("--as"), text("llama.cpp")})
                                        .json()
                                        .value(QLatin1String("prediction"))
                                        .toObject();
        QVERIFY2(number(rounded, "floor") > 0 && number(rounded, "floor") < number(rounded, "measured"),
                 QJsonDocument(rounded).toJson().constData());
    }
    void refusals()
    {
        QCOMPARE(qloupe(words("correlate")).exitCode, 2); // no --out
        QCOMPARE(qloupe(words("correlate") + QStringList{text("--plans"), text("2"), text("--out"), path("x.qloupe")})
                     .exitCode,
                 2);
    }
};

QTEST_APPLESS_MAIN(CliCorrelateTest)
#include "cli_correlate_test.moc"
