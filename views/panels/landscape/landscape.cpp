// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/landscape/landscape.h"

#include "views/text/format.h"

#include <cmath>
#include <limits>

namespace ql::views {

bool LandscapeAxis::isSettled() const
{
    constexpr double kLargest = 0.1; // residual, of |λ|
    return residual <= kLargest * std::fabs(eigenvalue);
}

double Landscape::lossAt(int a, int b) const
{
    const auto index = static_cast<std::size_t>(a * points() + b);
    return index < losses.size() ? losses[index] : std::numeric_limits<double>::quiet_NaN();
}

double Landscape::slope(std::size_t axis) const
{
    const int m = middle();
    const double ahead = axis == 0 ? lossAt(m + 1, m) : lossAt(m, m + 1);
    const double behind = axis == 0 ? lossAt(m - 1, m) : lossAt(m, m - 1);
    return (ahead - behind) / (steps[static_cast<std::size_t>(m + 1)] - steps[static_cast<std::size_t>(m - 1)]);
}

double Landscape::parabola(double a, double b) const
{
    if (!isWhole())
        return std::numeric_limits<double>::quiet_NaN();
    return slope(0) * a + slope(1) * b + (axes[0].eigenvalue * a * a + axes[1].eigenvalue * b * b) / 2;
}

QString Landscape::cellText(int a, int b) const
{
    const double atA = steps[static_cast<std::size_t>(a)];
    const double atB = steps[static_cast<std::size_t>(b)];
    QString text = tr("a %1, b %2 of the weights' norm").arg(percentText(share(atA)), percentText(share(atB)));
    if (std::isnan(lossAt(a, b)))
        return tr("%1: not measured yet").arg(text);
    text = tr("%1: loss %2 nats per token, %3 against the weights")
               .arg(text, numberText(lossAt(a, b), 6), signedText(numberText(difference(a, b))));
    return isWhole() ? tr("%1, parabola %2").arg(text, signedText(numberText(parabola(atA, atB)))) : text;
}

QString Landscape::axisText(std::size_t axis) const
{
    const QString name = axis == 0 ? tr("a along the 1st eigenvector") : tr("b along the 2nd eigenvector");
    if (!isWhole())
        return name;
    const LandscapeAxis& its = axes[axis];
    const QString text = tr("%1, λ = %2").arg(name, numberText(its.eigenvalue));
    return its.isSettled() ? text : tr("%1 (not settled after %2 iterations)").arg(text, countText(its.iterations));
}

QString Landscape::shortAxisText(std::size_t axis) const
{
    const QString name = axis == 0 ? QStringLiteral("a") : QStringLiteral("b");
    return isWhole() ? tr("%1, λ = %2").arg(name, numberText(axes[axis].eigenvalue)) : name;
}

} // namespace ql::views
