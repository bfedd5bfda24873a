// SPDX-License-Identifier: GPL-3.0-or-later
// The text of schemes, the named ones, and the finite list that stands for all.
#include "core/base/text.h"
#include "core/formats/block_format.h"
#include "core/formats/matrix_format.h"
#include "core/formats/scale_coding.h"

#include <array>

namespace ql {

namespace {

constexpr std::array kSpelled{
    NamedScheme{"mxint8", "mxint8:g32:restricted:s=e8m0", "OCP MXINT8: groups of 32 with a power-of-two scale"},
    NamedScheme{"mxint6", "int6:g32:restricted:s=e8m0", "MXINT6: like MXINT8 with 6 bits (not an OCP format)"},
    NamedScheme{"mxint4", "int4:g32:restricted:s=e8m0", "MXINT4: like MXINT8 with 4 bits (not an OCP format)"},
    NamedScheme{"mxfp8_e4m3", "fp8_e4m3:g32:s=e8m0", "OCP MXFP8 E4M3"},
    NamedScheme{"mxfp8_e5m2", "fp8_e5m2:g32:s=e8m0", "OCP MXFP8 E5M2"},
    NamedScheme{"mxfp6_e2m3", "e2m3:g32:s=e8m0", "OCP MXFP6 E2M3"},
    NamedScheme{"mxfp6_e3m2", "e3m2:g32:s=e8m0", "OCP MXFP6 E3M2"},
    NamedScheme{"mxfp4", "e2m1:g32:s=e8m0", "OCP MXFP4"},
    NamedScheme{"nvfp4", "e2m1:g16:s=ue4m3", "NVFP4: groups of 16 with FP8 scales and one FP32 scale"},
    NamedScheme{"fixed4", "int4:tensor:s=e8m0", "4-bit fixed point: one power of two for the tensor"},
    NamedScheme{"fixed6", "int6:tensor:s=e8m0", "6-bit fixed point: one power of two for the tensor"},
    NamedScheme{"fixed8", "int8:tensor:s=e8m0", "8-bit fixed point: one power of two for the tensor"},
    NamedScheme{"nvint4", "int4:g16:restricted:s=ue4m3", "NVINT4: 4-bit integers with the scales of NVFP4"},
    NamedScheme{"gguf:q4_0", "int4:g32:s=f16", "GGUF Q4_0: the scale may be negative"},
    NamedScheme{"gguf:q4_1", "", "GGUF Q4_1: scale and minimum"},
    NamedScheme{"gguf:q5_0", "int5:g32:s=f16", "GGUF Q5_0: the scale may be negative"},
    NamedScheme{"gguf:q5_1", "", "GGUF Q5_1: scale and minimum"},
    NamedScheme{"gguf:q8_0", "int8:g32:s=f16", "GGUF Q8_0"},
};

/// Those spelled out above, and the packed ones.
const std::vector<NamedScheme>& namedSchemes()
{
    static const auto kAll = [] {
        std::vector<NamedScheme> all(kSpelled.begin(), kSpelled.end());
        for (const BlockFormat* block : allBlockFormats())
            all.push_back({block->id, "", block->title});
        for (const std::string& id : allMatrixFormatIds())
            all.push_back({id, "", findMatrixFormat(id)->title});
        return all;
    }();
    return kAll;
}

const NamedScheme* findNamed(std::string_view name)
{
    for (const NamedScheme& named : namedSchemes())
        if (named.name == name)
            return &named;
    return nullptr;
}

std::string namesJoined()
{
    std::vector<std::string> names;
    for (const NamedScheme& named : namedSchemes())
        names.emplace_back(named.name);
    return join(names, ", ");
}

std::string ggufNames()
{
    std::vector<std::string> names;
    for (const NamedScheme& named : namedSchemes())
        if (named.name.starts_with("gguf:"))
            names.emplace_back(named.name);
    return join(names, ", ");
}

std::string quote(std::string_view text)
{
    return "\"" + printable(text) + "\"";
}

/// One part after the element.
Result<void> applyPart(Scheme& scheme, std::string_view part, std::string_view whole)
{
    const bool isInteger = scheme.element->kind == FormatKind::integer;
    if (part == "tensor" || part == "channel") {
        scheme.granularity = part == "tensor" ? Granularity::tensor : Granularity::channel;
        return {};
    }
    if (part.size() > 1 && part[0] == 'g' && part[1] >= '0' && part[1] <= '9') {
        const auto size = parseInt(part.substr(1));
        if (!size || *size < 1)
            return usageError("scheme " + quote(whole) + ": group size " + quote(part) + " is not a whole number ≥ 1");
        scheme.granularity = Granularity::group;
        scheme.groupSize = *size;
        return {};
    }
    if (part == "asym") {
        if (!isInteger)
            return usageError("scheme " + quote(whole) + ": asym (a zero point) is only for integers");
        scheme.zeroPoint = ZeroPoint::integer;
        return {};
    }
    if (part == "min") {
        if (!isInteger || scheme.element->bits > 7 || scheme.element->levels[1] != 1)
            return usageError("scheme " + quote(whole) + ": min (a float minimum) is only for int2…int7");
        scheme.zeroPoint = ZeroPoint::minimum;
        return {};
    }
    if (part == "restricted") {
        if (!isInteger)
            return usageError("scheme " + quote(whole) + ": restricted (no code −2^(b−1)) is only for integers");
        scheme.restricted = true;
        return {};
    }
    if (part.size() > 2 && part.substr(0, 2) == "s=") {
        const auto coding = scaleCodingFromWord(part.substr(2));
        if (!coding)
            return usageError("scheme " + quote(whole) + ": scales are stored as f32, f16, bf16, e8m0 or ue4m3, not " +
                              quote(part.substr(2)));
        scheme.scale = *coding;
        scheme.scaleGiven = true;
        return {};
    }
    return usageError("scheme " + quote(whole) + ": unknown part " + quote(part) +
                      "; after the element come tensor, channel or g<size>, then asym or min, "
                      "restricted, s=f32|f16|bf16|e8m0|ue4m3");
}

Result<Scheme> parseGrammar(std::string_view text)
{
    const std::vector<std::string_view> parts = split(text, ':');
    QL_TRY(element, findNumberFormat(trim(parts.front())));
    Scheme scheme;
    scheme.element = std::move(element);
    if ((scheme.isCast() || scheme.isKeep()) && parts.size() > 1)
        return usageError("scheme " + quote(text) + ": " + scheme.element->id + " has no scales and takes no options");
    if (scheme.isPacked() && parts.size() > 1)
        return usageError("scheme " + quote(text) + ": " + scheme.element->id +
                          " fixes granularity and scales and takes no options");
    std::vector<std::string_view> seen;
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const std::string_view part = trim(parts[i]);
        QL_CHECK(applyPart(scheme, part, text));
        const std::string_view slot = part == "asym" || part == "min" ? "zero point"
                                      : part == "restricted"          ? part
                                      : part.substr(0, 2) == "s="     ? "s="
                                                                      : "granularity";
        for (const std::string_view other : seen)
            if (other == slot)
                return usageError("scheme " + quote(text) + " says its " +
                                  std::string(slot == "s=" ? "scale coding" : slot) + " twice");
        seen.push_back(slot);
    }
    if (scheme.restricted && scheme.zeroPoint != ZeroPoint::none)
        return usageError("scheme " + quote(text) +
                          ": restricted is for symmetric integers; asym and min use the whole code range");
    if (scheme.zeroPoint == ZeroPoint::minimum &&
        (scheme.scale == ScaleCoding::e8m0 || scheme.scale == ScaleCoding::ue4m3))
        return usageError("scheme " + quote(text) + ": a minimum is coded like the scale, as f32, f16 or bf16");
    return scheme;
}

/// What the name says where the grammar has no words for it.
Result<Scheme> parseNamed(const NamedScheme& named)
{
    if (!named.text.empty()) {
        QL_TRY(scheme, parseGrammar(named.text));
        scheme.name = named.name;
        return scheme;
    }
    Scheme scheme;
    scheme.name = named.name;
    scheme.granularity = Granularity::group;
    if (auto packed = findNumberFormat(named.name)) {
        scheme.element = std::move(packed).value();
        const BlockFormat* block = findBlockFormat(scheme);
        scheme.granularity = block ? Granularity::group : Granularity::tensor;
        scheme.groupSize = block ? block->elements : 0;
        scheme.scaleGiven = true;
        return scheme;
    }
    QL_TRY(element, findNumberFormat(named.name == "gguf:q4_1" ? "int4" : "int5"));
    scheme.element = std::move(element);
    scheme.groupSize = 32;
    scheme.zeroPoint = ZeroPoint::minimum;
    scheme.scale = ScaleCoding::f16;
    scheme.scaleGiven = true;
    return scheme;
}

std::string printGrammar(const Scheme& scheme)
{
    std::string text = scheme.element->id;
    if (scheme.isCast() || scheme.isKeep())
        return text;
    if (scheme.granularity == Granularity::tensor)
        text += ":tensor";
    else if (scheme.granularity == Granularity::group)
        text += ":g" + std::to_string(scheme.groupSize);
    else if (findNamed(text)) // the element mxint8 alone would read as the scheme of that name
        text += ":channel";
    if (scheme.zeroPoint != ZeroPoint::none)
        text += scheme.zeroPoint == ZeroPoint::integer ? ":asym" : ":min";
    if (scheme.restricted)
        text += ":restricted";
    if (scheme.scaleGiven)
        text += ":s=" + std::string(scaleCodingWord(scheme.scale));
    return text;
}

} // namespace

std::span<const NamedScheme> allNamedSchemes()
{
    return namedSchemes();
}

namespace {

Result<Scheme> parseBase(std::string_view text)
{
    if (text.empty())
        return usageError("an empty scheme; write for example int4:g128, fp8_e4m3:channel, mxfp4 or keep");
    if (const NamedScheme* named = findNamed(text))
        return parseNamed(*named);
    if (const MatrixFormat* matrix = findMatrixFormat(text))
        return parseNamed({matrix->id, "", matrix->title});
    const std::string_view first = text.substr(0, text.find(':'));
    if (first == "gguf")
        return usageError("scheme " + quote(text) + ": of the GGUF types there are " + ggufNames());
    if (const NamedScheme* named = findNamed(first); named && !findNumberFormat(first))
        return usageError("scheme " + quote(text) + ": " + std::string(first) +
                          " fixes granularity and scales and takes no options; to change them start from " +
                          std::string(named->text));
    auto scheme = parseGrammar(text);
    if (!scheme) {
        Error error = scheme.error();
        if (error.what.starts_with("unknown number format"))
            error.what += "; named schemes are " + namesJoined();
        return error;
    }
    // Two spellings of one scheme are one scheme; GGUF's own are not, their scales may be negative.
    for (const NamedScheme& named : kSpelled)
        if (!named.text.empty() && !named.name.starts_with("gguf:") && named.text == printGrammar(*scheme))
            scheme->name = named.name;
    return scheme;
}

} // namespace

Result<Scheme> parseScheme(std::string_view given)
{
    const auto [base, added] = splitAdditions(given);
    QL_TRY(scheme, parseBase(trim(base)));
    QL_TRY(additions, parseAdditions(added, trim(given)));
    scheme.additions = additions;
    if (!additions.empty() && (scheme.isCast() || scheme.isKeep()))
        return usageError("scheme " + quote(given) + ": " + scheme.element->id + " has no codes to add to; leave " +
                          printAdditions(additions) + " out");
    return scheme;
}

std::string printScheme(const Scheme& scheme)
{
    return (scheme.name.empty() ? printGrammar(scheme) : scheme.name) + printAdditions(scheme.additions);
}

std::vector<std::string> exampleSchemes()
{
    std::vector<std::string> schemes;
    for (const FormatFamily* family : allFormatFamilies())
        for (const std::string& id : family->instances()) {
            const NumberFormatPtr format = family->parse(id);
            if (format->kind == FormatKind::cast || format->kind == FormatKind::keep) {
                schemes.push_back(id);
                continue;
            }
            if (findNamed(id)) // an element that is used under the name of its scheme
                continue;
            schemes.push_back(id);
            schemes.push_back(id + ":tensor");
            schemes.push_back(id + ":g128");
            if (format->kind != FormatKind::integer)
                continue;
            schemes.push_back(id + ":asym");
            schemes.push_back(id + ":tensor:asym");
            schemes.push_back(id + ":g128:asym");
            schemes.push_back(id + ":g64:restricted");
        }
    for (const char* text :
         {"int4:g32:s=f16", "int4:g64:s=bf16", "int4:g128:asym:s=f16", "int8:s=bf16", "int3:g64:s=f16", "nf4:g64:s=f16",
          "fp8_e4m3:s=bf16", "int8:g32:s=e8m0", "int4:g64:asym:s=ue4m3", "int3:min", "int2:g16:min:s=f16",
          "int4:g128:min:s=bf16", "int7:tensor:min"})
        schemes.emplace_back(text);
    for (const NamedScheme& named : namedSchemes())
        schemes.emplace_back(named.name);
    for (const char* text : {"int3:g64+sparse1", "int4:g128+lr8", "int4:g64+lr16:scaled", "int8+cols16",
                             "int4:g64:asym+cols4+sparse0.5+lr4", "mxfp4+lr8", "gguf:q4_k+sparse1"})
        schemes.emplace_back(text);
    return schemes;
}

} // namespace ql
