// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/mapped_checkpoint.h"

#include <bit>

namespace ql {

// The formats read this way are little-endian, and views hold the machine's order.
static_assert(std::endian::native == std::endian::little);

MappedCheckpoint::MappedCheckpoint(Parts parts)
    : m_files(std::move(parts.files)), m_fileOfTensor(std::move(parts.fileOfTensor))
{
    m_reader = std::move(parts.reader);
    m_path = std::move(parts.path);
    m_tensors = std::move(parts.tensors);
    m_metadata = std::move(parts.metadata);
    m_configJson = std::move(parts.configJson);
    m_warnings = std::move(parts.warnings);
    m_fingerprint = std::move(parts.fingerprint);
}

Result<TensorData> MappedCheckpoint::load(std::int64_t tensor, const JobContext& context) const
{
    QL_CHECK(context.checkStop());
    if (tensor < 0 || tensor >= std::ssize(m_tensors))
        return usageError("there is no tensor " + std::to_string(tensor), m_path.string());
    const auto index = static_cast<std::size_t>(tensor);
    const TensorInfo& found = m_tensors[index];
    const auto& file = m_files[m_fileOfTensor.empty() ? 0 : static_cast<std::size_t>(m_fileOfTensor[index])];
    return TensorData{{found.dtype, found.shape, file->bytes().data() + found.offset}, file};
}

} // namespace ql
