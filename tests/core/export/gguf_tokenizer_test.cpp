// SPDX-License-Identifier: GPL-3.0-or-later
// Tokenizers of folders as GGUF keys: the tables against SentencePiece's own, and texts cut by llama.cpp's rule,
// written here plainly from the keys, against what SentencePiece cuts. Files by
// tests/data/gguf_tokenizers/make_tokenizers.py.
#include "core/export/gguf_sources.h"
#include "tests/support/export_support.h"

#include <nlohmann/json.hpp>

#include <QTest>

#include <cstring>

using namespace ql;
using namespace ql::test;
using Json = nlohmann::json;

namespace {

const std::filesystem::path kData = std::filesystem::path(QL_TEST_DATA) / "gguf_tokenizers";

Json readJson(const std::filesystem::path& path)
{
    return Json::parse(contentOf(path));
}

/// The keys of a folder, decoded.
struct Keys {
    std::map<std::string, ggufout::Key> all;

    bool has(const std::string& name) const { return all.contains("tokenizer.ggml." + name); }
    template<typename T>
    T number(const std::string& name) const
    {
        T value{};
        std::memcpy(&value, all.at("tokenizer.ggml." + name).value.data(), sizeof value);
        return value;
    }
    std::string text(const std::string& name) const { return all.at(name).value.substr(8); }
    template<typename T>
    std::vector<T> numbers(const std::string& name) const
    {
        const std::string& value = all.at("tokenizer.ggml." + name).value;
        std::vector<T> list((value.size() - 12) / sizeof(T));
        std::memcpy(list.data(), value.data() + 12, value.size() - 12);
        return list;
    }
    std::vector<std::string> texts(const std::string& name) const
    {
        const std::string& value = all.at("tokenizer.ggml." + name).value;
        std::vector<std::string> list;
        for (std::size_t at = 12; at < value.size();) {
            std::uint64_t size = 0;
            std::memcpy(&size, value.data() + at, 8);
            list.push_back(value.substr(at + 8, size));
            at += 8 + size;
        }
        return list;
    }
};

Result<Keys> keysOf(const std::filesystem::path& folder, std::int64_t rows, const std::string& config = "{}")
{
    QL_TRY(list, ggufout::tokenizerKeys(folder, config, rows));
    Keys keys;
    for (ggufout::Key& key : list)
        keys.all[key.name] = std::move(key);
    return keys;
}

/// llama.cpp's rule for the model "llama", the slow way.
std::vector<std::int64_t> cut(const Keys& keys, std::string text)
{
    if (text.empty())
        return {};
    const auto tokens = keys.texts("tokens");
    const auto scores = keys.numbers<float>("scores");
    std::map<std::string, std::size_t> ids;
    for (std::size_t i = 0; i < tokens.size(); ++i)
        ids[tokens[i]] = i;
    if (keys.number<std::uint8_t>("add_space_prefix") != 0)
        text = " " + text;
    std::vector<std::string> symbols;
    for (const char c : text) {
        if (c == ' ')
            symbols.emplace_back("\u2581");
        else if ((static_cast<unsigned char>(c) & 0xc0U) == 0x80)
            symbols.back() += c;
        else
            symbols.emplace_back(1, c);
    }
    while (true) {
        std::size_t best = symbols.size();
        float score = 0;
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
            const auto found = ids.find(symbols[i] + symbols[i + 1]);
            if (found != ids.end() && (best == symbols.size() || scores[found->second] > score)) {
                best = i;
                score = scores[found->second];
            }
        }
        if (best == symbols.size())
            break;
        symbols[best] += symbols[best + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    std::vector<std::int64_t> cut;
    for (const std::string& symbol : symbols) {
        if (const auto found = ids.find(symbol); found != ids.end()) {
            cut.push_back(static_cast<std::int64_t>(found->second));
            continue;
        }
        for (const char c : symbol) {
            char byte[8];
            std::snprintf(byte, sizeof byte, "<0x%02X>", static_cast<unsigned>(static_cast<unsigned char>(c)));
            cut.push_back(static_cast<std::int64_t>(ids.at(byte)));
        }
    }
    return cut;
}

/// Fields of ProtoBuf messages; appended to a message they win over what it says.
std::string varintField(int field, int value)
{
    std::string out;
    for (int tag = field << 3; tag > 0; tag >>= 7)
        out += static_cast<char>((tag & 127) | (tag > 127 ? 128 : 0));
    return out + static_cast<char>(value);
}
std::string bytesField(int field, const std::string& bytes)
{
    return std::string(1, static_cast<char>(field << 3 | 2)) + static_cast<char>(bytes.size()) + bytes;
}

} // namespace

class GgufTokenizerTest : public QObject {
    Q_OBJECT

    static constexpr std::int64_t kRows = 404; // four more than tokens
    TemporaryFolder m_folder;
    const Json m_expected = readJson(kData / "expected.json");
    const std::string m_model = contentOf(kData / "sentencepiece/tokenizer.model");
    const Json m_converted = readJson(kData / "sentencepiece/tokenizer.json");

    void write(const char* name, const std::string& content) const
    {
        std::ofstream(m_folder / name, std::ios::binary | std::ios::trunc) << content;
    }
    std::string refusal(std::int64_t rows = kRows) const
    {
        const auto keys = keysOf(m_folder.path(), rows);
        return keys ? std::string() : describe(keys.error());
    }
    void compareCuts(const Keys& keys, const char* texts = "texts") const
    {
        for (const Json& example : m_expected.at(texts)) {
            const auto wanted = example.at("ids").get<std::vector<std::int64_t>>();
            QVERIFY2(cut(keys, example.at("text")) == wanted, example.at("text").get<std::string>().c_str());
        }
    }

private Q_SLOTS:
    void init() const
    {
        for (const auto& entry : std::filesystem::directory_iterator(m_folder.path()))
            std::filesystem::remove(entry);
    }

    void modelsAreTakenAsTheyAre()
    {
        write("tokenizer.model", m_model);
        const Keys keys = keysOf(m_folder.path(), kRows).value();
        QCOMPARE(keys.text("tokenizer.ggml.model"), std::string("llama"));
        QCOMPARE(keys.text("tokenizer.ggml.pre"), std::string("default"));
        auto tokens = m_expected.at("tokens").get<std::vector<std::string>>();
        auto scores = m_expected.at("scores").get<std::vector<float>>();
        auto kinds = m_expected.at("kinds").get<std::vector<std::int32_t>>();
        for (int i = 400; i < kRows; ++i) {
            tokens.push_back("[PAD" + std::to_string(i) + "]");
            scores.push_back(-10000);
            kinds.push_back(5);
        }
        QVERIFY(keys.texts("tokens") == tokens);
        QVERIFY(keys.numbers<float>("scores") == scores);
        QVERIFY(keys.numbers<std::int32_t>("token_type") == kinds);
        QCOMPARE(keys.number<std::uint32_t>("bos_token_id"), 1U);
        QCOMPARE(keys.number<std::uint32_t>("eos_token_id"), 2U);
        QCOMPARE(keys.number<std::uint32_t>("unknown_token_id"), 0U);
        QVERIFY(!keys.has("padding_token_id") && !keys.has("merges"));
        QVERIFY(!keys.has("add_bos_token") && !keys.has("add_eos_token")); // nothing says it: llama.cpp's default
        compareCuts(keys);
    }

    void convertedModelsCutTheSame_data()
    {
        QTest::addColumn<bool>("older");
        QTest::newRow("metaspace") << false;
        QTest::newRow("normalizers, joined merges") << true;
    }
    void convertedModelsCutTheSame()
    {
        QFETCH(bool, older);
        Json json = m_converted;
        if (older) {
            const Json replace{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
            json["normalizer"] = {{"type", "Sequence"},
                                  {"normalizers", {{{"type", "Prepend"}, {"prepend", "\u2581"}}, replace}}};
            json["pre_tokenizer"] = nullptr;
            for (Json& merge : json["model"]["merges"])
                merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
        }
        write("tokenizer.json", json.dump());
        const auto read = keysOf(m_folder.path(), kRows);
        QVERIFY2(read.has_value(), read ? "" : describe(read.error()).c_str());
        QVERIFY(read->numbers<float>("scores") != std::vector<float>(kRows));
        compareCuts(*read);
        QCOMPARE(read->number<std::uint8_t>("add_bos_token"), std::uint8_t{1}); // by the post-processor
        const auto kinds = read->numbers<std::int32_t>("token_type");
        QVERIFY(kinds[0] == 3 && kinds[1] == 3 && kinds[3] == 4 && kinds[4] == 6 && kinds[259] == 6 &&
                kinds[260] == 1 && kinds[400] == 5);
    }

    void tokenizersOfOtherOriginCutTheSame() { compareCuts(keysOf(kData / "native", kRows).value(), "native"); }

    void configurationsSayTheRest()
    {
        write("tokenizer.model", m_model);
        write("added_tokens.json", R"({"<tool>": 400})");
        write("tokenizer_config.json",
              R"({"add_bos_token": true, "add_eos_token": false, "add_prefix_space": false, "pad_token": "<pad>",
                  "eos_token": {"content": "<|end|>"}, "chat_template": "x{{y}}", "added_tokens_decoder": {
                  "0": {"content": "<unk>", "special": true}, "401": {"content": "<|end|>", "special": false},
                  "402": {"content": "<pad>", "special": false}, "403": {"content": "a\u2581b", "special": false}}})");
        const Keys keys = keysOf(m_folder.path(), kRows, R"({"bos_token_id": 7, "eos_token_id": [9]})").value();
        const auto tokens = keys.texts("tokens");
        const auto kinds = keys.numbers<std::int32_t>("token_type");
        const auto scores = keys.numbers<float>("scores");
        const std::tuple<std::size_t, const char*, int> rows[] = {
            {0, "<unk>", 3}, {400, "<tool>", 4}, {401, "<|end|>", 3}, {402, "<pad>", 3}, {403, "a b", 4}};
        for (const auto& [id, text, kind] : rows) {
            QCOMPARE(tokens[id], std::string(text));
            QCOMPARE(kinds[id], kind);
            QCOMPARE(scores[id], -1000.0F);
        }
        QCOMPARE(keys.number<std::uint8_t>("add_bos_token"), std::uint8_t{1});
        QCOMPARE(keys.number<std::uint8_t>("add_eos_token"), std::uint8_t{0});
        QCOMPARE(keys.number<std::uint8_t>("add_space_prefix"), std::uint8_t{0});
        QCOMPARE(keys.number<std::uint32_t>("bos_token_id"), 7U);
        QCOMPARE(keys.number<std::uint32_t>("eos_token_id"), 401U);
        QCOMPARE(keys.number<std::uint32_t>("padding_token_id"), 402U);
        QCOMPARE(keys.text("tokenizer.chat_template"), std::string("x{{y}}"));
    }

    void modelsThatCutOtherwiseAreRefused_data()
    {
        QTest::addColumn<QByteArray>("appended");
        QTest::addColumn<QByteArray>("says");
        const auto row = [](const char* name, const std::string& appended, const char* says) {
            QTest::newRow(name) << QByteArray::fromStdString(appended) << QByteArray(says);
        };
        row("unigram", bytesField(2, varintField(3, 1)), "unigram");
        row("word", bytesField(2, varintField(3, 3)), "word");
        row("char", bytesField(2, varintField(3, 4)), "char");
        row("suffix", bytesField(2, varintField(24, 1)), "marks blanks");
        row("characters", bytesField(3, bytesField(2, "x")), "normalises");
        row("blanks", bytesField(3, varintField(4, 1)), "drops blanks");
        row("unmarked", bytesField(3, varintField(5, 0)), "marks blanks");
        row("piece without text", bytesField(1, varintField(3, 1)), "piece");
        row("kind", bytesField(1, bytesField(1, "x") + varintField(3, 9)), "kind");
        row("rest", "\x0a\x7f", "no SentencePiece model");
        row(
            "more than rows",
            [] {
                std::string pieces;
                for (int i = 0; i < 5; ++i)
                    pieces += bytesField(1, bytesField(1, "more" + std::to_string(i)));
                return pieces;
            }(),
            "404 rows");
    }
    void modelsThatCutOtherwiseAreRefused()
    {
        QFETCH(QByteArray, appended);
        QFETCH(QByteArray, says);
        write("tokenizer.model", m_model + appended.toStdString());
        const std::string text = refusal();
        QVERIFY2(text.find("tokenizer.model") != std::string::npos &&
                     text.find(says.toStdString()) != std::string::npos,
                 text.c_str());
    }

    void modelsWithoutABlankInFront()
    {
        write("tokenizer.model", m_model + bytesField(3, varintField(3, 0)));
        QCOMPARE(keysOf(m_folder.path(), kRows).value().number<std::uint8_t>("add_space_prefix"), std::uint8_t{0});
    }

    void modelsWithoutBytesAreRefused()
    {
        std::string model = m_model;
        model[model.find("<0x41>") + 4] = '2';
        write("tokenizer.model", model);
        QVERIFY2(refusal().find("<0x41>") != std::string::npos, refusal().c_str());
    }

    void truncatedModelsAreErrors()
    {
        for (std::size_t size = 0; size < m_model.size(); size += 7) {
            write("tokenizer.model", m_model.substr(0, size));
            QVERIFY(!keysOf(m_folder.path(), kRows));
        }
    }

    void tokenizersThatCutOtherwiseAreRefused_data()
    {
        QTest::addColumn<QByteArray>("patch");
        QTest::addColumn<QByteArray>("says");
        const auto row = [](const char* name, const char* patch, const char* says) {
            QTest::newRow(name) << QByteArray(patch) << QByteArray(says);
        };
        row("normalizer", R"({"normalizer": {"type": "NFKC"}})", "NFKC");
        row("no blanks", R"({"pre_tokenizer": null})", "mark blanks");
        row("digits", R"({"pre_tokenizer": {"type": "Digits"}})", "Digits");
        row("split", R"({"pre_tokenizer": {"split": true}})", "Metaspace");
        row("whole", R"({"model": {"ignore_merges": true}})", "ignores merges");
        row("suffix", R"({"model": {"end_of_word_suffix": "</w>"}})", "end_of_word_suffix");
        row("unigram", R"({"model": {"type": "Unigram"}})", "no BPE");
        row("no merges", R"({"model": {"merges": 3}})", "merges");
        row("bad merge", R"({"model": {"merges": ["a b c"]}})", "not two texts");
        row("missing way", R"({"model": {"merges": [["a", "n"]]}})", "although they make a token");
        row("byte", R"({"model": {"vocab": {"<0x41>": null}}})", "<0x41>");
    }
    void tokenizersThatCutOtherwiseAreRefused()
    {
        QFETCH(QByteArray, patch);
        QFETCH(QByteArray, says);
        Json json = m_converted;
        json.merge_patch(Json::parse(patch.toStdString()));
        write("tokenizer.json", json.dump());
        QVERIFY2(refusal().find(says.toStdString()) != std::string::npos, refusal().c_str());
    }

    void ranksThatAreNoOrderOfTokensAreRefused()
    {
        Json json = m_converted;
        Json& merges = json["model"]["merges"];
        for (std::size_t i = 1; i < merges.size(); ++i) {
            const auto joined = [&](std::size_t k) {
                return merges[k][0].get<std::string>() + merges[k][1].get<std::string>();
            };
            if (joined(i) != joined(i - 1))
                continue;
            const Json last = merges[i];
            merges.erase(merges.begin() + static_cast<std::ptrdiff_t>(i));
            merges.push_back(last);
            break;
        }
        write("tokenizer.json", json.dump());
        QVERIFY2(refusal().find("different rank") != std::string::npos, refusal().c_str());
    }
};

QTEST_APPLESS_MAIN(GgufTokenizerTest)
#include "gguf_tokenizer_test.moc"
