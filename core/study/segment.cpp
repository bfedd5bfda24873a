// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/study/segment.h"

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/hdf5.h"
#include "core/base/hdf5_file.h"
#include "core/base/text.h"
#include "core/study/text_table.h"

#include <algorithm>
#include <array>
#include <ranges>

namespace ql {

namespace {

constexpr std::string_view kSuffix = ".h5";
constexpr std::size_t kHashDigits = 32;
constexpr std::int64_t kLarge = std::int64_t{16} << 20U;

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

/// Of data in one piece or several, one behind the other.
template<typename Data>
std::string nameOf(const std::string& study, std::int64_t sequence, std::string_view index, const Data& data)
{
    Hasher hasher;
    hasher.add(study + "\n" + std::to_string(sequence) + "\n");
    hasher.add(index);
    for (const std::span<const std::byte> piece : data)
        hasher.add(piece);
    return hasher.hex() + std::string(kSuffix);
}

/// The place of the bytes in the file; 0 if there are none.
Result<std::int64_t> writeBytes(hdf5::Id parent, const std::string& name, std::span<const std::byte> bytes)
{
    const std::int64_t size = std::ssize(bytes);
    QL_TRY(dataset, hdf5::createDataset(parent, name, hdf5::Element::u8, {size}));
    QL_CHECK(hdf5::writeRows(dataset.get(), hdf5::Element::u8, 0, size, bytes.data()));
    return std::max<std::int64_t>(0, hdf5::offsetOf(dataset.get()));
}

/// Index and data of a group that holds a segment, the data checked against its name if asked for.
Result<Segment> parse(const hdf5::File& h5, const hdf5::Group& group, const std::string& name, bool checksData)
{
    const MappedFile& file = *h5.mapped();
    const std::string where = file.path().string();
    Segment segment;
    segment.file = file.path();
    segment.name = name;
    QL_TRY(study, h5.text(group, "study"));
    QL_TRY(sequence, h5.integer(group, "sequence"));
    QL_TRY(indexSet, h5.dataset(group, "index"));
    QL_TRY(index, h5.read(*indexSet, hdf5::Element::u8, file.sizeBytes()));
    QL_TRY(dataSet, h5.dataset(group, "data"));
    if (dataSet->element != hdf5::Element::u8)
        return badInput("is damaged", where);
    QL_TRY(data, h5.view(*dataSet));
    const std::string_view text(reinterpret_cast<const char*>(index.data()), index.size());
    if (checksData && nameOf(study, sequence, text, std::array{data}) != name)
        return badInput("is damaged: its content does not belong to its name", where);
    QL_TRY(rows, parseTable(text, 3));
    for (const auto& row : rows) {
        const auto at = parseInt(row[1]);
        const auto size = parseInt(row[2]);
        if (!at || !size || *at < 0 || *size < 0 || *at > std::ssize(data) || *size > std::ssize(data) - *at)
            return badInput("is damaged: a piece reaches beyond the data", where);
        segment.pieces[row[0]] = {std::max<std::int64_t>(0, dataSet->offset) + *at, *size};
    }
    segment.study = std::move(study);
    segment.sequence = sequence;
    segment.sizeBytes = file.sizeBytes();
    return segment;
}

Error wrongChecksum(const std::filesystem::path& path)
{
    return badInput("is damaged: its checksum is wrong", path.string());
}

Result<Segment> check(const hdf5::File& h5, const SegmentFile& wanted)
{
    const MappedFile& file = *h5.mapped();
    if (wanted.sizeBytes >= 0 && file.sizeBytes() != wanted.sizeBytes)
        return badInput("is damaged: it has " + formatBytes(file.sizeBytes()) + " instead of " +
                            formatBytes(wanted.sizeBytes),
                        wanted.path.string());
    const bool isLater = !wanted.checksum.empty() && file.sizeBytes() >= kLarge;
    QL_TRY(segment, parse(h5, h5.root(), wanted.path.filename().string(), !isLater));
    segment.checksum = isLater ? wanted.checksum : hashOf(file.bytes());
    segment.isChecked = !isLater;
    if (!wanted.checksum.empty() && segment.checksum != wanted.checksum)
        return wrongChecksum(wanted.path);
    return segment;
}

} // namespace

Result<Segment> writeSegment(const std::filesystem::path& folder, const std::string& study, std::int64_t sequence,
                             const PieceViews& pieces)
{
    TextTable rows;
    std::int64_t size = 0;
    for (const auto& [key, bytes] : pieces) {
        rows.push_back({key, std::to_string(size), std::to_string(bytes.size())});
        size += std::ssize(bytes);
    }
    const std::string index = printTable(rows);
    Segment segment;
    segment.name = nameOf(study, sequence, index, std::views::values(pieces));
    segment.file = folder / segment.name;
    QL_TRY(h5, hdf5::createImage());
    QL_CHECK(hdf5::writeAttribute(h5.get(), "study", study));
    QL_CHECK(hdf5::writeAttribute(h5.get(), "sequence", sequence));
    QL_CHECK(hdf5::writeDataset(h5.get(), "index", hdf5::Element::u8, {std::ssize(index)}, index.data()));
    QL_TRY(data, hdf5::createDataset(h5.get(), "data", hdf5::Element::u8, {size}));
    std::int64_t at = 0;
    for (const auto& [key, bytes] : pieces) { // no second copy of what may be gigabytes
        QL_CHECK(hdf5::writeRows(data.get(), hdf5::Element::u8, at, std::ssize(bytes), bytes.data()));
        at += std::ssize(bytes);
    }
    std::int64_t offset = std::max<std::int64_t>(0, hdf5::offsetOf(data.get()));
    data.reset(); // the file takes all that is open in it with it
    QL_TRY(image, hdf5::finishImage(std::move(h5)));
    QL_TRY(file, AtomicFile::create(segment.file));
    QL_CHECK(file.write(image));
    QL_CHECK(file.commit());
    segment.study = study;
    segment.sequence = sequence;
    segment.sizeBytes = std::ssize(image);
    segment.checksum = hashOf(image);
    for (const auto& [key, bytes] : pieces) {
        segment.pieces[key] = {offset, std::ssize(bytes)};
        offset += std::ssize(bytes);
    }
    return segment;
}

std::vector<Result<Segment>> readSegments(std::span<const SegmentFile> files)
{
    std::vector<std::filesystem::path> paths;
    for (const SegmentFile& file : files)
        paths.push_back(file.path);
    const auto opened = hdf5::File::open(paths);
    std::vector<Result<Segment>> segments;
    for (std::size_t i = 0; i < files.size(); ++i)
        segments.push_back(opened[i] ? check(**opened[i], files[i]) : opened[i].error());
    return segments;
}

Result<Segment> readPackedSegment(const hdf5::File& file, const std::string& name)
{
    QL_TRY(group, file.group(file.root(), "packed/" + name));
    QL_TRY(segment, parse(file, *group, name, true));
    segment.packed = true;
    return segment;
}

Result<void> packSegment(std::int64_t h5, const Segment& segment)
{
    if (!segment.isChecked)
        QL_CHECK(checkContent(segment));
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
    QL_CHECK(writeBytes(group.get(), "data", data));
    return {};
}

Result<void> checkContent(const Segment& segment)
{
    QL_TRY(file, MappedFile::open(segment.file));
    if (hashOf(file->bytes()) != segment.checksum)
        return wrongChecksum(segment.file);
    return file->checkIntact();
}

Result<std::vector<std::byte>> readPiece(const Segment& segment, const Piece& piece)
{
    QL_TRY(file, MappedFile::open(segment.file));
    if (piece.offset > file->sizeBytes() || piece.sizeBytes > file->sizeBytes() - piece.offset)
        return badInput("was cut off while the study was open", segment.file.string());
    const auto bytes =
        file->bytes().subspan(static_cast<std::size_t>(piece.offset), static_cast<std::size_t>(piece.sizeBytes));
    std::vector<std::byte> copy(bytes.begin(), bytes.end());
    QL_CHECK(file->checkIntact());
    return copy;
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
