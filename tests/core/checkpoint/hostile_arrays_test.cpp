// SPDX-License-Identifier: GPL-3.0-or-later
// Lying, truncated and self-referring NumPy, HDF5 and ONNX files: each is refused with a sentence that names the file
// and what is wrong with it. Files whose damage shows only in the data open, and their tensors fail to load.
#include "core/base/hdf5.h"
#include "core/base/npz.h"
#include "core/base/text.h"
#include "core/checkpoint/reader.h"
#include "tests/support/temporary_folder.h"

#include <sys/resource.h>
#include <zip.h>

#include <QTest>

#include <chrono>
#include <cstring>

using namespace ql;

namespace {

/// Little-endian bytes.
std::string number(std::uint64_t value, int bytes)
{
    std::string text;
    for (int i = 0; i < bytes; ++i)
        text += static_cast<char>(value >> (8U * static_cast<unsigned>(i)));
    return text;
}

std::string npy(std::string dictionary, const std::string& data = std::string(16, '\0'), char version = 1)
{
    dictionary += '\n';
    return std::string("\x93NUMPY") + version + '\0' + number(dictionary.size(), version == 1 ? 2 : 4) + dictionary +
           data;
}
std::string header(const std::string& descr, const std::string& shape)
{
    return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

/// A field of a protobuf message.
std::string varint(std::uint64_t value)
{
    std::string text;
    for (; value >= 0x80; value >>= 7U)
        text += static_cast<char>(value | 0x80U);
    return text + static_cast<char>(value);
}
std::string field(unsigned number, const std::string& bytes)
{
    return varint(number << 3U | 2U) + varint(bytes.size()) + bytes;
}
std::string field(unsigned number, std::uint64_t value)
{
    return varint(number << 3U) + varint(value);
}
std::string onnx(const std::string& graph)
{
    return field(1, 10) + field(7, graph);
}
/// An initializer named w.
std::string tensor(std::uint64_t type, const std::vector<std::uint64_t>& dims, const std::string& values)
{
    std::string text;
    for (const auto n : dims)
        text += field(1, n);
    return field(5, text + field(2, type) + field(8, std::string("w")) + values);
}

std::string replaced(std::string text, std::string_view what, std::string_view by)
{
    return text.replace(text.find(what), what.size(), by);
}

} // namespace

class HostileArraysTest : public QObject {
    Q_OBJECT
    test::TemporaryFolder m_folder{test::TemporaryFolder::inMemory()};
    Executor m_executor{1};
    JobContext m_context{m_executor};

    /// What opening, or loading every tensor, says.
    std::string errorOf(const std::filesystem::path& path)
    {
        const auto start = std::chrono::steady_clock::now();
        const auto checkpoint = openCheckpoint(path, m_context);
        std::string text = checkpoint ? "" : describe(checkpoint.error());
        if (checkpoint)
            for (std::int64_t i = 0; i < std::ssize((*checkpoint)->tensors()) && text.empty(); ++i)
                if (const auto data = (*checkpoint)->load(i, m_context); !data)
                    text = describe(data.error());
        const auto elapsed = std::chrono::steady_clock::now() - start;
        return elapsed > std::chrono::seconds(10) ? "slow" : text;
    }
    void check(const std::string& name, const QByteArray& content, const QByteArray& says)
    {
        const auto path =
            m_folder.write(name, std::string_view(content.data(), static_cast<std::size_t>(content.size())));
        const std::string error = errorOf(path);
        QVERIFY2(error.find(says.toStdString()) != std::string::npos, error.c_str());
        QVERIFY2(error.find(name) != std::string::npos, error.c_str());
    }
    static void columns()
    {
        QTest::addColumn<QByteArray>("content");
        QTest::addColumn<QByteArray>("says");
    }
    static void row(const char* name, const std::string& content, const char* says)
    {
        QTest::newRow(name) << QByteArray(content.data(), static_cast<qsizetype>(content.size())) << QByteArray(says);
    }
    /// A good archive with a stored and a deflated array, by libzip.
    std::string archive(bool encrypted = false)
    {
        const auto path = m_folder.path() / "made.zip";
        std::filesystem::remove(path);
        int error = 0;
        zip_t* zip = zip_open(path.c_str(), ZIP_CREATE, &error);
        const std::string stored = npy(header("<f4", "(4,)"));
        const std::string zeros = npy(header("<f4", "(100000,)"), std::string(400'000, '\0'));
        zip_file_add(zip, "stored.npy", zip_source_buffer(zip, stored.data(), stored.size(), 0), 0);
        zip_file_add(zip, "zeros.npy", zip_source_buffer(zip, zeros.data(), zeros.size(), 0), 0);
        zip_set_file_compression(zip, 0, ZIP_CM_STORE, 0);
        zip_set_file_compression(zip, 1, ZIP_CM_DEFLATE, 9);
        if (encrypted)
            zip_file_set_encryption(zip, 0, ZIP_EM_AES_256, "secret");
        zip_close(zip);
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

private Q_SLOTS:
    void initTestCase()
    {
        // No lie about sizes may make a reader take memory: 4 GiB of address space must do.
        const rlimit limit{std::uint64_t{4} << 30U, std::uint64_t{4} << 30U};
        const char* sanitized = std::getenv("ASAN_OPTIONS");
        if (!sanitized)
            ::setrlimit(RLIMIT_AS, &limit);
    }

    void npyFiles_data()
    {
        columns();
        const std::string good = npy(header("<f4", "(4,)"));
        row("good but for its data", good.substr(0, good.size() - 1), "truncated");
        row("only the magic", good.substr(0, 6), "truncated");
        row("inside the header", good.substr(0, 40), "truncated");
        row("version 9", npy(header("<f4", "(4,)"), {}, 9), "version 9");
        row("header of 4 GB", std::string("\x93NUMPY\x02\0", 8) + number(0xffffffff, 4) + "{}", "claims a header");
        row("shape overflows", npy(header("<f4", "(4611686018427387904, 4)")), "overflows");
        row("shape times size overflows", npy(header("<f8", "(2305843009213693952,)")), "overflows");
        row("shape larger than the file", npy(header("<f4", "(1000000000000,)")), "truncated");
        row("shape beyond 64 bits", npy(header("<f4", "(99999999999999999999,)")), "no dictionary");
        row("negative shape", npy(header("<f4", "(-4,)")), "no dictionary");
        row("a hundred dimensions",
            npy(header(
                "<f4", "(" +
                           [] {
                               std::string ones;
                               for (int i = 0; i < 100; ++i)
                                   ones += "1,";
                               return ones;
                           }() +
                           ")")),
            "no dictionary");
        row("no shape", npy("{'descr': '<f4', 'fortran_order': False, }"), "no dictionary");
        row("descr twice", npy("{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (4,)}"),
            "no dictionary");
        row("a call", npy("{'descr': '<f4', 'fortran_order': __import__('os'), 'shape': (4,)}"), "no dictionary");
        row("escapes", npy("{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (4,)}"), "no dictionary");
        row("text behind", npy(header("<f4", "(4,)") + " + 1"), "no dictionary");
        row("brackets", npy(std::string(5000, '(')), "no dictionary");
        row("objects", npy(header("|O", "(4,)")), "Python objects");
        row("unknown type", npy(header("<q9", "(4,)")), "unknown type");
        row("no type", npy(header("", "(4,)")), "unknown type");
    }
    void npyFiles()
    {
        QFETCH(QByteArray, content);
        QFETCH(QByteArray, says);
        check("bad.npy", content, says);
    }

    void npzFiles_data()
    {
        columns();
        const std::string good = archive();
        row("cut off", good.substr(0, good.size() - 30), "directory is missing");
        row("half", good.substr(0, good.size() / 2), "directory is missing");
        row("only a local header", good.substr(0, 40), "directory is missing");
        const auto directory = good.find("PK\x01\x02");
        const auto second = good.find("PK\x01\x02", directory + 4);
        const auto end = good.rfind("PK\x05\x06");
        const auto patched = [&](std::size_t at, std::uint64_t value, int bytes) {
            std::string text = good;
            return text.replace(at, static_cast<std::size_t>(bytes), number(value, bytes));
        };
        row("directory behind the end", patched(end + 16, 0x7fffffff, 4), "damaged directory");
        row("directory too long", patched(end + 12, 0x7fffffff, 4), "damaged directory");
        row("more members than bytes", patched(end + 10, 0xfff0, 2), "damaged directory");
        row("fewer entries than said", patched(end + 10, 3, 2), "damaged directory");
        row("split", patched(end + 4, 1, 2), "split archive");
        row("encrypted flag", patched(directory + 8, 1, 2), "encrypted");
        row("encrypted", archive(true), "encrypted");
        row("unknown method", patched(directory + 10, 14, 2), "method 14");
        row("name too long", patched(directory + 28, 0xffff, 2), "damaged directory");
        row("data behind the end", patched(directory + 42, static_cast<std::uint64_t>(directory) - 5, 4), "damaged");
        row("stored size differs", patched(directory + 24, 1'000'000, 4), "impossible");
        row("stored size beyond the end",
            patched(directory + 24, 1'000'000, 4).replace(directory + 20, 4, number(1'000'000, 4)), "reach beyond");
        row("bomb by ratio", patched(second + 24, 0x7fffffff, 4), "impossible");
        row("size lies upwards", patched(second + 24, 400'129, 4), "the shape");
        row("overlap", patched(second + 42, littleEndian(good, directory + 42), 4), "overlap");
        row("wrong checksum, stored", patched(directory + 16, 1, 4), "checksum");
        row("wrong checksum, deflated", patched(second + 16, 1, 4), "checksum");
        row("64-bit size that lies", zip64(good, directory, ~std::uint64_t{0}), "damaged directory");
    }
    static std::uint64_t littleEndian(const std::string& text, std::size_t at)
    {
        std::uint32_t value = 0;
        std::memcpy(&value, text.data() + at, 4);
        return value;
    }
    /// The first member's size moved to a 64-bit extra field.
    static std::string zip64(std::string text, std::size_t directory, std::uint64_t size)
    {
        const std::string extra = number(1, 2) + number(8, 2) + number(size, 8);
        std::uint16_t nameBytes = 0;
        std::memcpy(&nameBytes, text.data() + directory + 28, 2);
        std::uint16_t old = 0;
        std::memcpy(&old, text.data() + directory + 30, 2);
        text.replace(directory + 24, 4, number(0xffffffff, 4));
        text.replace(directory + 30, 2, number(extra.size(), 2));
        text.replace(directory + 46 + nameBytes, old, extra);
        const auto end = text.rfind("PK\x05\x06");
        text.replace(end + 12, 4, number(end - directory, 4));
        return text;
    }
    void npzFiles()
    {
        QFETCH(QByteArray, content);
        QFETCH(QByteArray, says);
        check("bad.npz", content, says);
    }
    void duplicateNamesAreRefused()
    {
        // The writer refuses them, so the second name is patched in both of its places.
        const auto path = m_folder.path() / "twice.npz";
        auto writer = NpzWriter::create(path);
        const std::vector<std::int64_t> shape{1};
        QVERIFY(writer->add("a", "u1", shape, std::as_bytes(std::span("x", 1))));
        QVERIFY(writer->add("b", "u1", shape, std::as_bytes(std::span("x", 1))));
        QVERIFY(writer->commit());
        std::ifstream in(path, std::ios::binary);
        std::string content((std::istreambuf_iterator<char>(in)), {});
        content = replaced(replaced(content, "b.npy", "a.npy"), "b.npy", "a.npy");
        const auto twice = errorOf(m_folder.write("twice.npz", content));
        QVERIFY2(twice.find("listed twice") != std::string::npos, twice.c_str());
    }

    void onnxFiles_data()
    {
        columns();
        const std::string raw16 = field(9, std::string(16, 'x'));
        const std::string good = onnx(tensor(1, {2, 2}, raw16));
        row("cut off", good.substr(0, good.size() - 3), "truncated");
        row("raw data too short", onnx(tensor(1, {2, 3}, raw16)), "needs 24 B");
        row("raw data too long", onnx(tensor(1, {3}, raw16)), "needs 12 B");
        row("shape overflows", onnx(tensor(1, {std::uint64_t{1} << 40U, std::uint64_t{1} << 40U}, raw16)),
            "impossible");
        row("negative dimension", onnx(tensor(1, {~std::uint64_t{0}}, raw16)), "impossible");
        row("shape without data", onnx(tensor(1, {1'000'000'000'000}, {})), "holds 0");
        row("values lie", onnx(tensor(6, {5}, field(5, std::string("\x01\x02\x03", 3)))), "holds 3");
        row("floats lie", onnx(tensor(1, {5}, field(4, std::string(8, '\0')))), "holds 2");
        row("a hundred dimensions", onnx(tensor(1, std::vector<std::uint64_t>(100, 1), raw16)), "dimensions");
        row("a million packed dimensions",
            onnx(field(5, field(1, std::string(1'000'000, '\x01')) + field(2, 1) + field(8, std::string("w")))),
            "dimensions");
        row("no name", onnx(field(5, field(1, 4) + field(2, 1) + raw16)), "name is empty");
        row("twice", onnx(tensor(1, {4}, raw16) + tensor(1, {4}, raw16)), "listed twice");
        row("unending number", field(1, 10) + field(7, tensor(1, {4}, raw16) + std::string(20, '\xff')), "damaged");
        std::string deep = tensor(1, {4}, raw16);
        for (int i = 0; i < 200; ++i) // a graph in an attribute of a node of a graph
            deep = field(1, field(4, std::string("If")) + field(5, field(1, std::string("g")) + field(6, deep)));
        row("graphs in graphs", onnx(deep), "nested more than");
    }
    void onnxFiles()
    {
        QFETCH(QByteArray, content);
        QFETCH(QByteArray, says);
        check("bad.onnx", content, says);
    }
    void everyTruncationIsRefused()
    {
        for (const char* name : {"onnx_types.onnx", "numpy_deflated.npz", "hdf5_types.h5", "numpy_v1.npy"}) {
            const std::filesystem::path seed = std::filesystem::path(QL_TEST_DATA "/checkpoints") / name;
            std::ifstream in(seed, std::ios::binary);
            const std::string whole((std::istreambuf_iterator<char>(in)), {});
            for (std::size_t i = 0; i < 60; ++i) {
                const std::size_t size = i < 20 ? whole.size() - 1 - i : whole.size() * (i - 20) / 40;
                const auto path = m_folder.write("cut" + seed.extension().string(), whole.substr(0, size));
                // HDF5 pads its files; what is cut off there may hold nothing.
                if (seed.extension() == ".h5" && i < 20)
                    static_cast<void>(errorOf(path));
                else
                    QVERIFY2(!errorOf(path).empty(), (seed.string() + " " + std::to_string(size)).c_str());
            }
        }
    }

    void hdf5GroupsInGroups()
    {
        const auto path = m_folder.path() / "deep.h5";
        {
            auto file = hdf5::createFile(path);
            std::string group;
            for (int i = 0; i < 300; ++i)
                group += "g/";
            const float value = 1;
            QVERIFY(hdf5::writeDataset(file->get(), group + "w", hdf5::Element::f32, {1}, &value));
            QVERIFY(hdf5::closeFile(std::move(*file)));
        }
        QVERIFY2(errorOf(path).find("nested more than") != std::string::npos, errorOf(path).c_str());
    }
    void hdf5NoNumbers()
    {
        const auto path = m_folder.path() / "empty.h5";
        {
            auto file = hdf5::createFile(path);
            QVERIFY(hdf5::createDataset(file->get(), "bomb", hdf5::Element::f32, {1'000'000, 1'000'000}));
            QVERIFY(hdf5::closeFile(std::move(*file)));
        }
        QVERIFY2(errorOf(path).find("of which the file stores") != std::string::npos, errorOf(path).c_str());
    }
    void hdf5FarBeyondTheEnd()
    {
        // Contiguous data whose place is moved behind the end of the file.
        const auto path = m_folder.path() / "far.h5";
        const std::vector<float> values(1000, 1.5F);
        {
            auto file = hdf5::createFile(path);
            QVERIFY(hdf5::writeDataset(file->get(), "w", hdf5::Element::f32, {1000}, values.data()));
            QVERIFY(hdf5::closeFile(std::move(*file)));
        }
        std::ifstream in(path, std::ios::binary);
        const std::string whole((std::istreambuf_iterator<char>(in)), {});
        const auto at = whole.find(std::string(reinterpret_cast<const char*>(values.data()), 64));
        const auto pointer = whole.find(number(at, 8) + number(4000, 8)); // address and size in the layout message
        QVERIFY(pointer != std::string::npos);
        for (const std::uint64_t lie :
             {std::uint64_t{whole.size()}, std::uint64_t{1} << 40U, ~std::uint64_t{0} - 1000}) {
            std::string broken = whole;
            broken.replace(pointer, 8, number(lie, 8));
            const std::string error = errorOf(m_folder.write("far.h5", broken));
            QVERIFY2(!error.empty(), std::to_string(lie).c_str());
        }
        std::string inside = whole; // data inside the header, of 2 or so kB: read as they are, they end too early
        inside[pointer - 1] = 0;
        QVERIFY(!errorOf(m_folder.write("far.h5", inside)).empty());
        std::string few = whole;
        few.replace(pointer + 8, 8, number(3999, 8));
        const std::string error = errorOf(m_folder.write("far.h5", few));
        QVERIFY2(error.find("fewer bytes") != std::string::npos, error.c_str());
        std::string broken = whole;
        broken.replace(pointer + 8, 8, number(std::uint64_t{1} << 50U, 8));
        static_cast<void>(errorOf(m_folder.write("far.h5", broken))); // an error or the true values, no crash
    }
};

QTEST_APPLESS_MAIN(HostileArraysTest)
#include "hostile_arrays_test.moc"
