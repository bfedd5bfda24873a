// SPDX-License-Identifier: GPL-3.0-or-later
// A checkpoint file that is cut short while it is open: whatever uses its tensors ends in an error that says so, never
// in numbers made of zeros, and leaves no file behind.
#include "core/analysis/analysis.h"
#include "core/realize/realize.h"
#include "core/sensitivity/metric.h"
#include "tests/support/export_support.h"
#include "tests/support/tiny_llama.h"

#include <QTest>

#include <functional>

using namespace ql;

using Use = std::function<Result<void>(const Model&)>;
Q_DECLARE_METATYPE(Use)

class CutShortTest : public QObject {
    Q_OBJECT
    test::TemporaryFolder m_folder;
    Executor m_executor{2};
    JobContext m_context{m_executor};

    std::filesystem::path source(bool gguf) const { return m_folder / (gguf ? "tiny.gguf" : "tiny"); }
    std::filesystem::path weights(bool gguf) const { return gguf ? source(true) : source(false) / "model.safetensors"; }

    /// Opens a whole model and then takes the greater part of its data away.
    std::shared_ptr<const Model> openAndCut(bool gguf)
    {
        const test::TinyLlama tiny;
        gguf ? tiny.writeGguf(source(true)) : tiny.writeFolder(source(false));
        auto model = openModel(source(gguf), m_context).value();
        std::filesystem::resize_file(weights(gguf), 64'000);
        return model;
    }
    static std::int64_t lastLayer(const Model& model) { return model.quantizableLayers().back(); }
    static Plan plan(const Model& model, const std::string& candidate)
    {
        return test::planOf(model, {"*down*=" + candidate});
    }

private Q_SLOTS:
    void everyUseSaysSo_data()
    {
        QTest::addColumn<Use>("use");
        QTest::addColumn<bool>("gguf");
        const auto row = [](const std::string& name, Use use, bool gguf = false) {
            QTest::newRow(name.c_str()) << std::move(use) << gguf;
        };
        row("realize", [this](const Model& model) -> Result<void> {
            QL_TRY(codes, realize(model, lastLayer(model), parseCandidate("int4:g64").value(), nullptr, m_context));
            return {};
        });
        row("measure", [this](const Model& model) -> Result<void> {
            const MeasureRequest request{.layers = {lastLayer(model)},
                                         .candidates = {parseCandidate("int4:g64").value()},
                                         .metrics = {allMetrics().front()}};
            int delivered = 0;
            auto measured = measure(
                model, request, [&](const Measurement&) { ++delivered; }, m_context);
            return delivered == 0 ? measured : badInput("delivered a measurement");
        });
        for (const Analysis* analysis : allAnalyses())
            row(std::string(analysis->id), [this, analysis](const Model& model) -> Result<void> {
                QL_TRY(json, analysis->run(model, lastLayer(model), m_context));
                return {};
            });
        const auto exportTo = [this](const char* id, const char* candidate) {
            return [this, id, candidate](const Model& model) -> Result<void> {
                const Plan chosen = plan(model, candidate);
                QL_TRY(files,
                       exportPlan(*findTarget(id).value(), {model, chosen, nullptr}, m_folder / "out", m_context));
                return {};
            };
        };
        row("export compressed-tensors", exportTo("compressed-tensors", "int4:g64"));
        row("export hdf5", exportTo("hdf5", "int4:g64"));
        row("export kept tensors", exportTo("hdf5", "keep"));
        row("export gguf from a folder", exportTo("gguf", "gguf:q8_0"));
        row("export gguf", exportTo("gguf", "gguf:q8_0"), true);
    }
    void everyUseSaysSo()
    {
        QFETCH(Use, use);
        QFETCH(bool, gguf);
        const auto model = openAndCut(gguf);
        const auto before = m_folder.entries();
        for (int i = 0; i < 2; ++i) { // the second time it is known before anything is read
            const auto used = use(*model);
            QVERIFY(!used);
            QVERIFY2(used.error().what.find("cut short") != std::string::npos, describe(used.error()).c_str());
            QCOMPARE(used.error().where, weights(gguf).string());
        }
        QCOMPARE(m_folder.entries(), before);
        QVERIFY(!model->loadWeights(0, m_context));
    }
    void verificationSaysSo()
    {
        test::TinyLlama().writeFolder(source(false));
        const auto model = openModel(source(false), m_context).value();
        const auto path = m_folder / "verified.h5";
        QVERIFY(exportPlan(*findTarget("hdf5").value(), {*model, plan(*model, "int4:g64"), nullptr}, path, m_context));
        QVERIFY(verifyExport(*model, path, nullptr, m_context).value().ok());
        std::filesystem::resize_file(weights(false), 64'000);
        const auto report = verifyExport(*model, path, nullptr, m_context);
        QVERIFY(!report);
        QVERIFY2(report.error().what.find("cut short") != std::string::npos, describe(report.error()).c_str());
    }
};

QTEST_APPLESS_MAIN(CutShortTest)
#include "cut_short_test.moc"
