// SPDX-License-Identifier: GPL-3.0-or-later
// A reader recognises files by content and opens them as a checkpoint. One line in readers.def and one file add a
// reader.
#pragma once

#include "core/checkpoint/checkpoint.h"

#include <memory>

namespace ql {

struct Reader {
    std::string_view id;         // "gguf"
    std::string_view title;      // "GGUF (llama.cpp), versions 2 and 3"
    std::string_view extensions; // for file dialogs only: "*.gguf"
    /// Whether the content looks like this reader's: path and its first bytes (up to 4 KiB; empty for a folder).
    bool (*sniff)(const std::filesystem::path& path, std::span<const std::byte> head);
    Result<std::shared_ptr<const Checkpoint>> (*open)(const std::filesystem::path& path, const JobContext& context);
};

std::span<const Reader* const> allReaders();

/// Opens a file or folder with the first reader that recognises it; an error names what is known to be readable.
Result<std::shared_ptr<const Checkpoint>> openCheckpoint(const std::filesystem::path& path, const JobContext& context);

} // namespace ql
