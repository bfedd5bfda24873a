// SPDX-License-Identifier: GPL-3.0-or-later
// NumPy archives: every member NAME.npy is the tensor NAME. Stored members are views of the mapping, deflated ones are
// unpacked when asked for; checksums are compared at a member's first load.
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/checkpoint/fingerprint.h"
#include "core/checkpoint/loader_checkpoint.h"
#include "core/checkpoint/npy_header.h"
#include "core/checkpoint/reader.h"
#include "core/checkpoint/tensor_names.h"
#include "core/checkpoint/zip_archive.h"

#include <array>
#include <atomic>
#include <cstring>

namespace ql::readers {

namespace {

/// The archive's first member is an array. (PyTorch checkpoints are zip archives too.)
bool sniff(const std::filesystem::path&, std::span<const std::byte> head)
{
    if (head.size() < 30)
        return false;
    const auto startsWith = [&](const char* magic) { return std::memcmp(head.data(), magic, 4) == 0; };
    if (startsWith("PK\x05\x06"))
        return true; // empty archive
    if (!startsWith("PK\x03\x04"))
        return false;
    const std::size_t nameBytes = static_cast<std::size_t>(head[26]) | static_cast<std::size_t>(head[27]) << 8U;
    const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
    return 30 + nameBytes > head.size() || text.substr(30, nameBytes).ends_with(".npy");
}

struct Archive {
    std::shared_ptr<const MappedFile> file;
    ZipDirectory directory;
    std::vector<std::atomic<bool>> checked; // checksums of stored members
};

Result<NpyHeader> readHeader(std::span<const std::byte> archive, const ZipMember& member, const std::string& where)
{
    std::vector<std::byte> start(static_cast<std::size_t>(std::min<std::int64_t>(member.sizeBytes, 512)));
    if (auto read = readZipStart(archive, member, start); !read)
        return badInput(read.error().what, where);
    QL_TRY(headerBytes, npyHeaderBytes(start, where));
    if (headerBytes > std::ssize(start)) {
        if (headerBytes > member.sizeBytes)
            return badInput("is truncated: it ends inside the header", where);
        start.resize(static_cast<std::size_t>(headerBytes));
        if (auto read = readZipStart(archive, member, start); !read)
            return badInput(read.error().what, where);
    }
    QL_TRY(header, parseNpyHeader(start, where));
    if (header.refusal.empty() && member.sizeBytes - header.dataOffset != header.sizeBytes)
        return badInput("the shape " + formatShape(header.shape) + " needs " + formatBytes(header.sizeBytes) +
                            ", the archive holds " + formatBytes(member.sizeBytes - header.dataOffset) +
                            ". Get the file again",
                        where);
    return header;
}

Result<TensorData> loadMember(const std::shared_ptr<Archive>& archive, std::size_t index, const NpyHeader& header,
                              const JobContext& context)
{
    const auto bytes = archive->file->bytes();
    const ZipMember& member = archive->directory.members[index];
    std::shared_ptr<const void> owner = archive->file;
    const std::byte* data = bytes.data() + member.dataOffset + header.dataOffset;
    if (member.deflated) {
        QL_TRY(unpacked, allocate(header.sizeBytes, context));
        QL_CHECK(inflateZipMember(bytes, member, header.dataOffset,
                                  std::span(unpacked->data(), static_cast<std::size_t>(header.sizeBytes)), context));
        data = unpacked->data();
        owner = unpacked;
    } else if (!archive->checked[index].load(std::memory_order_relaxed)) {
        QL_CHECK(checkStoredZipMember(bytes, member, context));
        archive->checked[index].store(true, std::memory_order_relaxed);
    }
    if (header.order.isNative())
        return TensorData{{header.dtype, header.shape, data}, owner};
    QL_TRY(native, allocate(header.sizeBytes, context));
    QL_CHECK(toNativeOrder(data, header.shape, header.order, native->data(), context));
    return TensorData{{header.dtype, header.shape, native->data()}, native};
}

Result<std::shared_ptr<const Checkpoint>> open(const std::filesystem::path& path, const JobContext& context)
{
    const auto archive = std::make_shared<Archive>();
    QL_TRY(file, MappedFile::open(path));
    archive->file = file;
    QL_TRY(directory, readZipDirectory(file->bytes(), path.string()));
    archive->directory = std::move(directory);
    const std::vector<ZipMember>& members = archive->directory.members;
    archive->checked = std::vector<std::atomic<bool>>(members.size());

    Checkpoint::Contents parts;
    std::vector<LoaderCheckpoint::Loader> loaders;
    parts.reader = "numpy";
    parts.path = path;
    parts.files = {file};
    std::vector<TensorInfo> all; // with those left out: a name must not occur twice at all
    for (std::size_t i = 0; i < members.size(); ++i) {
        QL_CHECK(context.checkStop());
        const ZipMember& member = members[i];
        TensorInfo tensor;
        tensor.name = member.name.ends_with(".npy") ? member.name.substr(0, member.name.size() - 4) : member.name;
        QL_CHECK(checkTensorName(tensor.name, path.string()));
        const std::string where = path.string() + ": " + tensor.name;
        if (!member.name.ends_with(".npy")) {
            parts.warnings.push_back({where, "is no array (its name does not end in .npy); left out"});
            continue;
        }
        QL_TRY(header, readHeader(file->bytes(), member, where));
        all.push_back(tensor);
        if (!header.refusal.empty()) { // text or objects beside the numbers do not spoil them
            parts.warnings.push_back({where, header.refusal + "; left out"});
            continue;
        }
        tensor.dtype = header.dtype;
        tensor.shape = header.shape;
        tensor.sizeBytes = header.sizeBytes;
        if (!member.deflated && header.order.isNative())
            tensor.offset = member.dataOffset + header.dataOffset;
        if (!header.note.empty())
            parts.warnings.push_back({where, header.note});
        parts.tensors.push_back(std::move(tensor));
        loaders.emplace_back([archive, i, found = std::move(header)](const JobContext& job) {
            return loadMember(archive, i, found, job);
        });
    }
    QL_CHECK(checkUniqueNames(all, path.string()));
    if (parts.tensors.empty() && !parts.warnings.empty())
        return badInput("holds no array of numbers: " + parts.warnings.front().what, parts.warnings.front().where);
    // The directory, with the checksums of all data, names the content.
    Fingerprint fingerprint;
    const auto tail = file->bytes().subspan(static_cast<std::size_t>(archive->directory.offset));
    fingerprint.addFile(tail, std::ssize(tail));
    parts.fingerprint = fingerprint.hex();
    return std::shared_ptr<const Checkpoint>(std::make_shared<LoaderCheckpoint>(std::move(parts), std::move(loaders)));
}

} // namespace

extern const Reader npz;
const Reader npz{.id = "npz", .title = "NumPy archive", .extensions = "*.npz", .sniff = sniff, .open = open};

} // namespace ql::readers
