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
    LossGramSums(LayerLossGram kept, bool ofOutputs)
        : m_gram(std::move(kept)),
          m_ofOutputs(ofOutputs),
          m_sums(static_cast<std::size_t>(m_gram.parts * LayerLossGram::halfSize(m_gram.in)))
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
            if (const graph::Array<float>& rows = m_ofOutputs ? use.outputGradient : use.input;
                use.input && rows.rows() > 0 && rows.width() == m_gram.in)
                QL_CHECK(add(use, m_ofOutputs ? use.outputGradient.data() : nullptr, context));
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
    /// The products of `rows`; where that is null, of each token's √c·x, which add up to G.
    Result<void> add(const WeightUse<float>& use, const float* rows, const JobContext& context)
    {
        const std::int64_t in = m_gram.in;
        const std::int64_t tokens = use.input.rows();
        const std::int64_t out = use.outputGradient.width();
        graph::Array<float> weighted;
        if (!rows) {
            weighted = graph::Array<float>({tokens, in});
            QL_CHECK(weigh(use, weighted.write(), context));
            rows = weighted.data();
        }
        double* const half = m_sums.data() + use.firstRow / out * LayerLossGram::halfSize(in);
        return parallelFor(context, in, kGramStrip, [&](std::int64_t begin, std::int64_t end) {
            addToHalf(rows, tokens, in, begin, end, half, context);
        });
    }

    static Result<void> weigh(const WeightUse<float>& use, float* rows, const JobContext& context)
    {
        const std::int64_t in = use.input.width();
        const std::int64_t out = use.outputGradient.width();
        constexpr std::int64_t kGrain = 32; // tokens
        return parallelFor(context, use.input.rows(), kGrain, [&](std::int64_t begin, std::int64_t end) {
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
        });
    }

    LayerLossGram m_gram;
    bool m_ofOutputs;
    std::vector<double> m_sums;
};

Result<std::unique_ptr<GradientSums>> makeSums(LayerLossGram kept, bool ofOutputs, const JobContext& context)
{
    const std::int64_t size = kept.parts * LayerLossGram::halfSize(kept.in);
    QL_CHECK(context.checkMemory(12 * size, "a Gram matrix of the loss"));
    auto sums = std::make_unique<LossGramSums>(std::move(kept), ofOutputs);
    QL_CHECK(sums->widen(context));
    return std::unique_ptr<GradientSums>(std::move(sums));
}

} // namespace

Result<std::unique_ptr<GradientSums>> lossGramSums(LayerLossGram kept, const JobContext& context)
{
    return makeSums(std::move(kept), false, context);
}

Result<std::unique_ptr<GradientSums>> outputGramSums(LayerLossGram kept, const JobContext& context)
{
    return makeSums(std::move(kept), true, context);
}

} // namespace ql
