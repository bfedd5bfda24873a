// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/mapping_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

namespace ql {

/// What the handler walks. Never freed, so that it needs no lock; used again instead.
struct MappingGuard::Slot {
    std::atomic<bool> taken = true;
    std::atomic<std::uintptr_t> begin = 0;
    std::atomic<std::uintptr_t> end = 0; // 0: no mapping
    std::atomic<bool> damaged = false;
    Slot* next = nullptr;
};

std::atomic<MappingGuard::Slot*> MappingGuard::s_slots = nullptr;

namespace {

std::uintptr_t g_pageBytes = 0;
struct sigaction g_previous; // like the page size written once, before the handler can run

void passOn(int signal, siginfo_t* about, void* context, bool isFault)
{
    if ((g_previous.sa_flags & SA_SIGINFO) != 0) {
        g_previous.sa_sigaction(signal, about, context);
    } else if (g_previous.sa_handler != SIG_DFL && g_previous.sa_handler != SIG_IGN) {
        g_previous.sa_handler(signal);
    } else if (isFault || g_previous.sa_handler == SIG_DFL) {
        ::signal(signal, SIG_DFL);
        if (!isFault)
            ::raise(signal); // a fault comes again by itself
    }
}

} // namespace

bool MappingGuard::repair(const void* address)
{
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    for (Slot* slot = s_slots.load(); slot; slot = slot->next) {
        const std::uintptr_t end = slot->end.load();
        if (at < slot->begin.load() || at >= end)
            continue;
        slot->damaged.store(true);
        // A file that was cut short has nothing behind the first page that is gone, so one fault is enough.
        const std::uintptr_t page = at / g_pageBytes * g_pageBytes;
        return ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
    }
    return false;
}

/// Lock-free atomics and system calls only, as a signal handler must.
void MappingGuard::onBusError(int signal, siginfo_t* about, void* context)
{
    const int savedErrno = errno;
    const bool isFault = about->si_code > 0; // not sent by kill()
    if (!isFault || !repair(about->si_addr))
        passOn(signal, about, context, isFault);
    errno = savedErrno;
}

MappingGuard::MappingGuard(std::span<const std::byte> mapping)
{
    static std::once_flag installed;
    std::call_once(installed, [] {
        g_pageBytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
        ::sigaction(SIGBUS, nullptr, &g_previous);
        struct sigaction own {};
        own.sa_sigaction = onBusError;
        own.sa_flags = SA_SIGINFO | SA_ONSTACK;
        ::sigaction(SIGBUS, &own, nullptr);
    });
    for (m_slot = s_slots.load(); m_slot && m_slot->taken.exchange(true); m_slot = m_slot->next) {
    }
    if (!m_slot) {
        m_slot = new Slot;
        m_slot->next = s_slots.load();
        while (!s_slots.compare_exchange_weak(m_slot->next, m_slot)) {
        }
    }
    m_slot->damaged.store(false);
    m_slot->begin.store(reinterpret_cast<std::uintptr_t>(mapping.data()));
    m_slot->end.store(reinterpret_cast<std::uintptr_t>(mapping.data() + mapping.size()));
}

MappingGuard::~MappingGuard()
{
    m_slot->end.store(0);
    m_slot->taken.store(false);
}

bool MappingGuard::damaged() const
{
    return m_slot->damaged.load();
}

void touchPages(std::span<const std::byte> bytes)
{
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    for (std::size_t at = 0; at < bytes.size(); at += page)
        static_cast<void>(*static_cast<const volatile std::byte*>(bytes.data() + at));
    if (!bytes.empty())
        static_cast<void>(*static_cast<const volatile std::byte*>(&bytes.back()));
}

} // namespace ql
