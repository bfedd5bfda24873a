// SPDX-License-Identifier: GPL-3.0-or-later
// The loop of quantizers that choose the scale of a run by an objective of their own; codes are nearest. A run is held
// whole in float, so that a whole tensor with one scale needs 4 bytes a weight. Equal bits for any thread count.
#pragma once

#include "core/quantizers/quantizer.h"
#include "core/quantizers/scale_rule.h"

#include <functional>
#include <memory>

namespace ql {

/// Weights that share a scale.
struct WeightRun {
    const float* weights;    // what is not finite is 0
    const float* importance; // of each, finite and not negative; null: all ones
    std::int64_t count;
    RunRange range; // has a weight that is not 0
};

/// What was chosen, and the objective with rtn's parameters and with these.
struct ChosenRun {
    RunParameters parameters;
    double rtn = 0;
    double reached = 0;
};

/// Keeps scratch memory: one per task.
class RunChooser {
public:
    virtual ~RunChooser() = default;
    /// Looks for a stop request at least every 2²² weights it goes over.
    virtual Result<ChosenRun> choose(const WeightRun& run, const JobContext& context) = 0;
};

/// `make` is called per task with what outlives the chooser. With `weighted` runs get the mean x² of their columns
/// where that is known. Not for packed schemes.
Result<QuantizedTensor>
quantizeRuns(const QuantizeTask& task, bool weighted, std::string_view objective,
             const std::function<std::unique_ptr<RunChooser>(const ElementCoder&, const ScaleRule&)>& make,
             const JobContext& context);

/// Σ|w − ŵ|^p of a run, in double. Keeps scratch memory.
class PowerOfErrors {
public:
    PowerOfErrors(const ElementCoder& coder, double power) : m_coder(coder), m_power(power) {}
    double of(const WeightRun& run, const Affine& affine);

private:
    const ElementCoder& m_coder;
    const double m_power;
    std::vector<std::uint8_t> m_codes;
    std::vector<float> m_restored;
};

} // namespace ql
