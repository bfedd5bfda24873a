// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/site_choice.h"

#include "core/base/text.h"

namespace ql {

Result<double> numberOf(const TransformSpec& spec, std::string_view key, double fallback, double least, double most)
{
    const auto found = spec.values.find(std::string(key));
    if (found == spec.values.end())
        return fallback;
    const auto number = parseDouble(found->second);
    if (!number || !(*number >= least && *number <= most))
        return usageError(spec.id + ":" + std::string(key) + "=" + printable(found->second) + " is no number from " +
                          formatDouble(least) + " to " + formatDouble(most));
    return *number;
}

Result<Scheme> schemeOption(const TransformSpec& spec)
{
    const auto found = spec.values.find("scheme");
    QL_TRY(scheme, parseScheme(found == spec.values.end() ? "int4:g128:asym" : found->second));
    if (scheme.isKeep() || scheme.isCast())
        return usageError(spec.id + ":scheme=" + printable(found->second) + " has no codes; give one such as int4:g64");
    return scheme;
}

Result<SiteChoice> sitesOption(const TransformSpec& spec, SiteChoice fallback)
{
    const auto found = spec.values.find("sites");
    if (found == spec.values.end())
        return fallback;
    if (found->second == "norms")
        return SiteChoice::norms;
    if (found->second == "inner")
        return SiteChoice::inner;
    if (found->second == "all")
        return SiteChoice::all;
    return usageError(spec.id + ":sites=" + printable(found->second) + " is none of norms, inner, all");
}

Result<std::vector<FoldSite>> scalableSites(const TransformTask& task, SiteChoice choice, Rewrite& rewrite)
{
    FoldSites found = findFoldSites(task.model, task.graph);
    std::vector<FoldSite> sites;
    for (FoldSite& site : found.sites) {
        const bool isNorm = site.kind == FoldSite::Kind::norm;
        if (site.scales && (choice == SiteChoice::all || isNorm == (choice == SiteChoice::norms)))
            sites.push_back(std::move(site));
    }
    rewrite.notes = abridged(std::move(found.others));
    if (!sites.empty())
        return sites;
    return refused("has no place that takes factors" +
                       (rewrite.notes.empty() ? std::string()
                                              : "; " + rewrite.notes.front().where + " " + rewrite.notes.front().what),
                   task.model.checkpoint->path().string());
}

} // namespace ql
