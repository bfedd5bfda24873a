// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes written whole at any place, from a mapping that was cut short, too, errors that name the file, and what new
// files permit.
#include "core/base/disk_output.h"
#include "core/base/file.h"
#include "tests/support/temporary_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <QTest>

#include <atomic>
#include <thread>
#include <vector>

using namespace ql;

class DiskOutputTest : public QObject {
    Q_OBJECT
    test::TemporaryFolder m_folder;

private Q_SLOTS:
    void writesAtAnyPlace()
    {
        const auto path = m_folder.write("out", "0123456789");
        const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        const auto write = [&](int to, std::int64_t offset, std::string_view text) {
            return writeAllAt(to, offset, std::as_bytes(std::span(text.data(), text.size())), path);
        };
        QVERIFY(write(descriptor, 12, "end") && write(descriptor, 2, "xy") && write(descriptor, 0, ""));
        startWriteBack(descriptor, 0, 15);
        ::close(descriptor);
        syncFolder(path.parent_path());
        QCOMPARE(readTextFile(path, 100).value(), std::string("01xy456789") + std::string(2, '\0') + "end");
        const int readOnly = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        const auto refused = write(readOnly, 0, "late");
        ::close(readOnly);
        QVERIFY(!refused);
        QCOMPARE(refused.error().code, Errc::io);
        QCOMPARE(refused.error().where, path.string());
    }

    void whatWasCutShortIsZeros()
    {
        constexpr std::size_t kBytes = std::size_t{1} << 20U;
        const auto source = MappedFile::open(m_folder.write("source", std::string(kBytes, 'x'))).value();
        std::filesystem::resize_file(source->path(), kBytes / 2);
        const auto path = m_folder.write("copy", "");
        const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        const auto written = writeAllAt(descriptor, 0, source->bytes(), path);
        ::close(descriptor);
        QVERIFY(written);
        QVERIFY(readTextFile(path, kBytes).value() ==
                std::string(kBytes / 2, 'x') + std::string(kBytes - kBytes / 2, '\0'));
        QVERIFY(!source->checkIntact());
    }

    /// By any number of threads, which leave it as it is.
    void newFilesHaveWhatTheMaskLeaves()
    {
        const mode_t before = ::umask(027);
        std::atomic<int> wrong = 0;
        {
            std::vector<std::jthread> threads;
            for (int i = 0; i < 4; ++i)
                threads.emplace_back([&] {
                    for (int k = 0; k < 2000; ++k)
                        wrong += currentMask() == 027 ? 0 : 1;
                });
        }
        const auto path = m_folder / "masked";
        auto file = AtomicFile::create(path);
        const bool isWritten = file && file->write("x") && file->commit();
        const mode_t after = ::umask(before);
        QVERIFY(isWritten);
        QCOMPARE(wrong.load(), 0);
        QCOMPARE(after, mode_t{027});
        struct stat status {};
        QCOMPARE(::stat(path.c_str(), &status), 0);
        QCOMPARE(status.st_mode & 0777U, 0640U);
    }
};

QTEST_APPLESS_MAIN(DiskOutputTest)
#include "disk_output_test.moc"
