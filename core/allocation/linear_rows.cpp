// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/linear_rows.h"

#include "core/allocation/side_sums.h"
#include "core/base/sum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace ql::allocation {

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr double kPivot = 1e-9;      // a smaller one does not move
constexpr double kInfeasible = 1e-9; // of a scaled row
constexpr double kShare = 1e-9;

struct Column {
    enum class Kind { slack, artificial, option } kind = Kind::slack;
    std::size_t index = 0; // row, or option
    std::size_t item = 0;
};

class Simplex {
public:
    Simplex(const Rows& rows, const std::vector<std::uint8_t>& allowed, const std::vector<double>& prices,
            const JobContext& context)
        : m_rows(rows),
          m_allowed(allowed),
          m_context(context),
          m_count(rows.count),
          m_key(rows.itemCount()),
          m_share(rows.itemCount())
    {
        for (std::size_t i = 0; i < rows.itemCount(); ++i) {
            double least = kInfinite;
            for (std::size_t o = rows.offsets[i]; o < rows.offsets[i + 1]; ++o) {
                if (!allowed[o])
                    continue;
                double cost = rows.losses[o];
                for (std::size_t k = 0; k < prices.size(); ++k)
                    cost += prices[k] * amount(o, k);
                if (cost < least) {
                    least = cost;
                    m_key[i] = o;
                }
            }
            m_lossScale += rows.losses[m_key[i]];
        }
        for (const double loss : rows.losses)
            m_lossScale = std::max(m_lossScale, loss);
        m_work += static_cast<std::int64_t>(rows.losses.size() * (m_count + 1));
    }

    LinearSolution solve()
    {
        LinearSolution solution;
        start();
        if (std::ranges::any_of(m_basis, [](const Column& c) { return c.kind == Column::Kind::artificial; })) {
            run(true);
            if (boundOf(true, nullptr) > kInfeasible) {
                solution.work = m_work;
                return solution;
            }
        }
        solution.feasible = true;
        run(false);
        solution.bound = boundOf(false, &solution);
        describe(solution);
        solution.work = m_work;
        return solution;
    }

private:
    double amount(std::size_t option, std::size_t row) const { return m_rows.amounts[option * m_count + row]; }

    /// Slacks where the keys keep the row, artificial columns where they break it.
    void start()
    {
        m_basis.resize(m_count);
        sumRest();
        for (std::size_t k = 0; k < m_count; ++k)
            m_basis[k] = {m_rest[k] >= 0 ? Column::Kind::slack : Column::Kind::artificial, k, 0};
    }
    void sumRest()
    {
        std::vector<CompensatedSum> sums(m_count);
        for (const std::size_t key : m_key)
            for (std::size_t k = 0; k < m_count; ++k)
                sums[k].add(amount(key, k));
        m_rest.resize(m_count);
        for (std::size_t k = 0; k < m_count; ++k)
            m_rest[k] = m_rows.limits[k] - sums[k].value();
        m_work += static_cast<std::int64_t>(m_key.size() * m_count);
    }

    double element(const Column& column, std::size_t row) const
    {
        switch (column.kind) {
        case Column::Kind::slack:
            return column.index == row ? 1 : 0;
        case Column::Kind::artificial:
            return column.index == row ? -1 : 0;
        case Column::Kind::option:
            break;
        }
        return amount(column.index, row) - amount(m_key[column.item], row);
    }
    double costOf(const Column& column, bool first) const
    {
        if (column.kind == Column::Kind::option)
            return first ? 0 : m_rows.losses[column.index] - m_rows.losses[m_key[column.item]];
        return first && column.kind == Column::Kind::artificial ? 1 : 0;
    }

    /// The inverse of the basis by elimination with row exchanges; false if it is singular.
    bool invert()
    {
        const std::size_t n = m_count;
        std::vector<double> work(n * n);
        m_inverse.assign(n * n, 0);
        for (std::size_t r = 0; r < n; ++r) {
            for (std::size_t c = 0; c < n; ++c)
                work[r * n + c] = element(m_basis[c], r);
            m_inverse[r * n + r] = 1;
        }
        for (std::size_t c = 0; c < n; ++c) {
            std::size_t pivot = c;
            for (std::size_t r = c + 1; r < n; ++r)
                if (std::fabs(work[r * n + c]) > std::fabs(work[pivot * n + c]))
                    pivot = r;
            if (!(std::fabs(work[pivot * n + c]) > 1e-14))
                return false;
            for (std::size_t k = 0; k < n; ++k) {
                std::swap(work[pivot * n + k], work[c * n + k]);
                std::swap(m_inverse[pivot * n + k], m_inverse[c * n + k]);
            }
            const double by = 1 / work[c * n + c];
            for (std::size_t k = 0; k < n; ++k) {
                work[c * n + k] *= by;
                m_inverse[c * n + k] *= by;
            }
            for (std::size_t r = 0; r < n; ++r) {
                const double factor = work[r * n + c];
                if (r == c || factor == 0)
                    continue;
                for (std::size_t k = 0; k < n; ++k) {
                    work[r * n + k] -= factor * work[c * n + k];
                    m_inverse[r * n + k] -= factor * m_inverse[c * n + k];
                }
            }
        }
        m_work += static_cast<std::int64_t>(2 * n * n * n);
        return true;
    }

    /// Values of the basic columns, shares of the keys that they change, and the dual prices.
    bool refresh(bool first)
    {
        sumRest();
        if (!invert())
            return false;
        m_value.assign(m_count, 0);
        m_dual.assign(m_count, 0);
        for (std::size_t j = 0; j < m_count; ++j)
            for (std::size_t k = 0; k < m_count; ++k) {
                m_value[j] += m_inverse[j * m_count + k] * m_rest[k];
                m_dual[k] += costOf(m_basis[j], first) * m_inverse[j * m_count + k];
            }
        std::ranges::fill(m_share, 1.0);
        for (std::size_t j = 0; j < m_count; ++j)
            if (m_basis[j].kind == Column::Kind::option)
                m_share[m_basis[j].item] -= m_value[j];
        return true;
    }

    /// The column that lowers the cost most, or after many steps the first that does (Bland, against cycles).
    std::optional<Column> entering(bool first, bool takeFirst) const
    {
        const double tolerance = first ? 1e-11 : 1e-13 * m_lossScale;
        double least = -tolerance;
        std::optional<Column> best;
        for (std::size_t k = 0; k < m_count; ++k)
            if (-m_dual[k] < least && !isBasic(Column::Kind::slack, k)) {
                least = -m_dual[k];
                best = Column{Column::Kind::slack, k, 0};
                if (takeFirst)
                    return best;
            }
        for (std::size_t i = 0; i < m_key.size(); ++i) {
            const double key = priced(m_key[i], first);
            for (std::size_t o = m_rows.offsets[i]; o < m_rows.offsets[i + 1]; ++o) {
                if (!m_allowed[o] || o == m_key[i])
                    continue;
                const double reduced = priced(o, first) - key;
                if (reduced < least && !isBasic(Column::Kind::option, o)) {
                    least = reduced;
                    best = Column{Column::Kind::option, o, i};
                    if (takeFirst)
                        return best;
                }
            }
        }
        return best;
    }
    double priced(std::size_t option, bool first) const
    {
        double cost = first ? 0 : m_rows.losses[option];
        for (std::size_t k = 0; k < m_count; ++k)
            cost -= m_dual[k] * amount(option, k);
        return cost;
    }
    bool isBasic(Column::Kind kind, std::size_t index) const
    {
        return std::ranges::any_of(m_basis, [&](const Column& c) { return c.kind == kind && c.index == index; });
    }

    void run(bool first)
    {
        const std::size_t most = 200 + 50 * m_count;
        for (std::size_t step = 0; step < most && !m_context.stopRequested(); ++step) {
            if (!refresh(first))
                return;
            m_work += static_cast<std::int64_t>(m_rows.losses.size() * (m_count + 1));
            const auto column = entering(first, step > most / 2);
            if (!column)
                return;
            if (!exchange(*column))
                return;
        }
    }

    /// Brings the column in as far as the first share or value that would fall below 0; false if nothing limits it.
    bool exchange(const Column& column)
    {
        std::vector<double> direction(m_count, 0);
        for (std::size_t j = 0; j < m_count; ++j)
            for (std::size_t k = 0; k < m_count; ++k)
                direction[j] += m_inverse[j * m_count + k] * element(column, k);
        double least = kInfinite;
        std::size_t leaving = m_count; // of the basis, or …
        std::optional<std::size_t> leavingItem;
        for (std::size_t j = 0; j < m_count; ++j) {
            const bool isStuck = m_basis[j].kind == Column::Kind::artificial && m_value[j] <= kInfeasible &&
                                 std::fabs(direction[j]) > kPivot;
            if (direction[j] > kPivot || isStuck) {
                const double ratio = isStuck ? 0 : std::max(0.0, m_value[j]) / direction[j];
                if (ratio < least) {
                    least = ratio;
                    leaving = j;
                }
            }
        }
        const auto tryItem = [&](std::size_t item) {
            double fall = column.kind == Column::Kind::option && column.item == item ? 1 : 0;
            for (std::size_t j = 0; j < m_count; ++j)
                if (m_basis[j].kind == Column::Kind::option && m_basis[j].item == item)
                    fall -= direction[j];
            if (fall > kPivot) {
                const double ratio = std::max(0.0, m_share[item]) / fall;
                if (ratio < least) {
                    least = ratio;
                    leavingItem = item;
                }
            }
        };
        if (column.kind == Column::Kind::option)
            tryItem(column.item);
        for (const Column& basic : m_basis)
            if (basic.kind == Column::Kind::option)
                tryItem(basic.item);
        if (!leavingItem) {
            if (leaving == m_count)
                return false;
            m_basis[leaving] = column;
            return true;
        }
        if (column.kind == Column::Kind::option && column.item == *leavingItem) {
            m_key[*leavingItem] = column.index;
            return true;
        }
        // The item's basic column that falls least becomes its key; its place goes to the column.
        std::size_t next = m_count;
        for (std::size_t j = 0; j < m_count; ++j)
            if (m_basis[j].kind == Column::Kind::option && m_basis[j].item == *leavingItem &&
                (next == m_count || std::fabs(direction[j]) > std::fabs(direction[next])))
                next = j;
        if (next == m_count)
            return false;
        m_key[*leavingItem] = m_basis[next].index;
        m_basis[next] = column;
        return true;
    }

    /// The Lagrangian bound of the prices at hand, of the loss or (first) of what the rows are broken by.
    double boundOf(bool first, LinearSolution* solution) const
    {
        std::vector<double> prices(m_count, 0);
        for (std::size_t k = 0; k < m_count && k < m_dual.size(); ++k)
            prices[k] = std::isfinite(m_dual[k]) ? std::max(0.0, -m_dual[k]) : 0;
        if (solution) {
            solution->cost.resize(m_rows.losses.size());
            solution->least.resize(m_key.size());
        }
        CompensatedSum bound;
        for (std::size_t i = 0; i < m_key.size(); ++i) {
            double least = kInfinite;
            for (std::size_t o = m_rows.offsets[i]; o < m_rows.offsets[i + 1]; ++o) {
                double cost = first ? 0 : m_rows.losses[o];
                for (std::size_t k = 0; k < m_count; ++k)
                    cost += prices[k] * amount(o, k);
                if (m_allowed[o])
                    least = std::min(least, cost);
                if (solution)
                    solution->cost[o] = cost;
            }
            bound.add(least);
            if (solution)
                solution->least[i] = least;
        }
        for (std::size_t k = 0; k < m_count; ++k)
            bound.add(-prices[k] * m_rows.limits[k]);
        if (solution)
            solution->prices = std::move(prices);
        return bound.value();
    }

    void describe(LinearSolution& solution) const
    {
        solution.key = m_key;
        std::vector<double> mean(m_key.size(), 0);
        const auto priceOf = [&](std::size_t option) {
            double sum = 0;
            for (std::size_t k = 0; k < m_count; ++k)
                sum += solution.prices[k] * amount(option, k);
            return sum;
        };
        std::vector<double> largest(m_share);
        for (std::size_t j = 0; j < m_count && j < m_value.size(); ++j) {
            const Column& basic = m_basis[j];
            if (basic.kind != Column::Kind::option || !(m_value[j] > kShare))
                continue;
            mean[basic.item] += m_value[j] * priceOf(basic.index);
            if (m_value[j] > largest[basic.item]) {
                largest[basic.item] = m_value[j];
                solution.key[basic.item] = basic.index;
            }
            if (m_share[basic.item] > kShare || m_value[j] < 1 - kShare)
                solution.fractional.push_back(static_cast<std::uint32_t>(basic.item));
        }
        std::ranges::sort(solution.fractional);
        const auto again = std::ranges::unique(solution.fractional);
        solution.fractional.erase(again.begin(), again.end());
        for (const std::uint32_t item : solution.fractional)
            solution.mean.push_back(mean[item] + std::max(0.0, m_share[item]) * priceOf(m_key[item]));
    }

    const Rows& m_rows;
    const std::vector<std::uint8_t>& m_allowed;
    const JobContext& m_context;
    std::size_t m_count;
    std::vector<std::size_t> m_key;
    std::vector<double> m_share; // of the keys
    std::vector<Column> m_basis; // one a row
    std::vector<double> m_rest;  // limits less what the keys take
    std::vector<double> m_value; // of the basis
    std::vector<double> m_dual;  // −λ
    std::vector<double> m_inverse;
    double m_lossScale = 0;
    std::int64_t m_work = 0;
};

/// Adds the row Σ sign·amount ≤ limit unless every choice keeps it.
void addRow(const AllocationProblem& problem, const std::vector<double>& amounts, double sign, double limit,
            bool always, std::vector<std::vector<double>>& columns, Rows& rows)
{
    std::vector<double> relative(amounts.size());
    CompensatedSum smallest;
    double largest = 0;
    double reach = 0;
    for (std::size_t i = 0; i < problem.itemCount(); ++i) {
        double least = kInfinite;
        for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o)
            least = std::min(least, sign * amounts[o]);
        smallest.add(least);
        double most = 0;
        for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o) {
            relative[o] = sign * amounts[o] - least;
            most = std::max(most, relative[o]);
        }
        largest = std::max(largest, most);
        reach += most;
    }
    const double left = limit - smallest.value();
    if (!always && reach <= left)
        return;
    const double scale = largest > 0 ? largest : 1;
    for (double& each : relative)
        each /= scale;
    columns.push_back(std::move(relative));
    rows.limits.push_back(left / scale);
    rows.scales.push_back(scale);
}

} // namespace

Rows makeRows(const AllocationProblem& problem)
{
    Rows rows;
    rows.offsets = problem.offsets;
    rows.losses = problem.losses;
    std::vector<std::vector<double>> columns;
    std::int64_t smallest = 0;
    std::vector<double> sizes(problem.sizes.size());
    for (std::size_t i = 0; i < problem.itemCount(); ++i) {
        const auto begin = problem.sizes.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i]);
        const auto end = problem.sizes.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i + 1]);
        const std::int64_t least = *std::min_element(begin, end);
        smallest += least;
        for (auto size = begin; size != end; ++size)
            sizes[static_cast<std::size_t>(size - problem.sizes.begin())] = static_cast<double>(*size - least);
    }
    addRow(problem, sizes, 1, static_cast<double>(problem.budget - smallest), true, columns, rows);
    for (const SideConstraint& side : problem.sides) {
        const double tolerance = allowance(side, problem);
        const double fixed = fixedSum(side);
        if (std::isfinite(side.atMost))
            addRow(problem, side.amounts, 1, side.atMost - fixed + tolerance, false, columns, rows);
        if (std::isfinite(side.atLeast))
            addRow(problem, side.amounts, -1, fixed - side.atLeast + tolerance, false, columns, rows);
    }
    rows.count = columns.size();
    rows.amounts.resize(problem.sizes.size() * rows.count);
    for (std::size_t k = 0; k < rows.count; ++k)
        for (std::size_t o = 0; o < problem.sizes.size(); ++o)
            rows.amounts[o * rows.count + k] = columns[k][o];
    return rows;
}

LinearSolution solveLinear(const Rows& rows, const std::vector<std::uint8_t>& allowed,
                           const std::vector<double>& prices, const JobContext& context)
{
    return Simplex(rows, allowed, prices, context).solve();
}

} // namespace ql::allocation
