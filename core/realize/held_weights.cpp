// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/held_weights.h"

#include "core/model/graph/stored_weights.h"

namespace ql {

Result<TensorData> HeldWeights::weights(std::int64_t layer, const JobContext& context) const
{
    {
        const std::lock_guard lock(m_mutex);
        if (const auto held = m_held.find(layer); held != m_held.end())
            return held->second;
    }
    QL_TRY(data, m_base->weights(layer, context));
    if (data.view.dtype != Dtype::f32) {
        QL_TRY(array, graph::decoded<float>(data, context));
        const auto owner = std::make_shared<const graph::Array<float>>(std::move(array));
        data = {{Dtype::f32, owner->shape(), reinterpret_cast<const std::byte*>(owner->data())}, owner};
    }
    const std::int64_t bytes = 4 * data.view.numel();
    const std::lock_guard lock(m_mutex);
    if (m_heldBytes + bytes <= m_limitBytes && m_held.emplace(layer, data).second)
        m_heldBytes += bytes;
    return data;
}

} // namespace ql
