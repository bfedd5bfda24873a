// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/scale_search.h"

#include "core/base/sum.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/unit_quantizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace ql {

namespace {

/// Copies weights with what is not finite replaced by 0: those have no say in errors.
const float* finiteOnly(const float* weights, std::int64_t n, std::vector<float>& scratch)
{
    scratch.assign(weights, weights + n);
    for (float& w : scratch)
        w = std::isfinite(w) ? w : 0.0F;
    return scratch.data();
}

/// The squared error of the extremes where they lie beyond the codes' ends: no less than this is made.
double clipError(const ElementCoder& coder, const Affine& affine, const RunRange& range)
{
    const auto end = [&](float level) {
        return static_cast<double>(level) * static_cast<double>(affine.scale) + static_cast<double>(affine.minimum);
    };
    const bool isInteger = coder.kind == FormatKind::integer;
    const double a = end(isInteger ? static_cast<float>(coder.low - affine.zero) * coder.step : coder.minLevel);
    const double b = end(isInteger ? static_cast<float>(coder.high - affine.zero) * coder.step : coder.maxLevel);
    const double below = std::min(a, b) - static_cast<double>(range.min);
    const double above = static_cast<double>(range.max) - std::max(a, b);
    const double beyond = std::max({below, above, 0.0});
    // What is restored is rounded to float; with a margin this stays a lower bound.
    return beyond * beyond * (1 - 1e-5);
}

} // namespace

void ScaleSearch::collect(const RunRange& range, const float* weights, std::int64_t n)
{
    constexpr std::int64_t kBatch = 8;
    std::array<RunParameters, kBatch> batch;
    std::array<Affine, kBatch> affines;
    std::array<float, kBatch> rough;
    const RoughBounds bounds(m_coder, n, n, range.absMax);
    double reached = std::numeric_limits<double>::infinity(); // the best has no larger error
    m_entries.clear();
    const auto take = [&](std::size_t count) {
        roughErrorsOfRun(m_coder, std::span(affines).first(count), weights, n, rough.data());
        for (std::size_t i = 0; i < count; ++i) {
            const ErrorBounds found = bounds.of(affines[i], static_cast<double>(rough[i]));
            reached = std::min(reached, found.most);
            if (found.least <= reached)
                m_entries.push_back({batch[i], found.least});
        }
    };
    const RunParameters own = m_rule.choose(range);
    batch[0] = own;
    affines[0] = m_rule.affine(own);
    take(1);
    std::int64_t clipped = 0; // in a row
    const auto allClipped = [&] { return clipped > 0 && clipped == m_candidates.shrinking; };
    for (std::int64_t first = 0; first < m_candidates.count && !allClipped(); first += kBatch) {
        const auto generated =
            std::span(batch).first(static_cast<std::size_t>(std::min(kBatch, m_candidates.count - first)));
        m_candidates.fill(range, m_rule, own, first, generated);
        std::size_t kept = 0;
        for (const RunParameters& parameters : generated) {
            const Affine affine = m_rule.affine(parameters);
            if (clipError(m_coder, affine, range) > reached) {
                ++clipped;
                if (allClipped())
                    break;
                continue;
            }
            clipped = 0;
            affines[kept] = affine;
            batch[kept++] = parameters; // never ahead of what is read
        }
        take(kept);
    }
}

RunParameters ScaleSearch::best(const RunRange& range, const float* weights, std::int64_t n)
{
    if (range.absMax == 0)
        return m_rule.choose(range);
    const float* finite = range.allFinite ? weights : finiteOnly(weights, n, m_finite);
    collect(range, finite, n);
    if (m_entries.size() == 1)
        return m_entries.front().parameters;
    const auto error = [&](const Entry& entry) {
        return squaredErrorOfRun(m_coder, m_rule.affine(entry.parameters), finite, n);
    };
    // The most promising first, so that its error rules out most others.
    auto best = std::ranges::min_element(m_entries, {}, &Entry::leastError);
    double least = error(*best);
    for (auto entry = m_entries.begin(); entry != m_entries.end(); ++entry) {
        if (entry == best || entry->leastError > least)
            continue;
        const double tried = error(*entry);
        if (tried < least || (tried == least && entry < best)) {
            least = tried;
            best = entry;
        }
    }
    return best->parameters;
}

Result<RunParameters> ScaleSearch::bestOfLong(const RunRange& range, const TensorView& tensor, std::int64_t first,
                                              std::int64_t n, const JobContext& context)
{
    const RunParameters own = m_rule.choose(range);
    if (range.absMax == 0)
        return own;
    std::vector<RunParameters> tried(static_cast<std::size_t>(m_candidates.count) + 1, own);
    m_candidates.fill(range, m_rule, own, 0, std::span(tried).subspan(1));
    std::vector<Affine> affines;
    for (const RunParameters& parameters : tried)
        affines.push_back(m_rule.affine(parameters));

    // Sums over chunks of what `measure` gives for each candidate.
    const auto sums = [&](std::size_t count, const auto& measure) {
        return deterministicReduce(
            context, n, kRunChunk, std::vector<CompensatedSum>(count),
            [&](std::int64_t begin, std::int64_t end) {
                WeightTile tile(tensor);
                std::vector<float> scratch;
                const float* given = tile.read(first + begin, end - begin);
                std::vector<CompensatedSum> part(count);
                measure(range.allFinite ? given : finiteOnly(given, end - begin, scratch), end - begin, part);
                return part;
            },
            [](std::vector<CompensatedSum>& into, const std::vector<CompensatedSum>& next) {
                for (std::size_t i = 0; i < next.size(); ++i)
                    into[i].merge(next[i]);
            });
    };
    QL_TRY(rough, sums(tried.size(), [&](const float* weights, std::int64_t count, std::vector<CompensatedSum>& part) {
               std::vector<float> errors(affines.size());
               roughErrorsOfRun(m_coder, affines, weights, count, errors.data());
               for (std::size_t i = 0; i < errors.size(); ++i)
                   part[i].add(static_cast<double>(errors[i]));
           }));
    const RoughBounds boundsOf(m_coder, n, kRunChunk, range.absMax);
    std::vector<ErrorBounds> bounds;
    for (std::size_t i = 0; i < tried.size(); ++i)
        bounds.push_back(boundsOf.of(affines[i], rough[i].value()));
    const double reached = std::ranges::min_element(bounds, {}, &ErrorBounds::most)->most;

    RunParameters best = own;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < tried.size(); ++i) {
        if (bounds[i].least > std::min(least, reached))
            continue;
        QL_TRY(exact, sums(1, [&](const float* weights, std::int64_t count, std::vector<CompensatedSum>& part) {
                   part[0].add(squaredErrorOfRun(m_coder, affines[i], weights, count));
               }));
        if (exact[0].value() < least) {
            least = exact[0].value();
            best = tried[i];
        }
    }
    return best;
}

} // namespace ql
