// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/tensor/tensor_view.h"

#include <new>

namespace ql {

namespace {
constexpr std::align_val_t kAlignment{64};
}

std::string formatShape(const Shape& shape)
{
    std::string text = "[";
    for (const std::int64_t dimension : shape)
        text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
    return text + "]";
}

Buffer::Buffer(std::int64_t sizeBytes)
    : m_data(static_cast<std::byte*>(::operator new(static_cast<std::size_t>(sizeBytes), kAlignment))),
      m_size(sizeBytes)
{}

void Buffer::Free::operator()(std::byte* p) const
{
    ::operator delete(p, kAlignment);
}

} // namespace ql
