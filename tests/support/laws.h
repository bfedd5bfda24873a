// SPDX-License-Identifier: GPL-3.0-or-later
// Samples of the laws that published figures are stated for.
#pragma once

#include "core/base/rng.h"
#include "tests/support/quantize_support.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace ql::tests {

/// "normal" N(0, 1); "laplace" with density ½·exp(−|x|); "uniform" on [−1, 1]; "t<ν>" Student's with ν degrees of
/// freedom, normal over the root of a chi-square by its degrees.
inline std::vector<float> samples(const std::string& law, std::int64_t n, std::uint64_t seed = 11)
{
    const CounterRng rng(seed);
    const std::uint64_t degrees = law[0] == 't' ? std::stoull(law.substr(1)) : 0;
    std::vector<CounterRng> further;
    for (std::uint64_t k = 1; k <= degrees; ++k)
        further.emplace_back(seed, k);
    std::vector<float> out(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < out.size(); ++i) {
        double x = 0;
        if (law == "laplace") {
            const double u = rng.uniform(i) - 0.5;
            x = -std::copysign(std::log1p(-2 * std::fabs(u)), u);
        } else if (law == "uniform") {
            x = 2 * rng.uniform(i) - 1;
        } else {
            x = rng.normal(i);
            double chi = 0;
            for (const CounterRng& one : further)
                chi += std::pow(one.normal(i), 2);
            if (degrees > 0)
                x /= std::sqrt(chi / static_cast<double>(degrees));
        }
        out[i] = static_cast<float>(x);
    }
    return out;
}

inline std::string lawName(const std::string& law)
{
    return law == "normal"    ? "N(0,1)"
           : law == "laplace" ? "Laplace"
           : law == "uniform" ? "U[-1,1]"
                              : "Student t(" + law.substr(1) + ")";
}

/// 2^20 samples, made once.
inline const std::vector<float>& million(const std::string& law)
{
    static std::map<std::string, std::vector<float>> cache;
    auto& values = cache[law];
    if (values.empty())
        values = samples(law, 1 << 20);
    return values;
}

inline TensorView rowsOf(const std::vector<float>& values, std::int64_t cols = 4096)
{
    return viewOf(values, {static_cast<std::int64_t>(values.size()) / cols, cols});
}

inline double qsnrDb(const TensorView& view, const std::string& scheme, const std::string& spec = "rtn")
{
    return measureError(view, quantized(view, scheme, spec), JobContext(sharedExecutor())).value().sqnrDb();
}

/// Σ(w − ŵ)²/Σw².
inline double relativeError(const TensorView& view, const std::string& scheme, const std::string& spec = "rtn")
{
    return std::pow(10, -qsnrDb(view, scheme, spec) / 10);
}

} // namespace ql::tests
