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
constexpr double kFloorError = 0.1;    // of the floor
constexpr double kLeastExcess = 0.02;  // of what is measured, above the floor
constexpr double kNormalDegrees = 1e4; // as good as normal
constexpr std::size_t kMostSuspects = 3;
constexpr std::size_t kFewestPlans = 6; // that name suspects

using Matrix3 = std::array<std::array<double, 3>, 3>;

/// Inverse of a symmetric positive definite matrix, by Gauss and Jordan, which needs no pivots there.
Matrix3 inverse(Matrix3 a)
{
    Matrix3 b{};
    for (std::size_t i = 0; i < 3; ++i)
        b[i][i] = 1;
    for (std::size_t k = 0; k < 3; ++k) {
        const double pivot = a[k][k];
        for (std::size_t j = 0; j < 3; ++j) {
            a[k][j] /= pivot;
            b[k][j] /= pivot;
        }
        for (std::size_t i = 0; i < 3; ++i) {
            if (i == k)
                continue;
            const double factor = a[i][k];
            for (std::size_t j = 0; j < 3; ++j) {
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
    for (std::size_t terms = 3; terms > 0; --terms) {
        fit(terms);
        if (leastSlope() > 0)
            break;
    }
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

double LossModel::leastSlope() const
{
    return 1 + m_mean[1] + 2 * std::min(m_mean[2] * m_first, m_mean[2] * m_last);
}

void LossModel::fit(std::size_t terms)
{
    m_terms = terms;
    const double residual = squared(m_settings.residual);
    Matrix3 precision{};
    precision[0][0] = m_settings.isAbsolute || m_plans.empty() ? residual / squared(m_settings.scaleSpread) : 0;
    precision[1][1] = residual / squared(m_settings.slopeSpread);
    precision[2][2] = residual / squared(m_settings.bendSpread);
    Terms moments{};
    CompensatedSum energy;
    for (const MeasuredPlan& plan : m_plans) {
        const Terms row = termsOf(plan.predicted.sum);
        const double y = std::log(excessOf(plan)) - std::log(plan.predicted.sum);
        const double weight = 1 / (1 + ownVariance(plan) / residual);
        for (std::size_t i = 0; i < 3; ++i) {
            moments[i] += weight * row[i] * y;
            for (std::size_t j = 0; j < 3; ++j)
                precision[i][j] += weight * row[i] * row[j];
        }
        energy.add(weight * y * y);
    }
    m_covariance = inverse(precision);
    double explained = 0;
    for (std::size_t i = 0; i < 3; ++i) {
        m_mean[i] = dot(m_covariance[i], moments);
        explained += m_mean[i] * moments[i];
    }
    m_degrees = m_settings.priorDegrees + static_cast<double>(m_plans.size()) - (m_settings.isAbsolute ? 0 : 1);
    m_variance = (m_settings.priorDegrees * residual + std::max(0.0, energy.value() - explained)) / m_degrees;
}

Prediction LossModel::predict(const PredictedSum& sum, double measurementError) const
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
    const Terms row = termsOf(sum.sum);
    double spread = 1;
    for (std::size_t i = 0; i < 3; ++i)
        spread += row[i] * dot(m_covariance[i], row);
    const double scale = std::sqrt(m_variance * spread + squared(sum.sumError / sum.sum));
    const double middle = std::log(sum.sum) + dot(m_mean, row);
    const double reach = scale * studentQuantile(tail, m_degrees);
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
        residuals.push_back(std::log(excessOf(plan)) - std::log(plan.predicted.sum) -
                            dot(m_mean, termsOf(plan.predicted.sum)));
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

double predictionError(const CostTable& table, const Plan& plan)
{
    CompensatedSum squares;
    for (std::size_t i = 0; i < table.items.size(); ++i) {
        const auto first = static_cast<std::size_t>(table.items[i].layers.front());
        if (const auto column = table.columnOf(i, plan.candidates[first]))
            squares.add(squared(table.at(i, *column).standardError));
    }
    return std::sqrt(squares.value());
}

PredictedSum predictedSum(const CostTable& table, const Plan& plan)
{
    return {.sum = predictLoss(table, plan), .sumError = predictionError(table, plan), .floor = 0};
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
                add("block " + std::to_string(layer.block), loss);
        }
    return result;
}

} // namespace ql
