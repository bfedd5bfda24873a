// SPDX-License-Identifier: GPL-3.0-or-later
// Analyses of layers and corrected biases on the command line: figures, files that verify, and what is refused.
#include "tests/support/qloupe.h"
#include "tests/support/textless_models.h"

#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

using namespace ql::test;

namespace {
const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");
const QString kActivations = kSample + QStringLiteral("/activations.npz");
} // namespace

class CliAnalysesTest : public QObject {
    Q_OBJECT
private:
    QTemporaryDir m_folder;

    Outcome run(const QString& line, const QStringList& more = {})
    {
        return qloupe(QStringList{QStringLiteral("--json"), QStringLiteral("--quiet")} + line.split(QLatin1Char(' ')) +
                      more);
    }
    QString at(const char* name) const { return m_folder.filePath(QString::fromUtf8(name)); }

private Q_SLOTS:
    void formatsThatFit()
    {
        const Outcome shown = run(QStringLiteral("formats %1 --layer").arg(kSample),
                                  {QStringLiteral("model.layers.0.mlp.down_proj.weight")});
        QVERIFY2(shown.exitCode == 0, shown.err.constData());
        const QJsonObject layer = shown.json()[QStringLiteral("layers")].toArray().at(0).toObject();
        const QJsonArray widths = layer[QStringLiteral("widths")].toArray();
        QCOMPARE(widths.size(), 6);
        double last = 0;
        for (const auto& width : widths) {
            const QJsonObject its = width.toObject();
            const QJsonArray fits = its[QStringLiteral("fits")].toArray();
            QCOMPARE(fits.size(), its[QStringLiteral("bits")].toInt()); // splits and the integers
            const double best = fits.at(0).toObject()[QStringLiteral("sqnr_db")].toDouble();
            QVERIFY(best > last);
            last = best;
            QCOMPARE(fits.at(0).toObject()[QStringLiteral("element")], its[QStringLiteral("best")]);
        }
    }

    void columns()
    {
        const Outcome shown =
            run(QStringLiteral("columns %1 --layer *down_proj* --bits 3 --activations %2").arg(kSample, kActivations));
        QVERIFY2(shown.exitCode == 0, shown.err.constData());
        const QJsonArray layers = shown.json()[QStringLiteral("layers")].toArray();
        QVERIFY(!layers.isEmpty());
        for (const auto& layer : layers) {
            const QJsonObject its = layer.toObject();
            QVERIFY(its[QStringLiteral("gm_over_am")].toDouble() < 1);
            QVERIFY(its[QStringLiteral("loss_ratio")].toDouble() < 1);
            QVERIFY(its[QStringLiteral("mean_stored_bits")].toDouble() > its[QStringLiteral("mean_bits")].toDouble());
        }
        const Outcome without = run(QStringLiteral("columns %1").arg(kSample));
        QCOMPARE(without.exitCode, 2);
        QVERIFY(without.err.contains("--activations"));
    }

    /// A classifier of pictures, all of whose layers have biases.
    void biasesAreCorrectedAndVerify()
    {
        const Outcome calibrated =
            run(QStringLiteral("calibrate %1 --images %2 --out %3").arg(vitPath(), picturesPath(), at("vit.qloupe")));
        QVERIFY2(calibrated.exitCode == 0, calibrated.err.constData());
        const Outcome solved = run(QStringLiteral("solve %1 --candidates int3:channel --bpw 6 --target hdf5 --out %2")
                                       .arg(vitPath(), at("plan.json")));
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        const QString planned =
            QStringLiteral("%1 --plan %2 --activations %3").arg(vitPath(), at("plan.json"), at("vit.qloupe"));
        const Outcome plain = run(QStringLiteral("validate %1 --images %2").arg(planned, picturesPath()));
        QVERIFY2(plain.exitCode == 0, plain.err.constData());
        const Outcome corrected =
            run(QStringLiteral("validate %1 --images %2 --bias-correction").arg(planned, picturesPath()));
        QVERIFY2(corrected.exitCode == 0, corrected.err.constData());
        QVERIFY(plain.out != corrected.out);
        const Outcome exported = run(QStringLiteral("export %1 --bias-correction --out %2").arg(planned, at("vit.h5")));
        QVERIFY2(exported.exitCode == 0, exported.err.constData());
        const QString verify =
            QStringLiteral("verify %1 --against %2 --activations %3").arg(at("vit.h5"), vitPath(), at("vit.qloupe"));
        const Outcome same = run(verify + QStringLiteral(" --bias-correction"));
        QVERIFY2(same.exitCode == 0, same.out.constData());
        QCOMPARE(run(verify).exitCode, 1); // the biases are others
        const Outcome without = run(QStringLiteral("validate %1 --plan %2 --images %3 --bias-correction")
                                        .arg(vitPath(), at("plan.json"), picturesPath()));
        QCOMPARE(without.exitCode, 2);
        QVERIFY(without.err.contains("--activations"));
    }

    void repairsAreKeptExportedAndVerify()
    {
        QVERIFY(run(QStringLiteral("repair --help")).out.simplified().contains("tune=both 0.0005"));
        const Outcome solved = run(QStringLiteral("solve %1 --candidates gguf:q2_k --bpw 3 --target gguf --out %2")
                                       .arg(kSample, at("repaired.json")));
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        const QString planned = QStringLiteral("%1 --plan %2").arg(kSample, at("repaired.json"));
        const Outcome repaired = run(QStringLiteral("repair %1 --text %2/calibration.txt --context 64 --windows 32 "
                                                    "--method kld:steps=8:rate=0.005:tune=both --out %3")
                                         .arg(planned, kSample, at("repair.npz")));
        QVERIFY2(repaired.exitCode == 0, repaired.err.constData());
        const QJsonObject document = repaired.json();
        QVERIFY(document[QStringLiteral("kept")].toBool());
        QCOMPARE(document[QStringLiteral("windows")].toInt(), 24);
        QCOMPARE(document[QStringLiteral("step_kld")].toArray().size(), 8);
        QVERIFY(document[QStringLiteral("scaled_rows")].toInt() > 0);
        const auto kldOf = [&](const QString& more) {
            const Outcome shown = run(QStringLiteral("validate %1 --text %2/test.txt --context 64 --windows 8%3")
                                          .arg(planned, kSample, more));
            const QJsonObject other = shown.json()[QStringLiteral("other")].toObject();
            return other[QStringLiteral("kld")].toObject()[QStringLiteral("value")].toDouble(-1);
        };
        const QString repair = QStringLiteral(" --repair ") + at("repair.npz");
        const double before = kldOf({});
        const double after = kldOf(repair);
        QVERIFY2(after > 0 && after < before, qPrintable(QStringLiteral("%1 %2").arg(before).arg(after)));
        const Outcome exported = run(QStringLiteral("export %1%2 --out %3").arg(planned, repair, at("repaired.gguf")));
        QVERIFY2(exported.exitCode == 0, exported.err.constData());
        QCOMPARE(exported.json()[QStringLiteral("bytes")], exported.json()[QStringLiteral("predicted_bytes")]);
        const QJsonObject rounding = exported.json()[QStringLiteral("kept_rounding")].toObject();
        QCOMPARE(rounding[QStringLiteral("max_abs_error")].toDouble(-1), 0.0); // gains are float32 in the file
        const QString verify = QStringLiteral("verify %1 --against %2").arg(at("repaired.gguf"), kSample);
        const Outcome same = run(verify + repair);
        QVERIFY2(same.exitCode == 0, same.out.constData());
        QCOMPARE(run(verify).exitCode, 1); // gains and scales are others

        const Outcome another = run(QStringLiteral("solve %1 --candidates gguf:q4_k --bpw 5 --target gguf --out %2")
                                        .arg(kSample, at("other.json")));
        QVERIFY2(another.exitCode == 0, another.err.constData());
        const Outcome refused = run(
            QStringLiteral("export %1 --plan %2%3 --out %4").arg(kSample, at("other.json"), repair, at("none.gguf")));
        QCOMPARE(refused.exitCode, 3);
        QVERIFY(refused.err.contains("another plan"));
        const Outcome without = run(QStringLiteral("validate %1 --text %1/test.txt%2").arg(kSample, repair));
        QCOMPARE(without.exitCode, 2);
        QVERIFY(without.err.contains("add --plan"));
    }
    /// Pictures have no KLD, and no repair of a plan that changes nothing is kept.
    void repairsFromPictures()
    {
        const Outcome solved = run(QStringLiteral("solve %1 --candidates int2:channel --bpw 6 --target hdf5 --out %2")
                                       .arg(vitPath(), at("vit.json")));
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        const QString repair = QStringLiteral("repair %1 --plan %2 --images %3 --out %4 --method ")
                                   .arg(vitPath(), at("vit.json"), picturesPath(), at("vit.npz"));
        const Outcome matched = run(repair + QStringLiteral("statistics"));
        QVERIFY2(matched.exitCode == 0 || matched.exitCode == 1, matched.err.constData());
        QCOMPARE(matched.json()[QStringLiteral("kept")].toBool(), matched.exitCode == 0);
        QCOMPARE(QFile::exists(at("vit.npz")), matched.exitCode == 0);
        const Outcome tuned = run(repair + QStringLiteral("kld"));
        QCOMPARE(tuned.exitCode, 3);
        QVERIFY(tuned.err.contains("statistics"));
    }
};

QTEST_APPLESS_MAIN(CliAnalysesTest)
#include "cli_analyses_test.moc"
