// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/tensor/tensor_view.h"

#include "core/tensor/float_array.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace ql {

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20U;
constexpr std::size_t kMapped = 2 * kHugePage;

} // namespace

void* allocateLarge(std::size_t bytes)
{
    // Mapped by themselves, large blocks go back to the system when they are freed. glibc would raise this limit to
    // 32 MiB as it sees them go, and a run of many sizes would leave its heap full of holes.
    [[maybe_unused]] static const int limited = ::mallopt(M_MMAP_THRESHOLD, static_cast<int>(kMapped));
    const bool huge = bytes >= kMapped;
    const std::size_t alignment = huge ? kHugePage : kAlignment;
    if (bytes > SIZE_MAX - alignment)
        throw std::bad_alloc();
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void* const memory = std::aligned_alloc(alignment, rounded > 0 ? rounded : alignment);
    if (memory == nullptr)
        throw std::bad_alloc();
    if (huge)
        ::madvise(memory, rounded, MADV_HUGEPAGE); // only a wish
    return memory;
}

void freeLarge(void* memory)
{
    std::free(memory);
}

std::string formatShape(const Shape& shape)
{
    std::string text = "[";
    for (const std::int64_t dimension : shape)
        text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
    return text + "]";
}

Buffer::Buffer(std::int64_t sizeBytes)
    : m_data(static_cast<std::byte*>(allocateLarge(static_cast<std::size_t>(sizeBytes)))), m_size(sizeBytes)
{}

void Buffer::Free::operator()(std::byte* p) const
{
    freeLarge(p);
}

} // namespace ql
