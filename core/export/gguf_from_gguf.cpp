// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/checkpoint/stored_type.h"
#include "core/export/gguf_sources.h"

namespace ql::ggufout {

Result<Parts> partsOfGguf(const Model& model)
{
    const Checkpoint& checkpoint = *model.checkpoint;
    Executor executor(1); // headers only: nothing to share out
    const JobContext context(executor);
    QL_TRY(mapping, MappedFile::open(checkpoint.path()));
    QL_TRY(file, parseGguf(mapping, context));
    if (const auto count = file.integer("split.count"); count && *count > 1)
        return refused("is part of a model split into " + std::to_string(*count) +
                           " files; join them with llama-gguf-split --merge and open the result",
                       checkpoint.path().string());
    // A transform may have given the output head a tensor of its own, behind all others.
    if (file.tensors.size() > checkpoint.tensors().size() ||
        (file.tensors.size() < checkpoint.tensors().size() && variantOf(checkpoint).empty()))
        return ioError("changed since it was opened; open it again", checkpoint.path().string());

    Parts made;
    made.alignment = file.alignment;
    for (const GgufEntry& entry : file.entries) {
        const auto raw = file.raw(entry).subspan(8 + entry.key.size() + 4); // key and type are written by the layout
        made.keys.push_back(
            {entry.key, entry.type, std::string(reinterpret_cast<const char*>(raw.data()), raw.size())});
    }
    for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
        const TensorInfo& info = checkpoint.tensors()[i];
        if (i < file.tensors.size() && (file.tensors[i].name != info.name || file.tensors[i].dtype != info.dtype ||
                                        file.tensors[i].sizeBytes != info.sizeBytes))
            return ioError("changed since it was opened; open it again", checkpoint.path().string());
        TensorPart part;
        part.name = info.name;
        part.dims.assign(info.shape.rbegin(), info.shape.rend());
        part.stored = info.dtype;
        part.numel = info.numel();
        part.tensor = static_cast<std::int64_t>(i);
        made.tensors.push_back(std::move(part));
    }
    QL_CHECK(mapping->checkIntact());
    return made;
}

} // namespace ql::ggufout
