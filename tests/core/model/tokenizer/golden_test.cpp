// SPDX-License-Identifier: GPL-3.0-or-later
// Ids and texts of tests/data/tokenizers: families of Hugging Face `tokenizers`, models of SentencePiece and GGUF files
// of llama.cpp, each by the program it comes from.
#include "core/base/file.h"
#include "core/model/tokenizer/tokenizer.h"
#include "tests/support/base64.h"

#include <nlohmann/json.hpp>

#include <QTest>

using namespace ql;
using Json = nlohmann::json;
using Ids = std::vector<std::int64_t>;

namespace {

const std::filesystem::path kData = QL_TEST_DATA "/tokenizers";

Json readJson(const std::filesystem::path& path)
{
    return Json::parse(readTextFile(path, 1 << 24).value());
}

std::vector<std::string> hardTexts()
{
    std::vector<std::string> texts;
    for (const Json& text : readJson(kData / "texts.json"))
        texts.push_back(test::fromBase64(text.get<std::string>()));
    return texts;
}

std::string shown(const Tokenizer& tokenizer, const Ids& ids)
{
    std::string text;
    for (const std::int64_t id : ids)
        text += std::to_string(id) + "'" + std::string(tokenizer.piece(id)) + "' ";
    return text;
}

} // namespace

class TokenizerGoldenTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

    std::shared_ptr<const Tokenizer> open(const QString& path)
    {
        auto tokenizer = openTokenizer(std::filesystem::path(path.toStdString()), m_context);
        if (!tokenizer) {
            qWarning("%s", describe(tokenizer.error()).c_str());
            return nullptr;
        }
        return *tokenizer;
    }
    Ids encode(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {})
    {
        auto encoded = tokenizer.encode(text, options, m_context);
        return encoded ? std::move(encoded).value().ids : Ids{-1};
    }
    static void addFolders()
    {
        QTest::addColumn<QString>("path");
        int count = 0;
        for (const auto& entry : std::filesystem::directory_iterator(kData))
            if (std::filesystem::exists(entry.path() / "golden.json")) {
                const auto gguf = entry.path() / "tokenizer.gguf";
                QTest::newRow(entry.path().filename().c_str())
                    << QString::fromStdString((std::filesystem::exists(gguf) ? gguf : entry.path()).string());
                ++count;
            }
        QVERIFY(count >= 40);
    }

private Q_SLOTS:
    void families_data() { addFolders(); }
    void families()
    {
        QFETCH(QString, path);
        const auto tokenizer = open(path);
        QVERIFY(tokenizer);
        const std::filesystem::path given(path.toStdString());
        const Json golden =
            readJson((std::filesystem::is_directory(given) ? given : given.parent_path()) / "golden.json");
        QCOMPARE(tokenizer->vocabularySize(), golden.at("size").get<std::int64_t>());
        const auto texts = hardTexts();
        QCOMPARE(texts.size(), golden.at("ids").size());
        for (std::size_t i = 0; i < texts.size(); ++i) {
            const auto compare = [&](const char* what, EncodeOptions options) {
                if (!golden.contains(what) || golden[what][i].is_null()) // the program does not take this text
                    return true;
                const Ids expected = golden[what][i].get<Ids>();
                const Ids ids = encode(*tokenizer, texts[i], options);
                if (ids == expected)
                    return true;
                qWarning("text %zu, %s:\n  is     %s\n  wanted %s", i, what, shown(*tokenizer, ids).c_str(),
                         shown(*tokenizer, expected).c_str());
                return false;
            };
            QVERIFY(compare("ids", {.addSpecial = false, .parseSpecial = true}));
            QVERIFY(compare("special", {.addSpecial = true, .parseSpecial = true}));
            QVERIFY(compare("unparsed", {.addSpecial = false, .parseSpecial = false}));
            if (golden["ids"][i].is_null())
                continue;
            const Ids ids = golden["ids"][i].get<Ids>();
            if (golden.contains("decoded"))
                QCOMPARE(tokenizer->decode(ids), golden["decoded"][i].get<std::string>());
            if (golden.contains("skipped"))
                QCOMPARE(tokenizer->decode(ids, true), golden["skipped"][i].get<std::string>());
        }
    }
    void invalidBytesAreSaid_data() { addFolders(); }
    void invalidBytesAreSaid()
    {
        QFETCH(QString, path);
        const auto tokenizer = open(path);
        QVERIFY(tokenizer);
        const auto valid = tokenizer->encode("caf\xc3\xa9", {}, m_context);
        QVERIFY(valid && valid->warnings.empty());
        const auto invalid = tokenizer->encode("caf\xc3\xa9 \xff cut \xf0\x9f\x98", {}, m_context);
        QVERIFY(invalid);
        const bool bytesArePieces = path.endsWith(QStringLiteral("gguf_llama/tokenizer.gguf"));
        QCOMPARE(invalid->warnings.empty(), bytesArePieces);
        if (!bytesArePieces)
            QVERIFY(invalid->warnings.front().what.find("not UTF-8 at ") != std::string::npos);
    }
    /// A long text has the same ids whatever the number of threads and their back end.
    void threadsChangeNothing_data() { addFolders(); }
    void threadsChangeNothing()
    {
        QFETCH(QString, path);
        const auto tokenizer = open(path);
        QVERIFY(tokenizer);
        std::string text;
        while (text.size() < 700'000) // long enough for a search in blocks
            for (const std::string& part : hardTexts())
                text += part + "\n";
        const Ids ids = encode(*tokenizer, text);
        QVERIFY(ids.size() > 1000);
        Executor other(3, Executor::Backend::threads);
        const auto again = tokenizer->encode(text, {}, JobContext(other));
        QVERIFY(again && again->ids == ids);
    }
    void streamsGiveTheWholeText_data() { addFolders(); }
    void streamsGiveTheWholeText()
    {
        QFETCH(QString, path);
        const auto tokenizer = open(path);
        QVERIFY(tokenizer);
        const std::string text = "A stream: naïve 你好 👩‍👩‍👧‍👦, line\nand more.";
        const Ids ids = encode(*tokenizer, text);
        TextStream stream(tokenizer);
        std::string streamed;
        for (const std::int64_t id : ids) {
            const std::string part = stream.push(id);
            QVERIFY(part.find("\xef\xbf\xbd") == std::string::npos);
            streamed += part;
        }
        streamed += stream.finish();
        QCOMPARE(streamed, tokenizer->decode(ids));
    }
};

QTEST_APPLESS_MAIN(TokenizerGoldenTest)
#include "golden_test.moc"
