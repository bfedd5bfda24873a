// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hdf5.h"
#include "core/base/text.h"

#include <hdf5.h>

#include <algorithm>
#include <array>

namespace ql::hdf5 {

namespace {

/// sign at the top, exponent below, mantissa at the bottom: the layout of every IEEE-like type.
Handle smallFloat(std::size_t mantissaBits, std::size_t exponentBits)
{
    Handle type(H5Tcopy(H5T_IEEE_F32LE));
    H5Tset_fields(type.get(), mantissaBits + exponentBits, mantissaBits, exponentBits, 0, mantissaBits);
    H5Tset_size(type.get(), (1 + mantissaBits + exponentBits) / 8);
    H5Tset_ebias(type.get(), (std::size_t{1} << (exponentBits - 1)) - 1);
    return type;
}

Handle booleanType()
{
    Handle type(H5Tenum_create(H5T_STD_I8LE));
    const std::array<std::int8_t, 2> values{0, 1};
    H5Tenum_insert(type.get(), "FALSE", &values[0]);
    H5Tenum_insert(type.get(), "TRUE", &values[1]);
    return type;
}

std::vector<hsize_t> dims(const Extent& extent)
{
    std::vector<hsize_t> result;
    for (const std::int64_t n : extent)
        result.push_back(static_cast<hsize_t>(n));
    return result;
}

std::string objectName(Id object)
{
    std::string name(512, '\0');
    const ssize_t length = H5Iget_name(object, name.data(), name.size());
    name.resize(length > 0 ? std::min<std::size_t>(static_cast<std::size_t>(length), name.size() - 1) : 0);
    return printable(name);
}

/// The stack is read first: asking for a name clears it.
Error failureIn(Id object, const std::string& doing)
{
    Error error = stackError(doing, {});
    error.where = objectName(object);
    return error;
}

Extent shapeOf(Id space)
{
    std::array<hsize_t, H5S_MAX_RANK> sizes{};
    const int rank = H5Sget_simple_extent_dims(space, sizes.data(), nullptr);
    Extent shape;
    for (int i = 0; i < rank; ++i)
        shape.push_back(static_cast<std::int64_t>(sizes[static_cast<std::size_t>(i)]));
    return shape;
}

} // namespace

Handle typeOf(Element element)
{
    switch (element) {
    case Element::f64:
        return Handle(H5Tcopy(H5T_IEEE_F64LE));
    case Element::f32:
        return Handle(H5Tcopy(H5T_IEEE_F32LE));
    case Element::f16:
        return smallFloat(10, 5);
    case Element::bf16:
        return smallFloat(7, 8);
    case Element::i64:
        return Handle(H5Tcopy(H5T_STD_I64LE));
    case Element::i32:
        return Handle(H5Tcopy(H5T_STD_I32LE));
    case Element::i16:
        return Handle(H5Tcopy(H5T_STD_I16LE));
    case Element::i8:
        return Handle(H5Tcopy(H5T_STD_I8LE));
    case Element::u64:
        return Handle(H5Tcopy(H5T_STD_U64LE));
    case Element::u32:
        return Handle(H5Tcopy(H5T_STD_U32LE));
    case Element::u16:
        return Handle(H5Tcopy(H5T_STD_U16LE));
    case Element::u8:
        return Handle(H5Tcopy(H5T_STD_U8LE));
    case Element::boolean:
        return booleanType();
    }
    return {};
}

Result<Handle> createDataset(Id parent, const std::string& path, Element element, const Extent& shape,
                             const Storage& storage)
{
    const Lock lock;
    const std::vector<hsize_t> sizes = dims(shape);
    const Handle space(shape.empty() ? H5Screate(H5S_SCALAR)
                                     : H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr));
    const Handle links(H5Pcreate(H5P_LINK_CREATE));
    H5Pset_create_intermediate_group(links.get(), 1);
    const Handle create(H5Pcreate(H5P_DATASET_CREATE));
    const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
    if (!storage.chunk.empty() && !shape.empty() && !empty) {
        const std::vector<hsize_t> chunk = dims(storage.chunk);
        H5Pset_chunk(create.get(), static_cast<int>(chunk.size()), chunk.data());
        if (storage.deflate > 0) {
            H5Pset_shuffle(create.get());
            H5Pset_deflate(create.get(), static_cast<unsigned>(storage.deflate));
        }
    }
    H5Pset_fill_time(create.get(), H5D_FILL_TIME_NEVER);
    const Handle type = typeOf(element);
    Handle dataset(H5Dcreate2(parent, path.c_str(), type.get(), space.get(), links.get(), create.get(), H5P_DEFAULT));
    if (!dataset)
        return stackError("cannot create the dataset '" + printable(path) + "'", {});
    return dataset;
}

Result<void> writeRows(Id dataset, Element element, std::int64_t firstRow, std::int64_t rows, const void* data)
{
    const Lock lock;
    const Handle type = typeOf(element);
    const Handle space(H5Dget_space(dataset));
    const Extent shape = shapeOf(space.get());
    std::vector<hsize_t> size = dims(shape);
    Handle memory;
    if (shape.empty()) {
        memory = Handle(H5Screate(H5S_SCALAR));
    } else {
        if (rows == 0 || std::find(shape.begin() + 1, shape.end(), 0) != shape.end())
            return {};
        std::vector<hsize_t> start(size.size(), 0);
        start[0] = static_cast<hsize_t>(firstRow);
        size[0] = static_cast<hsize_t>(rows);
        memory = Handle(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr));
        H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr);
    }
    if (H5Dwrite(dataset, type.get(), memory.get(), space.get(), H5P_DEFAULT, data) < 0) {
        Error error = failureIn(dataset, "cannot write; is the disk full?");
        error.code = Errc::io;
        return error;
    }
    return {};
}

Result<void> writeDataset(Id parent, const std::string& path, Element element, const Extent& shape, const void* data,
                          const Storage& storage)
{
    QL_TRY(dataset, createDataset(parent, path, element, shape, storage));
    return writeRows(dataset.get(), element, 0, shape.empty() ? 1 : shape[0], data);
}

std::int64_t offsetOf(Id dataset)
{
    const Lock lock;
    const haddr_t offset = H5Dget_offset(dataset);
    return offset == HADDR_UNDEF ? -1 : static_cast<std::int64_t>(offset);
}

} // namespace ql::hdf5
