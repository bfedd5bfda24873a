// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/weight_use.h"

#include "core/base/matrix_product.h"
#include "core/jobs/parallel_sum.h"
#include "core/model/graph/row_kernels.h"

#include <algorithm>
#include <mutex>
#include <tuple>

namespace ql {

namespace {

using graph::Array;

// 2·256·512·2048 operations between two stop tests: 10 ms.
constexpr std::int64_t kTileRows = 256;
constexpr std::int64_t kTileColumns = 512;
constexpr std::int64_t kTileTokens = 2048;

template<typename T>
using Uses = std::vector<const WeightUse<T>*>;
template<typename T>
using Take = std::function<void(const GradientTile<T>&)>;

/// Σ leftᵀ·right over uses of the same rows.
template<typename T>
Result<void> products(const Uses<T>& uses, const Take<T>& take, const JobContext& context)
{
    const std::int64_t rows = uses.front()->left.width();
    const std::int64_t columns = uses.front()->right.width();
    const std::int64_t down = ceilDiv(rows, kTileRows);
    const std::int64_t across = ceilDiv(columns, kTileColumns);
    return parallelFor(context, down * across, 1, [&](std::int64_t task, std::int64_t) -> Result<void> {
        const std::int64_t row = rows * (task % down) / down;
        const std::int64_t column = columns * (task / down) / across;
        const std::int64_t rowCount = rows * (task % down + 1) / down - row;
        const std::int64_t columnCount = columns * (task / down + 1) / across - column;
        const auto sum = std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(rowCount * columnCount));
        T beta = 0;
        for (const WeightUse<T>* use : uses)
            for (std::int64_t token = 0; token < use->right.rows(); token += kTileTokens) {
                QL_CHECK(context.checkStop());
                multiply(MatrixProduct<T>{.rows = rowCount,
                                          .cols = columnCount,
                                          .depth = std::min(kTileTokens, use->right.rows() - token),
                                          .a = use->left.data() + token * rows + row,
                                          .aStride = rows,
                                          .aTransposed = true,
                                          .b = use->right.data() + token * columns + column,
                                          .bStride = columns,
                                          .c = sum.get(),
                                          .cStride = columnCount,
                                          .beta = std::exchange(beta, T{1})});
            }
        take({uses.front()->firstRow + row, rowCount, column, columnCount, sum.get()});
        return {};
    });
}

/// Rows that several tokens look up are summed in the order of the tokens.
template<typename T>
Result<void> tables(const Uses<T>& uses, const Take<T>& take, const JobContext& context)
{
    const std::int64_t width = uses.front()->right.width();
    std::map<std::int64_t, std::vector<const T*>> rowsOf;
    for (const WeightUse<T>* use : uses)
        for (std::int64_t t = 0; t < use->ids.numel(); ++t)
            rowsOf[use->ids.data()[t]].push_back(use->right.data() + t * width);
    const std::vector<std::pair<std::int64_t, std::vector<const T*>>> rows(rowsOf.begin(), rowsOf.end());
    return parallelFor(context, std::ssize(rows), graph::rowGrain(width), [&](std::int64_t begin, std::int64_t end) {
        std::vector<T> sum(static_cast<std::size_t>(width));
        for (std::int64_t i = begin; i < end; ++i) {
            const auto& [id, parts] = rows[static_cast<std::size_t>(i)];
            std::fill(sum.begin(), sum.end(), T{0});
            for (const T* part : parts)
                graph::addTo(sum.data(), part, width);
            take({id, 1, 0, width, sum.data()});
        }
    });
}

template<typename T>
Result<void> whole(const Array<T>& dw, const Take<T>& take, const JobContext& context)
{
    const std::int64_t columns = dw.numel() / std::max<std::int64_t>(1, dw.shape().front());
    return parallelFor(context, dw.shape().front(), kTileRows, [&](std::int64_t begin, std::int64_t end) {
        take({begin, end - begin, 0, columns, dw.data() + begin * columns});
    });
}

} // namespace

template<typename T>
std::optional<WeightUse<T>> WeightUse<T>::factored(const graph::Node& node, const graph::Value<T>& input,
                                                   const graph::Array<T>& gradient)
{
    WeightUse use;
    if (node.op->id == "linear") {
        const bool transposed = node.integer("transposed", 0) != 0;
        use.left = transposed ? input.real : gradient;
        use.right = transposed ? gradient : input.real;
        use.input = input.real;
        use.outputGradient = gradient;
        use.firstRow = std::max<std::int64_t>(0, node.integer("expert", 0)) * use.left.width();
        return use;
    }
    if (node.op->id == "embedding") {
        use.ids = input.integers;
        use.right = gradient;
        const auto scale = static_cast<T>(node.number("scale", 1));
        if (scale != T{1})
            graph::scaleRow(gradient.data(), gradient.numel(), scale, T{0}, use.right.write());
        return use;
    }
    return std::nullopt;
}

template<typename T>
Result<void> forEachTile(std::span<const WeightUse<T>> uses, const Take<T>& take, const JobContext& context)
{
    std::map<std::int64_t, Uses<T>> byRow; // products
    Uses<T> lookUps;
    for (const WeightUse<T>& use : uses) {
        if (use.left && use.left.rows() > 0)
            byRow[use.firstRow].push_back(&use);
        else if (use.ids)
            lookUps.push_back(&use);
        else if (!use.left)
            QL_CHECK(whole(use.right, take, context));
    }
    for (const auto& [row, same] : byRow)
        QL_CHECK(products(same, take, context));
    return lookUps.empty() ? Result<void>() : tables(lookUps, take, context);
}

template<typename T>
Result<std::vector<double>> sumOverTiles(std::span<const WeightUse<T>> uses, std::size_t count,
                                         const std::function<void(const GradientTile<T>&, std::span<double>)>& take,
                                         const JobContext& context)
{
    struct Part {
        std::int64_t row = 0, column = 0;
        std::vector<double> numbers;
    };
    std::mutex mutex;
    std::vector<Part> parts; // in any order
    QL_CHECK(forEachTile<T>(
        uses,
        [&](const GradientTile<T>& tile) {
            Part part{.row = tile.row, .column = tile.column, .numbers = std::vector<double>(count)};
            take(tile, part.numbers);
            const std::lock_guard lock(mutex);
            parts.push_back(std::move(part));
        },
        context));
    std::ranges::sort(parts, [](const Part& a, const Part& b) {
        return std::tie(a.row, a.column, a.numbers) < std::tie(b.row, b.column, b.numbers);
    });
    std::vector<double> sums;
    for (std::size_t i = 0; i < count; ++i) {
        CompensatedSum sum;
        for (const Part& part : parts)
            sum.add(part.numbers[i]);
        sums.push_back(sum.value());
    }
    return sums;
}

#define QL_WEIGHT_USE(T)                                                                                               \
    template struct WeightUse<T>;                                                                                      \
    template Result<void> forEachTile<T>(std::span<const WeightUse<T>>,                                                \
                                         const std::function<void(const GradientTile<T>&)>&, const JobContext&);       \
    template Result<std::vector<double>> sumOverTiles<T>(                                                              \
        std::span<const WeightUse<T>>, std::size_t,                                                                    \
        const std::function<void(const GradientTile<T>&, std::span<double>)>&, const JobContext&);
QL_WEIGHT_USE(float)
QL_WEIGHT_USE(double)
#undef QL_WEIGHT_USE

} // namespace ql
