// SPDX-License-Identifier: GPL-3.0-or-later
// Names of layers where there is little room.
#pragma once

#include "core/model/model.h"

#include <QString>

namespace ql::views {

/// "self_attn.q_proj": the name inside its block, without ".weight".
QString nameInBlock(const Layer& layer);
/// "3 · self_attn.q_proj": the same with the block's number.
QString nameWithBlock(const Layer& layer);

} // namespace ql::views
