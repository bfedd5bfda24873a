// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/export/gguf_sources.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <optional>

namespace ql::ggufout {

namespace {

using Json = nlohmann::json;

struct Hyper {
    std::int64_t blocks = 0;
    std::int64_t hidden = 0;
    std::int64_t feedForward = 0;
    std::int64_t heads = 0;
    std::int64_t keyValueHeads = 0;
    std::int64_t headSize = 0;
    std::int64_t context = 0;
    std::int64_t vocabulary = 0;
    double epsilon = 1e-5;
    double ropeBase = 10000;
    Json ropeScaling; // object or null
    bool tied = false;
};

class Config {
public:
    Config(Json json, std::string where) : m_json(std::move(json)), m_where(std::move(where)) {}

    const Json& get(const char* key) const
    {
        static const Json kNull;
        const auto found = m_json.find(key);
        return found == m_json.end() ? kNull : *found;
    }
    Result<std::int64_t> count(const char* key) const
    {
        const Json& value = get(key);
        constexpr std::int64_t kMost = std::int64_t{1} << 31;
        if (!value.is_number_integer() || value.get<std::int64_t>() < 1 || value.get<std::int64_t>() >= kMost)
            return refused("has no whole number '" + std::string(key) + "', which GGUF files need", m_where);
        return value.get<std::int64_t>();
    }
    std::int64_t countOr(const char* key, std::int64_t fallback) const
    {
        const auto value = get(key).is_null() ? Result<std::int64_t>(fallback) : count(key);
        return value ? *value : fallback;
    }
    double numberOr(const char* key, double fallback) const
    {
        return get(key).is_number() ? get(key).get<double>() : fallback;
    }
    const std::string& where() const { return m_where; }

private:
    Json m_json;
    std::string m_where;
};

double numberOf(const Json& object, const char* key, double fallback)
{
    const auto found = object.is_object() ? object.find(key) : object.end();
    return object.is_object() && found != object.end() && found->is_number() ? found->get<double>() : fallback;
}

std::string ropeType(const Json& scaling)
{
    for (const char* key : {"rope_type", "type"})
        if (const auto found = scaling.is_object() ? scaling.find(key) : scaling.end();
            scaling.is_object() && found != scaling.end() && found->is_string())
            return found->get<std::string>();
    return "default";
}

Result<void> checkArchitecture(const Config& config)
{
    const Json& list = config.get("architectures");
    const std::string name =
        list.is_array() && !list.empty() && list.front().is_string() ? list.front().get<std::string>() : "none";
    if (name != "LlamaForCausalLM" && name != "MistralForCausalLM")
        return refused("says the architecture is " + printable(name) +
                           "; GGUF files are made from folders of LlamaForCausalLM and MistralForCausalLM: for others, "
                           "open a GGUF file of the model in 16 bits, or use the target hdf5",
                       config.where());
    if (!config.get("quantization_config").is_null())
        return refused("says that the model is quantized already; open the unquantized one", config.where());
    return {};
}

Result<Hyper> readHyper(const Config& config)
{
    Hyper hyper;
    QL_TRY(blocks, config.count("num_hidden_layers"));
    QL_TRY(hidden, config.count("hidden_size"));
    QL_TRY(feedForward, config.count("intermediate_size"));
    QL_TRY(heads, config.count("num_attention_heads"));
    QL_TRY(context, config.count("max_position_embeddings"));
    QL_TRY(vocabulary, config.count("vocab_size"));
    hyper.blocks = blocks;
    hyper.hidden = hidden;
    hyper.feedForward = feedForward;
    hyper.heads = heads;
    hyper.context = context;
    hyper.vocabulary = vocabulary;
    hyper.keyValueHeads = config.countOr("num_key_value_heads", heads);
    hyper.headSize = config.countOr("head_dim", hidden / heads);
    hyper.epsilon = config.numberOr("rms_norm_eps", 1e-6);
    const Json& parameters = config.get("rope_parameters"); // where newer transformers keep both
    hyper.ropeBase = config.numberOr("rope_theta", numberOf(parameters, "rope_theta", 10000));
    hyper.ropeScaling = parameters.is_object() ? parameters : config.get("rope_scaling");
    hyper.tied = config.get("tie_word_embeddings") == true;
    const std::string scaling = ropeType(hyper.ropeScaling);
    if (scaling != "default" && scaling != "linear" && scaling != "yarn" && scaling != "llama3")
        return refused("has the rope scaling '" + printable(scaling) +
                           "', which is not converted here; open a GGUF file of the model",
                       config.where());
    if (hyper.headSize % 2 != 0)
        return badInput("has an odd head_dim", config.where());
    return hyper;
}

Key floatKey(std::string name, double value)
{
    return numberKey(std::move(name), GgufType::f32, std::bit_cast<std::uint32_t>(static_cast<float>(value)), 4);
}

std::vector<Key> hyperKeys(const Hyper& hyper, const std::string& name)
{
    const auto count = [](const char* key, std::int64_t value) {
        return u32Key("llama." + std::string(key), static_cast<std::uint32_t>(value));
    };
    std::vector<Key> keys{textKey("general.architecture", "llama"),
                          textKey("general.type", "model"),
                          textKey("general.name", name),
                          count("block_count", hyper.blocks),
                          count("context_length", hyper.context),
                          count("embedding_length", hyper.hidden),
                          count("feed_forward_length", hyper.feedForward),
                          count("attention.head_count", hyper.heads),
                          count("attention.head_count_kv", hyper.keyValueHeads),
                          floatKey("llama.rope.freq_base", hyper.ropeBase),
                          floatKey("llama.attention.layer_norm_rms_epsilon", hyper.epsilon),
                          count("vocab_size", hyper.vocabulary),
                          count("rope.dimension_count", hyper.headSize)};
    if (hyper.headSize * hyper.heads != hyper.hidden) {
        keys.push_back(count("attention.key_length", hyper.headSize));
        keys.push_back(count("attention.value_length", hyper.headSize));
    }
    const std::string scaling = ropeType(hyper.ropeScaling);
    if (scaling == "linear" || scaling == "yarn") {
        keys.push_back(textKey("llama.rope.scaling.type", scaling));
        keys.push_back(floatKey("llama.rope.scaling.factor", numberOf(hyper.ropeScaling, "factor", 1)));
    }
    if (scaling == "yarn")
        keys.push_back(count("rope.scaling.original_context_length",
                             static_cast<std::int64_t>(numberOf(hyper.ropeScaling, "original_max_position_embeddings",
                                                                static_cast<double>(hyper.context)))));
    return keys;
}

/// Factors by which Llama 3 stretches slow rotations: 1 for wavelengths below context/high, `factor` above context/low,
/// between them interpolated.
std::vector<float> ropeFactors(const Hyper& hyper)
{
    const double factor = numberOf(hyper.ropeScaling, "factor", 8);
    const double low = numberOf(hyper.ropeScaling, "low_freq_factor", 1);
    const double high = numberOf(hyper.ropeScaling, "high_freq_factor", 4);
    const double context = numberOf(hyper.ropeScaling, "original_max_position_embeddings", 8192);
    std::vector<float> factors;
    for (std::int64_t i = 0; i < hyper.headSize; i += 2) {
        const double exponent = static_cast<double>(i) / static_cast<double>(hyper.headSize);
        const double wavelength = 2 * std::numbers::pi * std::pow(hyper.ropeBase, exponent);
        const double smooth = (context / wavelength - low) / (high - low);
        const double stretched = wavelength < context / high  ? 1
                                 : wavelength > context / low ? factor
                                                              : 1 / ((1 - smooth) / factor + smooth);
        factors.push_back(static_cast<float>(stretched));
    }
    return factors;
}

/// GGUF's name of a tensor; empty: it is not stored; nothing: unknown.
std::optional<std::string> ggufName(std::string_view name, const Hyper& hyper)
{
    if (name == "lm_head.weight")
        return hyper.tied ? "" : "output.weight";
    if (name.starts_with("model."))
        name.remove_prefix(6);
    if (name == "embed_tokens.weight")
        return "token_embd.weight";
    if (name == "norm.weight")
        return "output_norm.weight";
    if (name.ends_with("rotary_emb.inv_freq"))
        return "";
    const auto parts = split(name, '.');
    const auto block = parts.size() > 2 && parts[0] == "layers" ? parseInt(parts[1]) : std::nullopt;
    if (!block || *block < 0 || *block >= hyper.blocks)
        return std::nullopt;
    const std::string_view rest = name.substr(parts[0].size() + parts[1].size() + 2);
    const auto dot = rest.rfind('.');
    const std::string_view ending = dot == std::string_view::npos ? "" : rest.substr(dot);
    if (ending != ".weight" && ending != ".bias")
        return std::nullopt;
    static constexpr std::pair<std::string_view, std::string_view> kModules[] = {
        {"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "ffn_norm"},
        {"self_attn.q_proj", "attn_q"},   {"self_attn.k_proj", "attn_k"},
        {"self_attn.v_proj", "attn_v"},   {"self_attn.o_proj", "attn_output"},
        {"mlp.gate_proj", "ffn_gate"},    {"mlp.up_proj", "ffn_up"},
        {"mlp.down_proj", "ffn_down"}};
    for (const auto& [theirs, ours] : kModules)
        if (rest.substr(0, dot) == theirs)
            return "blk." + std::to_string(*block) + "." + std::string(ours) + std::string(ending);
    return std::nullopt;
}

Result<TensorPart> tensorPart(const TensorInfo& tensor, std::string name, const Hyper& hyper)
{
    TensorPart part;
    part.name = std::move(name);
    part.dims.assign(tensor.shape.rbegin(), tensor.shape.rend());
    part.numel = tensor.numel();
    part.stored = tensor.dtype;
    part.toFloat32 = part.dims.size() < 2;
    if (tensor.dtype != Dtype::bf16 && tensor.dtype != Dtype::f16 && tensor.dtype != Dtype::f32)
        return refused("is stored as " + std::string(info(tensor.dtype).word) +
                           "; the weights of a folder must be bf16, "
                           "f16 or f32 to become a GGUF file",
                       tensor.name);
    if (part.dims.empty() || part.dims.size() > 2 || part.numel == 0)
        return badInput("has the shape " + formatShape(tensor.shape) + ", which no tensor of this architecture has",
                        tensor.name);
    const bool query = part.name.find(".attn_q.") != std::string::npos;
    const bool key = part.name.find(".attn_k.") != std::string::npos;
    if (query || key) {
        part.permutedHeads = query ? hyper.heads : hyper.keyValueHeads;
        if (tensor.shape[0] != part.permutedHeads * hyper.headSize)
            return badInput("has " + std::to_string(tensor.shape[0]) + " rows, but config.json says " +
                                std::to_string(part.permutedHeads) + " heads of " + std::to_string(hyper.headSize),
                            tensor.name);
    }
    return part;
}

std::string modelName(const Json& config, const std::filesystem::path& folder)
{
    const auto given = config.find("_name_or_path");
    const bool named = given != config.end() && given->is_string() && !given->get<std::string>().empty();
    std::filesystem::path name = named ? std::filesystem::path(given->get<std::string>()) : folder;
    if (name.filename().empty())
        name = name.parent_path();
    return printable(name.filename().string());
}

} // namespace

Result<Parts> partsOfFolder(const Model& model)
{
    const Checkpoint& checkpoint = *model.checkpoint;
    std::error_code error;
    const std::filesystem::path folder =
        std::filesystem::is_directory(checkpoint.path(), error) ? checkpoint.path() : checkpoint.path().parent_path();
    Json json = Json::parse(checkpoint.configJson(), nullptr, false);
    const std::string where = (folder / "config.json").string();
    if (!json.is_object())
        return badInput("is not a JSON object", where);
    const std::string name = modelName(json, folder);
    const Config config(std::move(json), where);
    QL_CHECK(checkArchitecture(config));
    QL_TRY(hyper, readHyper(config));

    Parts made;
    std::int64_t embeddingRows = -1;
    for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
        const TensorInfo& tensor = checkpoint.tensors()[i];
        const auto renamed = ggufName(tensor.name, hyper);
        if (!renamed)
            return refused("is no tensor of a Llama model; this folder cannot become a GGUF file", tensor.name);
        if (renamed->empty())
            continue;
        QL_TRY(part, tensorPart(tensor, *renamed, hyper));
        part.tensor = static_cast<std::int64_t>(i);
        if (part.name == "token_embd.weight")
            embeddingRows = tensor.shape[0];
        made.tensors.push_back(std::move(part));
    }
    if (embeddingRows < 0)
        return badInput("has no tensor model.embed_tokens.weight", checkpoint.path().string());
    if (ropeType(hyper.ropeScaling) == "llama3") {
        TensorPart part;
        part.name = "rope_freqs.weight";
        part.generated = ropeFactors(hyper);
        part.numel = std::ssize(part.generated);
        part.dims = {part.numel};
        made.tensors.push_back(std::move(part));
    }
    made.keys = hyperKeys(hyper, name);
    QL_TRY(tokenizer, tokenizerKeys(folder, checkpoint.configJson(), embeddingRows));
    made.keys.insert(made.keys.end(), tokenizer.begin(), tokenizer.end());
    return made;
}

} // namespace ql::ggufout
