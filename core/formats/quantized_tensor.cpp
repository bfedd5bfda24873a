// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/quantized_tensor.h"

#include "core/base/checked.h"
#include "core/base/sum.h"
#include "core/formats/block_format.h"
#include "core/formats/element_coder.h"
#include "core/formats/matrix_format.h"
#include "core/formats/tensor_additions.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

namespace ql {

namespace {

/// Elements of one parallel chunk: 256 KiB of float32.
constexpr std::int64_t kChunk = 65536;

/// Restores elements [first, first + count) of the flattened matrix, without additions.
void restoreCodes(const QuantizedTensor& tensor, const ElementCoder* coder, std::int64_t first, std::int64_t count,
                  float* out)
{
    const Scheme& scheme = tensor.scheme;
    if (scheme.isCast()) {
        const Dtype dtype = *dtypeFromWord(scheme.element->id);
        decode(dtype, tensor.codes.data(), first, count, out);
        return;
    }
    if (const BlockFormat* block = findBlockFormat(scheme)) // rows, and all parts that are asked for, are whole blocks
        return block->restore(tensor.codes.data(), first, count, out);
    if (const MatrixFormat* matrix = findMatrixFormat(scheme))
        return matrix->restore(tensor.codes.data(), tensor.matrix(), first, count, out);
    const std::int64_t cols = tensor.matrix().cols;
    const std::int64_t groupsPerRow = scheme.groupsPerRow(cols);
    const std::int64_t run = scheme.granularity == Granularity::group ? scheme.groupSize : cols;
    const auto* codes = tensor.codes.as<std::uint8_t>();
    const std::int64_t end = first + count;
    for (std::int64_t at = first; at < end;) {
        const std::int64_t row = at / cols;
        const std::int64_t group = (at - row * cols) / run;
        const std::int64_t stop = std::min({end, row * cols + (group + 1) * run, (row + 1) * cols});
        const auto unit =
            static_cast<std::size_t>(scheme.granularity == Granularity::tensor ? 0 : row * groupsPerRow + group);
        Affine affine;
        affine.scale = tensor.scales[unit] * tensor.tensorScale;
        affine.zero = tensor.zeroPoints.empty() ? 0 : tensor.zeroPoints[unit];
        affine.minimum = tensor.minima.empty() ? 0 : tensor.minima[unit];
        decodeRun(*coder, affine, codes + at, stop - at, out + (at - first));
        at = stop;
    }
}

void restoreElements(const QuantizedTensor& tensor, const ElementCoder* coder, std::int64_t first, std::int64_t count,
                     float* out)
{
    restoreCodes(tensor, coder, first, count, out);
    if (tensor.additions)
        addTo(out, *tensor.additions, tensor.matrix(), first, count);
}

} // namespace

MatrixShape matrixShape(const Shape& shape)
{
    if (shape.empty())
        return {1, 1};
    if (shape.size() == 1)
        return {1, shape[0]};
    std::int64_t cols = 1;
    for (std::size_t i = 1; i < shape.size(); ++i)
        if (shape[i] == 0) // a product of the others need not fit
            return {shape[0], 0};
    if (shape[0] == 0) {
        const auto product = checkedNumel(Shape(shape.begin() + 1, shape.end()));
        return {0, product.value_or(0)};
    }
    for (std::size_t i = 1; i < shape.size(); ++i)
        cols *= shape[i];
    return {shape[0], cols};
}

void QuantizedTensor::restoreRows(std::int64_t firstRow, std::int64_t lastRow, float* out) const
{
    assert(!scheme.isKeep());
    const std::int64_t cols = matrix().cols;
    if (lastRow <= firstRow || cols == 0)
        return;
    if (scheme.isCast() || scheme.isPacked())
        return restoreElements(*this, nullptr, firstRow * cols, (lastRow - firstRow) * cols, out);
    const ElementCoder coder(scheme);
    restoreElements(*this, &coder, firstRow * cols, (lastRow - firstRow) * cols, out);
}

namespace {

/// Calls body(first, count, restored) for chunks of the flattened tensor.
template<typename Body>
Result<void> forRestoredChunks(const QuantizedTensor& tensor, const JobContext& context, const Body& body)
{
    if (tensor.scheme.isKeep())
        return usageError("keep holds no codes; the weights are the checkpoint's own");
    const std::int64_t n = numel(tensor.shape);
    const ElementCoder coder(tensor.scheme);
    return parallelFor(context, n, kChunk, [&](std::int64_t begin, std::int64_t end) {
        body(begin, end - begin, [&](std::int64_t first, std::int64_t count, float* out) {
            restoreElements(tensor, &coder, first, count, out);
        });
    });
}

} // namespace

Result<Buffer> restore(const QuantizedTensor& tensor, const JobContext& context)
{
    return restoreAs(tensor, Dtype::f32, context);
}

Result<Buffer> restoreAs(const QuantizedTensor& tensor, Dtype dtype, const JobContext& context)
{
    if (dtype != Dtype::f32 && dtype != Dtype::f16 && dtype != Dtype::bf16)
        return usageError("weights are restored as f32, f16 or bf16, not " + std::string(info(dtype).word));
    const std::int64_t bytes = numel(tensor.shape) * (dtype == Dtype::f32 ? 4 : 2);
    QL_CHECK(context.checkMemory(bytes, "restored weights"));
    Buffer buffer(bytes);
    context.progress().addTotal(bytes);
    QL_CHECK(forRestoredChunks(tensor, context, [&](std::int64_t begin, std::int64_t count, const auto& restoreRange) {
        if (dtype == Dtype::f32) {
            restoreRange(begin, count, buffer.as<float>() + begin);
        } else {
            std::array<float, 4096> tile;
            auto* out = buffer.as<std::uint16_t>() + begin;
            for (std::int64_t at = 0; at < count; at += 4096) {
                const std::int64_t n = std::min<std::int64_t>(4096, count - at);
                restoreRange(begin + at, n, tile.data());
                narrowRun(dtype, tile.data(), n, out + at);
            }
        }
        context.progress().addDone(count * (dtype == Dtype::f32 ? 4 : 2));
    }));
    return buffer;
}

double ErrorStats::sqnrDb() const
{
    if (sumSquaredError == 0)
        return std::numeric_limits<double>::infinity();
    return 10 * std::log10(sumSquares / sumSquaredError);
}

void ErrorStats::merge(const ErrorStats& other)
{
    sumSquaredError += other.sumSquaredError;
    sumSquares += other.sumSquares;
    maxAbsError = std::max(maxAbsError, other.maxAbsError);
    count += other.count;
}

Result<ErrorStats> measureError(const TensorView& weights, const QuantizedTensor& quantized, const JobContext& context)
{
    if (weights.shape != quantized.shape)
        return badInput("the weights have shape " + formatShape(weights.shape) + " but the quantized tensor " +
                        formatShape(quantized.shape));
    if (!isDecodable(weights.dtype))
        return badInput("weights of type " + std::string(info(weights.dtype).word) + " cannot be decoded");
    const std::int64_t n = weights.numel();
    ErrorStats stats;
    if (quantized.scheme.isKeep()) {
        stats.count = n; // nothing changes; the sum of squares is still wanted
    }
    const ElementCoder coder(quantized.scheme);
    const double bytes = info(weights.dtype).bitsPerElement() / 8;
    context.progress().addTotal(static_cast<std::int64_t>(bytes * static_cast<double>(n)));
    struct Sums {
        CompensatedSum squaredError;
        CompensatedSum squares;
        double maxAbsError = 0;
        std::int64_t count = 0;
    };
    QL_TRY(sums,
           deterministicReduce(
               context, n, kChunk, Sums{},
               [&](std::int64_t begin, std::int64_t end) {
                   constexpr std::int64_t kTile = 4096;
                   std::array<float, kTile> restored;
                   WeightTile tile(weights);
                   Sums part;
                   for (std::int64_t at = begin; at < end; at += kTile) {
                       const std::int64_t count = std::min(kTile, end - at);
                       const float* w = tile.read(at, count);
                       if (quantized.scheme.isKeep())
                           std::memcpy(restored.data(), w, static_cast<std::size_t>(count) * sizeof(float));
                       else
                           restoreElements(quantized, &coder, at, count, restored.data());
                       const RunError error = errorOfRun(w, restored.data(), count);
                       part.squaredError.add(error.squaredError);
                       part.squares.add(error.squares);
                       part.maxAbsError = std::max(part.maxAbsError, error.maxAbsError);
                       part.count += error.count;
                   }
                   context.progress().addDone(static_cast<std::int64_t>(bytes * static_cast<double>(end - begin)));
                   return part;
               },
               [](Sums& into, const Sums& next) {
                   into.squaredError.merge(next.squaredError);
                   into.squares.merge(next.squares);
                   into.maxAbsError = std::max(into.maxAbsError, next.maxAbsError);
                   into.count += next.count;
               }));
    stats.sumSquaredError = sums.squaredError.value();
    stats.sumSquares = sums.squares.value();
    stats.maxAbsError = sums.maxAbsError;
    stats.count = sums.count;
    return stats;
}

} // namespace ql
