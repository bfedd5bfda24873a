// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/gradient_sums.h"
#include "core/calibration/gram_sums.h"
#include "core/jobs/parallel.h"
#include "core/model/graph/row_kernels.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kPiece = 1 << 20; // of sums, between two stop tests

class LossGramSums final : public GradientSums {
public:
    explicit LossGramSums(LayerLossGram kept)
        : m_gram(std::move(kept)), m_sums(static_cast<std::size_t>(m_gram.parts * LayerLossGram::halfSize(m_gram.in)))
    {}

    Result<void> widen(const JobContext& context)
    {
        return parallelFor(context, std::ssize(m_gram.sums), kPiece, [&](std::int64_t begin, std::int64_t end) {
            std::copy(m_gram.sums.begin() + begin, m_gram.sums.begin() + end, m_sums.begin() + begin);
        });
    }

    Result<void> add(std::span<const WeightUse<float>> uses, const JobContext& context) override
    {
        for (const WeightUse<float>& use : uses)
            if (use.input && use.input.rows() > 0 && use.input.width() == m_gram.in)
                QL_CHECK(add(use, context));
        return {};
    }

    Result<std::vector<std::byte>> piece(std::int64_t windows, std::int64_t tokens, const CounterRng&,
                                         const JobContext& context) override
    {
        m_gram.windows = windows;
        m_gram.tokens = tokens;
        m_gram.sums.resize(m_sums.size());
        QL_CHECK(parallelFor(context, std::ssize(m_sums), kPiece, [&](std::int64_t begin, std::int64_t end) {
            std::transform(m_sums.begin() + begin, m_sums.begin() + end, m_gram.sums.begin() + begin,
                           [](double sum) { return static_cast<float>(sum); });
        }));
        return m_gram.encode();
    }

private:
    /// Each token √c·x, so that the products of these add up to G.
    Result<void> add(const WeightUse<float>& use, const JobContext& context)
    {
        const std::int64_t in = m_gram.in;
        const std::int64_t tokens = use.input.rows();
        const std::int64_t out = use.outputGradient.width();
        graph::Array<float> weighted({tokens, in});
        float* const rows = weighted.write();
        constexpr std::int64_t kGrain = 32; // tokens
        QL_CHECK(parallelFor(context, tokens, kGrain, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t t = begin; t < end; ++t) {
                const float* gradient = use.outputGradient.data() + t * out;
                double squares = 0;
                for (std::int64_t r = 0; r < out; ++r)
                    squares += static_cast<double>(gradient[r]) * static_cast<double>(gradient[r]);
                const auto root = static_cast<float>(std::sqrt(squares / static_cast<double>(out)));
                const float* x = use.input.data() + t * in;
                for (std::int64_t i = 0; i < in; ++i)
                    rows[t * in + i] = root * x[i];
            }
        }));
        double* const half = m_sums.data() + use.firstRow / out * LayerLossGram::halfSize(in);
        return parallelFor(context, in, kGramStrip, [&](std::int64_t begin, std::int64_t end) {
            addToHalf(rows, tokens, in, begin, end, half, context);
        });
    }

    LayerLossGram m_gram;
    std::vector<double> m_sums;
};

} // namespace

Result<std::unique_ptr<GradientSums>> lossGramSums(LayerLossGram kept, const JobContext& context)
{
    const std::int64_t size = kept.parts * LayerLossGram::halfSize(kept.in);
    QL_CHECK(context.checkMemory(12 * size, "a loss-weighted Gram matrix"));
    auto sums = std::make_unique<LossGramSums>(std::move(kept));
    QL_CHECK(sums->widen(context));
    return std::unique_ptr<GradientSums>(std::move(sums));
}

} // namespace ql
