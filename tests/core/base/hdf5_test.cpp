// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hdf5.h"
#include "core/base/hdf5_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QTest>

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>

using namespace ql;

class Hdf5Test : public QObject {
    Q_OBJECT
    QTemporaryDir m_folder;
    std::filesystem::path file(const char* name) const { return m_folder.path().toStdString() + "/" + name; }

private Q_SLOTS:
    void attributesComeBack()
    {
        const auto path = file("attributes.h5");
        const std::string longText(200'000, 'x');
        {
            auto h5 = hdf5::createFile(path);
            QVERIFY(h5);
            QVERIFY(hdf5::writeAttribute(h5->get(), "text", "héllo"));
            QVERIFY(hdf5::writeAttribute(h5->get(), "text", "again"));
            QVERIFY(hdf5::writeAttribute(h5->get(), "empty", ""));
            QVERIFY(hdf5::writeAttribute(h5->get(), "long", longText));
            QVERIFY(hdf5::writeAttribute(h5->get(), "int", std::int64_t{-7}));
            QVERIFY(hdf5::closeFile(std::move(*h5)));
        }
        const auto h5 = hdf5::File::open(path).value();
        const hdf5::Group& root = h5->root();
        QCOMPARE(h5->text(root, "text").value(), std::string("again"));
        QCOMPARE(h5->text(root, "empty").value(), std::string());
        QCOMPARE(h5->text(root, "long").value(), longText);
        QCOMPARE(h5->integer(root, "int").value(), -7);
        QVERIFY(!root.attribute<std::int64_t>("none"));
        QVERIFY(!h5->text(root, "int"));
        QVERIFY(!h5->integer(root, "text"));
        QVERIFY(!h5->text(root, "long", 1000));
    }
    void datasetsComeBack()
    {
        const auto path = file("datasets.h5");
        std::vector<float> values(7 * 5);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = static_cast<float>(i) / 3;
        const std::vector<std::uint16_t> small{0x3f80, 0xc000, 0x0001};
        const std::vector<std::int8_t> flags{1, 0, 1};
        {
            auto h5 = hdf5::createFile(path);
            QVERIFY(h5);
            auto dataset = hdf5::createDataset(h5->get(), "a/b/plain", hdf5::Element::f32, {7, 5});
            QVERIFY(dataset);
            QVERIFY(hdf5::writeRows(dataset->get(), hdf5::Element::f32, 0, 3, values.data()));
            QVERIFY(hdf5::writeRows(dataset->get(), hdf5::Element::f32, 3, 4, values.data() + 15));
            QVERIFY(hdf5::writeDataset(h5->get(), "a/packed", hdf5::Element::f32, {7, 5}, values.data(),
                                       {.chunk = {2, 5}, .deflate = 6}));
            QVERIFY(hdf5::writeDataset(h5->get(), "half", hdf5::Element::f16, {3}, small.data()));
            QVERIFY(hdf5::writeDataset(h5->get(), "brain", hdf5::Element::bf16, {3}, small.data()));
            QVERIFY(hdf5::writeDataset(h5->get(), "flags", hdf5::Element::boolean, {3}, flags.data()));
            QVERIFY(hdf5::writeDataset(h5->get(), "scalar", hdf5::Element::f32, {}, values.data() + 1));
            QVERIFY(hdf5::writeDataset(h5->get(), "none", hdf5::Element::f32, {0, 4}, nullptr));
            QVERIFY(hdf5::closeFile(std::move(*h5)));
        }
        const auto h5 = hdf5::File::open(path).value();
        std::vector<std::string> names;
        for (const hdf5::Link& link : h5->root().links)
            names.push_back(link.name);
        QCOMPARE(names, (std::vector<std::string>{"a", "brain", "flags", "half", "none", "scalar"}));
        const auto find = [&](const char* name) { return *h5->dataset(h5->root(), name).value(); };
        for (const char* name : {"a/b/plain", "a/packed"}) {
            const auto read = h5->read(find(name), hdf5::Element::f32, 1000).value();
            QCOMPARE(find(name).shape, (hdf5::Extent{7, 5}));
            QVERIFY(std::memcmp(read.data(), values.data(), read.size()) == 0);
        }
        const auto brain = h5->read(find("brain"), hdf5::Element::bf16, 1000).value();
        QVERIFY(std::memcmp(brain.data(), small.data(), brain.size()) == 0);
        QCOMPARE(find("half").element, hdf5::Element::f16);
        QCOMPARE(find("flags").element, hdf5::Element::boolean);
        QCOMPARE(find("scalar").shape, hdf5::Extent{});
        QCOMPARE(find("none").sizeBytes, 0);
        QCOMPARE(find("a/packed").chunk, (hdf5::Extent{2, 5}));
        QVERIFY(find("a/b/plain").offset > 0);
        QVERIFY(!h5->read(find("a/b/plain"), hdf5::Element::f32, 139));
        QVERIFY(!h5->read(find("a/b/plain"), hdf5::Element::i32, 1000));
        QVERIFY(!h5->dataset(h5->root(), "nowhere"));
        QVERIFY(!h5->dataset(h5->root(), "a/b"));
        QVERIFY(!h5->dataset(h5->root(), "half/x"));
        QVERIFY(!h5->group(h5->root(), "half"));
    }
    void fullDiskIsAnError()
    {
        const auto openFiles = [] {
            return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                 std::filesystem::directory_iterator());
        };
        const pid_t child = ::fork();
        if (child == 0) {
            ::signal(SIGXFSZ, SIG_IGN);
            const rlimit limit{100'000, 100'000};
            ::setrlimit(RLIMIT_FSIZE, &limit);
            const auto before = openFiles();
            for (const bool useClose : {true, false}) {
                auto h5 = hdf5::createFile(file("full.h5"));
                const std::vector<float> values(1 << 20);
                const auto written = hdf5::writeDataset(h5->get(), "a", hdf5::Element::f32, {1 << 20}, values.data());
                if (written || written.error().code != Errc::io)
                    ::_exit(1);
                if (useClose && hdf5::closeFile(std::move(*h5)))
                    ::_exit(2);
            }
            ::_exit(openFiles() == before ? 0 : 3); // or the blocks of the removed file would stay taken
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        QVERIFY(WIFEXITED(status));
        QCOMPARE(WEXITSTATUS(status), 0);
    }
    void errorsAreText()
    {
        const auto path = file("broken.h5");
        std::ofstream(path) << "no hdf5 at all";
        const auto h5 = hdf5::File::open(path);
        QVERIFY(!h5);
        QVERIFY(h5.error().what.find("HDF5: ") != std::string::npos);
        QCOMPARE(h5.error().where, path.string());
        QVERIFY(!hdf5::File::open(file("absent.h5")));
        QVERIFY(!hdf5::File::open(m_folder.path().toStdString()));
        QCOMPARE(::mkfifo(file("fifo").c_str(), 0600), 0);
        QVERIFY(!hdf5::File::open(file("fifo")));
        QVERIFY(!hdf5::createFile(file("absent/x.h5")));
    }
};

QTEST_APPLESS_MAIN(Hdf5Test)
#include "hdf5_test.moc"
