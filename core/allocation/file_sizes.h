// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes of a target's files that depend on one item's candidate, found by asking the target for the files of the
// reference plan with and without the change. Layers of one kind are asked for once.
// Exact up to what one change does to padding and to the length of texts in the header.
#pragma once

#include "core/plan/cost_table.h"

#include <map>

namespace ql {

class FileSizes {
public:
    /// The plan is admitted and has referenceBytes.
    FileSizes(const Model& model, const TargetProfile& target, const Plan& reference, std::int64_t referenceBytes);

    /// Bytes of the item under the candidate, less a constant that is the same for all candidates of the item.
    Result<std::int64_t> added(const Item& item, const Candidate& candidate);

private:
    std::string kindOf(const Item& item) const;

    const Model& m_model;
    const TargetProfile& m_target;
    Plan m_plan;
    std::int64_t m_referenceBytes;
    std::map<std::string, std::int64_t> m_known;
};

} // namespace ql
