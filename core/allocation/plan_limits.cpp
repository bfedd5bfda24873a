// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/plan_limits.h"

#include "core/allocation/side_sums.h"
#include "core/base/text.h"
#include "core/formats/keys_values.h"
#include "core/plan/tied_table.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ql {

namespace {

constexpr auto kKinds = std::to_array<LimitInfo>({
    {LimitKind::size, "size", "size of the files", "bytes of the target's files", "90MB"},
    {LimitKind::bitsPerWeight, "bpw", "bits per weight", "bits per weight of the plan's layers", "4.5"},
    {LimitKind::loss, "max-loss", "predicted loss",
     "largest predicted loss in the metric's unit (fisher: KLD in nats per token); the size is the least that keeps it",
     "0.05"},
    {LimitKind::memory, "vram", "memory of the device",
     "memory of the running model: weights, keys and values of the context, a buffer for activations", "6GB"},
    {LimitKind::secondMemory, "ram", "memory beside it",
     "memory beside it, for the embedding and the first blocks; a block is in one of both", "4GB"},
    {LimitKind::context, "kv-context", "context in memory", "tokens of keys and values in memory; otherwise 4096",
     "4096"},
    {LimitKind::keysValues, "kv", "keys and values in memory",
     "scheme of keys and values in memory: q8_0, int8; otherwise f16", "q8_0"},
    {LimitKind::operations, "bops", "operations",
     "operations for a token, or for a picture whose size the model says: sum of multiply-adds × bits of weights × "
     "bits of inputs (16 where not rounded)",
     "1e12"},
    {LimitKind::latency, "max-latency", "latency in ms", "largest sum of the milliseconds in the table of latencies",
     "40"},
    {LimitKind::latencyTable, "latency", "table of latencies",
     "table of measured milliseconds, CSV: layer (name, glob or role),candidate,ms", "latency.csv"},
    {LimitKind::group, "group", "bits of a group",
     "GLOB=BPW: bits per weight of some layers (glob or role), at most; GLOB=BPW:TOLERANCE: that many, give or take; "
     "may be repeated",
     "*mlp*=4.5:0.02", true},
    {LimitKind::tie, "tie", "one candidate for", "GLOB (or role): these layers get one candidate; may be repeated",
     "o_proj", true},
    {LimitKind::allow, "allow", "candidates allowed",
     "ROLE=A,B (or GLOB=A,B): these layers take these candidates only; may be repeated", "q_proj=int4:g64,int8:g64",
     true},
});

std::string place(const Limit& limit)
{
    return std::string(limitInfo(limit.kind).word) + " " + limit.text;
}

Error notUnderstood(const Limit& limit, const std::string& what)
{
    return usageError("takes " + what + ", as in " + std::string(limitInfo(limit.kind).example), place(limit));
}

Result<double> positive(const Limit& limit)
{
    const auto number = parseDouble(trim(limit.text));
    if (!number || !(*number > 0) || !std::isfinite(*number))
        return notUnderstood(limit, "a number above 0");
    return *number;
}

Result<std::int64_t> bytesOf(const Limit& limit)
{
    const auto bytes = parseBytes(trim(limit.text));
    if (!bytes || *bytes <= 0)
        return notUnderstood(limit, "a size");
    return *bytes;
}

Result<std::int64_t> tokensOf(const Limit& limit)
{
    constexpr std::int64_t kMost = std::int64_t{1} << 40; // bytes of keys and values stay countable
    const auto tokens = parseInt(trim(limit.text));
    if (!tokens || *tokens <= 0 || *tokens > kMost)
        return notUnderstood(limit, "a number of tokens");
    return *tokens;
}

/// The quantizable layers of a role, or whose names match the glob.
Result<std::vector<std::int64_t>> layersNamed(const Model& model, std::string_view words, const Limit& limit)
{
    std::vector<std::int64_t> found;
    for (const std::int64_t layer : model.quantizableLayers()) {
        const Layer& its = model.layers[static_cast<std::size_t>(layer)];
        if (its.role == words || globMatch(words, its.name))
            found.push_back(layer);
    }
    if (found.empty())
        return usageError("no layer that a plan decides has this role or a name that matches", place(limit));
    return found;
}

struct Assignment {
    std::string_view left, right;
};
Result<Assignment> splitAtEquals(const Limit& limit)
{
    const std::string_view text = trim(limit.text);
    const auto equals = text.find('='); // candidates have some of their own
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size())
        return notUnderstood(limit, limit.kind == LimitKind::group ? "LAYERS=BITS or LAYERS=BITS:TOLERANCE"
                                                                   : "LAYERS=CANDIDATE,CANDIDATE");
    return Assignment{trim(text.substr(0, equals)), trim(text.substr(equals + 1))};
}

Result<GroupBudget> groupBudget(const Model& model, const Limit& limit)
{
    QL_TRY(words, splitAtEquals(limit));
    const auto colon = words.right.find(':');
    const auto bits = parseDouble(words.right.substr(0, colon));
    const auto tolerance =
        colon == std::string_view::npos ? std::optional<double>() : parseDouble(words.right.substr(colon + 1));
    if (!bits || !(*bits > 0) || (colon != std::string_view::npos && (!tolerance || !(*tolerance >= 0))))
        return notUnderstood(limit, "LAYERS=BITS or LAYERS=BITS:TOLERANCE");
    QL_TRY(layers, layersNamed(model, words.left, limit));
    return GroupBudget{
        .name = std::string(words.left), .layers = std::move(layers), .bitsPerWeight = *bits, .tolerance = tolerance};
}

struct Allowed {
    std::vector<std::int64_t> layers;
    std::vector<Candidate> candidates;
};
Result<Allowed> allowedOf(const Model& model, const Limit& limit)
{
    QL_TRY(words, splitAtEquals(limit));
    QL_TRY(layers, layersNamed(model, words.left, limit));
    QL_TRY(candidates, parseCandidates(words.right));
    return Allowed{std::move(layers), std::move(candidates)};
}

/// Of those stated the last.
const Limit* lastOf(std::span<const Limit> limits, LimitKind kind)
{
    const Limit* last = nullptr;
    for (const Limit& limit : limits)
        if (limit.kind == kind)
            last = &limit;
    return last;
}

LimitUse atMost(std::string unit, double used, double most)
{
    LimitUse use;
    use.unit = std::move(unit);
    use.used = used;
    use.atMost = most;
    return use;
}

/// Of a limit of size, bits per weight or loss.
Result<LimitUse> useOfMeasures(const Limit& limit, const PlanMeasures& measures)
{
    if (limit.kind == LimitKind::size) {
        if (!measures.fileBytes)
            return usageError("the size of the files is that of a target, and there is none, or it refuses the plan");
        QL_TRY(bytes, bytesOf(limit));
        return atMost("bytes", static_cast<double>(*measures.fileBytes), static_cast<double>(bytes));
    }
    QL_TRY(most, positive(limit));
    return limit.kind == LimitKind::loss ? atMost(measures.lossUnit, measures.loss, most)
                                         : atMost("bits per weight", measures.bitsPerWeight, most);
}

/// With what is wrong in the place of numbers.
LimitUse told(Result<LimitUse> use)
{
    if (use)
        return std::move(*use);
    LimitUse problem;
    problem.problem = describe(use.error());
    return problem;
}

Result<std::optional<MemoryLimits>> memoryOf(std::span<const Limit> limits)
{
    const Limit* first = lastOf(limits, LimitKind::memory);
    const Limit* second = lastOf(limits, LimitKind::secondMemory);
    if (!first && second)
        return usageError("goes with the memory of the device beside which it is; state that, too", place(*second));
    if (!first)
        return std::optional<MemoryLimits>();
    MemoryLimits memory;
    QL_TRY(firstBytes, bytesOf(*first));
    memory.firstBytes = firstBytes;
    if (second) {
        QL_TRY(secondBytes, bytesOf(*second));
        memory.secondBytes = secondBytes;
    }
    if (const Limit* context = lastOf(limits, LimitKind::context)) {
        QL_TRY(tokens, tokensOf(*context));
        memory.context = tokens;
    }
    if (const Limit* keysValues = lastOf(limits, LimitKind::keysValues)) {
        QL_TRY(scheme, parseKeysValues(keysValues->text));
        memory.keysValues = std::move(scheme);
    }
    return std::optional(std::move(memory));
}

class Uses {
public:
    Uses(const Model& model, const Plan& plan, const TargetProfile* target, std::span<const Limit> limits,
         const PlanMeasures& measures, LatencyFile& latencies, PlaceCount& places, const JobContext& context)
        : m_model(model),
          m_plan(plan),
          m_target(target),
          m_limits(limits),
          m_measures(measures),
          m_latencies(latencies),
          m_places(places),
          m_context(context),
          m_decided(model, m_nothing, target, plan)
    {}

    Result<LimitUse> of(const Limit& limit) const
    {
        QL_CHECK(m_context.checkStop());
        QL_CHECK(checkLimit(m_model, limit));
        switch (limit.kind) {
        case LimitKind::size:
        case LimitKind::bitsPerWeight:
        case LimitKind::loss:
            return useOfMeasures(limit, m_measures);
        case LimitKind::memory:
            return memory(false);
        case LimitKind::secondMemory:
            return memory(true);
        case LimitKind::context:
            return keysAndValues();
        case LimitKind::operations: {
            QL_TRY(most, positive(limit));
            PlanConstraints constraints;
            constraints.operations = 0;
            QL_CHECK(m_places.fill(m_model, constraints, m_context));
            return sumWithin("operations", constraints, most);
        }
        case LimitKind::latency: {
            QL_TRY(most, positive(limit));
            const Limit* file = lastOf(m_limits, LimitKind::latencyTable);
            if (!file)
                return usageError("needs a table of latencies; state one");
            QL_TRY(table, m_latencies.read(file->text));
            PlanConstraints constraints;
            constraints.latency = *table;
            return sumWithin("ms", constraints, most);
        }
        case LimitKind::group: {
            QL_TRY(group, groupBudget(m_model, limit));
            const double tolerance = group.tolerance.value_or(0);
            LimitUse use = atMost("bits per weight", bitsPerWeight(m_model, m_plan, group.layers),
                                  group.bitsPerWeight + tolerance);
            if (group.tolerance)
                use.atLeast = group.bitsPerWeight - tolerance;
            return use;
        }
        case LimitKind::tie: {
            QL_TRY(layers, layersNamed(m_model, trim(limit.text), limit));
            std::vector<const Candidate*> different;
            for (const std::int64_t layer : layers)
                if (std::ranges::none_of(different, [&](const Candidate* one) { return *one == decided(layer); }))
                    different.push_back(&decided(layer));
            return atMost("candidates", static_cast<double>(different.size()), 1);
        }
        case LimitKind::allow: {
            QL_TRY(allowed, allowedOf(m_model, limit));
            const auto others = std::ranges::count_if(allowed.layers, [&](std::int64_t layer) {
                return std::ranges::none_of(allowed.candidates, [&](const Candidate& candidate) {
                    return candidate == decided(layer) || completed(layer, candidate) == decided(layer);
                });
            });
            return atMost("layers", static_cast<double>(others), 0);
        }
        case LimitKind::keysValues:
        case LimitKind::latencyTable:
            break;
        }
        return LimitUse{};
    }

private:
    const Candidate& decided(std::int64_t layer) const { return m_plan.candidates[static_cast<std::size_t>(layer)]; }
    Candidate completed(std::int64_t layer, const Candidate& candidate) const
    {
        return m_target ? m_target->complete(m_model, m_model.layers[static_cast<std::size_t>(layer)], candidate)
                        : candidate;
    }

    /// Of the one sum in the constraints: what is fixed of it is what the plan takes.
    Result<LimitUse> sumWithin(std::string unit, const PlanConstraints& constraints, double most) const
    {
        QL_TRY(sides, sideConstraints(m_decided, constraints));
        return atMost(std::move(unit), allocation::fixedSum(sides.front()), most);
    }

    Result<LimitUse> memory(bool ofSecond) const
    {
        QL_TRY(limits, memoryOf(m_limits));
        const auto most = static_cast<double>(ofSecond ? *limits->secondBytes : limits->firstBytes);
        double mostLeft = -std::numeric_limits<double>::infinity();
        double left = 0; // of this device, where the one that has least has most
        for (std::int64_t split = 0; mostLeft < 0 && split <= (limits->secondBytes ? m_model.blockCount : 0); ++split) {
            QL_CHECK(m_context.checkStop());
            QL_TRY(sides, memoryConstraints(m_decided, *limits, split));
            const auto leftOf = [](const SideConstraint& side) { return side.atMost - allocation::fixedSum(side); };
            const double least = leftOf(std::ranges::min(sides, {}, leftOf));
            if (least <= mostLeft)
                continue;
            mostLeft = least;
            left = leftOf(sides[ofSecond ? 1 : 0]);
        }
        return atMost("bytes", most - left, most);
    }

    Result<LimitUse> keysAndValues() const
    {
        QL_TRY(limits, memoryOf(m_limits));
        LimitUse use;
        if (!limits)
            return use;
        QL_TRY(bytes, keyValueBytes(m_model, *limits));
        use.unit = "bytes";
        use.used = static_cast<double>(bytes) * static_cast<double>(m_model.blockCount);
        return use;
    }

    const Model& m_model;
    const Plan& m_plan;
    const TargetProfile* m_target;
    std::span<const Limit> m_limits;
    const PlanMeasures& m_measures;
    LatencyFile& m_latencies;
    PlaceCount& m_places;
    const JobContext& m_context;
    CostTable m_nothing;   // no item is free …
    PlanProblem m_decided; // … so that all is fixed
};

} // namespace

std::span<const LimitInfo> limitKinds()
{
    return kKinds;
}

const LimitInfo& limitInfo(LimitKind kind)
{
    return kKinds[static_cast<std::size_t>(kind)];
}

std::string printLimits(std::span<const Limit> limits)
{
    std::string text;
    for (const Limit& limit : limits)
        text += place(limit) + "\n";
    return text;
}

std::vector<Limit> parseLimits(std::string_view text)
{
    std::vector<Limit> limits;
    for (const std::string_view line : split(text, '\n')) {
        const auto space = line.find(' ');
        const auto kind = std::ranges::find(kKinds, line.substr(0, space), &LimitInfo::word);
        if (space != std::string_view::npos && kind != kKinds.end() && !trim(line.substr(space)).empty())
            limits.push_back({kind->kind, std::string(trim(line.substr(space)))});
    }
    return limits;
}

Result<void> checkLimit(const Model& model, const Limit& limit)
{
    if (limit.text.find('\n') != std::string::npos)
        return usageError("is one line", std::string(limitInfo(limit.kind).word));
    switch (limit.kind) {
    case LimitKind::size:
    case LimitKind::memory:
    case LimitKind::secondMemory:
        QL_CHECK(bytesOf(limit));
        break;
    case LimitKind::bitsPerWeight:
    case LimitKind::loss:
    case LimitKind::operations:
    case LimitKind::latency:
        QL_CHECK(positive(limit));
        break;
    case LimitKind::context:
        QL_CHECK(tokensOf(limit));
        break;
    case LimitKind::keysValues:
        QL_CHECK(parseKeysValues(limit.text));
        break;
    case LimitKind::latencyTable:
        if (trim(limit.text).empty())
            return notUnderstood(limit, "the path of a file");
        break;
    case LimitKind::group:
        QL_CHECK(groupBudget(model, limit));
        break;
    case LimitKind::tie:
        QL_CHECK(layersNamed(model, trim(limit.text), limit));
        break;
    case LimitKind::allow:
        QL_CHECK(allowedOf(model, limit));
        break;
    }
    return {};
}

Result<PlanConstraints> constraintsOf(const Model& model, std::span<const Limit> limits)
{
    PlanConstraints constraints;
    for (const Limit& limit : limits) {
        QL_CHECK(checkLimit(model, limit));
        if (limit.kind == LimitKind::loss) {
            QL_TRY(loss, positive(limit));
            constraints.loss = loss;
        } else if (limit.kind == LimitKind::operations) {
            QL_TRY(operations, positive(limit));
            constraints.operations = operations;
        } else if (limit.kind == LimitKind::group) {
            QL_TRY(budget, groupBudget(model, limit));
            constraints.groups.push_back(std::move(budget));
        }
    }
    const Limit* file = lastOf(limits, LimitKind::latencyTable);
    const Limit* most = lastOf(limits, LimitKind::latency);
    if (!file != !most)
        return usageError(file ? "goes with the largest latency; state one, too"
                               : "needs a table of latencies; state one",
                          place(file ? *file : *most));
    if (file) {
        QL_TRY(milliseconds, positive(*most));
        QL_TRY(table, readLatencyTable(file->text));
        constraints.latency = std::move(table);
        constraints.milliseconds = milliseconds;
    }
    QL_TRY(memory, memoryOf(limits));
    constraints.memory = std::move(memory);
    return constraints;
}

Result<CostTable> limitedTable(const Model& model, std::span<const Limit> limits, CostTable table,
                               const TargetProfile* target)
{
    std::vector<Tie> ties;
    for (const Limit& limit : limits) {
        if (limit.kind == LimitKind::tie) {
            QL_TRY(layers, layersNamed(model, trim(limit.text), limit));
            ties.push_back({.layers = std::move(layers), .reason = place(limit)});
        }
        if (limit.kind != LimitKind::allow)
            continue;
        QL_TRY(allowed, allowedOf(model, limit));
        for (Candidate& candidate : allowed.candidates)
            if (target && std::ranges::find(table.candidates, candidate) == table.candidates.end())
                candidate =
                    target->complete(model, model.layers[static_cast<std::size_t>(allowed.layers.front())], candidate);
        QL_CHECK(allowOnly(table, allowed.layers, allowed.candidates));
    }
    return ties.empty() ? std::move(table) : tieItems(model, table, ties);
}

Result<CostTable> applyLimits(const Model& model, std::span<const Limit> limits, const CostTable& table,
                              BalanceRequest& request, PlaceCount& places, const JobContext& context)
{
    if (const Limit* size = lastOf(limits, LimitKind::size)) {
        QL_TRY(bytes, bytesOf(*size));
        request.fileBytes = bytes;
    }
    if (const Limit* bits = lastOf(limits, LimitKind::bitsPerWeight)) {
        QL_TRY(number, positive(*bits));
        request.bitsPerWeight = number;
    }
    QL_TRY(constraints, constraintsOf(model, limits));
    QL_CHECK(places.fill(model, constraints, context));
    request.constraints = std::move(constraints);
    return limitedTable(model, limits, table, request.target);
}

Result<void> pinLayers(const Model& model, std::string_view pin, Plan& plan)
{
    const auto equals = pin.find('='); // the candidate may have some, too
    if (equals == std::string_view::npos)
        return usageError("a pin is NAME=CANDIDATE", std::string(pin));
    QL_TRY(candidate, parseCandidate(pin.substr(equals + 1)));
    QL_TRY(layers, model.match(pin.substr(0, equals)));
    for (const std::int64_t layer : layers) {
        const auto index = static_cast<std::size_t>(layer);
        if (!model.layers[index].quantizable)
            return usageError("is not quantized by any plan, so it cannot be pinned", model.layers[index].name);
        plan.candidates[index] = candidate;
        plan.locked[index] = true;
    }
    return {};
}

double LimitUse::excess() const
{
    constexpr double kRounding = 1e-9;
    if (used > atMost + kRounding * std::fabs(atMost))
        return used - atMost;
    if (used < atLeast - kRounding * std::fabs(atLeast))
        return atLeast - used;
    return 0;
}

std::optional<LimitUse> measuredUse(const Limit& limit, const PlanMeasures& measures)
{
    const bool isMeasured =
        limit.kind == LimitKind::size || limit.kind == LimitKind::bitsPerWeight || limit.kind == LimitKind::loss;
    return isMeasured ? std::optional(told(useOfMeasures(limit, measures))) : std::nullopt;
}

Result<std::shared_ptr<const LatencyTable>> LatencyFile::read(const std::filesystem::path& path)
{
    std::error_code error;
    const auto written = std::filesystem::last_write_time(path, error);
    const std::uintmax_t bytes = error ? 0 : std::filesystem::file_size(path, error);
    if (m_table && !error && path == m_path && written == m_written && bytes == m_bytes)
        return m_table;
    m_table.reset();
    QL_TRY(table, readLatencyTable(path));
    m_path = path;
    m_written = written;
    m_bytes = bytes;
    m_table = std::make_shared<const LatencyTable>(std::move(table));
    return m_table;
}

Result<std::vector<LimitUse>> limitUses(const Model& model, const Plan& plan, const TargetProfile* target,
                                        std::span<const Limit> limits, const PlanMeasures& measures,
                                        LatencyFile& latencies, PlaceCount& places, const JobContext& context)
{
    const Uses uses(model, plan, target, limits, measures, latencies, places, context);
    std::vector<LimitUse> found;
    for (const Limit& limit : limits) {
        auto use = uses.of(limit);
        if (!use && use.error().code == Errc::cancelled)
            return use.error();
        found.push_back(told(std::move(use)));
    }
    return found;
}

} // namespace ql
