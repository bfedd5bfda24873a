// SPDX-License-Identifier: GPL-3.0-or-later
// FP against INT: the error of one layer in many formats at 2…8 bits, measured and by theory, with its crest factor.
#pragma once

#include "core/base/result.h"
#include "core/formats/quantized_tensor.h"
#include "core/jobs/job_context.h"
#include "core/tensor/tensor_view.h"

namespace ql {

struct CurvePoint {
    std::string scheme;
    double bitsPerWeight = 0; // exact storage for this tensor
    int elementBits = 0;
    double sqnrDb = 0;
    double mse = 0;
};
/// A line of the chart: one family of formats.
struct ErrorCurve {
    std::string family;             // "INT", "ExMy" (best split), "MX INT", "MX FP", "NV INT", "NV FP"
    std::vector<CurvePoint> points; // by element bits
};
struct ErrorCurves {
    std::vector<ErrorCurve> curves;
    // Means over blocks along a row of max|x|/RMS, 1…√block; blocks of zeros do not count. 0 if there are no others.
    double crestFactor32 = 0;
    double crestFactor16 = 0;
    double crestFactorChannel = 0; // per output row
};
/// Every element is quantized with @rtn in 44 schemes, in one pass: each error is that of quantize() and
/// measureError(). groupSize: granularity of INT and ExMy (0 = channel). Where a family has several schemes of a width,
/// the point is the one with the least error. Elements that are not finite do not count. Errors: no elements, a type
/// that cannot be decoded, a negative group size.
Result<ErrorCurves> computeErrorCurves(const TensorView& tensor, std::int64_t groupSize, const JobContext& context);

/// Scale overhead ρ of block scales coded E8M0 or E4M3 in the formulas below; float scales have 1.
constexpr double kRhoE8m0 = 1.5;
constexpr double kRhoE4m3 = 1.05;
/// QSNR (dB) expected of Gaussian blocks with crest factor κ = max|x|/RMS for INT-b (largest level taken as 2^(b−1))
/// and ExMy, with scale overhead ρ and, where the block's largest value is coded exactly, block size g (0: it is not).
///   INT-b: 10·log10(12·4^(b−1)) − 20·log10(ρκ) + 10·log10(g/(g−1))
///   ExMy:  −10·log10(w/(24·4^M) + (ρκ)²·p·4^(1−B−M)/(12·Qmax²) + z), B the bias, t0 = ρκ·2^(−B−M)/Qmax, t1 =
///   2^(M+1)·t0:
///          w = 2(t1·φ(t1) + 1 − Φ(t1)) − κ²/g, p = 2(Φ(t1) − Φ(t0)), z = 2Φ(t0) − 1 − 2·t0·φ(t0)
/// Source: arXiv 2510.25602, section 4.
double theoreticalIntQsnrDb(int bits, double crestFactor, double rho, int exactMaxGroup);
double theoreticalFpQsnrDb(int exponentBits, int mantissaBits, double maxLevel, double crestFactor, double rho,
                           int exactMaxGroup);
/// An integer and a minifloat format of equal storage, and the crest factor of their blocks below which the integer
/// wins by those formulas, solved by bisection: mxint8/mxfp8_e4m3 7.55, mxint6/mxfp6_e2m3 1.96, mxint4/mxfp4 2.04,
/// nvint4/nvfp4 2.39.
struct Crossover {
    std::string_view integer, minifloat;
    int block; // elements that share a scale
    double crestFactor;
};
/// The pair's expected QSNR (dB) at a crest factor.
struct PairQsnr {
    double integerDb, minifloatDb;
};
PairQsnr theoreticalQsnrDb(const Crossover& pair, double crestFactor);
std::vector<Crossover> crestFactorCrossovers();

} // namespace ql
