// SPDX-License-Identifier: GPL-3.0-or-later
// The archives are read back by libzip, which the writer does not use.
#include "core/base/npz.h"

#include <sys/resource.h>
#include <zip.h>

#include <QTemporaryDir>
#include <QTest>

#include <cstring>
#include <fstream>
#include <numeric>

using namespace ql;

namespace {

std::string member(const std::filesystem::path& path, const char* name)
{
    int error = 0;
    zip_t* archive = zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &error);
    if (!archive)
        return "cannot open: " + std::to_string(error);
    zip_stat_t status{};
    std::string text;
    if (zip_stat(archive, name, 0, &status) == 0) {
        text.resize(status.size);
        zip_file_t* file = zip_fopen(archive, name, 0);
        if (!file || zip_fread(file, text.data(), status.size) != static_cast<zip_int64_t>(status.size))
            text = "cannot read"; // also a wrong CRC
        if (file)
            zip_fclose(file);
    }
    zip_discard(archive);
    return text;
}

template<typename T>
std::span<const std::byte> bytesOf(const std::vector<T>& values)
{
    return std::as_bytes(std::span(values));
}

} // namespace

class NpzTest : public QObject {
    Q_OBJECT
    QTemporaryDir m_folder;
    std::filesystem::path file(const char* name) const { return m_folder.path().toStdString() + "/" + name; }

private Q_SLOTS:
    void membersComeBack()
    {
        const auto path = file("a.npz");
        std::vector<float> values(3000 * 7);
        std::iota(values.begin(), values.end(), 0.25F);
        const std::vector<std::int64_t> shape{3000, 7};
        const std::vector<std::int64_t> none;
        const std::vector<std::int64_t> empty{0, 4};
        const std::vector<std::int16_t> scalar{-3};
        {
            auto writer = NpzWriter::create(path);
            QVERIFY(writer);
            QVERIFY(writer->begin("model.layers.0/weight", "f4", shape));
            for (std::size_t row = 0; row < 3000; row += 100)
                QVERIFY(writer->append(bytesOf(values).subspan(row * 28, 2800)));
            QVERIFY(writer->finish());
            QVERIFY(writer->add("scalar", "i2", none, bytesOf(scalar)));
            QVERIFY(writer->add("\u00e9", "f8", empty, {}));
            QVERIFY(!writer->add("scalar", "i2", none, bytesOf(scalar)));
            QVERIFY(!std::filesystem::exists(path));
            QVERIFY(writer->commit());
        }
        const std::string first = member(path, "model.layers.0/weight.npy");
        QVERIFY(first.starts_with("\x93NUMPY\x01"));
        QVERIFY(first.find("{'descr': '<f4', 'fortran_order': False, 'shape': (3000, 7), }") == 10);
        QCOMPARE(first.size(), std::size_t{128 + 84000});
        QVERIFY(std::memcmp(first.data() + 128, values.data(), 84000) == 0);
        const std::string second = member(path, "scalar.npy");
        QVERIFY(second.find("{'descr': '<i2', 'fortran_order': False, 'shape': (), }") == 10);
        QVERIFY(second.ends_with("\xfd\xff"));
        QVERIFY(member(path, "\u00e9.npy").find("'shape': (0, 4)") != std::string::npos);
    }
    void manyMembersNeedTheLargeDirectory()
    {
        const auto path = file("many.npz");
        auto writer = NpzWriter::create(path);
        const std::vector<std::int64_t> shape{1};
        for (int i = 0; i < 70'000; ++i) {
            const std::vector<std::int32_t> value{i};
            QVERIFY(writer->add("a" + std::to_string(i), "i4", shape, bytesOf(value)));
        }
        QVERIFY(writer->commit());
        QVERIFY(member(path, "a69999.npy").find("'shape': (1,)") != std::string::npos);
    }
    void membersBeyondFourGigabytes()
    {
        // Only the sizes matter: the archive is a sparse-like stream of zeros, checked for its directory and lengths.
        if (std::filesystem::space(m_folder.path().toStdString()).available < (std::uintmax_t{6} << 30U) ||
            !qEnvironmentVariableIsSet("QL_TEST_LARGE"))
            QSKIP("writes 4.3 GB; set QL_TEST_LARGE to run it");
        const auto path = file("large.npz");
        auto writer = NpzWriter::create(path);
        const std::vector<std::byte> zeros(1 << 26);
        const std::vector<std::int64_t> shape{65, 1 << 26};
        const std::vector<std::int64_t> one{1};
        QVERIFY(writer->begin("large", "u1", shape));
        for (int i = 0; i < 65; ++i)
            QVERIFY(writer->append(zeros));
        QVERIFY(writer->finish());
        QVERIFY(writer->add("behind", "u1", one, std::span(zeros).first(1)));
        QVERIFY(writer->commit());
        QCOMPARE(member(path, "large.npy").size(), std::size_t{65} * (1 << 26) + 128);
        QCOMPARE(member(path, "behind.npy").size(), std::size_t{129});
    }
    void unfinishedLeavesNothing()
    {
        const QTemporaryDir folder;
        const std::filesystem::path path = folder.path().toStdString() + "/old.npz";
        std::ofstream(path) << "old";
        {
            auto writer = NpzWriter::create(path);
            const std::vector<std::int64_t> shape{4};
            QVERIFY(writer->begin("a", "u1", shape));
            QVERIFY(!writer->finish());
        }
        QCOMPARE(std::filesystem::file_size(path), std::uintmax_t{3});
        QVERIFY(!NpzWriter::create(file("absent/a.npz")));
        std::filesystem::directory_iterator entries(path.parent_path());
        QCOMPARE(std::distance(entries, std::filesystem::directory_iterator()), 1);
    }
};

QTEST_APPLESS_MAIN(NpzTest)
#include "npz_test.moc"
