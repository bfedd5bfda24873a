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
    double crestFactor32 = 0; // mean over blocks of 32 of max|x|/RMS; 1…√32
    double crestFactor16 = 0;
    double crestFactorChannel = 0; // per output row
};
/// groupSize: granularity of INT and ExMy (0 = channel). Quantized with @rtn.
Result<ErrorCurves> computeErrorCurves(const TensorView& tensor, std::int64_t groupSize, const JobContext& context);

/// QSNR (dB) expected of Gaussian blocks with crest factor κ: INT-b and ExMy with scale overhead ρ (1.5 for E8M0, 1.05
/// for E4M3, 1 for float scales) and block size g (0: block maximum not exactly coded). Source: arXiv 2510.25602,
/// section 4.
double theoreticalIntQsnrDb(int bits, double crestFactor, double rho, int exactMaxGroup);
double theoreticalFpQsnrDb(int exponentBits, int mantissaBits, double maxLevel, double crestFactor, double rho,
                           int exactMaxGroup);
/// The crest factor below which the integer of a pair wins: mxint8/mxfp8_e4m3 7.55, mxint6/mxfp6_e2m3 1.96,
/// mxint4/mxfp4 2.04, nvint4/nvfp4 2.39.
struct Crossover {
    std::string_view integer, minifloat;
    double crestFactor;
};
std::vector<Crossover> crestFactorCrossovers();

} // namespace ql
