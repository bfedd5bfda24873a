// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/tensor/ggml_blocks.h"

namespace ql {

void decodeGgmlBlocks(Dtype, const std::byte*, std::int64_t, float*) {}

} // namespace ql
