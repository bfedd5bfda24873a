// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/fingerprint.h"

#include <sys/mman.h>

#include <algorithm>

namespace ql {

namespace {

/// Asks for the pages before they are touched: one after another, 64 places of a file that is not cached took 0.9 s.
void prefetch(std::span<const std::byte> bytes)
{
    constexpr std::uintptr_t kPageBytes = 4096;
    const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
    const std::uintptr_t page = address / kPageBytes * kPageBytes;
    ::madvise(reinterpret_cast<void*>(page), bytes.size() + (address - page), MADV_WILLNEED);
}

} // namespace

void Fingerprint::addFile(std::span<const std::byte> bytes, std::int64_t headerBytes)
{
    constexpr std::size_t kSampleBytes = 4096;
    constexpr std::size_t kSamples = 64;
    const auto size = static_cast<std::uint64_t>(bytes.size());
    m_hasher.add(std::as_bytes(std::span(&size, 1)));
    const std::size_t header = std::min(bytes.size(), static_cast<std::size_t>(headerBytes));
    m_hasher.add(bytes.first(header));
    const std::span<const std::byte> rest = bytes.subspan(header);
    if (rest.size() <= kSamples * kSampleBytes)
        return m_hasher.add(rest);
    const std::size_t room = rest.size() - kSampleBytes;
    // Dividing first cannot overflow; the last sample touches the end.
    const auto sample = [&](std::size_t i) {
        return rest.subspan(i + 1 == kSamples ? room : room / (kSamples - 1) * i, kSampleBytes);
    };
    for (std::size_t i = 0; i < kSamples; ++i)
        prefetch(sample(i));
    for (std::size_t i = 0; i < kSamples; ++i)
        m_hasher.add(sample(i));
}

} // namespace ql
