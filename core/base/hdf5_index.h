// SPDX-License-Identifier: GPL-3.0-or-later
// What is in an HDF5 file and where: the answer of the program quantloupe-hdf5-index, the only place where libhdf5
// meets foreign files (it can crash and loop for ever on damaged ones). No HDF5 header is included here.
#pragma once

#include "core/base/hdf5_element.h"
#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ql::hdf5 {

/// The program that answers with frames, one for each file it is given.
inline constexpr std::string_view kIndexProgram = "quantloupe-hdf5-index";
inline constexpr int kExitOutOfMemory = 3; // its exit code

enum class FilterId : std::uint8_t { deflate, shuffle, fletcher32 };
struct Filter {
    FilterId id = FilterId::deflate;
    std::int64_t shuffleBytes = 0; // element size of shuffle
};

/// A chunk that the file stores.
struct Chunk {
    std::int64_t position = 0; // in the grid of chunks, row-major
    std::int64_t offset = 0;   // in the file
    std::int64_t sizeBytes = 0;
    std::uint32_t skipped = 0; // bit i: filter i was not applied
};

struct Dataset {
    Extent shape;
    std::optional<Element> element; // nothing: a type that is no plain number
    std::string type;               // for people: "f32", "big-endian i16", "compound", "string" (fixed length), …
    bool bigEndian = false;
    std::int64_t sizeBytes = 0;     // of all elements
    std::int64_t storedBytes = 0;   // allocated in the file
    std::int64_t offset = -1;       // of contiguous data in the file; -1: there are none
    std::vector<std::byte> compact; // all elements, native, if the file keeps them in the header
    Extent chunk;                   // shape of chunks; empty: not chunked
    std::vector<Chunk> chunks;      // by position; what is not stored is `fill`
    std::vector<Filter> filters;    // in the order of writing
    std::vector<std::byte> fill;    // one native element; empty: zero
    std::string refusal; // why it must not be read: external storage, virtual, unknown filter, …; empty if fine
    std::string problem; // damage
};

using AttributeValue = std::variant<std::string, std::int64_t, double>;
struct Attribute {
    std::string name;
    AttributeValue value;
};

enum class LinkKind : std::uint8_t {
    group,
    dataset,
    other,   // a named type
    outside, // to another file; never followed
    nowhere, // a soft link that leads nowhere, around in a circle or outside
    damaged
};
struct Link {
    std::string name;
    LinkKind kind = LinkKind::damaged;
    std::int64_t target = -1; // into groups or datasets; links to one object have one target
    std::string problem;      // of damaged
};

struct Group {
    std::vector<Link> links;           // by name
    std::vector<Attribute> attributes; // single numbers and texts, by name
    std::string problem;               // damage: links are missing

    const Link* link(std::string_view name) const;
    /// The value of an attribute; null if there is none of this name and type.
    template<typename T>
    const T* attribute(std::string_view name) const
    {
        for (const Attribute& attribute : attributes)
            if (attribute.name == name)
                return std::get_if<T>(&attribute.value);
        return nullptr;
    }
};

struct Index {
    std::int64_t fileBytes = 0; // of the file that was read
    std::uint64_t inode = 0;
    std::vector<Group> groups; // the first is the root; groups may contain each other
    std::vector<Dataset> datasets;
};

/// One frame: magic with version, size, checksum, then the index or the error.
std::string encode(Result<Index> index);
/// Takes one frame off the front of `bytes`. Whatever the bytes are, what comes back is consistent: targets exist,
/// names are sorted, unique and without '/', no shape overflows, chunks lie in the grid; offsets are not checked.
/// Nothing: no whole frame.
std::optional<Result<Index>> decode(std::span<const std::byte>& bytes);

/// Number of elements; nothing on overflow or a negative dimension.
std::optional<std::int64_t> elementCount(const Extent& shape);
/// Chunks in each dimension.
Extent gridOf(const Extent& shape, const Extent& chunk);

} // namespace ql::hdf5
