// SPDX-License-Identifier: GPL-3.0-or-later
// GGUF files of llama.cpp.
#include "core/checkpoint/fingerprint.h"
#include "core/checkpoint/gguf_file.h"
#include "core/checkpoint/mapped_checkpoint.h"
#include "core/checkpoint/reader.h"

namespace ql::readers {

namespace {

bool sniff(const std::filesystem::path&, std::span<const std::byte> head)
{
    return looksLikeGguf(head);
}

Result<std::shared_ptr<const Checkpoint>> open(const std::filesystem::path& path, const JobContext& context)
{
    QL_TRY(file, MappedFile::open(path));
    QL_TRY(gguf, parseGguf(file, context));
    Fingerprint fingerprint;
    fingerprint.addFile(file->bytes(), gguf.dataStart);

    Checkpoint::Contents parts;
    parts.reader = "gguf";
    parts.path = path;
    parts.files = {file};
    parts.fingerprint = fingerprint.hex();
    for (const GgufEntry& entry : gguf.entries)
        parts.metadata.emplace_back(entry.key, gguf.describe(entry));
    if (const auto count = gguf.integer("split.count"); count && *count > 1)
        gguf.warnings.push_back({path.string(), "is part " + std::to_string(gguf.integer("split.no").value_or(0) + 1) +
                                                    " of " + std::to_string(*count) +
                                                    " of a split model, and only this part is opened; join them with "
                                                    "llama-gguf-split --merge"});
    for (GgufTensor& tensor : gguf.tensors) {
        TensorInfo info;
        info.name = std::move(tensor.name);
        info.dtype = tensor.dtype;
        info.shape.assign(tensor.dims.rbegin(), tensor.dims.rend());
        info.sizeBytes = tensor.sizeBytes;
        info.offset = tensor.offset;
        parts.tensors.push_back(std::move(info));
    }
    parts.warnings = std::move(gguf.warnings);
    return std::shared_ptr<const Checkpoint>(std::make_shared<MappedCheckpoint>(std::move(parts)));
}

} // namespace

extern const Reader gguf;
const Reader gguf{.id = "gguf",
                  .title = "GGUF file (llama.cpp), versions 2 and 3",
                  .extensions = "*.gguf",
                  .sniff = sniff,
                  .open = open};

} // namespace ql::readers
