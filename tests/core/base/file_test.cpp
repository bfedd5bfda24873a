// SPDX-License-Identifier: GPL-3.0-or-later
// What an atomically written file may replace.
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
};

QTEST_APPLESS_MAIN(FileTest)
#include "file_test.moc"
