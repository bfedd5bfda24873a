// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/tensor/large_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace ql {

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20U;
constexpr std::size_t kMapped = 2 * kHugePage;
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kKept = 0; // whoever uses what was freed is to be seen
#else
constexpr std::size_t kKept = std::size_t{64} << 20U;
#endif

/// Freed blocks that may be asked for again, the oldest first.
class FreedBlocks {
public:
    /// Null if there is none of that size.
    void* take(std::size_t bytes)
    {
        const std::lock_guard lock(m_mutex);
        const auto found = std::ranges::find(m_blocks, bytes, &Block::bytes);
        if (found == m_blocks.end())
            return nullptr;
        void* const memory = found->memory;
        m_blocks.erase(found);
        m_bytes -= bytes;
        return memory;
    }

    void put(void* memory, std::size_t bytes)
    {
        if (bytes > kKept)
            return std::free(memory);
        const std::lock_guard lock(m_mutex);
        m_blocks.push_back({memory, bytes});
        m_bytes += bytes;
        shrinkTo(kKept);
    }

    void clear()
    {
        const std::lock_guard lock(m_mutex);
        shrinkTo(0);
    }

private:
    struct Block {
        void* memory;
        std::size_t bytes;
    };

    void shrinkTo(std::size_t bytes)
    {
        for (; m_bytes > bytes; m_blocks.erase(m_blocks.begin())) {
            m_bytes -= m_blocks.front().bytes;
            std::free(m_blocks.front().memory);
        }
    }

    std::mutex m_mutex;
    std::vector<Block> m_blocks;
    std::size_t m_bytes = 0;
};

/// Never destroyed: arrays of other static objects may be freed later.
FreedBlocks& freedBlocks()
{
    static auto* const blocks = new FreedBlocks;
    return *blocks;
}

std::size_t roundedUp(std::size_t bytes)
{
    const std::size_t unit = bytes >= kMapped ? kHugePage : kAlignment;
    if (bytes > SIZE_MAX - unit)
        throw std::bad_alloc();
    return std::max((bytes + unit - 1) / unit * unit, kAlignment);
}

} // namespace

void* allocateLarge(std::size_t bytes)
{
    // Mapped by themselves, large blocks go back to the system when they are freed. glibc would raise this limit to
    // 32 MiB as it sees them go, and a run of many sizes would leave its heap full of holes.
    [[maybe_unused]] static const int limited = ::mallopt(M_MMAP_THRESHOLD, static_cast<int>(kMapped));
    const std::size_t rounded = roundedUp(bytes);
    const bool isMapped = bytes >= kMapped;
    if (void* const again = isMapped ? freedBlocks().take(rounded) : nullptr)
        return again;
    const auto allocated = [&] { return std::aligned_alloc(isMapped ? kHugePage : kAlignment, rounded); };
    void* memory = allocated();
    if (memory == nullptr) {
        freedBlocks().clear();
        memory = allocated();
    }
    if (memory == nullptr)
        throw std::bad_alloc();
    if (isMapped)
        ::madvise(memory, rounded, MADV_HUGEPAGE); // only a wish
    return memory;
}

void freeLarge(void* memory, std::size_t bytes)
{
    if (memory != nullptr && bytes >= kMapped)
        freedBlocks().put(memory, roundedUp(bytes));
    else
        std::free(memory);
}

} // namespace ql
