// SPDX-License-Identifier: GPL-3.0-or-later
// Writing and reading back of GGUF files. The verifier decodes with the reader and core/tensor, not with what the
// writer packs with.
#pragma once

#include "core/export/export.h"

namespace ql::ggufout {

Result<std::vector<WrittenFile>> writeFile(const ExportRequest& request, const std::filesystem::path& path,
                                           const JobContext& context);
Result<std::string> readPlan(const std::filesystem::path& path);
Result<VerifyReport> verifyFile(const ExportRequest& request, const std::filesystem::path& path,
                                const JobContext& context);

} // namespace ql::ggufout
