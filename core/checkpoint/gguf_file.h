// SPDX-License-Identifier: GPL-3.0-or-later
// A GGUF file, versions 2 and 3 (little-endian), parsed and checked: key-values with their exact bytes, so that a
// writer can copy what it does not know, and tensor infos in file order. Holds the mapping; nothing of the data is
// read. Layout: "GGUF", u32 version, u64 tensors, u64 keys, keys {string key; u32 type; value}, infos {string name; u32
// nDims; u64 dims[]; u32 type; u64 offset}, zeros to the alignment, data. string = u64 length + bytes. Source: ggml
// docs/gguf.md, src/gguf.cpp.
#pragma once

#include "core/base/file.h"
#include "core/base/result.h"
#include "core/jobs/job_context.h"
#include "core/tensor/dtype.h"

#include <optional>

namespace ql {

enum class GgufType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

/// One key and where it lies in the file.
struct GgufEntry {
    std::string key;
    GgufType type = GgufType::u8;
    GgufType elementType = GgufType::u8; // of an array; otherwise equal to type
    std::int64_t count = 1;              // elements of an array
    std::int64_t begin = 0;              // first byte of the entry (the key's length)
    std::int64_t valueBegin = 0;         // first byte of the value; of an array, of its first element
    std::int64_t end = 0;                // behind the last byte
};

struct GgufTensor {
    std::string name;
    std::vector<std::int64_t> dims; // as in the file: dims[0] is contiguous; reversed they are NumPy's shape
    std::uint32_t type = 0;         // ggml's id
    Dtype dtype = Dtype::f32;       // the same
    std::int64_t offset = 0;        // from the start of the file
    std::int64_t sizeBytes = 0;     // without padding
};

struct GgufFile {
    std::shared_ptr<const MappedFile> file;
    std::uint32_t version = 3;
    std::int64_t alignment = 32;
    std::vector<GgufEntry> entries;  // in file order, keys unique
    std::vector<GgufTensor> tensors; // in file order, names unique
    std::int64_t dataStart = 0;
    std::vector<Warning> warnings;

    const GgufEntry* find(std::string_view key) const;
    /// The value if the key exists and has such a type (any width); a u64 above 2^63 is no integer.
    std::optional<std::int64_t> integer(std::string_view key) const;
    std::optional<double> number(std::string_view key) const;
    std::optional<bool> boolean(std::string_view key) const;
    std::optional<std::string_view> text(std::string_view key) const;
    std::optional<std::vector<std::string_view>> texts(std::string_view key) const;
    std::optional<std::vector<double>> numbers(std::string_view key) const;

    /// The entry's bytes from key to value, to be copied as they are.
    std::span<const std::byte> raw(const GgufEntry& entry) const;
    std::span<const std::byte> data(const GgufTensor& tensor) const;
    /// For people: arrays beyond eight elements and texts beyond 16 kB are abridged.
    std::string describe(const GgufEntry& entry) const;
};

/// "GGUF" at the start.
bool looksLikeGguf(std::span<const std::byte> head);

Result<GgufFile> parseGguf(std::shared_ptr<const MappedFile> file, const JobContext& context);

} // namespace ql
