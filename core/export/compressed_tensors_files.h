// SPDX-License-Identifier: GPL-3.0-or-later
// Writing and reading back of the compressed-tensors folder; the two share no code but the layout's names.
#pragma once

#include "core/export/export.h"

namespace ql::ct {

Result<std::vector<WrittenFile>> writeFolder(const ExportRequest& request, const std::filesystem::path& path,
                                             const JobContext& context);
Result<std::string> readPlan(const std::filesystem::path& path);
Result<VerifyReport> verifyFolder(const ExportRequest& request, const std::filesystem::path& path,
                                  const JobContext& context);

} // namespace ql::ct
