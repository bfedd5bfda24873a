// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hdf5_scan.h"

#include "core/base/checked.h"
#include "core/base/hdf5_source.h"
#include "core/base/text.h"

#include <hdf5.h>

#include <algorithm>
#include <limits>
#include <map>

namespace ql::hdf5 {

namespace {

constexpr std::int64_t kMaxGrid = std::int64_t{1} << 23U; // chunks of a dataset
constexpr std::size_t kMaxAttributes = 1000;              // of a group
constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20U;

/// Property list of a lookup that never leaves the file.
Handle insideOnly()
{
    Handle access(H5Pcreate(H5P_LINK_ACCESS));
    H5Pset_elink_cb(
        access.get(),
        [](const char*, const char*, const char*, const char*, unsigned*, hid_t, void*) -> herr_t { return -1; },
        nullptr);
    return access;
}

std::string typeName(H5T_class_t kind)
{
    switch (kind) {
    case H5T_STRING:
        return "string";
    case H5T_COMPOUND:
        return "compound";
    case H5T_VLEN:
        return "variable-length list";
    case H5T_REFERENCE:
        return "reference";
    case H5T_ARRAY:
        return "array";
    case H5T_OPAQUE:
        return "opaque";
    case H5T_BITFIELD:
        return "bit field";
    default:
        return "time or unknown";
    }
}

void describeType(Id type, Dataset& set)
{
    static const std::vector<Handle> kStandard = [] {
        std::vector<Handle> types;
        for (std::size_t i = 0; i < kElements.size(); ++i)
            types.push_back(typeOf(static_cast<Element>(i)));
        return types;
    }();
    const H5T_class_t kind = H5Tget_class(type);
    if (kind != H5T_INTEGER && kind != H5T_FLOAT && kind != H5T_ENUM) {
        set.type = H5Tis_variable_str(type) > 0 ? "variable-length string" : typeName(kind);
        return;
    }
    const std::size_t bytes = H5Tget_size(type);
    const Handle base(kind == H5T_ENUM ? H5Tget_super(type) : H5Tcopy(type));
    // Everything but the byte order has to agree: precision, offset, fields, bias, normalisation, padding.
    const Handle ordered(H5Tcopy(base.get()));
    H5Tset_order(ordered.get(), H5T_ORDER_LE);
    for (std::size_t i = 0; i < kStandard.size(); ++i) {
        const auto element = static_cast<Element>(i);
        const bool boolean = element == Element::boolean;
        const bool equal = boolean ? H5Tequal(type, kStandard[i].get()) > 0
                                   : kind != H5T_ENUM && H5Tequal(ordered.get(), kStandard[i].get()) > 0;
        if (!equal)
            continue;
        set.element = element;
        set.bigEndian = !boolean && bytes > 1 && H5Tget_order(base.get()) != H5T_ORDER_LE;
        set.type = (set.bigEndian ? "big-endian " : "") + std::string(info(element).word);
        return;
    }
    set.type = "unusual " + std::to_string(8 * bytes) + "-bit " +
               (kind == H5T_ENUM    ? "enumeration"
                : kind == H5T_FLOAT ? "float"
                                    : "integer");
}

void describeFilters(Id create, Dataset& set)
{
    const int count = H5Pget_nfilters(create);
    for (int i = 0; i < count; ++i) {
        unsigned flags = 0;
        unsigned config = 0;
        unsigned value = 0;
        std::size_t values = 1;
        std::array<char, 64> name{};
        const H5Z_filter_t id = H5Pget_filter2(create, static_cast<unsigned>(i), &flags, &values, &value, name.size(),
                                               name.data(), &config);
        const bool again =
            std::ranges::any_of(set.filters, [](const Filter& filter) { return filter.id == FilterId::deflate; });
        if (id == H5Z_FILTER_DEFLATE && again) {
            set.refusal = "is compressed twice; store it with gzip once";
            return;
        }
        if (id == H5Z_FILTER_DEFLATE) {
            set.filters.push_back({FilterId::deflate, 0});
        } else if (id == H5Z_FILTER_SHUFFLE) {
            set.filters.push_back({FilterId::shuffle, values > 0 ? value : 0});
        } else if (id == H5Z_FILTER_FLETCHER32) {
            set.filters.push_back({FilterId::fletcher32, 0});
        } else {
            name.back() = '\0';
            set.refusal = "is stored with filter " + std::to_string(id) + " (" + printable(name.data()) +
                          "), which is not known here; store it with gzip";
            return;
        }
    }
}

/// What elements are that were never written.
void describeFill(Id create, Dataset& set)
{
    H5D_fill_time_t time{};
    H5D_fill_value_t defined{};
    if (H5Pget_fill_time(create, &time) < 0 || H5Pfill_value_defined(create, &defined) < 0 ||
        time == H5D_FILL_TIME_NEVER || defined != H5D_FILL_VALUE_USER_DEFINED)
        return;
    set.fill.resize(static_cast<std::size_t>(info(*set.element).bytes));
    if (H5Pget_fill_value(create, typeOf(*set.element).get(), set.fill.data()) < 0)
        set.fill.clear();
}

class Scan {
public:
    explicit Scan(const Source& source) : m_source(source)
    {
        m_index.fileBytes = source.sizeBytes();
        m_index.inode = source.inode();
    }

    Result<Index> run()
    {
        const Handle root(H5Oopen(m_source.id(), "/", H5P_DEFAULT));
        H5O_info_t object{};
        if (!root || H5Oget_info2(root.get(), &object, H5O_INFO_BASIC) < 0)
            return stackError("cannot open its root group; it may be damaged", {});
        Link link;
        resolve(root, object, link);
        for (std::size_t i = 0; i < m_index.groups.size(); ++i)
            scanGroup(i);
        return std::move(m_index);
    }

private:
    struct Target {
        LinkKind kind;
        std::int64_t index;
    };
    struct Named {
        std::string name;
        H5L_type_t type;
        haddr_t address;
    };

    void scanGroup(std::size_t index)
    {
        Group group;
        const Handle handle(H5Oopen_by_addr(m_source.id(), m_addresses[index]));
        std::vector<Named> found;
        hsize_t position = 0;
        const herr_t status = H5Literate(
            handle.get(), H5_INDEX_NAME, H5_ITER_INC, &position,
            [](hid_t, const char* name, const H5L_info_t* info, void* data) -> herr_t {
                static_cast<std::vector<Named>*>(data)->push_back({name, info->type, info->u.address});
                return 0;
            },
            &found);
        if (status < 0)
            group.problem = stackError("cannot list a group; the file may be damaged", {}).what;
        std::ranges::sort(found, {}, &Named::name);
        for (const Named& named : found) {
            const bool impossible = named.name.empty() || named.name.find('/') != std::string::npos ||
                                    (!group.links.empty() && named.name == group.links.back().name);
            if (impossible)
                group.problem = "has a group with an impossible or repeated name; it is damaged";
            else
                group.links.push_back(linkOf(handle.get(), named));
        }
        scanAttributes(handle.get(), group);
        m_index.groups[index] = std::move(group);
        H5Eclear2(H5E_DEFAULT);
    }

    Link linkOf(Id group, const Named& named)
    {
        Link link{.name = named.name, .problem = {}};
        if (named.type != H5L_TYPE_HARD && named.type != H5L_TYPE_SOFT) {
            link.kind = LinkKind::outside;
            return link;
        }
        const bool soft = named.type == H5L_TYPE_SOFT;
        if (!soft && known(named.address, link))
            return link;
        const Handle object(soft ? H5Oopen(group, named.name.c_str(), insideOnly().get())
                                 : H5Oopen_by_addr(m_source.id(), named.address));
        H5O_info_t about{};
        if (object && H5Oget_info2(object.get(), &about, H5O_INFO_BASIC) >= 0) {
            if (!known(about.addr, link))
                resolve(object, about, link);
        } else if (soft) {
            link.kind = LinkKind::nowhere;
        } else {
            link.kind = LinkKind::damaged;
            link.problem = stackError("cannot open '" + printable(named.name) +
                                          "': damaged, or written by a newer HDF5 than " H5_VERS_INFO,
                                      {})
                               .what;
        }
        H5Eclear2(H5E_DEFAULT);
        return link;
    }

    bool known(haddr_t address, Link& link) const
    {
        const auto found = m_known.find(address);
        if (found == m_known.end())
            return false;
        link.kind = found->second.kind;
        link.target = found->second.index;
        return true;
    }

    /// A new object; groups wait for their turn.
    void resolve(const Handle& object, const H5O_info_t& about, Link& link)
    {
        link.kind = LinkKind::other;
        if (about.type == H5O_TYPE_GROUP) {
            link.kind = LinkKind::group;
            link.target = std::ssize(m_index.groups);
            m_index.groups.emplace_back();
            m_addresses.push_back(about.addr);
        } else if (about.type == H5O_TYPE_DATASET) {
            link.kind = LinkKind::dataset;
            link.target = std::ssize(m_index.datasets);
            m_index.datasets.push_back(describe(object.get()));
        }
        m_known[about.addr] = {link.kind, link.target};
    }

    Dataset describe(Id dataset) const
    {
        Dataset set;
        const Handle space(H5Dget_space(dataset));
        const Handle type(H5Dget_type(dataset));
        const Handle create(H5Dget_create_plist(dataset));
        if (!space || !type || !create) {
            set.problem = stackError("has a damaged header", {}).what;
            return set;
        }
        const bool null = H5Sget_simple_extent_type(space.get()) == H5S_NULL;
        set.shape = shapeOf(space.get());
        describeType(type.get(), set);
        const auto elements = null ? std::optional<std::int64_t>(0) : elementCount(set.shape);
        const auto bytes =
            elements
                ? mulChecked(*elements, std::max<std::int64_t>(1, static_cast<std::int64_t>(H5Tget_size(type.get()))))
                : std::nullopt;
        if (!bytes) {
            set.problem = "has dimensions whose product overflows";
            return set;
        }
        set.sizeBytes = *bytes;
        set.storedBytes = static_cast<std::int64_t>(H5Dget_storage_size(dataset));
        if (null)
            set.refusal = "has no elements (a null dataspace)";
        else if (H5Pget_external_count(create.get()) > 0)
            set.refusal = "keeps its data in another file, which is never followed; store it in the file itself";
        else
            describeStorage(dataset, create.get(), set);
        H5Eclear2(H5E_DEFAULT);
        return set;
    }

    void describeStorage(Id dataset, Id create, Dataset& set) const
    {
        const H5D_layout_t layout = H5Pget_layout(create);
        if (layout == H5D_VIRTUAL) {
            set.refusal =
                "is a virtual dataset over other files, which are never followed; store it in the file itself";
            return;
        }
        if (layout == H5D_CONTIGUOUS) {
            const haddr_t offset = H5Dget_offset(dataset);
            if (offset != HADDR_UNDEF) // what no file reaches stays beyond every file
                set.offset =
                    static_cast<std::int64_t>(std::min<haddr_t>(offset, std::numeric_limits<std::int64_t>::max()));
        }
        const bool allocated = layout == H5D_COMPACT || set.offset >= 0;
        if (allocated && set.storedBytes < set.sizeBytes) {
            set.refusal = "has a damaged header: it stores fewer bytes than its shape needs";
            return;
        }
        if (!set.element)
            return;
        describeFill(create, set);
        describeFilters(create, set);
        if (!set.refusal.empty())
            return;
        if (layout == H5D_CHUNKED) {
            describeChunks(dataset, create, set);
        } else if (layout == H5D_COMPACT) {
            set.compact.resize(static_cast<std::size_t>(set.sizeBytes));
            const Handle type = typeOf(*set.element);
            if (H5Dread(dataset, type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, set.compact.data()) < 0)
                set.problem = stackError("has a damaged header", {}).what;
        } else if (layout != H5D_CONTIGUOUS) {
            set.refusal = "has an unknown layout";
        }
    }

    void describeChunks(Id dataset, Id create, Dataset& set) const
    {
        std::array<hsize_t, H5S_MAX_RANK> sizes{};
        const int rank = H5Pget_chunk(create, H5S_MAX_RANK, sizes.data());
        set.chunk.assign(sizes.begin(), sizes.begin() + std::max(rank, 0));
        const auto chunkElements = elementCount(set.chunk);
        if (rank <= 0 || set.chunk.size() != set.shape.size() || !chunkElements || *chunkElements == 0 ||
            !mulChecked(*chunkElements, info(*set.element).bytes)) {
            set.refusal = "has a damaged header";
            return;
        }
        if (set.storedBytes == 0)
            return;
        const Extent grid = gridOf(set.shape, set.chunk);
        const std::int64_t positions = elementCount(grid).value();
        if (positions > kMaxGrid) {
            set.refusal = "has more than " + std::to_string(kMaxGrid) + " chunks; store it in larger ones";
            return;
        }
        unsigned options = 0;
        H5Pget_chunk_opts(create, &options);
        const bool edgesPlain = (options & H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS) != 0;
        Extent start(set.shape.size(), 0);
        for (std::int64_t position = 0; position < positions; ++position) {
            if (const auto place = m_source.chunkAt(dataset, start)) {
                bool partial = false;
                for (std::size_t d = 0; d < start.size(); ++d)
                    partial |= start[d] + set.chunk[d] > set.shape[d];
                const std::uint32_t skipped = edgesPlain && partial ? ~std::uint32_t{0} : place->skipped;
                set.chunks.push_back({position, place->offset, place->sizeBytes, skipped});
            }
            for (std::size_t d = start.size(); d-- > 0;) {
                start[d] += set.chunk[d];
                if (start[d] < set.shape[d])
                    break;
                start[d] = 0;
            }
        }
    }

    static Extent shapeOf(Id space)
    {
        std::array<hsize_t, H5S_MAX_RANK> sizes{};
        const int rank = H5Sget_simple_extent_dims(space, sizes.data(), nullptr);
        return Extent(sizes.begin(), sizes.begin() + std::max(rank, 0));
    }

    static void scanAttributes(Id group, Group& into)
    {
        std::vector<std::string> names;
        hsize_t position = 0;
        H5Aiterate2(
            group, H5_INDEX_NAME, H5_ITER_INC, &position,
            [](hid_t, const char* name, const H5A_info_t*, void* data) -> herr_t {
                auto* list = static_cast<std::vector<std::string>*>(data);
                list->emplace_back(name);
                return list->size() >= kMaxAttributes ? 1 : 0;
            },
            &names);
        for (const std::string& name : names) {
            const Handle attribute(H5Aopen(group, name.c_str(), H5P_DEFAULT));
            const Handle space(H5Aget_space(attribute.get()));
            const Handle type(H5Aget_type(attribute.get()));
            if (!space || !type || H5Sget_simple_extent_npoints(space.get()) != 1)
                continue;
            if (const auto value = read(attribute.get(), type.get()))
                into.attributes.push_back({name, *value});
        }
    }

    static std::optional<AttributeValue> read(Id attribute, Id type)
    {
        const H5T_class_t kind = H5Tget_class(type);
        if (kind == H5T_INTEGER) {
            std::int64_t value = 0;
            return H5Aread(attribute, H5T_NATIVE_INT64, &value) < 0 ? std::nullopt
                                                                    : std::optional<AttributeValue>(value);
        }
        if (kind == H5T_FLOAT) {
            double value = 0;
            return H5Aread(attribute, H5T_NATIVE_DOUBLE, &value) < 0 ? std::nullopt
                                                                     : std::optional<AttributeValue>(value);
        }
        if (kind != H5T_STRING)
            return std::nullopt;
        if (H5Tis_variable_str(type) > 0) {
            char* text = nullptr;
            if (H5Aread(attribute, type, static_cast<void*>(&text)) < 0)
                return std::nullopt;
            std::string value = text ? text : "";
            H5free_memory(text);
            return value.size() > kMaxTextBytes ? std::nullopt : std::optional<AttributeValue>(std::move(value));
        }
        const std::size_t size = H5Tget_size(type);
        if (size > kMaxTextBytes || size > H5Aget_storage_size(attribute))
            return std::nullopt;
        std::string value(size, '\0');
        if (H5Aread(attribute, type, value.data()) < 0)
            return std::nullopt;
        if (H5Tget_strpad(type) != H5T_STR_NULLPAD)
            value.resize(std::min(value.find('\0'), value.size()));
        return value;
    }

    const Source& m_source;
    Index m_index;
    std::vector<haddr_t> m_addresses; // of groups
    std::map<haddr_t, Target> m_known;
};

} // namespace

Result<Index> scan(const std::filesystem::path& path)
{
    const Lock lock;
    QL_TRY(source, Source::open(path));
    return Scan(source).run();
}

} // namespace ql::hdf5
