// SPDX-License-Identifier: GPL-3.0-or-later
// The tiny model with its cost table, for tests that decide.
#pragma once

#include "core/allocation/balance.h"
#include "core/sensitivity/metric.h"
#include "tests/support/memory_model.h"

#include <QTest>

namespace ql::test {

struct Measured {
    Model model;
    MeasureRequest request;
    CostTable table;
};

inline Measured measured(std::int64_t blocks, std::int64_t width, const TargetProfile* target,
                         std::string_view candidates)
{
    Measured result{.model = tinyModel(blocks, width), .request = {}, .table = {}};
    result.request.layers = result.model.quantizableLayers();
    result.request.candidates = parseCandidates(candidates).value();
    result.request.metrics = {findMetric("weight_error").value()};
    result.request.target = target;
    Executor executor(2);
    std::vector<Measurement> cells;
    const auto done = measure(
        result.model, result.request, [&](const Measurement& cell) { cells.push_back(cell); }, JobContext(executor));
    if (!done)
        qFatal("%s", describe(done.error()).c_str());
    result.table = makeCostTable(result.model, result.request, 0, cells);
    return result;
}

inline Result<BalanceResult> balanced(const Measured& measured, const BalanceRequest& request)
{
    Executor executor(1);
    return balance(measured.model, request, JobContext(executor));
}

inline BalanceRequest requestFor(const Measured& measured)
{
    BalanceRequest request;
    request.table = &measured.table;
    request.start = keepPlan(measured.model);
    request.target = measured.request.target;
    return request;
}

} // namespace ql::test
