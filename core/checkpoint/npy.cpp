// SPDX-License-Identifier: GPL-3.0-or-later
// One NumPy array: a checkpoint with one tensor named after the file.
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/checkpoint/fingerprint.h"
#include "core/checkpoint/loader_checkpoint.h"
#include "core/checkpoint/npy_header.h"
#include "core/checkpoint/reader.h"

namespace ql::readers {

namespace {

bool sniff(const std::filesystem::path&, std::span<const std::byte> head)
{
    return looksLikeNpy(head);
}

Result<std::shared_ptr<const Checkpoint>> open(const std::filesystem::path& path, const JobContext& context)
{
    QL_CHECK(context.checkStop());
    QL_TRY(file, MappedFile::open(path));
    QL_TRY(header, parseNpyHeader(file->bytes(), path.string()));
    if (!header.refusal.empty())
        return badInput(header.refusal, path.string());
    const std::int64_t available = file->sizeBytes() - header.dataOffset;
    if (available < header.sizeBytes)
        return badInput("is truncated: the shape " + formatShape(header.shape) + " needs " +
                            formatBytes(header.sizeBytes) + ", the file holds " + formatBytes(available) +
                            ". Get the file again",
                        path.string());
    Checkpoint::Contents parts;
    std::vector<LoaderCheckpoint::Loader> loaders;
    parts.reader = "numpy";
    parts.path = path;
    parts.files = {file};
    TensorInfo tensor;
    tensor.name = printable(path.stem().string());
    tensor.dtype = header.dtype;
    tensor.shape = header.shape;
    tensor.sizeBytes = header.sizeBytes;
    if (header.order.isNative())
        tensor.offset = header.dataOffset;
    parts.tensors.push_back(tensor);
    if (!header.note.empty())
        parts.warnings.push_back({path.string(), header.note});
    if (available > header.sizeBytes)
        parts.warnings.push_back({path.string(), "has " + formatBytes(available - header.sizeBytes) +
                                                     " behind its array, which are ignored"});
    Fingerprint fingerprint;
    fingerprint.addFile(file->bytes(), header.dataOffset);
    parts.fingerprint = fingerprint.hex();
    loaders.emplace_back([file, header](const JobContext& job) -> Result<TensorData> {
        const std::byte* data = file->bytes().data() + header.dataOffset;
        if (header.order.isNative())
            return TensorData{{header.dtype, header.shape, data}, file};
        QL_TRY(buffer, allocate(header.sizeBytes, job));
        QL_CHECK(toNativeOrder(data, header.shape, header.order, buffer->data(), job));
        return TensorData{{header.dtype, header.shape, buffer->data()}, buffer};
    });
    return std::shared_ptr<const Checkpoint>(std::make_shared<LoaderCheckpoint>(std::move(parts), std::move(loaders)));
}

} // namespace

extern const Reader npy;
const Reader npy{.id = "npy", .title = "NumPy array", .extensions = "*.npy", .sniff = sniff, .open = open};

} // namespace ql::readers
