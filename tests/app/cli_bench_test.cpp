// SPDX-License-Identifier: GPL-3.0-or-later
// The real qloupe comparing candidates and explaining entries of the catalogue, with what it refuses.
#include "tests/support/qloupe.h"

#include <QJsonArray>
#include <QTest>

using namespace ql::test;

namespace {

const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");
const QString kLayer = QStringLiteral("model.layers.0.self_attn.q_proj.weight");

Outcome bench(const QStringList& more)
{
    return qloupe(QStringList{text("bench"), kSample, text("--json"), text("--layer"), kLayer} + more);
}

Outcome explain(const char* kind, const char* name)
{
    return qloupe({text("list"), text(kind), text("--explain"), text(name), text("--json")});
}

QJsonObject find(const QJsonArray& rows, const QString& id)
{
    for (const auto& row : rows)
        if (row.toObject().value(QLatin1String("id")).toString() == id)
            return row.toObject();
    return {};
}

QString errorOf(const Outcome& outcome)
{
    return QString::fromUtf8(outcome.err);
}

} // namespace

class CliBenchTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void comparesCandidates()
    {
        const Outcome outcome =
            bench({text("--schemes"), text("int4:g32,int4:g32:asym,bf16"), text("--quantizers"), text("rtn,mse,gptq"),
                   text("--activations"), kSample + text("/activations.npz")});
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        const QJsonArray entries = outcome.json().value(QLatin1String("entries")).toArray();
        QCOMPARE(entries.size(), 7);
        double rtn = 0;
        bool anyFront = false;
        for (const auto& value : entries) {
            const QJsonObject entry = value.toObject();
            QCOMPARE(entry.value(QLatin1String("name")).toString(), kLayer);
            for (const char* key : {"candidate", "front", "bits_per_weight", "sqnr_db", "weight_mse", "max_abs_error",
                                    "output_error", "ms", "runs_in"})
                QVERIFY2(entry.contains(QLatin1String(key)), key);
            anyFront = anyFront || entry.value(QLatin1String("front")).toString() == text("*");
            const double output = entry.value(QLatin1String("output_error")).toDouble();
            if (entry.value(QLatin1String("candidate")) == text("int4:g32"))
                rtn = output;
            if (entry.value(QLatin1String("candidate")) == text("int4:g32@gptq")) {
                QVERIFY(output < rtn);
                QVERIFY(entry.value(QLatin1String("objective_vs_rtn")).toDouble() < 1);
            }
        }
        QVERIFY(anyFront);
    }
    void comparesVariants()
    {
        const QStringList request{text("--schemes"), text("int3:g64"),      text("--quantizers"),
                                  text("rtn"),       text("--activations"), kSample + text("/activations.npz")};
        const Outcome outcome =
            bench(request + QStringList{text("--transforms"), text("none,awq:scheme=int3:g64,smooth")});
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        const QJsonArray entries = outcome.json().value(QLatin1String("entries")).toArray();
        QCOMPARE(entries.size(), 3);
        const auto at = [&](int row, const char* key) { return entries[row].toObject().value(QLatin1String(key)); };
        QCOMPARE(at(0, "transform").toString(), text("none"));
        QCOMPARE(at(1, "transform").toString(), text("awq:scheme=int3:g64"));
        QVERIFY(at(1, "output_error").toDouble() < at(0, "output_error").toDouble());
        QCOMPARE(at(1, "bits_per_weight").toDouble(), at(0, "bits_per_weight").toDouble());
        QCOMPARE(at(1, "front").toString(), text("*"));
        QVERIFY2(at(2, "refused").toString().contains(text("--activations")), outcome.out.constData());
        // --transform is applied to all of them: the same variant.
        const Outcome all = bench(request + QStringList{text("--transform"), text("awq:scheme=int3:g64")});
        const QJsonObject only = all.json().value(QLatin1String("entries")).toArray()[0].toObject();
        QCOMPARE(only.value(QLatin1String("output_error")).toDouble(), at(1, "output_error").toDouble());
        QVERIFY(!only.contains(QLatin1String("transform")));
        QCOMPARE(bench({text("--transforms"), text("none,magic")}).exitCode, 2);
    }

    void saysWhatItRefuses()
    {
        const Outcome blind = bench({text("--schemes"), text("int4:g32"), text("--quantizers"), text("rtn,gptq")});
        QCOMPARE(blind.exitCode, 0);
        const QJsonArray entries = blind.json().value(QLatin1String("entries")).toArray();
        QCOMPARE(entries.size(), 2);
        QVERIFY(!entries[0].toObject().contains(QLatin1String("output_error")));
        QVERIFY(entries[1].toObject().value(QLatin1String("refused")).toString().contains(text("activations")));

        const Outcome scheme = bench({text("--schemes"), text("int99")});
        QCOMPARE(scheme.exitCode, 2);
        QVERIFY2(errorOf(scheme).contains(text("int2 … int8")), scheme.err.constData());
        const Outcome quantizer = bench({text("--quantizers"), text("magic")});
        QCOMPARE(quantizer.exitCode, 2);
        QVERIFY2(errorOf(quantizer).contains(text("rtn, mse")), quantizer.err.constData());
        const Outcome pair = bench({text("--schemes"), text("int4:g32"), text("--quantizers"), text("rtn:ggml")});
        QCOMPARE(pair.exitCode, 2);
        QVERIFY2(errorOf(pair).contains(text("no quantizer given accepts")), pair.err.constData());
        const Outcome layer = qloupe({text("bench"), kSample, text("--layer"), text("nothing.*")});
        QCOMPARE(layer.exitCode, 2);
        QVERIFY2(errorOf(layer).contains(text("qloupe info")), layer.err.constData());
    }

    void explainsEntries()
    {
        const Outcome scheme = explain("schemes", "int4:g64:asym:s=f16");
        QVERIFY2(scheme.exitCode == 0, scheme.err.constData());
        QCOMPARE(scheme.json().value(QLatin1String("bits_per_weight")).toDouble(), 4.3125);
        QCOMPARE(scheme.json().value(QLatin1String("restored")).toString(), text("ŵ = (level(q) − z)·s"));
        QCOMPARE(scheme.json().value(QLatin1String("storage of W[4096, 4096]")).toArray().size(), 3);
        const Outcome candidate = explain("schemes", "int4:g64@mse");
        QCOMPARE(candidate.exitCode, 0);
        QVERIFY(candidate.json().contains(QLatin1String("choice")));
        const Outcome format = explain("formats", "nf4");
        QCOMPARE(format.exitCode, 0);
        QVERIFY(format.json().value(QLatin1String("levels")).toString().startsWith(text("16 levels")));
        const Outcome quantizer = explain("quantizers", "gptq");
        QCOMPARE(quantizer.exitCode, 0);
        const QJsonArray options = quantizer.json().value(QLatin1String("options")).toArray();
        QVERIFY(options.size() >= 2);
        for (const auto& option : options)
            QVERIFY(!option.toObject().value(QLatin1String("meaning")).toString().isEmpty());
        // As text, too.
        QVERIFY(
            qloupe({text("list"), text("schemes"), text("--explain"), text("nvfp4")}).out.contains("bits_per_weight"));
    }
    void refusesToExplainWhatThereIsNot()
    {
        for (const auto& [kind, name, says] : {std::tuple{"formats", "int99", "int2 … int8"},
                                               {"schemes", "int4:g0", "group size"},
                                               {"schemes", "int4@hqq", "hqq"},
                                               {"quantizers", "magic", "rtn, mse"},
                                               {"readers", "gguf", "--explain is for formats"}}) {
            const Outcome outcome = explain(kind, name);
            QCOMPARE(outcome.exitCode, 2);
            QVERIFY2(errorOf(outcome).contains(text(says)), outcome.err.constData());
        }
    }
    void groupsSchemesByWhereTheyRun()
    {
        const Outcome outcome = qloupe({text("list"), text("schemes"), text("--model"), kSample, text("--json")});
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        const QJsonArray schemes = outcome.json().value(QLatin1String("schemes")).toArray();
        const auto where = [&](const char* id) {
            return find(schemes, text(id)).value(QLatin1String("where")).toString();
        };
        QCOMPARE(where("int4:g64:s=bf16"), text("runs in compressed-tensors"));
        QCOMPARE(where("gguf:q8_0"), text("runs in gguf"));
        QCOMPARE(where("nf4:g128"), text("research (stored in hdf5 only)"));
        QCOMPARE(qloupe({text("list"), text("formats"), text("--model"), kSample}).exitCode, 2);
        QCOMPARE(qloupe({text("list"), text("schemes"), text("--model"), text("/nowhere")}).exitCode, 5);
    }
    void listsOptionsAndNeedsOfQuantizers()
    {
        const Outcome outcome = qloupe({text("list"), text("quantizers"), text("--json")});
        QCOMPARE(outcome.exitCode, 0);
        bool seen = false;
        for (const auto& row : outcome.json().value(QLatin1String("quantizers")).toArray()) {
            QVERIFY(!row.toObject().value(QLatin1String("needs")).toString().isEmpty());
            if (row.toObject().value(QLatin1String("id")) == text("mse"))
                seen = row.toObject().value(QLatin1String("options")).toArray().contains(text("steps=1…1000"));
        }
        QVERIFY(seen);
    }
};

QTEST_GUILESS_MAIN(CliBenchTest)
#include "cli_bench_test.moc"
