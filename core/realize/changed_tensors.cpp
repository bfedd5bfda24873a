// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/changed_tensors.h"

namespace ql {

namespace {

/// Another checkpoint with some tensors of its own, and factors of rows.
class ChangedCheckpoint final : public Checkpoint {
public:
    ChangedCheckpoint(std::shared_ptr<const Checkpoint> base, ChangedTensors changed, RowFactors factors)
        : Checkpoint((*base).*&ChangedCheckpoint::m_contents),
          m_base(std::move(base)),
          m_changed(std::move(changed)),
          m_factors(std::move(factors))
    {
        if (const auto* const before = dynamic_cast<const ChangedCheckpoint*>(m_base.get()))
            m_factors.insert(before->m_factors.begin(), before->m_factors.end());
        for (const auto& [tensor, values] : m_changed)
            m_contents.tensors[tensor].offset = -1;
    }
    const RowFactors& factors() const { return m_factors; }

private:
    Result<TensorData> loadTensor(std::size_t index, const JobContext& context) const override
    {
        const auto changed = m_changed.find(index);
        if (changed == m_changed.end())
            return m_base->load(static_cast<std::int64_t>(index), context);
        return TensorData{{Dtype::f32, m_contents.tensors[index].shape, changed->second->data()}, changed->second};
    }

    std::shared_ptr<const Checkpoint> m_base;
    ChangedTensors m_changed;
    RowFactors m_factors;
};

} // namespace

std::shared_ptr<const Model> withChangedTensors(const Model& model, ChangedTensors changed, RowFactors factors)
{
    Model other = model;
    other.checkpoint = std::make_shared<ChangedCheckpoint>(model.checkpoint, std::move(changed), std::move(factors));
    return std::make_shared<const Model>(std::move(other));
}

std::span<const float> rowFactorsOf(const Model& model, std::int64_t layer)
{
    const auto* const changed = dynamic_cast<const ChangedCheckpoint*>(model.checkpoint.get());
    if (!changed)
        return {};
    const auto found = changed->factors().find(layer);
    return found != changed->factors().end() ? std::span(found->second) : std::span<const float>();
}

} // namespace ql
