// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/gguf_blocks.h"

#include "core/tensor/half.h"

#include <cassert>
#include <cstring>

namespace ql::ggufout {

namespace {

void putHalf(float value, std::byte*& out)
{
    const std::uint16_t bits = f16FromFloat(value); // exact: scales and minima are f16 values
    std::memcpy(out, &bits, sizeof bits);
    out += sizeof bits;
}

/// Element e in [0, 16) goes to the low half of byte e, element e + 16 to the high half.
void putNibbles(const std::uint8_t* codes, std::byte* out)
{
    for (int i = 0; i < 16; ++i)
        out[i] = static_cast<std::byte>((codes[i] & 15U) | (codes[i + 16] & 15U) << 4U);
}

} // namespace

void packBlocks(const QuantizedTensor& tensor, Dtype type, std::int64_t first, std::int64_t last, std::byte* out)
{
    const bool fifthBit = type == Dtype::q5_0 || type == Dtype::q5_1;
    const bool minimum = type == Dtype::q4_1 || type == Dtype::q5_1;
    // signed codes are stored with an offset, so that 0 is the most negative
    const unsigned offset = type == Dtype::q4_0 ? 8 : type == Dtype::q5_0 ? 16 : 0;
    assert(info(type).blockElements == 32);
    for (std::int64_t block = first; block < last; ++block) {
        const auto index = static_cast<std::size_t>(block);
        const auto* stored = tensor.codes.as<std::uint8_t>() + 32 * block;
        putHalf(tensor.scales[index], out);
        if (minimum)
            putHalf(tensor.minima[index], out);
        if (type == Dtype::q8_0) {
            std::memcpy(out, stored, 32);
            out += 32;
            continue;
        }
        std::uint8_t codes[32];
        std::uint32_t fifth = 0;
        for (unsigned i = 0; i < 32; ++i) {
            codes[i] = static_cast<std::uint8_t>(stored[i] + offset);
            fifth |= static_cast<std::uint32_t>((codes[i] >> 4U) & 1U) << i;
        }
        if (fifthBit) {
            std::memcpy(out, &fifth, sizeof fifth);
            out += sizeof fifth;
        }
        putNibbles(codes, out);
        out += 16;
    }
}

} // namespace ql::ggufout
