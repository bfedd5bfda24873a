// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/compressed_tensors_layout.h"
#include "core/export/text_sink.h"

#include <algorithm>
#include <map>

namespace ql::ct {

namespace {

template<typename Out>
void putList(Out& out, std::string_view indent, std::span<const std::string_view> items)
{
    out.text("[");
    for (std::size_t i = 0; i < items.size(); ++i) {
        out.text(i > 0 ? ",\n" : "\n");
        out.text(indent);
        out.text("  ");
        out.text(items[i]);
    }
    if (!items.empty()) {
        out.text("\n");
        out.text(indent);
    }
    out.text("]");
}

std::string_view strategyOf(const Coding& coding)
{
    if (coding.scale == ScaleCoding::ue4m3)
        return "tensor_group";
    switch (coding.granularity) {
    case Granularity::tensor:
        return "tensor";
    case Granularity::group:
        return "group";
    default:
        return "channel";
    }
}

std::string_view typeOf(const Coding& coding)
{
    return coding.storage == Storage::fp8 || coding.storage == Storage::fp4 ? "float" : "int";
}

template<typename Out>
void putWeights(Out& out, const Coding& coding)
{
    out.text("{\"num_bits\": ");
    out.number(coding.bits);
    out.text(", \"type\": \"");
    out.text(typeOf(coding));
    out.text(coding.zeroPoint ? "\", \"symmetric\": false" : "\", \"symmetric\": true");
    out.text(", \"strategy\": \"");
    out.text(strategyOf(coding));
    out.text("\"");
    if (coding.groupSize > 0) {
        out.text(", \"group_size\": ");
        out.number(coding.groupSize);
    }
    if (coding.scale)
        out.text(coding.scale == ScaleCoding::ue4m3 ? ", \"scale_dtype\": \"torch.float8_e4m3fn\""
                                                    : ", \"scale_dtype\": \"torch.uint8\"");
    out.text("}");
}

template<typename Out>
void putInputs(Out& out, const Coding& coding)
{
    if (!coding.inputs) {
        out.text("null");
        return;
    }
    out.text("{\"num_bits\": 8, \"type\": \"");
    out.text(typeOf(coding));
    out.text("\", \"symmetric\": true, \"strategy\": \"token\", \"dynamic\": true}");
}

template<typename Out>
void putGroup(Out& out, std::int64_t number, const Coding& coding, std::span<const std::string_view> targets)
{
    out.text(number > 0 ? ",\n      \"group_" : "\n      \"group_");
    out.number(number);
    out.text("\": {\n        \"targets\": ");
    putList(out, "        ", targets);
    out.text(",\n        \"weights\": ");
    putWeights(out, coding);
    out.text(",\n        \"input_activations\": ");
    putInputs(out, coding);
    out.text(",\n        \"output_activations\": null,\n        \"format\": \"");
    out.text(formatOf(coding));
    out.text("\"\n      }");
}

template<typename Out>
void putConfig(Out& out, const Layout& layout)
{
    const Parts& model = *layout.parts;
    std::map<Coding, std::vector<std::string_view>> groups;
    std::vector<std::string_view> ignored;
    for (std::size_t i = 0; i < model.tensors.size(); ++i) {
        const Parts::Tensor& tensor = model.tensors[i];
        if (layout.codings[i].storage != Storage::kept)
            groups[layout.codings[i]].push_back(tensor.jsonModule);
        else if (tensor.linear)
            ignored.push_back(tensor.jsonModule);
    }
    if (model.untiedHead)
        ignored.push_back("\"lm_head\"");
    out.text(model.configHead);
    if (groups.empty()) {
        out.text("\n}\n");
        return;
    }
    // the group with the most modules takes the class name and comes last; the first of equals, for a stable order
    auto major = groups.begin();
    for (auto it = groups.begin(); it != groups.end(); ++it)
        if (it->second.size() > major->second.size())
            major = it;
    if (!model.configHead.ends_with('{'))
        out.text(",");
    const bool mixed =
        std::ranges::any_of(groups, [&](const auto& group) { return formatOf(group.first) != formatOf(major->first); });
    out.text("\n  \"quantization_config\": {\n    \"quant_method\": \"compressed-tensors\",\n"
             "    \"version\": \"0.14.0\",\n    \"format\": \"");
    out.text(mixed ? "mixed-precision" : formatOf(major->first));
    out.text("\",\n"
             "    \"quantization_status\": \"compressed\",\n    \"global_compression_ratio\": null,\n"
             "    \"kv_cache_scheme\": null,\n    \"ignore\": ");
    putList(out, "    ", ignored);
    out.text(",\n    \"config_groups\": {");
    std::int64_t number = 0;
    for (auto it = groups.begin(); it != groups.end(); ++it)
        if (it != major)
            putGroup(out, number++, it->first, it->second);
    static constexpr std::string_view kClass[] = {"\"Linear\""};
    putGroup(out, number, major->first, kClass);
    out.text("\n    }\n  }\n}\n");
}

} // namespace

std::string configText(const Layout& layout)
{
    TextBuilder config;
    putConfig(config, layout);
    return std::move(config.str());
}

std::int64_t countConfigBytes(const Layout& layout)
{
    TextMeter config;
    putConfig(config, layout);
    return config.size();
}

} // namespace ql::ct
