// SPDX-License-Identifier: GPL-3.0-or-later
// The real qloupe where its output is lost, memory ends, or words make no sense: it says so, by sentence and exit code.
#include "tests/support/onnx_builder.h"
#include "tests/support/qloupe.h"
#include "tests/support/temporary_folder.h"

#include <sys/sysinfo.h>

#include <QFile>
#include <QTest>

using namespace ql::test;

namespace {

const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");

} // namespace

class CliRefusalsTest : public QObject {
    Q_OBJECT
    TemporaryFolder m_folder;
    QString path(const char* name) const { return QString::fromStdString((m_folder.path() / name).string()); }

private Q_SLOTS:
    void initTestCase()
    {
        const std::filesystem::path data = QL_TEST_DATA;
        std::filesystem::copy(data / "frontends/bert", m_folder.path() / "bert");
        std::filesystem::copy_file(data / "tokenizers/bert/tokenizer.json", m_folder.path() / "bert/tokenizer.json");
    }

    void lostOutputIsAnError()
    {
        for (const QStringList& words :
             {QStringList{text("info"), kSample}, {text("list"), text("formats"), text("--json")}, {text("--help")}}) {
            const Outcome full = qloupeInShell(text(R"("$@" >/dev/full)"), words);
            QCOMPARE(full.exitCode, 5);
            QVERIFY2(full.err.contains("standard output cannot be written"), full.err.constData());
            QCOMPARE(qloupeInShell(text(R"("$@" >&-)"), words).exitCode, 5);
        }
        QCOMPARE(qloupeInShell(text(R"("$@" >/dev/full)"), {text("fly")}).exitCode, 2);
        // What is printed must not end in a file that was opened where standard output was.
        const QStringList run{text("run"), kSample, text("--ids"), text("1,2"), text("--npz"), path("logits.npz")};
        QCOMPARE(qloupeInShell(text(R"("$@" >&-)"), run).exitCode, 5);
        QFile written(path("logits.npz"));
        QVERIFY(written.open(QIODevice::ReadOnly));
        QVERIFY(!written.readAll().contains("shape\n"));
        QCOMPARE(qloupe({text("info"), written.fileName()}).exitCode, 0);
    }

    void memoryEndsInAnError()
    {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        QSKIP("sanitizers map more memory than there is");
#endif
        QProcess waiting; // for a text on standard input
        waiting.start(kQloupe, {text("tokenize"), kSample});
        QVERIFY(waiting.waitForStarted());
        struct sysinfo machine {};
        QCOMPARE(::sysinfo(&machine), 0);
        const double all = static_cast<double>(machine.totalram + machine.totalswap) * machine.mem_unit;
        const auto limits = [&] {
            QFile file(QStringLiteral("/proc/%1/limits").arg(waiting.processId()));
            return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
        };
        const auto dataSize = [&] {
            for (const QByteArray& line : limits().split('\n'))
                if (line.startsWith("Max data size"))
                    return line.simplified().split(' ').value(3);
            return QByteArray();
        };
        QTRY_VERIFY2(dataSize().toDouble() > 0.01 * all && dataSize().toDouble() < all, limits().constData());
        waiting.closeWriteChannel();
        QVERIFY(waiting.waitForFinished());

        // Each node doubles what it gets: no single array is too large, until one is.
        std::string nodes;
        std::string last = "x";
        for (int i = 0; i < 40; ++i) {
            const std::string next = "v" + std::to_string(i);
            nodes += onnxNode("Concat", {last, last}, {next}, onnxInt("axis", 0));
            last = next;
        }
        m_folder.write("doubling.onnx", onnxModel(onnxGraph(nodes + onnxTensor("x", {1}, {1}), {}, {last})));
        const Outcome outcome = qloupeInShell(text(R"(ulimit -d 500000 && exec "$@")"),
                                              {text("run"), path("doubling.onnx"), text("--npz"), path("y.npz")});
        QCOMPARE(outcome.exitCode, 5);
        QVERIFY2(outcome.err.contains("(concat): needs more memory than there is"), outcome.err.constData());
    }

    void wordsWithoutSense_data()
    {
        QTest::addColumn<QString>("words");
        QTest::addColumn<int>("exitCode");
        QTest::addColumn<QByteArray>("says");
        const auto row = [](const char* words, const char* says, int exitCode = 2) {
            QTest::newRow(words) << text(words) << exitCode << QByteArray(says);
        };
        row("validate SAMPLE --text TEXT --windows -3", "-3 is not 0 or more");
        row("validate SAMPLE --text TEXT --context 2", "take a context of 3 or more");
        row("validate SAMPLE --text TEXT --context 99999", "TEXT: the text has ");
        row("validate SAMPLE --text TEXT --keep-first-token", "add --plan");
        row("validate SAMPLE --text TEXT --activations nowhere.qloupe", "add --plan");
        row("validate SAMPLE --text TEXT --windows 1 --context 600", "more than the 512 tokens", 0);
        row("generate BERT --prompt x", "BERT: is no causal language model", 3);
        row("generate SAMPLE --prompt x --tokens 0", "give 1 to ");
        row("generate SAMPLE --prompt x --tokens 9223372036854775807", "give 1 to ");
        row("validate BERT --text TEXT --score-all", "--score-all is for language models");
        row("validate SAMPLE --text TEXT --labels labels.csv", "--labels requires --images");
        row("validate SAMPLE --text TEXT --inputs a.npz", "--text excludes --inputs");
        row("calibrate SAMPLE --out s.qloupe --inputs a.npz --images folder", "--inputs excludes --images");
        row("calibrate SAMPLE --out s.qloupe --text TEXT --cases 3", "--text excludes --cases");
        row("calibrate SAMPLE --out s.qloupe --inputs a.npz --cases -3", "-3 is not 0 or more");
        row("calibrate SAMPLE --out s.qloupe --inputs a.npz --fisher", "--inputs excludes --fisher");
        row("calibrate SAMPLE --out s.qloupe --text t.txt --output-gram", "--output-gram requires --fisher");
        row("run SAMPLE --ids 1,5000 --npz n.npz", "there is no row 5000", 3);
        row("solve SAMPLE --bpw nan --out p.json", "nan is not above 0");
        row("solve SAMPLE --bpw 0 --out p.json", "0 is not above 0");
        row("solve SAMPLE --bpw 5 --out p.json --activations nowhere.qloupe", "there is no such study", 5);
        row("curvature SAMPLE --text TEXT --probes 0", "0 is not 1 or more");
        row("curvature SAMPLE --text TEXT --slice --points 4", "--points takes an odd number");
        row("curvature SAMPLE --text TEXT --slice --out s.txt", "the grid is written as .csv or .png");
        row("curvature SAMPLE --text TEXT --tolerance -1", "-1 is not 0 or more");
        row("curvature SAMPLE --text TEXT --layer *norm*", "none of the layers that '*norm*' matches");
    }
    void wordsWithoutSense()
    {
        QFETCH(QString, words);
        QFETCH(int, exitCode);
        QFETCH(QByteArray, says);
        const auto named = [this](QString line) {
            return line.replace(text("BERT"), path("bert"))
                .replace(text("SAMPLE"), kSample)
                .replace(text("TEXT"), kSample + text("/test.txt"));
        };
        const Outcome outcome = qloupe(named(words).split(u' '));
        QCOMPARE(outcome.exitCode, exitCode);
        QVERIFY2(outcome.err.contains(named(QString::fromUtf8(says)).toUtf8()), outcome.err.constData());
        QVERIFY2(exitCode == 0 || outcome.out.isEmpty(), outcome.out.constData());
    }
};

QTEST_GUILESS_MAIN(CliRefusalsTest)
#include "cli_refusals_test.moc"
