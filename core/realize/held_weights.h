// SPDX-License-Identifier: GPL-3.0-or-later
// Weight sources over others: decoded once and held, or with some layers from elsewhere.
#pragma once

#include "core/model/graph/run.h"

#include <mutex>
#include <set>

namespace ql {

/// Decoded to float32 the first time, up to a bound in bytes; what is beyond it is asked for again each time.
class HeldWeights final : public graph::WeightSource {
public:
    HeldWeights(std::shared_ptr<const graph::WeightSource> base, std::int64_t limitBytes)
        : m_base(std::move(base)), m_limitBytes(limitBytes)
    {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override;

private:
    std::shared_ptr<const graph::WeightSource> m_base;
    std::int64_t m_limitBytes;
    mutable std::mutex m_mutex; // of what follows
    mutable std::map<std::int64_t, TensorData> m_held;
    mutable std::int64_t m_heldBytes = 0;
};

/// Some layers of another source.
class OverlaidWeights final : public graph::WeightSource {
public:
    OverlaidWeights(std::shared_ptr<const graph::WeightSource> base, std::shared_ptr<const graph::WeightSource> other,
                    std::set<std::int64_t> layers)
        : m_base(std::move(base)), m_other(std::move(other)), m_layers(std::move(layers))
    {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        return (m_layers.contains(layer) ? m_other : m_base)->weights(layer, context);
    }

private:
    std::shared_ptr<const graph::WeightSource> m_base, m_other;
    std::set<std::int64_t> m_layers;
};

} // namespace ql
