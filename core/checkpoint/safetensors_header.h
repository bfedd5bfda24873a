// SPDX-License-Identifier: GPL-3.0-or-later
// The header of a safetensors file: u64 length, JSON {name: {dtype, shape, data_offsets}}, data. Everything is checked
// before it is believed: length against the file (at most 100 MB), duplicate keys, types, shapes against offsets,
// offsets against the data. Source: the format's README and Rust reference (huggingface/safetensors).
#pragma once

#include "core/base/file.h"
#include "core/checkpoint/checkpoint.h"

namespace ql {

struct SafetensorsHeader {
    std::vector<TensorInfo> tensors; // in the header's order; offset from the start of the file; file left empty
    std::vector<std::pair<std::string, std::string>> metadata;
    std::int64_t dataStart = 0;
    std::vector<Warning> warnings;
};

/// Whether the first bytes of a file can be this format's: a length, then '{'.
bool looksLikeSafetensors(std::span<const std::byte> head);

Result<SafetensorsHeader> parseSafetensorsHeader(const MappedFile& file);

} // namespace ql
