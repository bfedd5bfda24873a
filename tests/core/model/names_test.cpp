// SPDX-License-Identifier: GPL-3.0-or-later
// Operator, role, block and ties from names and config.json, for each naming convention.
#include "core/export/export.h"
#include "core/model/model.h"
#include "tests/support/file_builders.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

#include <algorithm>
#include <map>
#include <tuple>

using namespace ql;

namespace {

/// A tensor of a made-up model and what has to be said of it.
struct Expected {
    const char* name;
    std::vector<std::int64_t> shape;
    Operator op;
    const char* role;
    std::int64_t block;
    bool quantizable;
};

constexpr auto kLinear = Operator::linear;
constexpr auto kEmbedding = Operator::embedding;
constexpr auto kConvolution = Operator::convolution;
constexpr auto kNorm = Operator::norm;
constexpr auto kBias = Operator::bias;
constexpr auto kOther = Operator::other;

/// The tensors as a safetensors file of f16; integers where the name ends in "ids" or "packed".
std::string fileOf(const std::vector<Expected>& tensors)
{
    std::string header = "{";
    std::int64_t at = 0;
    for (const Expected& tensor : tensors) {
        const std::string name = tensor.name;
        const bool integer = name.ends_with("ids") || name.ends_with("packed");
        const std::int64_t bytes = numel(tensor.shape) * (integer ? 4 : 2);
        header += (header.size() > 1 ? ",\"" : "\"") + name + "\":{\"dtype\":\"" + (integer ? "I32" : "F16") +
                  "\",\"shape\":" + formatShape(tensor.shape) + ",\"data_offsets\":[" + std::to_string(at) + "," +
                  std::to_string(at + bytes) + "]}";
        at += bytes;
    }
    return test::safetensors(header + "}", static_cast<std::size_t>(at));
}

} // namespace

class NamesTest : public QObject {
    Q_OBJECT
    Executor m_executor{1};
    JobContext m_context{m_executor};

    std::shared_ptr<const Model> open(const std::filesystem::path& path)
    {
        auto model = openModel(path, m_context);
        if (!model)
            qWarning("%s", describe(model.error()).c_str());
        return model ? *model : nullptr;
    }

    std::shared_ptr<const Model> openFolder(const test::TemporaryFolder& folder, const std::vector<Expected>& tensors,
                                            const char* config)
    {
        std::string json = config;
        std::ranges::replace(json, '\'', '"');
        folder.write("config.json", json);
        folder.write("model.safetensors", fileOf(tensors));
        return open(folder.path());
    }

    void compare(const Model& model, const char* architecture, const std::vector<Expected>& tensors)
    {
        QCOMPARE(std::string(model.architecture->id), std::string(architecture));
        for (const Expected& expected : tensors) {
            const std::int64_t index = model.indexOf(expected.name);
            QVERIFY2(index >= 0, expected.name);
            const Layer& layer = model.layers[static_cast<std::size_t>(index)];
            QVERIFY2(layer.role == expected.role, (std::string(expected.name) + " is " + layer.role).c_str());
            QVERIFY2(layer.op == expected.op,
                     (std::string(expected.name) + " is " + std::string(info(layer.op).id)).c_str());
            QVERIFY2(layer.block == expected.block, expected.name);
            QVERIFY2(layer.quantizable == expected.quantizable, expected.name);
            QVERIFY2(model.checkpoint->indexOf(layer.name) == layer.tensor, expected.name);
        }
    }

    static const Layer& layerOf(const Model& model, const char* name)
    {
        return model.layers.at(static_cast<std::size_t>(model.indexOf(name)));
    }

    void check(const char* architecture, const std::vector<Expected>& tensors)
    {
        const test::TemporaryFolder folder;
        const auto model = openFolder(folder, tensors, "{}");
        QVERIFY(model);
        QCOMPARE(model->layers.size(), tensors.size());
        compare(*model, architecture, tensors);
    }

private Q_SLOTS:
    void llamaFamily()
    {
        check("llama", {{"model.embed_tokens.weight", {16, 4}, kEmbedding, "embedding", -1, true},
                        {"model.layers.10.input_layernorm.weight", {4}, kNorm, "input_norm", 10, false},
                        {"model.layers.10.self_attn.q_proj.weight", {4, 4}, kLinear, "q_proj", 10, true},
                        {"model.layers.10.self_attn.q_proj.bias", {4}, kBias, "q_proj_bias", 10, false},
                        {"model.layers.10.self_attn.k_proj.weight", {2, 4}, kLinear, "k_proj", 10, true},
                        {"model.layers.10.self_attn.v_proj.weight", {2, 4}, kLinear, "v_proj", 10, true},
                        {"model.layers.10.self_attn.o_proj.weight", {4, 4}, kLinear, "o_proj", 10, true},
                        {"model.layers.10.self_attn.q_norm.weight", {2}, kNorm, "q_norm", 10, false},
                        {"model.layers.10.self_attn.rotary_emb.inv_freq", {2}, kOther, "inv_freq", 10, false},
                        {"model.layers.10.post_attention_layernorm.weight", {4}, kNorm, "pre_mlp_norm", 10, false},
                        {"model.layers.10.mlp.gate_proj.weight", {8, 4}, kLinear, "gate_proj", 10, true},
                        {"model.layers.10.mlp.up_proj.weight", {8, 4}, kLinear, "up_proj", 10, true},
                        {"model.layers.10.mlp.down_proj.weight", {4, 8}, kLinear, "down_proj", 10, true},
                        {"model.norm.weight", {4}, kNorm, "final_norm", -1, false},
                        {"lm_head.weight", {16, 4}, kLinear, "output", -1, true}});
    }
    void fusedAndMixed()
    {
        check("llama", {{"model.layers.0.self_attn.qkv_proj.weight", {8, 4}, kLinear, "qkv_proj", 0, true},
                        {"model.layers.0.mlp.gate_up_proj.weight", {16, 4}, kLinear, "gate_up_proj", 0, true},
                        {"model.layers.1.block_sparse_moe.gate.weight", {8, 4}, kLinear, "router", 1, false},
                        {"model.layers.1.block_sparse_moe.experts.7.w1.weight", {8, 4}, kLinear, "gate_proj", 1, true},
                        {"model.layers.1.block_sparse_moe.experts.7.w2.weight", {4, 8}, kLinear, "down_proj", 1, true},
                        {"model.layers.1.block_sparse_moe.experts.7.w3.weight", {8, 4}, kLinear, "up_proj", 1, true},
                        {"model.layers.2.mlp.experts.0.down_proj.weight", {4, 8}, kLinear, "down_proj", 2, true},
                        {"model.layers.2.mlp.gate.weight", {8, 4}, kLinear, "router", 2, false},
                        {"model.layers.3.mlp.experts.gate_up_proj", {2, 4, 16}, kLinear, "gate_up_proj", 3, true},
                        {"model.layers.4.post_attention_layernorm.weight", {4}, kNorm, "post_attention_norm", 4, false},
                        {"model.layers.4.pre_feedforward_layernorm.weight", {4}, kNorm, "pre_mlp_norm", 4, false},
                        {"model.layers.5.self_attn.q_proj.weight_packed", {4, 1}, kOther, "weight_packed", 5, false},
                        {"model.layers.5.self_attn.q_proj.weight_scale", {4, 2}, kOther, "weight_scale", 5, false}});
    }
    void bertFamily()
    {
        check("bert",
              {{"embeddings.position_ids", {1, 8}, kOther, "position_ids", -1, false},
               {"embeddings.word_embeddings.weight", {16, 4}, kEmbedding, "embedding", -1, true},
               {"embeddings.position_embeddings.weight", {8, 4}, kEmbedding, "position_embedding", -1, true},
               {"embeddings.token_type_embeddings.weight", {2, 4}, kEmbedding, "token_type_embedding", -1, true},
               {"embeddings.LayerNorm.weight", {4}, kNorm, "embedding_norm", -1, false},
               {"embeddings.LayerNorm.bias", {4}, kBias, "embedding_norm_bias", -1, false},
               {"bert.encoder.layer.3.attention.self.query.weight", {4, 4}, kLinear, "q_proj", 3, true},
               {"bert.encoder.layer.3.attention.self.key.weight", {4, 4}, kLinear, "k_proj", 3, true},
               {"bert.encoder.layer.3.attention.self.value.bias", {4}, kBias, "v_proj_bias", 3, false},
               {"bert.encoder.layer.3.attention.output.dense.weight", {4, 4}, kLinear, "o_proj", 3, true},
               {"bert.encoder.layer.3.attention.output.LayerNorm.weight", {4}, kNorm, "post_attention_norm", 3, false},
               {"bert.encoder.layer.3.intermediate.dense.weight", {8, 4}, kLinear, "up_proj", 3, true},
               {"bert.encoder.layer.3.output.dense.weight", {4, 8}, kLinear, "down_proj", 3, true},
               {"pooler.dense.weight", {4, 4}, kLinear, "pooler", -1, true}});
        check("bert", {{"vit.embeddings.cls_token", {1, 1, 4}, kOther, "cls_token", -1, false},
                       {"vit.embeddings.position_embeddings", {1, 5, 4}, kOther, "position_embedding", -1, false},
                       {"vit.embeddings.patch_embeddings.projection.weight",
                        {4, 3, 2, 2},
                        kConvolution,
                        "patch_embedding",
                        -1,
                        true},
                       {"vit.encoder.layer.0.attention.attention.query.weight", {4, 4}, kLinear, "q_proj", 0, true},
                       {"vit.encoder.layer.0.attention.output.dense.weight", {4, 4}, kLinear, "o_proj", 0, true},
                       {"vit.encoder.layer.0.layernorm_before.weight", {4}, kNorm, "input_norm", 0, false},
                       {"classifier.weight", {3, 4}, kLinear, "classifier", -1, true}});
    }
    void gpt2()
    {
        const std::vector<Expected> tensors{{"wte.weight", {16, 4}, kEmbedding, "embedding", -1, true},
                                            {"wpe.weight", {8, 4}, kEmbedding, "position_embedding", -1, true},
                                            {"h.11.ln_1.weight", {4}, kNorm, "input_norm", 11, false},
                                            {"h.11.attn.bias", {1, 1, 8, 8}, kOther, "mask", 11, false},
                                            {"h.11.attn.c_attn.weight", {4, 12}, kLinear, "qkv_proj", 11, true},
                                            {"h.11.attn.c_attn.bias", {12}, kBias, "qkv_proj_bias", 11, false},
                                            {"h.11.attn.c_proj.weight", {4, 4}, kLinear, "o_proj", 11, true},
                                            {"h.11.mlp.c_fc.weight", {4, 16}, kLinear, "up_proj", 11, true},
                                            {"h.11.mlp.c_proj.weight", {16, 4}, kLinear, "down_proj", 11, true},
                                            {"ln_f.weight", {4}, kNorm, "final_norm", -1, false}};
        check("gpt2", tensors);
        const test::TemporaryFolder folder;
        const auto model =
            openFolder(folder, tensors,
                       "{'architectures':['GPT2LMHeadModel'],'n_head':2,'n_embd':4,'n_layer':12,'n_positions':8}");
        QVERIFY(model);
        QVERIFY(model->tiedEmbedding);
        QCOMPARE(model->indexOf("lm_head.weight"), model->indexOf("wte.weight"));
        QCOMPARE(model->configNumber("num_attention_heads").value(), 2.0);
        QCOMPARE(model->configNumber("num_key_value_heads").value(), 2.0);
        QCOMPARE(model->configNumber("head_dim").value(), 2.0);
        QCOMPARE(model->configNumber("num_hidden_layers").value(), 12.0);
        QCOMPARE(model->configNumber("max_position_embeddings").value(), 8.0);
        QCOMPARE(model->configNumber("vocab_size").value(), 16.0);
        QVERIFY(!model->configNumber("rope_theta"));
        QVERIFY(layerOf(*model, "h.11.mlp.c_fc.weight").stored.moves());
        QCOMPARE(layerOf(*model, "h.11.mlp.c_fc.weight").shape, (Shape{16, 4}));
        QVERIFY(!layerOf(*model, "wte.weight").stored.moves());
        const auto refusal = findTarget("compressed-tensors").value()->profile.acceptsModel(*model);
        QVERIFY(!refusal && refusal.error().what.find("Conv1D") != std::string::npos);
    }
    /// GPT-BigCode and nanoGPT use the names of GPT-2 for nn.Linear.
    void gpt2NamesOfLinear()
    {
        const test::TemporaryFolder folder;
        const auto model = openFolder(folder,
                                      {{"h.0.attn.c_attn.weight", {12, 4}, kLinear, "", 0, true},
                                       {"h.0.mlp.c_proj.weight", {4, 16}, kLinear, "", 0, true}},
                                      "{}");
        QVERIFY(model);
        QCOMPARE(std::string(model->architecture->id), std::string("gpt2"));
        QCOMPARE(layerOf(*model, "h.0.attn.c_attn.weight").shape, (Shape{12, 4}));
        QCOMPARE(layerOf(*model, "h.0.mlp.c_proj.weight").shape, (Shape{4, 16}));
    }
    /// Stacked experts are [experts · out, in], stored as [experts, out, in] or, by Llama 4 and gpt-oss, [experts, in,
    /// out].
    void experts()
    {
        const auto shapesOf = [&](Shape both, Shape down) {
            const test::TemporaryFolder folder;
            const auto model =
                openFolder(folder,
                           {{"model.layers.0.self_attn.q_proj.weight", {4, 4}, kLinear, "", 0, true},
                            {"model.layers.0.mlp.experts.gate_up_proj", std::move(both), kLinear, "", 0, true},
                            {"model.layers.0.mlp.experts.down_proj", std::move(down), kLinear, "", 0, true}},
                           "{}");
            const Layer& layer = layerOf(*model, "model.layers.0.mlp.experts.gate_up_proj");
            return std::tuple(layer.shape, layerOf(*model, "model.layers.0.mlp.experts.down_proj").shape,
                              layer.stored.moves());
        };
        const Shape wide{60, 6};
        const Shape narrow{18, 10};
        QVERIFY(shapesOf({3, 20, 6}, {3, 6, 10}) == std::tuple(wide, narrow, false));
        QVERIFY(shapesOf({3, 6, 20}, {3, 10, 6}) == std::tuple(wide, narrow, true));
    }
    void anythingElse()
    {
        check("generic", {{"conv1.weight", {4, 3, 3, 3}, kConvolution, "conv1", -1, true},
                          {"bn1.weight", {4}, kNorm, "bn1", -1, false},
                          {"bn1.bias", {4}, kBias, "bn1_bias", -1, false},
                          {"bn1.running_mean", {4}, kOther, "running_mean", -1, false},
                          {"layer1.0.conv2.weight", {4, 4, 3, 3}, kConvolution, "conv2", -1, true},
                          {"conv1d.weight", {4, 4, 3}, kConvolution, "conv1d", -1, true},
                          {"stack", {3, 4, 5}, kLinear, "stack", -1, true},
                          {"blocks.7.fc.weight", {4, 4}, kLinear, "fc", 7, true},
                          {"blocks.7.norm1.linear.weight", {8, 4}, kLinear, "linear", 7, true},
                          {"blocks.7.norm1.weight", {4}, kNorm, "norm1", 7, false},
                          {"token_embedding.weight", {9, 4}, kEmbedding, "token_embedding", -1, true},
                          {"pos_embed", {1, 9, 4}, kOther, "pos_embed", -1, false},
                          {"x", {4, 4}, kLinear, "x", -1, true},
                          {"empty.weight", {0, 4}, kLinear, "empty", -1, false},
                          {"scalar", {}, kOther, "scalar", -1, false},
                          {"ids", {4, 4}, kOther, "ids", -1, false},
                          {"layers.99999999999999999999.w", {2, 2}, kLinear, "w", -1, true}});
    }
    void gguf()
    {
        test::GgufBuilder builder;
        builder.key("general.architecture", 8, test::ggufString("llama"))
            .key("llama.attention.head_count", 4, test::bytesOf(8))
            .key("llama.attention.head_count_kv", 4, test::bytesOf(2))
            .key("llama.embedding_length", 4, test::bytesOf(256))
            .key("llama.block_count", 4, test::bytesOf(13))
            .key("llama.rope.freq_base", 6, test::bytesOf(10000.0F))
            .key("llama.attention.layer_norm_rms_epsilon", 6, test::bytesOf(1e-5F));
        const std::vector<Expected> expected{
            {"token_embd.weight", {3, 256}, kEmbedding, "embedding", -1, true},
            {"blk.12.attn_norm.weight", {256}, kNorm, "input_norm", 12, false},
            {"blk.12.attn_q.weight", {2, 256}, kLinear, "q_proj", 12, true},
            {"blk.12.attn_k.weight", {1, 256}, kLinear, "k_proj", 12, true},
            {"blk.12.attn_q.bias", {256}, kBias, "q_proj_bias", 12, false},
            {"blk.12.attn_output.weight", {2, 256}, kLinear, "o_proj", 12, true},
            {"blk.12.ffn_gate_inp.weight", {2, 256}, kLinear, "router", 12, false},
            {"blk.12.ffn_gate_exps.weight", {2, 3, 256}, kLinear, "gate_proj", 12, true},
            {"blk.12.ffn_down_exps.weight", {2, 3, 256}, kLinear, "down_proj", 12, true},
            {"blk.12.ffn_up_shexp.weight", {2, 256}, kLinear, "up_proj", 12, true},
            {"blk.12.ssm_a", {2, 256}, kOther, "ssm_a", 12, false},
            {"output_norm.weight", {256}, kNorm, "final_norm", -1, false},
            {"rope_freqs.weight", {32}, kOther, "rope_freqs", -1, false}};
        std::uint64_t at = 0;
        for (const Expected& tensor : expected) {
            const std::int64_t bytes = numel(tensor.shape) * 4;
            const auto dimension = [&](std::size_t i) {
                return static_cast<std::uint64_t>(tensor.shape[tensor.shape.size() - 1 - i]);
            };
            if (tensor.shape.size() == 1)
                builder.tensor(tensor.name, {dimension(0)}, 0, at);
            else if (tensor.shape.size() == 2)
                builder.tensor(tensor.name, {dimension(0), dimension(1)}, 0, at);
            else
                builder.tensor(tensor.name, {dimension(0), dimension(1), dimension(2)}, 0, at);
            at += static_cast<std::uint64_t>(bytes);
        }
        const test::TemporaryFolder folder;
        const auto model = open(folder.write("m.gguf", builder.build(static_cast<std::size_t>(at))));
        QVERIFY(model);
        compare(*model, "gguf", expected);
        QCOMPARE(model->blockCount, 13);
        QVERIFY(model->tiedEmbedding);
        QCOMPARE(model->indexOf("output.weight"), model->indexOf("token_embd.weight"));
        QCOMPARE(model->configNumber("num_attention_heads").value(), 8.0);
        QCOMPARE(model->configNumber("num_key_value_heads").value(), 2.0);
        QCOMPARE(model->configNumber("num_hidden_layers").value(), 13.0);
        QCOMPARE(model->configNumber("head_dim").value(), 32.0);
        QCOMPARE(model->configNumber("vocab_size").value(), 3.0);
        QCOMPARE(model->configNumber("rope_theta").value(), 10000.0);
        QCOMPARE(model->configNumber("rms_norm_eps").value(), 1e-5);
    }
    /// Blocks of codebook grids are layers like any other.
    void codebookGrids()
    {
        const auto model = open(QL_TEST_DATA "/checkpoints/gguf_grids.gguf");
        QVERIFY(model);
        QVERIFY(!model->layers.empty());
        QCOMPARE(model->quantizableLayers().size(), model->layers.size());
        QVERIFY(model->warnings.empty());
    }
    void ties()
    {
        const std::vector<Expected> tensors{
            {"model.embed_tokens.weight", {16, 4}, kEmbedding, "embedding", -1, true},
            {"model.layers.0.self_attn.q_proj.weight", {4, 4}, kLinear, "q_proj", 0, true}};
        std::vector<Expected> withHead = tensors;
        withHead.push_back({"lm_head.weight", {16, 4}, kLinear, "output", -1, true});
        const auto tied = [&](const std::vector<Expected>& of, const char* config) {
            const test::TemporaryFolder folder;
            const auto model = openFolder(folder, of, config);
            return model && model->tiedEmbedding && model->indexOf("lm_head.weight") == 0;
        };
        QVERIFY(tied(tensors, "{'tie_word_embeddings':true,'architectures':['LlamaForCausalLM']}"));
        QVERIFY(tied(tensors, "{'architectures':['GemmaForCausalLM']}"));
        QVERIFY(!tied(tensors, "{'architectures':['LlamaModel']}"));
        QVERIFY(!tied(tensors, "{}"));
        QVERIFY(!tied(withHead, "{'tie_word_embeddings':true,'architectures':['LlamaForCausalLM']}"));

        // The same bytes under two names.
        const test::TemporaryFolder folder;
        std::string json =
            "{'lm_head.weight':{'dtype':'F16','shape':[4,2],'data_offsets':[0,16]},"
            "'model.embed_tokens.weight':{'dtype':'F16','shape':[4,2],'data_offsets':[0,16]},"
            "'model.layers.0.self_attn.q_proj.weight':{'dtype':'F16','shape':[2,2],'data_offsets':[16,24]}}";
        std::ranges::replace(json, '\'', '"');
        const auto model = open(folder.write("m.safetensors", test::safetensors(json, 24)));
        QVERIFY(model);
        QVERIFY(model->tiedEmbedding);
        QCOMPARE(model->layers.size(), std::size_t{2});
        QCOMPARE(model->indexOf("lm_head.weight"), model->indexOf("model.embed_tokens.weight"));
        const Layer& layer = model->layers[static_cast<std::size_t>(model->indexOf("lm_head.weight"))];
        QCOMPARE(layer.role, std::string("embedding"));
        QCOMPARE(layer.aliases.size(), std::size_t{1});
    }
    /// Embeddings, blocks by number (not by text), attention before MLP, the head last.
    void orderOfExecution()
    {
        const test::TemporaryFolder folder;
        std::vector<Expected> tensors{{"lm_head.weight", {8, 4}, kLinear, "", -1, true},
                                      {"model.embed_tokens.weight", {8, 4}, kEmbedding, "", -1, true}};
        static constexpr const char* kNames[] = {
            "model.layers.10.mlp.down_proj.weight", "model.layers.10.self_attn.q_proj.weight",
            "model.layers.2.mlp.down_proj.weight", "model.layers.2.self_attn.q_proj.weight", "model.norm.weight"};
        for (const char* name : kNames)
            tensors.push_back({name, {4, 4}, kLinear, "", 0, true});
        const auto model = openFolder(folder, tensors, "{}");
        QVERIFY(model);
        std::string order;
        for (const Layer& layer : model->layers)
            order += layer.role + std::to_string(layer.block) + " ";
        QCOMPARE(order, std::string("embedding-1 q_proj2 down_proj2 q_proj10 down_proj10 final_norm-1 output-1 "));
        QCOMPARE(model->blockCount, 11);
    }
    void matching()
    {
        const auto model = open(QL_TEST_DATA "/checkpoints/huggingface_single");
        QVERIFY(model);
        QCOMPARE(model->match("*.q_proj.weight").value().size(), std::size_t{2});
        QCOMPARE(model->match("lm_head.*").value(), std::vector<std::int64_t>{0}); // the alias
        const auto nothing = model->match("nothing*");
        QVERIFY(!nothing);
        QCOMPARE(nothing.error().code, Errc::usage);
        QVERIFY(nothing.error().what.find("nothing*") != std::string::npos);
        QCOMPARE(model->indexOf("nothing"), -1);
        QCOMPARE(model->quantizableLayers().size(), std::size_t{15});
        const auto weights = model->loadWeights(0, m_context);
        QVERIFY(weights);
        QCOMPARE(weights->view.shape, (Shape{12, 4}));
    }
    void registries()
    {
        QCOMPARE(std::string(allArchitectures().back()->id), std::string("generic"));
        for (const Architecture* architecture : allArchitectures())
            QVERIFY(!architecture->title.empty() && !architecture->source.empty());
        for (std::size_t i = 0; i < allOperators().size(); ++i)
            QCOMPARE(info(static_cast<Operator>(i)).id, allOperators()[i].id);
        QVERIFY(info(Operator::linear).quantizable && !info(Operator::norm).quantizable);
    }
};

QTEST_APPLESS_MAIN(NamesTest)
#include "names_test.moc"
