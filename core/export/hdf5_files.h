// SPDX-License-Identifier: GPL-3.0-or-later
// Writing and reading back of the HDF5 export.
#pragma once

#include "core/export/export.h"

namespace ql::h5out {

Result<std::vector<WrittenFile>> writeFile(const ExportRequest& request, const std::filesystem::path& path,
                                           const JobContext& context);
Result<std::string> readPlan(const std::filesystem::path& path);
Result<VerifyReport> verifyFile(const ExportRequest& request, const std::filesystem::path& path,
                                const JobContext& context);

} // namespace ql::h5out
