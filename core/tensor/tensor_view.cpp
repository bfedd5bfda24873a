// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/tensor/tensor_view.h"

#include "core/tensor/large_memory.h"

namespace ql {

std::string formatShape(const Shape& shape)
{
    std::string text = "[";
    for (const std::int64_t dimension : shape)
        text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
    return text + "]";
}

Buffer::Buffer(std::int64_t sizeBytes)
    : m_data(static_cast<std::byte*>(allocateLarge(static_cast<std::size_t>(sizeBytes))),
             Free{static_cast<std::size_t>(sizeBytes)})
{}

void Buffer::Free::operator()(std::byte* p) const
{
    freeLarge(p, bytes);
}

} // namespace ql
