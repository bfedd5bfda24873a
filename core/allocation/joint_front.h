// SPDX-License-Identifier: GPL-3.0-or-later
// The front of size against loss where losses are no sum over items: the front over blocks of coupled items
// (joint_search.h), whose points are told and bounded with all terms. Points are proven where no pair is left out
// between blocks; otherwise each is improved by single changes within its budget, and its bound takes the least of such
// pairs. Equal bits for any number of threads.
#pragma once

#include "core/allocation/joint_search.h"
#include "core/allocation/pareto.h"

namespace ql {

struct JointFront {
    Front front;             // losses and bounds with all terms but the fixed one; no hull, no next steps
    std::size_t leftOut = 0; // pairs between blocks, of which the bounds know the least only
};

/// As paretoFront(). With several ways blocks have fewer choices, so that memory stays that of one problem.
Result<JointFront> jointFront(const AllocationProblem& problem, const JointTerms& terms, const FrontSettings& settings,
                              const JobContext& context, std::span<const Way> ways = {},
                              std::size_t mostChoices = kMostBlockChoices);

} // namespace ql
