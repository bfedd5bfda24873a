// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/plan_limits.h"

#include "core/allocation/side_sums.h"
#include "core/base/text.h"
#include "core/formats/keys_values.h"
#include "core/model/layer_choice.h"
#include "core/plan/tied_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <variant>

namespace ql {

namespace {

constexpr auto kKinds = std::to_array<LimitInfo>({
    {LimitKind::size, "size", "size of the files", "bytes of the target's files", "90MB"},
    {LimitKind::bitsPerWeight, "bpw", "bits per weight", "bits per weight of the plan's layers", "4.5"},
    {LimitKind::loss, "max-loss", "predicted loss",
     "largest predicted loss in the metric's unit (fisher: KLD in nats per token), couplings included; the size is the "
     "least that keeps it",
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

Error notUnderstood(std::string_view what, std::string_view example, std::string place)
{
    return usageError("takes " + std::string(what) + ", as in " + std::string(example), std::move(place));
}
Error notUnderstood(const Limit& limit, std::string_view what)
{
    return notUnderstood(what, limitInfo(limit.kind).example, place(limit));
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

/// The quantizable layers that are meant.
Result<std::vector<std::int64_t>> layersNamed(const Model& model, std::string_view words, std::string place)
{
    std::vector<std::int64_t> found = layersMeant(model, model.quantizableLayers(), words);
    if (found.empty())
        return usageError("no layer that a plan decides has this role or a name that matches", std::move(place));
    return found;
}

struct Assignment {
    std::string_view left, right;
};
/// At the first "=", as candidates have some of their own; nothing where a side is empty.
std::optional<Assignment> splitAtEquals(std::string_view text)
{
    const std::size_t equals = std::min(text.find('='), text.size());
    const Assignment sides{trim(text.substr(0, equals)), trim(text.substr(std::min(equals + 1, text.size())))};
    return sides.left.empty() || sides.right.empty() ? std::nullopt : std::optional(sides);
}

Result<GroupBudget> groupBudget(const Model& model, const Limit& limit)
{
    constexpr std::string_view kForm = "LAYERS=BITS or LAYERS=BITS:TOLERANCE";
    const auto words = splitAtEquals(limit.text);
    if (!words)
        return notUnderstood(limit, kForm);
    const auto colon = words->right.find(':');
    const auto bits = parseDouble(words->right.substr(0, colon));
    const auto tolerance =
        colon == std::string_view::npos ? std::optional<double>() : parseDouble(words->right.substr(colon + 1));
    if (!bits || !(*bits > 0) || (colon != std::string_view::npos && (!tolerance || !(*tolerance >= 0))))
        return notUnderstood(limit, kForm);
    QL_TRY(layers, layersNamed(model, words->left, place(limit)));
    return GroupBudget{
        .name = std::string(words->left), .layers = std::move(layers), .bitsPerWeight = *bits, .tolerance = tolerance};
}

struct Allowed {
    std::vector<std::int64_t> layers;
    std::vector<Candidate> candidates;
};
Result<Allowed> allowedOf(const Model& model, const Limit& limit)
{
    const auto words = splitAtEquals(limit.text);
    if (!words)
        return notUnderstood(limit, "LAYERS=CANDIDATE,CANDIDATE");
    QL_TRY(layers, layersNamed(model, words->left, place(limit)));
    QL_TRY(candidates, parseCandidates(words->right));
    return Allowed{std::move(layers), std::move(candidates)};
}

/// What a limit says: a number of bits, operations and the like; of bytes or tokens; a scheme; a file; a group; layers,
/// or these with what they may take.
using Said = std::variant<double, std::int64_t, ActivationScheme, std::filesystem::path, GroupBudget,
                          std::vector<std::int64_t>, Allowed>;

template<typename T>
Result<Said> said(Result<T> read)
{
    if (!read)
        return read.error();
    return Said(std::in_place_type<T>, *std::move(read));
}

/// What needs no model to be read.
Result<Said> readBound(const Limit& limit)
{
    switch (limit.kind) {
    case LimitKind::size:
    case LimitKind::memory:
    case LimitKind::secondMemory:
        return said(bytesOf(limit));
    case LimitKind::context:
        return said(tokensOf(limit));
    case LimitKind::keysValues:
        return said(parseKeysValues(limit.text));
    case LimitKind::latencyTable:
        if (trim(limit.text).empty())
            return notUnderstood(limit, "the path of a file");
        return Said(std::in_place_type<std::filesystem::path>, limit.text);
    default:
        return said(positive(limit));
    }
}

Result<Said> readLimit(const Model& model, const Limit& limit)
{
    if (limit.text.find('\n') != std::string::npos)
        return usageError("is one line", std::string(limitInfo(limit.kind).word));
    switch (limit.kind) {
    case LimitKind::group:
        return said(groupBudget(model, limit));
    case LimitKind::tie:
        return said(layersNamed(model, trim(limit.text), place(limit)));
    case LimitKind::allow:
        return said(allowedOf(model, limit));
    default:
        return readBound(limit);
    }
}

/// A limit, read once.
struct ReadLimit {
    const Limit* limit;
    Result<Said> said;
};
std::vector<ReadLimit> readLimits(const Model& model, std::span<const Limit> limits)
{
    std::vector<ReadLimit> read;
    for (const Limit& limit : limits)
        read.push_back({&limit, readLimit(model, limit)});
    return read;
}

/// Of those stated the last.
const ReadLimit* lastOf(std::span<const ReadLimit> limits, LimitKind kind)
{
    const ReadLimit* last = nullptr;
    for (const ReadLimit& limit : limits)
        if (limit.limit->kind == kind)
            last = &limit;
    return last;
}

/// What the last of the kind says; nothing where none is stated.
template<typename T>
Result<std::optional<T>> lastSaid(std::span<const ReadLimit> limits, LimitKind kind)
{
    const ReadLimit* last = lastOf(limits, kind);
    if (!last)
        return std::optional<T>();
    if (!last->said)
        return last->said.error();
    return std::optional<T>(std::get<T>(*last->said));
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
Result<LimitUse> useOfMeasures(LimitKind kind, const Result<Said>& said, const PlanMeasures& measures)
{
    if (kind == LimitKind::size && !measures.fileBytes)
        return usageError("the size of the files is that of a target, and there is none, or it refuses the plan");
    if (!said)
        return said.error();
    if (kind == LimitKind::size)
        return atMost("bytes", static_cast<double>(*measures.fileBytes),
                      static_cast<double>(std::get<std::int64_t>(*said)));
    const double most = std::get<double>(*said);
    return kind == LimitKind::loss ? atMost(measures.lossUnit, measures.loss, most)
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

Result<std::optional<MemoryLimits>> memoryOf(std::span<const ReadLimit> limits)
{
    QL_TRY(first, lastSaid<std::int64_t>(limits, LimitKind::memory));
    QL_TRY(second, lastSaid<std::int64_t>(limits, LimitKind::secondMemory));
    if (!first && second)
        return usageError("goes with the memory of the device beside which it is; state that, too",
                          place(*lastOf(limits, LimitKind::secondMemory)->limit));
    if (!first)
        return std::optional<MemoryLimits>();
    QL_TRY(context, lastSaid<std::int64_t>(limits, LimitKind::context));
    QL_TRY(keysValues, lastSaid<ActivationScheme>(limits, LimitKind::keysValues));
    MemoryLimits memory;
    memory.firstBytes = *first;
    memory.secondBytes = second;
    memory.context = context.value_or(memory.context);
    memory.keysValues = std::move(keysValues);
    return std::optional(std::move(memory));
}

Result<PlanConstraints> constraintsOf(std::span<const ReadLimit> limits)
{
    PlanConstraints constraints;
    for (const ReadLimit& limit : limits) {
        if (!limit.said)
            return limit.said.error();
        if (limit.limit->kind == LimitKind::group)
            constraints.groups.push_back(std::get<GroupBudget>(*limit.said));
    }
    QL_TRY(loss, lastSaid<double>(limits, LimitKind::loss));
    QL_TRY(operations, lastSaid<double>(limits, LimitKind::operations));
    QL_TRY(file, lastSaid<std::filesystem::path>(limits, LimitKind::latencyTable));
    QL_TRY(milliseconds, lastSaid<double>(limits, LimitKind::latency));
    constraints.loss = loss;
    constraints.operations = operations;
    if (file.has_value() != milliseconds.has_value())
        return usageError(file ? "goes with the largest latency; state one, too"
                               : "needs a table of latencies; state one",
                          place(*lastOf(limits, file ? LimitKind::latencyTable : LimitKind::latency)->limit));
    if (file) {
        QL_TRY(table, readLatencyTable(*file));
        constraints.latency = std::move(table);
        constraints.milliseconds = *milliseconds;
    }
    QL_TRY(memory, memoryOf(limits));
    constraints.memory = std::move(memory);
    return constraints;
}

class Uses {
public:
    Uses(const Model& model, const Plan& plan, const TargetProfile* target, std::span<const Limit> limits,
         const PlanMeasures& measures, LatencyFile& latencies, PlaceCount& places, const JobContext& context)
        : m_model(model),
          m_plan(plan),
          m_target(target),
          m_limits(readLimits(model, limits)),
          m_measures(measures),
          m_latencies(latencies),
          m_places(places),
          m_context(context),
          m_decided(model, m_nothing, target, plan)
    {}

    std::span<const ReadLimit> all() const { return m_limits; }

    Result<LimitUse> of(const ReadLimit& read) const
    {
        QL_CHECK(m_context.checkStop());
        if (!read.said)
            return read.said.error();
        switch (read.limit->kind) {
        case LimitKind::size:
        case LimitKind::bitsPerWeight:
        case LimitKind::loss:
            return useOfMeasures(read.limit->kind, read.said, m_measures);
        case LimitKind::memory:
            return memory(false);
        case LimitKind::secondMemory:
            return memory(true);
        case LimitKind::context:
            return keysAndValues();
        case LimitKind::operations: {
            PlanConstraints constraints;
            constraints.operations = 0;
            QL_CHECK(m_places.fill(m_model, constraints, m_context));
            return sumWithin("operations", constraints, std::get<double>(*read.said));
        }
        case LimitKind::latency: {
            QL_TRY(file, lastSaid<std::filesystem::path>(m_limits, LimitKind::latencyTable));
            if (!file)
                return usageError("needs a table of latencies; state one");
            QL_TRY(table, m_latencies.read(*file));
            PlanConstraints constraints;
            constraints.latency = *table;
            return sumWithin("ms", constraints, std::get<double>(*read.said));
        }
        case LimitKind::group: {
            const auto& group = std::get<GroupBudget>(*read.said);
            const double tolerance = group.tolerance.value_or(0);
            LimitUse use = atMost("bits per weight", bitsPerWeight(m_model, m_plan, group.layers),
                                  group.bitsPerWeight + tolerance);
            if (group.tolerance)
                use.atLeast = group.bitsPerWeight - tolerance;
            return use;
        }
        case LimitKind::tie: {
            std::vector<const Candidate*> different;
            for (const std::int64_t layer : std::get<std::vector<std::int64_t>>(*read.said))
                if (std::ranges::none_of(different, [&](const Candidate* one) { return *one == decided(layer); }))
                    different.push_back(&decided(layer));
            return atMost("candidates", static_cast<double>(different.size()), 1);
        }
        case LimitKind::allow: {
            const auto& allowed = std::get<Allowed>(*read.said);
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
    std::vector<ReadLimit> m_limits;
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
    QL_CHECK(readLimit(model, limit));
    return {};
}

Result<void> setLimits(const Model& model, std::span<const Limit> limits, BalanceRequest& request)
{
    const std::vector<ReadLimit> read = readLimits(model, limits);
    QL_TRY(constraints, constraintsOf(read));
    QL_TRY(bytes, lastSaid<std::int64_t>(read, LimitKind::size));
    QL_TRY(bits, lastSaid<double>(read, LimitKind::bitsPerWeight));
    request.constraints = std::move(constraints);
    request.fileBytes = bytes ? bytes : request.fileBytes;
    request.bitsPerWeight = bits ? bits : request.bitsPerWeight;
    return {};
}

Result<CostTable> limitedTable(const Model& model, std::span<const Limit> limits, CostTable table,
                               const TargetProfile* target)
{
    std::vector<Tie> ties;
    for (const Limit& limit : limits) {
        if (limit.kind != LimitKind::tie && limit.kind != LimitKind::allow)
            continue;
        QL_TRY(read, readLimit(model, limit));
        if (limit.kind == LimitKind::tie) {
            ties.push_back({.layers = std::get<std::vector<std::int64_t>>(std::move(read)), .reason = place(limit)});
            continue;
        }
        auto allowed = std::get<Allowed>(std::move(read));
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
    QL_CHECK(setLimits(model, limits, request));
    QL_CHECK(places.fill(model, request.constraints, context));
    return limitedTable(model, limits, table, request.target);
}

Result<void> pinLayers(const Model& model, std::string_view pin, Plan& plan)
{
    const auto words = splitAtEquals(pin);
    if (!words)
        return notUnderstood("LAYERS=CANDIDATE", "q_proj=int8:g64", "pin " + std::string(pin));
    QL_TRY(candidate, parseCandidate(words->right));
    QL_TRY(layers, layersNamed(model, words->left, "pin " + std::string(pin)));
    for (const std::int64_t layer : layers) {
        plan.candidates[static_cast<std::size_t>(layer)] = candidate;
        plan.locked[static_cast<std::size_t>(layer)] = true;
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
    return isMeasured ? std::optional(told(useOfMeasures(limit.kind, readBound(limit), measures))) : std::nullopt;
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
    for (const ReadLimit& limit : uses.all()) {
        auto use = uses.of(limit);
        if (!use && use.error().code == Errc::cancelled)
            return use.error();
        found.push_back(told(std::move(use)));
    }
    return found;
}

} // namespace ql
