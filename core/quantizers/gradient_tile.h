// SPDX-License-Identifier: GPL-3.0-or-later
// What learning codes by gradients shares: tiles of rows of Δ = W − Ŵ, the gradient of their objective
//   J_r = Δ_r·H·Δ_rᵀ,   H = XᵀX + λI,   ∂J_r/∂Ŵ_r = −2·Δ_r·H,
// and Adam. Columns follow each other, `rows` floats each, as in the sweep of feedback_sweep.h. Weights that are not
// finite count as 0 and are coded by themselves at the end. Tiles know nothing of each other: equal bits for any thread
// count on one CPU.
#pragma once

#include "core/quantizers/feedback_sweep.h"
#include "core/quantizers/tile_grid.h"

#include <cmath>
#include <functional>
#include <optional>
#include <span>

namespace ql {

/// A range of rows and their H ÷ unit as float [cols, cols], unit the mean of the diagonal of XᵀX.
struct LayerUnderH {
    const QuantizeTask& task;
    const ElementCoder coder;
    Buffer h;
    double unit;
    double damping; // λ ÷ unit
    QuantizedTensor& out;
};

/// For gram = XᵀX [cols, cols], not all 0, and λ = damping·unit.
Result<LayerUnderH> makeLayerUnderH(const QuantizeTask& task, std::span<const double> gram, double damping,
                                    QuantizedTensor& out, const JobContext& context);

class GradientTile {
public:
    /// Rows [first, first + count) of the layer.
    GradientTile(const LayerUnderH& layer, std::int64_t first, std::int64_t count);

    std::int64_t rows() const { return m_rows; }
    std::int64_t cols() const { return m_cols; }
    std::int64_t count() const { return m_count; }
    TileGrid& grid() { return m_grid; }
    /// [cols, rows]; those that pad the tile are 0.
    const std::vector<float>& weights() const { return m_weights; }
    /// Δ, for the learner to fill; at first W less what the codes in the tensor restore to.
    std::vector<float>& deltas() { return m_deltas; }
    /// H·Δ and the objectives J_r of the deltas, [rows], in double, both ÷ unit.
    Result<void> update(const JobContext& context);
    const std::vector<float>& slopes() const { return m_slopes; }
    const std::vector<double>& objectives() const { return m_objectives; }
    /// H_jj ÷ unit.
    float curvature(std::int64_t column) const;
    /// Σ_r Δ_r·(H − λI)·Δ_rᵀ of the deltas that update() saw last.
    double objective() const;
    /// Puts codes[cols, rows] into the tensor.
    void store(std::vector<std::uint8_t>& codes);
    /// Makes the deltas those of what the tensor holds.
    void measure();

private:
    struct Odd {
        std::int64_t row, column;
        float weight;
    };
    const LayerUnderH& m_layer;
    TileGrid m_grid;
    const std::int64_t m_first, m_count, m_rows, m_cols;
    std::vector<float> m_weights, m_deltas, m_slopes;
    std::vector<double> m_objectives;
    std::vector<Odd> m_odd;
};

/// Learns one tile, says after each of the iterations that it is done, stores, and returns the objective.
using TileLearner =
    std::function<Result<double>(GradientTile&, const std::function<void()>& iterationDone, const JobContext&)>;

/// Runs `learn` on the tiles of rows [firstRow, lastRow) of layer.out, which holds rtn's codes. `start`, of the same
/// scheme, replaces them first; the one scale of a whole tensor is the same in both.
Result<SweepResult> learnTiles(const LayerUnderH& layer, std::int64_t iterations, const QuantizedTensor* start,
                               std::int64_t firstRow, std::int64_t lastRow, const TileLearner& learn,
                               const JobContext& context);

/// start=rtn|mse|imatrix|gptq: the quantizer whose scales (and codes, where it says so) a learner starts from.
QuantizerOption startOption(std::string_view meaning, std::string_view fallback);
/// Null for rtn, which quantizeUnderHessian has made, and where one scale of a whole tensor, which stays, would move.
Result<std::optional<QuantizedTensor>> startOf(const QuantizeTask& task, std::string_view quantizer,
                                               const JobContext& context);

/// Adam (Kingma and Ba, ICLR 2015) with β₁ = 0.9, β₂ = 0.999: by how much parameters fall at a rate of 1.
class Adam {
public:
    explicit Adam(std::size_t count) : m_mean(count), m_square(count) {}
    void nextStep();
    float step(std::size_t at, float gradient)
    {
        m_mean[at] = 0.9F * m_mean[at] + 0.1F * gradient;
        m_square[at] = 0.999F * m_square[at] + 0.001F * gradient * gradient;
        const float size = std::sqrt(m_square[at] * m_squareFactor);
        return size > 0 ? m_mean[at] * m_meanFactor / size : 0;
    }

private:
    std::vector<float> m_mean, m_square;
    double m_meanPower = 1, m_squarePower = 1;
    float m_meanFactor = 1, m_squareFactor = 1;
};

} // namespace ql
