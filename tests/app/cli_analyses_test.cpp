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
};

QTEST_APPLESS_MAIN(CliAnalysesTest)
#include "cli_analyses_test.moc"
