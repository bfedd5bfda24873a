// SPDX-License-Identifier: GPL-3.0-or-later
// Reads a compressed-tensors folder as its runtimes do: config.json says how each module is coded, words are shifted
// and masked into codes, q·scale is rounded in the scale's dtype. Uses the safetensors reader and nothing of the writer
// or of QuantizedTensor::restore.
#include "core/base/file.h"
#include "core/checkpoint/reader.h"
#include "core/checkpoint/stored_type.h"
#include "core/export/compressed_tensors_files.h"
#include "core/export/compressed_tensors_layout.h"
#include "core/export/tensor_compare.h"
#include "core/jobs/parallel.h"
#include "core/realize/realize.h"
#include "core/tensor/half.h"

#include <nlohmann/json.hpp>

#include <cstring>
#include <map>
#include <set>

namespace ql::ct {

namespace {

using Json = nlohmann::json;

/// How config.json says a Linear module is coded; bits 0: left alone.
struct Spoken {
    std::int64_t bits = 0;
    std::int64_t groupSize = 0; // 0: channel
    std::string odd;            // what a runtime would not take
};

class Config {
public:
    static Result<Config> read(const std::filesystem::path& path)
    {
        QL_TRY(text, readTextFile(path, std::int64_t{64} << 20));
        return parse(text, path);
    }

    static Result<Config> parse(const std::string& text, const std::filesystem::path& path)
    {
        Config config;
        config.m_json = Json::parse(text, nullptr, false);
        if (!config.m_json.is_object())
            return badInput("is not a JSON object", path.string());
        if (const auto found = config.m_json.find("quantization_config"); found != config.m_json.end()) {
            config.m_quantization = *found;
            config.m_json.erase(found);
        }
        const Json groups = config.groups();
        for (const auto& [name, group] : groups.items())
            for (const Json targets = list(group, "targets"); const Json& target : targets)
                if (target.is_string())
                    config.m_targets.try_emplace(target.get<std::string>(), group);
        for (const Json ignored = list(config.m_quantization, "ignore"); const Json& name : ignored)
            if (name.is_string())
                config.m_ignored.insert(name.get<std::string>());
        return config;
    }

    /// All of the file but the quantization.
    const Json& rest() const { return m_json; }
    bool quantized() const { return m_quantization.is_object(); }
    bool ignores(const std::string& module) const { return m_ignored.contains(module); }

    std::string oddness() const
    {
        if (!quantized())
            return {};
        if (word(m_quantization, "quant_method") != "compressed-tensors" ||
            word(m_quantization, "format") != "pack-quantized" ||
            word(m_quantization, "quantization_status") != "compressed")
            return "config.json does not say compressed-tensors, pack-quantized, compressed";
        return {};
    }

    Spoken schemeOf(const std::string& module) const
    {
        if (!quantized() || ignores(module))
            return {};
        auto found = m_targets.find(module);
        if (found == m_targets.end())
            found = m_targets.find("Linear");
        if (found == m_targets.end())
            return {};
        const Json args = weightsOf(found->second);
        Spoken spoken;
        spoken.bits = number(args, "num_bits");
        if (word(args, "strategy") == "group")
            spoken.groupSize = number(args, "group_size");
        else if (word(args, "strategy") != "channel")
            spoken.odd = "config.json has the strategy '" + word(args, "strategy") + "'";
        const auto symmetric = args.find("symmetric");
        if (word(args, "type") != "int" || symmetric == args.end() || *symmetric != true)
            spoken.odd = "config.json does not say symmetric integers";
        return spoken;
    }

private:
    Json groups() const
    {
        if (!m_quantization.is_object())
            return Json::object();
        const auto found = m_quantization.find("config_groups");
        return found == m_quantization.end() ? Json::object() : *found;
    }
    static Json weightsOf(const Json& group)
    {
        const auto found = group.is_object() ? group.find("weights") : group.end();
        return group.is_object() && found != group.end() && found->is_object() ? *found : Json::object();
    }
    static Json list(const Json& object, const char* key)
    {
        const auto found = object.is_object() ? object.find(key) : object.end();
        return object.is_object() && found != object.end() && found->is_array() ? *found : Json::array();
    }
    static std::string word(const Json& object, const char* key)
    {
        const auto found = object.find(key);
        return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
    }
    static std::int64_t number(const Json& object, const char* key)
    {
        const auto found = object.find(key);
        return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
    }

    Json m_json;
    Json m_quantization;
    std::map<std::string, Json> m_targets;
    std::set<std::string> m_ignored;
};

/// The n-th code of a row of 32-bit words, shifted to signed.
int codeAt(const std::byte* row, std::int64_t n, std::int64_t bits)
{
    const std::int64_t bit = n * bits;
    const std::int64_t shift = bit % 32;
    std::uint32_t word = 0;
    std::memcpy(&word, row + bit / 32 * 4, sizeof word);
    std::uint32_t code = word >> shift;
    if (shift + bits > 32) { // the rest stands in the next word
        std::memcpy(&word, row + bit / 32 * 4 + 4, sizeof word);
        code |= word << (32 - shift);
    }
    return static_cast<int>(code & ((1U << bits) - 1U)) - (1 << (bits - 1));
}

float scaleAt(const TensorView& scales, std::int64_t index)
{
    float value = 0;
    decode(scales.dtype, scales.data, index, 1, &value);
    return value;
}

void storeProduct(Dtype dtype, int code, float scale, std::byte* out)
{
    const float product = static_cast<float>(code) * scale;
    if (dtype == Dtype::f32) {
        std::memcpy(out, &product, sizeof product);
        return;
    }
    const std::uint16_t bits = dtype == Dtype::bf16 ? bf16FromFloat(product) : f16FromFloat(product);
    std::memcpy(out, &bits, sizeof bits);
}

class Reading {
public:
    Reading(const ExportRequest& request, const Checkpoint& file, const Config& config, const JobContext& context)
        : m_request(request), m_file(file), m_config(config), m_context(context)
    {}

    Result<VerifiedTensor> kept(std::int64_t tensor, const Layer* layer)
    {
        const Checkpoint& source = *m_request.model.checkpoint;
        const TensorInfo& wanted = source.tensors()[static_cast<std::size_t>(tensor)];
        VerifiedTensor result{.name = wanted.name, .candidate = "keep", .elements = wanted.numel(), .problem = {}};
        const std::int64_t index = take(wanted.name);
        if (index < 0) {
            result.problem = "is missing";
            return result;
        }
        if (const std::string module = moduleOf(wanted.name);
            layer && layer->op == Operator::linear && m_config.schemeOf(module).bits != 0)
            result.problem = "config.json says that it is quantized; 'ignore' must list it";
        QL_TRY(expected, loadAsStored(source, tensor, m_context));
        QL_TRY(actual, m_file.load(index, m_context));
        if (result.problem.empty())
            QL_CHECK(compareStored(expected.view, actual.view, result, m_context));
        return result;
    }

    Result<VerifiedTensor> quantized(std::int64_t layerIndex)
    {
        const Layer& layer = m_request.model.layers[static_cast<std::size_t>(layerIndex)];
        const Candidate& candidate = m_request.plan.candidates[static_cast<std::size_t>(layerIndex)];
        VerifiedTensor result{
            .name = layer.name, .candidate = printCandidate(candidate), .elements = layer.numel(), .problem = {}};
        const std::string module = moduleOf(layer.name);
        const std::int64_t packed = take(module + ".weight_packed");
        const std::int64_t scale = take(module + ".weight_scale");
        const std::int64_t shape = take(module + ".weight_shape");
        if (packed < 0 || scale < 0 || shape < 0) {
            result.problem = packed < 0  ? "weight_packed is missing"
                             : scale < 0 ? "weight_scale is missing"
                                         : "weight_shape is missing";
            return result;
        }
        QL_TRY(words, m_file.load(packed, m_context));
        QL_TRY(scales, m_file.load(scale, m_context));
        QL_TRY(dims, m_file.load(shape, m_context));
        const Spoken spoken = m_config.schemeOf(module);
        result.problem = oddness(layer, candidate, spoken, words.view, scales.view, dims.view);
        if (!result.problem.empty())
            return result;
        QL_TRY(expected, realize(m_request.model, layerIndex, candidate, m_request.activations, m_context));
        QL_TRY(restored, restoreAs(expected, scales.view.dtype, m_context));
        QL_CHECK(compare(layer, spoken, words.view, scales.view, restored, result));
        return result;
    }

    /// Tensors of the file that nothing asked for.
    void addExtra(VerifyReport& report) const
    {
        for (std::size_t i = 0; i < m_file.tensors().size(); ++i)
            if (!m_taken.contains(static_cast<std::int64_t>(i)))
                report.problems.push_back("the file has a tensor " + m_file.tensors()[i].name +
                                          " that the plan does not give");
    }

private:
    static std::string moduleOf(const std::string& name)
    {
        return name.ends_with(".weight") ? name.substr(0, name.size() - 7) : name;
    }
    std::int64_t take(const std::string& name)
    {
        const std::int64_t index = m_file.indexOf(name);
        if (index >= 0)
            m_taken.insert(index);
        return index;
    }

    std::string oddness(const Layer& layer, const Candidate& candidate, const Spoken& spoken, const TensorView& words,
                        const TensorView& scales, const TensorView& dims) const
    {
        const Scheme& scheme = candidate.weights;
        const std::int64_t group = scheme.granularity == Granularity::group ? scheme.groupSize : 0;
        if (!spoken.odd.empty())
            return spoken.odd;
        if (spoken.bits != scheme.element->bits || spoken.groupSize != group)
            return "config.json gives it " + std::to_string(spoken.bits) + " bits in groups of " +
                   std::to_string(spoken.groupSize) + ", the plan says " + printScheme(scheme);
        const std::int64_t rows = layer.shape[0];
        const std::int64_t cols = layer.shape[1];
        const std::int64_t groups = group > 0 ? cols / group : 1;
        if (words.dtype != Dtype::i32 || words.shape != Shape{rows, (cols * spoken.bits + 31) / 32})
            return "weight_packed is " + std::string(info(words.dtype).word) + " " + formatShape(words.shape);
        if (scales.dtype != layer.dtype || scales.shape != Shape{rows, groups})
            return "weight_scale is " + std::string(info(scales.dtype).word) + " " + formatShape(scales.shape);
        std::int64_t stored[2] = {};
        if (dims.dtype == Dtype::i64 && dims.shape == Shape{2})
            std::memcpy(stored, dims.data, sizeof stored);
        if (stored[0] != rows || stored[1] != cols)
            return "weight_shape does not hold " + formatShape(layer.shape);
        return {};
    }

    Result<void> compare(const Layer& layer, const Spoken& spoken, const TensorView& words, const TensorView& scales,
                         const Buffer& expected, VerifiedTensor& result) const
    {
        const std::int64_t rows = layer.shape[0];
        const std::int64_t cols = layer.shape[1];
        const std::int64_t groups = scales.shape[1];
        const std::int64_t perGroup = spoken.groupSize > 0 ? spoken.groupSize : cols;
        const std::int64_t rowBytes = words.shape[1] * 4;
        const std::int64_t elementBytes = info(scales.dtype).blockBytes;
        const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 19) / std::max<std::int64_t>(1, cols));
        const auto compareRows = [&](std::int64_t begin, std::int64_t end) {
            VerifiedTensor part;
            Buffer row(cols * elementBytes);
            for (std::int64_t r = begin; r < end; ++r) {
                for (std::int64_t g = 0; g < groups; ++g) {
                    const float scale = scaleAt(scales, r * groups + g);
                    for (std::int64_t k = g * perGroup; k < std::min(cols, (g + 1) * perGroup); ++k)
                        storeProduct(scales.dtype, codeAt(words.data + r * rowBytes, k, spoken.bits), scale,
                                     row.data() + k * elementBytes);
                }
                compareFloats(scales.dtype, expected.data() + r * cols * elementBytes, row.data(), cols, part);
                if (std::uint32_t tail = 0; cols * spoken.bits % 32 != 0) {
                    std::memcpy(&tail, words.data + (r + 1) * rowBytes - 4, sizeof tail);
                    if (tail >> (cols * spoken.bits % 32) != 0)
                        part.problem = "the last word of a row has bits behind the row's end";
                }
            }
            m_context.progress().addDone((end - begin) * rowBytes);
            return part;
        };
        QL_TRY(total, deterministicReduce(m_context, rows, grain, VerifiedTensor{}, compareRows, addChunk));
        addChunk(result, total);
        return {};
    }

    const ExportRequest& m_request;
    const Checkpoint& m_file;
    const Config& m_config;
    const JobContext& m_context;
    std::set<std::int64_t> m_taken;
};

Result<void> verifyOtherFiles(const ExportRequest& request, const std::filesystem::path& path, const Config& config,
                              VerifyReport& report)
{
    QL_TRY(modelParts, parts(request.model));
    QL_TRY(source, variantOf(*request.model.checkpoint).empty()
                       ? Config::read(modelParts->folder / kConfigFile)
                       : Config::parse(request.model.checkpoint->configJson(), modelParts->folder / kConfigFile));
    if (source.rest() != config.rest())
        report.problems.push_back("config.json changed other keys than quantization_config");
    if (const std::string odd = config.oddness(); !odd.empty())
        report.problems.push_back(odd);
    if (config.quantized() && modelParts->untiedHead && !config.ignores("lm_head"))
        report.problems.push_back("config.json must list lm_head under 'ignore'");
    for (const Parts::Copy& copy : modelParts->copies)
        compareFiles(modelParts->folder / copy.name, path / copy.name, report.problems);
    return {};
}

} // namespace

Result<VerifyReport> verifyFolder(const ExportRequest& request, const std::filesystem::path& path,
                                  const JobContext& context)
{
    QL_TRY(config, Config::read(path / kConfigFile));
    QL_TRY(file, openCheckpoint(path / kWeightsFile, context));
    VerifyReport report;
    QL_CHECK(verifyOtherFiles(request, path, config, report));

    const Model& model = request.model;
    const std::vector<std::int64_t> layerOf = model.layerOfTensor();
    context.progress().addTotal(file->sizeBytes());
    Reading reading(request, *file, config, context);
    for (std::size_t i = 0; i < layerOf.size(); ++i) {
        QL_CHECK(context.checkStop());
        const std::int64_t layer = layerOf[i];
        const bool keep = layer < 0 || request.plan.candidates[static_cast<std::size_t>(layer)].weights.isKeep();
        auto verified = keep ? reading.kept(static_cast<std::int64_t>(i),
                                            layer < 0 ? nullptr : &model.layers[static_cast<std::size_t>(layer)])
                             : reading.quantized(layer);
        if (!verified)
            return verified.error();
        report.tensors.push_back(std::move(verified).value());
    }
    reading.addExtra(report);
    return report;
}

} // namespace ql::ct
