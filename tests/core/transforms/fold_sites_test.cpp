// SPDX-License-Identifier: GPL-3.0-or-later
// Where factors can be folded in models whose places are known by heart.
#include "core/model/frontends/frontend.h"
#include "core/transforms/fold_sites.h"

#include <QTest>

#include <algorithm>

using namespace ql;

class FoldSitesTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor;
    JobContext m_context{m_executor};

    FoldSites sitesOf(const std::string& name, std::shared_ptr<const Model>& model)
    {
        model = openModel(std::string(QL_TEST_DATA "/frontends/") + name, m_context).value();
        return findFoldSites(*model, buildGraph(*model).value());
    }
    static std::string rolesOf(const Model& model, const FoldSite& site)
    {
        std::string roles;
        for (const FoldSite::Reader& reader : site.readers)
            roles += (roles.empty() ? "" : " ") + model.layers[static_cast<std::size_t>(reader.layer)].role;
        return roles;
    }

private Q_SLOTS:
    /// Two blocks, six query heads that share two of keys and values, and a head tied to the embedding or not.
    void llama()
    {
        std::shared_ptr<const Model> model;
        const FoldSites found = sitesOf("llama", model);
        std::vector<std::string> readers;
        for (const FoldSite& site : found.sites)
            if (site.block == 0)
                readers.push_back(rolesOf(*model, site));
        const std::vector<std::string> expected{"q_proj k_proj v_proj", "o_proj", "gate_proj up_proj", "down_proj"};
        QCOMPARE(readers, expected);
        const auto value = std::ranges::find(found.sites, FoldSite::Kind::value, &FoldSite::kind);
        QVERIFY(value != found.sites.end());
        const std::int64_t size = value->channels / value->keyValueHeads;
        const std::int64_t group = value->heads / value->keyValueHeads;
        QVERIFY(group > 1);
        for (std::int64_t head = 0; head < value->heads; ++head)
            for (std::int64_t i = 0; i < size; ++i)
                QCOMPARE(value->channelOf(head * size + i), head / group * size + i);
        const bool headFolds =
            std::ranges::any_of(found.sites, [&](const FoldSite& site) { return rolesOf(*model, site) == "output"; });
        QCOMPARE(headFolds, !model->tiedEmbedding);
        QCOMPARE(found.others.size(), model->tiedEmbedding ? 1U : 0U);
        if (model->tiedEmbedding)
            QVERIFY(found.others.front().what.find("as the embedding") != std::string::npos);
    }

    /// q, k and v are one matrix, gate and up another: factors lie on parts of their rows.
    void fused()
    {
        std::shared_ptr<const Model> model;
        for (const FoldSite& site : sitesOf("phi3", model).sites) {
            if (site.kind == FoldSite::Kind::norm)
                continue;
            const Layer& producer = model->layers[static_cast<std::size_t>(site.producer.layer)];
            QCOMPARE(site.producer.first + site.channels, producer.shape[0]); // v, and up, come last
            QCOMPARE(site.gate.has_value(), site.kind == FoldSite::Kind::inner);
        }
    }

    /// Gemma's files hold weight − 1; a GELU without a gate passes an order of channels and no factors.
    void offsetsAndActivations()
    {
        std::shared_ptr<const Model> model;
        for (const FoldSite& site : sitesOf("gemma", model).sites)
            QCOMPARE(site.normOffset, site.kind == FoldSite::Kind::norm ? 1.0 : 0.0);
        bool any = false;
        for (const FoldSite& site : sitesOf("gpt2", model).sites)
            if (site.kind == FoldSite::Kind::inner) {
                QVERIFY(!site.scales);
                any = true;
            }
        QVERIFY(any);
    }

    /// BERT adds what its norms make, so nothing can be folded into them.
    void behindTheSum()
    {
        std::shared_ptr<const Model> model;
        const FoldSites found = sitesOf("bert", model);
        QVERIFY(
            std::ranges::none_of(found.sites, [](const FoldSite& site) { return site.kind == FoldSite::Kind::norm; }));
        QVERIFY(found.others.size() > 4);
        for (const Warning& other : found.others)
            QVERIFY2(!other.where.empty() && other.what.starts_with("takes no factors: "), other.what.c_str());
        const std::vector<Warning> few = abridged(found.others);
        QCOMPARE(few.size(), 3U);
        QVERIFY(few.back().what.find(std::to_string(found.others.size() - 3) + " other places") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(FoldSitesTest)
#include "fold_sites_test.moc"
