// SPDX-License-Identifier: GPL-3.0-or-later
// A written plan names the activations its quantizers saw: others, none, or some where there were none are told apart
// before anything is compared, and the bytes of a file do not depend on what is named.
#include "core/plan/plan_inputs.h"
#include "tests/support/export_support.h"
#include "tests/support/tiny_llama.h"

#include <QTest>

using namespace ql;
using namespace ql::test;

namespace {

/// Squares that grow with the column, for every layer; `steep` makes others of them.
class Inputs final : public Activations {
public:
    Inputs(const Model& model, std::string fingerprint, double steep)
        : m_model(model), m_fingerprint(std::move(fingerprint)), m_steep(steep), m_layers(model.quantizableLayers())
    {}
    const std::filesystem::path& path() const override { return m_path; }
    std::span<const std::int64_t> layers() const override { return m_layers; }
    const std::string& fingerprint() const override { return m_fingerprint; }
    Result<std::shared_ptr<const ActivationStatistics>> statistics(std::int64_t layer, const JobContext&) const override
    {
        auto found = std::make_shared<ActivationStatistics>();
        found->in = matrixShape(m_model.layers[static_cast<std::size_t>(layer)].shape).cols;
        found->tokens = 1;
        for (std::int64_t column = 0; column < found->in; ++column)
            found->channelRms.push_back(1 + m_steep * static_cast<double>(column % 17));
        return std::shared_ptr<const ActivationStatistics>(std::move(found));
    }

private:
    const Model& m_model;
    std::filesystem::path m_path = "captured.npz";
    std::string m_fingerprint;
    double m_steep;
    std::vector<std::int64_t> m_layers;
};

const std::string kFirst = "0123456789abcdef0123456789abcdef";
const std::string kSecond = "fedcba9876543210fedcba9876543210";

} // namespace

class PlanActivationsTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};
    TemporaryFolder m_folder;
    std::shared_ptr<const Model> m_model;

    std::filesystem::path write(const char* id, const std::vector<std::string>& plan, const Activations* activations,
                                const std::string& name)
    {
        const Target& target = *findTarget(id).value();
        const Plan wanted = planOf(*m_model, plan);
        const std::int64_t promised = target.profile.fileBytes(*m_model, wanted).value();
        const auto path = m_folder / (name + std::string(target.extension));
        const auto written = exportPlan(target, {*m_model, wanted, activations}, path, m_context);
        if (!written)
            throw std::runtime_error(describe(written.error()));
        if (bytesOnDisk(path) != promised)
            throw std::runtime_error(name + " has other bytes than were promised");
        return path;
    }
    std::string verified(const std::filesystem::path& path, const Activations* activations)
    {
        const auto report = verifyExport(*m_model, path, activations, m_context);
        return report ? problemsOf(*report) : describe(report.error());
    }
    static bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

private Q_SLOTS:
    void initTestCase()
    {
        TinyLlama tiny;
        tiny.writeFolder(m_folder / "model");
        m_model = openModel(m_folder / "model", m_context).value();
    }

    void exportsNameWhatTheirQuantizersSaw_data()
    {
        QTest::addColumn<QByteArray>("id");
        QTest::addColumn<QByteArray>("candidate");
        QTest::newRow("gguf") << QByteArray("gguf") << QByteArray("*mlp*=gguf:iq4_nl@imatrix");
        QTest::newRow("compressed-tensors") << QByteArray("compressed-tensors") << QByteArray("*mlp*=int4:g64@imatrix");
        QTest::newRow("hdf5") << QByteArray("hdf5") << QByteArray("*mlp*=int4:g64@imatrix");
    }
    void exportsNameWhatTheirQuantizersSaw()
    {
        QFETCH(QByteArray, id);
        QFETCH(QByteArray, candidate);
        const Inputs first(*m_model, kFirst, 0.5);
        const Inputs second(*m_model, kSecond, 0);
        const auto with = write(id.constData(), {candidate.toStdString()}, &first, "with-" + id.toStdString());
        const auto without = write(id.constData(), {candidate.toStdString()}, nullptr, "without-" + id.toStdString());
        QVERIFY(bytesOnDisk(with) > 0 && bytesOnDisk(with) == bytesOnDisk(without));
        const Plan plan = parsePlan(findTarget(id.toStdString()).value()->embeddedPlan(with).value(), *m_model).value();
        QCOMPARE(plan.activations, kFirst);

        QCOMPARE(verified(with, &first), std::string());
        QCOMPARE(verified(without, nullptr), std::string());
        const std::string none = verified(with, nullptr);
        QVERIFY2(has(none, "0123456789ab") && has(none, "none are given: give those"), none.c_str());
        const std::string other = verified(with, &second);
        QVERIFY2(has(other, "0123456789ab") && has(other, "fedcba987654") && has(other, "others are given"),
                 other.c_str());
        const std::string some = verified(without, &first);
        QVERIFY2(has(some, "no activations") && has(some, "leave them out") && has(some, "captured.npz"), some.c_str());
    }

    void whatLooksAtNothingNamesNothing()
    {
        const Inputs first(*m_model, kFirst, 0.5);
        const auto path = write("gguf", {"*mlp*=gguf:q8_0", "*attn*=f16"}, &first, "plain");
        QCOMPARE(parsePlan(findTarget("gguf").value()->embeddedPlan(path).value(), *m_model)->activations,
                 std::string());
        QCOMPARE(verified(path, nullptr), std::string());
        QCOMPARE(verified(path, &first), std::string());
    }

    void plansKeepTheName()
    {
        Plan plan = planOf(*m_model, {"*mlp*=int4:g64@gptq"});
        const std::string unnamed = printPlan(plan, *m_model);
        const Inputs study(*m_model, kFirst + "-fisher", 0.5); // what else a study knows changes no codes
        nameActivations(plan, &study);
        QCOMPARE(plan.activations, kFirst);
        const std::string named = printPlan(plan, *m_model);
        QCOMPARE(named.size(), unnamed.size());
        QCOMPARE(parsePlan(named, *m_model).value(), plan);
        QVERIFY(checkActivations(plan, &study));
        QVERIFY(!checkActivations(plan, nullptr));
        nameActivations(plan, nullptr);
        QVERIFY(plan.activations.empty());
        const auto wrong = parsePlan(R"({"quantloupe_plan": 1, "activations": 5})", *m_model);
        QVERIFY(!wrong && has(wrong.error().what, "'activations' must be text"));
    }
};

QTEST_APPLESS_MAIN(PlanActivationsTest)
#include "plan_activations_test.moc"
