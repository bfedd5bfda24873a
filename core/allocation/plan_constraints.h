// SPDX-License-Identifier: GPL-3.0-or-later
// Limits of real life beside the size: bits of groups of layers, operations, latency, memory of one device or two.
#pragma once

#include "core/allocation/plan_problem.h"
#include "core/formats/activation_scheme.h"

#include <filesystem>
#include <mutex>

namespace ql {

/// Bits per weight of some layers: at most so many, or with a tolerance that many, give or take.
struct GroupBudget {
    std::string name;
    std::vector<std::int64_t> layers;
    double bitsPerWeight = 0;
    std::optional<double> tolerance;
};

/// Measured milliseconds: lines `layer,candidate,ms`, the layer by name, glob or role; "#" begins a remark, a first
/// line without a number is a heading. The first line that fits counts.
struct LatencyTable {
    struct Line {
        std::string layer;
        Candidate candidate;
        double milliseconds = 0;
    };
    std::string path;
    std::vector<Line> lines;
    /// Of a layer; the error names the line that is missing.
    Result<double> of(const Layer& layer, const Candidate& candidate) const;
};
Result<LatencyTable> readLatencyTable(const std::filesystem::path& path);

/// What a running model takes: weights as they are stored, keys and values of the context, and a buffer for activations
/// of 512 tokens at a time: 4 bytes · (512 · (4·hidden_size + 3·intermediate_size) + vocab_size), an estimate.
struct MemoryLimits {
    std::int64_t firstBytes = 0;                // the device that computes: --vram
    std::optional<std::int64_t> secondBytes;    // beside it: --ram; holds the embedding and the first blocks
    std::int64_t context = 4096;                // tokens
    std::optional<ActivationScheme> keysValues; // nothing: f16
};

/// By whom an amount is fixed that belongs to layers of the plan that the solver does not decide.
inline constexpr std::string_view kNotFree = "layers that are locked or have no measured candidate";

struct PlanConstraints {
    std::vector<GroupBudget> groups;
    std::optional<double> operations; // Σ places · out·in · bits of codes · bits of inputs (16 where not rounded)
    /// How often each of the model's layers is multiplied by (output_places.h). Empty: once, which is a token of a
    /// language model and one place of a convolution's output.
    std::vector<double> places = {};
    std::optional<LatencyTable> latency;
    double milliseconds = 0; // with latency
    std::optional<MemoryLimits> memory;
    std::optional<double> loss; // at most, and the least size within it

    bool hasAny() const { return !groups.empty() || operations || latency || memory || loss; }
};

/// MACs · bits · bits of one layer for a token, or one place of a convolution's output; an embedding's 0 unless it is
/// the output head, too.
double operationsOf(const Model& model, const Layer& layer, const Candidate& candidate);

/// Fills `places` for a graph over pictures whose size the model says, by running it once, where operations are
/// limited.
Result<void> countPlaces(const Model& model, PlanConstraints& constraints, const JobContext& context);

/// The same for one model asked for again and again: it is run for the first answer. Any thread.
class PlaceCount {
public:
    Result<void> fill(const Model& model, PlanConstraints& constraints, const JobContext& context);

private:
    std::mutex m_mutex;
    std::optional<std::vector<double>> m_places;
};

/// Bytes of keys and values of one block; an error that names what the configuration does not say.
Result<std::int64_t> keyValueBytes(const Model& model, const MemoryLimits& limits);
Result<std::int64_t> activationBytes(const Model& model);

/// The limits as sums over the problem's options, of all but memory and loss; what the layers take that are not free is
/// fixed. Errors: usage (a latency that is missing).
Result<std::vector<SideConstraint>> sideConstraints(const PlanProblem& problem, const PlanConstraints& constraints);

/// Those of memory with the blocks below `split` on the second device: 0 … model.blockCount; without a second device
/// there is no split but 0.
Result<std::vector<SideConstraint>> memoryConstraints(const PlanProblem& problem, const MemoryLimits& limits,
                                                      std::int64_t split);

} // namespace ql
