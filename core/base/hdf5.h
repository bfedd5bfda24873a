// SPDX-License-Identifier: GPL-3.0-or-later
// The C API of HDF5 made safe to use: one lock for the whole library (it is not safe even for different files), owning
// handles, and the library's error stack as Error text instead of output on stderr. No HDF5 header is included here.
// Every function takes the lock itself; take a Lock around a sequence of calls that must not be interleaved, or around
// direct calls of the C API. Handles may be destroyed on any thread.
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ql::hdf5 {

using Id = std::int64_t; // hid_t
using Extent = std::vector<std::int64_t>;

/// Holds the lock (recursive) and keeps the library from printing on this thread.
class Lock {
public:
    Lock();
    ~Lock();
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

private:
    std::unique_lock<std::recursive_mutex> m_lock;
    int (*m_print)(Id, void*) = nullptr;
    void* m_printData = nullptr;
};

/// Owns one identifier of any kind; negative = none.
class Handle {
public:
    Handle() = default;
    explicit Handle(Id id) : m_id(id) {}
    Handle(Handle&& other) noexcept : m_id(std::exchange(other.m_id, -1)) {}
    Handle& operator=(Handle&& other) noexcept
    {
        std::swap(m_id, other.m_id);
        return *this;
    }
    ~Handle() { reset(); }
    Id get() const { return m_id; }
    explicit operator bool() const { return m_id >= 0; }
    void reset();
    /// Gives up ownership.
    Id release() { return std::exchange(m_id, -1); }

private:
    Id m_id = -1;
};

/// An Error with what the library's error stack of this thread says (its outermost and innermost line), and clears it.
Error stackError(const std::string& doing, const std::string& where);

/// Opens for reading. Refuses what is not a regular file (a FIFO would hang) and what is no HDF5 file.
Result<Handle> openFile(const std::filesystem::path& path);
/// Creates or truncates. Write to a temporary name, closeFile, then rename (AtomicFile): an HDF5 file that a crash
/// interrupts is damaged.
Result<Handle> createFile(const std::filesystem::path& path);
/// A file in memory; its bytes, to be written by AtomicFile, come from finishImage. So a full disk never meets the
/// library, which can fail badly there.
Result<Handle> createImage();
Result<std::vector<std::byte>> finishImage(Handle file);
/// Writes what is buffered and closes the file with all that is open in it. A full disk shows here at the latest.
Result<void> closeFile(Handle file);

/// Creates the group and missing groups above it.
Result<Handle> createGroup(Id parent, const std::string& path);
/// Paths that lead through an external link are refused: no other file is ever opened.
Result<Handle> openGroup(Id parent, const std::string& path);
Result<Handle> openDataset(Id parent, const std::string& path);

enum class ObjectKind { group, dataset, other };
struct Object {
    Handle handle;
    ObjectKind kind = ObjectKind::other;
    std::uint64_t address = 0; // equal for two links to one object of a file
};
Result<Object> openObject(Id parent, const std::string& path);

enum class LinkKind { hard, soft, external, other };
struct Link {
    std::string name;
    LinkKind kind = LinkKind::hard;
};
/// Whether a link of that name is directly in the group.
bool exists(Id group, const std::string& name);
/// The links directly in the group, in order of name; an error if there are more than `limit`.
Result<std::vector<Link>> links(Id group, std::int64_t limit = 1'000'000);
Result<std::vector<std::string>> linkNames(Id group);

Result<void> writeAttribute(Id object, const std::string& name, std::string_view text);
Result<void> writeAttribute(Id object, const std::string& name, std::int64_t value);
Result<void> writeAttribute(Id object, const std::string& name, double value);
/// Names of the attributes in order of name, at most `limit` of them.
std::vector<std::string> attributeNames(Id object, std::size_t limit = 1000);
bool hasAttribute(Id object, const std::string& name);
/// Scalar strings of fixed or variable length, up to limitBytes.
/// fixedOnly refuses variable-length text, which short texts of our own never are: libhdf5 crashes on damaged heaps.
Result<std::string> readStringAttribute(Id object, const std::string& name, std::int64_t limitBytes = 1 << 26,
                                        bool fixedOnly = false);
Result<std::int64_t> readIntAttribute(Id object, const std::string& name);
Result<double> readDoubleAttribute(Id object, const std::string& name);

/// Types of elements. bf16 is a custom float type; boolean is h5py's enum of FALSE and TRUE.
enum class Element { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean };
int elementBytes(Element element);

struct Storage {
    Extent chunk;    // empty: contiguous
    int deflate = 0; // 1…9, with byte shuffling; needs a chunk
};
/// Creates a little-endian dataset (and missing groups above it), not yet written.
Result<Handle> createDataset(Id parent, const std::string& path, Element element, const Extent& shape,
                             const Storage& storage = {});
/// Writes rows [firstRow, firstRow + rows) of the first dimension from native, contiguous elements.
Result<void> writeRows(Id dataset, Element element, std::int64_t firstRow, std::int64_t rows, const void* data);
/// createDataset and write all; a scalar has an empty shape.
Result<void> writeDataset(Id parent, const std::string& path, Element element, const Extent& shape, const void* data,
                          const Storage& storage = {});

struct DatasetInfo {
    Extent shape;
    std::optional<Element> element;     // nothing: a type that is no plain number
    std::string type;                   // for people: "f32", "big-endian i16", "compound", "string", …
    bool nativeOrder = true;            // little-endian, standard layout: bytes in the file are elements
    std::int64_t sizeBytes = 0;         // of all elements in memory
    std::int64_t storedBytes = 0;       // allocated in the file
    Extent chunk;                       // empty: not chunked
    std::optional<std::int64_t> offset; // of contiguous data in the file
    std::string refusal; // why reading must not be tried: external storage, virtual, missing filter, …; empty if fine
};
/// Describes without reading data. Dimensions times element size that overflow are an error.
Result<DatasetInfo> describeDataset(Id dataset);
/// Reads a block to native elements at the same place of `whole`, an array of the dataset's full shape.
Result<void> readBlock(Id dataset, Element element, const Extent& start, const Extent& count, void* whole);
/// Calls visit(start, count) for blocks that cover the shape: whole chunks if it has them, else contiguous slabs, of at
/// most limitBytes where a chunk is not larger. Stops at the first error.
Result<void> forEachBlock(const DatasetInfo& info, std::int64_t limitBytes,
                          const std::function<Result<void>(const Extent& start, const Extent& count)>& visit);
/// Reads all of a dataset whose elements convert to `element`; an error if it has more than limitBytes.
Result<std::vector<std::byte>> readDataset(Id parent, const std::string& path, Element element, Extent* shape,
                                           std::int64_t limitBytes);

} // namespace ql::hdf5
