// SPDX-License-Identifier: GPL-3.0-or-later
// One immutable file of finished pieces: HDF5 with the datasets `index` (table of key, offset, size) and `data` (the
// pieces one behind the other), the attributes `study` and `sequence`. Its name is the hash of all of it, so a segment
// proves itself.
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace ql {

namespace hdf5 {
class File;
}

struct Piece {
    std::int64_t offset = 0; // in the file
    std::int64_t sizeBytes = 0;
};

/// What is known of a segment; its pieces can be read straight from the file.
struct Segment {
    std::filesystem::path file; // of a packed study: the main file
    std::string name;           // without folder
    std::string study;
    std::int64_t sequence = 0;
    std::int64_t sizeBytes = 0; // of the file
    std::string checksum;       // of the file's bytes
    std::map<std::string, Piece> pieces;
    bool packed = false;
    bool isChecked = true; // whether the checksum was compared with the file's bytes
};

using Pieces = std::map<std::string, std::vector<std::byte>>;
using PieceViews = std::map<std::string, std::span<const std::byte>>;

/// Writes to a temporary name, synced and renamed.
Result<Segment> writeSegment(const std::filesystem::path& folder, const std::string& study, std::int64_t sequence,
                             const PieceViews& pieces);
/// A segment to be read, and what it has to be if that is known.
struct SegmentFile {
    std::filesystem::path path;
    std::string checksum{};
    std::int64_t sizeBytes = -1;
};
/// Reads and checks segment files; results in their order. Many at once cost little more than one. Of large ones whose
/// checksum is known only size and index are read: checkContent() does the rest when a piece is wanted.
std::vector<Result<Segment>> readSegments(std::span<const SegmentFile> files);
/// The same of one inside a packed study's main file, at group packed/<name>.
Result<Segment> readPackedSegment(const hdf5::File& file, const std::string& name);
/// Adds the segment's datasets to an open HDF5 file, as group packed/<name>.
Result<void> packSegment(std::int64_t h5, const Segment& segment);
/// Compares the file's bytes with the checksum.
Result<void> checkContent(const Segment& segment);
/// Bytes of one piece.
Result<std::vector<std::byte>> readPiece(const Segment& segment, const Piece& piece);
/// Whether a file name is one that writeSegment gives, finished or temporary.
bool isSegmentName(const std::string& name);

} // namespace ql
