// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/sign_groups.h"

#include "core/formats/quantized_tensor.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr int kMostDims = 10;

double entropyTerm(double p)
{
    return p > 0 ? -p * std::log2(p) : 0;
}

/// h(σ(t)) in bits.
double binaryEntropy(double t)
{
    const double p = 1 / (1 + std::exp(-std::fabs(t)));
    const double q = std::exp(-std::fabs(t)) * p; // 1 − p without cancellation
    return entropyTerm(p) + entropyTerm(q);
}

double finiteOf(float weight)
{
    return std::isfinite(weight) ? static_cast<double>(weight) : 0;
}

/// Sums over vectors, by code of all d signs.
struct CodeSums {
    std::vector<double> counts, chances;
    double sampleBits = 0;
};

class SignCounter {
public:
    SignCounter(int dims, double factor) : m_dims(dims), m_factor(factor), m_chances(std::size_t{1} << dims) {}

    void add(const float* x, CodeSums& sums)
    {
        std::size_t code = 0;
        m_chances[0] = 1;
        for (int i = 0; i < m_dims; ++i) {
            const double t = m_factor * finiteOf(x[i]);
            const std::size_t bit = std::size_t{1} << i;
            code |= x[i] > 0 ? bit : 0;
            const double up = 1 / (1 + std::exp(-t));
            for (std::size_t c = 0; c < bit; ++c) {
                m_chances[c | bit] = m_chances[c] * up;
                m_chances[c] *= 1 - up;
            }
            sums.sampleBits += binaryEntropy(t);
        }
        sums.counts[code] += 1;
        for (std::size_t c = 0; c < m_chances.size(); ++c)
            sums.chances[c] += m_chances[c];
    }

private:
    int m_dims;
    double m_factor;
    std::vector<double> m_chances;
};

/// Sums of the codes whose bits [first, first + width) are equal.
std::vector<double> marginal(const std::vector<double>& sums, int first, int width)
{
    std::vector<double> out(std::size_t{1} << width);
    for (std::size_t code = 0; code < sums.size(); ++code)
        out[(code >> first) & (out.size() - 1)] += sums[code];
    return out;
}

double entropyOf(const std::vector<double>& sums, double total)
{
    double bits = 0;
    for (const double sum : sums)
        bits += entropyTerm(sum / total);
    return bits;
}

} // namespace

Result<SignUse> signUse(const TensorView& weights, int dims, double temperature, const JobContext& context)
{
    if (dims < 1 || dims > kMostDims || !(temperature > 0))
        return usageError("signs are counted in vectors of 1 to 10 at a temperature above 0");
    const MatrixShape matrix = matrixShape(weights.shape);
    const std::int64_t perRow = matrix.cols / dims;
    SignUse use{.dims = dims, .vectors = matrix.rows * perRow, .byGroups = {}};
    if (use.vectors == 0)
        return use;
    const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 21) >> dims);
    const std::size_t codes = std::size_t{1} << dims;
    const std::int64_t chunks = ceilDiv(use.vectors, grain);
    QL_CHECK(context.checkMemory(chunks * std::int64_t{16} * static_cast<std::int64_t>(codes), "counts of codes"));
    QL_TRY(squares, deterministicReduce(
                        context, weights.numel(), 65536, 0.0,
                        [&](std::int64_t begin, std::int64_t end) {
                            WeightTile tile(weights);
                            const float* w = tile.read(begin, end - begin);
                            double sum = 0;
                            for (std::int64_t i = 0; i < end - begin; ++i)
                                sum += finiteOf(w[i]) * finiteOf(w[i]);
                            return sum;
                        },
                        [](double& into, const double& next) { into += next; }));
    const double rms = std::sqrt(squares / static_cast<double>(weights.numel()));
    const double factor = rms > 0 ? 4 / (rms * temperature) : 0;
    context.progress().addTotal(use.vectors);
    QL_TRY(sums, deterministicReduce(
                     context, use.vectors, grain, CodeSums{},
                     [&](std::int64_t begin, std::int64_t end) {
                         CodeSums part{.counts = std::vector<double>(codes), .chances = std::vector<double>(codes)};
                         SignCounter counter(dims, factor);
                         WeightTile tile(weights);
                         for (std::int64_t v = begin; v < end;) { // what lies in one row
                             const std::int64_t n = std::min(end - v, perRow - v % perRow);
                             const float* x = tile.read(v / perRow * matrix.cols + v % perRow * dims, n * dims);
                             for (std::int64_t i = 0; i < n; ++i)
                                 counter.add(x + i * dims, part);
                             v += n;
                         }
                         context.progress().addDone(end - begin);
                         return part;
                     },
                     [codes](CodeSums& into, const CodeSums& next) {
                         into.counts.resize(codes);
                         into.chances.resize(codes);
                         for (std::size_t c = 0; c < codes; ++c) {
                             into.counts[c] += next.counts[c];
                             into.chances[c] += next.chances[c];
                         }
                         into.sampleBits += next.sampleBits;
                     }));
    const auto total = static_cast<double>(use.vectors);
    use.sampleBits = sums.sampleBits / total;
    for (int groups = 1; groups <= dims && dims % groups == 0; groups *= 2) {
        SignGroups found{.groups = groups};
        const int width = dims / groups;
        for (int g = 0; g < groups; ++g) {
            const std::vector<double> counts = marginal(sums.counts, g * width, width);
            found.usageBits += entropyOf(counts, total);
            found.batchBits += entropyOf(marginal(sums.chances, g * width, width), total);
            double used = 0;
            for (const double count : counts)
                used += count > 0 ? 1 : 0;
            found.utilisation += used / static_cast<double>(counts.size()) / groups;
        }
        use.byGroups.push_back(found);
    }
    return use;
}

} // namespace ql
