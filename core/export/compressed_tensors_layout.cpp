// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/compressed_tensors_layout.h"

#include "core/base/file.h"
#include "core/base/json_string.h"
#include "core/base/text.h"
#include "core/checkpoint/stored_type.h"
#include "core/export/model_cache.h"
#include "core/export/text_sink.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace ql::ct {

namespace {

constexpr std::int64_t kLargestCopy = 100'000'000;
constexpr std::int64_t kLargestConfig = std::int64_t{64} << 20;

struct Word {
    Dtype dtype;
    std::string_view word;
};
constexpr Word kWords[] = {
    {Dtype::f64, "F64"},         {Dtype::f32, "F32"},         {Dtype::f16, "F16"},         {Dtype::bf16, "BF16"},
    {Dtype::f8_e4m3, "F8_E4M3"}, {Dtype::f8_e5m2, "F8_E5M2"}, {Dtype::f8_e8m0, "F8_E8M0"}, {Dtype::i64, "I64"},
    {Dtype::i32, "I32"},         {Dtype::i16, "I16"},         {Dtype::i8, "I8"},           {Dtype::u64, "U64"},
    {Dtype::u32, "U32"},         {Dtype::u16, "U16"},         {Dtype::u8, "U8"},           {Dtype::boolean, "BOOL"},
    {Dtype::c64, "C64"},
};

Result<std::string_view> safetensorsWord(const TensorInfo& tensor)
{
    for (const Word& entry : kWords)
        if (entry.dtype == tensor.dtype)
            return entry.word;
    return refused("is stored as " + std::string(info(tensor.dtype).word) + ", which this target cannot keep",
                   tensor.name);
}

bool isWeights(const std::filesystem::path& file)
{
    static constexpr std::string_view kEndings[] = {
        ".safetensors", ".bin", ".pt",  ".pth", ".ckpt", ".h5",  ".msgpack", ".gguf", ".ggml",     ".onnx",
        ".ot",          ".npz", ".npy", ".tar", ".gz",   ".zip", ".part",    ".lock", ".onnx_data"};
    const std::string name = toLower(file.filename().string());
    return std::any_of(std::begin(kEndings), std::end(kEndings), [&](auto ending) { return name.ends_with(ending); }) ||
           name.ends_with(".index.json");
}

Result<std::vector<Parts::Copy>> smallFiles(const std::filesystem::path& folder)
{
    std::vector<Parts::Copy> copies;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        std::error_code gone;
        if (name.starts_with('.') || name == kConfigFile || name == kPlanFile || isWeights(name) ||
            !it->is_regular_file(gone))
            continue;
        const auto size = static_cast<std::int64_t>(it->file_size(gone));
        if (!gone && size <= kLargestCopy)
            copies.push_back({name, size});
    }
    if (error)
        return ioError("cannot list the model's folder: " + error.message(), folder.string());
    std::sort(copies.begin(), copies.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return copies;
}

/// The file's own text, or that of a transform that unties the output head.
Result<std::string> configText(const Checkpoint& checkpoint, const std::filesystem::path& file)
{
    if (!variantOf(checkpoint).empty())
        return checkpoint.configJson();
    return readTextFile(file, kLargestConfig);
}

/// The model's config.json up to its last brace.
Result<std::string> configHead(std::string text, const std::filesystem::path& file, nlohmann::json& config)
{
    config = nlohmann::json::parse(text, nullptr, false);
    if (!config.is_object())
        return badInput("is not a JSON object", file.string());
    if (config.contains("quantization_config") || config.contains("compression_config"))
        return refused("says that the model is quantized already; open the unquantized one", file.string());
    text.erase(text.rfind('}'));
    while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos)
        text.pop_back();
    return text;
}

bool isCausal(const nlohmann::json& config)
{
    const auto list = config.find("architectures");
    return list != config.end() && list->is_array() && !list->empty() && list->front().is_string() &&
           list->front().get<std::string>().ends_with("ForCausalLM");
}

Result<Parts> makeParts(const Model& model)
{
    const Checkpoint& checkpoint = *model.checkpoint;
    Parts made;
    std::error_code error;
    made.folder =
        std::filesystem::is_directory(checkpoint.path(), error) ? checkpoint.path() : checkpoint.path().parent_path();
    nlohmann::json config;
    const std::filesystem::path configFile = made.folder / kConfigFile;
    QL_TRY(text, configText(checkpoint, configFile));
    QL_TRY(head, configHead(std::move(text), configFile, config));
    made.configHead = std::move(head);
    QL_TRY(copies, smallFiles(made.folder));
    made.copies = std::move(copies);

    for (const TensorInfo& tensor : checkpoint.tensors()) {
        QL_TRY(word, safetensorsWord(tensor));
        Parts::Tensor part;
        part.jsonName = jsonString(tensor.name);
        part.jsonModule = part.jsonName;
        part.dtype = word;
        part.elementBytes = info(tensor.dtype).blockBytes;
        part.sizeBytes = storedBytes(tensor.dtype, tensor.numel()).value();
        part.shape = tensor.shape;
        made.tensors.push_back(std::move(part));
    }
    bool headTensor = false;
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const Layer& layer = model.layers[i];
        Parts::Tensor& tensor = made.tensors[static_cast<std::size_t>(layer.tensor)];
        tensor.layer = static_cast<std::int64_t>(i);
        headTensor = headTensor || layer.name == "lm_head.weight";
        constexpr std::string_view kEnding = ".weight";
        if (layer.op != Operator::linear || tensor.shape.size() != 2 || !layer.name.ends_with(kEnding))
            continue;
        tensor.linear = true;
        tensor.jsonModule = jsonString(std::string_view(layer.name).substr(0, layer.name.size() - kEnding.size()));
    }
    made.untiedHead = !headTensor && isCausal(config);
    return made;
}

/// Of a tensor that is coded.
Stored storedPart(const Layout& layout, const Entry& entry)
{
    const Parts::Tensor& tensor = layout.parts->tensors[static_cast<std::size_t>(entry.tensor)];
    return ct::storedPart(layout.codings[static_cast<std::size_t>(entry.tensor)], entry.part, tensor.shape[0],
                          tensor.shape[1]);
}

template<typename Out>
void putShape(Out& out, std::span<const std::int64_t> shape)
{
    for (std::size_t i = 0; i < shape.size(); ++i) {
        if (i > 0)
            out.text(",");
        out.number(shape[i]);
    }
}

template<typename Out>
void putEntry(Out& out, const Layout& layout, const Entry& entry)
{
    const Parts::Tensor& tensor = layout.parts->tensors[static_cast<std::size_t>(entry.tensor)];
    std::string_view dtype = tensor.dtype;
    std::span<const std::int64_t> shape = tensor.shape;
    Stored stored;
    if (entry.part == Part::kept) {
        out.text(tensor.jsonName);
    } else {
        stored = storedPart(layout, entry);
        std::string_view module = tensor.jsonModule;
        module.remove_suffix(1);
        out.text(module);
        out.text(stored.suffix);
        out.text("\"");
        shape = std::span(stored.dims).first(stored.rank);
        if (!stored.dtype.empty())
            dtype = stored.dtype;
    }
    out.text(":{\"dtype\":\"");
    out.text(dtype);
    out.text("\",\"shape\":[");
    putShape(out, shape);
    out.text("],\"data_offsets\":[");
    out.number(entry.begin);
    out.text(",");
    out.number(entry.begin + entry.sizeBytes);
    out.text("]}");
}

template<typename Out>
void putHeader(Out& out, const Layout& layout)
{
    out.text("{\"__metadata__\":{\"format\":\"pt\"}");
    for (const Entry& entry : layout.entries) {
        out.text(",");
        putEntry(out, layout, entry);
    }
    out.text("}");
    for (; out.size() % 8 != 0;)
        out.text(" ");
}

/// Calls place(part, elementBytes, sizeBytes) for each tensor of the file that holds some of this one.
template<typename Place>
void forEachPart(const Parts::Tensor& tensor, const Coding& coding, const Place& place)
{
    if (coding.storage == Storage::kept) {
        place(Part::kept, tensor.elementBytes, tensor.sizeBytes);
        return;
    }
    for (int i = 1; i < kPartCount; ++i) {
        const auto part = static_cast<Part>(i);
        const Stored stored = ct::storedPart(coding, part, tensor.shape[0], tensor.shape[1]);
        if (stored.rank == 0)
            continue;
        const int elementBytes = stored.elementBytes > 0 ? stored.elementBytes : tensor.elementBytes;
        place(part, elementBytes, stored.dims[0] * (stored.rank == 2 ? stored.dims[1] : 1) * elementBytes);
    }
}

} // namespace

Result<std::shared_ptr<const Parts>> parts(const Model& model)
{
    static ModelCache<Parts> cache;
    return cache.get(model, makeParts);
}

Result<Layout> layOut(const Model& model, const Plan& plan)
{
    QL_TRY(modelParts, parts(model));
    Layout layout;
    layout.parts = modelParts;
    const auto& tensors = modelParts->tensors;
    layout.codings.resize(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i)
        if (tensors[i].layer >= 0)
            layout.codings[i] = codingOf(plan.candidates[static_cast<std::size_t>(tensors[i].layer)]);

    layout.entries.reserve(3 * tensors.size());
    for (const int elementBytes : {16, 8, 4, 2, 1})
        for (std::size_t i = 0; i < tensors.size(); ++i)
            forEachPart(tensors[i], layout.codings[i], [&](Part part, int bytes, std::int64_t size) {
                if (bytes != elementBytes)
                    return;
                layout.entries.push_back({static_cast<std::int64_t>(i), part, layout.dataBytes, size});
                layout.dataBytes += size;
            });

    TextMeter header;
    putHeader(header, layout);
    layout.headerBytes = 8 + header.size();
    layout.configBytes = countConfigBytes(layout);
    layout.planBytes = std::ssize(planText(model, plan));
    for (const Parts::Copy& copy : modelParts->copies)
        layout.copiedBytes += copy.sizeBytes;
    return layout;
}

std::string headerText(const Layout& layout)
{
    TextBuilder header;
    putHeader(header, layout);
    std::string text;
    for (int byte = 0; byte < 8; ++byte)
        text += static_cast<char>((static_cast<std::uint64_t>(header.size()) >> (8 * byte)) & 0xffU);
    return text + header.str();
}

std::string planText(const Model& model, const Plan& plan)
{
    return printPlan(plan, model);
}

} // namespace ql::ct
