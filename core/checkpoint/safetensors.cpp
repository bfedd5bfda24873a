// SPDX-License-Identifier: GPL-3.0-or-later
// One safetensors file.
#include "core/checkpoint/config_json.h"
#include "core/checkpoint/fingerprint.h"
#include "core/checkpoint/mapped_checkpoint.h"
#include "core/checkpoint/reader.h"
#include "core/checkpoint/safetensors_header.h"

namespace ql::readers {

namespace {

bool sniff(const std::filesystem::path&, std::span<const std::byte> head)
{
    return looksLikeSafetensors(head);
}

Result<std::shared_ptr<const Checkpoint>> open(const std::filesystem::path& path, const JobContext& context)
{
    QL_CHECK(context.checkStop());
    QL_TRY(file, MappedFile::open(path));
    QL_TRY(header, parseSafetensorsHeader(*file));
    Fingerprint fingerprint;
    fingerprint.addFile(file->bytes(), header.dataStart);

    Checkpoint::Contents parts;
    parts.reader = "safetensors";
    parts.path = path;
    parts.tensors = std::move(header.tensors);
    parts.files = {file};
    parts.metadata = std::move(header.metadata);
    parts.warnings = std::move(header.warnings);
    parts.configJson = readConfigJson(path.parent_path(), parts.warnings);
    parts.fingerprint = fingerprint.hex();
    return std::shared_ptr<const Checkpoint>(std::make_shared<MappedCheckpoint>(std::move(parts)));
}

} // namespace

extern const Reader safetensors;
const Reader safetensors{
    .id = "safetensors", .title = "safetensors file", .extensions = "*.safetensors", .sniff = sniff, .open = open};

} // namespace ql::readers
