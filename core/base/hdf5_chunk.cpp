// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hdf5_chunk.h"

#include "core/base/inflater.h"

#include <algorithm>
#include <cstring>

namespace ql::hdf5 {

namespace {

constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kPieceBytes = std::size_t{1} << 20U; // between two stop tests

Error damaged(const char* what)
{
    return badInput(std::string(what) + ". The file is damaged; get it again");
}

/// Sums of big-endian 16-bit words modulo 65535, with the carries folded.
std::uint32_t fletcher32(std::span<const std::byte> bytes)
{
    std::uint32_t sum1 = 0;
    std::uint32_t sum2 = 0;
    const auto fold = [](std::uint32_t sum) { return (sum & 0xffffU) + (sum >> 16U); };
    std::size_t words = bytes.size() / 2;
    const std::byte* at = bytes.data();
    while (words > 0) {
        const std::size_t block = std::min<std::size_t>(words, 360); // the sums cannot overflow before
        words -= block;
        for (std::size_t i = 0; i < block; ++i, at += 2) {
            sum1 += static_cast<std::uint32_t>(at[0]) << 8U | static_cast<std::uint32_t>(at[1]);
            sum2 += sum1;
        }
        sum1 = fold(sum1);
        sum2 = fold(sum2);
    }
    if (bytes.size() % 2 != 0) {
        sum1 += static_cast<std::uint32_t>(*at) << 8U;
        sum2 += sum1;
        sum1 = fold(sum1);
        sum2 = fold(sum2);
    }
    return fold(sum2) << 16U | fold(sum1);
}

std::vector<std::byte> unshuffle(std::span<const std::byte> bytes, std::size_t elementBytes)
{
    std::vector<std::byte> out(bytes.begin(), bytes.end());
    if (elementBytes < 2)
        return out;
    const std::size_t elements = bytes.size() / elementBytes; // bytes left over lie at the end, as they were
    for (std::size_t byte = 0; byte < elementBytes; ++byte) {
        const std::byte* from = bytes.data() + byte * elements;
        std::byte* to = out.data() + byte;
        for (std::size_t i = 0; i < elements; ++i)
            to[i * elementBytes] = from[i];
    }
    return out;
}

template<typename T, typename Swap>
void swapAll(std::span<std::byte> data, Swap swap)
{
    for (std::size_t at = 0; at + sizeof(T) <= data.size(); at += sizeof(T)) {
        T value;
        std::memcpy(&value, data.data() + at, sizeof value);
        value = swap(value);
        std::memcpy(data.data() + at, &value, sizeof value);
    }
}

} // namespace

Result<std::vector<std::byte>> unfilter(std::span<const std::byte> stored, const Dataset& dataset,
                                        std::uint32_t skipped, const std::stop_token& stop)
{
    const auto applied = [&](std::size_t i) { return (skipped >> std::min<std::size_t>(i, 31) & 1U) == 0; };
    const auto plainBytes = static_cast<std::size_t>(elementCount(dataset.chunk).value()) *
                            static_cast<std::size_t>(info(*dataset.element).bytes);
    // A checksum adds its bytes; so many are left behind deflate when it is undone.
    std::vector<std::size_t> sizes(dataset.filters.size() + 1, plainBytes);
    for (std::size_t i = 0; i < dataset.filters.size(); ++i)
        sizes[i + 1] = sizes[i] + (applied(i) && dataset.filters[i].id == FilterId::fletcher32 ? kChecksumBytes : 0);

    std::vector<std::byte> buffer;
    std::span<const std::byte> data = stored;
    for (std::size_t i = dataset.filters.size(); i-- > 0;) {
        if (!applied(i))
            continue;
        if (stop.stop_requested())
            return cancelledError();
        const Filter& filter = dataset.filters[i];
        if (filter.id == FilterId::fletcher32) {
            std::uint32_t expected = 0;
            if (data.size() < kChecksumBytes)
                return damaged("has a chunk that is cut short");
            std::memcpy(&expected, data.data() + data.size() - kChecksumBytes, kChecksumBytes);
            data = data.first(data.size() - kChecksumBytes);
            if (fletcher32(data) != expected)
                return damaged("has a chunk with a wrong checksum");
        } else if (filter.id == FilterId::shuffle) {
            auto next = unshuffle(data, static_cast<std::size_t>(filter.shuffleBytes));
            buffer.swap(next);
            data = buffer;
        } else {
            Inflater inflater(data, Inflater::Format::zlib);
            std::vector<std::byte> next(sizes[i]);
            for (std::size_t done = 0; done < next.size();) {
                if (stop.stop_requested())
                    return cancelledError();
                const auto piece = std::span(next).subspan(done, std::min(kPieceBytes, next.size() - done));
                if (inflater.read(piece) != piece.size())
                    return damaged("has a chunk that cannot be unpacked");
                done += piece.size();
            }
            if (!inflater.exhausted() || !inflater.finished())
                return damaged("has a chunk that cannot be unpacked");
            buffer.swap(next);
            data = buffer;
        }
    }
    if (data.size() != plainBytes)
        return damaged("has a chunk of the wrong size");
    if (data.data() != buffer.data())
        buffer.assign(data.begin(), data.end());
    buffer.resize(plainBytes);
    return buffer;
}

void place(std::span<const std::byte> chunk, const Dataset& dataset, std::int64_t position, std::byte* whole)
{
    const Extent& shape = dataset.shape;
    const Extent& size = dataset.chunk;
    const Extent grid = gridOf(shape, size);
    const std::size_t rank = shape.size();
    const auto bytes = static_cast<std::size_t>(info(*dataset.element).bytes);
    Extent start(rank);
    Extent count(rank);
    for (std::size_t d = rank; d-- > 0; position /= grid[d]) {
        start[d] = position % grid[d] * size[d];
        count[d] = std::min(size[d], shape[d] - start[d]);
    }
    // Trailing dimensions that the chunk spans in both arrays make one run with the dimension above them.
    std::size_t outer = rank - 1;
    auto run = static_cast<std::size_t>(count[outer]);
    while (outer > 0 && count[outer] == size[outer] && count[outer] == shape[outer])
        run *= static_cast<std::size_t>(count[--outer]);
    Extent at(rank, 0); // within the chunk
    while (true) {
        std::int64_t from = 0;
        std::int64_t to = 0;
        for (std::size_t d = 0; d < rank; ++d) {
            from = from * size[d] + at[d];
            to = to * shape[d] + start[d] + at[d];
        }
        std::byte* out = whole + static_cast<std::size_t>(to) * bytes;
        if (chunk.size() > bytes) {
            std::memcpy(out, chunk.data() + static_cast<std::size_t>(from) * bytes, run * bytes);
        } else {
            for (std::size_t i = 0; i < run; ++i)
                std::memcpy(out + i * bytes, chunk.data(), bytes);
        }
        std::size_t d = outer;
        while (d > 0 && ++at[d - 1] == count[d - 1])
            at[--d] = 0;
        if (d == 0)
            return;
    }
}

void swapBytes(std::span<std::byte> data, int elementBytes)
{
    if (elementBytes == 2)
        swapAll<std::uint16_t>(data, [](std::uint16_t value) { return __builtin_bswap16(value); });
    else if (elementBytes == 4)
        swapAll<std::uint32_t>(data, [](std::uint32_t value) { return __builtin_bswap32(value); });
    else if (elementBytes == 8)
        swapAll<std::uint64_t>(data, [](std::uint64_t value) { return __builtin_bswap64(value); });
}

} // namespace ql::hdf5
