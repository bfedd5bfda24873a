// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/outliers.h"

#include "core/analysis/decode_range.h"
#include "core/analysis/outlier_kernels.h"
#include "core/analysis/statistics.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

namespace ql {

namespace {

constexpr std::int64_t kLargestKept = std::int64_t{1} << 28U;
constexpr std::int64_t kCoarsest = 64;
constexpr std::int64_t kTileCols = 8192; // even, so that cells never straddle tiles
constexpr std::int64_t kTileElements = std::int64_t{1} << 18U;
constexpr std::int64_t kGrain = std::int64_t{1} << 18U;
constexpr std::int64_t kBlock = 2048;

Result<void> checkDecodable(const TensorView& tensor)
{
    if (isDecodable(tensor.dtype))
        return {};
    return badInput("outliers of " + std::string(info(tensor.dtype).word) +
                    " tensors are not available; convert the tensor to a real number type");
}

void raiseAll(float* into, const float* from, std::int64_t n)
{
    for (std::int64_t i = 0; i < n; ++i)
        into[i] = std::max(into[i], from[i]);
}

/// The levels of an empty pyramid, each of its final size.
void makeLevels(OutlierPyramid& pyramid)
{
    std::int64_t rows = pyramid.rows;
    std::int64_t cols = pyramid.cols;
    while (rows > kCoarsest || cols > kCoarsest) {
        rows = ceilDiv(rows, 2);
        cols = ceilDiv(cols, 2);
        PyramidLevel level;
        level.rows = rows;
        level.cols = cols;
        level.maxAbs.resize(static_cast<std::size_t>(rows * cols));
        pyramid.levels.push_back(std::move(level));
    }
}

/// Row pairs of one level into rows of the next.
Result<void> reduceLevel(const PyramidLevel& from, PyramidLevel& to, const JobContext& context)
{
    const std::int64_t grain = std::max<std::int64_t>(1, kTileElements / (4 * std::max<std::int64_t>(to.cols, 1)));
    return parallelFor(context, to.rows, grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
            const float* const top = from.maxAbs.data() + 2 * row * from.cols;
            const float* const bottom = 2 * row + 1 < from.rows ? top + from.cols : top;
            reduceCells(top, bottom, from.cols, to.maxAbs.data() + row * to.cols);
        }
    });
}

/// Magnitude in the order of outliers: NaN as +inf.
double magnitudeOf(double value)
{
    return std::isnan(value) ? std::numeric_limits<double>::infinity() : std::fabs(value);
}

struct Found {
    std::int64_t index = 0;
    double value = 0;
};
/// Larger magnitudes first, then earlier positions.
bool before(const Found& a, const Found& b)
{
    const double x = magnitudeOf(a.value);
    const double y = magnitudeOf(b.value);
    return x != y ? x > y : a.index < b.index;
}

struct Scan {
    std::int64_t count = 0;
    std::vector<Found> largest;
};

void keepLargest(std::vector<Found>& found, std::size_t limit)
{
    if (found.size() <= limit)
        return;
    std::nth_element(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(limit), found.end(), before);
    found.resize(limit);
}

/// One chunk. Candidates pile up to a few times the limit before the least are dropped.
template<typename T>
Scan scanChunk(const TensorView& tensor, std::int64_t begin, std::int64_t end, double threshold, std::size_t limit)
{
    Scan scan;
    double cut = -1; // what a value must exceed to be among the largest
    std::array<T, kBlock> block;
    for (std::int64_t first = begin; first < end; first += kBlock) {
        const std::int64_t count = std::min(kBlock, end - first);
        decodeRange(tensor, first, count, block.data());
        scan.count += countAbove(block.data(), count, threshold);
        if (limit == 0 || static_cast<double>(maxAbs(block.data(), count)) <= cut)
            continue;
        for (std::int64_t i = 0; i < count; ++i) {
            const auto value = static_cast<double>(block[static_cast<std::size_t>(i)]);
            if (magnitudeOf(value) <= cut)
                continue;
            scan.largest.push_back({first + i, value});
            if (scan.largest.size() >= 4 * limit + 64) {
                keepLargest(scan.largest, limit);
                cut = magnitudeOf(std::max_element(scan.largest.begin(), scan.largest.end(), before)->value);
            }
        }
    }
    keepLargest(scan.largest, limit);
    return scan;
}

} // namespace

Result<OutlierPyramid> computePyramid(const TensorView& tensor, const JobContext& context)
{
    QL_CHECK(checkDecodable(tensor));
    OutlierPyramid pyramid;
    const auto [rows, cols] = matrixShape(tensor.shape);
    pyramid.rows = rows;
    pyramid.cols = cols;
    const std::int64_t n = tensor.numel();
    if (n == 0)
        return pyramid;
    const bool kept = n <= kLargestKept;
    QL_CHECK(context.checkMemory((kept ? n * 4 : 0) + n / 3 * 4, "the outlier map"));
    if (kept)
        pyramid.values.resize(static_cast<std::size_t>(n));
    for (auto& [maxima, count] : {std::pair(&pyramid.rowMax, rows), std::pair(&pyramid.colMax, cols)}) {
        maxima->resize(static_cast<std::size_t>(count));
        QL_CHECK(parallelFor(context, count, kGrain, [&, into = maxima->data()](std::int64_t begin, std::int64_t end) {
            std::fill(into + begin, into + end, 0.0F);
        }));
    }
    makeLevels(pyramid);

    const std::int64_t tileCols = std::min(cols, kTileCols);
    const std::int64_t tileRows = std::min(rows, roundUp(kTileElements / roundUp(tileCols, 2), 2));
    const std::int64_t tilesAcross = ceilDiv(cols, tileCols);
    std::mutex mutex; // of rowMax and colMax
    context.progress().addTotal(n);
    QL_CHECK(parallelFor(context, ceilDiv(rows, tileRows) * tilesAcross, 1, [&](std::int64_t tile, std::int64_t) {
        const std::int64_t firstRow = tile / tilesAcross * tileRows;
        const std::int64_t firstCol = tile % tilesAcross * tileCols;
        const std::int64_t height = std::min(tileRows, rows - firstRow);
        const std::int64_t width = std::min(tileCols, cols - firstCol);
        std::vector<float> rowMax(static_cast<std::size_t>(roundUp(height, 2)));
        std::vector<float> colMax(static_cast<std::size_t>(width));
        std::vector<float> decoded(kept ? 0 : static_cast<std::size_t>(2 * width));
        std::vector<float> unused(pyramid.levels.empty() ? static_cast<std::size_t>(ceilDiv(width, 2)) : 0);
        for (std::int64_t r = 0; r < height; r += 2) {
            const bool pair = r + 1 < height;
            const std::int64_t at = (firstRow + r) * cols + firstCol;
            float* const top = kept ? pyramid.values.data() + at : decoded.data();
            float* const bottom = !pair ? top : kept ? top + cols : top + width;
            decodeRange(tensor, at, width, top);
            if (pair)
                decodeRange(tensor, at + cols, width, bottom);
            float* cells = unused.data();
            if (!pyramid.levels.empty()) {
                PyramidLevel& level = pyramid.levels.front();
                cells = level.maxAbs.data() + (firstRow + r) / 2 * level.cols + firstCol / 2;
            }
            reduceRows(top, bottom, width, cells, rowMax.data() + r, colMax.data());
        }
        const std::lock_guard lock(mutex);
        raiseAll(pyramid.rowMax.data() + firstRow, rowMax.data(), height);
        raiseAll(pyramid.colMax.data() + firstCol, colMax.data(), width);
        context.progress().addDone(height * width);
    }));
    for (std::size_t k = 1; k < pyramid.levels.size(); ++k)
        QL_CHECK(reduceLevel(pyramid.levels[k - 1], pyramid.levels[k], context));
    pyramid.absmax = *std::max_element(pyramid.rowMax.begin(), pyramid.rowMax.end());
    return pyramid;
}

Result<OutlierSummary> findOutliers(const TensorView& tensor, const JobContext& context, double sigmas,
                                    std::size_t limit)
{
    QL_CHECK(checkDecodable(tensor));
    if (!(sigmas >= 0 && std::isfinite(sigmas)))
        return usageError("the outlier threshold must be a finite number of standard deviations, zero or more");
    QL_TRY(statistics, computeStatistics(tensor, context));
    OutlierSummary summary;
    summary.threshold = statistics.finite() > 0 ? sigmas * statistics.std : 0;
    const std::int64_t n = tensor.numel();
    if (n == 0)
        return summary;
    const auto [rows, cols] = matrixShape(tensor.shape);
    context.progress().addTotal(n);
    QL_TRY(scan, deterministicReduce(
                     context, n, kGrain, Scan{},
                     [&](std::int64_t begin, std::int64_t end) {
                         Scan part = needsDouble(tensor.dtype)
                                         ? scanChunk<double>(tensor, begin, end, summary.threshold, limit)
                                         : scanChunk<float>(tensor, begin, end, summary.threshold, limit);
                         context.progress().addDone(end - begin);
                         return part;
                     },
                     [&](Scan& into, const Scan& next) {
                         into.count += next.count;
                         into.largest.insert(into.largest.end(), next.largest.begin(), next.largest.end());
                         keepLargest(into.largest, limit);
                     }));
    std::sort(scan.largest.begin(), scan.largest.end(), before);
    summary.count = scan.count;
    summary.share = static_cast<double>(scan.count) / static_cast<double>(n);
    for (const Found& found : scan.largest)
        summary.largest.push_back({found.index / cols, found.index % cols, found.value});
    return summary;
}

} // namespace ql
