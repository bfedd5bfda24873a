// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/charts/axes.h"

#include <QLogValueAxis>
#include <QValueAxis>

#include <cmath>

namespace ql::views {

double roundStep(double range, int steps)
{
    if (!(range > 0) || !std::isfinite(range))
        return 1;
    const double raw = range / steps;
    const double power = std::pow(10, std::floor(std::log10(raw)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (factor * power >= raw * 0.999)
            return factor * power;
    }
    return 10 * power;
}

void setRoundTicks(QValueAxis& axis, double low, double high, int steps)
{
    const double top = high > low ? high : low + std::max(1.0, std::fabs(low));
    constexpr double kFewest = 3; // ticks, where the range allows
    double step = roundStep(top - low, steps);
    for (int more = steps; std::floor(top / step) - std::ceil(low / step) + 1 < kFewest && more < 3 * steps; ++more)
        step = roundStep(top - low, more);
    axis.setRange(low, top);
    axis.setTickType(QValueAxis::TicksDynamic);
    axis.setTickInterval(step);
    axis.setTickAnchor(0);
    const double decimals = -std::floor(std::log10(step) + 1e-9);
    const bool plain = decimals <= 4 && std::fabs(top) < 1e6 && std::fabs(low) < 1e6;
    axis.setLabelFormat(plain ? QStringLiteral("%.%1f").arg(decimals > 0 ? static_cast<int>(decimals) : 0)
                              : QStringLiteral("%.2g"));
}

void setPowerTicks(QLogValueAxis& axis, double low, double high)
{
    axis.setBase(10);
    axis.setRange(low, high);
    axis.setMinorTickCount(-1);
    axis.setLabelFormat(low >= 1e-3 && high <= 1e6 ? QStringLiteral("%.7g") : QStringLiteral("%.0e"));
}

} // namespace ql::views
