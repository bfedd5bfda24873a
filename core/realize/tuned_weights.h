// SPDX-License-Identifier: GPL-3.0-or-later
// A weight source over another, of which some vectors, and factors of the rows of some layers, change from run to run.
#pragma once

#include "core/model/graph/run.h"

namespace ql {

/// Not to be changed while it is read. Refers to the base.
class TunedWeights final : public graph::WeightSource {
public:
    explicit TunedWeights(const graph::WeightSource& base) : m_base(base) {}
    /// Float32 of what was set, one layer multiplied each time it is asked for.
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override;

    void setVector(std::int64_t layer, const Shape& shape, std::span<const double> values);
    /// One for each row.
    void setFactors(std::int64_t layer, std::vector<double> factors) { m_factors[layer] = std::move(factors); }

private:
    const graph::WeightSource& m_base;
    std::map<std::int64_t, TensorData> m_vectors;
    std::map<std::int64_t, std::vector<double>> m_factors;
};

} // namespace ql
