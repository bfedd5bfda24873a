// SPDX-License-Identifier: GPL-3.0-or-later
// Walks a file with libhdf5. Runs in the program quantloupe-hdf5-index only: a damaged file may crash it or never let
// it end.
#pragma once

#include "core/base/hdf5_index.h"

#include <filesystem>

namespace ql::hdf5 {

/// Everything but the data. Links to other files are told, not followed; no filter runs.
Result<Index> scan(const std::filesystem::path& path);

} // namespace ql::hdf5
