// SPDX-License-Identifier: GPL-3.0-or-later
// Large blocks are used again, and no more than 64 MiB of them wait for that.
#include "core/tensor/large_memory.h"

#include <unistd.h>

#include <QTest>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <new>
#include <thread>
#include <vector>

using namespace ql;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kUsedAgain = false;
#else
constexpr bool kUsedAgain = true;
#endif
constexpr std::size_t kMiB = std::size_t{1} << 20U;

std::int64_t residentBytes()
{
    std::int64_t pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
}

} // namespace

class LargeMemoryTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void blocksAreAligned()
    {
        for (const std::size_t bytes :
             {std::size_t{0}, std::size_t{1}, std::size_t{65}, kMiB, 4 * kMiB - 1, 4 * kMiB, 5 * kMiB + 3}) {
            void* const memory = allocateLarge(bytes);
            QCOMPARE(reinterpret_cast<std::uintptr_t>(memory) % 64, std::uintptr_t{0});
            std::memset(memory, 1, bytes);
            freeLarge(memory, bytes);
        }
        freeLarge(nullptr, 0);
        QVERIFY_THROWS_EXCEPTION(std::bad_alloc, allocateLarge(std::numeric_limits<std::size_t>::max()));
        QVERIFY_THROWS_EXCEPTION(std::bad_alloc, allocateLarge(std::numeric_limits<std::size_t>::max() / 4));
    }

    void blocksAreUsedAgain()
    {
        if (!kUsedAgain)
            QSKIP("not under the sanitizer");
        void* const first = allocateLarge(20 * kMiB + 1);
        freeLarge(first, 20 * kMiB + 1);
        void* const other = allocateLarge(30 * kMiB);
        QVERIFY(other != first);
        void* const again = allocateLarge(20 * kMiB + 2); // as many pages
        QCOMPARE(again, first);
        freeLarge(again, 20 * kMiB + 2);
        freeLarge(other, 30 * kMiB);
    }

    void theRestGoesBackToTheSystem()
    {
        if (!kUsedAgain)
            QSKIP("the sanitizer keeps what was freed for a while");
        const std::int64_t before = residentBytes();
        for (const std::size_t each : {16 * kMiB, 24 * kMiB, 200 * kMiB}) {
            std::vector<void*> blocks;
            for (std::size_t bytes = 0; bytes < 200 * kMiB; bytes += each) {
                blocks.push_back(allocateLarge(each));
                std::memset(blocks.back(), 1, each);
            }
            QVERIFY(residentBytes() - before > static_cast<std::int64_t>(150 * kMiB));
            for (void* const block : blocks)
                freeLarge(block, each);
            QVERIFY(residentBytes() - before < static_cast<std::int64_t>(80 * kMiB));
        }
    }

    void threadsShareThem()
    {
        std::vector<std::jthread> threads;
        std::atomic<int> mixed = 0;
        for (unsigned char mark = 1; mark <= 4; ++mark)
            threads.emplace_back([mark, &mixed] {
                for (int i = 0; i < 50; ++i) {
                    const std::size_t bytes = 4 * kMiB + static_cast<std::size_t>(i % 3) * 2 * kMiB;
                    auto* const memory = static_cast<unsigned char*>(allocateLarge(bytes));
                    std::memset(memory, mark, 4096);
                    std::this_thread::yield();
                    mixed += memory[0] != mark || memory[4095] != mark ? 1 : 0;
                    freeLarge(memory, bytes);
                }
            });
        threads.clear();
        QCOMPARE(mixed.load(), 0);
    }
};

QTEST_APPLESS_MAIN(LargeMemoryTest)
#include "large_memory_test.moc"
