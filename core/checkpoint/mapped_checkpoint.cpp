// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/mapped_checkpoint.h"

#include "core/base/file.h"

#include <bit>

namespace ql {

// The formats read this way are little-endian, and views hold the machine's order.
static_assert(std::endian::native == std::endian::little);

Result<TensorData> MappedCheckpoint::loadTensor(std::size_t index, const JobContext&) const
{
    const TensorInfo& found = m_contents.tensors[index];
    const auto& file = m_contents.files[m_fileOfTensor.empty() ? 0 : static_cast<std::size_t>(m_fileOfTensor[index])];
    const auto size = static_cast<std::size_t>(found.sizeBytes);
    const std::byte* data = file->bytes().data() + found.offset;
    std::shared_ptr<const std::byte> owner(data, [file, size](const std::byte* p) { file->release({p, size}); });
    return TensorData{{found.dtype, found.shape, data}, std::move(owner)};
}

} // namespace ql
