// SPDX-License-Identifier: GPL-3.0-or-later
// Which numbers of so many bits fit a tensor: for integers and every split of a minifloat's bits the clip (where the
// largest level goes, in shares of the largest magnitude) with the least squared error, and the exponent a of integers
// of |w|^a that fits best. Grids are symmetric, all codes are finite, clips are real numbers: a real-valued exponent
// bias. Errors are exact for the weights looked at (grid_cells.h): all of the tensor, or rows evenly apart where it has
// more than a limit. Equal bits for any thread count.
// Sources: Chen et al., Low-Bitwidth Floating Point Quantization for Diffusion Models, 2024 (clips 0.1…1.2 in steps of
// 0.01, the split that most channels want); Liu et al., LLM-FP4, EMNLP 2023, section 4.1; Yvinec et al., PowerQuant,
// ICLR 2023, section 3.2 (the exponent).
#pragma once

#include "core/base/result.h"
#include "core/jobs/job_context.h"
#include "core/tensor/tensor_view.h"

#include <string>
#include <vector>

namespace ql {

struct FitSettings {
    /// Weights that share a clip: a row, or all.
    bool byRow = true;
    /// Tried, in shares of the largest magnitude.
    std::vector<double> clips = usualClips();
    std::int64_t mostWeights = std::int64_t{1} << 19U;

    static std::vector<double> usualClips(); // 0.1…1.2, 111 of them
};

struct FormatFit {
    std::string element;
    double sqnrDb = 0;     // at the best clip of each run
    double clip = 0;       // its mean over runs
    double clipSigmas = 0; // the mean of the clips in root mean squares of their runs
    double runsWon = 0;    // share of runs that it has the least error of
};

/// The least error of integers of |w|^a, a = 0.30…1.00 in steps of 0.01, clip 1.
struct PowerFit {
    double exponent = 1;
    double sqnrDb = 0;
    double sqnrDbOfIntegers = 0;     // a = 1
    std::vector<double> sqnrDbCurve; // of every a
    static constexpr double kLeast = 0.30;
    static constexpr double kStep = 0.01;
};

struct FormatFits {
    int bits = 0;
    std::int64_t runs = 0; // with a weight that is not 0
    std::int64_t weights = 0;
    /// int<bits>:restricted and e<x>m<y>, x + y = bits − 1; least error first. Empty where all weights are 0.
    std::vector<FormatFit> fits;
    std::string mostWanted; // of minifloats: the element that most runs want, the earlier in `fits` of equals
    PowerFit power;         // codes as rounded in the power's domain
};

/// For each width, 3…8 bits. Weights of any decodable dtype, W[out, in] as core/formats has it. Errors: a type that
/// cannot be decoded, no elements, no clip or one that is not positive.
Result<std::vector<FormatFits>> fitFormats(const TensorView& weights, const std::vector<int>& bits,
                                           const FitSettings& settings, const JobContext& context);

} // namespace ql
