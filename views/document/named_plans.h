// SPDX-License-Identifier: GPL-3.0-or-later
// Named plans: branches of the work on one variant of a model. One of them is current: it is the plan that is shown and
// edited, and has no text here; the others are texts as they were left. A study keeps them as JSON.
#pragma once

#include <QString>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ql::views {

struct NamedPlan {
    QString name;
    std::string json; // as printPlan() writes it; empty: the current one
    friend bool operator==(const NamedPlan&, const NamedPlan&) = default;
};

struct NamedPlans {
    std::vector<NamedPlan> plans; // never empty
    std::size_t current = 0;
    friend bool operator==(const NamedPlans&, const NamedPlans&) = default;
};

/// One plan, "Plan 1".
NamedPlans firstPlan();
/// The wanted name, or with the next number where there is a plan of that name: "Plan 1" becomes "Plan 2".
QString freeName(const NamedPlans& plans, const QString& wanted);

std::string printNamedPlans(const NamedPlans& plans);
/// Nothing where the text is not whole.
std::optional<NamedPlans> parseNamedPlans(std::string_view json);

} // namespace ql::views
