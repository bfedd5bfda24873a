// SPDX-License-Identifier: GPL-3.0-or-later
// The header of a NumPy array, versions 1, 2 and 3: magic, version, length, and a Python dictionary as text that is
// parsed as text, never run. Source: numpy/lib/format.py.
#pragma once

#include "core/checkpoint/array_order.h"

namespace ql {

struct NpyHeader {
    Dtype dtype = Dtype::f32;
    ArrayOrder order;
    Shape shape;
    std::int64_t dataOffset = 0;
    std::int64_t sizeBytes = 0; // of the elements
    std::string note;           // a warning about the type; empty if none
    std::string refusal;        // why the type is not read (objects, text, records, …); empty if it is
};

inline constexpr std::int64_t kMaxNpyHeaderBytes = 1 << 20;

bool looksLikeNpy(std::span<const std::byte> head);
/// Bytes from the start to the data, from the first 12 bytes; an error if they are no header or it is too long.
Result<std::int64_t> npyHeaderBytes(std::span<const std::byte> start, const std::string& where);
/// `start` holds the whole header. Objects, strings, records and 80-bit floats get a refusal and no dtype.
Result<NpyHeader> parseNpyHeader(std::span<const std::byte> start, const std::string& where);

} // namespace ql
