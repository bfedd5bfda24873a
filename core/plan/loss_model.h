// SPDX-License-Identifier: GPL-3.0-or-later
// From an additive sum to a measured quantity: measured = floor + curve(Σ items), with an interval, fitted on plans
// that were measured. Values of the measured quantity are KLD in nats per token, or any other that is positive and
// grows.
//
// The curve is monotone: with x = ln Σ − c, c the mean of ln Σ over the plans,
//   ln(measured − floor) − ln Σ = α + β·x + γ·x² + ε,   α, β, γ, ε normal,
// and, because few plans say little, a prior: α, β, γ around 0 (the sum is what is measured) with the spreads of
// LossModelSettings, Var ε a scaled inverse χ² around residual² with priorDegrees. It is conjugate, so that posterior
// and the predictive Student t are closed forms (Gelman et al., Bayesian Data Analysis, 3rd ed., §14.2, 14.8). The bend
// γ is left out where the curve would fall or turn anywhere between the plans; beyond them it goes on straight, in
// logarithms. Where the shares of roles in the sums are known, each role's part is corrected by a factor that few plans
// leave near 1: the sum of normal terms δ·(share − mean share) joins the model.
//
// From eight plans on the curve may be drawn towards an isotonic regression of ln(measured − floor) on ln Σ (not all of
// the way, so that it still rises), as far as that lowers what plans are off that are left out of the fit, one after
// the other, by a tenth at least; the interval then is that of these left-out residuals.
//
// Errors that sums and measurements are known to have, and a tenth of the floor, widen their own ε. Without
// plans the interval is the prior's: three to four times up and down.
#pragma once

#include "core/base/isotonic.h"
#include "core/plan/layer_losses.h"

#include <array>

namespace ql {

/// What is predicted of a plan before the curve.
struct PredictedSum {
    double sum = 0;      // of its items' losses, in the metric's unit; > 0, or NaN where not all is known
    double sumError = 0; // its standard error
    double floor = 0;    // what its target's own rounding of activations costs, in the measured quantity's unit
};

/// A plan that was measured.
struct MeasuredPlan {
    PredictedSum predicted;
    double measured = 0;
    double standardError = 0;   // of `measured`; 0 where all plans were measured on the same text
    std::vector<double> shares; // of the sum by group (role, block), for suspects(); may be empty
};

struct Prediction {
    double value = 0;
    double low = 0, high = 0; // the measured value is between them with probability `level`
    double level = 0;
    std::int64_t plans = 0; // it rests on
    bool holds(double measured) const { return low <= measured && measured <= high; }
};

/// A group whose share of the sum goes with the residuals: its measured loss is 1 + excess times what is predicted.
struct Suspect {
    std::size_t group = 0;
    double excess = 0;
    double t = 0; // excess ÷ its standard error
};

struct LossModelSettings {
    double level = 0.9;
    /// Whether the sum is in the unit of what is measured. If not α is not known before, and there is no prediction
    /// below two plans.
    bool isAbsolute = true;
    double residual = 0.15;   // of ln(measured − floor), before plans tell
    double priorDegrees = 2;  // plans that this is worth
    double scaleSpread = 0.4; // of α
    double slopeSpread = 0.2; // of β
    double bendSpread = 0.1;  // of γ
    std::size_t roles = 0;    // the first of each plan's shares that are roles'; 0: no correction by role
    double roleSpread = 0.5;  // of δ
    bool isotonic = true;
};

/// Immutable. Equal bits for equal plans in equal order.
class LossModel {
public:
    /// Plans whose sum is not positive and finite, or whose measurement is not, are left out.
    explicit LossModel(std::span<const MeasuredPlan> plans, const LossModelSettings& settings = {});

    std::int64_t planCount() const { return static_cast<std::int64_t>(m_plans.size()); }
    /// NaN, and an interval without ends, where the sum is not known or too few plans are. `measurementError`: standard
    /// error of the measurement to come, where it is on another text than the plans'. `shares`: of the sum, as the
    /// plans have them; none: those of the plans in the mean.
    Prediction predict(const PredictedSum& sum, double measurementError = 0, std::span<const double> shares = {}) const;
    /// Groups by which the residuals of the plans are explained, found by forward selection: each next one lowers the
    /// sum of squares most; those with |t| < 2 are none. At most three; none below six plans with shares.
    std::vector<Suspect> suspects() const;

private:
    using Terms = std::array<double, 3>; // of α, β, γ
    Terms termsOf(double sum) const;
    /// Those, then shares of roles less their mean.
    std::vector<double> rowOf(double sum, std::span<const double> shares) const;
    void fit(std::size_t terms);
    /// ln(excess) of the curve without roles.
    double curveAt(double sum) const;
    double isotonicAt(double sum) const;
    double weightOf(const MeasuredPlan& plan) const;
    /// ln(excess), drawn to the isotonic regression so far.
    double middleOf(double sum, std::span<const double> shares, double blend) const;
    double spreadOf(double sum, std::span<const double> shares) const;
    void chooseBlend();
    /// Of d ln(curve) ÷ d ln Σ, the least anywhere.
    double leastSlope() const;

    LossModelSettings m_settings;
    std::vector<MeasuredPlan> m_plans;
    double m_center = 0, m_first = 0, m_last = 0;  // ln Σ, and x at the ends
    std::size_t m_terms = 3;                       // of the curve that are used
    std::vector<double> m_meanShares;              // of roles; empty: they are not corrected
    std::vector<double> m_mean;                    // of all terms
    std::vector<std::vector<double>> m_covariance; // over the residual variance
    double m_variance = 0;                         // residual
    double m_degrees = 0;
    std::vector<WeightedPoint> m_levels; // isotonic
    double m_blend = 0;                  // 0: the curve alone
    double m_leftOut = 0;                // how many plans were, one after the other
    double m_leftOutVariance = 0;        // with the blend
    double m_meanSpread = 1;             // over the plans
};

/// Predicted sum of the plan by the table, and the couplings that it has, with its standard error: entries are taken as
/// independent.
PredictedSum predictedSum(const CostTable& table, const Plan& plan, std::span<const LayerCoupling> couplings = {});
/// The groups that shares are counted by, and a plan's shares: roles first, then blocks.
struct SharesByGroup {
    std::vector<std::string> groups; // "q_proj", "block 3"
    std::vector<double> shares;      // of the sum; each half adds up to 1 where all items have role and block
};
/// How many of the groups are roles.
std::size_t roleCount(std::span<const std::string> groups);
SharesByGroup sharesOf(const Model& model, const CostTable& table, const Plan& plan);

} // namespace ql
