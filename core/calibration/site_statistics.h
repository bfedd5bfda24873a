// SPDX-License-Identifier: GPL-3.0-or-later
// What calibration keeps of a site: a place in the model whose values are the input X[tokens, in] of one or more layers
// (q, k and v share one); of a convolution the rows are its windows. Everything is a sum, an extreme or a count, so
// batches and machines can be merged in any grouping; sums are in double over blocks of at most 1024 tokens whose
// products are in float.
#pragma once

#include "core/jobs/job_context.h"
#include "core/model/graph/array.h"

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ql {

/// How much of XᵀX is kept: its diagonal, square blocks along it, or one half (it is symmetric).
enum class GramKind : std::uint8_t { diag, blocks, full };
std::string_view word(GramKind kind);
std::optional<GramKind> gramKindFromWord(std::string_view text);

/// Counts over [−range, range) in equal bins; the range doubles when a value lies outside, and pairs of bins join.
class GrowingHistogram {
public:
    static constexpr std::int64_t kBins = 2048;
    void add(const float* values, std::int64_t n);
    void merge(const GrowingHistogram& other);
    double range() const { return m_range; } // a power of two; 0 while empty
    std::span<const std::int64_t> counts() const { return m_counts; }
    /// From what a study holds.
    void restore(double range, std::span<const std::int64_t> counts);

private:
    void growTo(double range);
    double m_range = 0;
    std::array<std::int64_t, kBins> m_counts{};
};

/// A layer that reads a site, with all rows of its weights or with one of `parts` equal ranges of them: an expert of a
/// stack. kEach: the channels of the site are as many ranges, and each range of rows reads its own: the groups of a
/// convolution.
struct SiteReader {
    static constexpr std::int64_t kEach = -1;
    std::int64_t layer = 0;
    std::int64_t part = 0;
    std::int64_t parts = 1;
    bool operator==(const SiteReader&) const = default;
};

struct SiteStatistics {
    std::vector<SiteReader> readers;
    std::string source; // names the text
    std::int64_t in = 0;
    std::int64_t windows = 0; // of text seen
    std::int64_t tokens = 0;
    GramKind gramKind = GramKind::diag;
    std::int64_t blockSize = 0; // of GramKind::blocks; the last block may be smaller
    /// diag: [in]; blocks: one square after the other; full: the lower half by rows, [in·(in + 1) / 2].
    std::vector<double> gram;
    std::vector<double> sum;        // per channel
    std::vector<float> min, max;    // per channel
    std::vector<float> tokenAbsmax; // per token, in order: the first-token effect shows here; empty of convolutions
    GrowingHistogram histogram;

    SiteStatistics() = default;
    SiteStatistics(std::vector<SiteReader> readers, std::int64_t in, GramKind kind, std::int64_t blockSize);
    /// Adds X[tokens, in].
    Result<void> add(const graph::Array<float>& x, const JobContext& context);
    /// Whether XᵀX of the channels [first, last) is there.
    bool holdsGram(std::int64_t first, std::int64_t last) const;
    /// (XᵀX)[row, column], column ≤ row, of what is there.
    double gramAt(std::int64_t row, std::int64_t column) const;
    /// Σ x² of a channel.
    double squareSum(std::int64_t channel) const { return gramAt(channel, channel); }
    /// Whether all values were, and none was so large that its square is not.
    bool isFinite() const;
    static std::int64_t gramSize(std::int64_t in, GramKind kind, std::int64_t blockSize);

    std::vector<std::byte> encode() const;
    /// Nothing if the bytes are not what encode() wrote.
    static std::optional<SiteStatistics> decode(std::span<const std::byte> bytes);
    /// All but the numbers per channel, per token and of the histogram, from the first kHeadBytes of what encode()
    /// wrote.
    static std::optional<SiteStatistics> decodeHead(std::span<const std::byte> bytes);
    static constexpr std::size_t kHeadBytes = 1 << 16;
};

} // namespace ql
