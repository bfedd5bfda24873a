// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hdf5_source.h"

#include <fcntl.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace ql::hdf5 {

namespace {

struct Driver {
    H5FD_t library{}; // first: the library sees only this
    int descriptor = -1;
    haddr_t end = 0;       // of what the library uses
    haddr_t fileBytes = 0; // of the file
    bool locating = false; // element data are not read, only their place is noted
    haddr_t located = HADDR_UNDEF;
};

Driver& of(H5FD_t* file)
{
    return *reinterpret_cast<Driver*>(file);
}
const Driver& of(const H5FD_t* file)
{
    return *reinterpret_cast<const Driver*>(file);
}

H5FD_t* openDriver(const char* name, unsigned, hid_t, haddr_t)
{
    const int descriptor = ::open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status {};
    if (descriptor < 0 || ::fstat(descriptor, &status) != 0)
        return nullptr;
    auto* driver = new Driver;
    driver->descriptor = descriptor;
    driver->fileBytes = static_cast<haddr_t>(status.st_size);
    return &driver->library;
}

herr_t closeDriver(H5FD_t* file)
{
    ::close(of(file).descriptor);
    delete &of(file);
    return 0;
}

herr_t readDriver(H5FD_t* file, H5FD_mem_t type, hid_t, haddr_t address, std::size_t size, void* buffer)
{
    Driver& driver = of(file);
    if (driver.locating && type == H5FD_MEM_DRAW) {
        driver.located = address;
        return 0;
    }
    auto* into = static_cast<char*>(buffer);
    while (size > 0) {
        const ssize_t got = ::pread(driver.descriptor, into, size, static_cast<off_t>(address));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0) { // behind the end of the file are zeros, as in the library's own drivers
            std::memset(into, 0, size);
            return 0;
        }
        into += got;
        address += static_cast<haddr_t>(got);
        size -= static_cast<std::size_t>(got);
    }
    return 0;
}

hid_t registerDriver()
{
    H5FD_class_t driver{};
    driver.name = "quantloupe";
    driver.maxaddr = static_cast<haddr_t>(std::numeric_limits<std::int64_t>::max());
    driver.fc_degree = H5F_CLOSE_STRONG;
    driver.open = openDriver;
    driver.close = closeDriver;
    driver.get_eoa = [](const H5FD_t* file, H5FD_mem_t) { return of(file).end; };
    driver.set_eoa = [](H5FD_t* file, H5FD_mem_t, haddr_t end) -> herr_t {
        of(file).end = end;
        return 0;
    };
    driver.get_eof = [](const H5FD_t* file, H5FD_mem_t) { return of(file).fileBytes; };
    driver.get_handle = [](H5FD_t* file, hid_t, void** handle) -> herr_t {
        *handle = file;
        return 0;
    };
    driver.read = readDriver;
    driver.write = [](H5FD_t*, H5FD_mem_t, hid_t, haddr_t, std::size_t, const void*) -> herr_t { return -1; };
    std::fill(std::begin(driver.fl_map), std::end(driver.fl_map), H5FD_MEM_SUPER);
    return H5FDregister(&driver);
}

} // namespace

Result<Source> Source::open(const std::filesystem::path& path)
{
    const Lock lock;
    H5PLset_loading_state(0); // no plug-ins: filters are told by number, never run
    static const hid_t kDriver = registerDriver();
    const Handle access(H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
    if (H5Pset_driver(access.get(), kDriver, nullptr) < 0)
        return stackError("cannot be opened", path.string());
    Source source;
    source.m_file = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
    if (!source.m_file)
        return stackError("cannot be opened as HDF5; it may be truncated or damaged, or not readable", path.string());
    void* driver = nullptr;
    struct stat status {};
    if (H5Fget_vfd_handle(source.id(), H5P_DEFAULT, &driver) < 0 ||
        ::fstat(static_cast<Driver*>(driver)->descriptor, &status) != 0)
        return stackError("cannot be opened", path.string());
    source.m_sizeBytes = status.st_size;
    source.m_inode = status.st_ino;
    return source;
}

std::optional<Source::Place> Source::chunkAt(Id dataset, const Extent& start) const
{
    const Lock lock;
    const std::vector<hsize_t> at(start.begin(), start.end());
    hsize_t stored = 0;
    if (H5Dget_chunk_storage_size(dataset, at.data(), &stored) < 0 || stored == 0) {
        H5Eclear2(H5E_DEFAULT);
        return std::nullopt;
    }
    void* handle = nullptr;
    H5Fget_vfd_handle(id(), H5P_DEFAULT, &handle);
    Driver& driver = *static_cast<Driver*>(handle);
    driver.locating = true;
    driver.located = HADDR_UNDEF;
    Place place;
    char nothing = 0; // the driver writes none of it
    H5Dread_chunk(dataset, H5P_DEFAULT, at.data(), &place.skipped, &nothing);
    driver.locating = false;
    H5Eclear2(H5E_DEFAULT);
    place.sizeBytes = static_cast<std::int64_t>(std::min<hsize_t>(stored, driver.fileBytes + 1));
    if (driver.located <= driver.fileBytes)
        place.offset = static_cast<std::int64_t>(driver.located);
    return place;
}

} // namespace ql::hdf5
