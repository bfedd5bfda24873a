// SPDX-License-Identifier: GPL-3.0-or-later
// The gradient of a loss with respect to the weights of some layers, as one long vector: layer after layer as asked,
// each row-major [out, in·…]; and to ln f of a factor f on each row of W of some, which is Σ over tokens of
// ∂loss/∂y[r]·(y[r] − b[r]), y = W·x + b, so that no gradient of W is made. Summed in double.
#pragma once

#include "core/model/evaluation/loss_gradients.h"

namespace ql {

/// Where a layer stands in the vector.
struct GradientPlace {
    std::int64_t layer = 0;
    std::int64_t offset = 0;
    std::int64_t rows = 0, columns = 0; // columns = 1 of row factors
    bool isRowFactors = false;
};

/// A layer that linear nodes alone use, and how many rows it has.
struct LayerRows {
    std::int64_t layer = -1;
    std::int64_t rows = 0;
};

Result<std::vector<GradientPlace>> gradientPlaces(const graph::WeightSource& weights,
                                                  std::span<const std::int64_t> layers, const JobContext& context,
                                                  std::span<const LayerRows> rowFactors = {});

/// Of a layer; null where it has none.
const GradientPlace* placeOf(std::span<const GradientPlace> places, std::int64_t layer);
/// Numbers in the vector.
std::int64_t lengthOf(std::span<const GradientPlace> places);

template<typename T>
class LayerGradientSum final : public GradientSink<T> {
public:
    /// Refers to both.
    LayerGradientSum(const std::vector<GradientPlace>& places, const JobContext& context);
    bool wants(std::size_t segment, std::int64_t layer) const override;
    bool wantsOutput(std::int64_t layer) const override;
    Result<void> enter(std::size_t) override { return {}; }
    Result<void> add(std::int64_t layer, std::span<const WeightUse<T>> uses) override;
    Result<void> leave(std::size_t) override { return {}; }
    std::vector<double> take() { return std::move(m_sum); }

private:
    Result<void> addRowFactors(const GradientPlace& place, std::span<const WeightUse<T>> uses);

    const std::vector<GradientPlace>& m_places;
    const JobContext& m_context;
    std::vector<double> m_sum;
};

} // namespace ql
