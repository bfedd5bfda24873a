// SPDX-License-Identifier: GPL-3.0-or-later
// Formats whose codes are whole blocks; what they are stands in block_format.h.
#include "core/base/text.h"
#include "core/formats/block_format.h"
#include "core/formats/format_build.h"
#include "core/formats/matrix_format.h"
#include "core/formats/quantized_tensor.h"

namespace ql {

namespace blockformats {
#define BLOCK_FORMATS(id) extern const std::span<const BlockFormat> id;
#include "core/formats/block_formats.def"
#undef BLOCK_FORMATS
} // namespace blockformats

std::span<const BlockFormat* const> allBlockFormats()
{
    static const auto kAll = [] {
        std::vector<const BlockFormat*> all;
        for (const auto family : {
#define BLOCK_FORMATS(id) blockformats::id,
#include "core/formats/block_formats.def"
#undef BLOCK_FORMATS
             })
            for (const BlockFormat& format : family)
                all.push_back(&format);
        return all;
    }();
    return kAll;
}

namespace {

const BlockFormat* findBlockFormat(std::string_view id)
{
    for (const BlockFormat* format : allBlockFormats())
        if (format->id == id)
            return format;
    return nullptr;
}

NumberFormatPtr parsePacked(std::string_view text)
{
    const BlockFormat* block = findBlockFormat(text);
    if (!block)
        return nullptr;
    NumberFormat format;
    format.id = text;
    format.title = block->title;
    format.source = block->source;
    format.kind = FormatKind::packed;
    format.bits = block->bits();
    return finishFormat(std::move(format));
}

std::vector<std::string> packedFormats()
{
    std::vector<std::string> ids;
    for (const BlockFormat* format : allBlockFormats())
        ids.emplace_back(format->id);
    return ids;
}

} // namespace

void BlockFormat::restore(const std::byte* blocks, std::int64_t first, std::int64_t count, float* out) const
{
    if (dtype)
        return ql::decode(*dtype, blocks, first, count, out);
    for (std::int64_t at = 0; at < count; at += elements)
        decode(blocks + (first + at) / elements * bytes, out + at);
}

const BlockFormat* findBlockFormat(const Scheme& scheme)
{
    return scheme.isPacked() ? findBlockFormat(scheme.element->id) : nullptr;
}

Result<void> checkWholeBlocks(const Scheme& scheme, const Shape& shape)
{
    if (const MatrixFormat* matrix = findMatrixFormat(scheme))
        return matrix->checkShape(matrixShape(shape));
    const BlockFormat* block = findBlockFormat(scheme);
    const auto [rows, cols] = matrixShape(shape);
    if (!block || rows == 0 || cols % block->elements == 0)
        return {};
    return refused("rows of " + std::to_string(cols) + " do not divide by the block of " +
                   std::to_string(block->elements) + " of " + printScheme(scheme) + "; use " +
                   (cols % 32 == 0 ? "gguf:iq4_nl, gguf:q5_1 or gguf:q8_0" : "int4:g32, bf16 or keep"));
}

namespace formats {
extern const FormatFamily packed;
const FormatFamily packed{.id = "packed", .title = "Blocks", .parse = parsePacked, .instances = packedFormats};
} // namespace formats

} // namespace ql
