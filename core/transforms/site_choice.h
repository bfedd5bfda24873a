// SPDX-License-Identifier: GPL-3.0-or-later
// Options that transforms share: numbers, and which sites are taken.
#pragma once

#include "core/formats/scheme.h"
#include "core/transforms/transform.h"

namespace ql {

/// The number of a key, or the fallback; an error of kind usage outside [least, most].
Result<double> numberOf(const TransformSpec& spec, std::string_view key, double fallback, double least, double most);

/// scheme=, or int4:g128:asym; an error of kind usage for keep and casts, which have no codes.
Result<Scheme> schemeOption(const TransformSpec& spec);

/// Outputs of norms, insides of MLPs and attention's values, or all of them.
enum class SiteChoice { norms, inner, all };
constexpr TransformOption kSitesOption{"sites", "norms, inner (MLPs and attention's values) or all"};
Result<SiteChoice> sitesOption(const TransformSpec& spec, SiteChoice fallback);

/// The sites of the choice that take factors. What is none is noted in the rewrite; refused where nothing is left.
Result<std::vector<FoldSite>> scalableSites(const TransformTask& task, SiteChoice choice, Rewrite& rewrite);

} // namespace ql
