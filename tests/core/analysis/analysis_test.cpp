// SPDX-License-Identifier: GPL-3.0-or-later
// Walks analyses.def over layers of usual and unusual content.
#include "core/analysis/analysis.h"
#include "core/base/rng.h"
#include "tests/support/memory_model.h"

#include <nlohmann/json.hpp>

#include <QTest>

#include <cmath>
#include <set>

using namespace ql;

class AnalysisTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;

    nlohmann::json run(std::string_view analysis, std::string_view layer)
    {
        for (const Analysis* entry : allAnalyses()) {
            if (entry->id != analysis)
                continue;
            const auto text = entry->run(*m_model, m_model->indexOf(layer), m_context);
            return text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json(describe(text.error()));
        }
        return {};
    }

private Q_SLOTS:
    void initTestCase()
    {
        const CounterRng rng(51);
        std::vector<float> values(64 * 96);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = static_cast<float>(rng.normal(i));
        auto checkpoint = std::make_shared<test::MemoryCheckpoint>("memory", "00112233445566778899aabbccddeeff");
        checkpoint->add("plain.weight", {64, 96}, values);
        values[5 * 96 + 7] = -80;
        values[0] = std::numeric_limits<float>::quiet_NaN();
        checkpoint->add("odd \xff.weight", {64, 96}, values);
        checkpoint->add("zeros.weight", {4, 8}, std::vector<float>(32, 0.0F));
        checkpoint->add("one.weight", {1, 1}, {2.5F});
        checkpoint->add("none.weight", {0, 8}, {});
        auto model = makeModel(checkpoint);
        QVERIFY(model);
        m_model = *model;
    }

    void everyAnalysisOfEveryLayer()
    {
        std::set<std::string_view> ids;
        for (const Analysis* analysis : allAnalyses()) {
            QVERIFY(ids.insert(analysis->id).second);
            QVERIFY(!analysis->title.empty() && !analysis->description.empty());
            for (const Layer& layer : m_model->layers) {
                const auto text = analysis->run(*m_model, m_model->indexOf(layer.name), m_context);
                if (!text) { // only what has no elements may be refused, with a reason
                    QCOMPARE(layer.numel(), 0);
                    QVERIFY(!text.error().what.empty());
                    continue;
                }
                const auto json = nlohmann::json::parse(*text, nullptr, false);
                QVERIFY2(json.is_object(), text->c_str());
                QCOMPARE(json["shape"].get<Shape>(), layer.shape);
                QCOMPARE(json["dtype"].get<std::string>(), std::string("f32"));
            }
            std::stop_source source;
            source.request_stop();
            const auto cancelled =
                analysis->run(*m_model, m_model->indexOf("plain.weight"), JobContext(m_executor, source.get_token()));
            QVERIFY(!cancelled);
            QCOMPARE(cancelled.error().code, Errc::cancelled);
        }
        QVERIFY(ids.contains("histogram") && ids.contains("outliers") && ids.contains("curves"));
    }

    void numbers()
    {
        const auto histogram = run("histogram", "odd \xff.weight");
        QCOMPARE(histogram["bins"].get<int>(), 256);
        QCOMPARE(histogram["min"].get<double>(), -80.0);
        QCOMPARE(histogram["elements_not_finite"].get<int>(), 1);
        QCOMPARE(histogram["elements_in_bins"].get<int>(), 64 * 96 - 1);
        QCOMPARE(histogram["counts"][0].get<int>(), 1);

        const auto outliers = run("outliers", "odd \xff.weight");
        QCOMPARE(outliers["outlier_elements"].get<int>(), 2);
        QVERIFY(outliers["largest"][0]["value"].is_null()); // NaN, as large as can be
        QCOMPARE(outliers["largest"][1]["row"].get<int>(), 5);
        QCOMPARE(outliers["largest"][1]["col"].get<int>(), 7);
        QCOMPARE(outliers["largest"][1]["value"].get<double>(), -80.0);
        QCOMPARE(outliers["largest"].size(), 100U);

        const auto curves = run("curves", "plain.weight");
        QCOMPARE(curves["curves"].size(), 6U);
        QCOMPARE(curves["curves"][0]["family"].get<std::string>(), std::string("INT"));
        QCOMPARE(curves["curves"][0]["points"].size(), 7U);
        QCOMPARE(curves["curves"][0]["points"][2]["scheme"].get<std::string>(), std::string("int4:g128"));
        QVERIFY(std::fabs(curves["crest_factor_block32"].get<double>() - 2.37) < 0.1);
        QCOMPARE(curves["crossovers"].size(), 4U);
    }
};

QTEST_APPLESS_MAIN(AnalysisTest)
#include "analysis_test.moc"
