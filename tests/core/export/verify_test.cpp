// SPDX-License-Identifier: GPL-3.0-or-later
// What verification notices: a bit of any tensor, a file that is cut short, and what is no export.
#include "core/checkpoint/reader.h"
#include "tests/support/export_sources.h"

using namespace ql;
using namespace ql::test;

class VerifyTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void everyTensorIsCompared_data()
    {
        exportColumns();
        QTest::newRow("ct") << QByteArray("folder bias") << QByteArray("compressed-tensors") << QByteArray(kMixedCt);
        QTest::newRow("ct formats") << QByteArray("folder") << QByteArray("compressed-tensors")
                                    << QByteArray(kEveryFormat);
        QTest::newRow("gguf") << QByteArray("gguf f16") << QByteArray("gguf") << QByteArray(kMixedGguf);
        QTest::newRow("gguf of a folder") << QByteArray("folder") << QByteArray("gguf") << QByteArray(kMixedFolder);
        QTest::newRow("hdf5") << QByteArray("folder") << QByteArray("hdf5") << QByteArray(kMixedHdf5);
        const QByteArray packed(
            "*q_proj*=gguf:q4_k *k_proj*=gguf:iq2_xs *up_proj*=gguf:iq4_nl *down*=gguf:q6_k@imatrix");
        QTest::newRow("hdf5 sums of parts")
            << QByteArray("folder") << QByteArray("hdf5")
            << QByteArray("*q_proj*=int4:g64+lr3 *k_proj*=int3:g50:asym+cols2+sparse1+lr2 *down*=mxfp4+sparse0.5");
        QTest::newRow("gguf packed") << QByteArray("folder wide") << QByteArray("gguf") << packed;
        QTest::newRow("hdf5 packed") << QByteArray("folder wide") << QByteArray("hdf5") << packed;
    }
    void everyTensorIsCompared()
    {
        QFETCH(QByteArray, source);
        QFETCH(QByteArray, id);
        QFETCH(QByteArray, plan);
        const Source opened = openSource(source, m_context);
        const Model& model = *opened.model;
        const TemporaryFolder out;
        const auto path = out / ("export" + std::string(targetOf(id).extension));
        QVERIFY(exportPlan(targetOf(id), {model, planOf(model, words(plan)), nullptr}, path, m_context).has_value());
        const auto file = std::filesystem::is_directory(path) ? path / "model.safetensors" : path;
        const auto exported = openCheckpoint(file, m_context);
        QVERIFY2(exported.has_value(), exported ? "" : describe(exported.error()).c_str());
        std::size_t touched = 0;
        for (const TensorInfo& tensor : (*exported)->tensors()) {
            if (tensor.offset < 0 || tensor.sizeBytes == 0)
                continue;
            ++touched;
            const std::int64_t offset = tensor.offset + tensor.sizeBytes / 2;
            flipBit(file, offset);
            const auto report = verifyExport(model, path, nullptr, m_context);
            flipBit(file, offset);
            QVERIFY2(report.has_value(), report ? "" : describe(report.error()).c_str());
            QVERIFY2(!report->ok(), tensor.name.c_str());
            std::vector<std::string> named;
            for (const VerifiedTensor& verified : report->tensors)
                if (!verified.ok())
                    named.push_back(verified.name);
            QVERIFY2(named.size() == 1, (tensor.name + ": " + problemsOf(*report)).c_str());
            const std::string module = named[0].substr(0, named[0].rfind('.'));
            const bool same = tensor.name.find(module) != std::string::npos || id == "gguf";
            QVERIFY2(same, (tensor.name + " but " + named[0]).c_str());
        }
        QVERIFY(touched >= model.layers.size());
        QVERIFY(verifyExport(model, path, nullptr, m_context).value().ok());
    }

    void verifyRefusesWhatIsNoExport()
    {
        const Source opened = openSource("folder", m_context);
        const TemporaryFolder out;
        std::ofstream(out / "noise") << "not a model";
        for (const auto& path : {out / "noise", out / "missing", out.path(), opened.model->checkpoint->path()}) {
            const auto report = verifyExport(*opened.model, path, nullptr, m_context);
            QVERIFY(!report);
            QVERIFY(!report.error().what.empty());
        }
    }

    void truncatedFilesAreErrorsNotCrashes_data() { allTargetsAsRows(); }
    void truncatedFilesAreErrorsNotCrashes()
    {
        QFETCH(QByteArray, id);
        const Source opened = openSource("folder", m_context);
        const Model& model = *opened.model;
        const TemporaryFolder out;
        const auto path = out / "export";
        QVERIFY(exportPlan(targetOf(id), {model, planOf(model, {}), nullptr}, path, m_context).has_value());
        const auto file = std::filesystem::is_directory(path) ? path / "model.safetensors" : path;
        const auto size = std::filesystem::file_size(file);
        for (const double part : {0.97, 0.5, 0.1, 0.001, 0.0}) {
            std::filesystem::resize_file(file, static_cast<std::uintmax_t>(static_cast<double>(size) * part));
            const auto report = verifyExport(model, path, nullptr, m_context);
            QVERIFY(!report || !report->ok());
        }
    }
};

QTEST_APPLESS_MAIN(VerifyTest)
#include "verify_test.moc"
