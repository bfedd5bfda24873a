// SPDX-License-Identifier: GPL-3.0-or-later
// The exact probe on a tiny model, against the whole model run from the start.
#include "core/model/evaluation/evaluate.h"
#include "core/model/frontends/frontend.h"
#include "core/realize/planned_version.h"
#include "core/sensitivity/exact_probe.h"
#include "tests/support/memory_sink.h"

#include <QTest>

#include <cmath>

using namespace ql;
using test::MemorySink;

class ExactProbeTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;
    graph::Graph m_graph;
    Windows m_windows; // two groups

    LayerChange change(std::initializer_list<std::pair<const char*, const char*>> layers) const
    {
        LayerChange made;
        for (const auto& [name, candidate] : layers)
            made.emplace_back(m_model->indexOf(name), parseCandidate(candidate).value());
        return made;
    }
    ExactProbeTask task() const
    {
        return {.model = *m_model,
                .graph = m_graph,
                .windows = m_windows,
                .changes = {change({{"model.layers.0.mlp.up_proj.weight", "int4:channel@mse"}}),
                            change({{"lm_head.weight", "int4:channel"}}),
                            change({{"model.layers.1.mlp.down_proj.weight", "int3:channel"}}),
                            change({{"model.layers.0.mlp.up_proj.weight", "int4:channel@mse"},
                                    {"model.layers.1.mlp.down_proj.weight", "int3:channel"}})}};
    }
    std::vector<MeasuredChange> probed(const ExactProbeTask& task, const JobContext& context) const
    {
        std::vector<MeasuredChange> found(task.changes.size());
        const auto done = probeExactly(
            task, [&](const MeasuredChange& it) { found[it.change] = it; }, context);
        if (!done)
            qFatal("%s", describe(done.error()).c_str());
        return found;
    }

private Q_SLOTS:
    void initTestCase()
    {
        m_model = openModel(std::filesystem::path(QL_TEST_DATA) / "frontends/llama", m_context).value();
        m_graph = buildGraph(*m_model).value();
        m_windows.length = 32;
        for (std::int64_t i = 0; i < 129 * 32; ++i)
            m_windows.ids.push_back((i * i + 7 * i) % 37);
        QCOMPARE(m_windows.perGroup(), 128);
    }

    void equalsTheWholeModelRunFromTheStart()
    {
        const ExactProbeTask its = task();
        const auto found = probed(its, m_context);
        for (std::size_t i = 0; i < its.changes.size(); ++i) {
            Plan plan = keepPlan(*m_model);
            for (const auto& [layer, candidate] : its.changes[i])
                plan.candidates[static_cast<std::size_t>(layer)] = candidate;
            const auto version = plannedVersion(*m_model, {.plan = &plan}, m_context).value();
            const EvaluationTask evaluation{.graph = m_graph,
                                            .windows = m_windows,
                                            .model = ownVersion(*m_model),
                                            .other = &version,
                                            .onScores = {},
                                            .known = {}};
            const ComparisonScore score = comparisonOf(evaluate(evaluation, m_context).value(), m_windows.count());
            QCOMPARE(found[i].kld.size(), std::size_t{129});
            const WindowMean kld = meanOf(found[i].kld);
            QVERIFY(score.kld.value > 0);
            QVERIFY(std::fabs(kld.value - score.kld.value) <= 1e-9 * score.kld.value);
            QVERIFY(std::fabs(kld.standardError - score.kld.windowError) <= 1e-6 * score.kld.windowError);
            QVERIFY(std::fabs(meanOf(found[i].nllChange).value - score.lnRatio.value) <= 1e-9);
        }
        const WindowMean pair = coupling(found[3].kld, {&found[0].kld, &found[2].kld});
        const double expected = meanOf(found[3].kld).value - meanOf(found[0].kld).value - meanOf(found[2].kld).value;
        QVERIFY(std::fabs(pair.value - expected) <= 1e-9);
        QVERIFY(pair.standardError < meanOf(found[3].kld).standardError + meanOf(found[0].kld).standardError);
        QVERIFY(exactProbeBytes(its) > 0);
    }

    void continuesWhereItWasStopped()
    {
        ExactProbeTask its = task();
        MemorySink whole;
        its.sink = &whole;
        const auto expected = probed(its, m_context);
        QCOMPARE(whole.pieces.size(), std::size_t{4});
        MemorySink sink;
        sink.untilFailure = 2;
        its.sink = &sink;
        QVERIFY(!probeExactly(
            its, [](const MeasuredChange&) {}, m_context));
        QCOMPARE(sink.pieces.size(), std::size_t{2});
        sink.untilFailure = 2;
        Executor other(3, Executor::Backend::threads);
        const auto found = probed(its, JobContext(other));
        QVERIFY(sink.pieces == whole.pieces);
        for (std::size_t i = 0; i < found.size(); ++i)
            QCOMPARE(found[i].kld, expected[i].kld);
        std::stop_source source;
        source.request_stop();
        its.sink = nullptr;
        const auto stopped = probeExactly(
            its, [](const MeasuredChange&) {}, JobContext(m_executor, source.get_token()));
        QCOMPARE(stopped.error().code, Errc::cancelled);
    }

    void meansAreThoseOfWindows()
    {
        const WindowMean mean = meanOf({1, 2, 6});
        QCOMPARE(mean.value, 3.0);
        QVERIFY(std::fabs(mean.standardError - std::sqrt(7.0 / 3)) <= 1e-12); // (4 + 1 + 9)/2/3
        QVERIFY(std::isinf(meanOf({1}).standardError));
    }
};

QTEST_APPLESS_MAIN(ExactProbeTest)
#include "exact_probe_test.moc"
