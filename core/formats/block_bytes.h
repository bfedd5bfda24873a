// SPDX-License-Identifier: GPL-3.0-or-later
// What the families of block formats share: putting bytes in their places, and reading the scales of a block back with
// the decoder itself, so that its arithmetic stands in one place.
#pragma once

#include "core/formats/block_format.h"
#include "core/formats/unit_search.h"
#include "core/tensor/ggml_blocks.h"

#include <algorithm>
#include <cstring>

namespace ql {

using BlockCodes = std::array<std::uint8_t, kTileWeights>;

inline void putF16(std::uint16_t bits, std::byte* to)
{
    std::memcpy(to, &bits, sizeof bits);
}

/// Ors bits into a byte.
inline void putBits(unsigned bits, std::byte& to)
{
    to |= static_cast<std::byte>(bits);
}

/// Levels in the order of a tile as codes in the order of the weights: code = level − low.
inline void codesOf(const UnitTile& tile, const float* levels, float low, BlockCodes& codes)
{
    const int length = tile.length();
    for (int u = 0; u < tile.units; ++u)
        for (int e = 0; e < length; ++e)
            codes[static_cast<std::size_t>(u * length + e)] =
                static_cast<std::uint8_t>(levels[e * tile.units + u] - low);
}

/// BlockFormat::affine: with every code at the level 1, and no minimum, a block restores to its scales; with every code
/// at the level 0, to its offsets. kMinimumAt: offset of the f16 that scales the minima, or −1 if there are none.
template<Dtype kType, int kElements, std::size_t kBytes, auto kPack, std::uint8_t kLevelOne, int kMinimumAt>
void affineOfBlock(const std::byte* block, float* scale, float* offset)
{
    std::array<std::byte, kBytes> changed;
    BlockCodes codes;
    if constexpr (kMinimumAt < 0) {
        std::fill(offset, offset + kElements, -0.0F); // adds nothing, to −0 either
        std::memcpy(changed.data(), block, kBytes);
    } else {
        codes.fill(0);
        kPack(block, codes.data(), changed.data());
        decodeGgmlBlocks(kType, changed.data(), 1, offset);
        putF16(0, changed.data() + kMinimumAt);
    }
    codes.fill(kLevelOne);
    std::array<std::byte, kBytes> ones;
    kPack(changed.data(), codes.data(), ones.data());
    decodeGgmlBlocks(kType, ones.data(), 1, scale);
}

} // namespace ql
