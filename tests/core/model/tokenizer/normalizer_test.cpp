// SPDX-License-Identifier: GPL-3.0-or-later
// A long text is rewritten piece by piece: as its parts are, wherever the pieces begin.
#include "core/model/tokenizer/normalizer.h"

#include <nlohmann/json.hpp>

#include <QTest>

#include <fstream>

using namespace ql;
using Json = nlohmann::json;

class NormalizerTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

    std::string normalized(const tok::Normalizer& normalizer, const std::string& text) const
    {
        tok::Words words;
        words.text = text;
        words.words.push_back({0, text.size(), -1, true});
        return normalizer(words, m_context) ? words.text : "failed";
    }

private Q_SLOTS:
    void longTexts_data()
    {
        QTest::addColumn<QByteArray>("component");
        for (const char* type : {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"})
            QTest::newRow(type) << QByteArray::fromStdString(Json{{"type", type}}.dump());
        QTest::newRow("Replace") << QByteArray(R"({"type":"Replace","pattern":{"String":" "},"content":"\u2581"})");
        QTest::newRow("Replace, two characters")
            << QByteArray(R"({"type":"Replace","pattern":{"String":"x "},"content":"y"})");
        QTest::newRow("Bert") << QByteArray(
            R"({"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"lowercase":true})");
        std::ifstream t5(QL_TEST_DATA "/tokenizers/t5/tokenizer.json");
        QTest::newRow("Precompiled") << QByteArray::fromStdString(Json::parse(t5)["normalizer"].dump());
    }
    void longTexts()
    {
        QFETCH(QByteArray, component);
        const auto made = tok::makeNormalizers(Json::parse(component.toStdString()), "test");
        QVERIFY2(made, made ? "" : describe(made.error()).c_str());
        QCOMPARE(made->size(), std::size_t{1});
        // Marks, ligatures, ideographs, emoji with joiners, CR LF, bytes that are no UTF-8; ASCII at both ends.
        const std::string part = "ae\u0301 E\u0301\r\n東京\u3000Straße ﬁ 👩\u200d🔬\u0600x Ǆ\xff\xe4\xb8 한 Z.";
        const std::string wanted = normalized(made->front(), part);
        std::string text;
        std::string all;
        while (text.size() < 5 * tok::kGrainBytes) {
            text += part;
            all += wanted;
        }
        QVERIFY(wanted != "failed");
        QVERIFY(normalized(made->front(), text) == all);
    }
};

QTEST_APPLESS_MAIN(NormalizerTest)
#include "normalizer_test.moc"
