// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps what a target derives from the model alone, so that asking for file bytes while a bar is dragged costs only
// what the plan changes. Entries go with their checkpoint. Thread-safe.
#pragma once

#include "core/model/model.h"

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ql {

template<typename T>
class ModelCache {
public:
    /// The parts of the model, made by make(model) -> Result<T> the first time. Errors are not kept.
    template<typename Make>
    Result<std::shared_ptr<const T>> get(const Model& model, const Make& make)
    {
        const std::lock_guard lock(m_mutex);
        for (const auto& [checkpoint, parts] : m_entries)
            if (checkpoint.lock() == model.checkpoint)
                return parts;
        std::erase_if(m_entries, [](const auto& entry) { return entry.first.expired(); });
        QL_TRY(made, make(model));
        auto parts = std::make_shared<const T>(std::move(made));
        m_entries.emplace_back(model.checkpoint, parts);
        return std::shared_ptr<const T>(parts);
    }

private:
    std::mutex m_mutex;
    std::vector<std::pair<std::weak_ptr<const Checkpoint>, std::shared_ptr<const T>>> m_entries;
};

} // namespace ql
