// SPDX-License-Identifier: GPL-3.0-or-later
// A Llama-shaped Hugging Face folder with random weights, for tests of views: 2 blocks of 4 attention and 3
// feed-forward matrices, an embedding and norms; 32 inputs each so that it takes milliseconds. One weight of every
// matrix is an outlier of 20 standard deviations.
#pragma once

#include "core/base/rng.h"

#include <QDir>
#include <QFile>
#include <QString>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace ql::test {

inline bool writeTinyModel(const QString& folder, int blocks = 2, int width = 64)
{
    if (!QDir().mkpath(folder))
        return false;
    std::vector<std::pair<std::string, std::pair<int, int>>> tensors = {{"model.embed_tokens.weight", {96, width}}};
    for (int block = 0; block < blocks; ++block) {
        const std::string prefix = "model.layers." + std::to_string(block) + ".";
        tensors.push_back({prefix + "input_layernorm.weight", {width, 0}});
        for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                 "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
            tensors.push_back({prefix + name + ".weight", {width, width}});
    }
    tensors.push_back({"model.norm.weight", {width, 0}});

    std::string header = "{";
    std::string data;
    std::uint64_t stream = 0;
    for (const auto& [name, shape] : tensors) {
        const int count = shape.second > 0 ? shape.first * shape.second : shape.first;
        const std::size_t begin = data.size();
        const CounterRng rng(11, stream++);
        for (int i = 0; i < count; ++i) {
            auto value = static_cast<float>(0.02 * rng.normal(static_cast<std::uint64_t>(i)));
            if (i == count / 3)
                value = 0.4F;
            data.append(reinterpret_cast<const char*>(&value), sizeof value);
        }
        header += (header.size() > 1 ? "," : "") + ("\"" + name) + R"(":{"dtype":"F32","shape":[)" +
                  std::to_string(shape.first) + (shape.second > 0 ? "," + std::to_string(shape.second) : "") +
                  "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
    }
    header += "}";
    header.append((8 - header.size() % 8) % 8, ' ');
    QFile weights(folder + QStringLiteral("/model.safetensors"));
    if (!weights.open(QIODevice::WriteOnly))
        return false;
    const std::uint64_t length = header.size();
    weights.write(reinterpret_cast<const char*>(&length), 8);
    weights.write(header.data(), static_cast<qint64>(header.size()));
    weights.write(data.data(), static_cast<qint64>(data.size()));
    QFile config(folder + QStringLiteral("/config.json"));
    if (!config.open(QIODevice::WriteOnly))
        return false;
    config.write(QStringLiteral(R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":%1,)"
                                R"("intermediate_size":%1,"num_hidden_layers":%2,"num_attention_heads":4,)"
                                R"("num_key_value_heads":4,"vocab_size":96,"tie_word_embeddings":true,)"
                                R"("torch_dtype":"float32"})")
                     .arg(width)
                     .arg(blocks)
                     .toUtf8());
    return true;
}

} // namespace ql::test
