// SPDX-License-Identifier: GPL-3.0-or-later
// The landscape of a loss about the weights w, cut along the two eigenvectors u and v of its Hessian whose eigenvalues
// are largest in magnitude: L(w + a·u + b·v) on a grid of a and b. A quadratic loss is
// L(w) + a·⟨∇L, u⟩ + b·⟨∇L, v⟩ + ½·(λ_u·a² + λ_v·b²) there; where the real one leaves that, second order ends. u and v
// have length 1, so a and b are distances: codes of a plan move weights by ‖ΔW‖ in all.
// Sources: Shen et al., Q-BERT, AAAI 2020, section 3; Dong et al., HAWQ, ICCV 2019, section 3.
#pragma once

#include "core/model/evaluation/hessian.h"
#include "core/sensitivity/curvature.h"

#include <array>

namespace ql {

/// L at the weights moved by so much, of the same length as all vectors.
using LossAt = std::function<Result<double>(std::span<const double> shift)>;

struct LossSliceSettings {
    double radius = 1;            // a and b go from −radius to radius, in the weights' units
    std::int64_t points = 11;     // of each axis, 3 or more and odd: w itself is in the middle
    std::int64_t iterations = 50; // for each eigenvector, at most
    double tolerance = 1e-3;      // relative residual that is small enough
    std::uint64_t seed = 1;
};

struct LossSlice {
    std::array<TopEigenvalue, 2> axes; // u and v: orthonormal
    std::vector<double> steps;         // of a and of b, [points], rising
    std::vector<double> loss;          // [points, points], a by rows and b by columns

    double at(std::size_t a, std::size_t b) const { return loss[a * steps.size() + b]; }
};

/// Of a and of b: settings.points of them, rising.
std::vector<double> sliceSteps(const LossSliceSettings& settings);

/// `product` is H·x for vectors of `size`, 2 or more. Losses are asked for one by one. Memory: five such vectors beside
/// what those two take. Deterministic as they are.
Result<LossSlice> sliceLoss(const LossAt& loss, const ProductWith& product, std::int64_t size,
                            const LossSliceSettings& settings, const JobContext& context);

/// Of a model's loss, with products in double as eigenvectors need them (hessian.h). `onProduct` and `onLoss` are
/// called after each of either.
Result<LossSlice> sliceLoss(const LossFunction& loss, const LossSliceSettings& settings,
                            const std::function<void()>& onProduct, const std::function<void(double)>& onLoss,
                            const JobContext& context);

} // namespace ql
