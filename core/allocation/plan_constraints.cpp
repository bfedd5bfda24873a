// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/plan_constraints.h"

#include "core/base/file.h"
#include "core/base/sum.h"
#include "core/base/text.h"
#include "core/model/evaluation/output_places.h"
#include "core/model/frontends/frontend.h"
#include "core/model/layer_choice.h"

#include <algorithm>
#include <limits>

namespace ql {

namespace {

constexpr double kInputBits = 16; // of inputs that are not rounded
constexpr std::int64_t kBatch = 512;

double codeBits(const Layer& layer, const Scheme& scheme)
{
    return scheme.isKeep() ? info(layer.dtype).bitsPerElement() : scheme.element->bits;
}

/// Sums a quantity of layers over items and options; what is not free is fixed.
template<typename Quantity>
Result<SideConstraint> sumOver(const PlanProblem& problem, std::string name, double atMost, double atLeast,
                               const Quantity& quantity)
{
    SideConstraint side{.name = std::move(name), .amounts = {}, .atMost = atMost, .atLeast = atLeast, .fixed = {}};
    std::vector<bool> isFree(problem.model().layers.size(), false);
    for (std::size_t i = 0; i < problem.free().size(); ++i) {
        const std::vector<std::int64_t>& layers = problem.table().items[problem.free()[i].item].layers;
        for (const std::int64_t layer : layers)
            isFree[static_cast<std::size_t>(layer)] = true;
        for (std::size_t o = 0; o < problem.free()[i].columns.size(); ++o) {
            double sum = 0;
            for (const std::int64_t layer : layers) {
                QL_TRY(amount, quantity(static_cast<std::size_t>(layer), problem.candidateOf(layer, i, o)));
                sum += amount;
            }
            side.amounts.push_back(sum);
        }
    }
    CompensatedSum fixed;
    for (std::size_t layer = 0; layer < isFree.size(); ++layer)
        if (!isFree[layer] && problem.model().layers[layer].quantizable) {
            QL_TRY(amount, quantity(layer, problem.start().candidates[layer]));
            fixed.add(amount);
        }
    side.fixed.push_back({.by = std::string(kNotFree), .amount = fixed.value()});
    return side;
}

std::string operationsName(const Model& model, bool isPicture)
{
    const bool hasConvolutions = std::ranges::any_of(
        model.layers, [](const Layer& layer) { return layer.quantizable && layer.op == Operator::convolution; });
    return std::string("operations (MACs × bits × bits) for ") +
           (isPicture         ? "a picture"
            : hasConvolutions ? "one place of each convolution's output, as the size of the pictures is not known"
                              : "a token");
}

Result<double> configured(const Model& model, std::string_view key)
{
    const auto number = model.configNumber(key);
    if (!number)
        return usageError("the memory cannot be told: the model's configuration says no " + std::string(key) +
                          "; leave the limit of memory out");
    return *number;
}

} // namespace

Result<double> LatencyTable::of(const Layer& layer, const Candidate& candidate) const
{
    for (const Line& line : lines)
        if (line.candidate == candidate && isMeant(layer, line.layer))
            return line.milliseconds;
    return usageError("has no line for " + printCandidate(candidate) + " in " + layer.name + " (role " + layer.role +
                          "); add one, or leave that candidate out",
                      path);
}

Result<LatencyTable> readLatencyTable(const std::filesystem::path& path)
{
    QL_TRY(text, readTextFile(path, std::int64_t{64} << 20));
    LatencyTable table{.path = path.string(), .lines = {}};
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        ++number;
        line = line.substr(0, line.find('#'));
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
            line.pop_back();
        if (line.empty())
            continue;
        const std::size_t first = line.find(',');
        const std::size_t last = line.rfind(',');
        const std::string where = path.string() + ", line " + std::to_string(number);
        if (first == last)
            return badInput("is not layer,candidate,milliseconds", where);
        const auto milliseconds = parseDouble(std::string_view(line).substr(last + 1));
        if (!milliseconds && table.lines.empty() && number == 1)
            continue; // a heading
        if (!milliseconds || !(*milliseconds >= 0))
            return badInput("has no number of milliseconds at its end", where);
        QL_TRY(candidate, parseCandidate(std::string_view(line).substr(first + 1, last - first - 1)));
        table.lines.push_back({line.substr(0, first), std::move(candidate), *milliseconds});
    }
    if (table.lines.empty())
        return badInput("holds no line layer,candidate,milliseconds", path.string());
    return table;
}

double operationsOf(const Model& model, const Layer& layer, const Candidate& candidate)
{
    if (layer.op == Operator::embedding && !model.tiedEmbedding)
        return 0; // looked up
    const double inputs = candidate.activations ? candidate.activations->scheme.element->bits : kInputBits;
    return static_cast<double>(layer.numel()) * codeBits(layer, candidate.weights) * inputs;
}

Result<void> countPlaces(const Model& model, PlanConstraints& constraints, const JobContext& context)
{
    if (!constraints.operations)
        return {};
    const auto graph = buildGraph(model);
    const auto picture = graph ? pictureShapeOf(model, *graph) : std::nullopt;
    if (!picture)
        return {};
    QL_TRY(places, outputPlaces(model, *graph, *picture, context));
    constraints.places = std::move(places);
    return {};
}

Result<void> PlaceCount::fill(const Model& model, PlanConstraints& constraints, const JobContext& context)
{
    if (!constraints.operations)
        return {};
    {
        const std::scoped_lock lock(m_mutex);
        if (m_places) {
            constraints.places = *m_places;
            return {};
        }
    }
    QL_CHECK(countPlaces(model, constraints, context)); // outside of the lock: whoever waits could not be stopped
    const std::scoped_lock lock(m_mutex);
    m_places = constraints.places;
    return {};
}

Result<std::int64_t> keyValueBytes(const Model& model, const MemoryLimits& limits)
{
    QL_TRY(heads, configured(model, "num_key_value_heads"));
    QL_TRY(dim, configured(model, "head_dim"));
    const auto width = static_cast<std::int64_t>(heads * dim);
    const std::int64_t bits =
        limits.keysValues ? payloadBits(limits.keysValues->scheme, limits.context, width) : 16 * limits.context * width;
    return 2 * ((bits + 7) / 8);
}

Result<std::int64_t> activationBytes(const Model& model)
{
    QL_TRY(hidden, configured(model, "hidden_size"));
    QL_TRY(intermediate, configured(model, "intermediate_size"));
    QL_TRY(vocabulary, configured(model, "vocab_size"));
    return static_cast<std::int64_t>(4 * (static_cast<double>(kBatch) * (4 * hidden + 3 * intermediate) + vocabulary));
}

Result<std::vector<SideConstraint>> sideConstraints(const PlanProblem& problem, const PlanConstraints& constraints)
{
    const Model& model = problem.model();
    constexpr double kUnbounded = std::numeric_limits<double>::infinity();
    std::vector<SideConstraint> sides;
    for (const GroupBudget& group : constraints.groups) {
        const auto weights = static_cast<double>(weightsOf(model, group.layers));
        std::vector<bool> isInGroup(model.layers.size(), false);
        for (const std::int64_t layer : group.layers)
            isInGroup[static_cast<std::size_t>(layer)] = true;
        QL_TRY(side,
               sumOver(problem, "bits of " + group.name, (group.bitsPerWeight + group.tolerance.value_or(0)) * weights,
                       group.tolerance ? (group.bitsPerWeight - *group.tolerance) * weights : -kUnbounded,
                       [&](std::size_t layer, const Candidate& candidate) -> Result<double> {
                           return isInGroup[layer]
                                      ? static_cast<double>(layerPayloadBits(model.layers[layer], candidate))
                                      : 0.0;
                       }));
        sides.push_back(std::move(side));
    }
    if (constraints.operations) {
        const std::vector<double>& places = constraints.places;
        QL_TRY(side, sumOver(problem, operationsName(model, !places.empty()), *constraints.operations, -kUnbounded,
                             [&](std::size_t layer, const Candidate& candidate) -> Result<double> {
                                 const double its = operationsOf(model, model.layers[layer], candidate);
                                 return places.empty() ? its : places[layer] * its;
                             }));
        sides.push_back(std::move(side));
    }
    if (constraints.latency) {
        QL_TRY(side, sumOver(problem, "latency in ms", constraints.milliseconds, -kUnbounded,
                             [&](std::size_t layer, const Candidate& candidate) -> Result<double> {
                                 // What a plan leaves as it is stored runs all the same, but nobody measures it.
                                 auto measured = constraints.latency->of(model.layers[layer], candidate);
                                 return measured || !candidate.weights.isKeep() ? measured : Result<double>(0.0);
                             }));
        sides.push_back(std::move(side));
    }
    return sides;
}

Result<std::vector<SideConstraint>> memoryConstraints(const PlanProblem& problem, const MemoryLimits& limits,
                                                      std::int64_t split)
{
    const Model& model = problem.model();
    QL_TRY(ofKeysValues, keyValueBytes(model, limits));
    QL_TRY(ofActivations, activationBytes(model));
    const bool hasTwo = limits.secondBytes.has_value();
    const auto isOnSecond = [&](const Layer& layer) {
        return hasTwo && (layer.op == Operator::embedding ? split > 0 : layer.block >= 0 && layer.block < split);
    };
    std::vector<SideConstraint> sides;
    for (const bool second : {false, true}) {
        if (second && !hasTwo)
            break;
        const std::int64_t blocks = second ? split : model.blockCount - (hasTwo ? split : 0);
        const bool computes = second ? split > 0 : !hasTwo || split < model.blockCount;
        double others = 0;
        for (const Layer& layer : model.layers)
            if (!layer.quantizable && isOnSecond(layer) == second)
                others += static_cast<double>(layer.numel()) * info(layer.dtype).bitsPerElement() / 8;
        QL_TRY(side, sumOver(problem, second ? "bytes of memory (--ram)" : "bytes of memory (--vram)",
                             static_cast<double>(second ? *limits.secondBytes : limits.firstBytes),
                             -std::numeric_limits<double>::infinity(),
                             [&](std::size_t layer, const Candidate& candidate) -> Result<double> {
                                 return isOnSecond(model.layers[layer]) == second
                                            ? static_cast<double>(layerPayloadBits(model.layers[layer], candidate)) / 8
                                            : 0.0;
                             }));
        side.fixed.push_back({.by = "keys and values of the context (--kv-context, --kv)",
                              .amount = static_cast<double>(blocks * ofKeysValues)});
        side.fixed.push_back(
            {.by = "the buffer for activations", .amount = computes ? static_cast<double>(ofActivations) : 0});
        side.fixed.push_back({.by = "weights that no plan quantizes", .amount = others});
        sides.push_back(std::move(side));
    }
    return sides;
}

} // namespace ql
