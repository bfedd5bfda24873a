// SPDX-License-Identifier: GPL-3.0-or-later
// What an atomically written file may replace, and what it holds.
#include "core/base/file.h"
#include "tests/support/temporary_folder.h"

#include <sys/stat.h>

#include <QTest>

using namespace ql;

class FileTest : public QObject {
    Q_OBJECT
    test::TemporaryFolder m_folder;

private Q_SLOTS:
    void takesThePlaceOfRegularFilesOnly()
    {
        const auto regular = m_folder.write("regular", "old");
        auto file = AtomicFile::create(regular).value();
        QVERIFY(file.write("new") && file.commit());
        QCOMPARE(readTextFile(regular, 100).value(), std::string("new"));

        // A pipe stands for devices: the file /dev/null must stay what it is.
        const auto pipe = m_folder.path() / "pipe";
        QCOMPARE(::mkfifo(pipe.c_str(), 0600), 0);
        std::filesystem::create_symlink(pipe, m_folder.path() / "link");
        for (const char* name : {"pipe", "link"}) {
            const auto refused = AtomicFile::create(m_folder.path() / name);
            QVERIFY(!refused);
            QCOMPARE(refused.error().what, std::string("is a pipe; give a file name"));
            QCOMPARE(refused.error().where, (m_folder.path() / name).string());
        }
        const auto folder = AtomicFile::create(m_folder.path());
        QVERIFY(!folder);
        QCOMPARE(folder.error().what, std::string("is a directory; give a file name"));
    }

    /// Parts that are gathered, parts that are written at once and places that are filled later.
    void holdsWhatWasWritten()
    {
        const auto path = m_folder.path() / "parts";
        auto file = AtomicFile::create(path).value();
        std::string wanted;
        for (const std::size_t size : {3U, 65'536U, 1U, 200'000U, 65'535U, 9'000'000U, 5U}) {
            const std::string part(size, static_cast<char>('a' + wanted.size() % 26));
            QVERIFY(file.write(part));
            wanted += part;
            QCOMPARE(file.sizeBytes(), std::ssize(wanted));
        }
        QVERIFY(file.writeZeros(5000));
        wanted.append(5000, '\0');
        for (const std::size_t at : {std::size_t{0}, std::size_t{70'000}, wanted.size() - 4}) { // two across parts
            QVERIFY(file.overwrite(static_cast<std::int64_t>(at), std::as_bytes(std::span("WXYZ", 4))));
            wanted.replace(at, 4, "WXYZ");
        }
        QVERIFY(file.write("end"));
        wanted += "end";
        QCOMPARE(file.sizeBytes(), std::ssize(wanted));
        QVERIFY(file.commit());
        QVERIFY(readTextFile(path, 20'000'000).value() == wanted);
    }
};

QTEST_APPLESS_MAIN(FileTest)
#include "file_test.moc"
