// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hdf5_index.h"

#include "core/base/checked.h"
#include "core/base/hash.h"

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstring>

namespace ql::hdf5 {

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr std::string_view kMagic = "QLH5IDX1"; // the digit is the version
constexpr std::size_t kHashBytes = 32;
constexpr std::size_t kHeadBytes = kMagic.size() + sizeof(std::uint64_t) + kHashBytes;
constexpr std::size_t kMaxRank = 32;

template<typename T>
concept Plain = std::integral<T> || std::floating_point<T> || std::is_enum_v<T> || std::same_as<T, std::byte>;

// The fields of each struct, once for both directions.
void fields(auto& archive, Filter& filter)
{
    archive(filter.id, filter.shuffleBytes);
}
void fields(auto& archive, Chunk& chunk)
{
    archive(chunk.position, chunk.offset, chunk.sizeBytes, chunk.skipped);
}
void fields(auto& archive, Dataset& set)
{
    archive(set.shape, set.element, set.type, set.bigEndian, set.sizeBytes, set.storedBytes, set.offset, set.compact,
            set.chunk, set.chunks, set.filters, set.fill, set.refusal, set.problem);
}
void fields(auto& archive, Attribute& attribute)
{
    archive(attribute.name, attribute.value);
}
void fields(auto& archive, Link& link)
{
    archive(link.name, link.kind, link.target, link.problem);
}
void fields(auto& archive, Group& group)
{
    archive(group.links, group.attributes, group.problem);
}
void fields(auto& archive, Index& index)
{
    archive(index.fileBytes, index.inode, index.groups, index.datasets);
}
void fields(auto& archive, Error& error)
{
    archive(error.code, error.what, error.where);
}

class Writer {
public:
    template<typename... T>
    void operator()(T&... values)
    {
        (put(values), ...);
    }
    std::string bytes;

private:
    template<Plain T>
    void put(T& value)
    {
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    void put(std::string& text)
    {
        std::uint64_t size = text.size();
        put(size);
        bytes += text;
    }
    template<typename T>
    void put(std::vector<T>& values)
    {
        std::uint64_t size = values.size();
        put(size);
        for (T& value : values)
            put(value);
    }
    template<Plain T>
    void put(std::optional<T>& value)
    {
        bool some = value.has_value();
        put(some);
        if (some)
            put(*value);
    }
    void put(AttributeValue& value)
    {
        auto which = static_cast<std::uint8_t>(value.index());
        put(which);
        std::visit([this](auto& alternative) { put(alternative); }, value);
    }
    template<typename T>
    void put(T& structure)
    {
        fields(*this, structure);
    }
};

/// Reads what Writer wrote; of anything else it makes some values and `ok` false.
class Reader {
public:
    explicit Reader(std::span<const std::byte> bytes) : m_rest(bytes) {}

    template<typename... T>
    void operator()(T&... values)
    {
        (get(values), ...);
    }
    /// Whether all was there and nothing is left.
    bool complete() const { return m_ok && m_rest.empty(); }

private:
    template<Plain T>
    void get(T& value)
    {
        if (!need(sizeof value))
            return;
        std::memcpy(&value, m_rest.data(), sizeof value);
        m_rest = m_rest.subspan(sizeof value);
    }
    void get(bool& value)
    {
        std::uint8_t byte = 0;
        get(byte);
        value = byte != 0;
    }
    void get(Element& element) { enumerator(element, Element::boolean); }
    void get(FilterId& id) { enumerator(id, FilterId::fletcher32); }
    void get(LinkKind& kind) { enumerator(kind, LinkKind::damaged); }
    void get(Errc& code) { enumerator(code, Errc::io); }
    void get(std::string& text)
    {
        std::uint64_t size = 0;
        get(size);
        if (!need(size))
            return;
        text.assign(reinterpret_cast<const char*>(m_rest.data()), size);
        m_rest = m_rest.subspan(size);
    }
    template<typename T>
    void get(std::vector<T>& values)
    {
        std::uint64_t size = 0;
        get(size);
        while (m_ok && values.size() < size) // grows with the bytes that are there, not with what the number says
            get(values.emplace_back());
    }
    template<Plain T>
    void get(std::optional<T>& value)
    {
        bool some = false;
        get(some);
        if (some)
            get(value.emplace());
    }
    void get(AttributeValue& value)
    {
        std::uint8_t which = 0;
        get(which);
        if (which == 0)
            get(value.emplace<0>());
        else if (which == 1)
            get(value.emplace<1>());
        else
            get(value.emplace<2>());
    }
    template<typename T>
    void get(T& structure)
    {
        fields(*this, structure);
    }
    template<typename T>
    void enumerator(T& value, T last)
    {
        std::underlying_type_t<T> number{};
        get(number);
        m_ok = m_ok && number >= 0 && number <= static_cast<std::underlying_type_t<T>>(last);
        value = m_ok ? static_cast<T>(number) : T{};
    }
    bool need(std::uint64_t bytes)
    {
        m_ok = m_ok && bytes <= m_rest.size();
        return m_ok;
    }

    std::span<const std::byte> m_rest;
    bool m_ok = true;
};

bool isConsistent(const Dataset& set)
{
    const auto elements = elementCount(set.shape);
    if (set.shape.size() > kMaxRank || set.sizeBytes < 0 || set.storedBytes < 0)
        return false;
    if (!set.element || !set.refusal.empty() || !set.problem.empty())
        return true; // nobody reads its data
    const int bytes = info(*set.element).bytes;
    if (!elements || mulChecked(*elements, bytes) != set.sizeBytes)
        return false;
    if (!set.compact.empty() && std::ssize(set.compact) != set.sizeBytes)
        return false;
    if (!set.fill.empty() && std::ssize(set.fill) != bytes)
        return false;
    if (set.chunk.empty())
        return set.chunks.empty();
    const auto chunkElements = elementCount(set.chunk);
    if (set.chunk.size() != set.shape.size() || !chunkElements || *chunkElements == 0 ||
        !mulChecked(*chunkElements, bytes))
        return false;
    const auto positions = elementCount(gridOf(set.shape, set.chunk)); // no more than elements
    std::int64_t next = 0;
    for (const Chunk& chunk : set.chunks) {
        if (chunk.position < next || chunk.position >= *positions || chunk.sizeBytes < 0)
            return false;
        next = chunk.position + 1;
    }
    return true;
}

bool isConsistent(const Group& group, const Index& index)
{
    const auto targetExists = [&](const Link& link) {
        if (link.kind == LinkKind::group)
            return link.target >= 0 && link.target < std::ssize(index.groups);
        if (link.kind == LinkKind::dataset)
            return link.target >= 0 && link.target < std::ssize(index.datasets);
        return true;
    };
    for (std::size_t i = 0; i < group.links.size(); ++i) {
        const Link& link = group.links[i];
        if (link.name.empty() || link.name.find('/') != std::string::npos || !targetExists(link) ||
            (i > 0 && link.name <= group.links[i - 1].name))
            return false;
    }
    return true;
}

bool isConsistent(const Index& index)
{
    return !index.groups.empty() &&
           std::ranges::all_of(index.groups, [&](const Group& group) { return isConsistent(group, index); }) &&
           std::ranges::all_of(index.datasets, [](const Dataset& set) { return isConsistent(set); });
}

std::string hashOf(std::span<const std::byte> bytes)
{
    Hasher hasher;
    hasher.add(bytes);
    return hasher.hex();
}

} // namespace

const Link* Group::link(std::string_view name) const
{
    const auto found = std::ranges::lower_bound(links, name, {}, &Link::name);
    return found != links.end() && found->name == name ? &*found : nullptr;
}

std::string encode(Result<Index> index)
{
    Writer writer;
    bool good = index.has_value();
    writer(good);
    if (good) {
        writer(*index);
    } else {
        Error error = index.error();
        writer(error);
    }
    std::uint64_t size = writer.bytes.size();
    Writer frame;
    frame.bytes = kMagic;
    frame(size);
    return frame.bytes + hashOf(std::as_bytes(std::span(writer.bytes))) + writer.bytes;
}

std::optional<Result<Index>> decode(std::span<const std::byte>& bytes)
{
    if (bytes.size() < kHeadBytes || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
        return std::nullopt;
    std::uint64_t size = 0;
    std::memcpy(&size, bytes.data() + kMagic.size(), sizeof size);
    if (size > bytes.size() - kHeadBytes)
        return std::nullopt;
    const auto payload = bytes.subspan(kHeadBytes, size);
    if (std::memcmp(hashOf(payload).data(), bytes.data() + kHeadBytes - kHashBytes, kHashBytes) != 0)
        return std::nullopt;
    Reader reader(payload);
    bool good = false;
    reader(good);
    Index index;
    Error error;
    if (good)
        reader(index);
    else
        reader(error);
    if (!reader.complete() || (good && !isConsistent(index)))
        return std::nullopt;
    bytes = bytes.subspan(kHeadBytes + size);
    return good ? Result<Index>(std::move(index)) : Result<Index>(std::move(error));
}

std::optional<std::int64_t> elementCount(const Extent& shape)
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

Extent gridOf(const Extent& shape, const Extent& chunk)
{
    Extent grid;
    for (std::size_t d = 0; d < shape.size(); ++d)
        grid.push_back(ceilDiv(shape[d], chunk[d]));
    return grid;
}

} // namespace ql::hdf5
