// SPDX-License-Identifier: GPL-3.0-or-later
// Variants go through every target: sizes are exact, files verify, what was untied is untied in them, and a file that
// keeps the weights runs as the variant does. Plans and variants that do not belong together are refused by name.
#include "core/checkpoint/stored_type.h"
#include "core/export/export.h"
#include "core/model/frontends/frontend.h"
#include "core/plan/plan_variant.h"
#include "core/realize/changed_tensors.h"
#include "core/realize/plan_weights.h"
#include "core/transforms/variant.h"
#include "tests/support/captured_inputs.h"
#include "tests/support/export_support.h"
#include "tests/support/tiny_llama.h"

#include <QTest>

using namespace ql;
using ql::test::CapturedInputs;
using ql::test::TemporaryFolder;
using ql::test::TinyLlama;

namespace {

graph::Values<float> tokensFor(const graph::Graph& graph)
{
    graph::Values<float> values;
    auto& tokens = values[graph.inputs.front()].integers = graph::Array<std::int64_t>({1, 24});
    for (std::int64_t i = 0; i < 24; ++i)
        tokens.write()[i] = (i * 7 + 3) % 30;
    return values;
}

} // namespace

class VariantExportTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{2};
    JobContext m_context{m_executor};
    TemporaryFolder m_folder;
    std::map<std::string, std::shared_ptr<const Activations>> m_inputs; // by fingerprint

    std::shared_ptr<const Model> open(const std::string& name, const std::string& dtype, bool tied)
    {
        TinyLlama tiny;
        tiny.dtype = dtype;
        tiny.tied = tied;
        const auto path = m_folder / name;
        name.ends_with(".gguf") ? tiny.writeGguf(path) : tiny.writeFolder(path);
        return openModel(path, m_context).value();
    }

    std::shared_ptr<const Activations> inputsOf(const Model& model)
    {
        auto& known = m_inputs[model.checkpoint->fingerprint()];
        if (known)
            return known;
        const auto graph = buildGraph(model).value();
        auto values = tokensFor(graph);
        const auto captured = std::make_shared<CapturedInputs>();
        const auto done = captured->run<float>(graph, graph::CheckpointWeights(model), values, m_context);
        if (!done)
            qFatal("%s", describe(done.error()).c_str());
        captured->finish();
        return known = captured;
    }

    std::vector<float> logits(const Model& model, const graph::WeightSource& weights)
    {
        const auto graph = buildGraph(model).value();
        auto values = tokensFor(graph);
        const auto done = graph::forwardAll<float>(graph, weights, values, m_context);
        if (!done)
            qFatal("%s", describe(done.error()).c_str());
        const auto& made = values.at(graph.outputs.front()).real;
        return {made.data(), made.data() + made.numel()};
    }

    static double largestDifference(const std::vector<float>& a, const std::vector<float>& b)
    {
        double worst = a.size() == b.size() ? 0 : INFINITY;
        for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
            worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
        return worst;
    }

private Q_SLOTS:
    void everyTarget_data()
    {
        QTest::addColumn<QString>("id");
        QTest::addColumn<QString>("candidate");
        QTest::addColumn<QString>("transform");
        QTest::addColumn<QString>("dtype");
        QTest::addColumn<bool>("tied");
        for (const char* transform :
             {"smooth", "hadamard:heads", "awq:sites=inner:scheme=int4:g32+hadamard:block=64", "permute+equalize"})
            for (const char* dtype : {"BF16", "F16"})
                for (const bool tied : {false, true})
                    for (const auto& [id, candidate] : {std::pair("compressed-tensors", "int4:g64"),
                                                        std::pair("gguf", "gguf:q4_0"), std::pair("hdf5", "nf4:g32")})
                        QTest::addRow("%s %s %s %s", id, transform, dtype, tied ? "tied" : "untied")
                            << QString::fromUtf8(id) << QString::fromUtf8(candidate) << QString::fromUtf8(transform)
                            << QString::fromUtf8(dtype) << tied;
    }
    void everyTarget()
    {
        QFETCH(QString, id);
        QFETCH(QString, candidate);
        QFETCH(QString, transform);
        QFETCH(QString, dtype);
        QFETCH(bool, tied);
        const auto model = open("model", dtype.toStdString(), tied);
        const auto variant =
            makeVariant(model, parseTransforms(transform.toStdString()).value(), inputsOf(*model), m_context);
        QVERIFY2(variant.has_value(), variant ? "" : describe(variant.error()).c_str());
        const Model& ran = *variant->model;
        const bool isUntied = tied && transform.contains(QStringLiteral("hadamard"));
        QCOMPARE(ran.tiedEmbedding, tied && !isUntied);
        QCOMPARE(ran.layers.size(), model->layers.size() + (isUntied ? 1 : 0));

        const Target& target = *findTarget(id.toStdString()).value();
        Plan plan = keepPlan(ran);
        QCOMPARE(plan.variant, transform.toStdString());
        plan.target = target.profile.id;
        for (std::size_t i = 0; i < ran.layers.size(); ++i)
            if (ran.layers[i].block >= 0 && ran.layers[i].quantizable)
                plan.candidates[i] = parseCandidate(candidate.toStdString()).value();
        plan = admit(target.profile, ran, plan).value();
        const auto bytes = target.profile.fileBytes(ran, plan);
        QVERIFY(bytes.has_value());
        const auto path = m_folder / ("out" + std::string(target.extension));
        const auto files = exportPlan(target, {ran, plan, variant->activations.get()}, path, m_context);
        QVERIFY2(files.has_value(), files ? "" : describe(files.error()).c_str());
        std::int64_t written = 0;
        for (const WrittenFile& file : *files)
            written += file.sizeBytes;
        QCOMPARE(written, *bytes);
        const auto report = verifyExport(ran, path, variant->activations.get(), m_context);
        QVERIFY2(report.has_value(), report ? "" : describe(report.error()).c_str());
        QVERIFY2(report->ok(), report->problems.empty() ? "" : report->problems.front().c_str());

        // The file belongs to the variant, and says so.
        QCOMPARE(variantOfPlan(target.embeddedPlan(path).value()).value(), transform.toStdString());
        const auto other = verifyExport(*model, path, nullptr, m_context);
        QVERIFY(!other.has_value());
        QVERIFY2(other.error().what.find("--transform " + transform.toStdString()) != std::string::npos,
                 other.error().what.c_str());
        std::filesystem::remove_all(path);
    }

    void factorsOfRowsAreWritten_data()
    {
        QTest::addColumn<QString>("id");
        QTest::addColumn<QString>("candidate");
        for (const auto& [id, candidate] :
             {std::pair("compressed-tensors", "int4:g64"), std::pair("compressed-tensors", "int8:channel"),
              std::pair("gguf", "gguf:q4_0"), std::pair("gguf", "gguf:q5_1"), std::pair("gguf", "gguf:iq4_nl"),
              std::pair("hdf5", "int4:g64:min"), std::pair("hdf5", "gguf:q8_0")})
            QTest::addRow("%s %s", id, candidate) << QString::fromUtf8(id) << QString::fromUtf8(candidate);
    }
    /// The files hold the changed scales, also beside other biases and gains, and run as the plan does.
    void factorsOfRowsAreWritten()
    {
        QFETCH(QString, id);
        QFETCH(QString, candidate);
        const auto model = open("rows", "BF16", true);
        const Target& target = *findTarget(id.toStdString()).value();
        Plan plan = keepPlan(*model);
        plan.target = target.profile.id;
        RowFactors factors;
        for (std::size_t i = 0; i < model->layers.size(); ++i) {
            const Layer& layer = model->layers[i];
            if (layer.block < 0 || !layer.quantizable)
                continue;
            plan.candidates[i] = parseCandidate(candidate.toStdString()).value();
            const CounterRng rng(4, i);
            auto& its = factors[static_cast<std::int64_t>(i)];
            while (std::ssize(its) < layer.shape.front())
                its.push_back(static_cast<float>(std::exp(0.2 * rng.normal(its.size()))));
        }
        plan = admit(target.profile, *model, plan).value();
        const auto scaled = withChangedTensors(*withChangedTensors(*model, {}, factors), {});
        const auto path = m_folder / ("rows_out" + std::string(target.extension));
        const auto files = exportPlan(target, {*scaled, plan, nullptr}, path, m_context);
        QVERIFY2(files.has_value(), files ? "" : describe(files.error()).c_str());
        std::int64_t written = 0;
        for (const WrittenFile& file : *files)
            written += file.sizeBytes;
        QCOMPARE(written, target.profile.fileBytes(*model, plan).value());
        const auto report = verifyExport(*scaled, path, nullptr, m_context);
        QVERIFY2(report.has_value() && report->ok(), report ? "differs" : describe(report.error()).c_str());
        const auto unscaled = verifyExport(*model, path, nullptr, m_context);
        QVERIFY(unscaled.has_value() && !unscaled->ok());
        // As far from the plan without factors as they are large, and no codes but its own.
        const auto cache = std::make_shared<CodeCache>(std::int64_t{1} << 30);
        const PlanWeights before(*model, plan, nullptr, nullptr, cache);
        const PlanWeights after(*scaled, plan, nullptr, nullptr, cache);
        const auto& [layer, its] = *factors.begin();
        const auto old = before.weights(layer, m_context).value();
        const auto now = after.weights(layer, m_context).value();
        const std::int64_t cols = old.view.shape.back();
        for (std::int64_t i = 0; i < old.view.numel(); ++i) {
            const double wanted = static_cast<double>(its[static_cast<std::size_t>(i / cols)]) *
                                  static_cast<double>(reinterpret_cast<const float*>(old.view.data)[i]);
            QVERIFY(std::fabs(static_cast<double>(reinterpret_cast<const float*>(now.view.data)[i]) - wanted) <
                    4e-3); // bf16 scales
        }
        std::filesystem::remove_all(path);
    }

    /// A folder whose layers are all kept is a model that computes what its variant does, rounded once.
    void keptWeightsRun_data()
    {
        QTest::addColumn<QString>("dtype");
        QTest::addColumn<double>("tolerance");
        QTest::addRow("F32") << "F32" << 2e-6;
        QTest::addRow("BF16") << "BF16" << 0.0;
    }
    void keptWeightsRun()
    {
        QFETCH(QString, dtype);
        QFETCH(double, tolerance);
        const auto model = open("kept", dtype.toStdString(), true);
        const auto variant =
            makeVariant(model, parseTransforms("smooth+hadamard").value(), inputsOf(*model), m_context).value();
        const std::vector<float> original = logits(*model, graph::CheckpointWeights(*model));
        const std::vector<float> exact = logits(*variant.model, graph::CheckpointWeights(*variant.model));
        QVERIFY(largestDifference(original, exact) < 2e-6);
        const Target& target = *findTarget("compressed-tensors").value();
        Plan plan = keepPlan(*variant.model);
        plan.target = target.profile.id;
        const auto path = m_folder / "kept_out";
        QVERIFY(exportPlan(target, {*variant.model, plan, nullptr}, path, m_context));
        const auto written = openModel(path, m_context).value();
        QVERIFY(!written->tiedEmbedding);
        const std::vector<float> read = logits(*written, graph::CheckpointWeights(*written));
        const PlanWeights predicted(*variant.model, plan, &target.profile, nullptr);
        QVERIFY(largestDifference(read, logits(*variant.model, predicted)) == 0);
        if (tolerance > 0)
            QVERIFY(largestDifference(read, original) < tolerance);
        else
            QVERIFY(largestDifference(read, original) > 0); // the rounding shows
        std::filesystem::remove_all(path);
    }

    /// From a GGUF file, to one with an output tensor behind all others.
    void ggufToGguf()
    {
        const std::filesystem::path source = QL_TEST_DATA "/frontends/llama/model.gguf";
        const auto model = openModel(source, m_context).value();
        const auto variant =
            makeVariant(model, parseTransforms("permute+hadamard").value(), nullptr, m_context).value();
        const Target& target = *findTarget("gguf").value();
        Plan plan = keepPlan(*variant.model);
        plan.target = target.profile.id;
        const auto path = m_folder / "out.gguf";
        const auto files = exportPlan(target, {*variant.model, plan, nullptr}, path, m_context);
        QVERIFY2(files.has_value(), files ? "" : describe(files.error()).c_str());
        const auto report = verifyExport(*variant.model, path, nullptr, m_context);
        QVERIFY2(report.has_value() && report->ok(), report ? "differs" : describe(report.error()).c_str());
        const auto written = openModel(path, m_context).value();
        const std::vector<float> read = logits(*written, graph::CheckpointWeights(*written));
        const PlanWeights predicted(*variant.model, plan, &target.profile, nullptr);
        QVERIFY(largestDifference(read, logits(*variant.model, predicted)) == 0);
        const std::vector<float> original = logits(*model, graph::CheckpointWeights(*model));
        const double largest = largestDifference(original, std::vector<float>(original.size(), 0));
        const std::vector<float> exact = logits(*variant.model, graph::CheckpointWeights(*variant.model));
        QVERIFY(largestDifference(exact, original) < 1e-5 * largest);
        QVERIFY(largestDifference(read, original) < 0.02 * largest); // bf16
    }

    void whatDoesNotBelongTogether()
    {
        const auto model = open("mismatch", "BF16", true);
        const auto activations = inputsOf(*model);
        const auto smooth = parseTransforms("smooth").value();
        const auto variant = makeVariant(model, smooth, activations, m_context).value();
        const std::string text = printPlan(keepPlan(*variant.model), *variant.model);
        QVERIFY(parsePlan(text, *variant.model));
        const auto onBase = parsePlan(text, *model);
        QVERIFY(!onBase && onBase.error().what.find("--transform smooth") != std::string::npos);
        const auto onVariant = parsePlan(printPlan(keepPlan(*model), *model), *variant.model);
        QVERIFY(!onVariant && onVariant.error().what.find("leave --transform out") != std::string::npos);
        // The same transforms by other activations.
        const auto twice =
            makeVariant(variant.model, parseTransforms("equalize").value(), variant.activations, m_context);
        QCOMPARE(variantOf(*twice->model->checkpoint), std::string("smooth+equalize"));
        class Others final : public Activations {
        public:
            explicit Others(const Activations& base) : m_base(base) {}
            const std::filesystem::path& path() const override { return m_base.path(); }
            std::span<const std::int64_t> layers() const override { return m_base.layers(); }
            const std::string& fingerprint() const override { return m_fingerprint; }
            Result<std::shared_ptr<const ActivationStatistics>> statistics(std::int64_t layer,
                                                                           const JobContext& context) const override
            {
                return m_base.statistics(layer, context);
            }

        private:
            const Activations& m_base;
            std::string m_fingerprint = "others";
        };
        const auto others = makeVariant(model, smooth, std::make_shared<Others>(*activations), m_context).value();
        const auto onOthers = parsePlan(text, *others.model);
        QVERIFY(!onOthers && onOthers.error().what.find("give the same --activations") != std::string::npos);
        // What looks at nothing is the same with any.
        const auto rotate = parseTransforms("hadamard").value();
        QCOMPARE(makeVariant(model, rotate, activations, m_context)->model->checkpoint->fingerprint(),
                 makeVariant(model, rotate, nullptr, m_context)->model->checkpoint->fingerprint());
        const auto none = makeVariant(model, smooth, nullptr, m_context);
        QVERIFY(!none && none.error().what.find("--activations") != std::string::npos);
    }

    void badTexts_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("named");
        const auto row = [](const char* text, const char* named) { QTest::newRow(text) << text << named; };
        row("smoth", "smooth, smooth_plus");
        row("smooth:alpha=2", "0 to 1");
        row("smooth:alpha=0.1:alpha=0.2", "given twice");
        row("smooth:beta=1", "alpha=");
        row("smooth:sites=none", "norms, inner, all");
        row("hadamard:block=36", "2^k");
        row("hadamard:tails", "heads");
        row("hadamard+", "unknown transform");
        row("awq:scheme=int4:q", "int4:q");
        row("awq:scheme=keep", "no codes");
        row("equalize:alpha=1", "it has none");
    }
    void badTexts()
    {
        QFETCH(QString, text);
        QFETCH(QString, named);
        const auto parsed = parseTransforms(text.toStdString());
        QVERIFY(!parsed);
        QCOMPARE(parsed.error().code, Errc::usage);
        QVERIFY2(parsed.error().what.find(named.toStdString()) != std::string::npos, parsed.error().what.c_str());
    }

    /// f16 ends at 65504.
    void overflowIsAnError()
    {
        const TensorInfo half{.name = "w", .dtype = Dtype::f16, .shape = {2}, .sizeBytes = 4, .file = {}};
        const float values[] = {1, 70000};
        const TensorData data{{Dtype::f32, {2}, reinterpret_cast<const std::byte*>(values)}, nullptr};
        const auto stored = asStored(half, data, m_context);
        QVERIFY(!stored);
        QCOMPARE(stored.error().code, Errc::refused);
        TensorInfo brain = half;
        brain.dtype = Dtype::bf16;
        QVERIFY(asStored(brain, data, m_context));
    }
};

QTEST_APPLESS_MAIN(VariantExportTest)
#include "variant_export_test.moc"
