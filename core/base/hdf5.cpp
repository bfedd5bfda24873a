// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hdf5.h"

#include "core/base/text.h"

#include <hdf5.h>

#include <cstring>
#include <system_error>

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

} // namespace

Lock::Lock() : m_lock(libraryMutex())
{
    // The stack and its printing are per thread. Only the outermost lock touches it: H5Eget_auto2 clears the stack.
    if (lockDepth++ == 0) {
        H5Eget_auto2(H5E_DEFAULT, &m_print, &m_printData);
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    }
}

Lock::~Lock()
{
    if (--lockDepth == 0)
        H5Eset_auto2(H5E_DEFAULT, m_print, m_printData);
}

void Handle::reset()
{
    if (m_id < 0)
        return;
    const Lock lock;
    H5Idec_ref(std::exchange(m_id, -1));
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

Result<Handle> openFile(const std::filesystem::path& path)
{
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status))
        return systemError("cannot open", path.string(), error ? error.value() : ENOENT);
    if (!std::filesystem::is_regular_file(status))
        return badInput("is not a regular file", path.string());
    const Lock lock;
    const Handle access(H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
    H5Pset_file_locking(access.get(), false, true); // a reader must work on read-only and network folders
    Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
    if (!file)
        return stackError("cannot be opened as HDF5; it may be truncated or damaged, or not readable", path.string());
    return file;
}

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

Result<void> closeFile(Handle file)
{
    const Lock lock;
    const std::string name = nameOf(file.get());
    const bool flushed = H5Fflush(file.get(), H5F_SCOPE_GLOBAL) >= 0;
    Error failure;
    if (!flushed)
        failure = stackError("cannot be written; is the disk full?", name);
    if (H5Idec_ref(file.release()) < 0 && flushed)
        failure = stackError("cannot be closed; is the disk full?", name);
    failure.code = Errc::io;
    return failure.what.empty() ? Result<void>() : Result<void>(std::move(failure));
}

Result<Handle> createGroup(Id parent, const std::string& path)
{
    const Lock lock;
    const Handle create(H5Pcreate(H5P_LINK_CREATE));
    H5Pset_create_intermediate_group(create.get(), 1);
    Handle group(H5Gcreate2(parent, path.c_str(), create.get(), H5P_DEFAULT, H5P_DEFAULT));
    if (!group)
        return stackError("cannot create the group '" + printable(path) + "'", nameOf(parent));
    return group;
}

Result<Handle> openGroup(Id parent, const std::string& path)
{
    const Lock lock;
    Handle group(H5Gopen2(parent, path.c_str(), H5P_DEFAULT));
    if (!group)
        return stackError("cannot open the group '" + printable(path) + "'", nameOf(parent));
    return group;
}

Result<Handle> openDataset(Id parent, const std::string& path)
{
    const Lock lock;
    Handle dataset(H5Dopen2(parent, path.c_str(), H5P_DEFAULT));
    if (!dataset)
        return stackError("cannot open the dataset '" + printable(path) + "'", nameOf(parent));
    return dataset;
}

bool exists(Id group, const std::string& name)
{
    const Lock lock;
    const bool found = H5Lexists(group, name.c_str(), H5P_DEFAULT) > 0;
    H5Eclear2(H5E_DEFAULT);
    return found;
}

Result<std::vector<std::string>> linkNames(Id group)
{
    const Lock lock;
    std::vector<std::string> names;
    hsize_t index = 0;
    const herr_t status = H5Literate(
        group, H5_INDEX_NAME, H5_ITER_INC, &index,
        [](hid_t, const char* name, const H5L_info_t*, void* data) -> herr_t {
            static_cast<std::vector<std::string>*>(data)->emplace_back(name);
            return 0;
        },
        &names);
    if (status < 0)
        return stackError("cannot list a group; the file may be damaged", nameOf(group));
    return names;
}

namespace {

Result<void> writeScalarAttribute(Id object, const std::string& name, Id type, const void* value)
{
    const Handle space(H5Screate(H5S_SCALAR));
    if (H5Aexists(object, name.c_str()) > 0)
        H5Adelete(object, name.c_str());
    const Handle attribute(H5Acreate2(object, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT));
    if (!attribute || H5Awrite(attribute.get(), type, value) < 0)
        return stackError("cannot write the attribute '" + printable(name) + "'", nameOf(object));
    return {};
}

Result<Handle> openScalarAttribute(Id object, const std::string& name)
{
    Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT));
    if (!attribute)
        return stackError("has no attribute '" + printable(name) + "'", nameOf(object));
    const Handle space(H5Aget_space(attribute.get()));
    if (!space || H5Sget_simple_extent_npoints(space.get()) != 1)
        return badInput("the attribute '" + printable(name) + "' is not a single value", nameOf(object));
    return attribute;
}

template<typename T>
Result<T> readNumber(Id object, const std::string& name, Id memoryType)
{
    QL_TRY(attribute, openScalarAttribute(object, name));
    const Handle type(H5Aget_type(attribute.get()));
    const H5T_class_t kind = H5Tget_class(type.get());
    T value{};
    if ((kind != H5T_INTEGER && kind != H5T_FLOAT) || H5Aread(attribute.get(), memoryType, &value) < 0)
        return stackError("the attribute '" + printable(name) + "' is no number", nameOf(object));
    return value;
}

} // namespace

Result<void> writeAttribute(Id object, const std::string& name, std::string_view text)
{
    // Attributes over 64 KB need the dense storage of newer files; variable-length strings live outside the header.
    const Lock lock;
    const Handle type(H5Tcopy(H5T_C_S1));
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    const std::string copy(text);
    if (text.size() < 32768 && !text.empty()) {
        H5Tset_size(type.get(), text.size());
        H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
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

Result<void> writeAttribute(Id object, const std::string& name, double value)
{
    const Lock lock;
    return writeScalarAttribute(object, name, H5T_NATIVE_DOUBLE, &value);
}

bool hasAttribute(Id object, const std::string& name)
{
    const Lock lock;
    const bool found = H5Aexists(object, name.c_str()) > 0;
    H5Eclear2(H5E_DEFAULT);
    return found;
}

Result<std::string> readStringAttribute(Id object, const std::string& name, std::int64_t limitBytes)
{
    const Lock lock;
    QL_TRY(attribute, openScalarAttribute(object, name));
    const Handle type(H5Aget_type(attribute.get()));
    const auto failure = [&](const char* reason) {
        return badInput("the attribute '" + printable(name) + "' " + reason, nameOf(object));
    };
    if (H5Tget_class(type.get()) != H5T_STRING)
        return failure("is no text");
    if (H5Tis_variable_str(type.get()) > 0) {
        char* text = nullptr;
        if (H5Aread(attribute.get(), type.get(), static_cast<void*>(&text)) < 0)
            return stackError("cannot read the attribute '" + printable(name) + "'", nameOf(object));
        const std::string value = text ? text : "";
        H5free_memory(text);
        if (static_cast<std::int64_t>(value.size()) > limitBytes)
            return failure("is too long");
        return value;
    }
    const std::size_t size = H5Tget_size(type.get());
    if (static_cast<std::int64_t>(size) > limitBytes || size > H5Aget_storage_size(attribute.get()))
        return failure("is too long");
    std::string value(size, '\0');
    if (H5Aread(attribute.get(), type.get(), value.data()) < 0)
        return stackError("cannot read the attribute '" + printable(name) + "'", nameOf(object));
    if (H5Tget_strpad(type.get()) != H5T_STR_NULLPAD)
        value.resize(std::min(value.find('\0'), value.size()));
    return value;
}

Result<std::int64_t> readIntAttribute(Id object, const std::string& name)
{
    const Lock lock;
    return readNumber<std::int64_t>(object, name, H5T_NATIVE_INT64);
}

Result<double> readDoubleAttribute(Id object, const std::string& name)
{
    const Lock lock;
    return readNumber<double>(object, name, H5T_NATIVE_DOUBLE);
}

} // namespace ql::hdf5
