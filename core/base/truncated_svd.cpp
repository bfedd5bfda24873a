// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/truncated_svd.h"

#include "core/base/checked.h"
#include "core/base/matrix_product.h"
#include "core/base/one_blas_thread.h"
#include "core/base/rng.h"
#include "core/base/sum.h"

#include <lapack.h>

#include <algorithm>
#include <cassert>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kWhole = 256; // the shorter side up to which all eigenvectors are computed
constexpr std::int64_t kExtra = 8;   // vectors of a block beside those that are wanted
constexpr int kRestarts = 24;

using Values = std::vector<double>;

std::size_t size(std::int64_t rows, std::int64_t cols)
{
    return static_cast<std::size_t>(rows * cols);
}

Error failed(const char* what)
{
    return badInput(std::string("LAPACK cannot ") + what + "; are there weights or inputs that are no numbers?");
}

/// ‖A‖².
Result<double> sumOfSquares(const double* a, std::int64_t count, const TileRunner& run)
{
    constexpr std::int64_t kChunk = 65536;
    std::vector<CompensatedSum> parts(static_cast<std::size_t>(ceilDiv(count, kChunk)));
    QL_CHECK(run(std::ssize(parts), [&](std::int64_t chunk) {
        for (std::int64_t i = chunk * kChunk; i < std::min(count, (chunk + 1) * kChunk); ++i)
            parts[static_cast<std::size_t>(chunk)].add(a[i] * a[i]);
    }));
    CompensatedSum sum;
    for (const CompensatedSum& part : parts)
        sum.merge(part);
    return sum.value();
}

/// Eigenvalues, rising, and eigenvectors, as rows, of a symmetric T[n, n], which they replace.
Result<Values> eigenvectors(Values& t, std::int64_t n)
{
    const auto order = checkedCast<lapack_int>(n);
    Values values(static_cast<std::size_t>(n));
    lapack_int info = 0;
    double work = 0;
    lapack_int intWork = 0;
    constexpr lapack_int kAsk = -1;
    LAPACK_dsyevd("V", "U", &order, t.data(), &order, values.data(), &work, &kAsk, &intWork, &kAsk, &info);
    Values space(static_cast<std::size_t>(work));
    std::vector<lapack_int> intSpace(static_cast<std::size_t>(intWork));
    const auto length = checkedCast<lapack_int>(std::ssize(space));
    LAPACK_dsyevd("V", "U", &order, t.data(), &order, values.data(), space.data(), &length, intSpace.data(), &intWork,
                  &info);
    if (info != 0)
        return failed("find the eigenvectors of a small matrix");
    return values;
}

/// Makes the rows of Q[count, n] orthonormal, count ≤ n.
Result<void> orthonormalize(double* q, std::int64_t count, std::int64_t n)
{
    const auto rows = checkedCast<lapack_int>(n); // of the transpose, as LAPACK sees it
    const auto cols = checkedCast<lapack_int>(count);
    Values factors(static_cast<std::size_t>(count));
    Values work(size(count, 64));
    const auto length = checkedCast<lapack_int>(std::ssize(work));
    lapack_int info = 0;
    LAPACK_dgeqrf(&rows, &cols, q, &rows, factors.data(), work.data(), &length, &info);
    if (info == 0)
        LAPACK_dorgqr(&rows, &cols, &cols, q, &rows, factors.data(), work.data(), &length, &info);
    return info == 0 ? Result<void>() : Result<void>(failed("make vectors orthonormal"));
}

/// M[m, n]: A or its transpose, whichever has fewer rows.
class Flat {
public:
    Flat(const double* a, std::int64_t rows, std::int64_t cols, const TileRunner& run)
        : m_a(a), m_cols(cols), m_turned(rows > cols), m_m(std::min(rows, cols)), m_n(std::max(rows, cols)), m_run(run)
    {}

    std::int64_t m() const { return m_m; }
    std::int64_t n() const { return m_n; }
    bool turned() const { return m_turned; }
    const TileRunner& run() const { return m_run; }

    /// out[count, n] = q[count, m]·M.
    Result<void> times(const double* q, std::int64_t count, double* out) const
    {
        return product(q, count, m_m, m_n, m_turned, out);
    }
    /// out[count, m] = w[count, n]·Mᵀ.
    Result<void> timesTransposed(const double* w, std::int64_t count, double* out) const
    {
        return product(w, count, m_n, m_m, !m_turned, out);
    }
    /// M·Mᵀ.
    Result<Values> square() const
    {
        Values out(size(m_m, m_m));
        QL_CHECK(multiply(MatrixProduct<double>{.rows = m_m,
                                                .cols = m_m,
                                                .depth = m_n,
                                                .a = m_a,
                                                .aStride = m_cols,
                                                .aTransposed = m_turned,
                                                .b = m_a,
                                                .bStride = m_cols,
                                                .bTransposed = !m_turned,
                                                .c = out.data(),
                                                .cStride = m_m},
                          m_run));
        return out;
    }

private:
    Result<void> product(const double* left, std::int64_t count, std::int64_t depth, std::int64_t cols, bool transposed,
                         double* out) const
    {
        return multiply(MatrixProduct<double>{.rows = count,
                                              .cols = cols,
                                              .depth = depth,
                                              .a = left,
                                              .aStride = depth,
                                              .b = m_a,
                                              .bStride = m_cols,
                                              .bTransposed = transposed,
                                              .c = out,
                                              .cStride = cols},
                        m_run);
    }

    const double* m_a;
    const std::int64_t m_cols;
    const bool m_turned;
    const std::int64_t m_m, m_n;
    const TileRunner& m_run;
};

/// out[count, width] = e[count, depth]·q[depth, width].
Result<Values> combine(const double* e, std::int64_t count, const Values& q, std::int64_t depth, std::int64_t width,
                       const TileRunner& run)
{
    Values out(size(count, width));
    QL_CHECK(multiply(MatrixProduct<double>{.rows = count,
                                            .cols = width,
                                            .depth = depth,
                                            .a = e,
                                            .aStride = depth,
                                            .b = q.data(),
                                            .bStride = width,
                                            .c = out.data(),
                                            .cStride = width},
                      run));
    return out;
}

/// The basis Q[k, m] with W = Q·M[k, n], orthonormal rows that grow block by block.
class Krylov {
public:
    Krylov(const Flat& matrix, std::int64_t rank, double squares, double enough)
        : m_matrix(matrix),
          m_rank(rank),
          m_block(std::min(matrix.m(), rank + kExtra)),
          m_most(std::min(matrix.m(), std::max(kWhole, 3 * m_block))),
          m_squares(squares),
          m_enough(enough)
    {}

    /// The best rank rows of the basis: Q[rank, m].
    Result<Values> find()
    {
        const CounterRng random(0x5eed);
        Values next(size(m_block, m_matrix.m()));
        for (std::size_t i = 0; i < next.size(); ++i)
            next[i] = random.normal(i);
        double captured = 0;
        for (int restart = 0; restart <= kRestarts; ++restart) {
            while (m_count < m_most) {
                const std::int64_t first = m_count;
                QL_CHECK(grow(std::move(next)));
                QL_CHECK(solve());
                const double before = captured;
                captured = 0;
                for (std::int64_t i = 0; i < m_rank; ++i)
                    captured += m_values[static_cast<std::size_t>(m_count - 1 - i)];
                if (m_count == m_matrix.m() || (first > 0 && captured - before <= m_enough * m_squares))
                    return best(m_rank, m_basis, m_matrix.m());
                next = Values(size(m_count - first, m_matrix.m()));
                QL_CHECK(
                    m_matrix.timesTransposed(m_images.data() + first * m_matrix.n(), m_count - first, next.data()));
            }
            QL_CHECK(shrink());
            next = Values(size(m_count, m_matrix.m()));
            QL_CHECK(m_matrix.timesTransposed(m_images.data(), m_count, next.data()));
        }
        return Values(m_basis.end() - m_rank * m_matrix.m(), m_basis.end()); // of those that were kept, rising
    }

private:
    /// Takes what of the rows is not in the basis into it.
    Result<void> grow(Values rows)
    {
        const std::int64_t m = m_matrix.m();
        const std::int64_t n = m_matrix.n();
        const std::int64_t added = std::min(std::ssize(rows) / m, m_most - m_count);
        for (int pass = 0; pass < 2; ++pass) { // twice is enough
            if (m_count > 0)
                QL_CHECK(removeBasis(rows.data(), added));
            QL_CHECK(orthonormalize(rows.data(), added, m));
        }
        m_basis.insert(m_basis.end(), rows.begin(), rows.begin() + added * m);
        m_images.resize(size(m_count + added, n));
        QL_CHECK(m_matrix.times(rows.data(), added, m_images.data() + m_count * n));
        m_count += added;
        return {};
    }

    Result<void> removeBasis(double* rows, std::int64_t added) const
    {
        const std::int64_t m = m_matrix.m();
        Values overlap(size(added, m_count));
        QL_CHECK(multiply(MatrixProduct<double>{.rows = added,
                                                .cols = m_count,
                                                .depth = m,
                                                .a = rows,
                                                .aStride = m,
                                                .b = m_basis.data(),
                                                .bStride = m,
                                                .bTransposed = true,
                                                .c = overlap.data(),
                                                .cStride = m_count},
                          m_matrix.run()));
        return multiply(MatrixProduct<double>{.rows = added,
                                              .cols = m,
                                              .depth = m_count,
                                              .a = overlap.data(),
                                              .aStride = m_count,
                                              .b = m_basis.data(),
                                              .bStride = m,
                                              .c = rows,
                                              .cStride = m,
                                              .alpha = -1,
                                              .beta = 1},
                        m_matrix.run());
    }

    /// Eigenvalues and eigenvectors of W·Wᵀ.
    Result<void> solve()
    {
        const std::int64_t n = m_matrix.n();
        m_vectors = Values(size(m_count, m_count));
        QL_CHECK(multiply(MatrixProduct<double>{.rows = m_count,
                                                .cols = m_count,
                                                .depth = n,
                                                .a = m_images.data(),
                                                .aStride = n,
                                                .b = m_images.data(),
                                                .bStride = n,
                                                .bTransposed = true,
                                                .c = m_vectors.data(),
                                                .cStride = m_count},
                          m_matrix.run()));
        QL_TRY(values, eigenvectors(m_vectors, m_count));
        m_values = std::move(values);
        return {};
    }

    /// The combinations of rows with the largest eigenvalues, rising.
    Result<Values> best(std::int64_t count, const Values& of, std::int64_t width) const
    {
        return combine(m_vectors.data() + (m_count - count) * m_count, count, of, m_count, width, m_matrix.run());
    }

    Result<void> shrink()
    {
        QL_TRY(basis, best(m_block, m_basis, m_matrix.m()));
        QL_TRY(images, best(m_block, m_images, m_matrix.n()));
        m_basis = std::move(basis);
        m_images = std::move(images);
        m_count = m_block;
        return {};
    }

    const Flat& m_matrix;
    const std::int64_t m_rank, m_block, m_most;
    const double m_squares, m_enough;
    std::int64_t m_count = 0; // rows of the basis
    Values m_basis, m_images;
    Values m_vectors, m_values; // of W·Wᵀ
};

/// Rows of Q[rank, m] that span the best space, in any order.
Result<Values> bestRows(const Flat& matrix, std::int64_t rank, double squares, double enough)
{
    if (matrix.m() > kWhole)
        return Krylov(matrix, rank, squares, enough).find();
    QL_TRY(vectors, matrix.square());
    QL_CHECK(eigenvectors(vectors, matrix.m()));
    return Values(vectors.end() - rank * matrix.m(), vectors.end());
}

} // namespace

Result<TruncatedSvd> truncatedSvd(const double* a, std::int64_t rows, std::int64_t cols, std::int64_t rank,
                                  const TileRunner& run, double enough)
{
    assert(rank >= 0 && rank <= 128);
    TruncatedSvd svd{.rank = std::min({rank, rows, cols}), .left = {}, .values = {}, .right = {}};
    if (svd.rank == 0)
        return svd;
    const std::int64_t r = svd.rank;
    useOneBlasThread();
    QL_TRY(squares, sumOfSquares(a, rows * cols, run));
    const Flat matrix(a, rows, cols, run);
    QL_TRY(basis, bestRows(matrix, r, squares, enough));
    // Once more within that space, so that the values are those of its images and not roots of sums.
    Values images(size(r, matrix.n()));
    QL_CHECK(matrix.times(basis.data(), r, images.data()));
    QL_TRY(inner, (Flat(images.data(), r, matrix.n(), run).square()));
    QL_CHECK(eigenvectors(inner, r));
    QL_TRY(q, combine(inner.data(), r, basis, r, matrix.m(), run));
    QL_TRY(w, combine(inner.data(), r, images, r, matrix.n(), run));
    svd.left.resize(size(rows, r));
    svd.right.resize(size(r, cols));
    for (std::int64_t k = 0; k < r; ++k) {
        const std::int64_t from = r - 1 - k; // eigenvalues rise
        const double* qk = q.data() + from * matrix.m();
        const double* wk = w.data() + from * matrix.n();
        CompensatedSum sum;
        for (std::int64_t i = 0; i < matrix.n(); ++i)
            sum.add(wk[i] * wk[i]);
        const double value = std::sqrt(sum.value());
        svd.values.push_back(value);
        const double scale = value > 0 ? 1 / value : 0;
        for (std::int64_t i = 0; i < rows; ++i)
            svd.left[size(i, r) + static_cast<std::size_t>(k)] = matrix.turned() ? wk[i] * scale : qk[i];
        for (std::int64_t j = 0; j < cols; ++j)
            svd.right[size(k, cols) + static_cast<std::size_t>(j)] = matrix.turned() ? qk[j] : wk[j] * scale;
    }
    return svd;
}

} // namespace ql
