// SPDX-License-Identifier: GPL-3.0-or-later
// What the front ends do not understand is refused by name, never computed wrongly.
#include "core/model/frontends/frontend.h"
#include "core/model/graph/operator.h"
#include "tests/support/temporary_folder.h"

#include <nlohmann/json.hpp>

#include <QTest>

using namespace ql;

class RefusalsTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor;
    JobContext m_context{m_executor};

    /// The graph of a model of the test data whose config.json was patched (RFC 7396).
    Result<graph::Graph> patched(const char* name, const char* patch)
    {
        const std::filesystem::path source = std::filesystem::path(QL_TEST_DATA "/frontends") / name;
        const test::TemporaryFolder folder;
        std::filesystem::copy_file(source / "model.safetensors", folder.path() / "model.safetensors");
        auto config = nlohmann::json::parse(std::ifstream(source / "config.json"));
        config.merge_patch(nlohmann::json::parse(patch));
        folder.write("config.json", config.dump());
        QL_TRY(model, openModel(folder.path(), m_context));
        return buildGraph(*model);
    }

private Q_SLOTS:
    void settings_data()
    {
        QTest::addColumn<QString>("model");
        QTest::addColumn<QString>("patch");
        QTest::addColumn<QString>("named"); // what the answer says; empty: it runs
        const auto row = [](const char* model, const char* patch, const char* named) {
            QTest::addRow("%s %s", model, patch) << model << patch << named;
        };
        row("llama", R"({})", "");
        row("llama", R"({"model_type": "deepseek_v3"})", "deepseek_v3");
        row("llama", R"({"model_type": null})", "config.json with a model_type");
        row("llama", R"({"hidden_act": "xielu"})", "xielu");
        row("llama", R"({"quantization_config": {"quant_method": "gptq"}})", "quantization_config");
        row("llama", R"({"rope_parameters": {"rope_type": "proportional"}})", "proportional");
        row("llama", R"({"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 1]}})", "mrope");
        row("llama", R"({"rope_parameters": {"mrope_section": [1, 1, 1]}})", "mrope_section");
        row("llama", R"({"rope_scaling": {"type": "linear"}})", "factor");
        row("llama", R"({"rope_scaling": {"type": "longrope", "factor": 2, "short_factor": [1, 1]}})", "short_factor");
        row("llama", R"({"rope_scaling": {"rope_type": "llama3", "factor": 2, "low_freq_factor": 4,
                                          "high_freq_factor": 4}})",
            "high_freq_factor");
        row("llama", R"({"kv_lora_rank": 512})", "kv_lora_rank");
        row("llama", R"({"logit_scale": 0.0625})", "logit_scale");
        row("llama", R"({"attn_logit_softcapping": 30.0})", "attn_logit_softcapping");
        row("llama", R"({"qk_layernorm": true})", "qk_layernorm");
        row("llama", R"({"layer_types": ["chunked_attention", "full_attention"]})", "layer_types");
        row("llama", R"({"num_hidden_layers": 1})", "model.layers.1.");
        row("llama", R"({"num_hidden_layers": 3})", "block 2");
        row("llama", R"({"num_attention_heads": null})", "num_attention_heads");
        row("llama", R"({"unsloth_version": "2025.1", "use_cache": true, "attention_dropout": 0.1})", "");
        row("qwen2", R"({"layer_types": ["linear_attention", "full_attention"]})", "linear_attention");
        row("qwen2", R"({"layer_types": ["full_attention"]})", "layer_types");
        row("gemma3", R"({"attn_logit_softcapping": 30.0})", "attn_logit_softcapping");
        row("gemma2", R"({"use_bidirectional_attention": true})", "use_bidirectional_attention");
        row("qwen2_moe_normed", R"({"use_sliding_window": true, "sliding_window": 4, "layer_types": null})",
            "layer_types");
        row("gpt2", R"({"add_cross_attention": true})", "add_cross_attention");
        row("bert", R"({"position_embedding_type": "relative_key"})", "relative_key");
        row("bert", R"({"is_decoder": true})", "is_decoder");
    }
    void settings()
    {
        QFETCH(QString, model);
        QFETCH(QString, patch);
        QFETCH(QString, named);
        const auto graph = patched(qPrintable(model), qPrintable(patch));
        const std::string said = graph ? std::string() : describe(graph.error());
        QCOMPARE(graph.has_value(), named.isEmpty());
        QVERIFY2(said.find(named.toStdString()) != std::string::npos, said.c_str());
    }
    /// Left out, a setting has the value that transformers' class has.
    void leftOut()
    {
        const auto graph = patched("gemma2", R"({"query_pre_attn_scalar": null, "attn_logit_softcapping": null})");
        QVERIFY(graph);
        const auto attention = std::ranges::find(graph->nodes, std::string_view("attention"),
                                                 [](const auto& node) { return node.op->id; });
        QCOMPARE(attention->number("scale", 0), 1.0 / 16);
        QCOMPARE(attention->number("softcap", 0), 50.0);
    }
};

QTEST_APPLESS_MAIN(RefusalsTest)
#include "refusals_test.moc"
