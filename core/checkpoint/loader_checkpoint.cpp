// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/loader_checkpoint.h"

namespace ql {

LoaderCheckpoint::LoaderCheckpoint(Parts parts) : m_loaders(std::move(parts.loaders))
{
    m_reader = std::move(parts.reader);
    m_path = std::move(parts.path);
    m_tensors = std::move(parts.tensors);
    m_metadata = std::move(parts.metadata);
    m_configJson = std::move(parts.configJson);
    m_warnings = std::move(parts.warnings);
    m_fingerprint = std::move(parts.fingerprint);
}

Result<TensorData> LoaderCheckpoint::load(std::int64_t tensor, const JobContext& context) const
{
    QL_CHECK(context.checkStop());
    if (tensor < 0 || tensor >= std::ssize(m_tensors))
        return usageError("there is no tensor " + std::to_string(tensor), m_path.string());
    const auto index = static_cast<std::size_t>(tensor);
    Result<TensorData> data = m_loaders[index](context);
    if (data || data.error().code == Errc::cancelled)
        return data;
    Error error = data.error();
    error.where = m_path.string() + ": " + m_tensors[index].name;
    return error;
}

} // namespace ql
