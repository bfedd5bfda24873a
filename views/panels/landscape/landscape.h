// SPDX-License-Identifier: GPL-3.0-or-later
// The loss about a layer's weights on a grid along the two top eigenvectors of its Hessian (core/sensitivity/
// loss_slice.h), whole or as far as it has come, what second order says of it, and both in words. Losses are mean
// losses per token in nats, a and b distances in the weights' units: ‖ΔW‖ of a change of that length.
#pragma once

#include <QCoreApplication>
#include <QString>

#include <cstdint>
#include <vector>

namespace ql::views {

struct LandscapeAxis {
    double eigenvalue = 0; // nats per token and weight²
    double residual = 0;   // ‖H·v − λ·v‖
    std::int64_t iterations = 0;
    /// Whether the residual is small enough for the eigenvalue to be relied on: 10 % of it at most.
    bool isSettled() const;
};

struct Landscape {
    Q_DECLARE_TR_FUNCTIONS(Landscape)
public:
    std::int64_t windows = 0, tokens = 0; // tokens in each window
    double weightNorm = 0;                // ‖W‖
    double ownLoss = 0;                   // L(0, 0)
    std::vector<double> steps;            // of a and of b, rising; 0 in the middle
    std::vector<double> losses;           // a by rows and b by columns; the first of them while it is measured
    std::vector<LandscapeAxis> axes;      // of a and of b, once it is whole

    int points() const { return static_cast<int>(steps.size()); }
    int middle() const { return points() / 2; }
    bool isWhole() const { return axes.size() == 2; }
    /// L(a, b) at those places of the grid; NaN while it is not there.
    double lossAt(int a, int b) const;
    /// L(a, b) − L(0, 0).
    double difference(int a, int b) const { return lossAt(a, b) - ownLoss; }
    /// Of the loss along an axis at the weights, by a central difference of the middle's neighbours.
    double slope(std::size_t axis) const;
    /// slope·x + ½·λ·x² of both axes: what difference() is to second order; NaN while the eigenvalues are not there.
    double parabola(double a, double b) const;
    /// Of ‖W‖.
    double share(double distance) const { return distance / weightNorm; }

    /// a, b, loss, difference and parabola of a place of the grid.
    QString cellText(int a, int b) const;
    /// "a along the 1st eigenvector, λ = 12.3", as far as it is known.
    QString axisText(std::size_t axis) const;
    /// "a, λ = 12.3".
    QString shortAxisText(std::size_t axis) const;
};

} // namespace ql::views
