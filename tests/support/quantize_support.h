// SPDX-License-Identifier: GPL-3.0-or-later
// Small tensors, and quantizing them, for tests of formats and quantizers.
#pragma once

#include "core/base/rng.h"
#include "core/formats/quantized_tensor.h"
#include "core/quantizers/quantizer.h"

#include <QTest>

#include <cstring>

namespace ql::tests {

inline Executor& sharedExecutor()
{
    static Executor pool(2);
    return pool;
}

inline TensorView viewOf(const std::vector<float>& values, Shape shape)
{
    return {Dtype::f32, std::move(shape), reinterpret_cast<const std::byte*>(values.data())};
}

/// N(0, sigma²), with a few larger values so that scales differ between groups.
inline std::vector<float> normalSamples(std::int64_t n, std::uint64_t seed = 1, double sigma = 0.05)
{
    const CounterRng rng(seed);
    std::vector<float> out(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<float>(sigma * rng.normal(i) * (rng.bits(i + (1ULL << 40)) % 50 == 0 ? 8 : 1));
    return out;
}

inline QuantizedTensor quantized(const TensorView& view, const std::string& scheme, const std::string& spec = "rtn",
                                 Executor& executor = sharedExecutor())
{
    const QuantizeTask task{view, parseScheme(scheme).value(), parseQuantizerSpec(spec).value()};
    auto result = quantize(task, JobContext(executor));
    if (!result)
        qFatal("%s@%s: %s", scheme.c_str(), spec.c_str(), describe(result.error()).c_str());
    return std::move(result).value();
}

inline std::vector<float> restored(const QuantizedTensor& tensor)
{
    const MatrixShape m = tensor.matrix();
    std::vector<float> out(static_cast<std::size_t>(m.rows * m.cols));
    tensor.restoreRows(0, m.rows, out.data());
    return out;
}

inline double squaredError(const TensorView& view, const QuantizedTensor& tensor)
{
    return measureError(view, tensor, JobContext(sharedExecutor())).value().sumSquaredError;
}

inline bool sameBits(const std::vector<float>& a, const std::vector<float>& b)
{
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

inline bool sameBits(const Buffer& a, const Buffer& b)
{
    return a.sizeBytes() == b.sizeBytes() &&
           (a.sizeBytes() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.sizeBytes())) == 0);
}

inline bool sameBits(const QuantizedTensor& a, const QuantizedTensor& b)
{
    return sameBits(a.codes, b.codes) && sameBits(a.scales, b.scales) && sameBits(a.minima, b.minima) &&
           a.zeroPoints == b.zeroPoints && a.tensorScale == b.tensorScale && a.shape == b.shape;
}

/// Every scheme that stores codes and scales and no more; packed ones store blocks (block_format_test), additions are
/// tested in sum_of_parts_test.
inline std::vector<std::string> scaledSchemes()
{
    std::vector<std::string> schemes;
    for (const std::string& text : exampleSchemes()) {
        const Scheme scheme = parseScheme(text).value();
        if (!scheme.isCast() && !scheme.isKeep() && !scheme.isPacked() && scheme.additions.empty())
            schemes.push_back(text);
    }
    return schemes;
}

} // namespace ql::tests
