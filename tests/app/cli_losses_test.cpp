// SPDX-License-Identifier: GPL-3.0-or-later
// The real qloupe measuring losses of codes, and solving from what it wrote.
#include "core/plan/prediction_records.h"
#include "core/study/study.h"
#include "tests/support/qloupe.h"

#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QTemporaryDir>
#include <QTest>

#include <cmath>

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
                                  text("--candidates"), text("int3:g64,int8:g64")};
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
        double beyondNoise = 0; // τ² of what shrinks them
        for (const auto& each : pairs) {
            const QJsonObject pair = each.toObject();
            double rest = pair.value(QLatin1String("loss")).toDouble();
            for (int side = 0; side < 2; ++side)
                rest -= alone.value(pair.value(QLatin1String("layers")).toArray().at(side).toString() +
                                    pair.value(QLatin1String("candidates")).toArray().at(side).toString());
            const double beyond = pair.value(QLatin1String("coupling")).toDouble();
            QVERIFY(qAbs(beyond - rest) <= 1e-9);
            const double error = pair.value(QLatin1String("coupling_error")).toDouble();
            QVERIFY(error > 0);
            beyondNoise += beyond * beyond - error * error;
        }
        const Outcome solved = qloupe({text("solve"), kSample, text("--json"), text("--losses"), table, text("--bpw"),
                                       text("13.5"), text("--out"), folder.filePath(text("plan.json"))});
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        // Beside each stands what solve makes of it: those of its plan are the coupling that it tells.
        QFile written(folder.filePath(text("plan.json")));
        QVERIFY(written.open(QIODevice::ReadOnly));
        const QJsonObject planned =
            QJsonDocument::fromJson(written.readAll()).object().value(QLatin1String("candidates")).toObject();
        const double variance = qMax(0.0, beyondNoise / static_cast<double>(pairs.size()));
        double ofPlan = 0;
        for (const auto& each : pairs) {
            const QJsonObject pair = each.toObject();
            const double error = pair.value(QLatin1String("coupling_error")).toDouble();
            const double kept = variance / (variance + error * error);
            const double taken = pair.value(QLatin1String("shrunk")).toDouble(qQNaN());
            QVERIFY(qAbs(taken - kept * pair.value(QLatin1String("coupling")).toDouble()) <= 1e-12);
            QVERIFY(qAbs(pair.value(QLatin1String("shrunk_error")).toDouble(qQNaN()) - std::sqrt(kept) * error) <=
                    1e-12);
            bool isPlanned = true;
            for (int side = 0; side < 2; ++side)
                isPlanned =
                    isPlanned && planned.value(pair.value(QLatin1String("layers")).toArray().at(side).toString()) ==
                                     pair.value(QLatin1String("candidates")).toArray().at(side);
            ofPlan += isPlanned ? taken : 0;
        }
        QVERIFY(qAbs(solved.json().value(QLatin1String("coupling")).toDouble() - ofPlan) <= 1e-12);
        if (beyondNoise > 0) {
            QCOMPARE(solved.json().value(QLatin1String("couplings_left_out")).toInt(-1), 0);
            QVERIFY(solved.json().value(QLatin1String("coupling")).toDouble() != 0);
        } else {
            QVERIFY(solved.err.contains("no larger than their standard errors"));
        }
        // The same loss is within reach of no smaller plan, and on the front.
        const double loss = solved.json().value(QLatin1String("predicted_loss")).toDouble();
        const double bits = solved.json().value(QLatin1String("bits_per_weight")).toDouble();
        const Outcome least =
            qloupe({text("solve"), kSample, text("--json"), text("--losses"), table, text("--max-loss"),
                    QString::number(loss * (1 + 1e-9), 'g', 15), text("--out"), folder.filePath(text("least.json"))});
        QVERIFY2(least.exitCode == 0, least.err.constData());
        QVERIFY(least.json().value(QLatin1String("bits_per_weight")).toDouble() <= bits * (1 + 1e-12));
        const Outcome front =
            qloupe({text("pareto"), kSample, text("--json"), text("--losses"), table, text("--budgets"), text("1"),
                    text("--to"), QString::number(bits + 1e-6, 'g', 15)});
        QVERIFY2(front.exitCode == 0, front.err.constData());
        const QJsonObject point = front.json().value(QLatin1String("front")).toArray().at(0).toObject();
        QCOMPARE(point.value(QLatin1String("loss")).toDouble(), loss);
        if (beyondNoise > 0) {
            QCOMPARE(front.json().value(QLatin1String("couplings_left_out")).toInt(-1), 0);
            QVERIFY(point.contains(QLatin1String("coupling")));
        }
        QVERIFY(solved.json().value(QLatin1String("optimal")).toBool());

        // A coupling that forbids what sums alone would choose: search starts beside it, where solve ends.
        QFile measured(table);
        QVERIFY(measured.open(QIODevice::ReadOnly));
        QJsonObject losses = QJsonDocument::fromJson(measured.readAll()).object();
        QJsonArray large;
        for (const auto& each : losses.value(QLatin1String("couplings")).toArray()) {
            QJsonObject one = each.toObject();
            const QJsonArray candidates = one.value(QLatin1String("candidates")).toArray();
            if (!large.isEmpty() || !candidates.at(0).toString().startsWith(text("int8")) ||
                !candidates.at(1).toString().startsWith(text("int8")))
                continue;
            one[QLatin1String("loss")] = 10;
            one[QLatin1String("standard_error")] = 0;
            large.append(one);
        }
        QCOMPARE(large.size(), 1);
        losses[QLatin1String("couplings")] = large;
        QFile coupled(folder.filePath(text("coupled.json")));
        QVERIFY(coupled.open(QIODevice::WriteOnly) && coupled.write(QJsonDocument(losses).toJson()) > 0);
        coupled.close();
        const QStringList ofCoupled{
            kSample,       text("--json"), text("--losses"), coupled.fileName(),
            text("--bpw"), text("20"),     text("--out"),    folder.filePath(text("start.json"))};
        const Outcome beside = qloupe(QStringList{text("solve")} + ofCoupled);
        QVERIFY2(beside.exitCode == 0, beside.err.constData());
        const Outcome search =
            qloupe(QStringList{text("search")} + ofCoupled +
                   QStringList{text("--text"), kSample + text("/test.txt"), text("--context"), text("32"),
                               text("--windows"), text("2"), text("--start"), text("1"), text("--steps"), text("0"),
                               text("--study"), folder.filePath(text("search.qloupe"))});
        QVERIFY2(search.exitCode == 0, search.err.constData());
        const double sum = search.json()
                               .value(QLatin1String("plans"))
                               .toArray()
                               .at(0)
                               .toObject()
                               .value(QLatin1String("sum_exact_probe"))
                               .toDouble(-1);
        QVERIFY(sum >= 0 && sum < 10);
        QCOMPARE(sum, beside.json().value(QLatin1String("predicted_loss")).toDouble());

        const Outcome blocks = sensitivity(request + QStringList{text("--coupling"), text("groups"), text("--group"),
                                                                 text("block"), text("--group"), text("*mlp*")});
        QVERIFY2(blocks.exitCode == 0, blocks.err.constData());
        const QJsonArray groups = blocks.json().value(QLatin1String("couplings")).toArray();
        QCOMPARE(groups.size(), 4);
        const QJsonObject block = groups.at(0).toObject();
        QCOMPARE(block.value(QLatin1String("group")).toString(), text("block 3"));
        QCOMPARE(block.value(QLatin1String("layers")).toInt(), 7);
        QVERIFY(!block.contains(QLatin1String("shrunk"))); // solve takes those of pairs
        QCOMPARE(groups.at(2).toObject().value(QLatin1String("layers")).toInt(), 3);
        QVERIFY(block.value(QLatin1String("loss")).toDouble() >
                groups.at(2).toObject().value(QLatin1String("loss")).toDouble());
        const QStringList ofPairs = request + QStringList{text("--coupling"), text("pairs")};
        QCOMPARE(sensitivity(ofPairs + QStringList{text("--limit"), text("3")}).exitCode, 2);
        QCOMPARE(sensitivity(ofPairs + QStringList{text("--by"), text("sqnr")}).exitCode, 2);
        QCOMPARE(sensitivity(request + QStringList{text("--coupling"), text("groups")}).exitCode, 2);
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

        const Outcome sloped = sensitivity(
            {text("--probe"), text("first_order"), text("--text"), kSample + text("/test.txt"), text("--context"),
             text("32"), text("--windows"), text("2"), text("--layer"), text("*.layers.0.*q_proj*")});
        QVERIFY2(sloped.exitCode == 0, sloped.err.constData());
        const QJsonObject slope = sloped.json().value(QLatin1String("cells")).toArray().first().toObject();
        QVERIFY(slope.value(QLatin1String("loss")).toDouble() > 0);
        QCOMPARE(std::fabs(slope.value(QLatin1String("nll_change")).toDouble()),
                 slope.value(QLatin1String("loss")).toDouble());
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

        // The study holds them, too, and the text says when they were measured.
        const Outcome kept = qloupe(solve + QStringList{text("--losses"), study});
        QVERIFY2(kept.exitCode == 0, kept.err.constData());
        QCOMPARE(kept.json().value(QLatin1String("metric")).toString(), text("gradient_probe"));
        QVERIFY(kept.json().value(QLatin1String("standard_error")).toDouble() > 0);
        QFile written(table);
        QVERIFY(written.open(QIODevice::ReadOnly) && written.readAll().contains("\"time\": "));
        const Outcome fitted = qloupe(
            solve + QStringList{text("--losses"), study, text("--activations"), kSample + text("/activations.npz")});
        QVERIFY(fitted.exitCode != 0 && fitted.err.contains("holds no losses"));

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

    void roundingOfActivationsCounts()
    {
        QTemporaryDir folder;
        const QString table = folder.filePath(text("losses.json"));
        const QString study = folder.filePath(text("probe.qloupe"));
        const QStringList request{text("--probe"),      text("gradient"),
                                  text("--text"),       kSample + text("/test.txt"),
                                  text("--context"),    text("32"),
                                  text("--windows"),    text("3"),
                                  text("--candidates"), text("gguf:q8_0,f16"),
                                  text("--layer"),      text("*.layers.0.*q_proj*"),
                                  text("--target"),     text("gguf"),
                                  text("--study"),      study,
                                  text("--out"),        table};
        const auto figure = [](const Outcome& outcome, int cell, const char* key) {
            const auto cells = outcome.json().value(QLatin1String("cells")).toArray();
            return cells.at(cell).toObject().value(QLatin1String(key)).toDouble(-1);
        };
        const QStringList as{text("--as"), text("llama.cpp")};
        const Outcome run = sensitivity(request + as);
        QVERIFY2(run.exitCode == 0, run.err.constData());
        QFile written(table);
        QVERIFY(written.open(QIODevice::ReadOnly) && written.readAll().contains("\"runtime\": \"llama.cpp\""));
        // The study has them: alone, or beside those without, where --as says which. There are bits for Q8_0 only.
        const QString plan = folder.filePath(text("plan.json"));
        const auto solve = [&](const QString& losses, const QStringList& more) {
            return qloupe(QStringList{text("solve"), kSample, text("--json"), text("--bpw"), text("15.9"),
                                      text("--out"), plan, text("--losses"), losses} +
                          more);
        };
        const auto word = [](const Outcome& outcome, const char* key) {
            return outcome.json().value(QLatin1String(key)).toString();
        };
        const auto number = [](const QJsonObject& object, const char* key) {
            return object.value(QLatin1String(key)).toDouble(qQNaN());
        };
        const Outcome byTable = solve(table, {});
        QVERIFY2(byTable.exitCode == 0, byTable.err.constData());
        const Outcome alone = solve(study, {});
        QVERIFY2(alone.exitCode == 0, alone.err.constData());
        QCOMPARE(word(alone, "metric"), text("gradient_probe+rounding"));
        QCOMPARE(number(alone.json(), "predicted_loss"), number(byTable.json(), "predicted_loss"));
        const Outcome own = sensitivity(request);
        QVERIFY2(own.exitCode == 0, own.err.constData());
        QCOMPARE(figure(own, 0, "rounding"), -1.0);
        const Outcome plain = solve(study, {});
        QVERIFY2(plain.exitCode == 0, plain.err.constData());
        QCOMPARE(word(plain, "metric"), text("gradient_probe"));
        const Outcome lacking = solve(table, as); // without rounding by now
        QVERIFY(lacking.exitCode == 0 && lacking.err.contains("do not count what the rounding"));
        const Outcome beside = solve(study, as);
        QVERIFY2(beside.exitCode == 0 && !beside.err.contains("do not count"), beside.err.constData());
        QCOMPARE(word(beside, "metric"), text("gradient_probe+rounding"));
        QCOMPARE(number(beside.json(), "predicted_loss"), number(byTable.json(), "predicted_loss"));
        QCOMPARE(solve(study, {text("--as"), text("nothing")}).exitCode, 2);
        const QStringList ofText{text("--text"), kSample + text("/test.txt"), text("--context"),
                                 text("32"),     text("--windows"),           text("2")};
        const Outcome validated = qloupe(
            QStringList{text("validate"), kSample, text("--json"), text("--plan"), plan, text("--losses"), study} +
            ofText + as);
        QVERIFY2(validated.exitCode == 0, validated.err.constData());
        const QJsonObject prediction = validated.json().value(QLatin1String("prediction")).toObject();
        QCOMPARE(prediction.value(QLatin1String("metric")).toString(), text("gradient_probe+rounding"));
        QCOMPARE(number(prediction, "predicted_sum"), number(beside.json(), "predicted_loss"));
        QCOMPARE(number(prediction, "predicted_sum_error"), number(beside.json(), "standard_error"));
        QCOMPARE(number(prediction, "floor"), 0.0); // the sum has it
        // A search's plans are remembered likewise.
        const QStringList search{text("search"), kSample,         text("--json"), text("--bpw"),
                                 text("15.9"),   text("--out"),   plan,           text("--losses"),
                                 study,          text("--study"), study,          text("--start"),
                                 text("1"),      text("--steps"), text("0")};
        const Outcome searched = qloupe(search + ofText + as);
        QVERIFY2(searched.exitCode == 0, searched.err.constData());
        const QJsonObject first = searched.json().value(QLatin1String("plans")).toArray().at(0).toObject();
        QCOMPARE(number(first, "sum_gradient_probe+rounding"), number(beside.json(), "predicted_loss"));
        QVERIFY(number(first, "floor") > 0);
        const QJsonObject expected = solve(study, as).json().value(QLatin1String("prediction")).toObject();
        QCOMPARE(expected.value(QLatin1String("runtime")).toString(), text("llama.cpp"));
        QCOMPARE(number(expected, "plans_behind"), 1.0);
        QCOMPARE(number(expected, "floor"), 0.0);
        QCOMPARE(figure(run, 0, "loss"), figure(own, 0, "loss")); // of the codes alone
        QVERIFY(figure(run, 0, "rounding") > 0 && figure(run, 0, "rounding_error") > 0);
        QVERIFY(figure(run, 1, "rounding") < 0.1 * figure(run, 0, "rounding")); // float16
        const Outcome unknown = sensitivity(request + QStringList{text("--as"), text("nothing")});
        QVERIFY(unknown.exitCode == 2 && unknown.err.contains("llama.cpp"));
    }

    /// A plan that was solved from a table is predicted by it, as it was solved, and the study remembers that.
    void tablesPredictWhatIsValidated()
    {
        QTemporaryDir folder;
        const QString table = folder.filePath(text("losses.json"));
        const Outcome measured =
            sensitivity({text("--probe"), text("gradient"), text("--text"), kSample + text("/calibration.txt"),
                         text("--context"), text("32"), text("--windows"), text("3"), text("--candidates"),
                         text("int4:g64,int8:g64"), text("--out"), table});
        QVERIFY2(measured.exitCode == 0, measured.err.constData());
        const auto solve = [&](const char* bits, const QString& plan) {
            return qloupe({text("solve"), kSample, text("--json"), text("--losses"), table, text("--bpw"), text(bits),
                           text("--out"), plan});
        };
        const auto validate = [&](const QStringList& more) {
            return qloupe(QStringList{text("validate"), kSample, text("--json"), text("--text"),
                                      kSample + text("/test.txt"), text("--context"), text("32"), text("--windows"),
                                      text("2")} +
                          more);
        };
        const QString first = folder.filePath(text("first.json"));
        const QString second = folder.filePath(text("second.json"));
        const Outcome solved = solve("6", first);
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        QCOMPARE(solve("7", second).exitCode, 0);
        const QStringList kept{text("--losses"), table, text("--out"), folder.filePath(text("kept.qloupe"))};
        const Outcome shown = validate(kept + QStringList{text("--plan"), first});
        QVERIFY2(shown.exitCode == 0, shown.err.constData());
        const QJsonObject prediction = shown.json().value(QLatin1String("prediction")).toObject();
        const auto number = [](const QJsonObject& object, const char* key) {
            return object.value(QLatin1String(key)).toDouble(qQNaN());
        };
        QCOMPARE(prediction.value(QLatin1String("metric")).toString(), text("gradient_probe"));
        QCOMPARE(number(prediction, "predicted_sum"), number(solved.json(), "predicted_loss"));
        QCOMPARE(number(prediction, "predicted_sum_error"), number(solved.json(), "standard_error"));
        QVERIFY(number(prediction, "predicted_sum_error") > 0);
        QCOMPARE(number(prediction, "plans_behind"), 0.0);
        const QString name = prediction.value(QLatin1String("losses")).toString();
        QVERIFY2(name.startsWith(text("losses.json ")) && name.size() == 12 + 16, qPrintable(name));
        // What was measured then stands behind the next one, of the same table.
        const QJsonObject next =
            validate(kept + QStringList{text("--plan"), second}).json().value(QLatin1String("prediction")).toObject();
        QCOMPARE(number(next, "plans_behind"), 1.0);
        QCOMPARE(next.value(QLatin1String("losses")).toString(), name);
        // Plans that a search runs are of that table, too.
        const QString searched = folder.filePath(text("searched.qloupe"));
        const Outcome ran = qloupe({text("search"),    kSample,    text("--text"),    kSample + text("/test.txt"),
                                    text("--context"), text("32"), text("--windows"), text("2"),
                                    text("--losses"),  table,      text("--bpw"),     text("6"),
                                    text("--start"),   text("1"),  text("--steps"),   text("0"),
                                    text("--study"),   searched,   text("--out"),     second});
        QVERIFY2(ran.exitCode == 0, ran.err.constData());
        std::vector<ql::Warning> warnings;
        const auto study = ql::openStudy(searched.toStdString(), warnings);
        QVERIFY(study);
        const auto records = ql::readPredictions(**study);
        QCOMPARE(records.size(), std::size_t{1});
        QCOMPARE(records.front().losses, name.toStdString());

        const Outcome lacking = validate({text("--losses"), table});
        QVERIFY(lacking.exitCode == 2 && lacking.err.contains("--plan"));
        QCOMPARE(qloupe({text("solve"), kSample, text("--candidates"), text("int3:g64"), text("--bpw"), text("4"),
                         text("--out"), second})
                     .exitCode,
                 0);
        const Outcome other = validate({text("--losses"), table, text("--plan"), second});
        QCOMPARE(other.exitCode, 2);
        QVERIFY2(other.err.contains("has no loss of") && other.err.contains("int3:g64"), other.err.constData());
    }

    void groupsAreMeasuredByRunningThem()
    {
        const auto probed = [](const QStringList& more) {
            return sensitivity(QStringList{text("--probe"), text("exact"), text("--text"), kSample + text("/test.txt"),
                                           text("--context"), text("32"), text("--windows"), text("2"),
                                           text("--candidates"), text("int3:g64")} +
                               more);
        };
        const auto cellsOf = [](const Outcome& outcome) {
            return outcome.json().value(QLatin1String("cells")).toArray();
        };
        const auto figure = [](const QJsonArray& cells, const char* key) {
            return cells.first().toObject().value(QLatin1String(key)).toDouble();
        };
        const QStringList down{text("--group"), text("down_proj")};
        const Outcome kld = probed(down);
        QVERIFY2(kld.exitCode == 0, kld.err.constData());
        const Outcome sqnr = probed(down + QStringList{text("--by"), text("sqnr")});
        const Outcome perplexity = probed(down + QStringList{text("--by"), text("perplexity")});
        const QJsonArray cells = cellsOf(kld);
        QCOMPARE(cells.size(), 1);
        QCOMPARE(figure(cells, "layers"), 4.0);
        QVERIFY(figure(cells, "loss") > 0);
        QCOMPARE(figure(cellsOf(sqnr), "kld"), figure(cells, "loss"));
        QVERIFY(std::fabs(-10 * std::log10(figure(cellsOf(sqnr), "loss")) - figure(cells, "sqnr_db")) < 1e-9);
        QCOMPARE(figure(cellsOf(perplexity), "loss"), figure(cells, "nll_change"));
        QCOMPARE(sqnr.json().value(QLatin1String("unit")).toString(), QStringLiteral("noise ÷ signal"));

        const QJsonArray one = cellsOf(probed({text("--layer"), text("*.layers.0.*down_proj*")}));
        QCOMPARE(one.size(), 1);
        QVERIFY(figure(one, "loss") > 0 && figure(one, "loss") < figure(cells, "loss"));
        const Outcome refused = probed(down + QStringList{text("--out"), text("losses.json")});
        QVERIFY(refused.exitCode != 0 && refused.err.contains("of single layers"));
        const Outcome other = sensitivity({text("--probe"), text("gradient"), text("--text"),
                                           kSample + text("/test.txt"), text("--by"), text("sqnr")});
        QVERIFY(other.exitCode != 0 && other.err.contains("for --probe exact"));
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
