// SPDX-License-Identifier: GPL-3.0-or-later
// What a GGUF writer takes from a parsed file: exact bytes of keys, typed values, tensors in file order.
#include "core/checkpoint/gguf_file.h"
#include "tests/support/file_builders.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

using namespace ql;

class GgufFileTest : public QObject {
    Q_OBJECT
    Executor m_executor{1};
    JobContext m_context{m_executor};

    Result<GgufFile> parse(const std::filesystem::path& path)
    {
        QL_TRY(file, MappedFile::open(path));
        return parseGguf(file, m_context);
    }

private Q_SLOTS:
    /// The raw entries lie one behind the other: copied in order they are the file's keys.
    void rawEntriesCoverTheKeys()
    {
        const auto parsed = parse(QL_TEST_DATA "/checkpoints/gguf_all.gguf");
        QVERIFY(parsed);
        QCOMPARE(parsed->version, 3U);
        QCOMPARE(parsed->alignment, 32);
        std::int64_t at = 24;
        for (const GgufEntry& entry : parsed->entries) {
            QCOMPARE(entry.begin, at);
            QVERIFY(entry.begin + 8 + std::ssize(entry.key) + 4 <= entry.valueBegin);
            const auto raw = parsed->raw(entry);
            QCOMPARE(std::ssize(raw), entry.end - entry.begin);
            QVERIFY(std::string_view(reinterpret_cast<const char*>(raw.data()) + 8, entry.key.size()) == entry.key);
            at = entry.end;
        }
        QVERIFY(at < parsed->dataStart && parsed->dataStart % 32 == 0);
        QCOMPARE(parsed->entries.front().key, std::string("general.architecture"));
    }
    void valuesHaveTypes()
    {
        const auto parsed = parse(QL_TEST_DATA "/checkpoints/gguf_all.gguf");
        QVERIFY(parsed);
        const GgufFile& file = *parsed;
        QCOMPARE(file.text("general.name").value(), std::string_view("tiny"));
        QCOMPARE(file.integer("t.u8").value(), 200);
        QCOMPARE(file.integer("t.i8").value(), -3);
        QCOMPARE(file.integer("t.u16").value(), 60000);
        QCOMPARE(file.integer("t.i16").value(), -300);
        QCOMPARE(file.integer("t.u32").value(), 4000000000);
        QCOMPARE(file.integer("t.i32").value(), -70000);
        QCOMPARE(file.integer("t.i64").value(), -9007199254740993);
        QVERIFY(!file.integer("t.u64")); // above 2^63
        QCOMPARE(file.number("t.u64").value(), 0x1p64);
        QCOMPARE(file.number("t.f32").value(), static_cast<double>(1e-5F));
        QCOMPARE(file.number("t.f64").value(), 0.1);
        QCOMPARE(file.number("t.i16").value(), -300.0);
        QCOMPARE(file.boolean("t.bool").value(), true);
        QCOMPARE(file.texts("t.texts").value().size(), std::size_t{10});
        QCOMPARE(file.texts("t.texts").value()[3], std::string_view("é"));
        QCOMPARE(file.numbers("t.ints").value(), (std::vector<double>{1, 2, 3}));
        QCOMPARE(file.find("t.ints")->count, 3);
        // The wrong type, or no such key.
        QVERIFY(!file.text("t.u8") && !file.integer("t.f32") && !file.boolean("t.u8") && !file.integer("t.bool"));
        QVERIFY(!file.texts("t.ints") && !file.numbers("t.texts") && !file.numbers("t.bools") && !file.numbers("t.u8"));
        QVERIFY(!file.integer("none") && !file.find("none") && !file.number("t.texts") && !file.number("t.bool"));
    }
    void tensorsKeepFileOrderAndDims()
    {
        const auto parsed = parse(QL_TEST_DATA "/checkpoints/gguf_all.gguf");
        QVERIFY(parsed);
        QCOMPARE(parsed->tensors[1].name, std::string("f64.2x3x4"));
        QCOMPARE(parsed->tensors[1].dims, (std::vector<std::int64_t>{4, 3, 2}));
        QCOMPARE(parsed->tensors[1].type, 28U);
        QCOMPARE(parsed->tensors[1].sizeBytes, 192);
        QCOMPARE(std::ssize(parsed->data(parsed->tensors[1])), 192);
        QCOMPARE(parsed->data(parsed->tensors[0]).data(), parsed->file->bytes().data() + parsed->dataStart);
    }
    void longTextsAreAbridged()
    {
        const test::TemporaryFolder folder;
        const auto path = folder.write("m.gguf", test::GgufBuilder()
                                                     .key("k", 8, test::ggufString(std::string(100'000, 'x')))
                                                     .key("c", 8, test::ggufString("a\nb\xff"))
                                                     .array("e", 6, 0, "")
                                                     .build(0));
        const auto parsed = parse(path);
        QVERIFY(parsed);
        const std::string text = parsed->describe(*parsed->find("k"));
        QVERIFY(text.size() < 17'000 && text.ends_with("…"));
        QCOMPARE(parsed->describe(*parsed->find("c")), std::string("a b\uFFFD"));
        QCOMPARE(parsed->describe(*parsed->find("e")), std::string("[]"));
        QCOMPARE(parsed->text("k").value().size(), std::size_t{100'000});
    }
    void refusesOthers()
    {
        const auto parsed = parse(QL_TEST_DATA "/checkpoints/safetensors_all.safetensors");
        QVERIFY(!parsed);
        QCOMPARE(parsed.error().code, Errc::badInput);
    }
};

QTEST_APPLESS_MAIN(GgufFileTest)
#include "gguf_file_test.moc"
