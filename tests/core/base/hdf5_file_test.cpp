// SPDX-License-Identifier: GPL-3.0-or-later
// What stands between a foreign HDF5 file and this process: the indexing program may die, hang, babble or be missing,
// its answer may be anything, and chunks may hold anything.
#include "core/base/hash.h"
#include "core/base/hdf5.h"
#include "core/base/hdf5_file.h"
#include "tests/support/temporary_folder.h"

#include <hdf5.h>
#include <sys/stat.h>

#include <QTest>

#include <chrono>
#include <csignal>
#include <cstring>
#include <random>
#include <thread>

using namespace ql;

namespace {

const std::filesystem::path kProgram = QL_BINARY_DIR "/bin/" + std::string(hdf5::kIndexProgram);

using Opened = Result<std::shared_ptr<const hdf5::File>>;

} // namespace

class Hdf5FileTest : public QObject {
    Q_OBJECT
    test::TemporaryFolder m_folder;

    std::filesystem::path script(const std::string& lines) const
    {
        const auto path = m_folder.write("indexer.sh", "#!/bin/sh\n" + lines + "\n");
        ::chmod(path.c_str(), 0700);
        return path;
    }
    std::filesystem::path goodFile(const char* name) const
    {
        const auto path = m_folder.path() / name;
        auto h5 = hdf5::createFile(path).value();
        const float value = 1;
        const auto written = hdf5::writeDataset(h5.get(), "a/w", hdf5::Element::f32, {1}, &value);
        return written && hdf5::closeFile(std::move(h5)) ? path : std::filesystem::path();
    }
    static Opened openBy(const std::filesystem::path& program, const std::filesystem::path& file,
                         std::optional<std::chrono::milliseconds> time = {}, const std::stop_token& stop = {})
    {
        return hdf5::File::open(std::span(&file, 1), {program, time}, stop).front();
    }

private Q_SLOTS:
    void troubleIsAnError_data()
    {
        QTest::addColumn<QByteArray>("lines");
        QTest::addColumn<int>("milliseconds");
        QTest::addColumn<QByteArray>("says");
        const auto row = [](const char* name, const char* lines, int milliseconds, const char* says) {
            QTest::newRow(name) << QByteArray(lines) << milliseconds << QByteArray(says);
        };
        row("crashes", "kill -SEGV $$", 0, "signal 11");
        row("is killed", "kill -KILL $$", 0, "signal 9");
        row("takes all its time", "kill -XCPU $$", 0, "does not end");
        row("stops", "kill -STOP $$", 200, "does not end");
        row("hangs with a child", "sleep 1000 & wait", 200, "does not end");
        row("hangs without output", "exec >&-; sleep 1000", 200, "does not end");
        row("takes all memory", "exit 3", 0, "memory");
        row("says nothing", "exit 0", 0, "reinstall");
        row("babbles", "head -c 100000 /dev/urandom", 0, "reinstall");
        row("babbles without end", "cat /dev/zero", 0, "larger than the file");
        row("fails", "exit 1", 0, "exit code 1");
    }
    void troubleIsAnError()
    {
        QFETCH(QByteArray, lines);
        QFETCH(int, milliseconds);
        QFETCH(QByteArray, says);
        const auto file = goodFile("good.h5");
        const auto limit = milliseconds > 0 ? std::optional(std::chrono::milliseconds(milliseconds)) : std::nullopt;
        const auto opened = openBy(script(lines.toStdString()), file, limit);
        QVERIFY(!opened);
        QVERIFY2(opened.error().what.find(says.toStdString()) != std::string::npos, opened.error().what.c_str());
        QCOMPARE(opened.error().where, file.string());
    }
    void missingProgramIsAnError()
    {
        const auto opened = openBy(m_folder.path() / "absent", goodFile("good.h5"));
        QVERIFY(!opened);
        QCOMPARE(opened.error().code, Errc::io);
        QVERIFY2(opened.error().what.find("reinstall") != std::string::npos, opened.error().what.c_str());
    }
    void stopReachesIt()
    {
        const auto pidFile = m_folder.path() / "pid";
        const auto program = script("echo $$ > " + pidFile.string() + ".new; mv " + pidFile.string() + ".new " +
                                    pidFile.string() + "; kill -STOP $$");
        const auto file = goodFile("good.h5");
        std::stop_source stop;
        Opened opened = badInput("never opened");
        std::jthread opening([&] { opened = openBy(program, file, std::nullopt, stop.get_token()); });
        QTRY_VERIFY(std::filesystem::exists(pidFile));
        stop.request_stop();
        opening.join();
        QVERIFY(!opened);
        QCOMPARE(opened.error().code, Errc::cancelled);
        pid_t pid = 0;
        std::ifstream(pidFile) >> pid;
        QVERIFY(pid > 0);
        QCOMPARE(::kill(pid, 0), -1);
    }
    void oneBadFileOfManySpoilsNoOther()
    {
        std::vector<std::filesystem::path> files;
        for (const char* name : {"1.h5", "bad2.h5", "3.h5", "4.h5", "bad5.h5"})
            files.push_back(goodFile(name));
        files.insert(files.begin() + 3, m_folder.path() / "absent.h5");
        const auto program =
            script("for f; do case $f in *bad*) kill -SEGV $$;; esac; " + kProgram.string() + " \"$f\"; done");
        const auto opened = hdf5::File::open(files, {program, {}}, {});
        QCOMPARE(opened.size(), files.size());
        for (std::size_t i = 0; i < files.size(); ++i) {
            const bool good = i == 0 || i == 2 || i == 4;
            QCOMPARE(opened[i].has_value(), good);
            if (good)
                QCOMPARE(opened[i].value()->mapped()->path(), files[i]);
            else
                QCOMPARE(opened[i].error().where, files[i].string());
        }
    }
    void anotherFileInItsPlaceIsSeen()
    {
        const auto file = goodFile("good.h5");
        const auto other = goodFile("other.h5");
        const auto opened = openBy(script(kProgram.string() + " " + other.string()), file);
        QVERIFY(!opened);
        QVERIFY2(opened.error().what.find("changed") != std::string::npos, opened.error().what.c_str());
    }

    void everyAnswerDecodesToSomethingConsistent()
    {
        const auto file = hdf5::File::open(QL_TEST_DATA "/checkpoints/hdf5_chunks.h5").value();
        const std::string frame = hdf5::encode(file->index());
        const auto decode = [](const std::string& bytes) {
            auto span = std::as_bytes(std::span(bytes));
            return hdf5::decode(span);
        };
        QVERIFY(decode(frame).has_value());
        for (std::size_t size = 0; size < frame.size(); size += 97)
            QVERIFY(!decode(frame.substr(0, size)));
        std::string flipped = frame;
        flipped[frame.size() / 2] ^= 1;
        QVERIFY(!decode(flipped));
        // The same with a checksum that is right: the fields themselves are damaged.
        constexpr std::size_t kHashAt = 16;
        constexpr std::size_t kPayloadAt = 48;
        std::mt19937_64 random(5);
        int consistent = 0;
        for (int i = 0; i < 3000; ++i) {
            std::string mutant = frame;
            for (int change = 0; change < 2; ++change) {
                const std::size_t at = kPayloadAt + 1 + random() % (frame.size() - kPayloadAt - 1);
                const std::uint64_t value = random() % 3 == 0 ? ~std::uint64_t{0} : random();
                const std::size_t bytes = std::min<std::size_t>(random() % 2 == 0 ? 1 : 8, frame.size() - at);
                std::memcpy(mutant.data() + at, &value, bytes);
            }
            Hasher hasher;
            hasher.add(std::string_view(mutant).substr(kPayloadAt));
            mutant.replace(kHashAt, 32, hasher.hex());
            const auto decoded = decode(mutant);
            if (!decoded || !*decoded)
                continue;
            ++consistent;
            for (const hdf5::Group& group : (*decoded)->groups) {
                for (const hdf5::Link& link : group.links) {
                    QVERIFY(link.kind != hdf5::LinkKind::group || link.target < std::ssize((*decoded)->groups));
                    QVERIFY(link.kind != hdf5::LinkKind::dataset || link.target < std::ssize((*decoded)->datasets));
                }
            }
        }
        QVERIFY(consistent > 100);
    }

    void attributesOfEveryKindAreRead()
    {
        const auto path = m_folder.path() / "attributes.h5";
        {
            const hdf5::Lock lock;
            const hdf5::Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
            const auto put = [&](const char* name, hid_t type, const void* value, hsize_t count = 1) {
                const hdf5::Handle space(H5Screate_simple(1, &count, nullptr));
                const hdf5::Handle attribute(H5Acreate2(file.get(), name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT));
                return H5Awrite(attribute.get(), type, value) >= 0;
            };
            const float real = 0.5F;
            const std::uint8_t small = 200;
            const int several[] = {1, 2};
            const char* const text = "text";
            const hdf5::Handle variable(H5Tcopy(H5T_C_S1));
            H5Tset_size(variable.get(), H5T_VARIABLE);
            QVERIFY(put("real", H5T_NATIVE_FLOAT, &real) && put("small", H5T_NATIVE_UINT8, &small) &&
                    put("several", H5T_NATIVE_INT, several, 2) && put("variable", variable.get(), &text));
        }
        const auto file = hdf5::File::open(path).value();
        QCOMPARE(*file->root().attribute<double>("real"), 0.5);
        QCOMPARE(*file->root().attribute<std::int64_t>("small"), 200);
        QCOMPARE(*file->root().attribute<std::string>("variable"), std::string("text"));
        QCOMPARE(file->root().attributes.size(), std::size_t{3});
    }
    void partialChunksWithoutFiltersAreRead()
    {
        const auto path = m_folder.path() / "edges.h5";
        std::vector<std::int32_t> values(7 * 5);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = static_cast<std::int32_t>(i * i);
        {
            const hdf5::Lock lock;
            const hdf5::Handle access(H5Pcreate(H5P_FILE_ACCESS));
            H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
            const hdf5::Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()));
            const hdf5::Handle create(H5Pcreate(H5P_DATASET_CREATE));
            const hsize_t shape[] = {7, 5};
            const hsize_t chunk[] = {4, 3};
            H5Pset_chunk(create.get(), 2, chunk);
            H5Pset_deflate(create.get(), 6);
            QVERIFY(H5Pset_chunk_opts(create.get(), H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS) >= 0);
            const hdf5::Handle space(H5Screate_simple(2, shape, nullptr));
            const hdf5::Handle set(
                H5Dcreate2(file.get(), "w", H5T_STD_I32LE, space.get(), H5P_DEFAULT, create.get(), H5P_DEFAULT));
            QVERIFY(H5Dwrite(set.get(), H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
        }
        const auto file = hdf5::File::open(path).value();
        const auto read = file->read(*file->dataset(file->root(), "w").value(), hdf5::Element::i32, 1000).value();
        QVERIFY(std::memcmp(read.data(), values.data(), read.size()) == 0);
    }
    void damagedChunksAreErrors_data()
    {
        QTest::addColumn<QByteArray>("name");
        QTest::addColumn<QByteArray>("says");
        QTest::newRow("checksum") << QByteArray("all/f4le.50by7") << QByteArray("wrong checksum");
        QTest::newRow("deflate") << QByteArray("gzip/f4be.5x7x6by2x7x4") << QByteArray("cannot be unpacked");
    }
    void damagedChunksAreErrors()
    {
        QFETCH(QByteArray, name);
        QFETCH(QByteArray, says);
        const std::filesystem::path source = QL_TEST_DATA "/checkpoints/hdf5_chunks.h5";
        const auto good = hdf5::File::open(source).value();
        const hdf5::Chunk chunk = good->dataset(good->root(), name.toStdString()).value()->chunks.at(1);
        const auto bytes = good->mapped()->bytes();
        std::string content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        content[static_cast<std::size_t>(chunk.offset + chunk.sizeBytes / 2)] ^= 0x10;
        const auto damaged = hdf5::File::open(m_folder.write("damaged.h5", content)).value();
        const auto read =
            damaged->read(*damaged->dataset(damaged->root(), name.toStdString()).value(), hdf5::Element::f32, 10'000);
        QVERIFY(!read);
        QVERIFY2(read.error().what.find(says.toStdString()) != std::string::npos, read.error().what.c_str());
    }
    void manyChunksTakeLinearTime()
    {
        // One by one they would be looked up in 5·10⁸ steps.
        const auto path = m_folder.path() / "many.h5";
        std::vector<std::int16_t> values(30'000);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = static_cast<std::int16_t>(i);
        {
            auto h5 = hdf5::createFile(path).value();
            QVERIFY(hdf5::writeDataset(h5.get(), "w", hdf5::Element::i16, {30'000}, values.data(), {.chunk = {1}}));
            QVERIFY(hdf5::closeFile(std::move(h5)));
        }
        const auto file = hdf5::File::open(path);
        QVERIFY2(file, file ? "" : file.error().what.c_str());
        const auto read = (*file)->read(*(*file)->dataset((*file)->root(), "w").value(), hdf5::Element::i16, 1 << 20);
        QVERIFY(read && std::memcmp(read->data(), values.data(), read->size()) == 0);
    }
};

QTEST_APPLESS_MAIN(Hdf5FileTest)
#include "hdf5_file_test.moc"
