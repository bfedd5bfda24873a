// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/coverage_rows.h"

#include "app/cli/console.h"

#include <nlohmann/json.hpp>

namespace ql::cli {

nlohmann::ordered_json coverageRows(const std::vector<ExpertCoverage>& coverage)
{
    auto rows = nlohmann::ordered_json::array();
    for (const ExpertCoverage& block : coverage)
        for (std::size_t expert = 0; expert < block.experts.size(); ++expert)
            rows.push_back({{"block", block.block},
                            {"expert", expert},
                            {"tokens", block.experts[expert]},
                            {"share", numberOrNull(block.share(expert))}});
    return rows;
}

} // namespace ql::cli
