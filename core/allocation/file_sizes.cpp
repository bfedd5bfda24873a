// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/file_sizes.h"

namespace ql {

FileSizes::FileSizes(const Model& model, const TargetProfile& target, const Plan& reference,
                     std::int64_t referenceBytes)
    : m_model(model), m_target(target), m_plan(reference), m_referenceBytes(referenceBytes)
{}

std::string FileSizes::kindOf(const Item& item) const
{
    std::string kind;
    for (const std::int64_t index : item.layers) {
        kind += layerKind(m_model.layers[static_cast<std::size_t>(index)]) + " " +
                printCandidate(m_plan.candidates[static_cast<std::size_t>(index)]) + "\n";
    }
    return kind;
}

Result<std::int64_t> FileSizes::added(const Item& item, const Candidate& candidate)
{
    const std::string key = kindOf(item) + printCandidate(candidate);
    if (const auto known = m_known.find(key); known != m_known.end())
        return known->second;
    std::vector<Candidate> before;
    for (const std::int64_t index : item.layers) {
        Candidate& planned = m_plan.candidates[static_cast<std::size_t>(index)];
        before.push_back(planned);
        planned = m_target.complete(m_model, m_model.layers[static_cast<std::size_t>(index)], candidate);
    }
    const auto bytes = m_target.fileBytes(m_model, m_plan);
    for (std::size_t i = 0; i < before.size(); ++i)
        m_plan.candidates[static_cast<std::size_t>(item.layers[i])] = std::move(before[i]);
    if (!bytes)
        return bytes.error();
    return m_known.emplace(key, *bytes - m_referenceBytes).first->second;
}

} // namespace ql
