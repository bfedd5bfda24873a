// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/checkpoint.h"

#include "core/base/file.h"

#include <algorithm>
#include <numeric>

namespace ql {

std::int64_t Checkpoint::indexOf(std::string_view name) const
{
    const auto nameOf = [this](std::int64_t i) -> std::string_view {
        return m_contents.tensors[static_cast<std::size_t>(i)].name;
    };
    std::call_once(m_sortOnce, [&] {
        m_byName.resize(m_contents.tensors.size());
        std::iota(m_byName.begin(), m_byName.end(), std::int64_t{0});
        std::ranges::sort(m_byName, {}, nameOf);
    });
    const auto found = std::ranges::lower_bound(m_byName, name, {}, nameOf);
    return found != m_byName.end() && nameOf(*found) == name ? *found : -1;
}

std::int64_t Checkpoint::sizeBytes() const
{
    return std::accumulate(m_contents.tensors.begin(), m_contents.tensors.end(), std::int64_t{0},
                           [](std::int64_t sum, const TensorInfo& tensor) { return sum + tensor.sizeBytes; });
}

Result<TensorData> Checkpoint::load(std::int64_t tensor, const JobContext& context) const
{
    QL_CHECK(context.checkStop());
    if (tensor < 0 || tensor >= std::ssize(m_contents.tensors))
        return usageError("there is no tensor " + std::to_string(tensor), path().string());
    const auto index = static_cast<std::size_t>(tensor);
    Result<TensorData> data = loadTensor(index, context);
    QL_CHECK(checkIntact()); // before an error that may come of it
    if (data || data.error().code == Errc::cancelled)
        return data;
    Error error = data.error();
    error.where = path().string() + ": " + m_contents.tensors[index].name;
    return error;
}

Result<void> Checkpoint::checkIntact() const
{
    for (const auto& file : m_contents.files)
        QL_CHECK(file->checkIntact());
    return {};
}

} // namespace ql
