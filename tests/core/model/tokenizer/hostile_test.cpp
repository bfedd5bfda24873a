// SPDX-License-Identifier: GPL-3.0-or-later
// Tokenizer files that are wrong, lie or want too much: every one is an error with a sentence, or works.
#include "core/base/file.h"
#include "core/model/tokenizer/tokenizer.h"
#include "tests/support/file_builders.h"
#include "tests/support/temporary_folder.h"

#include <nlohmann/json.hpp>

#include <QTest>

using namespace ql;
using Json = nlohmann::json;

class HostileTokenizerTest : public QObject {
    Q_OBJECT
    Executor m_executor{1};
    JobContext m_context{m_executor};
    test::TemporaryFolder m_folder;

    /// The error's text, or "" if the file opens.
    std::string opening(const std::string& name, std::string_view content)
    {
        const auto tokenizer = openTokenizer(m_folder.write(name, content), m_context);
        return tokenizer ? "" : describe(tokenizer.error());
    }
    static Json good()
    {
        return Json::parse("{\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": true, \"normalized\": "
                           "false}],\n            \"normalizer\": null, \"pre_tokenizer\": null, \"post_processor\": "
                           "null, \"decoder\": null,\n            \"model\": {\"type\": \"BPE\", \"vocab\": {\"<s>\": "
                           "0, \"a\": 1, \"b\": 2, \"ab\": 3}, \"merges\": [[\"a\", \"b\"]]}}");
    }

private Q_SLOTS:
    void theGoodOneOpens() { QCOMPARE(opening("tokenizer.json", good().dump()), std::string()); }
    void fields_data()
    {
        QTest::addColumn<QByteArray>("pointer");
        QTest::addColumn<QByteArray>("value");
        QTest::addColumn<QByteArray>("says");
        const auto row = [](const char* name, const char* pointer, const char* value, const char* says) {
            QTest::newRow(name) << QByteArray(pointer) << QByteArray(value) << QByteArray(says);
        };
        row("no model", "/model", "null", "no tokenizer model");
        row("model of another kind", "/model/type", "\"CharBPE\"", "its CharBPE is no tokenizer model");
        row("vocabulary is a list", "/model/vocab", "[1, 2]", "needs a 'vocab'");
        row("id is a text", "/model/vocab/a", "\"1\"", "no whole number");
        row("id is negative", "/model/vocab/a", "-1", "not between 0 and");
        row("id is huge", "/model/vocab/a", "4294967295", "not between 0 and");
        row("merges are missing", "/model/merges", "null", "'merges' to be a list");
        row("merge of three", "/model/merges", "[\"a b c\"]", "not two pieces");
        row("merge of numbers", "/model/merges", "[[1, 2]]", "not two pieces");
        row("merge of strangers", "/model/merges", "[[\"a\", \"z\"]]", "not made of its pieces");
        row("dropout", "/model/dropout", "0.1", "random");
        row("unknown piece that is none", "/model/unk_token", "\"<unk>\"", "not in its 'vocab'");
        row("byte_fallback is a text", "/model/byte_fallback", "\"yes\"", "true or false");
        row("added tokens are an object", "/added_tokens", "{}", "no list");
        row("added token without id", "/added_tokens/0", "{\"content\": \"x\"}", "'id'");
        row("added token with a huge id", "/added_tokens/0", "{\"content\": \"x\", \"id\": 1e30}", "'id'");
        row("unknown normalizer", "/normalizer", "{\"type\": \"Magic\"}", "its Magic is no normalizer");
        row("normalizer is a number", "/normalizer", "3", "no JSON object");
        row("sequence of nothing", "/normalizer", "{\"type\": \"Sequence\"}", "'normalizers' to be a list");
        row("replace without pattern", "/normalizer", "{\"type\": \"Replace\", \"content\": \"\"}", "'pattern'");
        row("replace of nothing", "/normalizer",
            "{\"type\": \"Replace\", \"content\": \"\", \"pattern\": {\"String\": \"\"}}", "empty pattern");
        row("charsmap that is no base64", "/normalizer", "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"*\"}",
            "not base64");
        row("charsmap that lies", "/normalizer", "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"/////w==\"}",
            "longer than itself");
        row("unknown pre-tokenizer", "/pre_tokenizer", "{\"type\": \"UnicodeScripts\"}", "its UnicodeScripts is no");
        row("bad pattern", "/pre_tokenizer",
            "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a\"}, \"behavior\": \"Isolated\", \"invert\": false}",
            "ICU");
        row("foreign pattern", "/pre_tokenizer",
            "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\h+\"}, \"behavior\": \"Isolated\", \"invert\": "
            "false}",
            "means something else");
        row("foreign quantifier", "/pre_tokenizer",
            "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a{1,3}+\"}, \"behavior\": \"Isolated\", \"invert\": "
            "false}",
            "means something else");
        row("foreign flag", "/pre_tokenizer",
            "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(?m:a.)\"}, \"behavior\": \"Isolated\", \"invert\": "
            "false}",
            "means something else");
        row("unknown behavior", "/pre_tokenizer",
            "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a\"}, \"behavior\": \"Sideways\", \"invert\": false}",
            "Sideways");
        row("pieces of length 0", "/pre_tokenizer", "{\"type\": \"FixedLength\", \"length\": 0}", "at least 1");
        row("metaspace of two", "/pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"ab\"}",
            "one character");
        row("unknown post-processor", "/post_processor", "{\"type\": \"Glue\"}", "its Glue is no post-processor");
        row("template without text", "/post_processor", "{\"type\": \"TemplateProcessing\", \"single\": []}", "leaves");
        row("template of a stranger", "/post_processor",
            "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"[X]\"}}], "
            "\"special_tokens\": {}}",
            "neither a text nor");
        row("template with two texts", "/post_processor",
            "{\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"A\"}}, {\"Sequence\": {\"id\": "
            "\"A\"}}]}",
            "once");
        row("unknown decoder", "/decoder", "{\"type\": \"CTC\"}", "its CTC is no decoder");
    }
    void fields()
    {
        QFETCH(QByteArray, pointer);
        QFETCH(QByteArray, value);
        QFETCH(QByteArray, says);
        Json document = good();
        document[Json::json_pointer(pointer.toStdString())] = Json::parse(value.toStdString());
        const std::string error = opening("tokenizer.json", document.dump());
        QVERIFY2(error.find(says.toStdString()) != std::string::npos, error.c_str());
        QVERIFY2(error.find("tokenizer.json") != std::string::npos, error.c_str());
    }
    /// Any field of any type instead of any other: an error or a tokenizer, never a crash.
    void everyFieldOfEveryType()
    {
        Json document = Json::parse(readTextFile(QL_TEST_DATA "/tokenizers/llama3/tokenizer.json", 1 << 24).value());
        document["model"]["vocab"] = good()["model"]["vocab"];
        document["model"]["merges"] = good()["model"]["merges"];
        int refused = 0;
        const Json flat = document.flatten();
        for (const auto& [pointer, old] : flat.items())
            for (const char* value : {"null", "true", "-5", "1e300", "\"\"", "\"\\u0000\"", "[]", "[[]]", "{}"}) {
                Json changed = document;
                changed[Json::json_pointer(pointer)] = Json::parse(value);
                const auto tokenizer = openTokenizer(m_folder.write("tokenizer.json", changed.dump()), m_context);
                if (tokenizer)
                    QVERIFY((*tokenizer)->encode("ab <s> \xff", {.addSpecial = true}, m_context) || true);
                else
                    ++refused;
            }
        QVERIFY(refused > 100);
    }
    void nestingEnds()
    {
        std::string deep;
        for (int i = 0; i < 100'000; ++i)
            deep += "{\"type\":\"Sequence\",\"normalizers\":[";
        QVERIFY(opening("tokenizer.json", "{\"normalizer\":" + deep).find("JSON object") != std::string::npos);
        QVERIFY(opening("tokenizer.json", "[1]").find("JSON object") != std::string::npos);
        QVERIFY(opening("tokenizer.json", "").find("JSON object") != std::string::npos);
        QVERIFY(opening("tokenizer.json", "{\"model\": \"\xff\"}").find("JSON object") != std::string::npos);
    }
    /// A pattern that backtracks without end is an error within the limit of steps.
    void patternsThatNeverEnd()
    {
        Json document = good();
        document["pre_tokenizer"] = {
            {"type", "Split"}, {"pattern", {{"Regex", "(a+a+)+b"}}}, {"behavior", "Isolated"}, {"invert", false}};
        const auto tokenizer = openTokenizer(m_folder.write("tokenizer.json", document.dump()), m_context);
        QVERIFY(tokenizer);
        QVERIFY((*tokenizer)->encode("aaaab", {}, m_context));
        const auto encoded = (*tokenizer)->encode(std::string(200, 'a'), {}, m_context);
        QVERIFY(!encoded);
        QVERIFY(encoded.error().what.find("(a+a+)+b") != std::string::npos);
    }
    void sentencePieceFilesCutAnywhere()
    {
        const std::string whole =
            readTextFile(QL_TEST_DATA "/gguf_tokenizers/sentencepiece/tokenizer.model", 1 << 24).value();
        for (std::size_t size = 0; size < whole.size(); size += 97) {
            const auto tokenizer = openTokenizer(m_folder.write("tokenizer.model", whole.substr(0, size)), m_context);
            if (tokenizer)
                QVERIFY((*tokenizer)->encode("some text", {}, m_context) || true);
        }
        QVERIFY(opening("tokenizer.model", "not a model").find("no SentencePiece model") != std::string::npos);
    }
    void ggufFiles_data()
    {
        QTest::addColumn<QByteArray>("model");
        QTest::addColumn<QByteArray>("pre");
        QTest::addColumn<int>("types");
        QTest::addColumn<QByteArray>("says");
        const auto row = [](const char* name, const char* model, const char* pre, int types, const char* says) {
            QTest::newRow(name) << QByteArray(model) << QByteArray(pre) << types << QByteArray(says);
        };
        row("good", "llama", "default", 2, "");
        row("another model", "rwkv", "default", 2, "reads gpt2, llama and bert");
        row("another pre-tokenizer", "gpt2", "martian", 2, "the pre-tokenizer 'martian'");
        row("no merges", "gpt2", "gpt-2", 2, "no list tokenizer.ggml.merges");
        row("fewer types than tokens", "llama", "default", 1, "fewer entries in tokenizer.ggml.token_type");
        row("no [SEP]", "bert", "default", 2, "no ids of [CLS], [SEP]");
    }
    void ggufFiles()
    {
        QFETCH(QByteArray, model);
        QFETCH(QByteArray, pre);
        QFETCH(int, types);
        QFETCH(QByteArray, says);
        std::string typeValues;
        for (int i = 0; i < types; ++i)
            typeValues += test::bytesOf(std::int32_t{1});
        test::GgufBuilder builder;
        builder.key("tokenizer.ggml.model", 8, test::ggufString(model.toStdString()))
            .key("tokenizer.ggml.pre", 8, test::ggufString(pre.toStdString()))
            .array("tokenizer.ggml.tokens", 8, 2, test::ggufString("a") + test::ggufString("b"))
            .array("tokenizer.ggml.token_type", 5, static_cast<std::uint64_t>(types), typeValues);
        const std::string error = opening("model.gguf", builder.build(0));
        QVERIFY2(says.isEmpty() ? error.empty() : error.find(says.toStdString()) != std::string::npos, error.c_str());
    }
    void foldersWithoutATokenizer()
    {
        const test::TemporaryFolder empty;
        const auto tokenizer = openTokenizer(empty.path(), m_context);
        QVERIFY(!tokenizer);
        QVERIFY(tokenizer.error().what.find("tokenizer.json") != std::string::npos);
        QVERIFY(!openTokenizer(empty.path() / "nothing.json", m_context));
        QVERIFY(opening("vocab.txt", "a\nb\n").find("[UNK]") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(HostileTokenizerTest)
#include "hostile_test.moc"
