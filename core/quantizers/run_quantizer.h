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

/// A chooser that tries candidates (scale_candidates.h) besides rtn's own and takes the least loss; `loss` of a
/// weight's error or of a run. Returns rtn's where none is better.
class CandidateChooser : public RunChooser {
public:
    CandidateChooser(const ElementCoder& coder, const ScaleRule& rule, std::int64_t steps);
    Result<ChosenRun> choose(const WeightRun& run, const JobContext& context) override;

protected:
    virtual double loss(const WeightRun& run, const Affine& affine) = 0;
    const ElementCoder& coder() const { return m_coder; }

private:
    const ElementCoder& m_coder;
    const ScaleRule& m_rule;
    const std::int64_t m_steps;
};

} // namespace ql
