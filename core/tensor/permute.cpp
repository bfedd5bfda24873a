// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/tensor/permute.h"

#include "core/jobs/parallel.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace ql {

namespace {

constexpr std::int64_t kTile = 64; // elements of up to 8 bytes
constexpr std::int64_t kChunkBytes = std::int64_t{256} << 10U;

struct Axis {
    std::int64_t size = 1;
    std::int64_t inStep = 0; // bytes
    std::int64_t outStep = 0;
};

/// The axes in the order of `out`; those of one element are gone and neighbours that stay together are one.
std::vector<Axis> mergedAxes(const Shape& shape, std::span<const std::int64_t> order, std::int64_t elementBytes)
{
    std::vector<Axis> all(shape.size());
    std::int64_t step = elementBytes;
    for (std::size_t d = shape.size(); d-- > 0; step *= shape[d])
        all[d] = {shape[d], step, 0};
    std::vector<Axis> merged; // the last axis first
    step = elementBytes;
    for (std::size_t d = order.size(); d-- > 0;) {
        Axis axis = all[static_cast<std::size_t>(order[d])];
        axis.outStep = step;
        step *= axis.size;
        if (axis.size == 1)
            continue;
        if (!merged.empty() && axis.inStep == merged.back().inStep * merged.back().size)
            merged.back().size *= axis.size;
        else
            merged.push_back(axis);
    }
    std::ranges::reverse(merged);
    return merged;
}

/// Element (a, b) is at in + b·inStep + a·size and goes to out + a·outStep + b·size. Small elements pass through a copy
/// of the tile: the rows of a matrix whose width is a power of two would throw each other out of the cache.
template<typename Size>
void moveTile(Size size, const std::byte* in, const Axis& a, const Axis& b, std::int64_t countA, std::int64_t countB,
              std::byte* out)
{
    const auto bytes = static_cast<std::size_t>(size);
    const auto turn = [&](const std::byte* from, std::int64_t fromStep) {
        for (std::int64_t i = 0; i < countA; ++i)
            for (std::int64_t j = 0; j < countB; ++j)
                std::memcpy(out + i * a.outStep + j * size, from + j * fromStep + i * size, bytes);
    };
    if constexpr (std::is_same_v<Size, std::int64_t>) {
        turn(in, b.inStep);
    } else {
        std::array<std::byte, static_cast<std::size_t>(kTile * kTile * Size::value)> near;
        for (std::int64_t j = 0; j < countB; ++j)
            std::memcpy(near.data() + j * kTile * size, in + j * b.inStep, static_cast<std::size_t>(countA * size));
        turn(near.data(), kTile * size);
    }
}

/// axes: in the order of `out`; its last is not the one that runs fastest in `in`.
template<typename Size>
Result<void> permute(Size size, const std::byte* in, const std::vector<Axis>& axes, std::byte* out,
                     const JobContext& context)
{
    const Axis b = axes.back();
    const auto fastest = std::ranges::min_element(axes, {}, &Axis::inStep);
    const Axis a = *fastest;
    std::vector<Axis> outer(axes.begin(), axes.end() - 1);
    outer.erase(outer.begin() + (fastest - axes.begin()));
    const std::int64_t side = std::clamp<std::int64_t>(kTile * 8 / size, 1, kTile);
    const std::int64_t tilesA = ceilDiv(a.size, side);
    const std::int64_t tilesB = ceilDiv(b.size, side);
    std::int64_t tiles = tilesA * tilesB;
    for (const Axis& axis : outer)
        tiles *= axis.size;
    const std::int64_t tileBytes = std::min(a.size, side) * std::min(b.size, side) * size;
    const std::int64_t grain = std::max<std::int64_t>(1, kChunkBytes / tileBytes);
    return parallelFor(context, tiles, grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t tile = begin; tile < end; ++tile) {
            const std::int64_t firstB = tile % tilesB * side;
            const std::int64_t firstA = tile / tilesB % tilesA * side;
            std::int64_t rest = tile / tilesB / tilesA;
            std::int64_t from = firstA * a.inStep + firstB * b.inStep;
            std::int64_t to = firstA * a.outStep + firstB * b.outStep;
            for (std::size_t d = outer.size(); d-- > 0; rest /= outer[d].size) {
                from += rest % outer[d].size * outer[d].inStep;
                to += rest % outer[d].size * outer[d].outStep;
            }
            moveTile(size, in + from, a, b, std::min(side, a.size - firstA), std::min(side, b.size - firstB), out + to);
        }
    });
}

} // namespace

Result<void> permuteAxes(const std::byte* in, const Shape& shape, std::span<const std::int64_t> axes,
                         std::int64_t elementBytes, std::byte* out, const JobContext& context)
{
    if (numel(shape) == 0)
        return {};
    std::vector<Axis> merged = mergedAxes(shape, axes, elementBytes);
    std::int64_t size = elementBytes; // of what moves together
    if (!merged.empty() && merged.back().inStep == elementBytes) {
        size *= merged.back().size;
        merged.pop_back();
    }
    if (merged.empty())
        return parallelFor(context, size, kChunkBytes, [&](std::int64_t begin, std::int64_t end) {
            std::memcpy(out + begin, in + begin, static_cast<std::size_t>(end - begin));
        });
    const auto of = [&](auto known) { return permute(known, in, merged, out, context); };
    switch (size) {
    case 1:
        return of(std::integral_constant<std::int64_t, 1>());
    case 2:
        return of(std::integral_constant<std::int64_t, 2>());
    case 4:
        return of(std::integral_constant<std::int64_t, 4>());
    case 8:
        return of(std::integral_constant<std::int64_t, 8>());
    default:
        return of(size);
    }
}

} // namespace ql
