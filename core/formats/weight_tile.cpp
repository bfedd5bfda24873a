// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/weight_tile.h"

#include <algorithm>
#include <cstring>

namespace ql {

const float* WeightTile::read(std::int64_t first, std::int64_t count)
{
    const DtypeInfo& row = info(m_view.dtype);
    if (m_view.dtype == Dtype::f32) {
        const std::byte* data = m_view.data + first * 4;
        if (reinterpret_cast<std::uintptr_t>(data) % alignof(float) == 0)
            return reinterpret_cast<const float*>(data);
        m_scratch.resize(std::max(m_scratch.size(), static_cast<std::size_t>(count)));
        std::memcpy(m_scratch.data(), data, static_cast<std::size_t>(count) * sizeof(float));
        return m_scratch.data();
    }
    const std::int64_t begin = first / row.blockElements * row.blockElements;
    const std::int64_t end = roundUp(first + count, row.blockElements);
    m_scratch.resize(std::max(m_scratch.size(), static_cast<std::size_t>(end - begin)));
    decode(m_view.dtype, m_view.data, begin, end - begin, m_scratch.data());
    return m_scratch.data() + (first - begin);
}

} // namespace ql
