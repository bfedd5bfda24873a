// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

namespace ql::views {

/// Memory the program has in use, mapped files that are in memory included; 0 where the system does not say.
std::int64_t residentBytes();

} // namespace ql::views
