// SPDX-License-Identifier: GPL-3.0-or-later
// What a job hands over while it runs: put in by its thread, taken out by the GUI thread when JobRunner::changed() says
// that jobs moved. Shared by both, so that neither has to outlive the other.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

namespace ql::views {

template<typename T>
class JobMailbox {
public:
    void put(T item)
    {
        const std::scoped_lock lock(m_mutex);
        m_items.push_back(std::move(item));
    }
    std::vector<T> takeAll()
    {
        const std::scoped_lock lock(m_mutex);
        return std::exchange(m_items, {});
    }

private:
    std::mutex m_mutex;
    std::vector<T> m_items;
};

} // namespace ql::views
