// SPDX-License-Identifier: GPL-3.0-or-later
// Files written by numpy, h5py, keras and onnx, with every dtype and layout those offer: name, dtype, shape, bytes and
// values of every tensor. tests/data/checkpoints/make_*.py wrote the files and what has to be found in them.
#include "tests/support/golden_checkpoint.h"

#include <QTest>

using namespace ql;

class GoldenTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void files_data()
    {
        QTest::addColumn<QString>("path");
        int count = 0;
        for (const auto& entry : std::filesystem::directory_iterator(QL_TEST_DATA "/checkpoints")) {
            const std::filesystem::path json = entry.path().string() + ".json";
            if (!std::filesystem::exists(json) || entry.path().extension() == ".json")
                continue;
            QTest::newRow(entry.path().filename().c_str()) << QString::fromStdString(entry.path().string());
            ++count;
        }
        QVERIFY(count > 5);
    }
    void files()
    {
        QFETCH(QString, path);
        Executor executor(2);
        const JobContext context(executor);
        const auto checkpoint = openCheckpoint(path.toStdString(), context);
        QVERIFY2(checkpoint, checkpoint ? "" : describe(checkpoint.error()).c_str());
        const std::string difference = test::firstDifference(**checkpoint, path.toStdString() + ".json", context);
        QVERIFY2(difference.empty(), difference.c_str());
        QVERIFY((*checkpoint)->fingerprint().size() == 32);
        QCOMPARE((*openCheckpoint(path.toStdString(), context))->fingerprint(), (*checkpoint)->fingerprint());
        QVERIFY(!(*checkpoint)->load(-1, context));
        QVERIFY(!(*checkpoint)->load(std::ssize((*checkpoint)->tensors()), context));
    }
    void refusals_data()
    {
        QTest::addColumn<QByteArray>("file");
        QTest::addColumn<QByteArray>("says");
        QTest::newRow("objects") << QByteArray("numpy_object.npy") << QByteArray("would run code");
        QTest::newRow("text") << QByteArray("numpy_text.npy") << QByteArray("holds text");
        QTest::newRow("records") << QByteArray("numpy_records.npy") << QByteArray("several fields");
        QTest::newRow("ONNX data above the folder") << QByteArray("onnx_bad_climbs.onnx") << QByteArray("not inside");
        QTest::newRow("ONNX data at the root") << QByteArray("onnx_bad_absolute.onnx") << QByteArray("not inside");
        QTest::newRow("ONNX data behind the end") << QByteArray("onnx_bad_beyond.onnx") << QByteArray("needs 48 B");
        QTest::newRow("ONNX data before the start")
            << QByteArray("onnx_bad_negative.onnx") << QByteArray("no position");
        QTest::newRow("ONNX data missing") << QByteArray("onnx_bad_missing.onnx") << QByteArray("Put it beside");
        QTest::newRow("ONNX data is a folder") << QByteArray("onnx_bad_folder.onnx") << QByteArray("is a directory");
        QTest::newRow("long double") << QByteArray("numpy_longdouble.npy") << QByteArray("machine-dependent");
    }
    void refusals()
    {
        QFETCH(QByteArray, file);
        QFETCH(QByteArray, says);
        Executor executor(1);
        const auto checkpoint = openCheckpoint(QL_TEST_DATA "/checkpoints/" + file.toStdString(), JobContext(executor));
        QVERIFY(!checkpoint);
        QVERIFY2(checkpoint.error().what.find(says.toStdString()) != std::string::npos,
                 checkpoint.error().what.c_str());
        QVERIFY(checkpoint.error().where.find(file.toStdString()) != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(GoldenTest)
#include "golden_test.moc"
