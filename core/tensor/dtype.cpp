// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/tensor/dtype.h"

#include "core/base/checked.h"
#include "core/tensor/decode_kernels.h"
#include "core/tensor/ggml_blocks.h"
#include "core/tensor/half.h"

#include <array>
#include <cassert>
#include <cstring>

namespace ql {

namespace {

// clang-format off
constexpr std::array kTable{
    //        dtype              word       block bytes float  integer ggml  id
    DtypeInfo{Dtype::f64,     "f64",        1,   8, true,  false, false, 28},
    DtypeInfo{Dtype::f32,     "f32",        1,   4, true,  false, false,  0},
    DtypeInfo{Dtype::f16,     "f16",        1,   2, true,  false, false,  1},
    DtypeInfo{Dtype::bf16,    "bf16",       1,   2, true,  false, false, 30},
    DtypeInfo{Dtype::f8_e4m3, "f8_e4m3",    1,   1, true,  false, false, -1},
    DtypeInfo{Dtype::f8_e5m2, "f8_e5m2",    1,   1, true,  false, false, -1},
    DtypeInfo{Dtype::f8_e8m0, "f8_e8m0",    1,   1, true,  false, false, -1},
    DtypeInfo{Dtype::f6_e2m3, "f6_e2m3",    4,   3, true,  false, false, -1},
    DtypeInfo{Dtype::f6_e3m2, "f6_e3m2",    4,   3, true,  false, false, -1},
    DtypeInfo{Dtype::f4_e2m1, "f4_e2m1",    2,   1, true,  false, false, -1},
    DtypeInfo{Dtype::i64,     "i64",        1,   8, false, true,  false, 27},
    DtypeInfo{Dtype::i32,     "i32",        1,   4, false, true,  false, 26},
    DtypeInfo{Dtype::i16,     "i16",        1,   2, false, true,  false, 25},
    DtypeInfo{Dtype::i8,      "i8",         1,   1, false, true,  false, 24},
    DtypeInfo{Dtype::u64,     "u64",        1,   8, false, true,  false, -1},
    DtypeInfo{Dtype::u32,     "u32",        1,   4, false, true,  false, -1},
    DtypeInfo{Dtype::u16,     "u16",        1,   2, false, true,  false, -1},
    DtypeInfo{Dtype::u8,      "u8",         1,   1, false, true,  false, -1},
    DtypeInfo{Dtype::boolean, "bool",       1,   1, false, true,  false, -1},
    DtypeInfo{Dtype::c64,     "c64",        1,   8, false, false, false, -1},
    DtypeInfo{Dtype::c128,    "c128",       1,  16, false, false, false, -1},
    DtypeInfo{Dtype::q4_0,    "q4_0",      32,  18, false, false, true,   2},
    DtypeInfo{Dtype::q4_1,    "q4_1",      32,  20, false, false, true,   3},
    DtypeInfo{Dtype::q5_0,    "q5_0",      32,  22, false, false, true,   6},
    DtypeInfo{Dtype::q5_1,    "q5_1",      32,  24, false, false, true,   7},
    DtypeInfo{Dtype::q8_0,    "q8_0",      32,  34, false, false, true,   8},
    DtypeInfo{Dtype::q2_k,    "q2_k",     256,  84, false, false, true,  10},
    DtypeInfo{Dtype::q3_k,    "q3_k",     256, 110, false, false, true,  11},
    DtypeInfo{Dtype::q4_k,    "q4_k",     256, 144, false, false, true,  12},
    DtypeInfo{Dtype::q5_k,    "q5_k",     256, 176, false, false, true,  13},
    DtypeInfo{Dtype::q6_k,    "q6_k",     256, 210, false, false, true,  14},
    DtypeInfo{Dtype::iq4_nl,  "iq4_nl",    32,  18, false, false, true,  20},
    DtypeInfo{Dtype::iq4_xs,  "iq4_xs",   256, 136, false, false, true,  23},
    DtypeInfo{Dtype::tq1_0,   "tq1_0",    256,  54, false, false, true,  34},
    DtypeInfo{Dtype::tq2_0,   "tq2_0",    256,  66, false, false, true,  35},
    DtypeInfo{Dtype::mxfp4,   "mxfp4",     32,  17, false, false, true,  39},
    DtypeInfo{Dtype::nvfp4,   "nvfp4",     64,  36, false, false, true,  40},
    DtypeInfo{Dtype::q1_0,    "q1_0",     128,  18, false, false, true,  41},
    DtypeInfo{Dtype::q2_0,    "q2_0",      64,  18, false, false, true,  42},
    DtypeInfo{Dtype::iq1_s,   "iq1_s",    256,  50, false, false, true,  19},
    DtypeInfo{Dtype::iq1_m,   "iq1_m",    256,  56, false, false, true,  29},
    DtypeInfo{Dtype::iq2_xxs, "iq2_xxs",  256,  66, false, false, true,  16},
    DtypeInfo{Dtype::iq2_xs,  "iq2_xs",   256,  74, false, false, true,  17},
    DtypeInfo{Dtype::iq2_s,   "iq2_s",    256,  82, false, false, true,  22},
    DtypeInfo{Dtype::iq3_xxs, "iq3_xxs",  256,  98, false, false, true,  18},
    DtypeInfo{Dtype::iq3_s,   "iq3_s",    256, 110, false, false, true,  21},
};
// clang-format on

template<typename T>
T load(const std::byte* data, std::int64_t index)
{
    T value;
    std::memcpy(&value, data + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
    return value;
}

template<typename Stored, typename Out, typename Convert>
void decodePlain(const std::byte* data, std::int64_t first, std::int64_t count, Out* out, const Convert& convert)
{
    for (std::int64_t i = 0; i < count; ++i)
        out[i] = static_cast<Out>(convert(load<Stored>(data, first + i)));
}

/// Values of all-finite codes of 4 or 6 bits; the highest bit is the sign.
template<int exponentBits, int mantissaBits>
constexpr auto subByteTable()
{
    std::array<float, std::size_t{1} << (1 + exponentBits + mantissaBits)> table{};
    for (std::size_t code = 0; code < table.size(); ++code) {
        const auto magnitude = code % (table.size() / 2);
        const auto exponent = magnitude >> mantissaBits;
        const auto mantissa = magnitude % (std::size_t{1} << mantissaBits);
        // In steps of the least subnormal.
        const auto steps = exponent == 0 ? mantissa : (mantissa + (std::size_t{1} << mantissaBits)) << (exponent - 1);
        constexpr int kBias = (1 << (exponentBits - 1)) - 1;
        const float value = static_cast<float>(steps) / static_cast<float>(1 << (kBias - 1 + mantissaBits));
        table[code] = code == magnitude ? value : -value;
    }
    return table;
}

/// Whole units of `elements` codes in `bytes` bytes, one little-endian bit stream.
template<std::size_t elements, std::size_t bytes, typename Out, std::size_t codes>
void decodeSubByte(const std::byte* data, std::int64_t first, std::int64_t count, Out* out,
                   const std::array<float, codes>& table)
{
    constexpr std::size_t kBits = bytes * 8 / elements;
    static_assert(codes == std::size_t{1} << kBits);
    assert(first % static_cast<std::int64_t>(elements) == 0 && count % static_cast<std::int64_t>(elements) == 0);
    const std::byte* at = data + static_cast<std::size_t>(first) / elements * bytes;
    for (const Out* const end = out + count; out != end; out += elements, at += bytes) {
        std::uint32_t stream = 0;
        for (std::size_t i = 0; i < bytes; ++i)
            stream |= std::to_integer<std::uint32_t>(at[i]) << (8 * i);
        for (std::size_t i = 0; i < elements; ++i)
            out[i] = static_cast<Out>(table[stream >> (kBits * i) & (codes - 1)]);
    }
}

constexpr auto kE2m3 = subByteTable<2, 3>();
constexpr auto kE3m2 = subByteTable<3, 2>();
constexpr auto kE2m1 = subByteTable<2, 1>();

template<typename Out>
void decodeTo(Dtype dtype, const std::byte* data, std::int64_t first, std::int64_t count, Out* out)
{
    if (hasVectorDecode(dtype))
        return decodeVector(dtype, data + first * info(dtype).blockBytes, count, out);
    const auto same = [](auto value) { return value; };
    switch (dtype) {
    case Dtype::f64:
        return decodePlain<double>(data, first, count, out, same);
    case Dtype::f8_e8m0:
        return decodePlain<std::uint8_t>(data, first, count, out, floatFromE8m0);
    case Dtype::f6_e2m3:
        return decodeSubByte<4, 3>(data, first, count, out, kE2m3);
    case Dtype::f6_e3m2:
        return decodeSubByte<4, 3>(data, first, count, out, kE3m2);
    case Dtype::f4_e2m1:
        return decodeSubByte<2, 1>(data, first, count, out, kE2m1);
    case Dtype::i64:
        return decodePlain<std::int64_t>(data, first, count, out, same);
    case Dtype::i32:
        return decodePlain<std::int32_t>(data, first, count, out, same);
    case Dtype::u64:
        return decodePlain<std::uint64_t>(data, first, count, out, same);
    case Dtype::u32:
        return decodePlain<std::uint32_t>(data, first, count, out, same);
    case Dtype::boolean:
        return decodePlain<std::uint8_t>(data, first, count, out,
                                         [](std::uint8_t value) { return value != 0 ? 1 : 0; });
    default:
        break;
    }
    const DtypeInfo& row = info(dtype);
    assert(row.isGgml && first % row.blockElements == 0 && count % row.blockElements == 0);
    const std::byte* blocks = data + first / row.blockElements * row.blockBytes;
    if constexpr (std::is_same_v<Out, float>) {
        decodeGgmlBlocks(dtype, blocks, count / row.blockElements, out);
    } else {
        std::array<float, 256> block{};
        for (std::int64_t b = 0; b < count / row.blockElements; ++b) {
            decodeGgmlBlocks(dtype, blocks + b * row.blockBytes, 1, block.data());
            for (int i = 0; i < row.blockElements; ++i)
                *out++ = static_cast<double>(block[static_cast<std::size_t>(i)]);
        }
    }
}

} // namespace

const DtypeInfo& info(Dtype dtype)
{
    const DtypeInfo& row = kTable[static_cast<std::size_t>(dtype)];
    assert(row.dtype == dtype);
    return row;
}

std::span<const DtypeInfo> allDtypes()
{
    return kTable;
}

std::optional<Dtype> dtypeFromWord(std::string_view word)
{
    for (const DtypeInfo& row : kTable)
        if (row.word == word)
            return row.dtype;
    return std::nullopt;
}

std::optional<Dtype> dtypeFromGgml(std::uint32_t type)
{
    for (const DtypeInfo& row : kTable)
        if (row.ggmlType >= 0 && static_cast<std::uint32_t>(row.ggmlType) == type)
            return row.dtype;
    return std::nullopt;
}

bool isDecodable(Dtype dtype)
{
    return dtype != Dtype::c64 && dtype != Dtype::c128;
}

std::optional<std::int64_t> storedBytes(Dtype dtype, std::int64_t n)
{
    const DtypeInfo& row = info(dtype);
    if (n < 0 || n % row.blockElements != 0)
        return std::nullopt;
    return mulChecked(n / row.blockElements, row.blockBytes);
}

void decode(Dtype dtype, const std::byte* data, std::int64_t first, std::int64_t count, float* out)
{
    decodeTo(dtype, data, first, count, out);
}

void decode(Dtype dtype, const std::byte* data, std::int64_t first, std::int64_t count, double* out)
{
    decodeTo(dtype, data, first, count, out);
}

void decodeIntegers(Dtype dtype, const std::byte* data, std::int64_t first, std::int64_t count, std::int64_t* out)
{
    assert(info(dtype).isInteger);
    const auto copy = [&]<typename Stored>(Stored) {
        decodePlain<Stored>(data, first, count, out, [](Stored value) { return static_cast<std::int64_t>(value); });
    };
    switch (dtype) {
    case Dtype::i32:
        return copy(std::int32_t{});
    case Dtype::i16:
        return copy(std::int16_t{});
    case Dtype::i8:
        return copy(std::int8_t{});
    case Dtype::u32:
        return copy(std::uint32_t{});
    case Dtype::u16:
        return copy(std::uint16_t{});
    case Dtype::u8:
        return copy(std::uint8_t{});
    case Dtype::boolean:
        return decodePlain<std::uint8_t>(data, first, count, out,
                                         [](std::uint8_t value) { return value != 0 ? 1 : 0; });
    default: // i64 and, with the same bits, u64
        return copy(std::int64_t{});
    }
}

} // namespace ql
