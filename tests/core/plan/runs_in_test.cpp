// SPDX-License-Identifier: GPL-3.0-or-later
// Groups of schemes by where they run: every scheme that some target takes is in the group of the first that does.
#include "core/export/export.h"
#include "core/plan/runs_in.h"

#include <QTest>

#include <algorithm>
#include <set>

using namespace ql;

class RunsInTest : public QObject {
    Q_OBJECT

    Executor m_executor{1};
    std::shared_ptr<const Model> m_model;
    std::vector<const TargetProfile*> m_targets;
    const Layer& layer(const char* name) const
    {
        return m_model->layers[static_cast<std::size_t>(m_model->indexOf(name))];
    }

private Q_SLOTS:
    void initTestCase()
    {
        m_model = openModel(QL_SOURCE_DIR "/resources/sample", JobContext(m_executor)).value();
        for (const Target* target : allTargets())
            m_targets.push_back(&target->profile);
    }

    void everySchemeIsInTheGroupOfTheFirstTargetThatTakesIt()
    {
        const Layer& its = layer("model.layers.0.self_attn.q_proj.weight");
        const auto groups = schemeGroups(*m_model, its, m_targets);
        QVERIFY(groups.size() >= 2);
        QCOMPARE(groups.front().title(), std::string("runs in compressed-tensors"));
        QVERIFY(groups.back().target->onlyStores);
        QCOMPARE(groups.back().title(), std::string("research (stored in hdf5 only)"));
        std::set<std::string> seen;
        for (const SchemeGroup& group : groups) {
            QVERIFY(!group.schemes.empty());
            for (const Scheme& scheme : group.schemes) {
                const std::string text = printScheme(scheme);
                QVERIFY2(seen.insert(text).second, text.c_str());
                const Candidate candidate{.weights = scheme, .activations = {}, .quantizer = {}};
                const auto targets = runsIn(*m_model, its, candidate, m_targets);
                QVERIFY2(!targets.empty() && targets.front() == group.target, text.c_str());
            }
        }
        // Nothing that can be stored is missing.
        for (const std::string& text : exampleSchemes()) {
            const Scheme scheme = parseScheme(text).value();
            const Candidate candidate{.weights = scheme, .activations = {}, .quantizer = {}};
            if (scheme.isKeep() || runsIn(*m_model, its, candidate, m_targets).empty())
                continue;
            QVERIFY2(seen.contains(printScheme(asGrouped(*m_model, its, scheme, m_targets))), text.c_str());
        }
    }

    void schemesAreCompleted()
    {
        const Layer& its = layer("model.layers.0.self_attn.q_proj.weight");
        const Scheme plain = parseScheme("int4:g32").value();
        QCOMPARE(printScheme(asGrouped(*m_model, its, plain, m_targets)),
                 "int4:g32:s=" + std::string(info(its.dtype).word));
        QVERIFY(asGrouped(*m_model, its, *parseScheme("int3:g64:asym"), m_targets) == *parseScheme("int3:g64:asym"));
    }

    void noTargetNoGroup()
    {
        const Layer& its = layer("model.layers.0.self_attn.q_proj.weight");
        QVERIFY(schemeGroups(*m_model, its, {}).empty());
        QVERIFY(runsIn(*m_model, its, *parseCandidate("int4:g32"), {}).empty());
        // int4 in an embedding: compressed-tensors keeps it as stored.
        const Layer& embedding = layer("model.embed_tokens.weight");
        for (const TargetProfile* target : runsIn(*m_model, embedding, *parseCandidate("int4:g32"), m_targets))
            QVERIFY(target->id != "compressed-tensors");
    }
};

QTEST_APPLESS_MAIN(RunsInTest)
#include "runs_in_test.moc"
