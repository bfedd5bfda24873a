// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/layer_loss_gram.h"

#include "core/calibration/byte_stream.h"

namespace ql {

namespace {

constexpr std::uint64_t kMagic = 0x31475353514cULL; // "LQSSG1"

bool readHead(ByteReader& reader, LayerLossGram& gram)
{
    std::uint64_t magic = 0;
    std::vector<char> source;
    const bool whole = reader.value(magic) && magic == kMagic && reader.array(source) && reader.value(gram.windows) &&
                       reader.value(gram.tokens) && reader.value(gram.in) && reader.value(gram.parts);
    gram.source.assign(source.begin(), source.end());
    constexpr std::int64_t kMost = std::int64_t{1} << 24; // so that sizes are not beyond 64 bits
    return whole && gram.windows >= 1 && gram.tokens >= 1 && gram.in >= 1 && gram.in < kMost && gram.parts >= 1 &&
           gram.parts < kMost;
}

} // namespace

std::vector<std::byte> LayerLossGram::encode() const
{
    ByteWriter out(kHeadBytes + sizeof(float) * sums.size());
    out.value(kMagic);
    out.array(std::span<const char>(source));
    for (const std::int64_t number : {windows, tokens, in, parts})
        out.value(number);
    out.array(std::span<const float>(sums));
    return out.take();
}

std::optional<LayerLossGram> LayerLossGram::decodeHead(std::span<const std::byte> bytes)
{
    ByteReader reader(bytes);
    LayerLossGram gram;
    return readHead(reader, gram) ? std::optional(std::move(gram)) : std::nullopt;
}

std::optional<LayerLossGram> LayerLossGram::decode(std::span<const std::byte> bytes)
{
    ByteReader reader(bytes);
    LayerLossGram gram;
    const bool whole = readHead(reader, gram) && reader.array(gram.sums) && reader.atEnd();
    if (!whole || std::ssize(gram.sums) % gram.parts != 0 || std::ssize(gram.sums) / gram.parts != halfSize(gram.in))
        return std::nullopt;
    return gram;
}

} // namespace ql
