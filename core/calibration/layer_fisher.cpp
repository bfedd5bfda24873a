// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/layer_fisher.h"

#include "core/calibration/byte_stream.h"
#include "core/jobs/parallel.h"
#include "core/tensor/half.h"

namespace ql {

namespace {

constexpr std::uint64_t kMagic = 0x31535246514cULL; // "LQFRS1"

bool readHead(ByteReader& reader, LayerFisher& fisher)
{
    std::uint64_t magic = 0;
    std::vector<char> source;
    const bool whole = reader.value(magic) && magic == kMagic && reader.array(source) && reader.value(fisher.windows) &&
                       reader.value(fisher.tokens) && reader.value(fisher.rows) && reader.value(fisher.columns);
    fisher.source.assign(source.begin(), source.end());
    return whole && fisher.windows >= 1 && fisher.tokens >= 1 && fisher.rows >= 1 && fisher.columns >= 1;
}

} // namespace

void LayerFisher::addPerToken(std::int64_t begin, std::int64_t n, double* to) const
{
    const double perToken = 1 / static_cast<double>(tokens);
    for (std::int64_t i = 0; i < n; ++i)
        to[i] += perToken * static_cast<double>(floatFromBf16(sums[static_cast<std::size_t>(begin + i)]));
}

std::vector<std::byte> LayerFisher::encode() const
{
    ByteWriter out;
    out.value(kMagic);
    out.array(std::span<const char>(source));
    for (const std::int64_t number : {windows, tokens, rows, columns})
        out.value(number);
    out.array(std::span<const std::uint16_t>(sums));
    out.array(std::span<const double>(outputSquares));
    return out.take();
}

std::optional<LayerFisher> LayerFisher::decodeHead(std::span<const std::byte> bytes)
{
    ByteReader reader(bytes);
    LayerFisher fisher;
    return readHead(reader, fisher) ? std::optional(std::move(fisher)) : std::nullopt;
}

std::optional<LayerFisher> LayerFisher::decode(std::span<const std::byte> bytes)
{
    ByteReader reader(bytes);
    LayerFisher fisher;
    const bool whole =
        readHead(reader, fisher) && reader.array(fisher.sums) && reader.array(fisher.outputSquares) && reader.atEnd();
    if (!whole || std::ssize(fisher.sums) / fisher.rows != fisher.columns ||
        std::ssize(fisher.sums) % fisher.rows != 0 ||
        (!fisher.outputSquares.empty() && std::ssize(fisher.outputSquares) != fisher.rows))
        return std::nullopt;
    return fisher;
}

std::int64_t FisherDiagonal::windows() const
{
    return std::ranges::min(uses, {}, &LayerFisher::windows).windows;
}

void FisherDiagonal::read(std::int64_t begin, std::int64_t n, double* out) const
{
    std::fill_n(out, n, 0.0);
    for (const LayerFisher& use : uses)
        use.addPerToken(begin, n, out);
}

std::vector<double> FisherDiagonal::outputMeanSquares() const
{
    std::vector<double> means;
    for (const LayerFisher& use : uses) {
        means.resize(std::max(means.size(), use.outputSquares.size()));
        for (std::size_t i = 0; i < use.outputSquares.size(); ++i)
            means[i] += use.outputSquares[i] / static_cast<double>(use.tokens);
    }
    return means;
}

Result<std::vector<std::uint16_t>> roundedByChance(std::span<const float> values, const CounterRng& chance,
                                                   const JobContext& context)
{
    constexpr std::int64_t kGrain = 1 << 18; // a multiple of 4
    std::vector<std::uint16_t> rounded(values.size());
    QL_CHECK(parallelFor(context, std::ssize(values), kGrain, [&](std::int64_t begin, std::int64_t end) {
        std::uint64_t bits = 0;
        for (std::int64_t i = begin; i < end; ++i) {
            bits = i % 4 == 0 ? chance.bits(static_cast<std::uint64_t>(i / 4)) : bits >> 16U;
            const auto value = std::bit_cast<std::uint32_t>(values[static_cast<std::size_t>(i)]);
            const bool isFinite = (value & 0x7f800000U) != 0x7f800000U;
            rounded[static_cast<std::size_t>(i)] =
                static_cast<std::uint16_t>((isFinite ? value + (bits & 0xffffU) : value) >> 16U);
        }
    }));
    return rounded;
}

} // namespace ql
