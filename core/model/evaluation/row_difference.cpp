// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/row_difference.h"

#include "core/jobs/parallel.h"
#include "core/model/graph/operator.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

RowDifference differenceOfRow(const float* x, const float* y, std::int64_t width)
{
    RowDifference row;
    double product = 0;
    double ySquares = 0;
    for (std::int64_t i = 0; i < width; ++i) {
        const auto a = static_cast<double>(x[i]);
        const auto b = static_cast<double>(y[i]);
        row.errors += (b - a) * (b - a);
        row.squares += a * a;
        ySquares += b * b;
        product += a * b;
    }
    if (row.squares == 0 || ySquares == 0)
        row.cosines = row.squares == ySquares ? 1 : 0;
    else
        row.cosines = product / std::sqrt(row.squares * ySquares);
    row.distanceSquares = (1 - row.cosines) * (1 - row.cosines);
    row.leastCosine = row.cosines;
    row.rows = 1;
    return row;
}

} // namespace

void RowDifference::add(const RowDifference& next)
{
    squares += next.squares;
    errors += next.errors;
    cosines += next.cosines;
    distanceSquares += next.distanceSquares;
    leastCosine = std::min(leastCosine, next.leastCosine);
    rows += next.rows;
}

Result<RowDifference> rowDifference(const graph::Array<float>& x, const graph::Array<float>& y,
                                    const JobContext& context)
{
    const std::int64_t width = x.width();
    return deterministicReduce(
        context, x.rows(), graph::rowGrain(width), RowDifference(),
        [&](std::int64_t begin, std::int64_t end) {
            RowDifference part;
            for (std::int64_t row = begin; row < end; ++row)
                part.add(differenceOfRow(x.data() + row * width, y.data() + row * width, width));
            return part;
        },
        [](RowDifference& into, const RowDifference& next) { into.add(next); });
}

} // namespace ql
