// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/checkpoint/reader.h"

#include <algorithm>

namespace ql {

namespace readers {
#define READER(id) extern const Reader id;
#include "core/checkpoint/readers.def"
#undef READER
} // namespace readers

std::span<const Reader* const> allReaders()
{
    static constexpr const Reader* kAll[] = {
#define READER(id) &readers::id,
#include "core/checkpoint/readers.def"
#undef READER
    };
    return kAll;
}

namespace {

constexpr std::size_t kHeadBytes = 4096;

bool startsWith(std::span<const std::byte> head, std::string_view text)
{
    return head.size() >= text.size() &&
           std::ranges::equal(head.first(text.size()), std::as_bytes(std::span(text.data(), text.size())));
}

/// Why nothing recognises the file, with the mend for the kinds that are met most.
Error unknownKind(const std::filesystem::path& path, std::span<const std::byte> head)
{
    const std::string where = path.string();
    if (startsWith(head, "version https://git-lfs"))
        return badInput("is a Git LFS pointer, not the file itself; fetch it with: git lfs pull", where);
    if (startsWith(head, "<!DOCTYPE") || startsWith(head, "<html"))
        return badInput("is a web page, not a model; download the file itself", where);
    if (startsWith(head, "\x80\x02") || startsWith(head, "\x80\x04"))
        return badInput("is a Python pickle, which can run code when read; convert it to safetensors first", where);
    if (startsWith(head, "{"))
        return badInput("is JSON text, not weights; open the folder it lies in", where);
    std::string known;
    for (const Reader* reader : allReaders())
        known += (known.empty() ? "" : ", ") + std::string(reader->title);
    return badInput("its content is none of the known kinds: " + known, where);
}

} // namespace

Result<std::shared_ptr<const Checkpoint>> openCheckpoint(const std::filesystem::path& path, const JobContext& context)
{
    QL_CHECK(context.checkStop());
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::status(path, error);
    if (error)
        return systemError("cannot open", path.string(), error.value());

    // The mapping is kept while sniffing; each reader maps anew what it needs.
    std::shared_ptr<const MappedFile> file;
    std::span<const std::byte> head;
    if (!std::filesystem::is_directory(status)) {
        QL_TRY(mapped, MappedFile::open(path));
        if (mapped->sizeBytes() == 0)
            return badInput("is empty; get the file again", path.string());
        file = mapped;
        head = file->bytes().first(std::min(file->bytes().size(), kHeadBytes));
    }
    for (const Reader* reader : allReaders())
        if (reader->sniff(path, head)) {
            QL_TRY(checkpoint, reader->open(path, context));
            QL_CHECK(checkpoint->checkIntact());
            return checkpoint;
        }
    return unknownKind(path, head);
}

} // namespace ql
