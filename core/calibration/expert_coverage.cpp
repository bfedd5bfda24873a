// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/expert_coverage.h"

#include "core/model/frontends/layer_roles.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ql {

namespace {

/// "expert 3", "experts 3, 5".
std::string named(const std::vector<std::size_t>& experts)
{
    std::string text = experts.size() == 1 ? "expert" : "experts";
    for (const std::size_t expert : experts)
        text += (expert == experts.front() ? " " : ", ") + std::to_string(expert);
    return text;
}

} // namespace

double ExpertCoverage::share(std::size_t expert) const
{
    return static_cast<double>(experts[expert]) / (tokens > 0 ? static_cast<double>(tokens) : std::nan(""));
}

bool ExpertCoverage::isFew(std::size_t expert) const
{
    const std::int64_t all = std::accumulate(experts.begin(), experts.end(), std::int64_t{0});
    return experts[expert] * std::ssize(experts) * 10 < all;
}

std::optional<ExpertCoverage> expertCoverage(const Activations& activations, const Model& model, std::int64_t block)
{
    ExpertCoverage coverage{.block = block, .tokens = 0, .experts = {}};
    for (std::int64_t index = 0; index < std::ssize(model.layers); ++index) {
        const Layer& layer = model.layers[static_cast<std::size_t>(index)];
        if (layer.block != block || block < 0)
            continue;
        const std::vector<std::int64_t> seen = activations.seenTokens(index);
        if (seen.empty())
            continue;
        const std::int64_t expert = LayerPlace::of(layer).expert;
        if (expert != LayerPlace::kStack && expert < 0) {
            coverage.tokens = std::max(coverage.tokens, seen.front());
            continue;
        }
        const auto first = static_cast<std::size_t>(std::max<std::int64_t>(0, expert));
        coverage.experts.resize(std::max(coverage.experts.size(), first + seen.size()));
        for (std::size_t i = 0; i < seen.size(); ++i)
            coverage.experts[first + i] = std::max(coverage.experts[first + i], seen[i]);
    }
    return coverage.experts.empty() ? std::nullopt : std::optional(std::move(coverage));
}

std::vector<ExpertCoverage> expertCoverage(const Activations& activations, const Model& model)
{
    std::vector<ExpertCoverage> all;
    for (std::int64_t block = 0; block < model.blockCount; ++block)
        if (auto coverage = expertCoverage(activations, model, block))
            all.push_back(std::move(*coverage));
    return all;
}

std::vector<Warning> coverageWarnings(const std::vector<ExpertCoverage>& coverage)
{
    std::vector<Warning> warnings;
    for (const ExpertCoverage& block : coverage) {
        std::vector<std::size_t> unseen;
        std::vector<std::size_t> few;
        for (std::size_t expert = 0; expert < block.experts.size(); ++expert)
            if (block.isFew(expert))
                (block.experts[expert] == 0 ? unseen : few).push_back(expert);
        const std::string where = "block " + std::to_string(block.block);
        if (!unseen.empty())
            warnings.push_back({where, "no token went to " + named(unseen) +
                                           ", of which nothing is known and no metric has a value; calibrate on more "
                                           "text"});
        if (!few.empty())
            warnings.push_back({where, "few tokens went to " + named(few) +
                                           ": less than a tenth of an even share; calibrate on more text"});
    }
    return warnings;
}

} // namespace ql
