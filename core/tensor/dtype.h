// SPDX-License-Identifier: GPL-3.0-or-later
// The types elements are stored in: plain scalars, sub-byte floats and the block types of GGUF. One row of a table
// each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ql {

enum class Dtype : std::uint8_t {
    f64,
    f32,
    f16,
    bf16,
    f8_e4m3,
    f8_e5m2,
    f8_e8m0,
    f6_e2m3,
    f6_e3m2,
    f4_e2m1,
    i64,
    i32,
    i16,
    i8,
    u64,
    u32,
    u16,
    u8,
    boolean,
    c64,
    c128,
    q4_0,
    q4_1,
    q5_0,
    q5_1,
    q8_0,
    q2_k,
    q3_k,
    q4_k,
    q5_k,
    q6_k,
    iq4_nl,
    iq4_xs,
    tq1_0,
    tq2_0,
    mxfp4,
    nvfp4,
    q1_0,
    q2_0,
    iq1_s,
    iq1_m,
    iq2_xxs,
    iq2_xs,
    iq2_s,
    iq3_xxs,
    iq3_s,
};

/// Row of the table. A block holds blockElements elements in blockBytes bytes (1 element for plain types).
struct DtypeInfo {
    Dtype dtype;
    std::string_view word; // lower case, as shown: "bf16", "q4_0", "f8_e4m3", "bool"
    int blockElements;
    int blockBytes;
    bool isFloat;   // plain floating point
    bool isInteger; // plain integer or bool
    bool isGgml;    // a GGUF block type
    int ggmlType;   // id in GGUF files, -1 if GGUF has none

    double bitsPerElement() const { return 8.0 * blockBytes / blockElements; }
};

const DtypeInfo& info(Dtype dtype);
std::span<const DtypeInfo> allDtypes();
std::optional<Dtype> dtypeFromWord(std::string_view word);
std::optional<Dtype> dtypeFromGgml(std::uint32_t type);
/// Whether decode() below knows the type (not complex).
bool isDecodable(Dtype dtype);

/// Bytes of n elements, counting whole blocks; nothing on overflow or if n is no multiple of a block's elements.
std::optional<std::int64_t> storedBytes(Dtype dtype, std::int64_t n);

/// Decodes elements [first, first + count) of an array that starts at data, to float (rounded once from the exact
/// value) or to double (exact, except 64-bit integers). first and count are multiples of blockElements. data need not
/// be aligned. Equal bits on any CPU; which bits of NaN survive says decode_kernels.h. Asserts isDecodable.
void decode(Dtype dtype, const std::byte* data, std::int64_t first, std::int64_t count, float* out);
void decode(Dtype dtype, const std::byte* data, std::int64_t first, std::int64_t count, double* out);
/// The same of plain integers (info(dtype).isInteger), exactly; those of u64 above 2⁶³ wrap around.
void decodeIntegers(Dtype dtype, const std::byte* data, std::int64_t first, std::int64_t count, std::int64_t* out);

} // namespace ql
