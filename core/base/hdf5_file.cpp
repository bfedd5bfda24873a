// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hdf5_file.h"

#include "core/base/checked.h"
#include "core/base/child_program.h"
#include "core/base/hdf5_chunk.h"
#include "core/base/resources.h"
#include "core/base/text.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <csignal>
#include <cstring>

namespace ql::hdf5 {

namespace {

constexpr std::size_t kMaxBatch = 256; // files given to the program at once
constexpr std::chrono::seconds kBaseTime{20};

/// The program's own limits stop it long before this, unless it waits for something.
std::chrono::milliseconds timeFor(std::int64_t bytes)
{
    return kBaseTime + std::chrono::seconds(std::min<std::int64_t>(bytes / 500'000, 300));
}

/// An index repeats what headers say, in fewer bytes than the file needs for it.
std::int64_t outputFor(std::int64_t bytes)
{
    return (std::int64_t{1} << 20U) + std::min(bytes, std::int64_t{1} << 27U) * 8;
}

/// Why the program said nothing of a file.
Error silence(const ChildOutput& output, const std::filesystem::path& program, const std::string& path)
{
    constexpr const char* kMend = ". Get the file again";
    using Ending = ChildOutput::Ending;
    if (output.ending == Ending::exited && output.code == kExitOutOfMemory)
        return badInput(std::string("is damaged: its structure takes all memory") + kMend, path);
    if (output.ending == Ending::exited && output.code != 0)
        return badInput(
            "is damaged: the HDF5 library fails on it (exit code " + std::to_string(output.code) + ")" + kMend, path);
    if (output.ending == Ending::exited)
        return ioError("cannot be read: " + program.string() + " does not answer as it should; reinstall QuantLoupe",
                       path);
    if (output.ending == Ending::outOfTime || output.code == SIGXCPU)
        return badInput(std::string("is damaged: reading its structure does not end") + kMend, path);
    if (output.ending == Ending::tooMuch)
        return badInput(std::string("is damaged: its structure is larger than the file") + kMend, path);
    return badInput("is damaged: the HDF5 library dies of it (signal " + std::to_string(output.code) + ")" + kMend,
                    path);
}

using Opened = Result<std::shared_ptr<const File>>;

} // namespace

std::vector<Opened> File::open(std::span<const std::filesystem::path> paths, const Indexer& indexer,
                               const std::stop_token& stop)
{
    std::vector<Opened> opened;
    std::vector<std::shared_ptr<const MappedFile>> mapped; // of those that can be mapped
    std::vector<std::size_t> places;                       // of theirs in `opened`
    std::vector<std::string> arguments;
    std::int64_t bytes = 0;
    for (const auto& path : paths) {
        auto mapping = MappedFile::open(path);
        if (mapping) {
            places.push_back(opened.size());
            mapped.push_back(*mapping);
            arguments.push_back(path.string());
            bytes += (*mapping)->sizeBytes();
        }
        opened.emplace_back(mapping ? cancelledError() : mapping.error());
    }
    // A file that the program dies of costs one call more: for those behind it.
    for (std::size_t next = 0; next < mapped.size();) {
        arguments.erase(arguments.begin(), arguments.end() - static_cast<std::ptrdiff_t>(mapped.size() - next));
        const auto output =
            runProgram(indexer.program, arguments, {indexer.time.value_or(timeFor(bytes)), outputFor(bytes)}, stop);
        if (!output) {
            for (; next < mapped.size(); ++next)
                opened[places[next]] = output.error();
            break;
        }
        std::span<const std::byte> rest = output->bytes;
        while (next < mapped.size()) {
            auto index = decode(rest);
            if (!index)
                break;
            const std::shared_ptr<const MappedFile>& file = mapped[next];
            Opened& result = opened[places[next++]];
            if (!*index)
                result = Error{index->error().code, index->error().what, file->path().string()};
            else if ((*index)->fileBytes != file->sizeBytes() || (*index)->inode != file->inode())
                result = badInput("changed while it was opened; open it again", file->path().string());
            else
                result = std::shared_ptr<const File>(new File(file, std::move(**index)));
        }
        if (next < mapped.size()) {
            opened[places[next]] = silence(*output, indexer.program, mapped[next]->path().string());
            ++next;
        }
    }
    return opened;
}

std::vector<Opened> File::open(std::span<const std::filesystem::path> paths, const std::stop_token& stop)
{
    std::vector<Opened> opened;
    const auto program = findProgram(kIndexProgram);
    while (opened.size() < paths.size()) {
        const auto batch = paths.subspan(opened.size(), std::min(kMaxBatch, paths.size() - opened.size()));
        if (program)
            std::ranges::move(open(batch, Indexer{*program, {}}, stop), std::back_inserter(opened));
        else
            opened.insert(opened.end(), batch.size(), program.error());
    }
    return opened;
}

Opened File::open(const std::filesystem::path& path, const std::stop_token& stop)
{
    return std::move(open(std::span(&path, 1), stop).front());
}

namespace {

/// Follows a path link by link.
const Link* findLink(const Index& index, const Group& from, std::string_view path)
{
    const Group* group = &from;
    const Link* link = nullptr;
    for (const std::string_view part : split(path, '/')) {
        if (link && link->kind != LinkKind::group)
            return nullptr;
        if (link)
            group = &index.groups[static_cast<std::size_t>(link->target)];
        link = group->link(part);
        if (!link)
            return nullptr;
    }
    return link;
}

} // namespace

Result<const Group*> File::group(const Group& from, std::string_view path) const
{
    const Link* link = findLink(m_index, from, path);
    if (!link || link->kind != LinkKind::group)
        return badInput("has no group '" + printable(path) + "'", where());
    return &m_index.groups[static_cast<std::size_t>(link->target)];
}

Result<const Dataset*> File::dataset(const Group& from, std::string_view path) const
{
    const Link* link = findLink(m_index, from, path);
    if (!link || link->kind != LinkKind::dataset)
        return badInput("has no dataset '" + printable(path) + "'", where());
    return &m_index.datasets[static_cast<std::size_t>(link->target)];
}

Result<std::string> File::text(const Group& group, std::string_view name, std::int64_t limitBytes) const
{
    const auto* value = group.attribute<std::string>(name);
    if (!value)
        return badInput("has no text attribute '" + printable(name) + "'", where());
    if (std::ssize(*value) > limitBytes)
        return badInput("has a text attribute '" + printable(name) + "' that is too long", where());
    return *value;
}

Result<std::int64_t> File::integer(const Group& group, std::string_view name) const
{
    const auto* value = group.attribute<std::int64_t>(name);
    if (!value)
        return badInput("has no number as attribute '" + printable(name) + "'", where());
    return *value;
}

Result<std::span<const std::byte>> File::view(const Dataset& dataset) const
{
    if (!dataset.problem.empty() || !dataset.refusal.empty())
        return badInput(dataset.problem + dataset.refusal, where());
    if (dataset.sizeBytes == 0)
        return std::span<const std::byte>();
    const std::int64_t end = m_mapped->sizeBytes();
    if (dataset.offset < 0)
        return badInput("has a dataset that is not stored in one piece", where());
    if (dataset.offset > end || dataset.sizeBytes > end - dataset.offset)
        return badInput("its data reach beyond the file, which is truncated or damaged. Get the file again", where());
    return m_mapped->bytes().subspan(static_cast<std::size_t>(dataset.offset),
                                     static_cast<std::size_t>(dataset.sizeBytes));
}

Result<std::vector<std::byte>> File::read(const Dataset& dataset, Element element, std::int64_t limitBytes) const
{
    if (dataset.sizeBytes > limitBytes ||
        (dataset.element && unitBytes(dataset) > std::max<std::int64_t>(limitBytes, 8)))
        return badInput("is larger than it may be here", where());
    std::vector<std::byte> data(static_cast<std::size_t>(dataset.sizeBytes));
    QL_CHECK(readInto(dataset, element, data.data(), {}));
    return data;
}

Result<void> File::readInto(const Dataset& dataset, Element element, std::byte* whole,
                            const std::stop_token& stop) const
{
    if (!dataset.problem.empty() || !dataset.refusal.empty())
        return badInput(dataset.problem + dataset.refusal, where());
    if (dataset.element != element)
        return badInput("holds " + dataset.type + " instead of " + std::string(info(element).word), where());
    if (unitBytes(dataset) > kMaxChunkBytes)
        return badInput("has chunks of more than " + formatBytes(kMaxChunkBytes), where());
    QL_CHECK(readUnits(dataset, 0, unitCount(dataset), whole, stop));
    return m_mapped->checkIntact();
}

std::int64_t File::unitCount(const Dataset& dataset)
{
    return elementCount(dataset.chunk.empty() ? dataset.shape : gridOf(dataset.shape, dataset.chunk)).value();
}

std::int64_t File::unitBytes(const Dataset& dataset)
{
    return elementCount(dataset.chunk).value() * info(*dataset.element).bytes;
}

Result<void> File::readUnits(const Dataset& dataset, std::int64_t begin, std::int64_t end, std::byte* whole,
                             const std::stop_token& stop) const
{
    const int bytes = info(*dataset.element).bytes;
    static constexpr std::array<std::byte, 8> kZeros{};
    const auto fill = dataset.fill.empty() ? std::span(kZeros).first(static_cast<std::size_t>(bytes))
                                           : std::span<const std::byte>(dataset.fill);
    if (dataset.chunk.empty()) {
        const std::span out(whole + begin * bytes, static_cast<std::size_t>((end - begin) * bytes));
        if (out.empty())
            return {};
        if (!dataset.compact.empty()) {
            std::memcpy(out.data(), dataset.compact.data() + begin * bytes, out.size());
        } else if (dataset.offset < 0) {
            for (std::size_t at = 0; at < out.size(); at += fill.size())
                std::memcpy(out.data() + at, fill.data(), fill.size());
        } else {
            QL_TRY(stored, view(dataset));
            std::memcpy(out.data(), stored.data() + begin * bytes, out.size());
            if (dataset.bigEndian)
                swapBytes(out, bytes);
        }
        return {};
    }
    assert(unitBytes(dataset) <= kMaxChunkBytes);
    auto chunk = std::ranges::lower_bound(dataset.chunks, begin, {}, &Chunk::position);
    for (std::int64_t position = begin; position < end; ++position) {
        if (stop.stop_requested())
            return cancelledError();
        if (chunk == dataset.chunks.end() || chunk->position != position) {
            place(fill, dataset, position, whole);
            continue;
        }
        if (chunk->offset < 0 || chunk->sizeBytes > m_mapped->sizeBytes() ||
            chunk->offset > m_mapped->sizeBytes() - chunk->sizeBytes)
            return badInput("has a chunk beyond the file, which is truncated or damaged. Get the file again", where());
        const auto stored = m_mapped->bytes().subspan(static_cast<std::size_t>(chunk->offset),
                                                      static_cast<std::size_t>(chunk->sizeBytes));
        QL_TRY(elements, unfilter(stored, dataset, chunk->skipped, stop));
        if (dataset.bigEndian)
            swapBytes(elements, bytes);
        place(elements, dataset, position, whole);
        ++chunk;
    }
    return {};
}

} // namespace ql::hdf5
