// SPDX-License-Identifier: GPL-3.0-or-later
// A Llama model of two blocks written as a Hugging Face folder or as a GGUF file, with random weights, for tests that
// need a whole checkpoint.
#pragma once

#include "core/base/rng.h"
#include "core/tensor/half.h"

#include <nlohmann/json.hpp>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace ql::test {

struct TinyLlama {
    std::int64_t hidden = 192; // divides by 32 and 64, not by 128
    std::int64_t inner = 256;
    std::int64_t heads = 6;
    std::int64_t keyValueHeads = 2;
    std::int64_t blocks = 2;
    std::int64_t vocabulary = 80;
    bool tied = true;
    bool biases = false;
    std::string dtype = "BF16";         // BF16, F16 or F32
    nlohmann::ordered_json config = nlohmann::ordered_json::object(); // keys added to config.json, or changed

    struct Tensor {
        std::string name;
        std::vector<std::int64_t> shape;
        std::vector<float> values; // already values of dtype
    };

    std::int64_t headSize() const { return hidden / heads; }

    std::vector<Tensor> tensors() const
    {
        std::vector<Tensor> list;
        const auto add = [&](std::string name, std::vector<std::int64_t> shape) {
            Tensor tensor{std::move(name), std::move(shape), {}};
            const CounterRng rng(7, list.size());
            std::int64_t count = 1;
            for (const std::int64_t n : tensor.shape)
                count *= n;
            for (std::int64_t i = 0; i < count; ++i)
                tensor.values.push_back(rounded(static_cast<float>(0.05 * rng.normal(static_cast<std::uint64_t>(i)))));
            list.push_back(std::move(tensor));
        };
        add("model.embed_tokens.weight", {vocabulary, hidden});
        for (std::int64_t b = 0; b < blocks; ++b) {
            const std::string p = "model.layers." + std::to_string(b) + ".";
            const std::int64_t narrow = keyValueHeads * headSize();
            add(p + "input_layernorm.weight", {hidden});
            add(p + "mlp.down_proj.weight", {hidden, inner});
            add(p + "mlp.gate_proj.weight", {inner, hidden});
            add(p + "mlp.up_proj.weight", {inner, hidden});
            add(p + "post_attention_layernorm.weight", {hidden});
            add(p + "self_attn.k_proj.weight", {narrow, hidden});
            add(p + "self_attn.o_proj.weight", {hidden, hidden});
            add(p + "self_attn.q_proj.weight", {hidden, hidden});
            add(p + "self_attn.v_proj.weight", {narrow, hidden});
            if (biases)
                add(p + "self_attn.q_proj.bias", {hidden});
        }
        add("model.norm.weight", {hidden});
        if (!tied)
            add("lm_head.weight", {vocabulary, hidden});
        return list;
    }

    nlohmann::ordered_json configJson() const
    {
        const bool f32 = dtype == "F32";
        nlohmann::ordered_json json{{"architectures", {"LlamaForCausalLM"}},
                                    {"model_type", "llama"},
                                    {"hidden_size", hidden},
                                    {"intermediate_size", inner},
                                    {"num_hidden_layers", blocks},
                                    {"num_attention_heads", heads},
                                    {"num_key_value_heads", keyValueHeads},
                                    {"head_dim", headSize()},
                                    {"vocab_size", vocabulary},
                                    {"max_position_embeddings", 512},
                                    {"rope_theta", 10000.0},
                                    {"rms_norm_eps", 1e-05},
                                    {"hidden_act", "silu"},
                                    {"tie_word_embeddings", tied},
                                    {"torch_dtype", f32              ? "float32"
                                                    : dtype == "F16" ? "float16"
                                                                     : "bfloat16"}};
        json.update(config);
        return json;
    }

    nlohmann::json tokenizerJson() const
    {
        nlohmann::json vocabulary_ = nlohmann::json::object();
        for (std::int64_t i = 0; i < vocabulary - 4; ++i) // the last rows of the embedding have no token
            vocabulary_[i == 0   ? "<s>"
                        : i == 1 ? "\u0120"
                        : i == 2 ? "a"
                        : i == 3 ? "\u0120a"
                                 : "t" + std::to_string(i)] = i;
        return {{"version", "1.0"},
                {"added_tokens", {{{"id", 0}, {"content", "<s>"}, {"special", true}}}},
                {"pre_tokenizer",
                 {{"type", "Sequence"},
                  {"pretokenizers",
                   {{{"type", "Digits"}, {"individual_digits", true}},
                    {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}}}}},
                {"model", {{"type", "BPE"}, {"vocab", vocabulary_}, {"merges", {"\u0120 a"}}}}};
    }

    void writeFolder(const std::filesystem::path& folder) const
    {
        std::filesystem::create_directories(folder);
        std::ofstream(folder / "config.json") << configJson().dump(2);
        std::ofstream(folder / "tokenizer.json") << tokenizerJson().dump();
        std::ofstream(folder / "tokenizer_config.json")
            << "{\"bos_token\": {\"content\": \"<s>\"}, \"chat_template\": \"x{{y}}\"}";
        std::ofstream(folder / "README.md") << "A test model.\n";
        nlohmann::ordered_json header{{"__metadata__", {{"format", "pt"}}}};
        std::string data;
        for (const Tensor& tensor : tensors()) {
            const std::size_t begin = data.size();
            data += bytesOf(tensor);
            header[tensor.name] = {{"dtype", dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
        }
        std::string text = header.dump();
        text.resize((text.size() + 7) / 8 * 8, ' ');
        std::ofstream file(folder / "model.safetensors", std::ios::binary);
        put(file, static_cast<std::uint64_t>(text.size()));
        file << text << data;
    }

    /// The same weights under GGUF names, rows as they are, with keys of every kind.
    void writeGguf(const std::filesystem::path& path) const
    {
        std::ofstream file(path, std::ios::binary);
        const std::vector<Tensor> list = tensors();
        file << "GGUF";
        put(file, std::uint32_t{3});
        put(file, static_cast<std::uint64_t>(list.size()));
        put(file, std::uint64_t{9});
        const auto text = [&](std::string_view value) {
            put(file, static_cast<std::uint64_t>(value.size()));
            file << value;
        };
        const auto key = [&](std::string_view name, std::uint32_t type) {
            text(name);
            put(file, type);
        };
        key("general.architecture", 8), text("llama");
        key("general.alignment", 4), put(file, std::uint32_t{64});
        key("general.file_type", 4), put(file, std::uint32_t{dtype == "F32" ? 0U : dtype == "F16" ? 1U : 32U});
        key("llama.block_count", 4), put(file, static_cast<std::uint32_t>(blocks));
        key("stranger.flag", 7), put(file, std::uint8_t{1});
        key("stranger.real", 12), put(file, 0.1);
        key("stranger.list", 9), put(file, std::uint32_t{8}), put(file, std::uint64_t{2}), text("one"), text("");
        key("stranger.shorts", 9), put(file, std::uint32_t{3}), put(file, std::uint64_t{3});
        for (const auto value : {std::int16_t{-1}, std::int16_t{0}, std::int16_t{1}})
            put(file, value);
        key("stranger.last", 11), put(file, std::int64_t{-5});
        std::uint64_t offset = 0;
        for (const Tensor& tensor : list) {
            text(ggufName(tensor.name));
            put(file, static_cast<std::uint32_t>(tensor.shape.size()));
            for (auto it = tensor.shape.rbegin(); it != tensor.shape.rend(); ++it)
                put(file, static_cast<std::uint64_t>(*it));
            const bool f32 = dtype == "F32" || tensor.shape.size() == 1;
            put(file, std::uint32_t{f32 ? 0U : dtype == "F16" ? 1U : 30U});
            put(file, offset);
            offset += (tensor.values.size() * (f32 ? 4 : 2) + 63) / 64 * 64;
        }
        pad(file);
        for (const Tensor& tensor : list) {
            if (tensor.shape.size() == 1)
                file.write(reinterpret_cast<const char*>(tensor.values.data()),
                           static_cast<std::streamsize>(4 * tensor.values.size()));
            else
                file << bytesOf(tensor);
            pad(file);
        }
    }

private:
    float rounded(float value) const
    {
        return dtype == "BF16"  ? floatFromBf16(bf16FromFloat(value))
               : dtype == "F16" ? floatFromF16(f16FromFloat(value))
                                : value;
    }
    std::string bytesOf(const Tensor& tensor) const
    {
        std::string bytes;
        for (const float value : tensor.values) {
            if (dtype == "F32") {
                bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
                continue;
            }
            const std::uint16_t bits = dtype == "BF16" ? bf16FromFloat(value) : f16FromFloat(value);
            bytes.append(reinterpret_cast<const char*>(&bits), sizeof bits);
        }
        return bytes;
    }
    static std::string ggufName(std::string name)
    {
        const std::pair<std::string, std::string> words[] = {{"model.embed_tokens", "token_embd"},
                                                             {"model.norm", "output_norm"},
                                                             {"lm_head", "output"},
                                                             {"model.layers", "blk"},
                                                             {"input_layernorm", "attn_norm"},
                                                             {"post_attention_layernorm", "ffn_norm"},
                                                             {"self_attn.q_proj", "attn_q"},
                                                             {"self_attn.k_proj", "attn_k"},
                                                             {"self_attn.v_proj", "attn_v"},
                                                             {"self_attn.o_proj", "attn_output"},
                                                             {"mlp.gate_proj", "ffn_gate"},
                                                             {"mlp.up_proj", "ffn_up"},
                                                             {"mlp.down_proj", "ffn_down"}};
        for (const auto& [from, to] : words)
            if (const auto at = name.find(from); at != std::string::npos)
                name.replace(at, from.size(), to);
        return name;
    }
    template<typename T>
    static void put(std::ofstream& file, T value)
    {
        file.write(reinterpret_cast<const char*>(&value), sizeof value);
    }
    static void pad(std::ofstream& file)
    {
        while (file.tellp() % 64 != 0)
            file.put('\0');
    }
};

} // namespace ql::test
