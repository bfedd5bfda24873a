// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/export.h"

#include <algorithm>

namespace ql {

namespace targets {
#define TARGET(id) extern const Target id;
#include "core/export/targets.def"
#undef TARGET
} // namespace targets

std::span<const Target* const> allTargets()
{
    static constexpr const Target* kAll[] = {
#define TARGET(id) &targets::id,
#include "core/export/targets.def"
#undef TARGET
    };
    return kAll;
}

Result<const Target*> findTarget(std::string_view id)
{
    const auto all = allTargets();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Target* target) { return target->profile.id == id; });
    if (found != all.end())
        return *found;
    std::string known;
    for (const Target* target : all)
        known += (known.empty() ? "" : ", ") + std::string(target->profile.id);
    return usageError("there is no target '" + std::string(id) + "'; there are: " + known);
}

} // namespace ql
