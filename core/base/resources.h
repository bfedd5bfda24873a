// SPDX-License-Identifier: GPL-3.0-or-later
// Files that come with the program, found relative to the running executable so that a build tree, an installation and
// a copied prefix all work.
#pragma once

#include "core/base/result.h"

#include <filesystem>
#include <string_view>

namespace ql {

/// The sample's folder: <bin>/../../../resources/sample in a build tree, <bin>/../share/quantloupe/sample when
/// installed. An error names both places.
Result<std::filesystem::path> findSample();

/// A program of QuantLoupe: <bin>/<name>, or <bin>/../bin/<name> for tests. An error names both places.
Result<std::filesystem::path> findProgram(std::string_view name);

} // namespace ql
