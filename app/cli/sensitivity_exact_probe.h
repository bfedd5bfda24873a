// SPDX-License-Identifier: GPL-3.0-or-later
// qloupe sensitivity --probe exact: layers, or groups of them, alone at a candidate.
#pragma once

#include "app/cli/sensitivity_probe.h"

namespace ql::cli {

/// `study` keeps results; null: none.
Result<Probed> runExactProbe(Console& console, const ProbeOptions& options, const OpenedVariant& opened,
                             const MeasureRequest& request, const graph::Graph& graph, const OpenedStudy* study);

} // namespace ql::cli
