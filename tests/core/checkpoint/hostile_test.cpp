// SPDX-License-Identifier: GPL-3.0-or-later
// Damaged and lying files: an error that names the file and says what is wrong, or a warning; never a crash, a hang or
// memory out of proportion.
#include "core/checkpoint/reader.h"
#include "tests/support/file_builders.h"
#include "tests/support/temporary_folder.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <QTest>

#include <algorithm>
#include <chrono>

using namespace ql;
using ql::test::bytesOf;
using ql::test::GgufBuilder;
using ql::test::ggufString;

namespace {

constexpr std::uint64_t kHuge = std::uint64_t{1} << 62U;

/// Adds a row: a file, and a part of the error it must give; "" if it must open, "!text" if with that warning.
void row(const char* name, const std::string& file, const char* says)
{
    QTest::newRow(name) << QByteArray(file.data(), static_cast<qsizetype>(file.size())) << QByteArray(says);
}

void columns()
{
    QTest::addColumn<QByteArray>("file");
    QTest::addColumn<QByteArray>("says");
}

/// JSON is written here with ' for ", because moc stumbles over raw strings.
std::string json(std::string text)
{
    std::ranges::replace(text, '\'', '"');
    return text;
}

std::string safetensors(const std::string& header, std::size_t dataBytes)
{
    return test::safetensors(json(header), dataBytes);
}

std::string one(const std::string& fields)
{
    return json("{'a':{" + fields + "}}");
}

} // namespace

class HostileTest : public QObject {
    Q_OBJECT
    Executor m_executor{1};
    JobContext m_context{m_executor};

    /// Opens path, loads every tensor, and compares with what a row says.
    void check(const std::filesystem::path& path, const QByteArray& says)
    {
        const auto start = std::chrono::steady_clock::now();
        const auto opened = openCheckpoint(path, m_context);
        QVERIFY(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
        if (says.isEmpty() || says.startsWith('!')) {
            QVERIFY2(opened, opened ? "" : describe(opened.error()).c_str());
            const Checkpoint& checkpoint = **opened;
            for (std::int64_t i = 0; i < std::ssize(checkpoint.tensors()); ++i)
                QVERIFY(checkpoint.load(i, m_context));
            std::string warnings;
            for (const Warning& warning : checkpoint.warnings())
                warnings += describe(Error{Errc::badInput, warning.what, warning.where}) + "\n";
            QVERIFY2(says.isEmpty() ? warnings.empty() : warnings.find(says.mid(1).toStdString()) != std::string::npos,
                     warnings.c_str());
            return;
        }
        QVERIFY(!opened);
        const std::string text = describe(opened.error());
        QVERIFY2(text.find(says.toStdString()) != std::string::npos, text.c_str());
        QVERIFY2(text.find(path.filename().string()) != std::string::npos, text.c_str());
        QVERIFY(opened.error().code == Errc::badInput || opened.error().code == Errc::io);
    }

private Q_SLOTS:
    void safetensorsFiles_data()
    {
        columns();
        const std::string good = "'dtype':'F32','shape':[2],'data_offsets':[0,8]";
        row("good", safetensors(one(good), 8), "");
        row("spaces behind the header", safetensors(one(good) + "      ", 8), "");
        row("no tensors", safetensors("{}", 0), "!holds no tensors");
        row("scalar", safetensors(one("'dtype':'F32','shape':[],'data_offsets':[0,4]"), 4), "");
        row("nothing in it", safetensors(one("'dtype':'F32','shape':[0,3],'data_offsets':[0,0]"), 0), "");
        row("unknown field", safetensors(one(good + ",'future':7"), 8), "");
        row("file ends in the length", "\x10", "none of the known kinds");
        row("file ends in the header", safetensors(one(good), 0).substr(0, 30), "truncated");
        row("file ends in the data", safetensors(one(good), 7), "truncated");
        row("header longer than the file", bytesOf<std::uint64_t>(1000) + one(good), "truncated");
        row("header above 100 MB", bytesOf<std::uint64_t>(100'000'001) + one(good), "100 MB");
        row("header of 2^63", bytesOf(std::uint64_t{1} << 63U) + one(good), "100 MB");
        row("header length 0", bytesOf<std::uint64_t>(0) + json("{'a'"), "malformed");
        row("header too short for its JSON", bytesOf<std::uint64_t>(10) + one(good), "malformed");
        row("unused bytes at the end", safetensors(one(good), 20), "!belong to no tensor");
        row("gap",
            safetensors("{'a':{'dtype':'U8','shape':[2],'data_offsets':[0,2]},"
                        "'b':{'dtype':'U8','shape':[2],'data_offsets':[4,6]}}",
                        6),
            "!belong to no tensor");
        row("overlap",
            safetensors("{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},"
                        "'b':{'dtype':'U8','shape':[4],'data_offsets':[2,6]}}",
                        6),
            "'a' and 'b' overlap");
        row("inside another",
            safetensors("{'a':{'dtype':'U8','shape':[8],'data_offsets':[0,8]},"
                        "'b':{'dtype':'U8','shape':[2],'data_offsets':[3,5]}}",
                        8),
            "overlap");
        row("shared",
            safetensors("{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},"
                        "'b':{'dtype':'U8','shape':[4],'data_offsets':[0,4]}}",
                        4),
            "!share their bytes");
        row("offsets backwards", safetensors(one("'dtype':'U8','shape':[2],'data_offsets':[2,0]"), 8), "no range");
        row("three offsets", safetensors(one("'dtype':'U8','shape':[2],'data_offsets':[0,1,2]"), 8), "no range");
        row("negative offset", safetensors(one("'dtype':'U8','shape':[2],'data_offsets':[-2,0]"), 8), "negative");
        row("huge offsets",
            safetensors(one("'dtype':'U8','shape':[2],'data_offsets':[9223372036854775805,9223372036854775807]"), 8),
            "truncated");
        row("offset above 2^63", safetensors(one("'dtype':'U8','shape':[2],'data_offsets':[0,9223372036854775808]"), 8),
            "2^63");
        row("offset above 2^64",
            safetensors(one("'dtype':'U8','shape':[2],'data_offsets':[0,98223372036854775808]"), 8), "fraction");
        row("shape overflows",
            safetensors(one("'dtype':'F32','shape':[4294967296,4294967296],'data_offsets':[0,8]"), 8),
            "more than 2^63");
        row("size overflows", safetensors(one("'dtype':'F64','shape':[2305843009213693952],'data_offsets':[0,8]"), 8),
            "does not fill");
        row("zero times huge overflow",
            safetensors(one("'dtype':'F32','shape':[4294967296,4294967296,0],'data_offsets':[0,0]"), 0),
            "more than 2^63");
        row("negative dimension", safetensors(one("'dtype':'F32','shape':[-2],'data_offsets':[0,8]"), 8), "negative");
        row("fractional dimension", safetensors(one("'dtype':'F32','shape':[2.5],'data_offsets':[0,8]"), 8),
            "fraction");
        row("shape does not fill", safetensors(one("'dtype':'F32','shape':[3],'data_offsets':[0,8]"), 8),
            "does not fill");
        row("half a byte", safetensors(one("'dtype':'F4','shape':[3],'data_offsets':[0,2]"), 2), "does not fill");
        row("shape is text", safetensors(one("'dtype':'F32','shape':'2','data_offsets':[0,8]"), 8), "a text");
        row("shape in shape", safetensors(one("'dtype':'F32','shape':[[2]],'data_offsets':[0,8]"), 8), "a list");
        row("dtype is a number", safetensors(one("'dtype':7,'shape':[2],'data_offsets':[0,8]"), 8), "a number");
        row("unknown dtype", safetensors(one("'dtype':'Q99','shape':[2],'data_offsets':[0,8]"), 8),
            "!shown as raw bytes");
        row("no dtype", safetensors(one("'shape':[2],'data_offsets':[0,8]"), 8), "lacks");
        row("no shape", safetensors(one("'dtype':'F32','data_offsets':[0,8]"), 8), "lacks");
        row("no offsets", safetensors(one("'dtype':'F32','shape':[2]"), 8), "lacks");
        row("dtype twice", safetensors(one(good + ",'dtype':'I32'"), 8), "appears twice");
        row("name twice", safetensors("{'a':{" + good + "},'a':{" + good + "}}", 8), "'a' appears twice");
        row("metadata twice", safetensors("{'__metadata__':{},'__metadata__':{},'a':{" + good + "}}", 8),
            "appears twice");
        row("metadata is no text", safetensors("{'__metadata__':{'x':[1]},'a':{" + good + "}}", 8), "a list");
        row("tensor is a number", safetensors("{'a':3}", 8), "a number");
        row("tensor is null", safetensors("{'a':null}", 8), "null");
        row("top is a list", safetensors("{'a':1", 8), "a number");
        row("deep nesting", safetensors("{'a':" + std::string(1'000'000, '['), 8), "a list");
        row("deep objects",
            safetensors(
                [] {
                    std::string text;
                    for (int i = 0; i < 100'000; ++i)
                        text += "{'a':";
                    return text;
                }(),
                8),
            "an object");
        row("rank of 1000",
            safetensors(one("'dtype':'F32','shape':[1" +
                            [] {
                                std::string text;
                                for (int i = 0; i < 999; ++i)
                                    text += ",1";
                                return text;
                            }() +
                            "],'data_offsets':[0,4]"),
                        4),
            "more than 64");
        row("name is not UTF-8", safetensors("{'a\xff':{" + good + "}}", 8), "not UTF-8");
        row("name is overlong UTF-8", safetensors("{'a\xc0\xaf':{" + good + "}}", 8), "not UTF-8");
        row("name with a NUL", safetensors("{'a\\u0000b':{" + good + "}}", 8), "NUL");
        row("name is a lone surrogate", safetensors("{'a\\ud800':{" + good + "}}", 8), "malformed");
        row("name is empty", safetensors("{'':{" + good + "}}", 8), "is empty");
        row("name of 1 MB", safetensors("{'" + std::string(1'000'000, 'n') + "':{" + good + "}}", 8),
            "longer than 4096");
        row("rubbish behind the JSON", safetensors(one(good) + "x", 8), "malformed");
    }
    void safetensorsFiles()
    {
        QFETCH(QByteArray, file);
        QFETCH(QByteArray, says);
        const test::TemporaryFolder folder;
        check(folder.write("m.safetensors", {file.data(), static_cast<std::size_t>(file.size())}), says);
    }

    void ggufFiles_data()
    {
        columns();
        const auto b = [] { return GgufBuilder(); };
        const auto f32 = [&] { return b().tensor("a", {2, 3}, 0, 0); };
        const std::string good = f32().build(32);
        row("good", good, "");
        row("no padding at the end", f32().build(24), "");
        row("scalar", b().tensor("a", {}, 0, 0).build(4), "");
        row("nothing in it", b().tensor("a", {0, 3}, 0, 0).build(0), "");
        row("no tensors", b().key("k", 4, bytesOf(1)).build(0), "!holds no tensors");
        row("empty array", f32().array("k", 5, 0, "").build(32), "");
        row("file ends in the magic", "GGU", "none of the known kinds");
        row("file ends in the counts", good.substr(0, 20), "first 24 bytes");
        row("file ends in an info", good.substr(0, 60), "ends inside");
        row("file ends in the data", f32().build(23), "truncated");
        GgufBuilder old = f32();
        old.version = 1;
        row("version 1", old.build(32), "version 1");
        old.version = 0x03000000;
        row("big endian", old.build(32), "big-endian");
        old.version = 77;
        row("version 77", old.build(32), "version 77");
        GgufBuilder lying = f32();
        lying.keyCount = std::uint64_t{1} << 60U;
        row("2^60 keys", lying.build(32), "more than it can hold");
        lying.keyCount = 1;
        row("one key too many", lying.build(32), "truncated or damaged");
        lying.keyCount = 0;
        lying.tensorCount = std::uint64_t{1} << 60U;
        row("2^60 tensors", lying.build(32), "more than it can hold");
        lying.tensorCount = 2;
        row("one tensor too many", lying.build(320), "tensor");
        row("string of 2^62", f32().key("k", 8, bytesOf(kHuge)).build(32), "ends inside the key 'k'");
        row("key of 2^62",
            "GGUF" + bytesOf(3) + bytesOf<std::uint64_t>(0) + bytesOf<std::uint64_t>(1) + bytesOf(kHuge) +
                std::string(100, 'k'),
            "ends inside key 0");
        row("array of 2^40 bytes", f32().array("k", 0, std::uint64_t{1} << 40U, "x").build(32), "ends inside");
        row("array of 2^62 doubles", f32().array("k", 12, kHuge, "x").build(32), "ends inside");
        row("array of 2^40 texts", f32().array("k", 8, std::uint64_t{1} << 40U, "x").build(32), "ends inside");
        row("array of arrays", f32().array("k", 9, 1, bytesOf(4) + bytesOf<std::uint64_t>(0)).build(32),
            "array of arrays");
        row("array of unknown type", f32().array("k", 77, 1, "xxxx").build(32), "unknown type 77");
        row("unknown type", f32().key("k", 13, "xxxx").build(32), "unknown type 13");
        row("key twice", f32().key("k", 4, bytesOf(1)).key("k", 4, bytesOf(2)).build(32), "'k' twice");
        row("empty key", f32().key("", 4, bytesOf(1)).build(32), "has a key that is empty");
        row("key is not UTF-8", f32().key("\xff", 4, bytesOf(1)).build(32), "not UTF-8");
        row("value is not UTF-8", f32().key("k", 8, ggufString("\xff\xfe")).build(32), "");
        row("alignment 0", f32().key("general.alignment", 4, bytesOf(0)).build(32), "power of two");
        row("alignment 48", f32().key("general.alignment", 4, bytesOf(48)).build(32), "power of two");
        row("alignment is text", f32().key("general.alignment", 8, ggufString("32")).build(32), "power of two");
        row("alignment is signed", f32().key("general.alignment", 5, bytesOf(32)).build(32), "power of two");
        row("alignment 2^31", f32().key("general.alignment", 4, bytesOf(0x80000000U)).build(32), "truncated");
        GgufBuilder wide = f32();
        wide.key("general.alignment", 4, bytesOf(128));
        wide.alignment = 128;
        row("alignment 128", wide.build(128), "");
        row("name twice", f32().tensor("a", {2}, 0, 32).build(64), "listed twice");
        row("name empty", b().tensor("", {2}, 0, 0).build(32), "is empty");
        row("name is not UTF-8", b().tensor("a\xed\xa0\x80", {2}, 0, 0).build(32), "not valid UTF-8");
        row("name with a NUL", b().tensor(std::string_view("a\0b", 3), {2}, 0, 0).build(32), "NUL");
        row("five dimensions", b().tensor("a", {1, 1, 1, 1, 1}, 0, 0).build(32), "5 dimensions");
        GgufBuilder many;
        many.tensorCount = 1;
        std::string dims =
            many.build(0).substr(0, 24) + ggufString("a") + bytesOf(0xffffffffU) + std::string(1000, '\1');
        row("2^32 dimensions", dims, "4294967295 dimensions");
        row("dimension of 2^63", b().tensor("a", {std::uint64_t{1} << 63U}, 0, 0).build(32), "dimension of");
        row("shape overflows", b().tensor("a", {kHuge, 8}, 0, 0).build(32), "more than 2^63");
        row("size overflows", b().tensor("a", {kHuge}, 0, 0).build(32), "more than 2^63");
        row("row is no whole block", b().tensor("a", {48, 2}, 2, 0).build(64), "no multiple of the 32");
        row("unknown ggml type", b().tensor("a", {32}, 99, 0).build(64), "unknown or was removed");
        row("removed ggml type", b().tensor("a", {32}, 4, 0).build(64), "unknown or was removed");
        row("offset beyond the file", b().tensor("a", {2}, 0, 1024).build(32), "outside the file's data");
        row("offset of 2^64-1", b().tensor("a", {2}, 0, ~std::uint64_t{0}).build(32), "outside the file's data");
        row("offset of 2^63-32", b().tensor("a", {2}, 0, (std::uint64_t{1} << 63U) - 32).build(32),
            "outside the file's data");
        row("overlap", b().tensor("a", {16}, 0, 0).tensor("b", {16}, 0, 32).build(96), "'a' and 'b' overlap");
        row("shared", b().tensor("a", {8}, 0, 0).tensor("b", {8}, 0, 0).build(32), "!share their bytes");
        row("gap", b().tensor("a", {8}, 0, 0).tensor("b", {8}, 0, 96).build(128), "!belong to no tensor");
        row("not aligned", b().tensor("a", {2}, 0, 4).build(32), "!multiple of the alignment");
        row("order of the file is free", b().tensor("a", {8}, 0, 32).tensor("b", {8}, 0, 0).build(64), "");
        row("codebook grid", b().tensor("a", {256}, 16, 0).build(96), "");
        row("part of a split model", f32().key("split.count", 2, bytesOf<std::uint16_t>(3)).build(32), "!part 1 of 3");
    }
    void ggufFiles()
    {
        QFETCH(QByteArray, file);
        QFETCH(QByteArray, says);
        const test::TemporaryFolder folder;
        check(folder.write("m.gguf", {file.data(), static_cast<std::size_t>(file.size())}), says);
    }

    void folders_data()
    {
        columns();
        // One line per file: name = content; "@" stands for a good tensor of that name, "->" makes a link.
        const auto add = [](const char* name, const char* files, const char* says) { row(name, files, says); };
        add("single", "config.json={}\nmodel.safetensors=@a", "");
        add("no config", "model.safetensors=@a", "!no config.json");
        add("bad config", "config.json={\nmodel.safetensors=@a", "!config.json: is not a JSON object");
        add("config is a list", "config.json=[]\nmodel.safetensors=@a", "!config.json: is not a JSON object");
        add("config is a folder", "config.json/x=1\nmodel.safetensors=@a", "!config.json: is a directory");
        add("any names", "config.json={}\nx.safetensors=@a\ny.safetensors=@b", "");
        add("any names, tensor twice", "config.json={}\nx.safetensors=@a\ny.safetensors=@a", "open one of the files");
        add("empty folder", "config.json={}", "holds no weights");
        add("only GGUF", "config.json={}\nm.gguf=x", "open the file m.gguf");
        add("only a pickle", "config.json={}\npytorch_model.bin=x", "PyTorch pickle");
        const std::string index = "config.json={}\nx.safetensors=@a\ny.safetensors=@b\nmodel.safetensors.index.json=";
        const auto indexed = [&](const char* name, const std::string& map, const char* says) {
            add(name, (index + json(map)).c_str(), says);
        };
        indexed("sharded", "{'weight_map':{'a':'x.safetensors','b':'y.safetensors'}}", "");
        indexed("other keys", "{'metadata':{'a':[1,{'b':2}]},'weight_map':{'a':'x.safetensors'},'z':{'q':'r'}}", "");
        indexed("parent folder", "{'weight_map':{'a':'../x.safetensors'}}", "not inside");
        indexed("path with .. inside", "{'weight_map':{'a':'sub/../../x.safetensors'}}", "not inside");
        indexed("absolute path", "{'weight_map':{'a':'/etc/passwd'}}", "not inside");
        indexed("empty path", "{'weight_map':{'a':''}}", "not inside");
        indexed("path with a NUL", "{'weight_map':{'a':'x\\u0000y'}}", "not inside");
        indexed("the folder itself", "{'weight_map':{'a':'.'}}", "a directory");
        indexed("missing shard", "{'weight_map':{'a':'z.safetensors'}}", "z.safetensors");
        indexed("shard lacks the tensor", "{'weight_map':{'a':'x.safetensors','c':'y.safetensors'}}",
                "'c' in y.safetensors");
        indexed("shard has no named tensor", "{'weight_map':{'':'x.safetensors'}}", "does not hold it");
        indexed("tensor listed twice", "{'weight_map':{'a':'x.safetensors','a':'x.safetensors'}}", "twice");
        indexed("no map", "{}", "lists no tensor");
        indexed("empty map", "{'weight_map':{}}", "lists no tensor");
        indexed("map is a list", "{'weight_map':['a']}", "no map");
        indexed("map is text", "{'weight_map':'a'}", "no map");
        indexed("map of maps", "{'weight_map':{'a':{}}}", "no map");
        indexed("map of numbers", "{'weight_map':{'a':1}}", "no map");
        indexed("two maps", "{'weight_map':{},'weight_map':['a']}", "appears twice");
        indexed("text behind an empty map", "{'weight_map':{},'x':{'a':'b'}}", "lists no tensor");
        indexed("malformed", "{'weight_map':", "malformed");
        indexed("deep", "{'x':" + std::string(100'000, '['), "nested");
        indexed("unlisted tensor is no fault", "{'weight_map':{'a':'x.safetensors'}}", "");
        add("weights are a loop of links", "config.json={}\nmodel.safetensors->model.safetensors", "symbolic links");
        add("weights are a broken link", "config.json={}\nmodel.safetensors->nowhere", "No such file");
        add("weights are a device", "config.json={}\nmodel.safetensors->/dev/zero", "a device");
        add("weights are a good link", "config.json={}\nreal=@a\nmodel.safetensors->real", "");
        add("weights are a folder", "config.json={}\nmodel.safetensors/x=1", "a directory");
        add("weights are damaged", "config.json={}\nmodel.safetensors=rubbish!rubbish!", "model.safetensors");
        add("weights are empty", "config.json={}\nmodel.safetensors=", "model.safetensors");
    }
    void folders()
    {
        QFETCH(QByteArray, file);
        QFETCH(QByteArray, says);
        const test::TemporaryFolder outside;
        const std::filesystem::path root = outside.path() / "checkpoint";
        std::filesystem::create_directories(root);
        const std::string tensor = "':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}";
        outside.write("x.safetensors", safetensors("{'a" + tensor, 8)); // what must not be reached
        for (const QByteArray& line : file.split('\n')) {
            const std::string text = line.toStdString();
            if (const auto link = text.find("->"); link != std::string::npos) {
                std::filesystem::create_symlink(text.substr(link + 2), root / text.substr(0, link));
                continue;
            }
            const auto equals = text.find('=');
            std::string content = text.substr(equals + 1);
            if (content.starts_with("@"))
                content = safetensors("{'" + content.substr(1) + tensor, 8);
            outside.write("checkpoint/" + text.substr(0, equals), content);
        }
        const auto opened = openCheckpoint(root, m_context);
        if (!says.isEmpty() && !says.startsWith('!')) {
            QVERIFY(!opened);
            const std::string text = describe(opened.error());
            QVERIFY2(text.find(says.toStdString()) != std::string::npos, text.c_str());
            QVERIFY2(text.find(root.string()) != std::string::npos, text.c_str());
            return;
        }
        check(root, says);
    }

    void notRegularFiles()
    {
        const test::TemporaryFolder folder;
        const auto path = folder.path() / "pipe";
        QCOMPARE(::mkfifo(path.c_str(), 0600), 0);
        check(path, "a pipe");
        check("/dev/zero", "a device");
        check(folder.path() / "missing", "No such file");
        std::filesystem::create_symlink("loop", folder.path() / "loop");
        check(folder.path() / "loop", "symbolic links");
        check(folder.write("empty", ""), "is empty");
        check(folder.write("pointer", "version https://git-lfs.github.com/spec/v1\n"), "git lfs pull");
        check(folder.write("page", "<!DOCTYPE html>"), "web page");
        check(folder.write("model.safetensors.index.json", "{}"), "open the folder it lies in");
        const auto secret = folder.write("secret", "x");
        std::filesystem::permissions(secret, std::filesystem::perms::none);
        if (::geteuid() != 0)
            check(secret, "Permission denied");
    }

    void cancelsBeforeOpening()
    {
        std::stop_source stop;
        stop.request_stop();
        const JobContext context(m_executor, stop.get_token());
        const auto opened = openCheckpoint(QL_TEST_DATA "/checkpoints/huggingface_single", context);
        QVERIFY(!opened);
        QCOMPARE(opened.error().code, Errc::cancelled);
    }

    /// Opening 5 GB must read next to nothing of it.
    void largeSparseFile()
    {
        const test::TemporaryFolder folder;
        constexpr std::int64_t kBytes = 5'000'000'000;
        const auto path = folder.write("large.safetensors", safetensors("{'a':{'dtype':'F32','shape':[1250000000],"
                                                                        "'data_offsets':[0,5000000000]}}",
                                                                        0));
        std::error_code error;
        std::filesystem::resize_file(path, std::filesystem::file_size(path) + kBytes, error);
        if (error)
            QSKIP("no room for a sparse file of 5 GB");
        rusage before{};
        ::getrusage(RUSAGE_SELF, &before);
        auto best = std::chrono::steady_clock::duration::max();
        for (int i = 0; i < 5; ++i) { // the machine may be busy
            const auto start = std::chrono::steady_clock::now();
            const auto opened = openCheckpoint(path, m_context);
            best = std::min(best, std::chrono::steady_clock::now() - start);
            QVERIFY(opened);
            QCOMPARE((*opened)->sizeBytes(), kBytes);
        }
        QVERIFY(best < std::chrono::milliseconds(200));
        rusage after{};
        ::getrusage(RUSAGE_SELF, &after);
        QVERIFY(after.ru_maxrss - before.ru_maxrss < 100'000); // kB
    }

    /// A gigabyte of texts of length zero: refused at the limit of a header, not walked to its end.
    void largeSparseHeader()
    {
        const test::TemporaryFolder folder;
        const auto path = folder.write("large.gguf", GgufBuilder().array("k", 8, std::uint64_t{1} << 35U, "").build(0));
        std::error_code error;
        std::filesystem::resize_file(path, std::uint64_t{1} << 40U, error);
        if (error)
            QSKIP("no room for a sparse file of 1 TB");
        check(path, "256 MiB");
    }

    void fingerprints()
    {
        const test::TemporaryFolder folder;
        std::string file = safetensors(one("'dtype':'U8','shape':[1000],'data_offsets':[0,1000]"), 1000);
        const auto name = [&](const char* as) {
            const auto opened = openCheckpoint(folder.write(as, file), m_context);
            return opened ? (*opened)->fingerprint() : describe(opened.error());
        };
        const std::string first = name("x");
        QCOMPARE(first.size(), std::size_t{32});
        QCOMPARE(name("y"), first);
        file.back() = '\x02';
        QVERIFY(name("x") != first);
    }
};

QTEST_APPLESS_MAIN(HostileTest)
#include "hostile_test.moc"
