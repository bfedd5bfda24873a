// SPDX-License-Identifier: GPL-3.0-or-later
// Runs the real qloupe on the sample study: every subcommand, its JSON and its exit code.
#include "tests/support/qloupe.h"

#include <QCryptographicHash>
#include <QDir>
#include <QFile>
#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

#include <algorithm>
#include <cmath>

using namespace ql::test;

namespace {

const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");
const QString kLayer = QStringLiteral("model.layers.0.self_attn.q_proj.weight");

QJsonObject find(const QJsonArray& rows, const char* key, const QString& value)
{
    for (const auto& row : rows)
        if (row.toObject().value(QLatin1String(key)).toString() == value)
            return row.toObject();
    return {};
}

} // namespace

class CliTest : public QObject {
    Q_OBJECT

    QTemporaryDir m_folder;
    QString path(const char* name) const { return m_folder.filePath(text(name)); }

private Q_SLOTS:
    void linksNoQt()
    {
        QProcess ldd;
        ldd.start(QStringLiteral("ldd"), {QStringLiteral(QL_BINARY_DIR "/bin/qloupe")});
        QVERIFY(ldd.waitForFinished());
        const QByteArray libraries = ldd.readAllStandardOutput();
        QVERIFY(libraries.contains("libtbb"));
        QVERIFY(!libraries.contains("Qt"));
    }
    void helpAndUsage()
    {
        QCOMPARE(qloupe({text("--help")}).exitCode, 0);
        QCOMPARE(qloupe({text("--version")}).exitCode, 0);
        QCOMPARE(qloupe({}).exitCode, 2);
        QCOMPARE(qloupe({text("fly")}).exitCode, 2);
        QCOMPARE(qloupe({text("list"), text("dogs")}).exitCode, 2);
        QCOMPARE(qloupe({text("stats"), kSample, text("--layer"), text("nothing.*")}).exitCode, 2);
    }
    void listsAreNeverEmpty()
    {
        for (const char* kind :
             {"formats", "schemes", "quantizers", "readers", "targets", "metrics", "solvers", "operators",
              "onnx-operators", "layer-kinds", "architectures", "tokenizers", "analyses"}) {
            const Outcome outcome = qloupe({text("list"), text(kind), text("--json")});
            QCOMPARE(outcome.exitCode, 0);
            QVERIFY2(outcome.json().value(QLatin1String(kind)).toArray().size() >= 2, kind);
            QVERIFY(qloupe({text("list"), text(kind)}).out.contains("title"));
        }
    }
    void tokenizesLikeTheGoldenFile()
    {
        QFile golden(kSample + text("/golden/perplexity.json"));
        QVERIFY(golden.open(QIODevice::ReadOnly));
        const QJsonObject expected = QJsonDocument::fromJson(golden.readAll()).object();
        const Outcome outcome = qloupe(
            {text("tokenize"), kSample, text("--file"), kSample + text("/test.txt"), text("--ids"), text("--json")});
        QCOMPARE(outcome.exitCode, 0);
        QByteArray ids; // little-endian 32-bit numbers
        for (const auto& id : outcome.json().value(QLatin1String("ids")).toArray())
            for (int shift = 0; shift < 32; shift += 8)
                ids.append(static_cast<char>(id.toInt() >> shift & 0xff));
        QCOMPARE(ids.size() / 4, expected.value(QLatin1String("test_tokens")).toInt());
        QCOMPARE(text(QCryptographicHash::hash(ids, QCryptographicHash::Sha256).toHex()),
                 expected.value(QLatin1String("test_tokens_sha256")).toString());
    }
    void tokenizesWords()
    {
        const Outcome outcome =
            qloupe({text("tokenize"), kSample, text("--text"), text("a<|endoftext|>"), text("--json")});
        QCOMPARE(outcome.exitCode, 0);
        const QJsonArray tokens = outcome.json().value(QLatin1String("tokens")).toArray();
        QCOMPARE(tokens.size(), 2);
        QCOMPARE(tokens[0].toObject().value(QLatin1String("piece")).toString(), text("a"));
        QCOMPARE(tokens[1].toObject().value(QLatin1String("id")).toInt(-1), 0);
        QCOMPARE(qloupe({text("tokenize"), kSample, text("--text"), text("a"), text("--ids")}).out, QByteArray("65\n"));
        QVERIFY(qloupe({text("tokenize"), kSample, text("--text"), text("a<|endoftext|>"), text("--ids"),
                        text("--no-parse-special")})
                    .out.count('\n') > 3);
        QCOMPARE(qloupe({text("tokenize"), kSample, text("--text"), text("a"), text("--file"), text("b")}).exitCode, 2);
        QCOMPARE(qloupe({text("tokenize"), kSample + text("/golden"), text("--text"), text("a")}).exitCode, 3);
    }
    void generatesByModelAndPlan()
    {
        const QString plan = path("generate.json");
        QCOMPARE(qloupe({text("solve"), kSample, text("--candidates"), text("int2:channel"), text("--bpw"), text("3"),
                         text("--out"), plan})
                     .exitCode,
                 0);
        const QStringList words{text("generate"), kSample,        text("--prompt"), text("The river"),
                                text("--tokens"), text("8"),      text("--plan"),   plan,
                                text("--json"),   text("--quiet")};
        const Outcome outcome = qloupe(words);
        QCOMPARE(outcome.exitCode, 0);
        const QJsonArray versions = outcome.json().value(QLatin1String("versions")).toArray();
        QCOMPARE(versions.size(), 2);
        QCOMPARE(versions[0].toObject().value(QLatin1String("tokens")).toArray().size(), 8);
        const int common = outcome.json().value(QLatin1String("common_tokens")).toInt(-1);
        QVERIFY(common >= 0 && common < 8); // two bits are not enough
        QCOMPARE(qloupe(words + QStringList{text("--memory"), text("5MB")}).out, outcome.out);
        const QByteArray shown = qloupe(words.mid(0, 6)).out;
        QVERIFY(shown.contains(versions[0].toObject().value(QLatin1String("text")).toString().toUtf8()));
        QCOMPARE(qloupe(words + QStringList{text("--memory"), text("much")}).exitCode, 2);
        QCOMPARE(qloupe(words + QStringList{text("--top-p"), text("3")}).exitCode, 2);
    }
    void validationsContinueAndRoundActivations()
    {
        const QString plan = path("activations.json");
        QCOMPARE(qloupe({text("solve"), kSample, text("--candidates"), text("int8:channel+a:int8:token"), text("--bpw"),
                         text("9"), text("--out"), plan})
                     .exitCode,
                 0);
        const QStringList words{text("validate"),  kSample,     text("--text"),    kSample + text("/test.txt"),
                                text("--context"), text("128"), text("--windows"), text("4"),
                                text("--plan"),    plan,        text("--json")};
        const auto kldOf = [](const Outcome& outcome) {
            return outcome.json()[QLatin1String("other")][QLatin1String("kld")][QLatin1String("value")].toDouble(-1);
        };
        const Outcome first = qloupe(words);
        const double kld = kldOf(first);
        QVERIFY(kld > 0);
        const QJsonArray windows = first.json().value(QLatin1String("kld_windows")).toArray();
        QCOMPARE(windows.size(), 4);
        double sum = 0;
        for (const QJsonValue& window : windows)
            sum += window.toDouble();
        QVERIFY(std::fabs(sum / 4 - kld) < 1e-12 * kld);
        const QString other = path("eight.json");
        QCOMPARE(qloupe({text("solve"), kSample, text("--candidates"), text("int8:channel"), text("--bpw"), text("9"),
                         text("--out"), other})
                     .exitCode,
                 0);
        QStringList both = words;
        both[both.indexOf(text("--plan"))] = text("--plans");
        both.insert(both.indexOf(plan), other);
        const Outcome several = qloupe(both);
        QVERIFY2(several.exitCode == 0, several.err.constData());
        const QJsonArray rows = several.json().value(QLatin1String("plans")).toArray();
        QCOMPARE(rows.size(), 2);
        const double less = rows[0][QLatin1String("kld")].toDouble();
        QVERIFY(less > 0 && less < kld);
        QCOMPARE(rows[1][QLatin1String("kld")].toDouble(), kld); // beside the states that the first one left
        QCOMPARE(rows[1][QLatin1String("kld_windows")].toArray(), windows);
        QCOMPARE(qloupe(both + QStringList{text("--kv"), text("q4_0")}).exitCode, 2);
        const QStringList kept = words + QStringList{text("--out"), path("validation.qloupe")};
        QCOMPARE(kldOf(qloupe(kept)), kld);
        QCOMPARE(kldOf(qloupe(kept)), kld); // from the study
        QVERIFY(kldOf(qloupe(words + QStringList{text("--kv"), text("q4_0")})) > kld);
        QCOMPARE(qloupe(words + QStringList{text("--kv"), text("int8:channel")}).exitCode, 3);
        QCOMPARE(qloupe(words + QStringList{text("--as"), text("llama.cpp")}).exitCode, 3);
    }
    void validatesEncodersAndClassifiers()
    {
        const QString vit = text(QL_TEST_DATA "/frontends/vit");
        const QString plan = path("vit.json");
        QCOMPARE(qloupe({text("solve"), vit, text("--candidates"), text("int3:channel"), text("--bpw"), text("9"),
                         text("--out"), plan})
                     .exitCode,
                 0);
        const Outcome images = qloupe({text("validate"), vit, text("--images"), text(QL_TEST_DATA "/images"),
                                       text("--plan"), plan, text("--json")});
        QVERIFY2(images.exitCode == 0, images.err.constData());
        QCOMPARE(images.json().value(QLatin1String("answers")).toInt(), 4);
        const QJsonObject logits =
            find(images.json().value(QLatin1String("outputs")).toArray(), "name", text("logits"));
        QCOMPARE(logits.value(QLatin1String("rows")).toInt(), 4);
        QVERIFY(logits.value(QLatin1String("sqnr_db")).toDouble() > 0);
        QCOMPARE(qloupe({text("validate"), vit, text("--images"), text(QL_TEST_DATA "/images"), text("--out"),
                         path("vit.qloupe")})
                     .exitCode,
                 2);
        QCOMPARE(qloupe({text("validate"), kSample, text("--images"), text(QL_TEST_DATA "/images")}).exitCode, 2);
        const Outcome arrays = qloupe({text("validate"), text(QL_TEST_DATA "/frontends/bert"), text("--inputs"),
                                       text(QL_TEST_DATA "/images/golden.npz"), text("--json")});
        QCOMPARE(arrays.exitCode, 2);
        QVERIFY2(arrays.err.contains("tokens"), arrays.err.constData());
    }
    void calibratesOnPicturesArraysAndIds()
    {
        const QString vit = text(QL_TEST_DATA "/frontends/vit");
        const QString study = path("seen.qloupe");
        const Outcome pictures = qloupe({text("calibrate"), vit, text("--images"), text(QL_TEST_DATA "/images"),
                                         text("--out"), study, text("--json")});
        QVERIFY2(pictures.exitCode == 0, pictures.err.constData());
        QVERIFY(pictures.json().value(QLatin1String("cases")).toInt() >= 4);
        const Outcome three = qloupe({text("calibrate"), vit, text("--images"), text(QL_TEST_DATA "/images"),
                                      text("--cases"), text("3"), text("--out"), path("three.qloupe"), text("--json")});
        QCOMPARE(three.json().value(QLatin1String("cases")).toInt(), 3);
        const Outcome measured = qloupe({text("sensitivity"), vit, text("--activations"), study, text("--candidates"),
                                         text("int4:channel"), text("--json")});
        QVERIFY2(measured.exitCode == 0, measured.err.constData());
        for (const QJsonValue& cell : measured.json().value(QLatin1String("cells")).toArray())
            QVERIFY2(cell.toObject().value(QLatin1String("output_error")).toDouble() > 0,
                     qPrintable(cell.toObject().value(QLatin1String("name")).toString()));
        for (const char* more : {"--fisher", "--text=x.txt"})
            QCOMPARE(qloupe({text("calibrate"), vit, text("--images"), text(QL_TEST_DATA "/images"), text("--out"),
                             study, text(more)})
                         .exitCode,
                     2);
        const Outcome missing = qloupe(
            {text("calibrate"), vit, text("--inputs"), text(QL_TEST_DATA "/images/golden.npz"), text("--out"), study});
        QCOMPARE(missing.exitCode, 2);
        QVERIFY2(missing.err.contains("pixels"), missing.err.constData());
        // Ids as numbers are those of an array.
        QFile ids(path("ids.txt"));
        QVERIFY(ids.open(QIODevice::WriteOnly));
        for (int i = 0; i < 70; ++i)
            ids.write(QByteArray::number(i * i % 300) + (i % 7 == 0 ? "\n" : i % 3 == 0 ? ", " : " "));
        ids.close();
        const QStringList words{text("calibrate"), kSample,        text("--tokens"), ids.fileName(), text("--context"),
                                text("32"),        text("--gram"), text("diag"),     text("--out"),  path("ids.qloupe"),
                                text("--json")};
        const Outcome counted = qloupe(words + QStringList{text("--full"), text("*.1.mlp.*")});
        QVERIFY2(counted.exitCode == 0, counted.err.constData());
        QCOMPARE(counted.json().value(QLatin1String("tokens")).toInt(), 64);
        QCOMPARE(qloupe(words + QStringList{text("--full"), text("*.99.*")}).exitCode, 2);
        const Outcome known =
            qloupe({text("info"), kSample, text("--activations"), path("ids.qloupe"), text("--json")});
        QVERIFY2(known.exitCode == 0, known.err.constData());
        QCOMPARE(find(known.json().value(QLatin1String("layers")).toArray(), "name", kLayer)
                     .value(QLatin1String("tokens"))
                     .toInt(),
                 64);
        QFile wrong(path("wrong.txt"));
        QVERIFY(wrong.open(QIODevice::WriteOnly));
        wrong.write("1 2 three");
        wrong.close();
        const Outcome refused = qloupe(
            {text("calibrate"), kSample, text("--tokens"), wrong.fileName(), text("--out"), path("wrong.qloupe")});
        QCOMPARE(refused.exitCode, 2);
        QVERIFY2(refused.err.contains("three"), refused.err.constData());
    }
    void saysWhatExpertsSaw()
    {
        const QString mixture = text(QL_TEST_DATA "/frontends/mixtral/model.gguf");
        QFile ids(path("few.txt"));
        QVERIFY(ids.open(QIODevice::WriteOnly));
        ids.write("5 5 5 5 5 5 5 5");
        ids.close();
        const Outcome calibrated =
            qloupe({text("calibrate"), mixture, text("--tokens"), ids.fileName(), text("--context"), text("8"),
                    text("--out"), path("few.qloupe"), text("--json")});
        QVERIFY2(calibrated.exitCode == 0, calibrated.err.constData());
        const QJsonArray experts = calibrated.json().value(QLatin1String("experts")).toArray();
        QCOMPARE(experts.size(), 2 * 3);
        int tokens = 0;
        for (int i = 0; i < 3; ++i)
            tokens += experts[i].toObject().value(QLatin1String("tokens")).toInt();
        QCOMPARE(tokens, 2 * 8);
        const Outcome info = qloupe({text("info"), mixture, text("--activations"), path("few.qloupe"), text("--json")});
        QCOMPARE(info.json().value(QLatin1String("experts")).toArray(), experts);
        // Where one saw nothing it is named, here and there.
        const bool isUnseen = std::any_of(experts.begin(), experts.end(), [](const QJsonValue& row) {
            return row.toObject().value(QLatin1String("tokens")).toInt() == 0;
        });
        QCOMPARE(calibrated.err.contains("no token went to expert"), isUnseen);
        QCOMPARE(info.err.contains("no token went to expert"), isUnseen);
    }
    void writesAndReadsImportanceMatrices()
    {
        const QString study = path("imatrix.qloupe");
        const QString matrix = path("imatrix.gguf");
        QCOMPARE(qloupe({text("calibrate"), kSample, text("--text"), kSample + text("/test.txt"), text("--context"),
                         text("64"), text("--windows"), text("4"), text("--out"), study})
                     .exitCode,
                 0);
        const Outcome written =
            qloupe({text("imatrix"), kSample, text("--activations"), study, text("--out"), matrix, text("--json")});
        QVERIFY2(written.exitCode == 0, written.err.constData());
        QCOMPARE(written.json().value(QLatin1String("entries")).toInt(), 4 * 7 + 1);
        const Outcome measured = qloupe({text("sensitivity"), kSample, text("--activations"), matrix, text("--layer"),
                                         kLayer, text("--candidates"), text("int4:g64"), text("--json")});
        QVERIFY2(measured.exitCode == 0, measured.err.constData());
        QVERIFY(measured.out.contains("diagonal_error"));
        QVERIFY(!measured.out.contains("output_error"));
        QCOMPARE(
            qloupe({text("imatrix"), kSample, text("--activations"), matrix, text("--out"), path("x.txt")}).exitCode,
            2);
        QCOMPARE(qloupe({text("solve"), kSample, text("--activations"), matrix, text("--metric"), text("output_error"),
                         text("--bpw"), text("5"), text("--out"), path("p.json")})
                     .exitCode,
                 3);
    }
    void infoSaysWhatItIs()
    {
        const Outcome outcome = qloupe({text("info"), kSample, text("--json")});
        QCOMPARE(outcome.exitCode, 0);
        const QJsonObject json = outcome.json();
        QCOMPARE(json.value(QLatin1String("architecture")).toString(), text("llama"));
        QCOMPARE(json.value(QLatin1String("reader")).toString(), text("huggingface"));
        const QJsonObject layer = find(json.value(QLatin1String("layers")).toArray(), "name", kLayer);
        QCOMPARE(layer.value(QLatin1String("role")).toString(), text("q_proj"));
        QCOMPARE(layer.value(QLatin1String("block")).toInt(-1), 0);
        QCOMPARE(layer.value(QLatin1String("dtype")).toString(), text("bf16"));
    }
    void statsHaveTheirKeys()
    {
        const Outcome outcome = qloupe({text("stats"), kSample, text("--json"), text("--threads"), text("1")});
        QCOMPARE(outcome.exitCode, 0);
        const QJsonArray tensors = outcome.json().value(QLatin1String("tensors")).toArray();
        const QJsonObject layer = find(tensors, "name", kLayer);
        for (const char* key : {"name", "shape", "dtype", "numel", "nan", "inf", "zeros", "min", "max", "mean", "std",
                                "absmax", "kurtosis", "l2"})
            QVERIFY2(layer.contains(QLatin1String(key)), key);
        const double n = layer.value(QLatin1String("numel")).toDouble();
        const double mean = layer.value(QLatin1String("mean")).toDouble();
        const double std = layer.value(QLatin1String("std")).toDouble();
        const double l2 = layer.value(QLatin1String("l2")).toDouble();
        QVERIFY(std::fabs(l2 * l2 - n * (std * std + mean * mean)) <= 1e-9 * l2 * l2);
        QCOMPARE(qloupe({text("stats"), kSample, text("--json"), text("--threads"), text("2")}).out, outcome.out);
    }
    void analysesOfALayer()
    {
        for (const char* analysis : {"histogram", "outliers", "curves"}) {
            const Outcome outcome = qloupe({text(analysis), kSample, text("--layer"), kLayer, text("--json")});
            QCOMPARE(outcome.exitCode, 0);
            QCOMPARE(outcome.json().value(QLatin1String("layers")).toArray().size(), 1);
            const Outcome globbed =
                qloupe({text(analysis), kSample, text("--layer"), text("*.q_proj.weight"), text("--json")});
            QVERIFY(globbed.json().value(QLatin1String("layers")).toArray().size() >= 4);
        }
    }
    void dumpIsReadBack()
    {
        QCOMPARE(qloupe({text("dump"), kSample, text("--npz"), path("dump.npz")}).exitCode, 0);
        const auto stats = [](const QString& file) {
            return find(qloupe({text("stats"), file, text("--json")}).json().value(QLatin1String("tensors")).toArray(),
                        "name", kLayer);
        };
        QJsonObject original = stats(kSample);
        QJsonObject dumped = stats(path("dump.npz"));
        QCOMPARE(dumped.take(QLatin1String("dtype")).toString(), text("f32"));
        QCOMPARE(original.take(QLatin1String("dtype")).toString(), text("bf16"));
        QCOMPARE(dumped, original);
    }
    void quantizeWritesCodesAndScales()
    {
        const Outcome outcome = qloupe({text("quantize"), kSample, text("--scheme"), text("int4:g64:asym"),
                                        text("--layer"), kLayer, text("--npz"), path("q.npz"), text("--json")});
        QCOMPARE(outcome.exitCode, 0);
        const QJsonArray tensors =
            qloupe({text("info"), path("q.npz"), text("--json")}).json().value(QLatin1String("layers")).toArray();
        for (const char* suffix : {"", ".codes", ".scales", ".zero_points"})
            QVERIFY2(!find(tensors, "name", kLayer + text(suffix)).isEmpty(), suffix);
        const double bits = outcome.json()
                                .value(QLatin1String("layers"))
                                .toArray()
                                .first()
                                .toObject()
                                .value(QLatin1String("bits_per_weight"))
                                .toDouble();
        QCOMPARE(bits, 4 + (32.0 + 4) / 64);
        QCOMPARE(
            qloupe({text("quantize"), kSample, text("--scheme"), text("int9"), text("--npz"), path("q.npz")}).exitCode,
            2);
    }
    void quantizeWritesAdditions()
    {
        const Outcome outcome = qloupe({text("quantize"), kSample, text("--scheme"), text("int4:g64+cols3+sparse1+lr2"),
                                        text("--layer"), kLayer, text("--npz"), path("sum.npz"), text("--json")});
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        const QJsonArray arrays =
            qloupe({text("stats"), path("sum.npz"), text("--json")}).json().value(QLatin1String("tensors")).toArray();
        const auto shapeOf = [&](const char* suffix) {
            return find(arrays, "name", kLayer + text(suffix)).value(QLatin1String("shape")).toArray();
        };
        const int rows = shapeOf("").at(0).toInt();
        const int cols = shapeOf("").at(1).toInt();
        QVERIFY(rows > 0 && cols > 0);
        const int count = (rows * cols + 99) / 100;
        QCOMPARE(shapeOf(".kept_values"), (QJsonArray{rows, 3}));
        QCOMPARE(shapeOf(".sparse_values"), (QJsonArray{count}));
        QCOMPARE(shapeOf(".left"), (QJsonArray{rows, 2}));
        QCOMPARE(shapeOf(".right"), (QJsonArray{2, cols}));
        const double bits = outcome.json()
                                .value(QLatin1String("layers"))
                                .toArray()
                                .first()
                                .toObject()
                                .value(QLatin1String("payload_bits"))
                                .toDouble();
        QCOMPARE(bits, (4 + 0.5) * rows * cols + 3 * (16.0 * rows + 32) + 32.0 * count + 32.0 * (rows + 1) +
                           16.0 * 2 * (rows + cols));
        const Outcome refused = qloupe({text("quantize"), kSample, text("--scheme"), text("int8+cols4:over6"),
                                        text("--layer"), kLayer, text("--npz"), path("sum.npz")});
        QCOMPARE(refused.exitCode, 3);
        QVERIFY(QString::fromUtf8(refused.err).contains(text("captured activations")));
    }
    /// A Keras kernel is stored [in, out]: weights and codes keep that shape, scales belong to W[out, in].
    void quantizeKeepsTheFilesOrder()
    {
        const QString keras = text(QL_TEST_DATA "/checkpoints/oriented_keras.h5");
        QCOMPARE(
            qloupe({text("quantize"), keras, text("--scheme"), text("int4:g16:asym"), text("--npz"), path("keras.npz")})
                .exitCode,
            0);
        const QJsonArray arrays =
            qloupe({text("stats"), path("keras.npz"), text("--json")}).json().value(QLatin1String("tensors")).toArray();
        const auto shapeOf = [&](const char* name) {
            return find(arrays, "name", text("model_weights/") + text(name)).value(QLatin1String("shape")).toArray();
        };
        QCOMPARE(shapeOf("dense/dense/kernel"), (QJsonArray{37, 24}));
        QCOMPARE(shapeOf("dense/dense/kernel.codes"), (QJsonArray{37, 24}));
        QCOMPARE(shapeOf("dense/dense/kernel.scales"), (QJsonArray{24, 3}));
        QCOMPARE(shapeOf("dense/dense/kernel.zero_points"), (QJsonArray{24, 3}));
        QCOMPARE(shapeOf("my_conv/my_conv/kernel.codes"), (QJsonArray{3, 2, 5, 6}));
        QCOMPARE(shapeOf("my_conv/my_conv/kernel.scales"), (QJsonArray{6, 2}));
        const QJsonArray layers =
            qloupe({text("info"), keras, text("--json")}).json().value(QLatin1String("layers")).toArray();
        const QJsonObject dense = find(layers, "name", text("model_weights/dense/dense/kernel"));
        QCOMPARE(dense.value(QLatin1String("shape")).toArray(), (QJsonArray{24, 37}));
        QCOMPARE(dense.value(QLatin1String("stored_shape")).toArray(), (QJsonArray{37, 24}));
    }
    void solveExportVerify_data()
    {
        QTest::addColumn<QString>("target");
        QTest::addColumn<QString>("candidates");
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("damaged");
        QTest::newRow("compressed-tensors")
            << text("compressed-tensors") << text("int4:g64,int8:g64") << text("ct") << text("ct/model.safetensors");
        QTest::newRow("floats of compressed-tensors")
            << text("compressed-tensors") << text("nvfp4,mxfp4,int4:g64:asym,fp8_e4m3:channel") << text("ctf")
            << text("ctf/model.safetensors");
        QTest::newRow("gguf") << text("gguf") << text("gguf:q4_0,gguf:q5_0,gguf:q8_0") << text("m.gguf")
                              << text("m.gguf");
        QTest::newRow("hdf5") << text("hdf5") << text("int3:g64,mxfp4,nvfp4,int8:channel:asym") << text("m.h5")
                              << text("m.h5");
    }
    void solveExportVerify()
    {
        QFETCH(QString, target);
        QFETCH(QString, candidates);
        QFETCH(QString, file);
        QFETCH(QString, damaged);
        const QString plan = path("plan.json");
        const Outcome solved = qloupe({text("solve"), kSample, text("--candidates"), candidates, text("--bpw"),
                                       text("5.0"), text("--target"), target, text("--pin"),
                                       text("*.layers.1.*down_proj*=") + candidates.section(QLatin1Char(','), -1),
                                       text("--out"), plan, text("--json")});
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        QVERIFY(solved.json().value(QLatin1String("bits_per_weight")).toDouble() <= 5.0);
        QVERIFY(solved.json().value(QLatin1String("optimal")).toBool());
        QVERIFY(solved.json().value(QLatin1String("predicted_loss")).toDouble() <
                solved.json().value(QLatin1String("best_uniform_loss")).toDouble());

        const Outcome exported = qloupe(
            {text("export"), kSample, text("--plan"), plan, text("--out"), m_folder.filePath(file), text("--json")});
        QVERIFY2(exported.exitCode == 0, exported.err.constData());
        QCOMPARE(exported.json().value(QLatin1String("bytes")).toDouble(),
                 exported.json().value(QLatin1String("predicted_bytes")).toDouble());
        QCOMPARE(solved.json().value(QLatin1String("file_bytes")).toDouble(),
                 exported.json().value(QLatin1String("bytes")).toDouble());

        const QStringList verify{text("verify"), m_folder.filePath(file), text("--against"), kSample, text("--json")};
        const Outcome verified = qloupe(verify);
        QVERIFY2(verified.exitCode == 0, verified.out.constData());
        QVERIFY(verified.json().value(QLatin1String("tensors")).toArray().size() == 0 &&
                verified.json().value(QLatin1String("tensors")).toInt() > 20);

        QFile written(m_folder.filePath(damaged));
        QVERIFY(written.open(QIODevice::ReadWrite));
        QVERIFY(written.seek(written.size() / 2));
        char byte = 0;
        QVERIFY(written.getChar(&byte));
        QVERIFY(written.seek(written.size() / 2));
        written.putChar(static_cast<char>(byte ^ 0x55));
        written.close();
        QCOMPARE(qloupe(verify).exitCode, 1);
    }
    void targetsHaveUsualCandidates_data()
    {
        QTest::addColumn<QString>("target");
        QTest::addColumn<QStringList>("usual");
        QTest::newRow("gguf") << text("gguf") << QStringList{text("gguf:iq2_s@imatrix"),  text("gguf:iq3_s@imatrix"),
                                                             text("gguf:iq4_xs@imatrix"), text("gguf:q4_k@imatrix"),
                                                             text("gguf:q5_k@imatrix"),   text("gguf:q6_k@imatrix"),
                                                             text("gguf:q8_0@imatrix"),   text("keep")};
        QTest::newRow("compressed-tensors") << text("compressed-tensors")
                                            << QStringList{text("int4:g128:s=bf16"),
                                                           text("int4:g64:s=bf16"),
                                                           text("int4:g32:s=bf16"),
                                                           text("int8:s=bf16"),
                                                           text("int8:g128:s=bf16"),
                                                           text("int8:g64:s=bf16"),
                                                           text("keep")};
    }
    /// What is measured where no candidates are given; q_proj has rows of 256.
    void targetsHaveUsualCandidates()
    {
        QFETCH(QString, target);
        QFETCH(QStringList, usual);
        const Outcome outcome = qloupe({text("sensitivity"), kSample, text("--layer"), text("*.layers.0.*q_proj*"),
                                        text("--target"), target, text("--json")});
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        QStringList measured;
        for (const QJsonValue& cell : outcome.json().value(QLatin1String("cells")).toArray())
            measured << cell.toObject().value(QLatin1String("candidate")).toString();
        QCOMPARE(measured, usual);
    }
    void exportsAskForTheActivationsOfTheirPlan()
    {
        const QString captured = kSample + text("/activations.npz");
        const Outcome solved =
            qloupe({text("solve"), kSample, text("--candidates"), text("gguf:iq4_xs@imatrix,gguf:q6_k@imatrix"),
                    text("--bpw"), text("6"), text("--target"), text("gguf"), text("--activations"), captured,
                    text("--out"), path("inputs.json")});
        QVERIFY2(solved.exitCode == 0, solved.err.constData());
        const QStringList exporting{text("export"),      kSample,       text("--plan"),
                                    path("inputs.json"), text("--out"), path("inputs.gguf")};
        const Outcome without = qloupe(exporting);
        QCOMPARE(without.exitCode, 3);
        QVERIFY2(without.err.contains("none are given: give those"), without.err.constData());
        QCOMPARE(qloupe(exporting + QStringList{text("--activations"), captured}).exitCode, 0);
        const QStringList verifying{text("verify"), path("inputs.gguf"), text("--against"), kSample};
        const Outcome blind = qloupe(verifying);
        QCOMPARE(blind.exitCode, 3);
        QVERIFY2(blind.err.contains("cannot be compared with its plan"), blind.err.constData());
        QCOMPARE(qloupe(verifying + QStringList{text("--activations"), captured}).exitCode, 0);
    }
    void sensitivityWithActivations()
    {
        const Outcome outcome = qloupe({text("sensitivity"), kSample, text("--layer"), text("*.layers.0.*"),
                                        text("--candidates"), text("int3:channel,int8:channel"), text("--activations"),
                                        kSample + text("/activations.npz"), text("--json")});
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        const QJsonArray cells = outcome.json().value(QLatin1String("cells")).toArray();
        QVERIFY(cells.size() >= 14);
        for (qsizetype i = 0; i + 1 < cells.size(); i += 2)
            QVERIFY(cells[i].toObject().value(QLatin1String("output_error")).toDouble() >
                    cells[i + 1].toObject().value(QLatin1String("output_error")).toDouble());
    }
    void reportIsSelfContained()
    {
        const Outcome outcome =
            qloupe({text("report"), kSample, text("--candidates"), text("int4:g64,int8:g64"), text("--bpw"), text("5"),
                    text("--target"), text("compressed-tensors"), text("--text"), kSample + text("/test.txt"),
                    text("--context"), text("64"), text("--windows"), text("3"), text("--out"), path("report"),
                    text("--pictures"), text("1"), text("--json")});
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        QVERIFY(outcome.json().value(QLatin1String("verified")).toBool());
        const Outcome validated = qloupe({text("validate"), kSample, text("--plan"), path("report/plan.json"),
                                          text("--text"), kSample + text("/test.txt"), text("--context"), text("64"),
                                          text("--windows"), text("3"), text("--json")});
        const QJsonObject other = validated.json().value(QLatin1String("other")).toObject();
        QCOMPARE(outcome.json().value(QLatin1String("kld")).toDouble(),
                 other.value(QLatin1String("kld")).toObject().value(QLatin1String("value")).toDouble());
        QFile html(path("report/report.html"));
        QVERIFY(html.open(QIODevice::ReadOnly));
        const QByteArray page = html.readAll();
        QVERIFY(page.contains("<svg") && page.contains("data:image/png;base64,") && page.contains("not KLD"));
        QVERIFY(page.contains("3 windows of 64 tokens") && page.contains("measured KLD"));
        QVERIFY(!page.contains("http://") && !page.contains("https://") && !page.contains(" src='/"));
    }
    void reportRunsAsTheRuntime()
    {
        const QStringList as{text("--as"), text("llama.cpp")};
        const QStringList ran{text("--text"), kSample + text("/test.txt"), text("--context"),
                              text("64"),     text("--windows"),           text("2"),
                              text("--json")};
        const QStringList report{text("report"), kSample,    text("--candidates"), text("gguf:q8_0"),
                                 text("--bpw"),  text("9"),  text("--target"),     text("gguf"),
                                 text("--out"),  path("as"), text("--pictures"),   text("0")};
        const Outcome outcome = qloupe(report + ran + as);
        QVERIFY2(outcome.exitCode == 0, outcome.err.constData());
        const QStringList validate{text("validate"), kSample, text("--plan"), path("as/plan.json")};
        const auto kld = [&](const QStringList& words) {
            const QJsonObject other = qloupe(words).json().value(QLatin1String("other")).toObject();
            return other.value(QLatin1String("kld")).toObject().value(QLatin1String("value")).toDouble();
        };
        const double rounded = kld(validate + ran + as);
        QCOMPARE(outcome.json().value(QLatin1String("kld")).toDouble(), rounded);
        QVERIFY(rounded != kld(validate + ran));
        QFile html(path("as/report.html"));
        QVERIFY(html.open(QIODevice::ReadOnly));
        QVERIFY(html.readAll().contains("activations rounded as llama.cpp does"));

        const Outcome nothingRuns = qloupe(report + as);
        QCOMPARE(nothingRuns.exitCode, 2);
        QVERIFY2(nothingRuns.err.contains("--text"), nothingRuns.err.constData());
        QCOMPARE(qloupe(report + ran + QStringList{text("--as"), text("nothing")}).exitCode, 2);
    }
    void refusedCandidatesAreNamed_data()
    {
        QTest::addColumn<QString>("candidate");
        QTest::addColumn<QByteArray>("mend");
        QTest::newRow("zero points") << text("int3:g64:asym") << QByteArray("zero points are taken with 4 and 8 bits");
        QTest::newRow("blocks") << text("fp8_e4m3:g128") << QByteArray("use fp8_e4m3:channel");
        QTest::newRow("formats") << text("mxfp6_e2m3") << QByteArray("int2 to int8, fp8_e4m3, mxfp4 and nvfp4");
        QTest::newRow("inputs") << text("int8:g64+a:int8") << QByteArray("int8:channel+a:int8:token");
    }
    void refusedCandidatesAreNamed()
    {
        QFETCH(QString, candidate);
        QFETCH(QByteArray, mend);
        const Outcome outcome =
            qloupe({text("solve"), kSample, text("--candidates"), candidate + text(",int8:g64"), text("--bpw"),
                    text("9"), text("--target"), text("compressed-tensors"), text("--out"), path("p.json")});
        QCOMPARE(outcome.exitCode, 0);
        QVERIFY2(outcome.err.contains("warning: " + candidate.toUtf8() + ": is refused for 28 of 28 layers"),
                 outcome.err.constData());
        QVERIFY2(outcome.err.contains(mend), outcome.err.constData());
    }
    void wrongInputHasItsCode()
    {
        QCOMPARE(qloupe({text("info"), path("missing.gguf")}).exitCode, 5);
        QFile junk(path("junk.bin"));
        QVERIFY(junk.open(QIODevice::WriteOnly));
        junk.write("this is no checkpoint");
        junk.close();
        QCOMPARE(qloupe({text("info"), junk.fileName()}).exitCode, 3);
        QCOMPARE(qloupe({text("dump"), kSample, text("--npz"), path("no/such/folder.npz")}).exitCode, 5);
        const Outcome refused = qloupe({text("solve"), kSample, text("--candidates"), text("int4:g64"), text("--bpw"),
                                        text("1"), text("--out"), path("p.json")});
        QCOMPARE(refused.exitCode, 3);
        QVERIFY2(refused.err.contains("bits"), refused.err.constData());
    }
};

QTEST_GUILESS_MAIN(CliTest)
#include "cli_test.moc"
