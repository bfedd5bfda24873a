// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/checked.h"
#include "core/base/hdf5.h"
#include "core/base/text.h"

#include <hdf5.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace ql::hdf5 {

namespace {

/// sign at the top, exponent below, mantissa at the bottom: the layout of every IEEE-like type.
Handle smallFloat(std::size_t mantissaBits, std::size_t exponentBits, bool bigEndian)
{
    Handle type(H5Tcopy(bigEndian ? H5T_IEEE_F32BE : H5T_IEEE_F32LE));
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

struct Word {
    Element element;
    std::string_view word;
    int bytes;
};
constexpr std::array<Word, 13> kWords{{{Element::f64, "f64", 8},
                                       {Element::f32, "f32", 4},
                                       {Element::f16, "f16", 2},
                                       {Element::bf16, "bf16", 2},
                                       {Element::i64, "i64", 8},
                                       {Element::i32, "i32", 4},
                                       {Element::i16, "i16", 2},
                                       {Element::i8, "i8", 1},
                                       {Element::u64, "u64", 8},
                                       {Element::u32, "u32", 4},
                                       {Element::u16, "u16", 2},
                                       {Element::u8, "u8", 1},
                                       {Element::boolean, "bool", 1}}};
const Word& wordOf(Element element)
{
    return kWords[static_cast<std::size_t>(element)];
}

/// The type of the element in little-endian files, which is also the memory type (this program runs on little-endian
/// machines only).
Handle typeOf(Element element)
{
    switch (element) {
    case Element::f64:
        return Handle(H5Tcopy(H5T_IEEE_F64LE));
    case Element::f32:
        return Handle(H5Tcopy(H5T_IEEE_F32LE));
    case Element::f16:
        return smallFloat(10, 5, false);
    case Element::bf16:
        return smallFloat(7, 8, false);
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

std::optional<std::int64_t> count(const Extent& shape)
{
    std::int64_t n = 1;
    for (const std::int64_t dimension : shape) {
        const auto product = dimension < 0 ? std::nullopt : mulChecked(n, dimension);
        if (!product)
            return std::nullopt;
        n = *product;
    }
    return n;
}

void describeType(Id type, DatasetInfo& info)
{
    const H5T_class_t kind = H5Tget_class(type);
    if (kind != H5T_INTEGER && kind != H5T_FLOAT && kind != H5T_ENUM) {
        info.type = kind == H5T_STRING      ? "string"
                    : kind == H5T_COMPOUND  ? "compound"
                    : kind == H5T_VLEN      ? "variable-length list"
                    : kind == H5T_REFERENCE ? "reference"
                    : kind == H5T_ARRAY     ? "array"
                    : kind == H5T_OPAQUE    ? "opaque"
                    : kind == H5T_BITFIELD  ? "bit field"
                                            : "time or unknown";
        return;
    }
    const auto bytes = static_cast<int>(H5Tget_size(type));
    const Handle base(kind == H5T_ENUM ? H5Tget_super(type) : H5Tcopy(type));
    const H5T_order_t order = H5Tget_order(base.get());
    for (const Word& word : kWords) {
        const Handle standard = typeOf(word.element);
        // Everything but the byte order has to agree: precision, offset, fields, bias, normalisation, padding.
        const Handle ordered(H5Tcopy(base.get()));
        H5Tset_order(ordered.get(), H5T_ORDER_LE);
        const bool boolean = word.element == Element::boolean;
        const bool equal = boolean ? H5Tequal(type, standard.get()) > 0
                                   : kind != H5T_ENUM && H5Tequal(ordered.get(), standard.get()) > 0;
        if (!equal)
            continue;
        info.element = word.element;
        info.nativeOrder = boolean || bytes == 1 || order == H5T_ORDER_LE;
        info.type = (info.nativeOrder ? "" : "big-endian ") + std::string(word.word);
        return;
    }
    info.type = "unusual " + std::to_string(8 * bytes) + "-bit " +
                (kind == H5T_ENUM    ? "enumeration"
                 : kind == H5T_FLOAT ? "float"
                                     : "integer");
    H5Eclear2(H5E_DEFAULT);
}

/// Layout, chunks, filters, external files.
void describeStorage(Id dataset, DatasetInfo& info)
{
    const Handle create(H5Dget_create_plist(dataset));
    if (!create) {
        info.refusal = "has a damaged header";
        return;
    }
    if (H5Pget_external_count(create.get()) > 0) {
        info.refusal = "keeps its data in another file, which is never followed; store it in the file itself";
        return;
    }
    const H5D_layout_t layout = H5Pget_layout(create.get());
    if (layout == H5D_VIRTUAL) {
        info.refusal = "is a virtual dataset over other files, which are never followed; store it in the file itself";
    } else if (layout == H5D_CHUNKED) {
        std::array<hsize_t, H5S_MAX_RANK> sizes{};
        const int rank = H5Pget_chunk(create.get(), H5S_MAX_RANK, sizes.data());
        for (int i = 0; i < rank; ++i)
            info.chunk.push_back(static_cast<std::int64_t>(sizes[static_cast<std::size_t>(i)]));
        if (rank < 0 || static_cast<std::size_t>(rank) != info.shape.size())
            info.refusal = "has a damaged header";
    } else if (layout == H5D_CONTIGUOUS) {
        const haddr_t offset = H5Dget_offset(dataset);
        if (offset != HADDR_UNDEF && std::in_range<std::int64_t>(offset))
            info.offset = static_cast<std::int64_t>(offset);
    } else if (layout != H5D_COMPACT) {
        info.refusal = "has an unknown layout";
    }
    // The library would copy the missing bytes from behind its buffer.
    const bool allocated = layout == H5D_COMPACT || info.offset;
    if (allocated && info.storedBytes < info.sizeBytes)
        info.refusal = "has a damaged header: it stores fewer bytes than its shape needs";
    const int filters = H5Pget_nfilters(create.get());
    for (int i = 0; i < filters; ++i) {
        unsigned flags = 0;
        unsigned config = 0;
        std::size_t values = 0;
        std::array<char, 64> name{};
        const H5Z_filter_t filter = H5Pget_filter2(create.get(), static_cast<unsigned>(i), &flags, &values, nullptr,
                                                   name.size(), name.data(), &config);
        if (H5Zfilter_avail(filter) <= 0) {
            name.back() = '\0';
            info.refusal = "is compressed by filter " + std::to_string(filter) + " (" + printable(name.data()) +
                           "), which this build of HDF5 lacks; store it with gzip";
        }
    }
}

} // namespace

int elementBytes(Element element)
{
    return wordOf(element).bytes;
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

Result<DatasetInfo> describeDataset(Id dataset)
{
    const Lock lock;
    DatasetInfo info;
    const Handle space(H5Dget_space(dataset));
    const Handle type(H5Dget_type(dataset));
    if (!space || !type)
        return failureIn(dataset, "has a damaged header");
    const H5S_class_t spaceClass = H5Sget_simple_extent_type(space.get());
    if (spaceClass == H5S_NULL)
        info.refusal = "has no elements (a null dataspace)";
    info.shape = shapeOf(space.get());
    describeType(type.get(), info);
    const auto elements = spaceClass == H5S_NULL ? std::optional<std::int64_t>(0) : count(info.shape);
    const auto bytes =
        elements ? mulChecked(*elements, std::max<std::int64_t>(1, static_cast<std::int64_t>(H5Tget_size(type.get()))))
                 : std::nullopt;
    if (!bytes)
        return badInput("has dimensions whose product overflows", objectName(dataset));
    info.sizeBytes = *bytes;
    info.storedBytes = static_cast<std::int64_t>(H5Dget_storage_size(dataset));
    describeStorage(dataset, info);
    H5Eclear2(H5E_DEFAULT);
    return info;
}

Result<void> readBlock(Id dataset, Element element, const Extent& start, const Extent& extent, void* whole)
{
    const Lock lock;
    const Handle type = typeOf(element);
    const Handle space(H5Dget_space(dataset));
    if (!start.empty()) {
        const std::vector<hsize_t> from = dims(start);
        const std::vector<hsize_t> size = dims(extent);
        if (H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, from.data(), nullptr, size.data(), nullptr) < 0)
            return failureIn(dataset, "cannot select a part");
    }
    // The same selection of an array of the same shape is its place in memory.
    if (H5Dread(dataset, type.get(), space.get(), space.get(), H5P_DEFAULT, whole) < 0)
        return failureIn(dataset, "cannot be read; the file may be truncated or damaged");
    return {};
}

Result<void> forEachBlock(const DatasetInfo& info, std::int64_t limitBytes,
                          const std::function<Result<void>(const Extent& start, const Extent& count)>& visit)
{
    const std::size_t rank = info.shape.size();
    if (std::find(info.shape.begin(), info.shape.end(), 0) != info.shape.end())
        return {};
    // Grown from one chunk (or one element), last dimension first, as long as it stays small.
    Extent block = info.chunk.empty() ? Extent(rank, 1) : info.chunk;
    std::int64_t bytes = info.element ? elementBytes(*info.element) : 1;
    for (std::size_t d = 0; d < rank; ++d) {
        block[d] = std::clamp<std::int64_t>(block[d], 1, info.shape[d]);
        bytes *= block[d];
    }
    for (std::size_t d = rank; d-- > 0;) {
        const std::int64_t room = std::max<std::int64_t>(1, limitBytes / std::max<std::int64_t>(1, bytes));
        const std::int64_t times = std::min(room, ceilDiv(info.shape[d], block[d]));
        bytes *= times;
        block[d] = std::min(block[d] * times, info.shape[d]);
        if (block[d] < info.shape[d])
            break;
    }
    Extent start(rank, 0);
    while (true) {
        Extent size(rank);
        for (std::size_t d = 0; d < rank; ++d)
            size[d] = std::min(block[d], info.shape[d] - start[d]);
        QL_CHECK(visit(start, size));
        std::size_t d = rank;
        while (d > 0 && (start[d - 1] += block[d - 1]) >= info.shape[d - 1])
            start[--d] = 0;
        if (d == 0)
            return {};
    }
}

Result<std::vector<std::byte>> readDataset(Id parent, const std::string& path, Element element, Extent* shape,
                                           std::int64_t limitBytes)
{
    const Lock lock;
    QL_TRY(dataset, openDataset(parent, path));
    QL_TRY(info, describeDataset(dataset.get()));
    if (!info.refusal.empty())
        return badInput(info.refusal, objectName(dataset.get()));
    if (!info.element)
        return badInput("holds " + info.type + ", not plain numbers", objectName(dataset.get()));
    const auto bytes = mulChecked(count(info.shape).value(), elementBytes(element));
    if (!bytes || *bytes > limitBytes)
        return badInput("is larger than it may be here", objectName(dataset.get()));
    std::vector<std::byte> data(static_cast<std::size_t>(*bytes));
    if (!data.empty())
        QL_CHECK(readBlock(dataset.get(), element, Extent(info.shape.size(), 0), info.shape, data.data()));
    if (shape)
        *shape = info.shape;
    return data;
}

} // namespace ql::hdf5
