// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/checkpoint.h"

#include <algorithm>
#include <numeric>

namespace ql {

std::int64_t Checkpoint::indexOf(std::string_view name) const
{
    const auto nameOf = [this](std::int64_t i) -> std::string_view {
        return m_tensors[static_cast<std::size_t>(i)].name;
    };
    std::call_once(m_sortOnce, [&] {
        m_byName.resize(m_tensors.size());
        std::iota(m_byName.begin(), m_byName.end(), std::int64_t{0});
        std::ranges::sort(m_byName, {}, nameOf);
    });
    const auto found = std::ranges::lower_bound(m_byName, name, {}, nameOf);
    return found != m_byName.end() && nameOf(*found) == name ? *found : -1;
}

std::int64_t Checkpoint::sizeBytes() const
{
    return std::accumulate(m_tensors.begin(), m_tensors.end(), std::int64_t{0},
                           [](std::int64_t sum, const TensorInfo& tensor) { return sum + tensor.sizeBytes; });
}

} // namespace ql
