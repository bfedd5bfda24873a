// SPDX-License-Identifier: GPL-3.0-or-later
// Memory of large arrays: aligned, on huge pages where the system offers those, and given back to it when it is freed
// but for the last 64 MiB: a model that runs asks for the same sizes again and again, and the system clears every page
// it gives. Any thread.
#pragma once

#include <cstddef>

namespace ql {

/// Not filled, aligned to 64 bytes; throws std::bad_alloc.
void* allocateLarge(std::size_t bytes);
/// `bytes` as they were asked for.
void freeLarge(void* memory, std::size_t bytes);

} // namespace ql
