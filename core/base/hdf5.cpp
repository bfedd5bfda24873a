// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hdf5.h"

#include "core/base/text.h"

#include <fcntl.h>
#include <hdf5.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace ql::hdf5 {

static_assert(std::is_same_v<Id, hid_t> && std::is_same_v<herr_t, int>);

namespace {

std::recursive_mutex& libraryMutex()
{
    static std::recursive_mutex mutex;
    return mutex;
}

int lockDepth = 0; // guarded by the mutex

std::string nameOf(Id object)
{
    if (object < 0)
        return {};
    std::string name(256, '\0');
    const ssize_t length = H5Fget_name(object, name.data(), name.size());
    name.resize(length > 0 ? std::min<std::size_t>(static_cast<std::size_t>(length), name.size() - 1) : 0);
    return name;
}

/// After a failed write the library keeps the file open for ever, and with it the blocks of a full disk. So what it
/// still wants to write goes to memory, and the file can be closed.
void giveUp(Id file)
{
    const Handle access(H5Fget_access_plist(file));
    void* pointer = nullptr;
    if (H5Pget_driver(access.get()) != H5FD_SEC2 || H5Fget_vfd_handle(file, H5P_DEFAULT, &pointer) < 0 || !pointer)
        return;
    const int memory = ::memfd_create("given up", MFD_CLOEXEC);
    if (memory < 0)
        return;
    ::dup3(memory, *static_cast<const int*>(pointer), O_CLOEXEC);
    ::close(memory);
}

} // namespace

Lock::Lock() : m_lock(libraryMutex())
{
    // A damaged file can leave the library with objects it cannot free, about which it would complain at exit.
    static const int noClosingAtExit = H5dont_atexit();
    static_cast<void>(noClosingAtExit);
    // The stack and its printing are per thread. Only the outermost lock touches it: H5Eget_auto2 clears the stack.
    if (lockDepth++ == 0) {
        H5Eget_auto2(H5E_DEFAULT, &m_print, &m_printData);
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    }
}

Lock::~Lock()
{
    if (--lockDepth > 0)
        return;
    H5Eclear2(H5E_DEFAULT); // what nobody asked about would be lost memory when the thread ends
    H5Eset_auto2(H5E_DEFAULT, m_print, m_printData);
}

void Handle::reset()
{
    if (m_id < 0)
        return;
    const Lock lock;
    const Id id = std::exchange(m_id, -1);
    if (H5Iget_type(id) == H5I_FILE && H5Fflush(id, H5F_SCOPE_GLOBAL) < 0)
        giveUp(id);
    H5Idec_ref(id);
}

Error stackError(const std::string& doing, const std::string& where)
{
    const Lock lock;
    struct Lines {
        std::string outermost, innermost;
    } lines;
    H5Ewalk2(
        H5E_DEFAULT, H5E_WALK_DOWNWARD,
        [](unsigned, const H5E_error2_t* error, void* data) -> herr_t {
            auto* into = static_cast<Lines*>(data);
            if (error->desc)
                (into->outermost.empty() ? into->outermost : into->innermost) = error->desc;
            return 0;
        },
        &lines);
    H5Eclear2(H5E_DEFAULT);
    std::string what = doing;
    if (!lines.outermost.empty())
        what += " (HDF5: " + printable(lines.outermost) +
                (lines.innermost.empty() ? "" : "; " + printable(lines.innermost)) + ")";
    const bool disk = what.find("No space left") != std::string::npos ||
                      what.find("File too large") != std::string::npos ||
                      what.find("file write failed") != std::string::npos;
    return {disk ? Errc::io : Errc::badInput, what, where};
}

namespace {
/// The stack is read first: asking for a name clears it.
Error failureIn(Id object, const std::string& doing)
{
    Error error = stackError(doing, {});
    error.where = nameOf(object);
    return error;
}
} // namespace

Result<Handle> createFile(const std::filesystem::path& path)
{
    const Lock lock;
    const Handle access(H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
    H5Pset_file_locking(access.get(), false, true);
    Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()));
    if (!file) {
        Error failure = stackError("cannot be created; check the folder and its permissions", path.string());
        failure.code = Errc::io;
        return failure;
    }
    return file;
}

Result<Handle> createImage()
{
    constexpr std::size_t kGrowth = std::size_t{1} << 20U;
    const Lock lock;
    const Handle access(H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
    H5Pset_fapl_core(access.get(), kGrowth, false);
    Handle file(H5Fcreate("image", H5F_ACC_TRUNC, H5P_DEFAULT, access.get()));
    if (!file)
        return stackError("cannot be made in memory", {});
    return file;
}

Result<std::vector<std::byte>> finishImage(Handle file)
{
    const Lock lock;
    if (H5Fflush(file.get(), H5F_SCOPE_GLOBAL) < 0)
        return stackError("cannot be made in memory", {});
    const ssize_t size = H5Fget_file_image(file.get(), nullptr, 0);
    std::vector<std::byte> bytes(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    if (size <= 0 || H5Fget_file_image(file.get(), bytes.data(), bytes.size()) != size)
        return stackError("cannot be made in memory", {});
    return bytes;
}

Result<void> closeFile(Handle file)
{
    const Lock lock;
    const std::string name = nameOf(file.get());
    Error failure;
    if (H5Fflush(file.get(), H5F_SCOPE_GLOBAL) < 0) {
        failure = stackError("cannot be written; is the disk full?", name); // the handle gives up below
    } else if (const Id id = file.release(); H5Idec_ref(id) < 0) {
        failure = stackError("cannot be closed; is the disk full?", name);
        giveUp(id);
        H5Idec_ref(id);
    }
    if (failure.what.empty())
        return {};
    failure.code = Errc::io;
    return failure;
}

Result<Handle> createGroup(Id parent, const std::string& path)
{
    const Lock lock;
    const Handle create(H5Pcreate(H5P_LINK_CREATE));
    H5Pset_create_intermediate_group(create.get(), 1);
    Handle group(H5Gcreate2(parent, path.c_str(), create.get(), H5P_DEFAULT, H5P_DEFAULT));
    if (!group)
        return failureIn(parent, "cannot create the group '" + printable(path) + "'");
    return group;
}

namespace {

Result<void> writeScalarAttribute(Id object, const std::string& name, Id type, const void* value)
{
    const Handle space(H5Screate(H5S_SCALAR));
    if (H5Aexists(object, name.c_str()) > 0)
        H5Adelete(object, name.c_str());
    const Handle attribute(H5Acreate2(object, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT));
    if (!attribute || H5Awrite(attribute.get(), type, value) < 0)
        return failureIn(object, "cannot write the attribute '" + printable(name) + "'");
    return {};
}

} // namespace

Result<void> writeAttribute(Id object, const std::string& name, std::string_view text)
{
    // Attributes over 64 KB need the dense storage of newer files; variable-length strings live outside the header.
    const Lock lock;
    const Handle type(H5Tcopy(H5T_C_S1));
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    const std::string copy(text);
    if (text.size() < 32768) {
        H5Tset_size(type.get(), std::max<std::size_t>(text.size(), 1));
        H5Tset_strpad(type.get(), text.empty() ? H5T_STR_NULLTERM : H5T_STR_NULLPAD);
        return writeScalarAttribute(object, name, type.get(), copy.data());
    }
    if (text.find('\0') != std::string_view::npos)
        return badInput("the text of attribute '" + printable(name) + "' holds a NUL character", nameOf(object));
    H5Tset_size(type.get(), H5T_VARIABLE);
    const char* pointer = copy.c_str();
    return writeScalarAttribute(object, name, type.get(), static_cast<const void*>(&pointer));
}

Result<void> writeAttribute(Id object, const std::string& name, std::int64_t value)
{
    const Lock lock;
    return writeScalarAttribute(object, name, H5T_NATIVE_INT64, &value);
}

} // namespace ql::hdf5
