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
    /// Plans are run, the best is written, and what was run is found again.
    void searchRunsPlans()
    {
        const QString plan = path("searched.json");
        const QStringList search =
            words("search") +
            QStringList{text("--windows"), text("2"),   text("--candidates"), text("int3:g64,int4:g64,int8:g64"),
                        text("--bpw"),     text("4.6"), text("--study"),      path("search.qloupe"),
                        text("--out"),     plan};
        const QStringList evolution =
            search + QStringList{text("--start"), text("3"), text("--steps"), text("2"), text("--seed"), text("5")};
        const Outcome outcome = qloupe(evolution);
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        const QJsonObject found = outcome.json();
        const QJsonArray plans = found.value(QLatin1String("plans")).toArray();
        QVERIFY(plans.size() > 3 && plans.size() <= 5);
        double least = qInf();
        for (const auto& each : plans) {
            const QJsonObject row = each.toObject();
            QVERIFY(number(row, "bits_per_weight") <= 4.6);
            QVERIFY(number(plans.at(0).toObject(), "sum_kfac") <= number(row, "sum_kfac") * (1 + 1e-12));
            least = qMin(least, number(row, "kld"));
        }
        QVERIFY(plans.at(0).toObject().value(QLatin1String("predicted")).isNull());
        QVERIFY(number(plans.at(3).toObject(), "predicted") > 0);
        QCOMPARE(number(found, "kld"), least);
        QCOMPARE(number(found, "kld_of_least_sum"), number(plans.at(0).toObject(), "kld"));
        QCOMPARE(qloupe(evolution).out, outcome.out);
        const QJsonObject validated =
            qloupe(words("validate") + QStringList{text("--windows"), text("2"), text("--plan"), plan})
                .json()
                .value(QLatin1String("other"))
                .toObject();
        QCOMPARE(number(validated.value(QLatin1String("kld")).toObject(), "value"), least);

        const QStringList ratios =
            search + QStringList{text("--by"),        text("ratios"), text("--first"),  text("*attn*"),
                                 text("--tolerance"), text("0.1"),    text("--ratios"), text("0.8,1,1.2")};
        const Outcome swept = qloupe(ratios);
        QVERIFY2(swept.exitCode == 0, swept.err.constData());
        const QJsonArray points = swept.json().value(QLatin1String("plans")).toArray();
        QVERIFY(points.size() >= 2);
        for (const auto& each : points) {
            const QJsonObject row = each.toObject();
            const double others = number(row, "bits_of_others");
            QVERIFY(qAbs(number(row, "bits_of_first") - number(row, "ratio") * others) <= 0.1 * (1 + 1.2) + 1e-9);
            QVERIFY(number(row, "bits_per_weight") <= 4.6);
        }
        QCOMPARE(qloupe(search + QStringList{text("--by"), text("ratios")}).exitCode, 2);
        QCOMPARE(qloupe(search + QStringList{text("--first"), text("*attn*")}).exitCode, 2);
        QCOMPARE(qloupe(search + QStringList{text("--max-loss"), text("1")}).exitCode, 2);
        QCOMPARE(
            qloupe(ratios + QStringList{text("--target"), text("compressed-tensors"), text("--size"), text("90MB")})
                .exitCode,
            2);
        for (const char* id : {"exact", "evolution", "ratios"}) {
            const Outcome said = qloupe({text("list"), text("solvers"), text("--explain"), text(id), text("--json")});
            QVERIFY(!said.json().value(QLatin1String("minimises")).toString().isEmpty());
            QVERIFY(said.json().value(QLatin1String("by")).toString().endsWith(text(id)));
        }
        QVERIFY(qloupe({text("solve"), kSample, text("--bpw"), text("5"), text("--solver"), text("evolution"),
                        text("--out"), plan})
                    .err.contains("qloupe search"));
    }
    /// Searches keep the limits of solve; the first plan run is what solve finds.
    void searchKeepsLimits()
    {
        const QString plan = path("limited.json");
        const QStringList common{text("--candidates"), text("int3:g64,int4:g64,int8:g64")};
        const QStringList search =
            words("search") + common +
            QStringList{text("--windows"), text("2"),       text("--start"),        text("3"),     text("--steps"),
                        text("1"),         text("--study"), path("limited.qloupe"), text("--out"), plan};
        const auto solve = [&](const QStringList& limits) {
            return qloupe(QStringList{text("solve"), kSample, text("--activations"), path("study.qloupe"),
                                      text("--json"), text("--quiet"), text("--out"), path("solved.json")} +
                          common + limits)
                .json();
        };
        const QStringList files{text("--target"), text("compressed-tensors")};
        const auto most =
            static_cast<qint64>(number(solve(files + QStringList{text("--bpw"), text("5.5")}), "file_bytes"));
        const QStringList sized = files + QStringList{text("--size"), QString::number(most) + text("B")};
        const Outcome bySize = qloupe(search + sized);
        QVERIFY2(bySize.exitCode == 0, bySize.err.constData());
        for (const auto& each : bySize.json().value(QLatin1String("plans")).toArray())
            QVERIFY(number(each.toObject(), "file_bytes") <= static_cast<double>(most));
        // Two devices: what fits both.
        const QStringList memory{text("--vram"), text("6.3MB"),        text("--ram"),
                                 text("7.2MB"),  text("--kv-context"), text("512")};
        const Outcome byMemory = qloupe(search + memory);
        QVERIFY2(byMemory.exitCode == 0, byMemory.err.constData());
        const QJsonObject first = byMemory.json().value(QLatin1String("plans")).toArray().at(0).toObject();
        const double sum = number(solve(memory), "predicted_loss");
        QVERIFY(qAbs(number(first, "sum_kfac") - sum) <= 1e-3 * sum);
        QCOMPARE(qloupe(search).exitCode, 2);                                             // no budget
        QCOMPARE(qloupe(search + QStringList{text("--size"), text("90MB")}).exitCode, 2); // of no target's files
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
