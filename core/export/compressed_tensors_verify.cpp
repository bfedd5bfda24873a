// SPDX-License-Identifier: GPL-3.0-or-later
// Reads a compressed-tensors folder as its runtimes do: config.json says by which format and arguments each module is
// coded, words are shifted and masked into codes, the zero point is taken off, and the product with the scale is
// rounded once in the dtype that the library restores to. Uses the safetensors reader and nothing of the writer or of
// QuantizedTensor::restore.
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

/// How config.json says a Linear module is coded, or how a plan wants it to; without a format: left alone.
struct Spoken {
    std::string format;
    std::string type; // "int" or "float"
    std::string strategy;
    std::string scaleDtype; // empty: the layer's
    std::string inputs;     // rounding of the layer's inputs: "int 8 token dynamic", or empty
    std::int64_t bits = 0;
    std::int64_t groupSize = 0; // 0: no groups
    bool symmetric = true;
    friend bool operator==(const Spoken&, const Spoken&) = default;
};

std::string describe(const Spoken& spoken)
{
    std::string text = spoken.format + ", " + spoken.type + " of " + std::to_string(spoken.bits) + " bits";
    text += spoken.symmetric ? ", symmetric" : ", not symmetric";
    text += ", strategy " + spoken.strategy;
    if (spoken.groupSize > 0)
        text += " in groups of " + std::to_string(spoken.groupSize);
    if (!spoken.scaleDtype.empty())
        text += ", scales in " + spoken.scaleDtype;
    return text + (spoken.inputs.empty() ? "" : ", inputs " + spoken.inputs);
}

/// What the formats' specification asks for.
Spoken wantedOf(const Candidate& candidate)
{
    const Scheme& scheme = candidate.weights;
    Spoken wanted;
    const bool integer = scheme.element->kind == FormatKind::integer;
    wanted.type = integer ? "int" : "float";
    wanted.bits = scheme.element->bits;
    wanted.symmetric = scheme.zeroPoint == ZeroPoint::none;
    wanted.strategy = scheme.granularity == Granularity::tensor    ? "tensor"
                      : scheme.granularity == Granularity::channel ? "channel"
                      : scheme.name == "nvfp4"                     ? "tensor_group"
                                                                   : "group";
    wanted.groupSize = scheme.granularity == Granularity::group ? scheme.groupSize : 0;
    if (candidate.activations)
        wanted.inputs = wanted.type + " 8 token dynamic symmetric";
    if (scheme.name == "nvfp4") {
        wanted.format = "nvfp4-pack-quantized";
        wanted.scaleDtype = "torch.float8_e4m3fn";
    } else if (scheme.name == "mxfp4") {
        wanted.format = "mxfp4-pack-quantized";
        wanted.scaleDtype = "torch.uint8";
    } else if (integer) {
        wanted.format = candidate.activations ? "int-quantized" : "pack-quantized";
    } else {
        wanted.format = candidate.activations ? "float-quantized" : "naive-quantized";
    }
    return wanted;
}

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
            word(m_quantization, "quantization_status") != "compressed")
            return "config.json does not say compressed-tensors, compressed";
        std::set<std::string> formats;
        const Json all = groups();
        for (const auto& [name, group] : all.items())
            formats.insert(word(group, "format"));
        const std::string wanted = formats.size() == 1 ? *formats.begin() : "mixed-precision";
        if (word(m_quantization, "format") != wanted)
            return "config.json has the format '" + word(m_quantization, "format") + "', and its groups ask for " +
                   wanted;
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
        const Json args = part(found->second, "weights");
        Spoken spoken;
        spoken.format = word(found->second, "format");
        spoken.type = word(args, "type");
        spoken.bits = number(args, "num_bits");
        spoken.strategy = word(args, "strategy");
        spoken.groupSize = number(args, "group_size");
        spoken.scaleDtype = word(args, "scale_dtype");
        spoken.symmetric = isTrue(args, "symmetric");
        const Json inputs = part(found->second, "input_activations");
        if (!inputs.empty())
            spoken.inputs = word(inputs, "type") + " " + std::to_string(number(inputs, "num_bits")) + " " +
                            word(inputs, "strategy") + (isTrue(inputs, "dynamic") ? " dynamic" : " static") +
                            (isTrue(inputs, "symmetric") ? " symmetric" : "");
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
    static Json part(const Json& group, const char* key)
    {
        const auto found = group.is_object() ? group.find(key) : group.end();
        return group.is_object() && found != group.end() && found->is_object() ? *found : Json::object();
    }
    static bool isTrue(const Json& object, const char* key)
    {
        const auto found = object.find(key);
        return found != object.end() && *found == true;
    }
    static Json list(const Json& object, const char* key)
    {
        const auto found = object.is_object() ? object.find(key) : object.end();
        return object.is_object() && found != object.end() && found->is_array() ? *found : Json::array();
    }
    static std::string word(const Json& object, const char* key)
    {
        const auto found = object.is_object() ? object.find(key) : object.end();
        return object.is_object() && found != object.end() && found->is_string() ? found->get<std::string>()
                                                                                 : std::string();
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

/// The n-th code of a string of 32-bit words that lie `stride` bytes apart, shifted to signed.
int codeAt(const std::byte* words, std::int64_t stride, std::int64_t n, std::int64_t bits)
{
    const std::int64_t bit = n * bits;
    const std::int64_t shift = bit % 32;
    std::uint32_t word = 0;
    std::memcpy(&word, words + bit / 32 * stride, sizeof word);
    std::uint32_t code = word >> shift;
    if (shift + bits > 32) { // the rest stands in the next word
        std::memcpy(&word, words + (bit / 32 + 1) * stride, sizeof word);
        code |= word << (32 - shift);
    }
    return static_cast<int>(code & ((1U << bits) - 1U)) - (1 << (bits - 1));
}

/// Whether the last of those words has bits behind n codes.
bool endsInBits(const std::byte* words, std::int64_t stride, std::int64_t n, std::int64_t bits)
{
    const std::int64_t used = n * bits % 32;
    if (used == 0)
        return false;
    std::uint32_t last = 0;
    std::memcpy(&last, words + n * bits / 32 * stride, sizeof last);
    return last >> used != 0;
}

float valueAt(const TensorView& view, std::int64_t index)
{
    float value = 0;
    decode(view.dtype, view.data, index, 1, &value);
    return value;
}

void storeRounded(Dtype dtype, float value, std::byte* out)
{
    if (dtype == Dtype::f32) {
        std::memcpy(out, &value, sizeof value);
        return;
    }
    const std::uint16_t bits = dtype == Dtype::bf16 ? bf16FromFloat(value) : f16FromFloat(value);
    std::memcpy(out, &bits, sizeof bits);
}

constexpr float kE2m1[16] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6, -0.0F, -0.5F, -1, -1.5F, -2, -3, -4, -6};

/// The tensors of one module; those its format does not have are empty.
struct Module {
    Spoken spoken;
    TensorData codes, scales, zeroPoints, globalScale, shape;

    bool isPacked() const { return spoken.format == "pack-quantized"; }
    bool isFp4() const { return spoken.type == "float" && spoken.bits == 4; }
    Dtype restoreDtype() const { return isFp4() ? Dtype::bf16 : scales.view.dtype; }
    std::int64_t groups() const { return scales.view.shape.size() == 2 ? scales.view.shape[1] : 1; }

    float scaleAt(std::int64_t row, std::int64_t group) const
    {
        const std::int64_t index = scales.view.shape.size() == 2 ? row * groups() + group : 0;
        if (spoken.scaleDtype == "torch.uint8") // an exponent
            return floatFromE8m0(std::to_integer<std::uint8_t>(scales.view.data[index]));
        const float scale = valueAt(scales.view, index);
        return spoken.scaleDtype.empty() ? scale : scale / valueAt(globalScale.view, 0);
    }
    int zeroAt(std::int64_t row, std::int64_t group) const
    {
        if (spoken.symmetric)
            return 0;
        return codeAt(zeroPoints.view.data + group * 4, groups() * 4, row, spoken.bits);
    }
    /// The weight without its scale.
    float levelAt(std::int64_t row, std::int64_t col, int zero) const
    {
        const std::int64_t width = codes.view.shape[1];
        if (isPacked())
            return static_cast<float>(codeAt(codes.view.data + row * width * 4, 4, col, spoken.bits) - zero);
        if (isFp4()) {
            const auto pair = std::to_integer<unsigned>(codes.view.data[row * width + col / 2]);
            return kE2m1[(col % 2 == 0 ? pair : pair >> 4U) & 15U];
        }
        return valueAt(codes.view, row * width + col);
    }
};

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
            layer && layer->op == Operator::linear && !m_config.schemeOf(module).format.empty())
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
        QL_TRY(module, load(moduleOf(layer.name), candidate, result));
        if (result.problem.empty())
            result.problem = oddness(layer, module);
        if (!result.problem.empty())
            return result;
        QL_TRY(expected, realize(m_request.model, layerIndex, candidate, m_request.activations, m_context));
        QL_TRY(restored, restoreAs(expected, module.restoreDtype(), m_context));
        QL_CHECK(compare(layer, module, restored, result));
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

    /// Loads what the plan's format has; a tensor that is missing, or a scheme that config.json words otherwise, is the
    /// result's problem.
    Result<Module> load(const std::string& name, const Candidate& candidate, VerifiedTensor& result)
    {
        Module module;
        module.spoken = m_config.schemeOf(name);
        const Spoken wanted = wantedOf(candidate);
        const bool packed = wanted.format.find("pack") != std::string::npos;
        const auto get = [&](bool has, const char* suffix, TensorData& data) -> Result<void> {
            if (!has)
                return {};
            const std::int64_t index = take(name + suffix);
            if (index >= 0) {
                QL_TRY(loaded, m_file.load(index, m_context));
                data = std::move(loaded);
            } else if (result.problem.empty()) {
                result.problem = std::string(suffix + 1) + " is missing";
            }
            return {};
        };
        QL_CHECK(get(true, packed ? ".weight_packed" : ".weight", module.codes));
        QL_CHECK(get(true, ".weight_scale", module.scales));
        QL_CHECK(get(!wanted.symmetric, ".weight_zero_point", module.zeroPoints));
        QL_CHECK(get(wanted.strategy == "tensor_group", ".weight_global_scale", module.globalScale));
        QL_CHECK(get(wanted.format == "pack-quantized", ".weight_shape", module.shape));
        if (result.problem.empty() && module.spoken != wanted)
            result.problem = "config.json says " +
                             (module.spoken.format.empty() ? std::string("nothing of it") : describe(module.spoken)) +
                             "; the plan wants " + describe(wanted);
        return module;
    }

    std::string oddness(const Layer& layer, const Module& module) const
    {
        const Spoken& spoken = module.spoken;
        const std::int64_t rows = layer.shape[0];
        const std::int64_t cols = layer.shape[1];
        const std::int64_t groups = spoken.groupSize > 0 ? cols / spoken.groupSize : 1;
        const auto odd = [](const char* name, const TensorView& view, Dtype dtype, const Shape& shape) {
            return view.dtype == dtype && view.shape == shape
                       ? std::string()
                       : std::string(name) + " is " + std::string(info(view.dtype).word) + " " +
                             formatShape(view.shape) + ", not " + std::string(info(dtype).word) + " " +
                             formatShape(shape);
        };
        std::string found;
        const auto add = [&found](std::string problem) {
            if (found.empty())
                found = std::move(problem);
        };
        if (module.isPacked())
            add(odd("weight_packed", module.codes.view, Dtype::i32, {rows, (cols * spoken.bits + 31) / 32}));
        else if (module.isFp4())
            add(odd("weight_packed", module.codes.view, Dtype::u8, {rows, cols / 2}));
        else
            add(odd("weight", module.codes.view, spoken.type == "int" ? Dtype::i8 : Dtype::f8_e4m3, {rows, cols}));
        const Dtype scaleDtype = spoken.scaleDtype.empty()            ? layer.dtype
                                 : spoken.scaleDtype == "torch.uint8" ? Dtype::u8
                                                                      : Dtype::f8_e4m3;
        add(odd("weight_scale", module.scales.view, scaleDtype,
                spoken.strategy == "tensor" ? Shape{1} : Shape{rows, groups}));
        if (!spoken.symmetric)
            add(odd("weight_zero_point", module.zeroPoints.view, Dtype::i32, {(rows * spoken.bits + 31) / 32, groups}));
        if (spoken.strategy == "tensor_group")
            add(odd("weight_global_scale", module.globalScale.view, Dtype::f32, {1}));
        if (!module.isPacked() || !found.empty())
            return found;
        std::int64_t stored[2] = {};
        if (module.shape.view.dtype == Dtype::i64 && module.shape.view.shape == Shape{2})
            std::memcpy(stored, module.shape.view.data, sizeof stored);
        if (stored[0] != rows || stored[1] != cols)
            return "weight_shape does not hold " + formatShape(layer.shape);
        for (std::int64_t g = 0; g < groups && !spoken.symmetric; ++g)
            if (endsInBits(module.zeroPoints.view.data + g * 4, groups * 4, rows, spoken.bits))
                return "the last words of weight_zero_point have bits behind the last row";
        return {};
    }

    Result<void> compare(const Layer& layer, const Module& module, const Buffer& expected, VerifiedTensor& result) const
    {
        const std::int64_t rows = layer.shape[0];
        const std::int64_t cols = layer.shape[1];
        const std::int64_t groups = module.groups();
        const std::int64_t perGroup = module.spoken.groupSize > 0 ? module.spoken.groupSize : cols;
        const std::int64_t rowBytes = module.codes.view.shape[1] * info(module.codes.view.dtype).blockBytes;
        const Dtype dtype = module.restoreDtype();
        const std::int64_t elementBytes = info(dtype).blockBytes;
        const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 19) / std::max<std::int64_t>(1, cols));
        const auto compareRows = [&](std::int64_t begin, std::int64_t end) {
            VerifiedTensor part;
            Buffer row(cols * elementBytes);
            for (std::int64_t r = begin; r < end; ++r) {
                for (std::int64_t g = 0; g < groups; ++g) {
                    const float scale = module.scaleAt(r, g);
                    const int zero = module.zeroAt(r, g);
                    for (std::int64_t k = g * perGroup; k < std::min(cols, (g + 1) * perGroup); ++k)
                        storeRounded(dtype, module.levelAt(r, k, zero) * scale, row.data() + k * elementBytes);
                }
                compareFloats(dtype, expected.data() + r * cols * elementBytes, row.data(), cols, part);
                if (module.isPacked() && endsInBits(module.codes.view.data + r * rowBytes, 4, cols, module.spoken.bits))
                    part.problem = "the last word of a row has bits behind the row's end";
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
