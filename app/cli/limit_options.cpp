// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/limit_options.h"

#include "app/cli/number_check.h"

#include <algorithm>

namespace ql::cli {

void LimitOptions::declare(CLI::App& app)
{
    for (const LimitInfo& info : limitKinds()) {
        if (info.kind == LimitKind::size || info.kind == LimitKind::bitsPerWeight)
            continue;
        const std::string name = "--" + std::string(info.word) + (info.kind == LimitKind::loss ? ",--max-kld" : "");
        const std::string help(info.help);
        auto* option = info.isRepeated ? app.add_option(name, repeated[info.kind], help)
                                       : app.add_option(name, single[info.kind], help);
        option->group("Limits");
    }
}

void LimitOptions::declareBudget(CLI::App& app)
{
    app.add_option("--bpw", single[LimitKind::bitsPerWeight], "budget in bits per weight of the plan's layers")
        ->check(above(0));
    app.add_option("--size", single[LimitKind::size], "budget for the target's files: 90MB, 1.5GiB");
}

std::vector<Limit> LimitOptions::limits() const
{
    std::vector<Limit> limits;
    for (const auto& [kind, text] : single)
        if (!text.empty())
            limits.push_back({kind, text});
    for (const auto& [kind, texts] : repeated)
        for (const std::string& text : texts)
            limits.push_back({kind, text});
    return limits;
}

bool LimitOptions::hasBudget() const
{
    return std::ranges::any_of(limits(), [](const Limit& limit) {
        return limit.kind == LimitKind::size || limit.kind == LimitKind::bitsPerWeight ||
               limit.kind == LimitKind::loss || limit.kind == LimitKind::memory ||
               limit.kind == LimitKind::operations || limit.kind == LimitKind::latency ||
               limit.kind == LimitKind::group;
    });
}

} // namespace ql::cli
