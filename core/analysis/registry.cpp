// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/analysis.h"

namespace ql {

namespace analyses {
#define ANALYSIS(id) extern const Analysis id;
#include "core/analysis/analyses.def"
#undef ANALYSIS
} // namespace analyses

std::span<const Analysis* const> allAnalyses()
{
    static constexpr const Analysis* kAll[] = {
#define ANALYSIS(id) &analyses::id,
#include "core/analysis/analyses.def"
#undef ANALYSIS
    };
    return kAll;
}

} // namespace ql
