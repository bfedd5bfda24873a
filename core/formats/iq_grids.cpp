// SPDX-License-Identifier: GPL-3.0-or-later
// IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S: 256 weights as signs and points of a grid of 8 or 4 magnitudes; units of 16
// or 32 have a scale d·step·(2n+1), n = 0…15, with an f16 d for the block. In IQ2_XXS, IQ2_XS and IQ3_XXS the number of
// minuses among eight weights is even. Byte offsets as in core/tensor/ggml_blocks.cpp.
// The search tries every point for every eight weights, with the cheapest wrong sign where one must be: exact for given
// scales. Scales: each unit's best of a scan; the d that suits them all best; the n on either side of each; then d by
// least squares and the points again.
#include "core/formats/block_bytes.h"
#include "core/formats/grid_kernels.h"
#include "core/tensor/ggml_grids.h"
#include "core/tensor/half.h"

#include <cmath>
#include <limits>
#include <vector>

namespace ql {

namespace {

using std::byte;

constexpr int kCells = 32; // of eight weights, whose signs are stored together

struct GridType {
    Dtype dtype;
    int bytes;
    int unitWeights; // 16 or 32
    bool evenSigns;
    float step;               // a unit's scale is d·step·(2n+1)
    float scaleFrom, scaleTo; // of the scan: the largest weight over the largest level times these
    GridTable (*grid)();
    // Where a block has them:
    unsigned (*number)(const byte* block, int unit);
    void (*putNumber)(unsigned number, int unit, byte* block);
    void (*putCell)(const int* points, unsigned signs, int cell, byte* block);
};

/// What is chosen for a block.
struct Chosen {
    float scale = 0; // d of prepared values
    std::array<int, 16> numbers{};
    std::array<int, 2 * kCells> points{}; // of the cells in order: one, or two of four
    std::array<unsigned, kCells> signs{};
};

template<std::size_t kDimension, const auto& kWords, const auto& kLevels>
GridTable tableOf()
{
    constexpr std::size_t kPoints = std::tuple_size_v<std::remove_cvref_t<decltype(kWords)>>;
    struct Values {
        alignas(64) std::array<float, kPoints * kDimension> levels;
    };
    static const Values kValues = [] {
        Values values{};
        constexpr unsigned kBits = 16 / kDimension;
        for (std::size_t k = 0; k < kPoints; ++k)
            for (std::size_t j = 0; j < kDimension; ++j) {
                const float level = kLevels[unsigned{kWords[k]} >> (kBits * j) & ((1U << kBits) - 1)];
                values.levels[j * kPoints + k] = level;
            }
        return values;
    }();
    return {static_cast<int>(kDimension), static_cast<int>(kPoints), kValues.levels.data()};
}

GridTable iq2XxsGrid()
{
    return tableOf<8, kIq2XxsGrid, kIq2Levels>();
}
GridTable iq2XsGrid()
{
    return tableOf<8, kIq2XsGrid, kIq2Levels>();
}
GridTable iq2SGrid()
{
    return tableOf<8, kIq2SGrid, kIq2Levels>();
}
GridTable iq3XxsGrid()
{
    return tableOf<4, kIq3XxsGrid, kIq3XxsLevels>();
}
GridTable iq3SGrid()
{
    return tableOf<4, kIq3SGrid, kIq3SLevels>();
}

class GridSearch {
public:
    GridSearch(const GridType& type, const PreparedTile& prepared)
        : m_type(type),
          m_grid(type.grid()),
          m_perCell(8 / m_grid.dimension),
          m_units(kTileWeights / type.unitWeights),
          m_norm(prepared.norm[0]),
          m_sums(scratch(static_cast<std::size_t>(3 * kCells * m_perCell * m_grid.rowStride())))
    {
        const int length = prepared.tile.length();
        for (int u = 0; u < prepared.tile.units; ++u)
            for (int e = 0; e < length; ++e) {
                const auto from = static_cast<std::size_t>(e * prepared.tile.units + u);
                const auto to = static_cast<std::size_t>(u * length + e);
                const float x = prepared.tile.x[from];
                m_size[to] = std::fabs(x);
                m_importance[to] = prepared.tile.importance[from];
                m_product[to] = m_importance[to] * m_size[to];
                m_signs[to / 8] |= (x < 0 ? 1U : 0U) << (to % 8);
            }
        std::array<bool, 2 * kCells> isWrong{};
        for (int point = 0; point < kCells * m_perCell; ++point)
            isWrong[static_cast<std::size_t>(point)] = isOdd(point / m_perCell);
        constexpr int kTogether = 4; // with the grid in the first cache
        for (int point = 0; point < kCells * m_perCell; point += kTogether) {
            const auto first = static_cast<std::size_t>(point * m_grid.dimension);
            sumPoints(m_grid, kTogether, &m_product[first], &m_importance[first],
                      &isWrong[static_cast<std::size_t>(point)], row(point, 0));
        }
    }

    Chosen run()
    {
        const Wanted wanted = scan();
        Chosen best;
        float leastCost = 0; // of zeros
        Chosen tried;
        tried.scale = storableF16(blockScale(wanted), m_norm);
        if (tried.scale <= 0)
            return best;
        chooseNumbers(wanted, tried);
        for (int round = 0; round < 3; ++round) {
            const Fit fit = choosePoints(tried);
            if (fit.cost < leastCost) {
                leastCost = fit.cost;
                best = tried;
            }
            const float next = storableF16(fit.scale, m_norm);
            if (next == tried.scale || next <= 0)
                break;
            tried.scale = next;
        }
        return best;
    }

private:
    /// Kept by the thread: it is as large as a second cache.
    static float* scratch(std::size_t floats)
    {
        thread_local std::vector<float> memory;
        memory.resize(std::max(memory.size(), floats));
        return memory.data();
    }
    bool isOdd(int cell) const
    {
        return m_type.evenSigns && std::popcount(m_signs[static_cast<std::size_t>(cell)]) % 2 != 0;
    }
    float* row(int point, int which) const
    {
        return m_sums + static_cast<std::ptrdiff_t>(3 * point + which) * m_grid.rowStride();
    }
    float* a(int point) const { return row(point, 0); }
    float* b(int point) const { return row(point, 1); }
    float* wrong(int point) const { return row(point, 2); }
    int cellsInUnit() const { return m_type.unitWeights / 8; }

    /// Adds the least costs of a cell for several scales.
    void addCosts(int cell, int count, const float* scales, float* costs) const
    {
        const int point = cell * m_perCell;
        if (!isOdd(cell)) {
            for (int half = 0; half < m_perCell; ++half)
                addLeastCosts(m_grid.points, a(point + half), b(point + half), count, scales, costs);
        } else if (m_perCell == 1) {
            addLeastCosts(m_grid.points, wrong(point), b(point), count, scales, costs);
        } else { // one of the two halves has a wrong sign
            std::array<float, kMostScales> first{};
            std::array<float, kMostScales> second{};
            addLeastCosts(m_grid.points, wrong(point), b(point), count, scales, first.data());
            addLeastCosts(m_grid.points, a(point + 1), b(point + 1), count, scales, first.data());
            addLeastCosts(m_grid.points, a(point), b(point), count, scales, second.data());
            addLeastCosts(m_grid.points, wrong(point + 1), b(point + 1), count, scales, second.data());
            for (std::size_t j = 0; j < static_cast<std::size_t>(count); ++j)
                costs[j] += std::min(first[j], second[j]);
        }
    }
    void addUnitCosts(int unit, int count, const float* scales, float* costs) const
    {
        for (int cell = unit * cellsInUnit(); cell < (unit + 1) * cellsInUnit(); ++cell)
            addCosts(cell, count, scales, costs);
    }

    /// Each unit's own best scale, and how fast its error grows around it.
    struct Wanted {
        std::array<float, 16> scale{}, curvature{};
    };
    Wanted scan() const
    {
        Wanted wanted;
        const float highest = *std::max_element(m_grid.levels, m_grid.levels + m_grid.points);
        for (int unit = 0; unit < m_units; ++unit) {
            float largest = 0;
            for (int i = unit * m_type.unitWeights; i < (unit + 1) * m_type.unitWeights; ++i)
                if (m_importance[static_cast<std::size_t>(i)] > 0)
                    largest = std::max(largest, m_size[static_cast<std::size_t>(i)]);
            if (largest == 0)
                continue;
            std::array<float, kScan> scales;
            std::array<float, kScan> costs{};
            const float step = (m_type.scaleTo - m_type.scaleFrom) / (kScan - 1) * largest / highest;
            for (int j = 0; j < kScan; ++j)
                scales[static_cast<std::size_t>(j)] =
                    m_type.scaleFrom * largest / highest + step * static_cast<float>(j);
            addUnitCosts(unit, kScan, scales.data(), costs.data());
            const auto best = static_cast<std::size_t>(std::min_element(costs.begin(), costs.end()) - costs.begin());
            const std::size_t middle = std::clamp<std::size_t>(best, 1, kScan - 2);
            const float bend = costs[middle - 1] - 2 * costs[middle] + costs[middle + 1];
            const float shift = bend > 0 ? (costs[middle - 1] - costs[middle + 1]) / (2 * bend) : 0;
            const auto u = static_cast<std::size_t>(unit);
            wanted.scale[u] = best == middle ? scales[best] + step * std::clamp(shift, -0.5F, 0.5F) : scales[best];
            wanted.curvature[u] = std::max(bend, 0.0F) / (step * step);
        }
        return wanted;
    }

    /// The d for which the units' scales lie closest to odd multiples of d·step.
    float blockScale(const Wanted& wanted) const
    {
        const float largest = *std::max_element(wanted.scale.begin(), wanted.scale.end());
        float best = 0;
        float least = std::numeric_limits<float>::infinity();
        for (int i = 0; i < 28; ++i) {
            const float unit = largest / (22.0F + 0.4F * static_cast<float>(i));
            float cost = 0;
            for (std::size_t u = 0; u < static_cast<std::size_t>(m_units); ++u) {
                const float away = wanted.scale[u] - unit * oddMultiple(nearestNumber(wanted.scale[u] / unit));
                cost += wanted.curvature[u] * away * away;
            }
            if (cost < least) {
                least = cost;
                best = unit / m_type.step;
            }
        }
        return best;
    }
    static float oddMultiple(int number) { return static_cast<float>(2 * number + 1); }
    static int nearestNumber(float multiple)
    {
        return static_cast<int>(std::clamp(std::nearbyint((multiple - 1) / 2), 0.0F, 15.0F));
    }

    /// n of each unit: the better of the two around what it wants.
    void chooseNumbers(const Wanted& wanted, Chosen& chosen) const
    {
        const float unitScale = chosen.scale * m_type.step;
        for (int unit = 0; unit < m_units; ++unit) {
            const auto u = static_cast<std::size_t>(unit);
            const float exact = (wanted.scale[u] / unitScale - 1) / 2;
            const int below = static_cast<int>(std::clamp(std::floor(exact), 0.0F, 14.0F));
            const std::array<float, 2> scales{unitScale * oddMultiple(below), unitScale * oddMultiple(below + 1)};
            std::array<float, 2> costs{};
            addUnitCosts(unit, 2, scales.data(), costs.data());
            chosen.numbers[u] = costs[1] < costs[0] ? below + 1 : below;
        }
    }

    struct Fit {
        float cost = 0;  // Σ i·(x − x̂)² less Σ i·x²
        float scale = 0; // the d that suits the points best
    };
    Fit choosePoints(Chosen& chosen) const
    {
        Fit fit;
        float sumA = 0;
        float sumB = 0;
        for (int cell = 0; cell < kCells; ++cell) {
            const float multiple =
                m_type.step * oddMultiple(chosen.numbers[static_cast<std::size_t>(cell / cellsInUnit())]);
            const float scale = chosen.scale * multiple;
            int wrongHalf = -1;
            if (isOdd(cell))
                wrongHalf = m_perCell == 1 ? 0 : cheaperHalf(cell, scale);
            unsigned signs = m_signs[static_cast<std::size_t>(cell)];
            for (int half = 0; half < m_perCell; ++half) {
                const int point = cell * m_perCell + half;
                const float* sums = half == wrongHalf ? wrong(point) : a(point);
                const int k = bestPoint(m_grid.points, sums, b(point), scale);
                chosen.points[static_cast<std::size_t>(point)] = k;
                if (half == wrongHalf)
                    signs ^= 1U << static_cast<unsigned>(half * 4 + cheapestSign(point, k));
                fit.cost += scale * (scale * b(point)[k] - sums[k]);
                sumA += multiple * sums[k];
                sumB += multiple * multiple * b(point)[k];
            }
            chosen.signs[static_cast<std::size_t>(cell)] = signs;
        }
        fit.scale = sumB > 0 ? sumA / (2 * sumB) : 0;
        return fit;
    }
    int cheaperHalf(int cell, float scale) const
    {
        std::array<float, 2> costs{};
        const int point = cell * 2;
        addLeastCosts(m_grid.points, wrong(point), b(point), 1, &scale, &costs[0]);
        addLeastCosts(m_grid.points, a(point + 1), b(point + 1), 1, &scale, &costs[0]);
        addLeastCosts(m_grid.points, a(point), b(point), 1, &scale, &costs[1]);
        addLeastCosts(m_grid.points, wrong(point + 1), b(point + 1), 1, &scale, &costs[1]);
        return costs[1] < costs[0] ? 1 : 0;
    }
    /// Element of a point whose wrong sign costs least.
    int cheapestSign(int point, int k) const
    {
        int best = 0;
        float least = std::numeric_limits<float>::infinity();
        for (int j = 0; j < m_grid.dimension; ++j) {
            const auto element = static_cast<std::size_t>(point * m_grid.dimension + j);
            const float term = m_product[element] * m_grid.levels[j * m_grid.points + k];
            if (term < least && m_importance[element] > 0) { // infinities have none, and keep their sign
                least = term;
                best = j;
            }
        }
        return best;
    }

    static constexpr int kScan = 8;
    static constexpr int kMostScales = kScan;

    const GridType& m_type;
    GridTable m_grid;
    int m_perCell;
    int m_units;
    double m_norm;
    float* m_sums;
    std::array<float, kTileWeights> m_size{}, m_importance{}, m_product{};
    std::array<unsigned, kCells> m_signs{};
};

// Into their places, over what is there.

std::uint32_t wordAt(const byte* from)
{
    std::uint32_t word = 0;
    std::memcpy(&word, from, sizeof word);
    return word;
}
/// Bits [at, at + count).
void replaceInWord(unsigned bits, int at, int count, byte* to)
{
    const std::uint32_t mask = ((1U << count) - 1U) << at;
    const std::uint32_t word = (wordAt(to) & ~mask) | bits << at;
    std::memcpy(to, &word, sizeof word);
}
void replaceInByte(unsigned bits, int at, int count, byte& to)
{
    const unsigned mask = ((1U << count) - 1U) << at;
    to = static_cast<byte>((static_cast<unsigned>(to) & ~mask) | bits << at);
}

/// Numbers as nibbles from kAt on, of units in order.
template<int kAt>
struct Nibbles {
    static unsigned number(const byte* block, int unit)
    {
        return static_cast<unsigned>(block[kAt + unit / 2]) >> (4 * (unit % 2)) & 15U;
    }
    static void put(unsigned number, int unit, byte* block)
    {
        replaceInByte(number, 4 * (unit % 2), 4, block[kAt + unit / 2]);
    }
};

/// Words of 32 bits, kStride bytes apart: seven bits of signs for each of four cells, and the number of their unit.
template<int kAt, int kStride>
struct Words {
    static unsigned number(const byte* block, int unit) { return wordAt(block + kAt + kStride * unit) >> 28U; }
    static void put(unsigned number, int unit, byte* block)
    {
        replaceInWord(number, 28, 4, block + kAt + kStride * unit);
    }
    static void putSigns(unsigned signs, int cell, byte* block)
    {
        replaceInWord(signs & 127U, 7 * (cell % 4), 7, block + kAt + kStride * (cell / 4));
    }
};
using Iq2XxsWords = Words<6, 8>;
using Iq3XxsWords = Words<66, 4>;

void putIq2Xxs(const int* points, unsigned signs, int cell, byte* block)
{
    block[2 + 8 * (cell / 4) + cell % 4] = static_cast<byte>(points[0]);
    Iq2XxsWords::putSigns(signs, cell, block);
}

void putIq2Xs(const int* points, unsigned signs, int cell, byte* block)
{
    putF16(static_cast<std::uint16_t>(static_cast<unsigned>(points[0]) | (signs & 127U) << 9U), block + 2 + 2 * cell);
}

void putIq2S(const int* points, unsigned signs, int cell, byte* block)
{
    const auto point = static_cast<unsigned>(points[0]);
    block[2 + cell] = static_cast<byte>(point & 255U);
    block[34 + cell] = static_cast<byte>(signs);
    replaceInByte(point >> 8U, 2 * (cell % 4), 2, block[66 + cell / 4]);
}

void putIq3Xxs(const int* points, unsigned signs, int cell, byte* block)
{
    for (int half = 0; half < 2; ++half)
        block[2 + 2 * cell + half] = static_cast<byte>(points[half]);
    Iq3XxsWords::putSigns(signs, cell, block);
}

void putIq3S(const int* points, unsigned signs, int cell, byte* block)
{
    for (int half = 0; half < 2; ++half) {
        const int k = 2 * cell + half;
        const auto point = static_cast<unsigned>(points[half]);
        block[2 + k] = static_cast<byte>(point & 255U);
        replaceInByte(point >> 8U, k % 8, 1, block[66 + k / 8]);
    }
    block[74 + cell] = static_cast<byte>(signs);
}

constexpr GridType kIq2Xxs{Dtype::iq2_xxs,   66,       32, true, 0.125F, 0.5F, 1.15F, iq2XxsGrid, Iq2XxsWords::number,
                           Iq2XxsWords::put, putIq2Xxs};
constexpr GridType kIq2Xs{Dtype::iq2_xs,    74,      16, true, 0.125F, 0.5F, 1.15F, iq2XsGrid, Nibbles<66>::number,
                          Nibbles<66>::put, putIq2Xs};
constexpr GridType kIq2S{Dtype::iq2_s,     82,     16, false, 0.125F, 0.5F, 1.15F, iq2SGrid, Nibbles<74>::number,
                         Nibbles<74>::put, putIq2S};
constexpr GridType kIq3Xxs{Dtype::iq3_xxs,   98,       32, true, 0.25F, 0.6F, 1.15F, iq3XxsGrid, Iq3XxsWords::number,
                           Iq3XxsWords::put, putIq3Xxs};
constexpr GridType kIq3S{Dtype::iq3_s,      110,    32, false, 1.0F, 0.6F, 1.15F, iq3SGrid, Nibbles<106>::number,
                         Nibbles<106>::put, putIq3S};

void put(const GridType& type, const Chosen& chosen, byte* block)
{
    const int perCell = 8 / type.grid().dimension;
    for (int unit = 0; unit < kTileWeights / type.unitWeights; ++unit)
        type.putNumber(static_cast<unsigned>(chosen.numbers[static_cast<std::size_t>(unit)]), unit, block);
    for (int cell = 0; cell < kCells; ++cell)
        type.putCell(&chosen.points[static_cast<std::size_t>(cell * perCell)],
                     chosen.signs[static_cast<std::size_t>(cell)], cell, block);
}

template<const GridType& kType>
void searchTile(const float* weights, const float* importance, int blocks, byte* out)
{
    PreparedTile prepared;
    for (int i = 0; i < blocks; ++i, weights += kTileWeights, out += kType.bytes) {
        std::fill(out, out + kType.bytes, byte{});
        prepareTile(weights, importance ? importance + kTileWeights * i : nullptr, kTileWeights, 8, NormOf::block,
                    prepared);
        if (prepared.isZero)
            continue;
        const Chosen chosen = GridSearch(kType, prepared).run();
        if (chosen.scale == 0)
            continue; // nothing is better than zeros
        putF16(f16Bits(chosen.scale, prepared.norm[0]), out);
        put(kType, chosen, out);
    }
}

/// Eight weights in units of a scale, and the points and signs nearest to them.
class CellCoder {
public:
    CellCoder(const GridType& type, const float* weights, const float* importance, float scale)
        : m_grid(type.grid()), m_perCell(8 / m_grid.dimension)
    {
        constexpr float kFar = 1e6F; // beyond every level
        for (std::size_t j = 0; j < 8; ++j) {
            m_product[j] = importance[j] * std::min(std::fabs(weights[j]) / scale, kFar);
            m_signs |= (weights[j] < 0 ? 1U : 0U) << j;
        }
        const bool isOdd = type.evenSigns && std::popcount(m_signs) % 2 != 0;
        const std::array<bool, 2> isWrong{isOdd, isOdd};
        thread_local std::vector<float> memory;
        memory.resize(std::max(memory.size(), static_cast<std::size_t>(3 * m_perCell * m_grid.rowStride())));
        m_sums = memory.data();
        sumPoints(m_grid, m_perCell, m_product.data(), importance, isWrong.data(), m_sums);
        const int wrongHalf = !isOdd ? -1 : m_perCell == 1 || costOfWrong(0) <= costOfWrong(1) ? 0 : 1;
        for (int half = 0; half < m_perCell; ++half) {
            const auto at = static_cast<std::size_t>(half);
            m_points[at] = bestPoint(m_grid.points, row(half, half == wrongHalf ? 2 : 0), row(half, 1), 1);
            if (half == wrongHalf)
                m_signs ^= 1U << static_cast<unsigned>(cheapestSign(half));
        }
    }

    const int* points() const { return m_points.data(); }
    unsigned signs() const { return m_signs; }
    float level(int j) const
    {
        const int half = j / m_grid.dimension;
        const float level =
            m_grid.levels[j % m_grid.dimension * m_grid.points + m_points[static_cast<std::size_t>(half)]];
        return (m_signs >> j & 1U) != 0 ? -level : level;
    }

private:
    const float* row(int half, int which) const
    {
        return m_sums + static_cast<std::ptrdiff_t>(3 * half + which) * m_grid.rowStride();
    }
    /// Of two halves, that one having the wrong sign.
    float costOfWrong(int wrongHalf) const
    {
        constexpr float kScale = 1;
        float cost = 0;
        for (int half = 0; half < 2; ++half)
            addLeastCosts(m_grid.points, row(half, half == wrongHalf ? 2 : 0), row(half, 1), 1, &kScale, &cost);
        return cost;
    }
    /// The element of a half whose wrong sign costs least with its point.
    int cheapestSign(int half) const
    {
        int best = 0;
        float least = std::numeric_limits<float>::infinity();
        for (int j = half * m_grid.dimension; j < (half + 1) * m_grid.dimension; ++j) {
            const int k = m_points[static_cast<std::size_t>(half)];
            const float term =
                m_product[static_cast<std::size_t>(j)] * m_grid.levels[j % m_grid.dimension * m_grid.points + k];
            if (term < least) {
                least = term;
                best = j;
            }
        }
        return best;
    }

    GridTable m_grid;
    int m_perCell;
    std::array<float, 8> m_product{};
    std::array<int, 2> m_points{};
    unsigned m_signs = 0;
    float* m_sums = nullptr;
};

template<const GridType& kType>
void codeCell(byte* block, int cell, const float* weights, const float* importance, float* restored)
{
    std::uint16_t bits = 0;
    std::memcpy(&bits, block, sizeof bits);
    const unsigned number = kType.number(block, cell / (kType.unitWeights / 8));
    const float scale = floatFromF16(bits) * kType.step * static_cast<float>(2 * number + 1); // exact
    if (!(scale > 0)) {
        std::fill_n(restored, 8, 0.0F);
        return;
    }
    const CellCoder coder(kType, weights, importance, scale);
    kType.putCell(coder.points(), coder.signs(), cell, block);
    for (int j = 0; j < 8; ++j)
        restored[j] = scale * coder.level(j); // exact, too
}

template<const GridType& kType>
constexpr BlockFormat formatOf(std::string_view id, std::string_view title)
{
    return {.id = id,
            .title = title,
            .dtype = kType.dtype,
            .elements = kTileWeights,
            .bytes = kType.bytes,
            .searchTile = searchTile<kType>,
            .cellElements = 8,
            .codeCell = codeCell<kType>,
            .scaleCount = 1};
}

constexpr std::array kFormats{
    formatOf<kIq2Xxs>("gguf:iq2_xxs", "GGUF IQ2_XXS: 256 points for 8 weights, 2.06 bits"),
    formatOf<kIq2Xs>("gguf:iq2_xs", "GGUF IQ2_XS: 512 points for 8 weights, 2.31 bits"),
    formatOf<kIq2S>("gguf:iq2_s", "GGUF IQ2_S: 1024 points for 8 weights, 2.56 bits"),
    formatOf<kIq3Xxs>("gguf:iq3_xxs", "GGUF IQ3_XXS: 256 points for 4 weights, 3.06 bits"),
    formatOf<kIq3S>("gguf:iq3_s", "GGUF IQ3_S: 512 points for 4 weights, 3.44 bits"),
};

} // namespace

namespace blockformats {
extern const std::span<const BlockFormat> iq_grids;
const std::span<const BlockFormat> iq_grids = kFormats;
} // namespace blockformats

} // namespace ql
