// SPDX-License-Identifier: GPL-3.0-or-later
// Products of matrices a[…, n, k]·b[…, k, m], as NumPy's matmul: the dimensions in front broadcast, a[k] counts as
// [1, k] and b[k] as [k, 1]. `transpose_a` and `transpose_b` swap the last two of an operand. For weights see linear.
#include "core/base/matrix_product.h"
#include "core/jobs/tiles.h"
#include "core/model/graph/indexing.h"

namespace ql::graph {

namespace {

struct Problem {
    Shape batch, out;
    Steps aSteps, bSteps; // in matrices
    std::int64_t n = 0, k = 0, m = 0;
    bool aTransposed = false, bTransposed = false;
};

template<typename C>
Result<Problem> problemOf(const C& call)
{
    Problem p;
    Shape a = call.real(0).shape();
    Shape b = call.real(1).shape();
    const auto error = [&] {
        return nodeError(call.node, "cannot multiply " + formatShape(call.real(0).shape()) + " by " +
                                        formatShape(call.real(1).shape()));
    };
    if (a.empty() || b.empty())
        return error();
    const bool aIsRow = a.size() == 1;
    const bool bIsColumn = b.size() == 1;
    if (aIsRow)
        a.insert(a.begin(), 1);
    if (bIsColumn)
        b.push_back(1);
    p.aTransposed = !aIsRow && call.node.integer("transpose_a", 0) != 0;
    p.bTransposed = !bIsColumn && call.node.integer("transpose_b", 0) != 0;
    const auto take = [](Shape& shape, bool transposed) {
        std::pair<std::int64_t, std::int64_t> sizes{shape[shape.size() - 2], shape.back()};
        if (transposed)
            std::swap(sizes.first, sizes.second);
        shape.resize(shape.size() - 2);
        return sizes;
    };
    const auto [n, k] = take(a, p.aTransposed);
    const auto [depth, m] = take(b, p.bTransposed);
    const auto batch = broadcastShape(a, b);
    if (k != depth || !batch)
        return error();
    p.n = n;
    p.k = k;
    p.m = m;
    p.batch = p.out = *batch;
    p.aSteps = broadcastSteps(a, *batch);
    p.bSteps = broadcastSteps(b, *batch);
    if (!aIsRow)
        p.out.push_back(n);
    if (!bIsColumn)
        p.out.push_back(m);
    return p;
}

/// Calls visit(i, a, b) for each product of matrices: their indices in the output, a and b.
template<typename Visit>
Result<void> forMatrices(const Problem& p, const Visit& visit)
{
    const RowCount count(p.batch);
    for (std::int64_t row = 0; row < count.rows; ++row) {
        Result<void> done;
        forRows<2>(p.batch, {&p.aSteps, &p.bSteps}, row, row + 1,
                   [&](std::int64_t i, const auto& at, std::int64_t length) {
                       for (std::int64_t c = 0; c < length && done; ++c)
                           done = visit(i + c, at[0] + c * lastOf(p.aSteps), at[1] + c * lastOf(p.bSteps));
                   });
        QL_CHECK(done);
    }
    return {};
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(p, problemOf(call));
    const T* a = call.real(0).data();
    const T* b = call.real(1).data();
    T* y = call.make(0, p.out);
    return forMatrices(p, [&](std::int64_t i, std::int64_t ai, std::int64_t bi) {
        return multiply(MatrixProduct<T>{.rows = p.n,
                                         .cols = p.m,
                                         .depth = p.k,
                                         .a = a + ai * p.n * p.k,
                                         .aStride = p.aTransposed ? p.n : p.k,
                                         .aTransposed = p.aTransposed,
                                         .b = b + bi * p.k * p.m,
                                         .bStride = p.bTransposed ? p.k : p.m,
                                         .bTransposed = p.bTransposed,
                                         .c = y + i * p.n * p.m,
                                         .cStride = p.m},
                        parallelTiles(call.context));
    });
}

/// With A and B as they enter the product: dA = dY·Bᵀ and dB = Aᵀ·dY, transposed again where the operand is; summed
/// over the batch, in order, where a matrix repeats.
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(p, problemOf(call));
    const T* a = call.real(0).data();
    const T* b = call.real(1).data();
    const T* dy = call.outputGradients[0].data();
    T* da = call.makeZeros(0);
    T* db = call.makeZeros(1);
    const TileRunner tiles = parallelTiles(call.context);
    return forMatrices(p, [&](std::int64_t i, std::int64_t ai, std::int64_t bi) -> Result<void> {
        const T* gradient = dy + i * p.n * p.m;
        // The gradient and the other operand; with a transposed result their places are swapped.
        const auto product = [&](T* to, std::int64_t rows, std::int64_t cols, std::int64_t depth, const T* other,
                                 std::int64_t otherStride, bool otherTransposed, bool gradientFirst,
                                 bool gradientTransposed) {
            MatrixProduct<T> task{.rows = rows, .cols = cols, .depth = depth, .c = to, .cStride = cols, .beta = 1};
            (gradientFirst ? task.a : task.b) = gradient;
            (gradientFirst ? task.aStride : task.bStride) = p.m;
            (gradientFirst ? task.aTransposed : task.bTransposed) = gradientTransposed;
            (gradientFirst ? task.b : task.a) = other;
            (gradientFirst ? task.bStride : task.aStride) = otherStride;
            (gradientFirst ? task.bTransposed : task.aTransposed) = otherTransposed;
            return multiply(task, tiles);
        };
        const T* aMatrix = a + ai * p.n * p.k;
        const T* bMatrix = b + bi * p.k * p.m;
        const std::int64_t aStride = p.aTransposed ? p.n : p.k;
        const std::int64_t bStride = p.bTransposed ? p.k : p.m;
        if (da && !p.aTransposed)
            QL_CHECK(product(da + ai * p.n * p.k, p.n, p.k, p.m, bMatrix, bStride, !p.bTransposed, true, false));
        if (da && p.aTransposed)
            QL_CHECK(product(da + ai * p.n * p.k, p.k, p.n, p.m, bMatrix, bStride, p.bTransposed, false, true));
        if (db && !p.bTransposed)
            QL_CHECK(product(db + bi * p.k * p.m, p.k, p.m, p.n, aMatrix, aStride, !p.aTransposed, false, false));
        if (db && p.bTransposed)
            QL_CHECK(product(db + bi * p.k * p.m, p.m, p.k, p.n, aMatrix, aStride, p.aTransposed, true, true));
        return {};
    });
}

} // namespace

QL_OPERATOR(matmul, "Matrix product", .required = 2)

} // namespace ql::graph
