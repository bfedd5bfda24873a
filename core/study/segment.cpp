// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/study/segment.h"

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/hdf5.h"
#include "core/base/text.h"
#include "core/study/text_table.h"

#include <algorithm>

namespace ql {

namespace {

constexpr std::string_view kSuffix = ".h5";
constexpr std::size_t kHashDigits = 32;

std::span<const std::byte> bytesOf(std::string_view text)
{
    return std::as_bytes(std::span(text.data(), text.size()));
}

std::string hashOf(std::span<const std::byte> bytes)
{
    Hasher hasher;
    hasher.add(bytes);
    return hasher.hex();
}

std::string nameOf(const std::string& study, std::int64_t sequence, std::string_view index,
                   std::span<const std::byte> data)
{
    Hasher hasher;
    hasher.add(study + "\n" + std::to_string(sequence) + "\n");
    hasher.add(index);
    hasher.add(data);
    return hasher.hex() + std::string(kSuffix);
}

Result<void> writeBytes(hdf5::Id parent, const std::string& name, std::span<const std::byte> bytes)
{
    return hdf5::writeDataset(parent, name, hdf5::Element::u8, {std::ssize(bytes)}, bytes.data());
}

/// Index and data of a group that holds a segment, checked against its name.
Result<Segment> parse(hdf5::Id group, const MappedFile& file, const std::string& name)
{
    const std::string where = file.path().string();
    Segment segment;
    segment.file = file.path();
    segment.name = name;
    QL_TRY(study, hdf5::readStringAttribute(group, "study", 1000, true));
    QL_TRY(sequence, hdf5::readIntAttribute(group, "sequence"));
    QL_TRY(index, hdf5::readDataset(group, "index", hdf5::Element::u8, nullptr, file.sizeBytes()));
    QL_TRY(dataset, hdf5::openDataset(group, "data"));
    QL_TRY(info, hdf5::describeDataset(dataset.get()));
    const std::int64_t offset = info.sizeBytes == 0 ? 0 : info.offset.value_or(-1);
    if (info.element != hdf5::Element::u8 || offset < 0 || info.sizeBytes > file.sizeBytes() - offset)
        return badInput("is damaged", where);
    const auto data = file.bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(info.sizeBytes));
    const std::string_view text(reinterpret_cast<const char*>(index.data()), index.size());
    if (nameOf(study, sequence, text, data) != name)
        return badInput("is damaged: its content does not belong to its name", where);
    QL_TRY(rows, parseTable(text, 3));
    for (const auto& row : rows) {
        const auto at = parseInt(row[1]);
        const auto size = parseInt(row[2]);
        if (!at || !size || *at < 0 || *size < 0 || *at > info.sizeBytes || *size > info.sizeBytes - *at)
            return badInput("is damaged: a piece reaches beyond the data", where);
        segment.pieces[row[0]] = {offset + *at, *size};
    }
    segment.study = std::move(study);
    segment.sequence = sequence;
    segment.sizeBytes = file.sizeBytes();
    return segment;
}

} // namespace

Result<Segment> writeSegment(const std::filesystem::path& folder, const std::string& study, std::int64_t sequence,
                             const Pieces& pieces)
{
    TextTable rows;
    std::vector<std::byte> data;
    for (const auto& [key, bytes] : pieces) {
        rows.push_back({key, std::to_string(data.size()), std::to_string(bytes.size())});
        data.insert(data.end(), bytes.begin(), bytes.end());
    }
    const std::string index = printTable(rows);
    const std::filesystem::path path = folder / nameOf(study, sequence, index, data);
    QL_TRY(h5, hdf5::createImage());
    QL_CHECK(hdf5::writeAttribute(h5.get(), "study", study));
    QL_CHECK(hdf5::writeAttribute(h5.get(), "sequence", sequence));
    QL_CHECK(writeBytes(h5.get(), "index", bytesOf(index)));
    QL_CHECK(writeBytes(h5.get(), "data", data));
    QL_TRY(image, hdf5::finishImage(std::move(h5)));
    QL_TRY(file, AtomicFile::create(path));
    QL_CHECK(file.write(image));
    QL_CHECK(file.commit());
    return readSegment(path);
}

Result<Segment> readSegment(const std::filesystem::path& path, const std::string& checksum, std::int64_t sizeBytes)
{
    QL_TRY(file, MappedFile::open(path));
    if (sizeBytes >= 0 && file->sizeBytes() != sizeBytes)
        return badInput("is damaged: it has " + formatBytes(file->sizeBytes()) + " instead of " +
                            formatBytes(sizeBytes),
                        path.string());
    const std::string found = hashOf(file->bytes());
    if (!checksum.empty() && found != checksum)
        return badInput("is damaged: its checksum is wrong", path.string());
    QL_TRY(h5, hdf5::openFile(path));
    QL_TRY(segment, parse(h5.get(), *file, path.filename().string()));
    segment.checksum = found;
    return segment;
}

Result<Segment> readPackedSegment(const std::filesystem::path& path, const std::string& name)
{
    QL_TRY(file, MappedFile::open(path));
    QL_TRY(h5, hdf5::openFile(path));
    QL_TRY(group, hdf5::openGroup(h5.get(), "packed/" + name));
    QL_TRY(segment, parse(group.get(), *file, name));
    segment.packed = true;
    return segment;
}

Result<void> packSegment(std::int64_t h5, const Segment& segment)
{
    QL_TRY(group, hdf5::createGroup(h5, "packed/" + segment.name));
    // In the order of the data: the name is the hash over this very index.
    std::vector<std::pair<std::string, Piece>> pieces(segment.pieces.begin(), segment.pieces.end());
    TextTable rows;
    std::vector<std::byte> data;
    for (const auto& [key, piece] : pieces) {
        QL_TRY(bytes, readPiece(segment, piece));
        rows.push_back({key, std::to_string(data.size()), std::to_string(bytes.size())});
        data.insert(data.end(), bytes.begin(), bytes.end());
    }
    QL_CHECK(hdf5::writeAttribute(group.get(), "study", segment.study));
    QL_CHECK(hdf5::writeAttribute(group.get(), "sequence", segment.sequence));
    QL_CHECK(writeBytes(group.get(), "index", bytesOf(printTable(rows))));
    return writeBytes(group.get(), "data", data);
}

Result<std::vector<std::byte>> readPiece(const Segment& segment, const Piece& piece)
{
    QL_TRY(file, MappedFile::open(segment.file));
    if (piece.offset > file->sizeBytes() || piece.sizeBytes > file->sizeBytes() - piece.offset)
        return badInput("was cut off while the study was open", segment.file.string());
    const auto bytes =
        file->bytes().subspan(static_cast<std::size_t>(piece.offset), static_cast<std::size_t>(piece.sizeBytes));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
}

bool isSegmentName(const std::string& name)
{
    // "<32 digits>.h5", and ".<32 digits>.h5.XXXXXX" while it is written.
    const std::size_t start = name.starts_with('.') ? 1 : 0;
    const std::size_t length = name.size() - start;
    const std::size_t finished = kHashDigits + kSuffix.size();
    return length == (start == 0 ? finished : finished + 7) &&
           name.find_first_not_of("0123456789abcdef", start) == start + kHashDigits &&
           name.compare(start + kHashDigits, kSuffix.size(), kSuffix) == 0;
}

} // namespace ql
