// SPDX-License-Identifier: GPL-3.0-or-later
// Losses of realized codes: qloupe sensitivity --probe.
#pragma once

#include "app/cli/text_options.h"
#include "app/cli/variant_options.h"
#include "core/plan/layer_losses.h"

#include <nlohmann/json.hpp>

namespace ql::cli {

struct ProbeOptions {
    std::string kind; // empty: none
    TextOptions text;
    bool scoreAll = false;
    std::uint64_t seed = 1;
    std::int64_t batch = 32;
    std::string study;
    std::vector<std::string> losses; // that say what is most worth measuring
    std::int64_t limit = 0;
    std::string by = "kld";
    std::vector<std::string> groups; // of layers that change together; none: one by one
    std::string coupling;            // empty, "pairs" or "groups": beside each layer alone
    std::string runtime;             // whose rounding of activations counts, too; empty: none

    /// Whether there are losses of layers, in nats per token, for a table.
    bool makesTable() const { return kind != "exact" || (by != "sqnr" && areLayersAlone()); }
    /// Whether each layer is a cell of its own.
    bool areLayersAlone() const { return groups.empty() || !coupling.empty(); }

    void declare(CLI::App& app);
    bool isGiven() const { return !kind.empty(); }
};

/// The cells as losses, and what there is to show of them.
struct Probed {
    LayerLosses losses;
    nlohmann::ordered_json document;
};

/// Of the request's layers, candidates, target and activations.
Result<Probed> runProbe(Console& console, const std::string& file, const ProbeOptions& options,
                        const OpenedVariant& opened, const MeasureRequest& request);

} // namespace ql::cli
