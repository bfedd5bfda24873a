// SPDX-License-Identifier: GPL-3.0-or-later
// A vector of floats that resize() does not fill, for large results that every element is written of: filling them
// first would cost more than computing them. Large ones lie on huge pages where the system offers those.
#pragma once

#include "core/tensor/large_memory.h"

#include <cstddef>
#include <new>
#include <vector>

namespace ql {

template<typename T>
struct UninitializedAllocator {
    using value_type = T;
    UninitializedAllocator() = default;
    template<typename U>
    UninitializedAllocator(const UninitializedAllocator<U>&)
    {}
    T* allocate(std::size_t n) { return static_cast<T*>(allocateLarge(n * sizeof(T))); }
    void deallocate(T* memory, std::size_t n) { freeLarge(memory, n * sizeof(T)); }
    template<typename U>
    void construct(U* at)
    {
        ::new (static_cast<void*>(at)) U; // no value
    }
    template<typename U, typename... Arguments>
    void construct(U* at, Arguments&&... arguments)
    {
        ::new (static_cast<void*>(at)) U(static_cast<Arguments&&>(arguments)...);
    }
    friend bool operator==(const UninitializedAllocator&, const UninitializedAllocator&) { return true; }
};

using FloatArray = std::vector<float, UninitializedAllocator<float>>;

} // namespace ql
