// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/compressed_tensors_coding.h"

#include "core/base/checked.h"

namespace ql::ct {

namespace {

Stored codes(const Coding& coding, std::int64_t rows, std::int64_t cols)
{
    switch (coding.storage) {
    case Storage::packed:
        return {".weight_packed", "I32", 4, {rows, ceilDiv(cols * coding.bits, 32)}, 2};
    case Storage::bytes:
        return {".weight", "I8", 1, {rows, cols}, 2};
    case Storage::fp8:
        return {".weight", "F8_E4M3", 1, {rows, cols}, 2};
    case Storage::fp4:
        return {".weight_packed", "U8", 1, {rows, cols / 2}, 2};
    default:
        return {};
    }
}

Stored scales(const Coding& coding, std::int64_t rows, std::int64_t cols)
{
    Stored stored{".weight_scale", "", 0, {rows, 1}, 2};
    if (coding.granularity == Granularity::tensor) {
        stored.dims = {1, 0};
        stored.rank = 1;
    } else if (coding.granularity == Granularity::group) {
        stored.dims[1] = ceilDiv(cols, coding.groupSize);
    }
    if (coding.scale) {
        stored.dtype = coding.scale == ScaleCoding::ue4m3 ? "F8_E4M3" : "U8";
        stored.elementBytes = 1;
    }
    return stored;
}

} // namespace

Coding codingOf(const Candidate& candidate)
{
    const Scheme& scheme = candidate.weights;
    if (scheme.isKeep() || scheme.isCast())
        return {};
    Coding coding;
    coding.bits = scheme.element->bits;
    coding.granularity = scheme.granularity;
    coding.groupSize = scheme.granularity == Granularity::group ? scheme.groupSize : 0;
    coding.zeroPoint = scheme.zeroPoint == ZeroPoint::integer;
    coding.inputs = candidate.activations.has_value();
    if (scheme.element->kind == FormatKind::integer)
        coding.storage = coding.inputs ? Storage::bytes : Storage::packed;
    else
        coding.storage = coding.bits == 8 ? Storage::fp8 : Storage::fp4;
    if (scheme.scale == ScaleCoding::e8m0 || scheme.scale == ScaleCoding::ue4m3)
        coding.scale = scheme.scale;
    return coding;
}

std::string_view formatOf(const Coding& coding)
{
    switch (coding.storage) {
    case Storage::packed:
        return "pack-quantized";
    case Storage::bytes:
        return "int-quantized";
    case Storage::fp8:
        return coding.inputs ? "float-quantized" : "naive-quantized";
    case Storage::fp4:
        return coding.scale == ScaleCoding::e8m0 ? "mxfp4-pack-quantized" : "nvfp4-pack-quantized";
    default:
        return "dense";
    }
}

Stored storedPart(const Coding& coding, Part part, std::int64_t rows, std::int64_t cols)
{
    switch (part) {
    case Part::codes:
        return codes(coding, rows, cols);
    case Part::scale:
        return scales(coding, rows, cols);
    case Part::zeroPoint:
        if (!coding.zeroPoint)
            return {};
        return {
            ".weight_zero_point", "I32", 4, {ceilDiv(rows * coding.bits, 32), scales(coding, rows, cols).dims[1]}, 2};
    case Part::globalScale:
        if (coding.scale != ScaleCoding::ue4m3)
            return {};
        return {".weight_global_scale", "F32", 4, {1, 0}, 1};
    case Part::shape:
        if (coding.storage != Storage::packed)
            return {};
        return {".weight_shape", "I64", 8, {2, 0}, 1};
    default:
        return {};
    }
}

} // namespace ql::ct
