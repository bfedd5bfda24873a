// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers that a run of its own finds out about a layer and leaves in a sink: how its block changes hidden states
// (depth_figures.h), what the loss's Hessian says of it (core/sensitivity/layer_curvature.h).
#pragma once

#include "core/jobs/result_sink.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace ql {

struct LayerFigures {
    std::string source; // names text and settings
    std::map<std::string, double, std::less<>> values;

    std::vector<std::byte> encode() const;
    /// Nothing if the bytes are not what encode() wrote.
    static std::optional<LayerFigures> decode(std::span<const std::byte> bytes);
};

/// Runs that leave figures; each has its own under a key for each layer. Of one that several have the last counts.
enum class FigureKind { depth, traces, curvature };
constexpr FigureKind kFigureKinds[] = {FigureKind::depth, FigureKind::traces, FigureKind::curvature};
std::string figuresKey(FigureKind kind, const std::string& layerName);

/// What calibrated activations are, too, where a study holds figures.
class KnowsFigures {
public:
    virtual ~KnowsFigures() = default;
    /// Nothing where the layer has no figure of that name.
    virtual std::optional<double> figure(std::string_view name, std::int64_t layer) const = 0;
    /// Whether some layer has one.
    virtual bool knowsFigure(std::string_view name) const = 0;
};

class Activations;
/// Of activations that may know some, or null.
std::optional<double> figureOf(const Activations* activations, std::string_view name, std::int64_t layer);
bool knowsFigure(const Activations* activations, std::string_view name);

} // namespace ql
