// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/imatrix.h"

#include "core/base/checked.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/checkpoint/gguf_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

namespace ql {

namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr std::int64_t kMostEntries = 1 << 20;
constexpr std::int64_t kLongestName = 4096;

/// Numbers and texts one after the other.
class Bytes {
public:
    explicit Bytes(std::span<const std::byte> bytes) : m_rest(bytes) {}
    /// Nothing if the rest is too short, of texts also if the length is beyond the most.
    std::optional<std::int64_t> i32()
    {
        std::int32_t value = 0;
        return copy(&value, 1) ? std::optional<std::int64_t>(value) : std::nullopt;
    }
    std::optional<std::string> text()
    {
        const auto length = i32();
        if (!length || *length < 0 || *length > kLongestName)
            return std::nullopt;
        std::string value(static_cast<std::size_t>(*length), '\0');
        return copy(value.data(), value.size()) ? std::optional(value) : std::nullopt;
    }
    bool floats(std::vector<float>& values, std::int64_t count)
    {
        if (count < 1 || count > std::ssize(m_rest) / std::int64_t{sizeof(float)})
            return false;
        values.resize(static_cast<std::size_t>(count));
        return copy(values.data(), values.size());
    }
    bool atEnd() const { return m_rest.empty(); }

private:
    template<typename T>
    bool copy(T* to, std::size_t count)
    {
        if (count > m_rest.size() / sizeof(T))
            return false;
        std::memcpy(to, m_rest.data(), count * sizeof(T));
        m_rest = m_rest.subspan(count * sizeof(T));
        return true;
    }
    std::span<const std::byte> m_rest;
};

Result<void> checkEntry(const ImatrixEntry& entry, const std::filesystem::path& path)
{
    const auto isSum = [](auto value) { return std::isfinite(value) && value >= 0; };
    const std::string where = path.string() + ": " + printable(entry.name);
    if (!std::ranges::all_of(entry.sums, isSum))
        return badInput("holds sums of squares that are negative or no numbers; make the importance matrix anew",
                        where);
    if (!std::ranges::all_of(entry.counts, isSum) || entry.counts.empty() ||
        entry.sums.size() % entry.counts.size() != 0)
        return badInput("holds counts that do not fit its sums; make the importance matrix anew", where);
    return {};
}

Result<Imatrix> readOld(const MappedFile& file, const JobContext& context)
{
    Bytes bytes(file.bytes());
    const auto cutShort = [&](std::int64_t entry) {
        return badInput("ends or is damaged in entry " + std::to_string(entry + 1) +
                            "; make the importance matrix anew",
                        file.path().string());
    };
    Imatrix imatrix;
    const std::int64_t entries = bytes.i32().value_or(0);
    for (std::int64_t i = 0; i < entries; ++i) {
        QL_CHECK(context.checkStop());
        const auto name = bytes.text();
        const auto chunks = bytes.i32();
        const auto values = bytes.i32();
        ImatrixEntry entry;
        if (!name || !chunks || !values || !bytes.floats(entry.sums, *values))
            return cutShort(i);
        entry.name = *name;
        entry.counts = {static_cast<double>(*chunks)};
        QL_CHECK(checkEntry(entry, file.path()));
        imatrix.entries.push_back(std::move(entry));
    }
    if (!bytes.atEnd()) {
        const auto chunks = bytes.i32();
        const auto dataset = bytes.text();
        if (!chunks || !dataset)
            return cutShort(entries);
        imatrix.chunkCount = *chunks;
        if (!dataset->empty())
            imatrix.datasets = {*dataset};
    }
    return imatrix;
}

/// The elements of an F32 tensor.
Result<std::vector<float>> floatsOf(const GgufFile& gguf, const GgufTensor& tensor)
{
    if (tensor.dtype != Dtype::f32)
        return badInput("is not F32; make the importance matrix anew", gguf.file->path().string() + ": " + tensor.name);
    const auto bytes = gguf.data(tensor);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
}

Result<Imatrix> readGguf(std::shared_ptr<const MappedFile> file, const JobContext& context)
{
    QL_TRY(gguf, parseGguf(std::move(file), context));
    const std::filesystem::path& path = gguf.file->path();
    if (gguf.text("general.type").value_or("") != "imatrix")
        return badInput("is a GGUF file that is no importance matrix (general.type is not imatrix)", path.string());
    Imatrix imatrix;
    imatrix.chunkCount = gguf.integer("imatrix.chunk_count").value_or(0);
    imatrix.chunkSize = std::max<std::int64_t>(1, gguf.integer("imatrix.chunk_size").value_or(1));
    for (const std::string_view dataset : gguf.texts("imatrix.datasets").value_or(std::vector<std::string_view>()))
        imatrix.datasets.emplace_back(dataset);
    struct Pair {
        const GgufTensor *sums = nullptr, *counts = nullptr;
    };
    std::map<std::string, Pair> pairs;
    for (const GgufTensor& tensor : gguf.tensors) {
        const std::string_view name = tensor.name;
        if (name.ends_with(kSums))
            pairs[std::string(name.substr(0, name.size() - kSums.size()))].sums = &tensor;
        else if (name.ends_with(kCounts))
            pairs[std::string(name.substr(0, name.size() - kCounts.size()))].counts = &tensor;
    }
    for (const auto& [name, pair] : pairs) {
        QL_CHECK(context.checkStop());
        if (!pair.sums || !pair.counts)
            return badInput("has sums without counts, or counts without sums; make the importance matrix anew",
                            path.string() + ": " + printable(name));
        QL_TRY(sums, floatsOf(gguf, *pair.sums));
        QL_TRY(counts, floatsOf(gguf, *pair.counts));
        ImatrixEntry entry{name, std::move(sums), {counts.begin(), counts.end()}};
        QL_CHECK(checkEntry(entry, path));
        imatrix.entries.push_back(std::move(entry));
    }
    return imatrix;
}

/// Bytes of a file in the making, little-endian.
class Text {
public:
    template<typename T>
    Text& number(T value)
    {
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
        return *this;
    }
    template<typename Length>
    Text& text(std::string_view value)
    {
        number(static_cast<Length>(value.size()));
        bytes += value;
        return *this;
    }
    Text& floats(std::span<const float> values)
    {
        bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
        return *this;
    }
    void pad(std::size_t alignment) { bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0'); }
    std::string bytes;
};

Text oldText(const Imatrix& imatrix)
{
    Text out;
    out.number(static_cast<std::int32_t>(imatrix.entries.size()));
    for (const ImatrixEntry& entry : imatrix.entries) {
        const double most = *std::ranges::max_element(entry.counts);
        const double chunks = std::ceil(most / static_cast<double>(imatrix.chunkSize));
        std::vector<float> values(entry.sums.size());
        const std::size_t width = entry.sums.size() / entry.counts.size();
        for (std::size_t i = 0; i < values.size(); ++i) {
            const double count = entry.counts[i / width];
            values[i] = static_cast<float>((count > 0 ? static_cast<double>(entry.sums[i]) / count : 1) * chunks);
        }
        out.text<std::int32_t>(entry.name)
            .number(static_cast<std::int32_t>(chunks))
            .number(static_cast<std::int32_t>(values.size()))
            .floats(values);
    }
    return out.number(static_cast<std::int32_t>(imatrix.chunkCount))
        .text<std::int32_t>(imatrix.datasets.empty() ? "" : imatrix.datasets.back());
}

Text ggufText(const Imatrix& imatrix)
{
    constexpr std::size_t kAlignment = 32;
    Text out, data;
    const auto key = [&](std::string_view name, GgufType type) -> Text& {
        return out.text<std::uint64_t>(name).number(static_cast<std::uint32_t>(type));
    };
    const auto tensor = [&](const std::string& name, std::span<const float> values, std::size_t matrices) {
        out.text<std::uint64_t>(name)
            .number(std::uint32_t{2})
            .number(static_cast<std::uint64_t>(values.size() / matrices))
            .number(static_cast<std::uint64_t>(matrices))
            .number(static_cast<std::uint32_t>(info(Dtype::f32).ggmlType))
            .number(static_cast<std::uint64_t>(data.bytes.size()));
        data.floats(values).pad(kAlignment);
    };
    out.bytes = "GGUF";
    out.number(std::uint32_t{3}).number(std::uint64_t{2 * imatrix.entries.size()}).number(std::uint64_t{4});
    key("general.type", GgufType::string).text<std::uint64_t>("imatrix");
    key("imatrix.datasets", GgufType::array)
        .number(static_cast<std::uint32_t>(GgufType::string))
        .number(std::uint64_t{imatrix.datasets.size()});
    for (const std::string& dataset : imatrix.datasets)
        out.text<std::uint64_t>(dataset);
    key("imatrix.chunk_count", GgufType::u32).number(static_cast<std::uint32_t>(imatrix.chunkCount));
    key("imatrix.chunk_size", GgufType::u32).number(static_cast<std::uint32_t>(imatrix.chunkSize));
    for (const ImatrixEntry& entry : imatrix.entries) {
        const std::vector<float> counts(entry.counts.begin(), entry.counts.end());
        tensor(entry.name + std::string(kSums), entry.sums, counts.size());
        tensor(entry.name + std::string(kCounts), counts, counts.size());
    }
    out.pad(kAlignment);
    out.bytes += data.bytes;
    return out;
}

} // namespace

bool looksLikeImatrix(std::span<const std::byte> head)
{
    if (looksLikeGguf(head))
        return true;
    Bytes bytes(head);
    const std::int64_t entries = bytes.i32().value_or(0);
    const auto name = bytes.text();
    return entries > 0 && entries < kMostEntries && name && !name->empty() && printable(*name) == *name;
}

Result<Imatrix> readImatrix(const std::filesystem::path& path, const JobContext& context)
{
    QL_TRY(file, MappedFile::open(path));
    QL_TRY(imatrix, looksLikeGguf(file->bytes()) ? readGguf(file, context) : readOld(*file, context));
    QL_CHECK(file->checkIntact());
    std::ranges::sort(imatrix.entries, {}, &ImatrixEntry::name);
    const auto twice = std::ranges::adjacent_find(imatrix.entries, {}, &ImatrixEntry::name);
    if (twice != imatrix.entries.end())
        return badInput("is there twice; make the importance matrix anew",
                        path.string() + ": " + printable(twice->name));
    if (imatrix.entries.empty())
        return badInput("holds no importance matrix", path.string());
    return imatrix;
}

Result<void> writeImatrix(const Imatrix& imatrix, ImatrixForm form, const std::filesystem::path& path)
{
    QL_TRY(file, AtomicFile::create(path));
    QL_CHECK(file.write(form == ImatrixForm::gguf ? ggufText(imatrix).bytes : oldText(imatrix).bytes));
    return file.commit();
}

} // namespace ql
