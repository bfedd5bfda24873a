// SPDX-License-Identifier: GPL-3.0-or-later
// An exact change x → A(x) of the n channels of a value, which what reads the value undoes: a weight row w that met x
// meets A(x) as w·A⁻¹, so that their product stays.
//   scale        x_j / s_j            w_j · s_j
//   permutation  x_p(j)               w_p(j)
//   rotation     x·R, R = D·H/√B      w·R, because R is orthogonal; H a Hadamard matrix of order B (or of each block of
//                                     B channels), D random signs
// What is known of x follows: Gram matrices as A(A(G)ᵀ), ranges and histograms only where channels stay apart. And what
// is known of derivatives g by x, which become g·A⁻¹.
// In double. Immutable and thread-safe.
#pragma once

#include "core/calibration/activations.h"

#include <memory>
#include <span>

namespace ql {

class ChannelMap {
public:
    virtual ~ChannelMap() = default;
    std::int64_t size() const { return m_size; }
    /// x ← A(x), in place; scratch has as many elements.
    virtual void apply(double* x, double* scratch) const = 0;
    /// w ← w·A⁻¹, in place.
    virtual void applyToReader(double* w, double* scratch) const = 0;
    /// Squares of derivatives by weights that read x, a row of them, become those by w·A⁻¹; squares of derivatives by
    /// weights that make x, a column, those by the weights that make A(x). Of channels that a rotation mixes each gets
    /// the mean of its block: the expectation over the signs D, as products of channels are not known here.
    virtual void applyToReaderSquares(double* squares, double* scratch) const = 0;
    virtual void applyToWriterSquares(double* squares, double* scratch) const = 0;
    /// What is known of A(x).
    virtual Result<ActivationStatistics> statistics(const ActivationStatistics& x, const JobContext& context) const = 0;
    /// That of the channels [first, first + count) alone; null where it mixes them with others.
    virtual std::shared_ptr<const ChannelMap> part(std::int64_t first, std::int64_t count) const = 0;
    /// Σ g·gᵀ of derivatives by x, [size, size], becomes that of derivatives by A(x).
    Result<std::vector<float>> derivativeGram(const std::vector<float>& gram, const JobContext& context) const;

protected:
    explicit ChannelMap(std::int64_t size) : m_size(size) {}

private:
    std::int64_t m_size;
};
using ChannelMapPtr = std::shared_ptr<const ChannelMap>;

/// x_j / s_j. A factor of 0 stands for a channel that is 0 in any case (a norm's weight of 0).
ChannelMapPtr scaleMap(std::vector<double> s);
/// Channel j of the result is channel order[j].
ChannelMapPtr permutationMap(std::vector<std::int64_t> order);
/// The blocks of B channels of [first, first + signs.size()) are rotated, others stay; B is a hadamardOrder() that
/// divides the number of signs, which are ±1.
ChannelMapPtr rotationMap(std::int64_t size, std::int64_t first, std::int64_t block, std::vector<double> signs);

} // namespace ql
