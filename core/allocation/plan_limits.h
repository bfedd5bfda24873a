// SPDX-License-Identifier: GPL-3.0-or-later
// The limits of a plan as a user states them, by the same words on the command line, in a study and in the window: what
// can be said, what it means for a solver, and where a plan stands.
#pragma once

#include "core/allocation/balance.h"

#include <filesystem>
#include <limits>
#include <memory>

namespace ql {

enum class LimitKind {
    size, // bytes of the target's files
    bitsPerWeight,
    loss,         // predicted, the largest
    memory,       // of the device that computes
    secondMemory, // beside it
    context,      // tokens of keys and values in memory
    keysValues,   // their scheme
    operations,   // for a token
    latency,      // largest sum of milliseconds …
    latencyTable, // … of this file
    group,        // LAYERS=BITS or LAYERS=BITS:TOLERANCE
    tie,          // LAYERS: one candidate for all
    allow         // LAYERS=CANDIDATE,CANDIDATE
};

struct LimitInfo {
    LimitKind kind;
    std::string_view word;  // the option's, without dashes
    std::string_view title; // "memory of the device"
    std::string_view help;
    std::string_view example; // "6GB"
    bool isRepeated = false;  // several may be stated; of others the last counts
};
/// In the order of LimitKind.
std::span<const LimitInfo> limitKinds();
const LimitInfo& limitInfo(LimitKind kind);

/// A limit as it is said. LAYERS are a role or a glob of names or aliases (layer_choice.h).
struct Limit {
    LimitKind kind = LimitKind::size;
    std::string text;
    friend bool operator==(const Limit&, const Limit&) = default;
};

/// A line each: "vram 6GB".
std::string printLimits(std::span<const Limit> limits);
/// Lines that are not understood are left out.
std::vector<Limit> parseLimits(std::string_view text);

/// Whether the limit can be read and its layers are in the model; the file of a latency table is not opened. Errors:
/// usage, with what would do.
Result<void> checkLimit(const Model& model, const Limit& limit);

/// Gives the request its size and bits per weight, which stay as they are where none is stated, and its further
/// constraints; ties and what is allowed are for limitedTable(). Errors: usage for what cannot be read or lacks its
/// other half (memory beside none, a latency without its table), those of readLatencyTable().
Result<void> setLimits(const Model& model, std::span<const Limit> limits, BalanceRequest& request);

/// The table with ties merged and what is not allowed refused. A candidate that is no column is tried as the target
/// completes it. Errors: usage.
Result<CostTable> limitedTable(const Model& model, std::span<const Limit> limits, CostTable table,
                               const TargetProfile* target);

/// setLimits(), and limitedTable(), which the request does not refer to yet. `places` is of the model.
Result<CostTable> applyLimits(const Model& model, std::span<const Limit> limits, const CostTable& table,
                              BalanceRequest& request, PlaceCount& places, const JobContext& context);

/// Gives layers a candidate and locks them: LAYERS=CANDIDATE, as in limits. Errors: usage.
Result<void> pinLayers(const Model& model, std::string_view pin, Plan& plan);

/// What is known of a plan already.
struct PlanMeasures {
    std::optional<std::int64_t> fileBytes; // nothing without a target
    double bitsPerWeight = 0;
    double loss = 0; // NaN where not all was measured
    std::string lossUnit = {};
};

/// Where a plan stands to a limit.
struct LimitUse {
    std::string problem = {}; // why there are no numbers
    std::string unit = {};    // bytes, bits per weight, operations, ms, candidates, layers, or the loss's
    double used = std::numeric_limits<double>::quiet_NaN();
    double atMost = std::numeric_limits<double>::infinity(); // infinite: what it takes is only told
    double atLeast = -std::numeric_limits<double>::infinity();
    /// By how much the limit is passed; 0 where it is kept (up to rounding, 10⁻⁹ of it) or nothing is known.
    double excess() const;
};

/// Of a limit of size, bits per weight or loss, which needs no more than the measures; nothing of others.
std::optional<LimitUse> measuredUse(const Limit& limit, const PlanMeasures& measures);

/// A table of latencies that is asked for again and again: read again only where the file is another or has changed.
/// One thread at a time.
class LatencyFile {
public:
    Result<std::shared_ptr<const LatencyTable>> read(const std::filesystem::path& path);

private:
    std::filesystem::path m_path;
    std::filesystem::file_time_type m_written;
    std::uintmax_t m_bytes = 0;
    std::shared_ptr<const LatencyTable> m_table;
};

/// Of each limit in turn. Memory of two devices is told of the split that keeps both with the fewest blocks on the
/// second; where none does, of that which passes them least. `places` is of the model. Errors: cancelled; what is wrong
/// with a limit stands in its use.
Result<std::vector<LimitUse>> limitUses(const Model& model, const Plan& plan, const TargetProfile* target,
                                        std::span<const Limit> limits, const PlanMeasures& measures,
                                        LatencyFile& latencies, PlaceCount& places, const JobContext& context);

} // namespace ql
