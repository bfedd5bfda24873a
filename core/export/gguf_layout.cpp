// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/gguf_layout.h"

#include "core/export/gguf_sources.h"
#include "core/export/model_cache.h"

#include <algorithm>
#include <array>
#include <map>

namespace ql::ggufout {

namespace {

/// llama.cpp's file types of the medium mix where a family has several.
struct FileType {
    Dtype type;
    std::uint32_t number;
};
constexpr FileType kFileTypes[] = {
    {Dtype::f32, 0},    {Dtype::f16, 1},     {Dtype::q4_0, 2},     {Dtype::q4_1, 3},    {Dtype::q8_0, 7},
    {Dtype::q5_0, 8},   {Dtype::q5_1, 9},    {Dtype::q2_k, 10},    {Dtype::q3_k, 12},   {Dtype::q4_k, 15},
    {Dtype::q5_k, 17},  {Dtype::q6_k, 18},   {Dtype::iq2_xxs, 19}, {Dtype::iq2_xs, 20}, {Dtype::iq3_xxs, 23},
    {Dtype::iq1_s, 24}, {Dtype::iq4_nl, 25}, {Dtype::iq3_s, 26},   {Dtype::iq2_s, 28},  {Dtype::iq4_xs, 30},
    {Dtype::iq1_m, 31}, {Dtype::bf16, 32},   {Dtype::tq1_0, 36},   {Dtype::tq2_0, 37},  {Dtype::mxfp4, 38},
    {Dtype::nvfp4, 39}, {Dtype::q1_0, 40},
};

void putBytes(std::string& out, std::uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; ++i)
        out += static_cast<char>((value >> (8 * i)) & 0xffU);
}

void putString(std::string& out, std::string_view text)
{
    putBytes(out, text.size(), 8);
    out += text;
}

void putKey(std::string& out, const Key& key)
{
    putString(out, key.name);
    putBytes(out, static_cast<std::uint32_t>(key.type), 4);
    out += key.value;
}

/// Which layer each tensor is.
void setLayers(const Model& model, Parts& made)
{
    const std::vector<std::int64_t> layerOf = model.layerOfTensor();
    for (TensorPart& part : made.tensors)
        if (part.tensor >= 0)
            part.layer = layerOf[static_cast<std::size_t>(part.tensor)];
}

Result<Parts> makeParts(const Model& model)
{
    const bool fromGguf = model.checkpoint->reader() == "gguf";
    QL_TRY(made, fromGguf ? partsOfGguf(model) : partsOfFolder(model));
    made.fromGguf = fromGguf;
    setLayers(model, made);
    std::erase_if(made.keys, [](const Key& key) { return key.name == kPlanKey; });
    for (const Key& key : made.keys) {
        made.keyBytes += key.sizeBytes();
        made.hasFileType = made.hasFileType || key.name == kFileTypeKey;
        made.hasVersion = made.hasVersion || key.name == kVersionKey;
    }
    for (const TensorPart& tensor : made.tensors)
        made.infoBytes += 8 + std::ssize(tensor.name) + 4 + 8 * std::ssize(tensor.dims) + 4 + 8;
    return made;
}

Dtype typeOf(const TensorPart& tensor, const Plan& plan)
{
    if (tensor.layer >= 0)
        if (const auto type = blockTypeOf(plan.candidates[static_cast<std::size_t>(tensor.layer)].weights))
            return *type;
    return tensor.toFloat32 ? Dtype::f32 : tensor.stored;
}

/// The type of most weights, among tensors of two and more dimensions.
template<typename TypeAt>
std::optional<Dtype> mostUsed(const Parts& parts, const TypeAt& typeAt)
{
    std::map<Dtype, std::int64_t> weights;
    for (std::size_t i = 0; i < parts.tensors.size(); ++i)
        if (parts.tensors[i].isMatrix())
            weights[typeAt(i)] += parts.tensors[i].numel;
    const auto most = std::max_element(weights.begin(), weights.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == weights.end() ? std::nullopt : std::optional(most->first);
}

/// Nothing: the key stays as it is, because the type of most weights does.
std::optional<std::uint32_t> newFileType(const Layout& layout)
{
    const Parts& model = *layout.parts;
    const auto written = mostUsed(model, [&](std::size_t i) { return layout.types[i]; });
    const auto source = mostUsed(model, [&](std::size_t i) { return model.tensors[i].stored; });
    if (!written || (model.hasFileType && written == source))
        return std::nullopt;
    return fileTypeOf(*written);
}

} // namespace

Result<std::shared_ptr<const Parts>> parts(const Model& model)
{
    static ModelCache<Parts> cache;
    return cache.get(model, makeParts);
}

std::optional<std::uint32_t> fileTypeOf(Dtype type)
{
    for (const FileType& entry : kFileTypes)
        if (entry.type == type)
            return entry.number;
    return std::nullopt;
}

std::optional<Dtype> blockTypeOf(const Scheme& scheme)
{
    constexpr std::string_view kPrefix = "gguf:";
    if (!scheme.additions.empty())
        return std::nullopt;
    if (scheme.isCast())
        return dtypeFromWord(scheme.element->id);
    if (scheme.name.starts_with(kPrefix))
        return dtypeFromWord(std::string_view(scheme.name).substr(kPrefix.size()));
    return std::nullopt;
}

Key numberKey(std::string name, GgufType type, std::uint64_t bits, int bytes)
{
    Key key{std::move(name), type, {}};
    putBytes(key.value, bits, bytes);
    return key;
}

Key u32Key(std::string name, std::uint32_t value)
{
    return numberKey(std::move(name), GgufType::u32, value, 4);
}

Key textKey(std::string name, std::string_view value)
{
    Key key{std::move(name), GgufType::string, {}};
    putString(key.value, value);
    return key;
}

std::int64_t permutedRow(std::int64_t row, std::int64_t rowsPerHead)
{
    const std::int64_t head = row / rowsPerHead;
    const std::int64_t inHead = row % rowsPerHead;
    return head * rowsPerHead + inHead % 2 * (rowsPerHead / 2) + inHead / 2;
}

Result<Layout> layOut(const Model& model, const Plan& plan)
{
    QL_TRY(modelParts, parts(model));
    Layout layout;
    layout.parts = modelParts;
    layout.plan = printPlan(plan, model);
    for (const TensorPart& tensor : modelParts->tensors) {
        const Dtype type = typeOf(tensor, plan);
        const auto size = storedBytes(type, tensor.numel);
        if (!size)
            return refused("cannot be stored as " + std::string(info(type).word), tensor.name);
        layout.quantized = layout.quantized || info(type).isGgml;
        layout.types.push_back(type);
        layout.sizes.push_back(*size);
        layout.offsets.push_back(layout.dataBytes);
        layout.dataBytes += roundUp(*size, modelParts->alignment);
    }
    std::int64_t keyBytes = modelParts->keyBytes + textKey(std::string(kPlanKey), layout.plan).sizeBytes();
    if (!modelParts->hasFileType && newFileType(layout))
        keyBytes += u32Key(std::string(kFileTypeKey), 0).sizeBytes();
    if (!modelParts->hasVersion && layout.quantized)
        keyBytes += u32Key(std::string(kVersionKey), 2).sizeBytes();
    layout.headerBytes = roundUp(24 + keyBytes + modelParts->infoBytes, modelParts->alignment);
    return layout;
}

std::string headerText(const Layout& layout)
{
    const Parts& model = *layout.parts;
    std::vector<Key> added;
    const auto fileType = newFileType(layout);
    const auto version = layout.quantized ? std::optional<std::uint32_t>(2) : std::nullopt;
    if (fileType && !model.hasFileType)
        added.push_back(u32Key(std::string(kFileTypeKey), *fileType));
    if (version && !model.hasVersion)
        added.push_back(u32Key(std::string(kVersionKey), *version));
    added.push_back(textKey(std::string(kPlanKey), layout.plan));

    std::string out = "GGUF";
    out.reserve(static_cast<std::size_t>(layout.headerBytes));
    putBytes(out, 3, 4);
    putBytes(out, model.tensors.size(), 8);
    putBytes(out, model.keys.size() + added.size(), 8);
    for (const Key& key : model.keys) {
        // replaced only where the size stays: both keys are 32-bit numbers in any file
        const auto replacement = key.name == kFileTypeKey ? fileType : key.name == kVersionKey ? version : std::nullopt;
        const bool is32Bit = key.type == GgufType::u32 || key.type == GgufType::i32;
        putKey(out, replacement && is32Bit ? numberKey(key.name, key.type, *replacement, 4) : key);
    }
    for (const Key& key : added)
        putKey(out, key);
    for (std::size_t i = 0; i < model.tensors.size(); ++i) {
        const TensorPart& tensor = model.tensors[i];
        putString(out, tensor.name);
        putBytes(out, tensor.dims.size(), 4);
        for (const std::int64_t dimension : tensor.dims)
            putBytes(out, static_cast<std::uint64_t>(dimension), 8);
        putBytes(out, static_cast<std::uint32_t>(info(layout.types[i]).ggmlType), 4);
        putBytes(out, static_cast<std::uint64_t>(layout.offsets[i]), 8);
    }
    out.resize(static_cast<std::size_t>(roundUp(std::ssize(out), model.alignment)), '\0');
    return out;
}

} // namespace ql::ggufout
