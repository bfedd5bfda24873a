// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/channel_map.h"

#include "core/jobs/parallel.h"
#include "core/transforms/hadamard_matrix.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kGrain = 1 << 16; // elements

/// G ← A(A(G)ᵀ), by rows of G and then by columns; A is change(row, scratch).
template<typename Change>
Result<std::vector<double>> mappedGram(std::int64_t n, const Change& change, const std::vector<double>& gram,
                                       const JobContext& context)
{
    QL_CHECK(context.checkMemory(2 * n * n * 8, "a Gram matrix"));
    std::vector<double> half(gram.size());
    std::vector<double> whole(gram.size());
    const auto apply = [&](const std::vector<double>& from, std::vector<double>& to) {
        // Rows of a symmetric matrix and, the second time, the columns of what became of its rows.
        return parallelFor(context, n, std::max<std::int64_t>(1, kGrain / n),
                           [&](std::int64_t begin, std::int64_t end) {
                               std::vector<double> row(static_cast<std::size_t>(n));
                               std::vector<double> scratch(row.size());
                               for (std::int64_t r = begin; r < end; ++r) {
                                   for (std::int64_t c = 0; c < n; ++c)
                                       row[static_cast<std::size_t>(c)] = from[static_cast<std::size_t>(c * n + r)];
                                   change(row.data(), scratch.data());
                                   std::ranges::copy(row, to.begin() + r * n);
                               }
                           });
    };
    QL_CHECK(apply(gram, half));
    QL_CHECK(apply(half, whole));
    // Of the two roundings of each pair one is taken, so that the result is symmetric as it must be.
    QL_CHECK(parallelFor(context, n, std::max<std::int64_t>(1, kGrain / n), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r)
            for (std::int64_t c = 0; c < r; ++c)
                whole[static_cast<std::size_t>(c * n + r)] = whole[static_cast<std::size_t>(r * n + c)];
    }));
    return whole;
}

/// Those of x, put into `made`. Outputs that change leave a token's weight in the loss as it was.
Result<void> mapGrams(const ChannelMap& map, const ActivationStatistics& x, ActivationStatistics& made,
                      const JobContext& context)
{
    const auto change = [&](double* row, double* scratch) { map.apply(row, scratch); };
    if (!x.gram.empty()) {
        QL_TRY(gram, mappedGram(map.size(), change, x.gram, context));
        made.gram = std::move(gram);
    }
    if (!x.lossGram.empty()) {
        QL_TRY(gram, mappedGram(map.size(), change, {x.lossGram.begin(), x.lossGram.end()}, context));
        made.lossGram.assign(gram.begin(), gram.end());
    }
    return {};
}

class Scale final : public ChannelMap {
public:
    explicit Scale(std::vector<double> s) : ChannelMap(std::ssize(s)), m_s(std::move(s)) {}

    void apply(double* x, double*) const override
    {
        for (std::size_t j = 0; j < m_s.size(); ++j)
            x[j] = m_s[j] == 0 ? 0 : x[j] / m_s[j];
    }
    void applyToReader(double* w, double*) const override
    {
        for (std::size_t j = 0; j < m_s.size(); ++j)
            w[j] *= m_s[j];
    }
    void applyToReaderSquares(double* squares, double*) const override
    {
        for (std::size_t j = 0; j < m_s.size(); ++j)
            squares[j] = m_s[j] == 0 ? 0 : squares[j] / (m_s[j] * m_s[j]);
    }
    void applyToWriterSquares(double* squares, double*) const override
    {
        for (std::size_t j = 0; j < m_s.size(); ++j)
            squares[j] *= m_s[j] * m_s[j];
    }

    Result<ActivationStatistics> statistics(const ActivationStatistics& x, const JobContext& context) const override
    {
        ActivationStatistics made = x;
        made.histogram.clear(); // channels moved against each other
        made.histogramMin = made.histogramMax = 0;
        QL_CHECK(mapGrams(*this, x, made, context));
        const auto divided = [&](std::vector<double>& values) {
            if (!values.empty())
                apply(values.data(), nullptr);
        };
        divided(made.channelMin);
        divided(made.channelMax);
        divided(made.channelRms);
        for (std::size_t j = 0; j < made.channelMin.size(); ++j)
            if (made.channelMin[j] > made.channelMax[j]) // a negative factor
                std::swap(made.channelMin[j], made.channelMax[j]);
        for (double& rms : made.channelRms)
            rms = std::fabs(rms);
        return made;
    }
    ChannelMapPtr part(std::int64_t first, std::int64_t count) const override
    {
        return scaleMap({m_s.begin() + first, m_s.begin() + first + count});
    }

private:
    std::vector<double> m_s;
};

class Permutation final : public ChannelMap {
public:
    explicit Permutation(std::vector<std::int64_t> order) : ChannelMap(std::ssize(order)), m_order(std::move(order)) {}

    void apply(double* x, double* scratch) const override
    {
        std::copy_n(x, m_order.size(), scratch);
        for (std::size_t j = 0; j < m_order.size(); ++j)
            x[j] = scratch[m_order[j]];
    }
    void applyToReader(double* w, double* scratch) const override { apply(w, scratch); }
    void applyToReaderSquares(double* squares, double* scratch) const override { apply(squares, scratch); }
    void applyToWriterSquares(double* squares, double* scratch) const override { apply(squares, scratch); }

    Result<ActivationStatistics> statistics(const ActivationStatistics& x, const JobContext& context) const override
    {
        ActivationStatistics made = x; // the histogram is of all channels
        QL_CHECK(mapGrams(*this, x, made, context));
        std::vector<double> scratch(m_order.size());
        for (std::vector<double>* values : {&made.channelMin, &made.channelMax, &made.channelRms})
            if (!values->empty())
                apply(values->data(), scratch.data());
        return made;
    }
    ChannelMapPtr part(std::int64_t first, std::int64_t count) const override
    {
        std::vector<std::int64_t> order(m_order.begin() + first, m_order.begin() + first + count);
        for (std::int64_t& channel : order) {
            channel -= first;
            if (channel < 0 || channel >= count)
                return nullptr;
        }
        return permutationMap(std::move(order));
    }

private:
    std::vector<std::int64_t> m_order;
};

class Rotation final : public ChannelMap {
public:
    Rotation(std::int64_t size, std::int64_t first, std::int64_t block, std::vector<double> signs)
        : ChannelMap(size), m_first(first), m_block(block), m_hadamard(block), m_signs(std::move(signs))
    {}

    void apply(double* x, double* scratch) const override
    {
        const double factor = 1 / std::sqrt(static_cast<double>(m_block));
        double* from = x + m_first;
        for (std::size_t j = 0; j < m_signs.size(); ++j)
            from[j] *= m_signs[j] * factor;
        for (std::int64_t at = 0; at < std::ssize(m_signs); at += m_block)
            m_hadamard.multiply(from + at, scratch);
    }
    void applyToReader(double* w, double* scratch) const override { apply(w, scratch); }
    void applyToReaderSquares(double* squares, double*) const override { average(squares); }
    void applyToWriterSquares(double* squares, double*) const override { average(squares); }

    Result<ActivationStatistics> statistics(const ActivationStatistics& x, const JobContext& context) const override
    {
        ActivationStatistics made;
        made.in = x.in;
        made.tokens = x.tokens;
        made.outputGram = x.outputGram;
        if (x.gram.empty())
            return made; // without products of channels nothing is known of their sums
        QL_CHECK(mapGrams(*this, x, made, context));
        const auto tokens = static_cast<double>(std::max<std::int64_t>(1, x.tokens));
        for (std::int64_t j = 0; j < made.in; ++j)
            made.channelRms.push_back(
                std::sqrt(std::max(0.0, made.gram[static_cast<std::size_t>(j * made.in + j)]) / tokens));
        return made;
    }
    ChannelMapPtr part(std::int64_t first, std::int64_t count) const override
    {
        const std::int64_t begin = std::clamp<std::int64_t>(first - m_first, 0, std::ssize(m_signs));
        const std::int64_t end = std::clamp<std::int64_t>(first + count - m_first, 0, std::ssize(m_signs));
        if (begin % m_block != 0 || end % m_block != 0)
            return nullptr;
        return rotationMap(count, std::clamp<std::int64_t>(m_first - first, 0, count), m_block,
                           {m_signs.begin() + begin, m_signs.begin() + end});
    }

private:
    void average(double* squares) const
    {
        for (std::int64_t at = 0; at < std::ssize(m_signs); at += m_block) {
            double* const block = squares + m_first + at;
            double sum = 0;
            for (std::int64_t j = 0; j < m_block; ++j)
                sum += block[j];
            std::fill_n(block, m_block, sum / static_cast<double>(m_block));
        }
    }

    std::int64_t m_first, m_block;
    HadamardMatrix m_hadamard;
    std::vector<double> m_signs;
};

} // namespace

Result<std::vector<float>> ChannelMap::derivativeGram(const std::vector<float>& gram, const JobContext& context) const
{
    const auto change = [this](double* row, double* scratch) { applyToReader(row, scratch); };
    QL_TRY(made, mappedGram(m_size, change, {gram.begin(), gram.end()}, context));
    return std::vector<float>(made.begin(), made.end());
}

ChannelMapPtr scaleMap(std::vector<double> s)
{
    return std::make_shared<Scale>(std::move(s));
}

ChannelMapPtr permutationMap(std::vector<std::int64_t> order)
{
    return std::make_shared<Permutation>(std::move(order));
}

ChannelMapPtr rotationMap(std::int64_t size, std::int64_t first, std::int64_t block, std::vector<double> signs)
{
    return std::make_shared<Rotation>(size, first, block, std::move(signs));
}

} // namespace ql
