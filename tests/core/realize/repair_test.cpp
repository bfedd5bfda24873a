// SPDX-License-Identifier: GPL-3.0-or-later
// Repairs of a small language model: what tuning reaches, what is held out, and the file that carries it.
#include "core/base/npz.h"
#include "core/base/rng.h"
#include "core/base/text.h"
#include "core/model/evaluation/divergence_gradients.h"
#include "core/model/frontends/frontend.h"
#include "core/realize/changed_tensors.h"
#include "core/realize/held_weights.h"
#include "core/realize/realize.h"
#include "core/realize/repair_file.h"
#include "core/realize/scaled_rows.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

#include <array>
#include <cmath>

using namespace ql;

namespace {

Windows randomWindows(std::int64_t count, std::int64_t length, std::int64_t vocabulary)
{
    Windows windows{length, {}};
    const CounterRng rng(3);
    for (std::int64_t i = 0; i < count * length; ++i)
        windows.ids.push_back(
            static_cast<std::int64_t>(rng.uniform(static_cast<std::uint64_t>(i)) * static_cast<double>(vocabulary)));
    return windows;
}

struct Opened {
    std::shared_ptr<const Model> model;
    graph::Graph graph;
    Plan plan;
    Windows windows = randomWindows(16, 24, 37);

    explicit Opened(const JobContext& context, const char* name = "llama", const char* candidate = "int3:channel")
        : model(openModel(std::filesystem::path(QL_TEST_DATA "/frontends") / name, context).value()),
          graph(buildGraph(*model).value()),
          plan(uniformPlan(*model, parseCandidates(candidate).value().front()))
    {}
    RepairTask task(const char* method) const
    {
        return {.model = model,
                .graph = graph,
                .own = ownVersion(*model),
                .settings = {.plan = &plan},
                .method = parseRepairMethod(method).value(),
                .windows = windows};
    }
};

} // namespace

class RepairTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    /// All weights as they are but gains of norms: the plan comes close again.
    void tuningBringsDisplacedGainsBack()
    {
        const Opened opened(m_context);
        const Norms norms = normsOf(*opened.model, opened.graph);
        std::vector<RepairedTensor> displaced;
        for (const Norm& norm : norms.norms) {
            RepairedTensor tensor{.layer = norm.gain, .values = {}};
            const std::vector<double> gain = vectorOf(*opened.model, norm.gain, m_context).value();
            for (const double value : gain)
                tensor.values.push_back(
                    static_cast<float>(value * (1 + 0.3 * CounterRng(8).normal(tensor.values.size()))));
            displaced.push_back(std::move(tensor));
        }
        const auto model = withRepairedTensors(*opened.model, displaced);
        std::vector<double> klds;
        const auto tuned = tuneScales({.model = *model,
                                       .graph = opened.graph,
                                       .windows = opened.windows,
                                       .own = ownVersion(*opened.model),
                                       .planned = ownVersion(*model),
                                       .settings = {.steps = 60, .batch = 4, .rate = 0.05},
                                       .onStep = [&](std::int64_t, double kld) { klds.push_back(kld); }},
                                      norms.norms, {}, m_context)
                               .value();
        QCOMPARE(std::ssize(klds), 60);
        QVERIFY2(klds.back() < 0.5 * klds.front(),
                 qPrintable(QStringLiteral("%1 %2").arg(klds.front()).arg(klds.back())));
        QCOMPARE(tuned.tensors.size(), displaced.size());
        QVERIFY(tuned.rowFactors.empty());
    }

    /// All weights nearly as they are but for factors on rows.
    void tuningBringsDisplacedRowsBack()
    {
        const Opened opened(m_context, "llama", "int8:channel");
        const ScaledRows rows = scaledRowsOf(*opened.model, opened.graph, opened.plan);
        QVERIFY(rows.notes.empty());
        std::vector<RepairedTensor> displaced;
        for (const LayerRows& its : rows.layers) {
            const Layer& layer = opened.model->layers[static_cast<std::size_t>(its.layer)];
            QVERIFY(layer.op == Operator::linear && layer.block >= 0);
            QCOMPARE(its.rows, layer.shape.front());
            RepairedTensor factors{.layer = its.layer, .values = {}};
            const CounterRng rng(8, static_cast<std::uint64_t>(its.layer));
            while (std::ssize(factors.values) < its.rows)
                factors.values.push_back(static_cast<float>(std::exp(0.3 * rng.normal(factors.values.size()))));
            displaced.push_back(std::move(factors));
        }
        const auto model = withRepairedTensors(*opened.model, {}, displaced);
        std::vector<double> klds;
        const auto tuned = tuneScales({.model = *model,
                                       .graph = opened.graph,
                                       .windows = opened.windows,
                                       .own = ownVersion(*opened.model),
                                       .planned = plannedVersion(*model, {.plan = &opened.plan}, m_context).value(),
                                       .settings = {.steps = 60, .batch = 4, .rate = 0.05},
                                       .onStep = [&](std::int64_t, double kld) { klds.push_back(kld); }},
                                      {}, rows.layers, m_context)
                               .value();
        QVERIFY2(klds.back() < 0.5 * klds.front(),
                 qPrintable(QStringLiteral("%1 %2").arg(klds.front()).arg(klds.back())));
        QVERIFY(tuned.tensors.empty());
        QCOMPARE(tuned.rowFactors.size(), displaced.size());
    }

    void schemesWithoutScalesOfRowsAreNamed()
    {
        const Opened opened(m_context, "llama", "int4:tensor");
        const ScaledRows rows = scaledRowsOf(*opened.model, opened.graph, opened.plan);
        QVERIFY(rows.layers.empty());
        QCOMPARE(rows.notes.size(), 1U);
        QCOMPARE(rows.notes.front().where, std::string("int4:tensor"));
        const auto refused = findRepair(opened.task("kld:tune=rows"), m_context);
        QVERIFY(!refused && refused.error().code == Errc::refused);
        QVERIFY(scaledRowsOf(*opened.model, opened.graph, keepPlan(*opened.model)).notes.empty());
    }

    void heldOutWindowsAreScored_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("method");
        for (const char* name : {"llama", "gemma2", "gpt2"})
            QTest::addRow("%s", name) << name << "kld:steps=40:batch=4:rate=0.02";
        for (const char* tuned : {"rows", "both"})
            QTest::newRow(tuned) << "llama"
                                 << QStringLiteral("kld:steps=40:batch=4:rate=0.02:tune=") + QLatin1String(tuned);
        QTest::newRow("statistics") << "llama"
                                    << "statistics";
    }
    void heldOutWindowsAreScored()
    {
        QFETCH(QString, name);
        QFETCH(QString, method);
        const Opened opened(m_context, name.toUtf8().constData(), "int2:channel");
        const Repair repair = findRepair(opened.task(method.toUtf8().constData()), m_context).value();
        const HeldOutScore& score = repair.heldOut;
        QCOMPARE(score.cases, 4);
        if (method.startsWith(QLatin1String("kld")))
            QVERIFY2(score.isBetter(),
                     qPrintable(QStringLiteral("%1 %2 %3").arg(score.before).arg(score.after).arg(score.error)));
        // Computed once more, from other code: mean KLD of all positions but the last of the last four windows is near.
        QCOMPARE(repair.tensors.empty(), method.endsWith(QLatin1String("rows")));
        QCOMPARE(repair.rowFactors.empty(), !method.contains(QLatin1String("tune")));
        const auto model = withRepairedTensors(*opened.model, repair.tensors, repair.rowFactors);
        const graph::CheckpointWeights own(*opened.model);
        const auto states = HeadStates<float>::of(opened.graph, own, opened.windows, m_context).value();
        for (const auto& [its, value] : {std::pair(opened.model, score.before), {model, score.after}}) {
            const ModelVersion version = plannedVersion(*its, {.plan = &opened.plan}, m_context).value();
            const auto found = divergenceGradient<float>({opened.graph,
                                                          *version.weights,
                                                          states,
                                                          opened.windows,
                                                          {12, 13, 14, 15},
                                                          {normsOf(*opened.model, opened.graph).norms.front().gain}},
                                                         m_context)
                                   .value();
            QVERIFY2(std::fabs(found.kld - value) < 0.1 * value, qPrintable(QString::number(found.kld / value)));
        }
    }

    /// Steps that are far too large: what checks saw to be least is kept, and other windows judge it.
    void checksKeepTheBest()
    {
        const Opened opened(m_context, "llama", "int2:channel");
        const Repair repair = findRepair(opened.task("kld:steps=7:rate=1:tune=both:check=3"), m_context).value();
        QCOMPARE(repair.heldOut.cases, 2); // of four
        QCOMPARE(repair.checks.size(), 4U);
        const std::array<std::int64_t, 4> steps{0, 3, 6, 7};
        QVERIFY(std::ranges::equal(repair.checks, steps, {}, &TuningCheck::steps));
        const auto best = std::ranges::min_element(repair.checks, {}, &TuningCheck::kld);
        QCOMPARE(repair.keptSteps, best->steps);
        QVERIFY(repair.checks.back().kld > best->kld);
        // What was kept, and what was there at first, computed once more; int2's float scales take factors nearly as
        // they are.
        const graph::CheckpointWeights own(*opened.model);
        const auto states = HeadStates<float>::of(opened.graph, own, opened.windows, m_context).value();
        const auto kept = withRepairedTensors(*opened.model, repair.tensors, repair.rowFactors);
        for (const auto& [its, value] : {std::pair(opened.model, repair.checks.front().kld), {kept, best->kld}}) {
            const ModelVersion version = plannedVersion(*its, {.plan = &opened.plan}, m_context).value();
            const auto found = divergenceGradient<float>({opened.graph,
                                                          *version.weights,
                                                          states,
                                                          opened.windows,
                                                          {12, 13},
                                                          {normsOf(*opened.model, opened.graph).norms.front().gain}},
                                                         m_context)
                                   .value();
            QVERIFY2(std::fabs(found.kld - value) < 1e-3 * value, qPrintable(QString::number(found.kld / value)));
        }
        RepairTask few = opened.task("kld:check=3");
        few.heldOut = 0;
        const auto refused = findRepair(few, m_context);
        QVERIFY(!refused && refused.error().code == Errc::usage);
    }

    void threadsDoNotMatter()
    {
        const Opened opened(m_context);
        std::vector<std::vector<float>> first;
        for (const int threads : {1, 3}) {
            Executor executor(threads);
            const JobContext context(executor);
            std::vector<std::vector<float>> values;
            const Repair repair = findRepair(opened.task("kld:steps=3:tune=both:check=2"), context).value();
            QVERIFY(!repair.tensors.empty() && !repair.rowFactors.empty());
            for (const auto* const tensors : {&repair.tensors, &repair.rowFactors})
                for (const RepairedTensor& tensor : *tensors)
                    values.push_back(tensor.values);
            if (first.empty())
                first = values;
            QVERIFY(first == values);
        }
    }

    void methodsArePrintedAndParsed()
    {
        for (const char* text : {"statistics:moments", "statistics:least_squares",
                                 "kld:steps=3:batch=2:rate=0.25:seed=9:tune=norms:check=0",
                                 "kld:steps=3:batch=2:rate=0.25:seed=9:tune=both:check=5"})
            QCOMPARE(printRepairMethod(parseRepairMethod(text).value()), std::string(text));
        QVERIFY(parseRepairMethod("kld").value().isTuned);
        QVERIFY(parseRepairMethod("kld").value().tuning.scales == TunedScales::norms);
        // Factors of rows diverge at the rate that suits gains.
        for (const auto& [text, rate] : {std::pair("kld", 0.01),
                                         {"kld:tune=norms", 0.01},
                                         {"kld:tune=rows", 0.0005},
                                         {"kld:tune=both", 0.0005},
                                         {"kld:rate=0.01:tune=rows", 0.01},
                                         {"kld:tune=both:rate=0.0005:tune=norms", 0.0005}})
            QCOMPARE(parseRepairMethod(text).value().tuning.usedRate(), rate);
        const std::string printed = printRepairMethod(parseRepairMethod("kld:tune=rows").value());
        QVERIFY2(printed.find(":rate=" + formatDouble(0.0005) + ":") != std::string::npos, printed.c_str());
        for (const char* text : {"", "adam", "statistics:", "statistics:median", "kld:", "kld:steps=0", "kld:steps",
                                 "kld:rate=2", "kld:rate=nan", "kld:seed=-1", "kld:batch=1.5", "kld:tempo=3",
                                 "kld:tune=", "kld:tune=all", "kld:check=-1", "kld:check"}) {
            const auto parsed = parseRepairMethod(text);
            QVERIFY2(!parsed && parsed.error().code == Errc::usage, text);
        }
    }

    void refusals()
    {
        const Opened opened(m_context);
        RepairTask task = opened.task("kld");
        task.windows = randomWindows(1, 24, 37);
        QVERIFY(!findRepair(task, m_context));
        Opened rounding(m_context, "llama", "int8:channel+a:int8:token");
        const auto refused = findRepair(rounding.task("kld"), m_context);
        QVERIFY(!refused && refused.error().code == Errc::refused);
        QVERIFY(refused.error().what.find("statistics") != std::string::npos);
        QVERIFY(findRepair(rounding.task("statistics"), m_context));
        std::stop_source stop;
        stop.request_stop();
        const JobContext stopped(m_executor, stop.get_token());
        const auto cancelled = findRepair(opened.task("kld"), stopped);
        QVERIFY(!cancelled && cancelled.error().code == Errc::cancelled);
    }

    void fileBringsItBack()
    {
        const test::TemporaryFolder folder;
        const auto path = folder.path() / "repair.npz";
        const Opened opened(m_context);
        const Repair repair = findRepair(opened.task("kld:steps=2:tune=both"), m_context).value();
        const std::string plan = planIdentity(*opened.model, opened.plan, nullptr, nullptr);
        QVERIFY(writeRepair(repair, *opened.model, {.plan = plan, .method = "kld", .inputs = "random"}, path));
        const AppliedRepair applied = applyRepair(opened.model, plan, path, m_context).value();
        QVERIFY(!applied.fingerprint.empty());
        for (const RepairedTensor& tensor : repair.tensors) {
            const auto read = vectorOf(*applied.model, tensor.layer, m_context).value();
            for (std::size_t c = 0; c < read.size(); ++c)
                QCOMPARE(read[c], static_cast<double>(tensor.values[c]));
        }
        QVERIFY(!repair.rowFactors.empty());
        for (const RepairedTensor& factors : repair.rowFactors) {
            const auto read = rowFactorsOf(*applied.model, factors.layer);
            QVERIFY(std::ranges::equal(read, factors.values));
            QVERIFY(std::ranges::any_of(read, [](float factor) { return factor != 1; }));
            const auto index = static_cast<std::size_t>(factors.layer);
            const Candidate& candidate = opened.plan.candidates[index];
            const auto old = realize(*opened.model, factors.layer, candidate, nullptr, m_context).value();
            const auto now = realize(*applied.model, factors.layer, candidate, nullptr, m_context).value();
            for (std::size_t r = 0; r < read.size(); ++r)
                QCOMPARE(now.scales[r], old.scales[r] * read[r]);
        }

        Plan other = opened.plan;
        other.candidates[static_cast<std::size_t>(opened.model->quantizableLayers().front())] =
            parseCandidates("int4:channel").value().front();
        const auto anotherPlan =
            applyRepair(opened.model, planIdentity(*opened.model, other, nullptr, nullptr), path, m_context);
        QVERIFY(!anotherPlan && anotherPlan.error().code == Errc::refused);
        QVERIFY(anotherPlan.error().what.find("another plan") != std::string::npos);
        const Opened stranger(m_context, "qwen2");
        const auto anotherModel = applyRepair(stranger.model, plan, path, m_context);
        QVERIFY(!anotherModel && anotherModel.error().code == Errc::refused);
        QVERIFY(anotherModel.error().what.find("checkpoint") != std::string::npos);

        const auto withTensor = [&](std::string_view name, const std::vector<float>& values, bool isRepair) {
            const auto damaged = folder.path() / "damaged.npz";
            auto npz = NpzWriter::create(damaged).value();
            const std::string text = "{\"quantloupe_repair\": 1, \"checkpoint\": \"" +
                                     opened.model->checkpoint->fingerprint() + "\", \"plan\": \"" + plan + "\"}";
            const std::int64_t length = std::ssize(text);
            const std::int64_t count = std::ssize(values);
            if ((isRepair && !npz.add("about", "u1", std::span(&length, 1), std::as_bytes(std::span(text)))) ||
                !npz.add(name, "f4", std::span(&count, 1), std::as_bytes(std::span(values))) || !npz.commit())
                qFatal("not written");
            const auto result = applyRepair(opened.model, plan, damaged, m_context);
            return result ? std::string() : result.error().what;
        };
        const Norm norm = normsOf(*opened.model, opened.graph).norms.front();
        const std::string name = opened.model->layers[static_cast<std::size_t>(norm.gain)].name;
        std::vector<float> values(static_cast<std::size_t>(norm.channels), 1.0F);
        QCOMPARE(withTensor(name, values, true), std::string());
        QVERIFY(withTensor(name, values, false).find("no repair") != std::string::npos);
        QVERIFY(withTensor("nobody", values, true).find("no layer") != std::string::npos);
        QVERIFY(withTensor(name, {1.0F}, true).find("shape") != std::string::npos);
        values.back() = std::nanf("");
        QVERIFY(withTensor(name, values, true).find("not finite") != std::string::npos);

        const RepairedTensor& factors = repair.rowFactors.front();
        const std::string layer = opened.model->layers[static_cast<std::size_t>(factors.layer)].name;
        values = factors.values;
        QCOMPARE(withTensor(layer + ".row_factors", values, true), std::string());
        QVERIFY(withTensor(layer, values, true).find("no norm") != std::string::npos);
        QVERIFY(withTensor(name + ".row_factors", values, true).find("not quantized") != std::string::npos);
        QVERIFY(withTensor("nobody.row_factors", values, true).find("no layer") != std::string::npos);
        values.back() = 0;
        QVERIFY(withTensor(layer + ".row_factors", values, true).find("above 0") != std::string::npos);
        values.pop_back();
        QVERIFY(withTensor(layer + ".row_factors", values, true).find("rows") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(RepairTest)
#include "repair_test.moc"
