// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps a mapped file that is cut short, or whose disk fails, from killing the process. Reading what is gone raises
// SIGBUS; a process-wide handler, installed with the first guard, puts zeros in place of the rest of that mapping and
// marks its guard. Faults elsewhere go to the handler that was there before, or kill as they did.
#pragma once

#include <atomic>
#include <csignal>
#include <cstddef>
#include <span>

namespace ql {

/// Of one mapping, from just behind mmap to just before munmap. Thread-safe.
class MappingGuard {
public:
    explicit MappingGuard(std::span<const std::byte> mapping);
    ~MappingGuard();
    MappingGuard(const MappingGuard&) = delete;
    MappingGuard& operator=(const MappingGuard&) = delete;
    /// Whether bytes that were read since are zeros instead of the file's.
    bool damaged() const;

private:
    struct Slot;
    static bool repair(const void* address);
    static void onBusError(int signal, siginfo_t* about, void* context);
    static std::atomic<Slot*> s_slots;

    Slot* m_slot;
};

/// Reads a byte of every page, so that what is gone is found: system calls that are given such bytes fail with EFAULT
/// instead of raising the signal.
void touchPages(std::span<const std::byte> bytes);

} // namespace ql
