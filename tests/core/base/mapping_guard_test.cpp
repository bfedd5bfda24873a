// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "tests/support/temporary_folder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTest>

#include <algorithm>
#include <csignal>

using namespace ql;

namespace {

constexpr std::size_t kBytes = std::size_t{1} << 20U;

/// How a child that runs `act` ends.
template<typename Act>
int statusOf(const Act& act)
{
    const pid_t child = ::fork();
    if (child == 0) {
        act();
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

/// Raises SIGBUS in memory that is no MappedFile.
void faultElsewhere(const std::filesystem::path& folder)
{
    const auto path = folder / "elsewhere";
    std::ofstream(path) << std::string(kBytes, 'x');
    const int descriptor = ::open(path.c_str(), O_RDONLY);
    const auto* data =
        static_cast<const volatile char*>(::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE, descriptor, 0));
    std::filesystem::resize_file(path, 10);
    static_cast<void>(data[kBytes / 2]);
}

} // namespace

class MappingGuardTest : public QObject {
    Q_OBJECT
    test::TemporaryFolder m_folder;

    std::shared_ptr<const MappedFile> map(const char* name) const
    {
        return MappedFile::open(m_folder.write(name, std::string(kBytes, 'x'))).value();
    }

    /// With this disposition before the first mapping.
    void prepare(void (*handler)(int)) const
    {
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_CORE, &none);
        ::signal(SIGBUS, handler);
        static_cast<void>(map("mapped"));
    }

private Q_SLOTS:
    // The first two fork before this process has mapped anything and so installed the handler.
    void otherFaultsGoToThePreviousHandler()
    {
        for (const bool sent : {false, true}) {
            const int status = statusOf([&] {
                prepare([](int) { ::_exit(7); });
                sent ? static_cast<void>(::raise(SIGBUS)) : faultElsewhere(m_folder.path());
            });
            QVERIFY(WIFEXITED(status));
            QCOMPARE(WEXITSTATUS(status), 7);
        }
    }
    void otherFaultsKillWhereNobodyHandlesThem()
    {
        for (const bool sent : {false, true}) {
            const int status = statusOf([&] {
                prepare(SIG_DFL);
                sent ? static_cast<void>(::raise(SIGBUS)) : faultElsewhere(m_folder.path());
            });
            QVERIFY(WIFSIGNALED(status));
            QCOMPARE(WTERMSIG(status), SIGBUS);
        }
    }
    void missingBytesAreZerosAndSaid()
    {
        const auto whole = map("whole");
        const auto cut = map("cut");
        std::filesystem::resize_file(cut->path(), kBytes / 2 + 10);
        const auto bytes = cut->bytes();
        QCOMPARE(bytes[kBytes / 2 + 9], std::byte{'x'});
        QVERIFY(std::ranges::all_of(bytes.last(kBytes / 4), [](std::byte b) { return b == std::byte{0}; }));
        QCOMPARE(bytes[0], std::byte{'x'});
        const auto intact = cut->checkIntact();
        QVERIFY(!intact);
        QCOMPARE(intact.error().where, cut->path().string());
        QVERIFY(intact.error().what.find("cut short") != std::string::npos);
        QVERIFY(whole->checkIntact());
        QCOMPARE(whole->bytes()[kBytes - 1], std::byte{'x'});
    }
    void missingEndOfTheLastPageIsSaid()
    {
        const auto cut = map("end");
        QVERIFY(cut->checkIntact());
        std::filesystem::resize_file(cut->path(), kBytes - 1);
        QCOMPARE(cut->bytes()[kBytes - 1], std::byte{0}); // no signal
        QVERIFY(!cut->checkIntact());
    }
    void aFileThatTookItsPlaceIsNoDamage()
    {
        const auto old = map("old");
        std::filesystem::rename(m_folder.write("new", "short"), old->path());
        QVERIFY(old->checkIntact());
        QCOMPARE(old->bytes()[kBytes - 1], std::byte{'x'});
    }
    void aNewMappingStartsIntact()
    {
        for (int i = 0; i < 3; ++i) { // the place of the closed one is used again
            const auto file = map("again");
            QVERIFY(file->checkIntact());
            std::filesystem::resize_file(file->path(), 0);
            QCOMPARE(file->bytes()[kBytes / 2], std::byte{0});
            QVERIFY(!file->checkIntact());
        }
    }
    void writingMissingBytesIsSaid()
    {
        const auto cut = map("source");
        std::filesystem::resize_file(cut->path(), 10);
        auto out = AtomicFile::create(m_folder.path() / "out").value();
        QVERIFY(out.write(cut->bytes())); // zeros, as when they are read
        QVERIFY(!cut->checkIntact());
    }
};

QTEST_APPLESS_MAIN(MappingGuardTest)
#include "mapping_guard_test.moc"
