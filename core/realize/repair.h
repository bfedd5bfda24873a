// SPDX-License-Identifier: GPL-3.0-or-later
// Repair of a plan at no cost of bytes: other gains and biases of norms, which it does not quantize, and factors on the
// scales of rows, whose codes stay. Found on inputs of calibration and kept only if they bring inputs that were held
// out of it closer to the model, too, as the files hold them. A repair belongs to one checkpoint (or variant) and one
// plan; its values are few and travel in a file of their own (repair_file.h).
#pragma once

#include "core/realize/norm_statistics.h"
#include "core/realize/planned_version.h"
#include "core/realize/scale_tuning.h"

namespace ql {

/// "statistics" or "statistics:moments" | "statistics:least_squares";
/// "kld[:steps=40][:batch=4][:rate=…][:seed=1][:tune=norms|rows|both][:check=0]"; the rate follows what is tuned unless
/// it is given (ScaleTuningSettings).
struct RepairMethod {
    bool isTuned = false; // by the gradient of the KLD
    NormMatch match = NormMatch::moments;
    ScaleTuningSettings tuning = {};
};
Result<RepairMethod> parseRepairMethod(std::string_view text);
std::string printRepairMethod(const RepairMethod& method);

/// What is compared on cases that were held out: of language models the mean KLD over all tokens, nats per token, less
/// is better; of others minus the SQNR of the first output, dB.
struct HeldOutScore {
    bool isKld = true;
    std::int64_t cases = 0;
    double before = 0, after = 0; // of the plan without and with the repair
    double error = 0;             // standard error of after − before, paired over windows; 0 where it is not known
    /// Better by more than the error.
    bool isBetter() const { return after - before < -error; }
};

struct Repair {
    std::vector<RepairedTensor> tensors;
    std::vector<RepairedTensor> rowFactors;
    std::int64_t keptSteps = 0; // of tuning
    std::vector<TuningCheck> checks;
    HeldOutScore heldOut;
    std::vector<Warning> notes;
};

struct RepairTask {
    std::shared_ptr<const Model> model; // of the graph
    const graph::Graph& graph;
    ModelVersion own;         // what the plan is compared with
    VersionSettings settings; // with a plan
    RepairMethod method;
    Windows windows = {};         // of language models
    const Cases* cases = nullptr; // of others, instead
    /// Share of the windows or cases, the last ones, at least one. Where a method checks steps the first half of them
    /// says which are kept, and the rest is what the repair is judged by.
    double heldOut = 0.25;
    std::function<void(std::int64_t step, double kld)> onStep = {};
};

Result<Repair> findRepair(const RepairTask& task, const JobContext& context);

} // namespace ql
