// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/statistics.h"

#include "core/analysis/statistics_kernels.h"
#include "core/jobs/parallel.h"

#include <array>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kChunksPerPart = 16;
/// Largest magnitudes of a chunk of doubles between which fourth powers neither overflow nor vanish.
constexpr double kLeastUnscaled = 0x1p-100;
constexpr double kLargestUnscaled = 0x1p200;
/// Exponent of a chunk of zeros, below all others, so that it never decides the scale.
constexpr int kZeroExponent = -3000;

/// Central moments of x·2^−exponent. Merged by Pébay, Sandia report SAND2008-6212, equations 3.1 to 3.5.
struct Moments {
    std::int64_t n = 0; // finite elements
    std::int64_t nan = 0, inf = 0, zeros = 0;
    double min = std::numeric_limits<double>::infinity();
    double max = -std::numeric_limits<double>::infinity();
    int exponent = kZeroExponent;
    double mean = 0, m2 = 0, m3 = 0, m4 = 0;

    void scaleTo(int newExponent)
    {
        const int by = exponent - newExponent;
        if (by == 0)
            return;
        mean = std::ldexp(mean, by);
        m2 = std::ldexp(m2, 2 * by);
        m3 = std::ldexp(m3, 3 * by);
        m4 = std::ldexp(m4, 4 * by);
        exponent = newExponent;
    }

    void merge(Moments other)
    {
        nan += other.nan;
        inf += other.inf;
        if (other.n == 0)
            return;
        zeros += other.zeros;
        min = std::min(min, other.min);
        max = std::max(max, other.max);
        const int common = std::max(exponent, other.exponent);
        scaleTo(common);
        other.scaleTo(common);
        const double na = static_cast<double>(n);
        const double nb = static_cast<double>(other.n);
        const double total = na + nb;
        const double delta = other.mean - mean;
        const double step = delta / total;
        const double product = na * nb * delta * step; // δ²·na·nb/n
        m4 += other.m4 + product * step * step * (na * na - na * nb + nb * nb) +
              6 * step * step * (na * na * other.m2 + nb * nb * m2) + 4 * step * (na * other.m3 - nb * m3);
        m3 += other.m3 + product * step * (na - nb) + 3 * step * (na * other.m2 - nb * m2);
        m2 += other.m2 + product;
        mean += nb * step;
        n += other.n;
    }
};

/// Central moments from sums around a shift.
void centre(Moments& into, double shift, double s1, double s2, double s3, double s4)
{
    const double n = static_cast<double>(into.n);
    const double delta = s1 / n;
    into.mean = shift + delta;
    into.m2 = std::max(0.0, s2 - delta * s1);
    into.m3 = s3 - 3 * delta * s2 + 2 * delta * delta * s1;
    into.m4 = std::max(0.0, s4 - 4 * delta * s3 + 6 * delta * delta * s2 - 3 * delta * delta * delta * s1);
}

/// Any values: three passes over the finite ones, scaled by a power of two where fourth powers would not fit.
Moments carefulMoments(const double* values, std::int64_t count)
{
    Moments moments;
    for (std::int64_t i = 0; i < count; ++i) {
        const double x = values[i];
        if (std::isnan(x)) {
            ++moments.nan;
        } else if (std::isinf(x)) {
            ++moments.inf;
        } else {
            ++moments.n;
            moments.zeros += x == 0 ? 1 : 0;
            moments.min = std::min(moments.min, x);
            moments.max = std::max(moments.max, x);
        }
    }
    if (moments.n == 0)
        return moments;
    moments.min += 0.0;
    moments.max += 0.0;
    const double absmax = std::max(-moments.min, moments.max);
    if (absmax == 0)
        return moments;
    moments.exponent = absmax >= kLeastUnscaled && absmax <= kLargestUnscaled ? 0 : std::ilogb(absmax) + 1;
    const auto scaled = [&](double x) { return moments.exponent == 0 ? x : std::ldexp(x, -moments.exponent); };
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i)
        if (std::isfinite(values[i]))
            sum += scaled(values[i]);
    const double shift = sum / static_cast<double>(moments.n);
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    double s4 = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        if (!std::isfinite(values[i]))
            continue;
        const double d = scaled(values[i]) - shift;
        const double d2 = d * d;
        s1 += d;
        s2 += d2;
        s3 += d2 * d;
        s4 += d2 * d2;
    }
    centre(moments, shift, s1, s2, s3, s4);
    return moments;
}

PowerSums powerSums(Dtype dtype, const std::byte* data, std::int64_t first, std::int64_t count)
{
    switch (dtype) {
    case Dtype::f64:
        return powerSumsF64(data + first * 8, count);
    case Dtype::f32:
        return powerSumsF32(data + first * 4, count);
    case Dtype::f16:
        return powerSumsF16(data + first * 2, count);
    case Dtype::bf16:
        return powerSumsBf16(data + first * 2, count);
    case Dtype::i64:
    case Dtype::u64:
    case Dtype::i32:
    case Dtype::u32: {
        std::array<double, kStatisticsChunk> values;
        decode(dtype, data, first, count, values.data());
        return powerSumsF64(reinterpret_cast<const std::byte*>(values.data()), count);
    }
    default: {
        std::array<float, kStatisticsChunk> values;
        decode(dtype, data, first, count, values.data());
        return powerSumsF32(reinterpret_cast<const std::byte*>(values.data()), count);
    }
    }
}

Moments chunkMoments(const TensorView& tensor, std::int64_t first, std::int64_t count)
{
    const PowerSums sums = powerSums(tensor.dtype, tensor.data, first, count);
    const double absmax = std::max(-sums.min, sums.max);
    const bool plain = std::isfinite(sums.sum4) && (tensor.dtype != Dtype::f64 || absmax == 0 ||
                                                    (absmax >= kLeastUnscaled && absmax <= kLargestUnscaled));
    if (!plain) {
        std::array<double, kStatisticsChunk> values;
        decode(tensor.dtype, tensor.data, first, count, values.data());
        return carefulMoments(values.data(), count);
    }
    Moments moments;
    moments.n = count;
    moments.zeros = sums.zeros;
    moments.min = sums.min;
    moments.max = sums.max;
    if (absmax == 0)
        return moments;
    moments.exponent = 0;
    centre(moments, sums.shift, sums.sum1, sums.sum2, sums.sum3, sums.sum4);
    return moments;
}

/// The figures of a tensor of that many elements.
TensorStatistics statisticsOf(const Moments& moments, std::int64_t count)
{
    TensorStatistics result;
    result.count = count;
    result.nan = moments.nan;
    result.inf = moments.inf;
    result.zeros = moments.zeros;
    if (moments.n == 0)
        return result;
    const double n = static_cast<double>(moments.n);
    result.min = moments.min;
    result.max = moments.max;
    result.absmax = std::max(std::fabs(moments.min), std::fabs(moments.max));
    if (moments.min == moments.max) { // rounding of sums must not show as spread
        result.mean = moments.min;
        result.std = 0;
        result.l2 = result.absmax * std::sqrt(n);
        return result;
    }
    result.mean = std::ldexp(moments.mean, moments.exponent);
    result.std = std::ldexp(std::sqrt(moments.m2 / n), moments.exponent);
    result.l2 = std::ldexp(std::sqrt(moments.m2 + n * moments.mean * moments.mean), moments.exponent);
    if (moments.m2 > 0)
        result.kurtosis = moments.m4 / moments.m2 / (moments.m2 / n);
    return result;
}

} // namespace

double TensorStatistics::crestFactor() const
{
    const double n = static_cast<double>(finite());
    return absmax / (l2 / std::sqrt(n));
}

Result<std::vector<TensorStatistics>> computeStatistics(std::span<const TensorView> tensors, const JobContext& context)
{
    constexpr std::int64_t kPart = kChunksPerPart * kStatisticsChunk;
    struct Part {
        std::size_t tensor;
        std::int64_t begin, end;
        Moments moments;
    };
    std::vector<Part> parts;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (!isDecodable(tensors[i].dtype))
            return badInput("statistics of " + std::string(info(tensors[i].dtype).word) +
                            " tensors are not available; convert the tensor to a real number type");
        const std::int64_t count = tensors[i].numel();
        context.progress().addTotal(count);
        for (std::int64_t begin = 0; begin < count; begin += kPart)
            parts.push_back({i, begin, std::min(count, begin + kPart), {}});
    }
    QL_CHECK(parallelFor(context, std::ssize(parts), 1, [&](std::int64_t index, std::int64_t) {
        Part& part = parts[static_cast<std::size_t>(index)];
        for (std::int64_t first = part.begin; first < part.end; first += kStatisticsChunk)
            part.moments.merge(chunkMoments(tensors[part.tensor], first, std::min(kStatisticsChunk, part.end - first)));
        context.progress().addDone(part.end - part.begin);
    }));
    std::vector<Moments> moments(tensors.size());
    for (const Part& part : parts)
        moments[part.tensor].merge(part.moments);
    std::vector<TensorStatistics> statistics;
    for (std::size_t i = 0; i < tensors.size(); ++i)
        statistics.push_back(statisticsOf(moments[i], tensors[i].numel()));
    return statistics;
}

Result<TensorStatistics> computeStatistics(const TensorView& tensor, const JobContext& context)
{
    QL_TRY(statistics, computeStatistics(std::span(&tensor, 1), context));
    return statistics.front();
}

} // namespace ql
