// SPDX-License-Identifier: GPL-3.0-or-later
// Writing HDF5: the C API made safe to use, with one lock for the whole library (it is not safe even for different
// files), owning handles, and the library's error stack as Error text instead of output on stderr. No HDF5 header is
// included here. Every function takes the lock itself; take a Lock around a sequence of calls that must not be
// interleaved, or around direct calls of the C API. Handles may be destroyed on any thread.
// Reading is hdf5_file.h: libhdf5 never sees a file that this process did not make.
#pragma once

#include "core/base/hdf5_element.h"
#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ql::hdf5 {

using Id = std::int64_t; // hid_t

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

Result<void> writeAttribute(Id object, const std::string& name, std::string_view text);
Result<void> writeAttribute(Id object, const std::string& name, std::int64_t value);

/// The type of an element in little-endian files and in memory.
Handle typeOf(Element element);

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

/// Where the bytes of a contiguous dataset lie in the file; -1 if it has none.
std::int64_t offsetOf(Id dataset);

} // namespace ql::hdf5
