// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/changed_tensors.h"

namespace ql {

namespace {

/// Another checkpoint with some tensors of its own.
class ChangedCheckpoint final : public Checkpoint {
public:
    ChangedCheckpoint(std::shared_ptr<const Checkpoint> base, ChangedTensors changed)
        : Checkpoint((*base).*&ChangedCheckpoint::m_contents), m_base(std::move(base)), m_changed(std::move(changed))
    {
        for (const auto& [tensor, values] : m_changed)
            m_contents.tensors[tensor].offset = -1;
    }

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
};

} // namespace

std::shared_ptr<const Model> withChangedTensors(const Model& model, ChangedTensors changed)
{
    Model other = model;
    other.checkpoint = std::make_shared<ChangedCheckpoint>(model.checkpoint, std::move(changed));
    return std::make_shared<const Model>(std::move(other));
}

} // namespace ql
