// SPDX-License-Identifier: GPL-3.0-or-later
// Metrics chosen by name, described one by one, and a layer explained by all of them.
#include "tests/support/qloupe.h"
#include "tests/support/temporary_folder.h"

#include <QFile>
#include <QJsonArray>
#include <QJsonObject>
#include <QTest>

using namespace ql::test;

namespace {
const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");
} // namespace

class CliExplainTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void metricsByName()
    {
        const QStringList common{text("sensitivity"),  kSample,          text("--layer"), text("*.layers.0.*q_proj*"),
                                 text("--candidates"), text("int4:g64"), text("--json")};
        const Outcome chosen = qloupe(common + QStringList{text("--metrics"), text("zd, kurtosis")});
        QVERIFY2(chosen.exitCode == 0, chosen.err.constData());
        const QJsonObject cell = chosen.json().value(QLatin1String("cells")).toArray().first().toObject();
        QVERIFY(cell.contains(QLatin1String("zd")) && !cell.contains(QLatin1String("weight_error")));
        const QJsonArray layers = chosen.json().value(QLatin1String("layers")).toArray();
        QCOMPARE(layers.size(), 1);
        const double zd = layers.first().toObject().value(QLatin1String("zd")).toDouble();
        QVERIFY(zd > 0.05 && zd < 0.25);
        const Outcome usual = qloupe(common);
        QVERIFY(!usual.json().contains(QLatin1String("layers")));
        QVERIFY(usual.json()
                    .value(QLatin1String("cells"))
                    .toArray()
                    .first()
                    .toObject()
                    .contains(QLatin1String("weight_error")));
        const Outcome refused = qloupe(common + QStringList{text("--metrics"), text("lim")});
        QCOMPARE(refused.exitCode, 2);
        QVERIFY2(refused.err.contains("--depth"), refused.err.constData());
        QCOMPARE(qloupe(common + QStringList{text("--metrics"), text("dogs")}).exitCode, 2);
    }

    void everyMetricIsDescribed()
    {
        const Outcome all = qloupe({text("list"), text("metrics"), text("--json")});
        const QJsonArray metrics = all.json().value(QLatin1String("metrics")).toArray();
        QVERIFY(metrics.size() > 15);
        for (const QJsonValue& metric : metrics) {
            const QString id = metric.toObject().value(QLatin1String("id")).toString();
            const Outcome one = qloupe({text("list"), text("metrics"), text("--explain"), id, text("--json")});
            QVERIFY2(one.exitCode == 0, one.err.constData());
            for (const char* key : {"formula", "unit", "evidence", "judges", "taken"})
                QVERIFY2(!one.json().value(QLatin1String(key)).toString().isEmpty(), qPrintable(id));
        }
    }

    void aLayerExplained()
    {
        const QString name = text("model.layers.1.mlp.down_proj.weight");
        const QStringList asked{
            text("explain"), kSample,          text("--layer"),       name,
            text("--at"),    text("int4:g64"), text("--activations"), kSample + text("/activations.npz"),
            text("--json")};
        const Outcome outcome = qloupe(asked);
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        const QJsonObject report = outcome.json();
        QCOMPARE(report.value(QLatin1String("name")).toString(), name);
        QCOMPARE(report.value(QLatin1String("role")).toString(), text("down_proj"));
        QVERIFY(report.value(QLatin1String("figures")).toArray().size() >= 10);
        for (const QJsonValue& figure : report.value(QLatin1String("figures")).toArray())
            QVERIFY(!figure.toObject().value(QLatin1String("evidence")).toString().isEmpty());
        QCOMPARE(report.value(QLatin1String("candidates")).toArray().size(), 4);
        QVERIFY(!report.value(QLatin1String("neighbours")).toArray().isEmpty());
        QVERIFY(!report.value(QLatin1String("salient_inputs")).toArray().isEmpty());
        QVERIFY(report.value(QLatin1String("one_step_more")).toObject().value(QLatin1String("loss")).toDouble() < 0);
        QVERIFY(report.value(QLatin1String("one_step_less")).toObject().value(QLatin1String("loss")).toDouble() > 0);
        QStringList plain = asked;
        plain.removeLast();
        QVERIFY(qloupe(plain).out.contains("down_proj"));
        QCOMPARE(qloupe({text("explain"), kSample, text("--layer"), text("*")}).exitCode, 2);
        QCOMPARE(qloupe({text("explain"), kSample, text("--layer"), name, text("--at"), text("int5:g64")}).exitCode, 2);
    }

    void figuresOfRunsOfTheirOwn()
    {
        const TemporaryFolder folder;
        const QString study = QString::fromStdString((folder.path() / "s.qloupe").string());
        const QStringList textOf{text("--text"), kSample + text("/test.txt"), text("--context"),
                                 text("32"),     text("--windows"),           text("2")};
        const Outcome calibrated =
            qloupe(QStringList{text("calibrate"), kSample, text("--out"), study, text("--depth")} + textOf);
        QVERIFY2(calibrated.exitCode == 0, calibrated.err.constData());
        const QStringList curvature =
            QStringList{text("curvature"), kSample,   text("--layer"),      text("*.layers.0.*q_proj*"),
                        text("--study"),   study,     text("--probes"),     text("2"),
                        text("--subsets"), text("2"), text("--iterations"), text("2"),
                        text("--json")} +
            textOf;
        const Outcome curved = qloupe(curvature);
        QVERIFY2(curved.exitCode == 0, curved.err.constData());
        const QJsonObject first = curved.json().value(QLatin1String("layers")).toArray().first().toObject();
        const QJsonObject again = qloupe(curvature).json().value(QLatin1String("layers")).toArray().first().toObject();
        QVERIFY(!first.value(QLatin1String("from_study")).toBool() &&
                again.value(QLatin1String("from_study")).toBool());
        QCOMPARE(again.value(QLatin1String("trace")), first.value(QLatin1String("trace")));
        const QString traces = QString::fromStdString((folder.path() / "traces.qloupe").string());
        const Outcome together = qloupe(QStringList{text("curvature"), kSample, text("--together"), text("--study"),
                                                    traces, text("--probes"), text("2"), text("--json")} +
                                        textOf);
        QVERIFY2(together.exitCode == 0, together.err.constData());
        const QJsonArray all = together.json().value(QLatin1String("layers")).toArray();
        QCOMPARE(all.size(), 29);
        for (const QJsonValue& layer : all) {
            QVERIFY(layer.toObject().value(QLatin1String("trace_error")).toDouble() > 0);
            QVERIFY(layer.toObject().value(QLatin1String("eigenvalue_mean")).isNull());
        }
        const auto sensitivityBy = [&](const char* metric) {
            return qloupe({text("sensitivity"), kSample, text("--candidates"), text("int4:g64"), text("--activations"),
                           traces, text("--metrics"), text(metric), text("--json")});
        };
        QCOMPARE(sensitivityBy("hessian_trace").exitCode, 0);
        const Outcome lacking = sensitivityBy("top_eigenvalue");
        QVERIFY2(lacking.exitCode == 2 && lacking.err.contains("without --together"), lacking.err.constData());
        const std::filesystem::path csv = folder.path() / "slice.csv";
        const std::filesystem::path png = folder.path() / "slice.png";
        const Outcome sliced = qloupe(
            QStringList{text("curvature"), kSample, text("--layer"), text("*.layers.0.*q_proj*"), text("--slice"),
                        text("--points"), text("3"), text("--iterations"), text("2"), text("--json"), text("--out"),
                        QString::fromStdString(csv.string()), text("--out"), QString::fromStdString(png.string())} +
            textOf);
        QVERIFY2(sliced.exitCode == 0, sliced.err.constData());
        const QJsonArray grid = sliced.json().value(QLatin1String("grid")).toArray();
        QCOMPARE(grid.size(), 9);
        QCOMPARE(grid[4].toObject().value(QLatin1String("loss")), sliced.json().value(QLatin1String("loss")));
        QCOMPARE(grid[4].toObject().value(QLatin1String("a")).toDouble(), 0.0);
        QVERIFY(sliced.json().value(QLatin1String("loss")).toDouble() > 0);
        QFile table(QString::fromStdString(csv.string()));
        QVERIFY(table.open(QIODevice::ReadOnly));
        QCOMPARE(table.readAll().count('\n'), 10);
        QVERIFY(std::filesystem::file_size(png) > 100);
        const Outcome used =
            qloupe({text("sensitivity"), kSample, text("--layer"), text("*.layers.0.*q_proj*"), text("--candidates"),
                    text("int4:g64"), text("--activations"), study, text("--metrics"),
                    text("lim,entropy_l1,hessian_trace,top_eigenvalue"), text("--json")});
        QVERIFY2(used.exitCode == 0, used.err.constData());
        const QJsonObject layer = used.json().value(QLatin1String("layers")).toArray().first().toObject();
        const double lim = layer.value(QLatin1String("lim")).toDouble();
        QVERIFY(lim >= -1 && lim < 1 && layer.value(QLatin1String("entropy_l1")).toDouble() > 0);
        const QJsonObject cell = used.json().value(QLatin1String("cells")).toArray().first().toObject();
        QVERIFY(cell.value(QLatin1String("hessian_trace")).isDouble());
    }
};

QTEST_GUILESS_MAIN(CliExplainTest)
#include "cli_explain_test.moc"
