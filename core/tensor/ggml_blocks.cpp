// SPDX-License-Identifier: GPL-3.0-or-later
// Byte offsets and codes of each block type; e = element in the block, nib(x, h) = low or high nibble, d and m are f16.
//   q4_0    32: d@0 qs[16]@2             d·(u-8), u = nib(qs[e%16], e/16)
//   q4_1    32: d@0 m@2 qs[16]@4         d·u + m
//   q5_0    32: d@0 qh@2 qs[16]@6        d·(u-16), u = nib + 16·(bit e of qh)
//   q5_1    32: d@0 m@2 qh@4 qs[16]@8    d·u + m
//   q8_0    32: d@0 i8 qs[32]@2          d·q
//   q2_k   256: sc[16]@0 qs[64]@16 d@80 dmin@82        (d·(sc&15))·u - dmin·(sc>>4)
//   q3_k   256: hmask[32]@0 qs[64]@32 sc[12]@96 d@108  (d·(sc-32))·(u-4)
//   q4_k   256: d@0 dmin@2 sc[12]@4 qs[128]@16         (d·sc)·u - dmin·mn
//   q5_k   256: as q4_k with qh[32]@16 qs[128]@48
//   q6_k   256: ql[128]@0 qh[64]@128 i8 sc[16]@192 d@208  (d·sc)·(u-32)
//   iq4_nl  32: d@0 qs[16]@2             d·T[u]
//   iq4_xs 256: d@0 sh@2 sl[4]@4 qs[128]@8             (d·(ls-32))·T[u]
//   tq1_0  256: qs[48]@0 qh[4]@48 d@52   d·(t-1), five trits a byte
//   tq2_0  256: qs[64]@0 d@64            d·(t-1)
//   mxfp4   32: e@0 qs[16]@1             2^(e-128)·F[u], F = 2·E2M1
//   nvfp4   64: ue4m3 d[4]@0 qs[32]@4    (d/2)·F[u]
//   q1_0   128: d@0 qs[16]@2             ±d
//   q2_0    64: d@0 qs[16]@2             d·(t-1)
// Points of a grid (ggml_grids.h), k = number of the point in the block, S = its 8 signs, a grid of 4 has half of them:
//   iq1_s   256: d@0 qs[32]@2 qh[8] u16@34             (d·(2s+1))·(G ± 1/8), s and ± in qh
//   iq1_m   256: qs[32]@0 qh[16]@32 sc[4] u16@48       the same; d in the high nibbles of sc, s of 16 elements
//   iq2_xxs 256: d@0 {4 points, u32 signs and s}[8]@2  (d·(s+1/2)/4)·S·G
//   iq2_xs  256: d@0 qs[32] u16@2 sc[8]@66             the same, s of 16 elements, signs in qs
//   iq2_s   256: d@0 qs[32]@2 signs[32]@34 qh[8]@66 sc[8]@74
//   iq3_xxs 256: d@0 qs[64]@2 {u32 signs and s}[8]@66  (d·(s+1/2)/2)·S·G
//   iq3_s   256: d@0 qs[64]@2 qh[8]@66 signs[32]@74 sc[4]@106  (d·(1+2s))·S·G
// Products and sums are rounded in the order written, as gguf-py's NumPy code does. ggml's C code computes the same
// expressions, but compilers may fuse the product and sum of q4_1, q5_1, q2_k, q4_k and q5_k there: the last bit
// differs. A code of zero gives +0 (also E2M1's "minus zero"), times the sign of d.
#include "core/tensor/ggml_blocks.h"

#include "core/tensor/ggml_grids.h"
#include "core/tensor/half.h"

#include <array>
#include <cassert>
#include <cstring>

namespace ql {

namespace {

using Byte = std::uint8_t;

template<typename T>
T load(const Byte* bytes)
{
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

float half(const Byte* bytes)
{
    return floatFromF16(load<std::uint16_t>(bytes));
}

void q4_0(const Byte* block, float* out)
{
    const float d = half(block);
    for (int i = 0; i < 16; ++i) {
        out[i] = d * static_cast<float>((block[2 + i] & 15) - 8);
        out[16 + i] = d * static_cast<float>((block[2 + i] >> 4) - 8);
    }
}

void q4_1(const Byte* block, float* out)
{
    const float d = half(block);
    const float m = half(block + 2);
    for (int i = 0; i < 16; ++i) {
        out[i] = d * static_cast<float>(block[4 + i] & 15) + m;
        out[16 + i] = d * static_cast<float>(block[4 + i] >> 4) + m;
    }
}

/// The fifth bit of element e, as 16 or 0.
int fifthBit(std::uint32_t bits, int e)
{
    return static_cast<int>((bits >> static_cast<unsigned>(e)) & 1U) << 4;
}

void q5_0(const Byte* block, float* out)
{
    const float d = half(block);
    const auto qh = load<std::uint32_t>(block + 2);
    for (int i = 0; i < 16; ++i) {
        out[i] = d * static_cast<float>((block[6 + i] & 15) + fifthBit(qh, i) - 16);
        out[16 + i] = d * static_cast<float>((block[6 + i] >> 4) + fifthBit(qh, 16 + i) - 16);
    }
}

void q5_1(const Byte* block, float* out)
{
    const float d = half(block);
    const float m = half(block + 2);
    const auto qh = load<std::uint32_t>(block + 4);
    for (int i = 0; i < 16; ++i) {
        out[i] = d * static_cast<float>((block[8 + i] & 15) + fifthBit(qh, i)) + m;
        out[16 + i] = d * static_cast<float>((block[8 + i] >> 4) + fifthBit(qh, 16 + i)) + m;
    }
}

void q8_0(const Byte* block, float* out)
{
    const float d = half(block);
    for (int i = 0; i < 32; ++i)
        out[i] = d * static_cast<float>(static_cast<std::int8_t>(block[2 + i]));
}

void q2_k(const Byte* block, float* out)
{
    const float d = half(block + 80);
    const float dmin = half(block + 82);
    for (int group = 0; group < 16; ++group) { // 16 elements share a scale
        const Byte* qs = block + 16 + 32 * (group / 8) + 16 * (group % 2);
        const int shift = 2 * (group % 8 / 2);
        const float scale = d * static_cast<float>(block[group] & 15);
        const float minimum = dmin * static_cast<float>(block[group] >> 4);
        for (int i = 0; i < 16; ++i)
            *out++ = scale * static_cast<float>((qs[i] >> shift) & 3) - minimum;
    }
}

void q3_k(const Byte* block, float* out)
{
    const Byte* scales = block + 96;
    const float d = half(block + 108);
    for (int group = 0; group < 16; ++group) {
        const Byte* qs = block + 32 + 32 * (group / 8) + 16 * (group % 2);
        const Byte* mask = block + 16 * (group % 2);
        const int shift = 2 * (group % 8 / 2);
        const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
        const int high = (scales[8 + group % 4] >> (2 * (group / 4))) & 3;
        const float scale = d * static_cast<float>(low + 16 * high - 32);
        for (int i = 0; i < 16; ++i) {
            const int bit = (mask[i] >> (group / 2)) & 1;
            *out++ = scale * static_cast<float>(((qs[i] >> shift) & 3) + 4 * bit - 4);
        }
    }
}

/// The six-bit scale and minimum of 32 elements in q4_k and q5_k.
struct ScaleMin {
    int scale;
    int minimum;
};
ScaleMin scaleMin(const Byte* s, int j)
{
    if (j < 4)
        return {s[j] & 63, s[j + 4] & 63};
    return {(s[j + 4] & 15) | ((s[j - 4] >> 6) << 4), (s[j + 4] >> 4) | ((s[j] >> 6) << 4)};
}

/// q4_k without, q5_k with a fifth bit.
template<bool HasFifth>
void q45_k(const Byte* block, float* out)
{
    const float d = half(block);
    const float dmin = half(block + 2);
    const Byte* qh = block + 16;
    for (int group = 0; group < 8; ++group) {
        const Byte* qs = block + (HasFifth ? 48 : 16) + 32 * (group / 2);
        const int shift = 4 * (group % 2);
        const ScaleMin coded = scaleMin(block + 4, group);
        const float scale = d * static_cast<float>(coded.scale);
        const float minimum = dmin * static_cast<float>(coded.minimum);
        for (int i = 0; i < 32; ++i) {
            int u = (qs[i] >> shift) & 15;
            if constexpr (HasFifth)
                u += ((qh[i] >> group) & 1) << 4;
            *out++ = scale * static_cast<float>(u) - minimum;
        }
    }
}

void q6_k(const Byte* block, float* out)
{
    const float d = half(block + 208);
    for (int group = 0; group < 16; ++group) {
        const int part = group % 8 / 2; // of 32 elements, in a half of 128
        const Byte* ql = block + 64 * (group / 8) + 32 * (part % 2) + 16 * (group % 2);
        const Byte* qh = block + 128 + 32 * (group / 8) + 16 * (group % 2);
        const int lowShift = 4 * (part / 2);
        const int highShift = 2 * part;
        const float scale = d * static_cast<float>(static_cast<std::int8_t>(block[192 + group]));
        for (int i = 0; i < 16; ++i)
            *out++ = scale * static_cast<float>(((ql[i] >> lowShift) & 15) + (((qh[i] >> highShift) & 3) << 4) - 32);
    }
}

void iq4_nl(const Byte* block, float* out)
{
    const float d = half(block);
    for (int i = 0; i < 16; ++i) {
        out[i] = d * kIq4Levels[block[2 + i] & 15U];
        out[16 + i] = d * kIq4Levels[block[2 + i] >> 4U];
    }
}

void iq4_xs(const Byte* block, float* out)
{
    const float d = half(block);
    const int scalesHigh = load<std::uint16_t>(block + 2);
    for (int group = 0; group < 8; ++group) {
        const int low = (block[4 + group / 2] >> (4 * (group % 2))) & 15;
        const float scale = d * static_cast<float>(low + 16 * ((scalesHigh >> (2 * group)) & 3) - 32);
        const Byte* qs = block + 8 + 16 * group;
        for (int i = 0; i < 16; ++i) {
            out[i] = scale * kIq4Levels[qs[i] & 15U];
            out[16 + i] = scale * kIq4Levels[qs[i] >> 4U];
        }
        out += 32;
    }
}

/// Trit n of a byte that holds five as a fraction of 256, minus one.
float trit(Byte byte, int n)
{
    static constexpr std::array<unsigned, 5> kPowers{1, 3, 9, 27, 81};
    const unsigned fraction = (byte * kPowers[static_cast<std::size_t>(n)]) & 255U;
    return static_cast<float>(static_cast<int>((fraction * 3) >> 8U) - 1);
}

void tq1_0(const Byte* block, float* out)
{
    const float d = half(block + 52);
    for (int n = 0; n < 5; ++n)
        for (int i = 0; i < 32; ++i)
            *out++ = d * trit(block[i], n);
    for (int n = 0; n < 5; ++n)
        for (int i = 0; i < 16; ++i)
            *out++ = d * trit(block[32 + i], n);
    for (int n = 0; n < 4; ++n)
        for (int i = 0; i < 4; ++i)
            *out++ = d * trit(block[48 + i], n);
}

void tq2_0(const Byte* block, float* out)
{
    const float d = half(block + 64);
    for (int part = 0; part < 8; ++part)
        for (int i = 0; i < 32; ++i)
            *out++ = d * static_cast<float>(((block[32 * (part / 4) + i] >> (2 * (part % 4))) & 3) - 1);
}

void mxfp4(const Byte* block, float* out)
{
    // 2^(e-128): half of E8M0's value, because the table holds twice E2M1's. e < 2 gives subnormals; 255 is 2^127.
    const std::uint32_t e = block[0];
    const float d = std::bit_cast<float>(e < 2 ? 0x00200000U << e : (e - 1) << 23U);
    for (int i = 0; i < 16; ++i) {
        out[i] = d * kE2m1DoubledLevels[block[1 + i] & 15U];
        out[16 + i] = d * kE2m1DoubledLevels[block[1 + i] >> 4U];
    }
}

/// Half the value of an unsigned E4M3: the sign bit is ignored, 0 and 0x7f are 0, and there is no NaN.
float halfUe4m3(Byte bits)
{
    if (bits == 0 || bits == 0x7f)
        return 0;
    const int exponent = (bits >> 3) & 15;
    const auto mantissa = static_cast<float>(bits & 7);
    if (exponent == 0)
        return mantissa * 0x1p-10F;
    const float power =
        exponent >= 7 ? static_cast<float>(1 << (exponent - 7)) : 1.0F / static_cast<float>(1 << (7 - exponent));
    return (1 + mantissa / 8) * power * 0.5F;
}

void nvfp4(const Byte* block, float* out)
{
    for (int group = 0; group < 4; ++group) {
        const float d = halfUe4m3(block[group]);
        const Byte* qs = block + 4 + 8 * group;
        for (int i = 0; i < 8; ++i) {
            out[i] = d * kE2m1DoubledLevels[qs[i] & 15U];
            out[8 + i] = d * kE2m1DoubledLevels[qs[i] >> 4U];
        }
        out += 16;
    }
}

void q1_0(const Byte* block, float* out)
{
    const float d = half(block);
    for (int e = 0; e < 128; ++e)
        out[e] = ((block[2 + e / 8] >> (e % 8)) & 1) != 0 ? d : -d;
}

void q2_0(const Byte* block, float* out)
{
    const float d = half(block);
    for (int e = 0; e < 64; ++e)
        out[e] = d * static_cast<float>(((block[2 + e / 4] >> (2 * (e % 4))) & 3) - 1);
}

/// A point of a grid of 8, with its signs.
void putPoint8(unsigned point, const std::array<float, 4>& levels, unsigned signs, float scale, float* out)
{
    for (unsigned j = 0; j < 8; ++j) {
        const float level = levels[point >> (2 * j) & 3U];
        out[j] = scale * ((signs >> j & 1U) != 0 ? -level : level);
    }
}

/// A point of a grid of 4.
void putPoint4(unsigned point, const std::array<float, 8>& levels, unsigned signs, float scale, float* out)
{
    for (unsigned j = 0; j < 4; ++j) {
        const float level = levels[point >> (4 * j) & 7U];
        out[j] = scale * ((signs >> j & 1U) != 0 ? -level : level);
    }
}

/// Nibble n of bytes.
float nibble(const Byte* bytes, int n)
{
    return static_cast<float>((bytes[n / 2] >> (4 * (n % 2))) & 15);
}

void putIq1(unsigned index, float scale, float delta, float* out)
{
    const unsigned point = kIq1Grid[index];
    for (unsigned j = 0; j < 8; ++j)
        out[j] = scale * (kIq1Levels[point >> (2 * j) & 3U] + delta);
}

void iq1_s(const Byte* block, float* out)
{
    const float d = half(block);
    for (int group = 0; group < 8; ++group) {
        const unsigned qh = load<std::uint16_t>(block + 34 + 2 * group);
        const float scale = d * static_cast<float>(2 * (qh >> 12U & 7U) + 1);
        const float delta = (qh & 0x8000U) != 0 ? -0.125F : 0.125F;
        for (unsigned i = 0; i < 4; ++i, out += 8)
            putIq1(block[2 + 4 * group + static_cast<int>(i)] | (qh >> (3 * i) & 7U) << 8U, scale, delta, out);
    }
}

void iq1_m(const Byte* block, float* out)
{
    unsigned bits = 0;
    for (int i = 0; i < 4; ++i)
        bits |= (load<std::uint16_t>(block + 48 + 2 * i) & 0xf000U) >> (12 - 4 * i);
    const float d = floatFromF16(static_cast<std::uint16_t>(bits));
    for (int k = 0; k < 32; ++k, out += 8) {
        const unsigned scales = load<std::uint16_t>(block + 48 + 2 * (k / 8));
        const float scale = d * static_cast<float>(2 * (scales >> (3 * (k / 2 % 4)) & 7U) + 1);
        const unsigned qh = unsigned{block[32 + k / 2]} >> (4 * (k % 2));
        putIq1(block[k] | (qh & 7U) << 8U, scale, (qh & 8U) != 0 ? -0.125F : 0.125F, out);
    }
}

void iq2_xxs(const Byte* block, float* out)
{
    const float d = half(block);
    for (int k = 0; k < 32; ++k, out += 8) {
        const Byte* group = block + 2 + 8 * (k / 4);
        const auto rest = load<std::uint32_t>(group + 4);
        const float scale = d * (0.5F + static_cast<float>(rest >> 28U)) * 0.25F;
        putPoint8(kIq2XxsGrid[group[k % 4]], kIq2Levels, evenSigns(rest >> (7 * (k % 4)) & 127U), scale, out);
    }
}

void iq2_xs(const Byte* block, float* out)
{
    const float d = half(block);
    for (int k = 0; k < 32; ++k, out += 8) {
        const unsigned q = load<std::uint16_t>(block + 2 + 2 * k);
        const float scale = d * (0.5F + nibble(block + 66, k / 2)) * 0.25F;
        putPoint8(kIq2XsGrid[q & 511U], kIq2Levels, evenSigns(q >> 9U), scale, out);
    }
}

void iq2_s(const Byte* block, float* out)
{
    const float d = half(block);
    for (int k = 0; k < 32; ++k, out += 8) {
        const unsigned index = block[2 + k] | (unsigned{block[66 + k / 4]} >> (2 * (k % 4)) & 3U) << 8U;
        const float scale = d * (0.5F + nibble(block + 74, k / 2)) * 0.25F;
        putPoint8(kIq2SGrid[index], kIq2Levels, block[34 + k], scale, out);
    }
}

void iq3_xxs(const Byte* block, float* out)
{
    const float d = half(block);
    for (int k = 0; k < 64; ++k, out += 4) {
        const auto rest = load<std::uint32_t>(block + 66 + 4 * (k / 8));
        const float scale = d * (0.5F + static_cast<float>(rest >> 28U)) * 0.5F;
        const unsigned signs = evenSigns(rest >> (7 * (k / 2 % 4)) & 127U);
        putPoint4(kIq3XxsGrid[block[2 + k]], kIq3XxsLevels, signs >> (4 * (k % 2)), scale, out);
    }
}

void iq3_s(const Byte* block, float* out)
{
    const float d = half(block);
    for (int k = 0; k < 64; ++k, out += 4) {
        const unsigned index = block[2 + k] | (unsigned{block[66 + k / 8]} >> (k % 8) & 1U) << 8U;
        const float scale = d * (1 + 2 * nibble(block + 106, k / 8));
        const unsigned signs = block[74 + k / 2];
        putPoint4(kIq3SGrid[index], kIq3SLevels, signs >> (4 * (k % 2)), scale, out);
    }
}

template<void (*Decode)(const Byte*, float*), int Bytes, int Elements>
void decodeAll(const std::byte* blocks, std::int64_t nBlocks, float* out)
{
    const auto* bytes = reinterpret_cast<const Byte*>(blocks);
    for (std::int64_t i = 0; i < nBlocks; ++i)
        Decode(bytes + i * Bytes, out + i * Elements);
}

} // namespace

void decodeGgmlBlocks(Dtype dtype, const std::byte* blocks, std::int64_t nBlocks, float* out)
{
    switch (dtype) {
    case Dtype::q4_0:
        return decodeAll<q4_0, 18, 32>(blocks, nBlocks, out);
    case Dtype::q4_1:
        return decodeAll<q4_1, 20, 32>(blocks, nBlocks, out);
    case Dtype::q5_0:
        return decodeAll<q5_0, 22, 32>(blocks, nBlocks, out);
    case Dtype::q5_1:
        return decodeAll<q5_1, 24, 32>(blocks, nBlocks, out);
    case Dtype::q8_0:
        return decodeAll<q8_0, 34, 32>(blocks, nBlocks, out);
    case Dtype::q2_k:
        return decodeAll<q2_k, 84, 256>(blocks, nBlocks, out);
    case Dtype::q3_k:
        return decodeAll<q3_k, 110, 256>(blocks, nBlocks, out);
    case Dtype::q4_k:
        return decodeAll<q45_k<false>, 144, 256>(blocks, nBlocks, out);
    case Dtype::q5_k:
        return decodeAll<q45_k<true>, 176, 256>(blocks, nBlocks, out);
    case Dtype::q6_k:
        return decodeAll<q6_k, 210, 256>(blocks, nBlocks, out);
    case Dtype::iq4_nl:
        return decodeAll<iq4_nl, 18, 32>(blocks, nBlocks, out);
    case Dtype::iq4_xs:
        return decodeAll<iq4_xs, 136, 256>(blocks, nBlocks, out);
    case Dtype::tq1_0:
        return decodeAll<tq1_0, 54, 256>(blocks, nBlocks, out);
    case Dtype::tq2_0:
        return decodeAll<tq2_0, 66, 256>(blocks, nBlocks, out);
    case Dtype::mxfp4:
        return decodeAll<mxfp4, 17, 32>(blocks, nBlocks, out);
    case Dtype::nvfp4:
        return decodeAll<nvfp4, 36, 64>(blocks, nBlocks, out);
    case Dtype::q1_0:
        return decodeAll<q1_0, 18, 128>(blocks, nBlocks, out);
    case Dtype::q2_0:
        return decodeAll<q2_0, 18, 64>(blocks, nBlocks, out);
    case Dtype::iq1_s:
        return decodeAll<iq1_s, 50, 256>(blocks, nBlocks, out);
    case Dtype::iq1_m:
        return decodeAll<iq1_m, 56, 256>(blocks, nBlocks, out);
    case Dtype::iq2_xxs:
        return decodeAll<iq2_xxs, 66, 256>(blocks, nBlocks, out);
    case Dtype::iq2_xs:
        return decodeAll<iq2_xs, 74, 256>(blocks, nBlocks, out);
    case Dtype::iq2_s:
        return decodeAll<iq2_s, 82, 256>(blocks, nBlocks, out);
    case Dtype::iq3_xxs:
        return decodeAll<iq3_xxs, 98, 256>(blocks, nBlocks, out);
    case Dtype::iq3_s:
        return decodeAll<iq3_s, 110, 256>(blocks, nBlocks, out);
    default:
        assert(false && "a GGUF block type");
    }
}

} // namespace ql
