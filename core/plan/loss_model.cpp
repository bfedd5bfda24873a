// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/loss_model.h"

#include "core/base/student_t.h"
#include "core/base/sum.h"
#include "core/plan/plan_totals.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::string_view kBlock = "block ";
constexpr double kFloorError = 0.1;    // of the floor
constexpr double kLeastExcess = 0.02;  // of what is measured, above the floor
constexpr double kNormalDegrees = 1e4; // as good as normal
constexpr std::size_t kMostSuspects = 3;
constexpr std::size_t kFewestPlans = 6; // that name suspects

constexpr std::size_t kMostLeftOut = 50;   // plans, one after the other: of more every second, third …
constexpr std::size_t kFewestIsotonic = 8; // plans
constexpr std::array kBlends{0.4, 0.8};
constexpr double kLeastGain = 0.9;  // of squared residuals of plans left out, with a blend to those without
constexpr double kChosenBlends = 4; // plans that the choice of the blend costs: residuals are larger than they seem

using Matrix = std::vector<std::vector<double>>;

/// Inverse of a symmetric positive definite matrix, by Gauss and Jordan, which needs no pivots there.
Matrix inverse(Matrix a)
{
    const std::size_t n = a.size();
    Matrix b(n, std::vector<double>(n, 0.0));
    for (std::size_t i = 0; i < n; ++i)
        b[i][i] = 1;
    for (std::size_t k = 0; k < n; ++k) {
        const double pivot = a[k][k];
        for (std::size_t j = 0; j < n; ++j) {
            a[k][j] /= pivot;
            b[k][j] /= pivot;
        }
        for (std::size_t i = 0; i < n; ++i) {
            if (i == k)
                continue;
            const double factor = a[i][k];
            for (std::size_t j = 0; j < n; ++j) {
                a[i][j] -= factor * a[k][j];
                b[i][j] -= factor * b[k][j];
            }
        }
    }
    return b;
}

double squared(double x)
{
    return x * x;
}

/// What the curve is to give for the plan.
double excessOf(const MeasuredPlan& plan)
{
    return std::max(plan.measured - plan.predicted.floor, kLeastExcess * plan.measured);
}

/// Of ln(excess) − curve, as far as it is known of the plan itself.
double ownVariance(const MeasuredPlan& plan)
{
    return squared(plan.predicted.sumError / plan.predicted.sum) +
           (squared(plan.standardError) + squared(kFloorError * plan.predicted.floor)) / squared(excessOf(plan));
}

bool isWhole(const MeasuredPlan& plan)
{
    return std::isfinite(plan.predicted.sum) && plan.predicted.sum > 0 && std::isfinite(plan.measured) &&
           plan.measured > 0;
}

double dot(std::span<const double> a, std::span<const double> b)
{
    CompensatedSum sum;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum.add(a[i] * b[i]);
    return sum.value();
}

/// Takes the part along `direction` out of `from`; the factor of it.
double project(std::vector<double>& from, std::span<const double> direction)
{
    const double factor = dot(from, direction) / dot(direction, direction);
    for (std::size_t i = 0; i < from.size(); ++i)
        from[i] -= factor * direction[i];
    return factor;
}

} // namespace

LossModel::LossModel(std::span<const MeasuredPlan> plans, const LossModelSettings& settings) : m_settings(settings)
{
    std::ranges::copy_if(plans, std::back_inserter(m_plans), isWhole);
    CompensatedSum logs;
    for (const MeasuredPlan& plan : m_plans)
        logs.add(std::log(plan.predicted.sum));
    m_center = m_plans.empty() ? 0 : logs.value() / static_cast<double>(m_plans.size());
    for (const MeasuredPlan& plan : m_plans) {
        const double x = std::log(plan.predicted.sum) - m_center;
        m_first = std::min(m_first, x);
        m_last = std::max(m_last, x);
    }
    const std::size_t roles = settings.roles;
    const auto knowsRoles = [&](const MeasuredPlan& plan) { return plan.shares.size() >= roles; };
    if (roles > 0 && m_plans.size() >= kFewestIsotonic + roles && std::ranges::all_of(m_plans, knowsRoles)) {
        m_meanShares.assign(roles, 0);
        for (const MeasuredPlan& plan : m_plans)
            for (std::size_t r = 0; r < roles; ++r)
                m_meanShares[r] += plan.shares[r] / static_cast<double>(m_plans.size());
    }
    for (std::size_t terms = 3; terms > 0; --terms) {
        fit(terms);
        if (leastSlope() > 0)
            break;
    }
    std::vector<WeightedPoint> points;
    for (const MeasuredPlan& plan : m_plans)
        points.push_back({.x = std::log(plan.predicted.sum),
                          .y = std::log(excessOf(plan)) -
                               (middleOf(plan.predicted.sum, plan.shares, 0) - curveAt(plan.predicted.sum)),
                          .weight = weightOf(plan)});
    m_levels = isotonicLevels(std::move(points));
    if (settings.isotonic && m_plans.size() >= kFewestIsotonic)
        chooseBlend();
}

double LossModel::weightOf(const MeasuredPlan& plan) const
{
    return 1 / (1 + ownVariance(plan) / squared(m_settings.residual));
}

LossModel::Terms LossModel::termsOf(double sum) const
{
    // no plan knows where its own center is
    const double x = m_plans.empty() ? 0 : std::log(sum) - m_center;
    const double inside = std::clamp(x, m_first, m_last);
    Terms terms{1, x, inside * inside + 2 * inside * (x - inside)};
    std::fill(terms.begin() + static_cast<std::ptrdiff_t>(m_terms), terms.end(), 0.0);
    return terms;
}

std::vector<double> LossModel::rowOf(double sum, std::span<const double> shares) const
{
    const Terms terms = termsOf(sum);
    std::vector<double> row(terms.begin(), terms.end());
    for (std::size_t r = 0; r < m_meanShares.size(); ++r)
        row.push_back(shares.size() >= m_meanShares.size() ? shares[r] - m_meanShares[r] : 0);
    return row;
}

double LossModel::leastSlope() const
{
    return 1 + m_mean[1] + 2 * std::min(m_mean[2] * m_first, m_mean[2] * m_last);
}

void LossModel::fit(std::size_t terms)
{
    m_terms = terms;
    const double residual = squared(m_settings.residual);
    const std::size_t count = 3 + m_meanShares.size();
    Matrix precision(count, std::vector<double>(count, 0.0));
    precision[0][0] = m_settings.isAbsolute || m_plans.empty() ? residual / squared(m_settings.scaleSpread) : 0;
    precision[1][1] = residual / squared(m_settings.slopeSpread);
    precision[2][2] = residual / squared(m_settings.bendSpread);
    for (std::size_t i = 3; i < count; ++i)
        precision[i][i] = residual / squared(m_settings.roleSpread);
    std::vector<double> moments(count, 0.0);
    CompensatedSum energy;
    for (const MeasuredPlan& plan : m_plans) {
        const std::vector<double> row = rowOf(plan.predicted.sum, plan.shares);
        const double y = std::log(excessOf(plan)) - std::log(plan.predicted.sum);
        const double weight = weightOf(plan);
        for (std::size_t i = 0; i < count; ++i) {
            moments[i] += weight * row[i] * y;
            for (std::size_t j = 0; j < count; ++j)
                precision[i][j] += weight * row[i] * row[j];
        }
        energy.add(weight * y * y);
    }
    m_covariance = inverse(std::move(precision));
    m_mean.assign(count, 0);
    double explained = 0;
    for (std::size_t i = 0; i < count; ++i) {
        m_mean[i] = dot(m_covariance[i], moments);
        explained += m_mean[i] * moments[i];
    }
    m_degrees = m_settings.priorDegrees + static_cast<double>(m_plans.size()) - (m_settings.isAbsolute ? 0 : 1);
    m_variance = (m_settings.priorDegrees * residual + std::max(0.0, energy.value() - explained)) / m_degrees;
}

double LossModel::curveAt(double sum) const
{
    return std::log(sum) + dot(termsOf(sum), m_mean);
}

double LossModel::isotonicAt(double sum) const
{
    const double x = std::log(sum);
    const double inside = std::clamp(x, m_levels.front().x, m_levels.back().x);
    // beyond the levels it goes on as the curve does
    return interpolated(m_levels, inside) + (x == inside ? 0 : curveAt(sum) - curveAt(std::exp(inside)));
}

double LossModel::middleOf(double sum, std::span<const double> shares, double blend) const
{
    const double curve = curveAt(sum);
    const std::vector<double> row = rowOf(sum, shares);
    double roles = 0;
    for (std::size_t i = 3; i < row.size(); ++i)
        roles += row[i] * m_mean[i];
    return curve + roles + (blend > 0 ? blend * (isotonicAt(sum) - curve) : 0);
}

double LossModel::spreadOf(double sum, std::span<const double> shares) const
{
    const std::vector<double> row = rowOf(sum, shares);
    double spread = 1;
    for (std::size_t i = 0; i < row.size(); ++i)
        spread += row[i] * dot(m_covariance[i], row);
    return spread;
}

void LossModel::chooseBlend()
{
    LossModelSettings alone = m_settings;
    alone.isotonic = false;
    double without = 0;
    std::array<double, kBlends.size()> with{};
    double weights = 0;
    double spreads = 0;
    std::size_t count = 0;
    const std::size_t step = (m_plans.size() + kMostLeftOut - 1) / kMostLeftOut;
    for (std::size_t left = 0; left < m_plans.size(); left += step, ++count) {
        std::vector<MeasuredPlan> others = m_plans;
        others.erase(others.begin() + static_cast<std::ptrdiff_t>(left));
        const LossModel model(others, alone);
        const MeasuredPlan& plan = m_plans[left];
        const double sum = plan.predicted.sum;
        const double y = std::log(excessOf(plan));
        const double weight = weightOf(plan);
        without += weight * squared(y - model.middleOf(sum, plan.shares, 0));
        for (std::size_t b = 0; b < kBlends.size(); ++b)
            with[b] += weight * squared(y - model.middleOf(sum, plan.shares, kBlends[b]));
        weights += weight;
        spreads += spreadOf(sum, plan.shares);
    }
    const auto best = std::ranges::min_element(with);
    if (!(*best < kLeastGain * without))
        return;
    m_leftOut = static_cast<double>(count);
    m_blend = kBlends[static_cast<std::size_t>(best - with.begin())];
    m_leftOutVariance = *best / weights * (1 + kChosenBlends / m_leftOut);
    m_meanSpread = spreads / m_leftOut;
}

Prediction LossModel::predict(const PredictedSum& sum, double measurementError, std::span<const double> shares) const
{
    Prediction prediction{.value = kNaN,
                          .low = 0,
                          .high = std::numeric_limits<double>::infinity(),
                          .level = m_settings.level,
                          .plans = planCount()};
    if (!std::isfinite(sum.sum) || sum.sum < 0 || (!m_settings.isAbsolute && m_plans.size() < 2))
        return prediction;
    const double tail = 0.5 + m_settings.level / 2;
    double around = std::hypot(kFloorError * sum.floor, measurementError); // beside the curve's own
    if (around > 0)
        around *= studentQuantile(tail, kNormalDegrees);
    if (sum.sum == 0) { // nothing is changed
        prediction.value = sum.floor;
        prediction.low = std::max(0.0, sum.floor - around);
        prediction.high = sum.floor + around;
        return prediction;
    }
    const double spread = spreadOf(sum.sum, shares);
    const bool isBlend = m_blend > 0;
    const double variance = isBlend ? m_leftOutVariance * std::max(1.0, spread / m_meanSpread) : m_variance * spread;
    const double degrees = isBlend ? m_leftOut - 1 : m_degrees;
    const double scale = std::sqrt(variance + squared(sum.sumError / sum.sum));
    const double middle = middleOf(sum.sum, shares, m_blend);
    const double reach = scale * studentQuantile(tail, degrees);
    const double excess = std::exp(middle);
    prediction.value = sum.floor + excess;
    prediction.low = std::max(0.0, prediction.value - std::hypot(excess - std::exp(middle - reach), around));
    prediction.high = prediction.value + std::hypot(std::exp(middle + reach) - excess, around);
    return prediction;
}

std::vector<Suspect> LossModel::suspects() const
{
    std::vector<double> residuals;
    std::vector<std::vector<double>> columns;
    for (const MeasuredPlan& plan : m_plans) {
        if (plan.shares.empty())
            continue;
        if (columns.empty())
            columns.resize(plan.shares.size());
        if (plan.shares.size() != columns.size())
            continue;
        residuals.push_back(std::log(excessOf(plan)) - middleOf(plan.predicted.sum, plan.shares, 0));
        for (std::size_t g = 0; g < columns.size(); ++g)
            columns[g].push_back(plan.shares[g]);
    }
    std::vector<Suspect> found;
    if (residuals.size() < kFewestPlans)
        return found;
    const std::vector<double> ones(residuals.size(), 1.0);
    project(residuals, ones);
    std::vector<double> before;
    for (std::vector<double>& column : columns) {
        before.push_back(dot(column, column));
        project(column, ones);
    }
    while (found.size() < kMostSuspects && residuals.size() > found.size() + 2) {
        std::size_t best = columns.size();
        double most = 0;
        for (std::size_t g = 0; g < columns.size(); ++g) {
            const double own = dot(columns[g], columns[g]);
            if (own <= 1e-9 * before[g]) // the same in all plans, or told by those found
                continue;
            if (const double gain = squared(dot(columns[g], residuals)) / own; gain > most) {
                most = gain;
                best = g;
            }
        }
        if (best == columns.size())
            break;
        const std::vector<double> direction = columns[best];
        const double excess = project(residuals, direction);
        const auto degrees = static_cast<double>(residuals.size() - found.size() - 2);
        const double error = std::sqrt(dot(residuals, residuals) / degrees / dot(direction, direction));
        if (std::fabs(excess) < 2 * error)
            break;
        found.push_back({.group = best, .excess = excess, .t = error > 0 ? excess / error : kNaN});
        for (std::vector<double>& column : columns)
            project(column, direction);
    }
    return found;
}

PredictedSum predictedSum(const CostTable& table, const Plan& plan, std::span<const LayerCoupling> couplings)
{
    CompensatedSum squares;
    for (std::size_t i = 0; i < table.items.size(); ++i) {
        const auto first = static_cast<std::size_t>(table.items[i].layers.front());
        if (const auto column = table.columnOf(i, plan.candidates[first]))
            squares.add(squared(table.at(i, *column).standardError));
    }
    for (const LayerCoupling& coupling : couplings)
        if (isPlanned(coupling, plan))
            squares.add(squared(coupling.standardError));
    return {.sum = predictLoss(table, plan) + plannedCoupling(couplings, plan),
            .sumError = std::sqrt(squares.value()),
            .floor = 0};
}

std::size_t roleCount(std::span<const std::string> groups)
{
    return static_cast<std::size_t>(
        std::ranges::find_if(groups, [](const std::string& group) { return group.starts_with(kBlock); }) -
        groups.begin());
}

SharesByGroup sharesOf(const Model& model, const CostTable& table, const Plan& plan)
{
    SharesByGroup result;
    const double sum = predictLoss(table, plan);
    const auto add = [&](const std::string& group, double loss) {
        const auto at = static_cast<std::size_t>(std::ranges::find(result.groups, group) - result.groups.begin());
        if (at == result.groups.size()) {
            result.groups.push_back(group);
            result.shares.push_back(0);
        }
        result.shares[at] += sum > 0 ? loss / sum : 0;
    };
    for (const bool byRole : {true, false})
        for (std::size_t i = 0; i < table.items.size(); ++i) {
            const Layer& layer = model.layers[static_cast<std::size_t>(table.items[i].layers.front())];
            const double loss = plannedLoss(table, i, plan);
            if (byRole)
                add(layer.role.empty() ? table.items[i].name : layer.role, loss);
            else if (layer.block >= 0)
                add(std::string(kBlock) + std::to_string(layer.block), loss);
        }
    return result;
}

} // namespace ql
