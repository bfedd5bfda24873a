// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/gradient_sums.h"
#include "core/jobs/parallel.h"
#include "core/model/graph/row_kernels.h"
#include "core/tensor/half.h"

#include <algorithm>

namespace ql {

namespace {

constexpr std::int64_t kPiece = 1 << 20; // of sums, between two stop tests

class FisherSums final : public GradientSums {
public:
    explicit FisherSums(LayerFisher kept)
        : m_fisher(std::move(kept)), m_squares(static_cast<std::size_t>(m_fisher.rows * m_fisher.columns))
    {}

    Result<void> widen(const JobContext& context)
    {
        return parallelFor(context, std::ssize(m_fisher.sums), kPiece, [&](std::int64_t begin, std::int64_t end) {
            const std::uint16_t* from = m_fisher.sums.data();
            std::transform(from + begin, from + end, m_squares.data() + begin, floatFromBf16);
        });
    }

    Result<void> add(std::span<const WeightUse<float>> uses, const JobContext& context) override
    {
        const std::int64_t columns = m_fisher.columns;
        QL_CHECK(forEachTile<float>(
            uses,
            [&](const GradientTile<float>& tile) {
                for (std::int64_t r = 0; r < tile.rows; ++r)
                    graph::addSquaresTo(m_squares.data() + (tile.row + r) * columns + tile.column,
                                        tile.data + r * tile.columns, tile.columns);
            },
            context));
        for (const WeightUse<float>& use : uses)
            if (use.outputGradient)
                QL_CHECK(addOutputs(use, context));
        return {};
    }

    Result<std::vector<std::byte>> piece(std::int64_t windows, std::int64_t tokens, const CounterRng& chance,
                                         const JobContext& context) override
    {
        m_fisher.windows = windows;
        m_fisher.tokens = tokens;
        QL_TRY(rounded, roundedByChance(m_squares, chance, context));
        m_fisher.sums = std::move(rounded);
        return m_fisher.encode();
    }

private:
    Result<void> addOutputs(const WeightUse<float>& use, const JobContext& context)
    {
        constexpr std::int64_t kColumns = 512;
        m_fisher.outputSquares.resize(static_cast<std::size_t>(m_fisher.rows));
        const graph::Array<float>& gradient = use.outputGradient;
        double* squares = m_fisher.outputSquares.data() + use.firstRow;
        return parallelFor(context, gradient.width(), kColumns, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t t = 0; t < gradient.rows(); ++t)
                graph::addSquaresTo(squares + begin, gradient.data() + t * gradient.width() + begin, end - begin);
        });
    }

    LayerFisher m_fisher;
    std::vector<float> m_squares;
};

} // namespace

Result<std::unique_ptr<GradientSums>> fisherSums(LayerFisher kept, const JobContext& context)
{
    auto sums = std::make_unique<FisherSums>(std::move(kept));
    QL_CHECK(sums->widen(context));
    return std::unique_ptr<GradientSums>(std::move(sums));
}

} // namespace ql
