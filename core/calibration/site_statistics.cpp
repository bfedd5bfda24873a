// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/site_statistics.h"

#include "core/calibration/byte_stream.h"
#include "core/calibration/gram_sums.h"
#include "core/calibration/site_kernels.h"
#include "core/jobs/parallel.h"
#include "core/model/graph/row_kernels.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr std::array<std::string_view, 3> kWords{"diag", "blocks", "full"};

} // namespace

std::string_view word(GramKind kind)
{
    return kWords[static_cast<std::size_t>(kind)];
}

std::optional<GramKind> gramKindFromWord(std::string_view text)
{
    const auto found = std::ranges::find(kWords, text);
    return found == kWords.end() ? std::nullopt : std::optional(static_cast<GramKind>(found - kWords.begin()));
}

void GrowingHistogram::growTo(double range)
{
    if (range <= m_range)
        return;
    if (m_range == 0) {
        m_range = range;
        return;
    }
    for (; m_range < range; m_range *= 2) {
        std::array<std::int64_t, kBins> joined{};
        for (std::size_t i = 0; i < kBins; ++i)
            joined[kBins / 4 + i / 2] += m_counts[i];
        m_counts = joined;
    }
}

void GrowingHistogram::add(const float* values, std::int64_t n)
{
    const float absmax = largestMagnitude(values, n);
    if (!std::isfinite(absmax))
        return;
    // The smallest power of two above every value, and one whose inverse is a float.
    constexpr double kSmallest = 0x1p-100;
    growTo(absmax > 0 ? std::max(std::exp2(std::floor(std::log2(static_cast<double>(absmax))) + 1), kSmallest)
                      : std::max(m_range, 1.0));
    const double scale = static_cast<double>(kBins) / 2 / m_range; // a power of two
    countBins(values, n, static_cast<float>(scale), kBins / 2, m_counts.data());
}

void GrowingHistogram::merge(const GrowingHistogram& other)
{
    if (other.m_range == 0)
        return;
    GrowingHistogram more = other;
    more.growTo(m_range);
    growTo(more.m_range);
    for (std::size_t i = 0; i < kBins; ++i)
        m_counts[i] += more.m_counts[i];
}

void GrowingHistogram::restore(double range, std::span<const std::int64_t> counts)
{
    m_range = range;
    std::copy_n(counts.begin(), kBins, m_counts.begin());
}

std::int64_t SiteStatistics::gramSize(std::int64_t in, GramKind kind, std::int64_t blockSize)
{
    switch (kind) {
    case GramKind::diag:
        return in;
    case GramKind::blocks:
        return in / blockSize * blockSize * blockSize + (in % blockSize) * (in % blockSize);
    case GramKind::full:
        return in * (in + 1) / 2;
    }
    return 0;
}

SiteStatistics::SiteStatistics(std::vector<SiteReader> readBy, std::int64_t width, GramKind kind, std::int64_t block)
    : readers(std::move(readBy)),
      in(width),
      gramKind(kind),
      blockSize(kind == GramKind::blocks ? block : 0),
      gram(static_cast<std::size_t>(gramSize(width, kind, block)), 0.0),
      sum(static_cast<std::size_t>(width), 0.0),
      min(static_cast<std::size_t>(width), std::numeric_limits<float>::infinity()),
      max(static_cast<std::size_t>(width), -std::numeric_limits<float>::infinity())
{}

bool SiteStatistics::holdsGram(std::int64_t first, std::int64_t last) const
{
    return gramKind == GramKind::full || (gramKind == GramKind::blocks && first / blockSize == (last - 1) / blockSize);
}

double SiteStatistics::gramAt(std::int64_t row, std::int64_t column) const
{
    switch (gramKind) {
    case GramKind::diag:
        return gram[static_cast<std::size_t>(row)];
    case GramKind::blocks: {
        const std::int64_t begin = row / blockSize * blockSize;
        const std::int64_t size = std::min(blockSize, in - begin);
        return gram[static_cast<std::size_t>(begin * blockSize + (row - begin) * size + column - begin)];
    }
    case GramKind::full:
        return gram[static_cast<std::size_t>(row * (row + 1) / 2 + column)];
    }
    return 0;
}

bool SiteStatistics::isFinite() const
{
    for (std::int64_t channel = 0; channel < in; ++channel)
        if (!std::isfinite(squareSum(channel)))
            return false;
    return true;
}

namespace {

/// Adds the square of a block's channels [begin, end), which is kept whole.
void addToBlock(SiteStatistics& site, std::int64_t begin, std::int64_t end, const graph::Array<float>& x,
                const JobContext& context)
{
    const std::int64_t n = end - begin;
    double* const block = site.gram.data() + begin * site.blockSize;
    const auto add = [&](const float* products) {
        for (std::int64_t r = 0; r < n; ++r)
            for (std::int64_t c = 0; c < n; ++c)
                block[r * n + c] += static_cast<double>(products[std::max(r, c) * n + std::min(r, c)]);
    };
    forGramProducts(x.data(), x.rows(), site.in, {.first = begin, .begin = begin, .end = end}, add, context);
}

} // namespace

Result<void> SiteStatistics::add(const graph::Array<float>& x, const JobContext& context)
{
    const std::int64_t rows = x.rows();
    if (x.width() != in)
        return badInput("inputs of width " + std::to_string(x.width()) + " reach a layer that takes " +
                        std::to_string(in));
    // Columns in strips: sums, extremes and the Gram matrix, each strip by one task, tokens in order.
    const std::int64_t strip = gramKind == GramKind::blocks ? blockSize : kGramStrip;
    QL_CHECK(parallelFor(context, in, strip, [&](std::int64_t begin, std::int64_t end) {
        const auto at = static_cast<std::size_t>(begin);
        for (std::int64_t r = 0; r < rows; ++r) {
            const float* row = x.data() + r * in + begin;
            addChannels(row, end - begin, &sum[at], &min[at], &max[at]);
            if (gramKind == GramKind::diag)
                graph::addSquaresTo(&gram[at], row, end - begin);
        }
        if (gramKind == GramKind::blocks)
            addToBlock(*this, begin, end, x, context);
        if (gramKind == GramKind::full)
            addToHalf(x.data(), rows, in, begin, end, gram.data(), context);
    }));
    const auto before = tokenAbsmax.size();
    tokenAbsmax.resize(before + static_cast<std::size_t>(rows));
    constexpr std::int64_t kGrain = 64;
    QL_TRY(counted, deterministicReduce(
                        context, rows, kGrain, GrowingHistogram{},
                        [&](std::int64_t begin, std::int64_t end) {
                            GrowingHistogram part;
                            part.add(x.data() + begin * in, (end - begin) * in);
                            for (std::int64_t r = begin; r < end; ++r)
                                tokenAbsmax[before + static_cast<std::size_t>(r)] =
                                    largestMagnitude(x.data() + r * in, in);
                            return part;
                        },
                        [](GrowingHistogram& into, const GrowingHistogram& next) { into.merge(next); }));
    histogram.merge(counted);
    tokens += rows;
    return {};
}

namespace {

constexpr std::uint64_t kMagic = 0x32455449534c51ULL; // "QLSITE2"

bool readHead(ByteReader& reader, SiteStatistics& site)
{
    std::uint64_t magic = 0;
    std::int64_t kind = 0;
    std::vector<char> source;
    const bool whole = reader.value(magic) && magic == kMagic && reader.array(site.readers) && reader.array(source) &&
                       reader.value(site.in) && reader.value(site.windows) && reader.value(site.tokens) &&
                       reader.value(kind) && reader.value(site.blockSize);
    if (!whole || kind < 0 || kind > static_cast<std::int64_t>(GramKind::full) || site.in < 1 || site.tokens < 0 ||
        (kind == static_cast<std::int64_t>(GramKind::blocks) && site.blockSize < 1) ||
        std::ranges::any_of(site.readers, [](const SiteReader& r) {
            return r.parts < 1 || r.part < SiteReader::kEach || r.part >= r.parts;
        }))
        return false;
    site.source.assign(source.begin(), source.end());
    site.gramKind = static_cast<GramKind>(kind);
    return true;
}

} // namespace

std::vector<std::byte> SiteStatistics::encode() const
{
    // Growing would take twice the memory.
    ByteWriter out(kHeadBytes + 8 * (gram.size() + sum.size()) + 4 * (min.size() + max.size() + tokenAbsmax.size()) +
                   8 * GrowingHistogram::kBins);
    out.value(kMagic);
    out.array(std::span<const SiteReader>(readers));
    out.array(std::span<const char>(source));
    for (const std::int64_t number : {in, windows, tokens, static_cast<std::int64_t>(gramKind), blockSize})
        out.value(number);
    out.array(std::span<const double>(gram));
    out.array(std::span<const double>(sum));
    out.array(std::span<const float>(min));
    out.array(std::span<const float>(max));
    out.array(std::span<const float>(tokenAbsmax));
    out.value(histogram.range());
    out.array(histogram.counts());
    return out.take();
}

std::optional<SiteStatistics> SiteStatistics::decodeHead(std::span<const std::byte> bytes)
{
    ByteReader reader(bytes);
    SiteStatistics site;
    return readHead(reader, site) ? std::optional(std::move(site)) : std::nullopt;
}

std::optional<SiteStatistics> SiteStatistics::decode(std::span<const std::byte> bytes)
{
    ByteReader reader(bytes);
    SiteStatistics site;
    double range = 0;
    std::vector<std::int64_t> counts;
    const bool whole = readHead(reader, site) && reader.array(site.gram) && reader.array(site.sum) &&
                       reader.array(site.min) && reader.array(site.max) && reader.array(site.tokenAbsmax) &&
                       reader.value(range) && reader.array(counts) && reader.atEnd();
    const auto width = static_cast<std::size_t>(site.in);
    if (!whole || std::ssize(site.gram) != gramSize(site.in, site.gramKind, site.blockSize) ||
        site.sum.size() != width || site.min.size() != width || site.max.size() != width ||
        (!site.tokenAbsmax.empty() && std::ssize(site.tokenAbsmax) != site.tokens) ||
        std::ssize(counts) != GrowingHistogram::kBins || !(range >= 0))
        return std::nullopt;
    site.histogram.restore(range, counts);
    return site;
}

} // namespace ql
