// SPDX-License-Identifier: GPL-3.0-or-later
// What a tokenizer promises beside its golden ids: the sample's tokens, cuts and blocks that change nothing, stops.
#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/checkpoint/reader.h"
#include "core/model/tokenizer/regex.h"
#include "core/model/tokenizer/tokenizer.h"
#include "tests/support/file_builders.h"
#include "tests/support/temporary_folder.h"

#include <nlohmann/json.hpp>

#include <QTest>

#include <map>

using namespace ql;
using Json = nlohmann::json;
using Ids = std::vector<std::int64_t>;

namespace {

const std::filesystem::path kSample = QL_SOURCE_DIR "/resources/sample";

/// Byte pair encoding as its definition says: again and again the first merge of the list, at its leftmost place.
Ids slowBpe(const Json& model, std::vector<std::string> parts)
{
    std::map<std::pair<std::string, std::string>, std::size_t> ranks;
    for (std::size_t i = 0; i < model["merges"].size(); ++i)
        ranks[{model["merges"][i][0], model["merges"][i][1]}] = i;
    while (true) {
        std::size_t best = ranks.size();
        std::size_t place = 0;
        for (std::size_t i = 0; i + 1 < parts.size(); ++i)
            if (const auto found = ranks.find({parts[i], parts[i + 1]}); found != ranks.end() && found->second < best) {
                best = found->second;
                place = i;
            }
        if (best == ranks.size())
            break;
        parts[place] += parts[place + 1];
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    }
    Ids ids;
    for (const std::string& part : parts)
        ids.push_back(model["vocab"][part].get<std::int64_t>());
    return ids;
}

} // namespace

class TokenizerTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

    std::shared_ptr<const Tokenizer> open(const std::filesystem::path& path)
    {
        const auto tokenizer = openTokenizer(path, m_context);
        return tokenizer ? *tokenizer : nullptr;
    }

private Q_SLOTS:
    void sampleHasItsTokens()
    {
        const auto checkpoint = openCheckpoint(kSample, m_context);
        QVERIFY(checkpoint);
        const auto tokenizer = openTokenizer(**checkpoint, m_context);
        QVERIFY(tokenizer);
        QVERIFY((*tokenizer)->warnings().empty());
        const auto golden = Json::parse(readTextFile(kSample / "golden/perplexity.json", 1 << 20).value());
        const auto text = readTextFile(kSample / "test.txt", 1 << 20);
        const auto encoded = (*tokenizer)->encode(*text, {}, m_context);
        QVERIFY(encoded && encoded->warnings.empty());
        QCOMPARE(std::ssize(encoded->ids), golden.at("test_tokens").get<std::int64_t>());
        QCOMPARE((*tokenizer)->decode(encoded->ids), *text);
        QCOMPARE((*tokenizer)->bosId(), std::optional<std::int64_t>(0));
        QVERIFY(!(*tokenizer)->addsBos() && !(*tokenizer)->addsEos() && !(*tokenizer)->padId());
        QCOMPARE((*tokenizer)->idOf((*tokenizer)->piece(1000)), std::optional<std::int64_t>(1000));
        QVERIFY((*tokenizer)->piece(-1).empty() && (*tokenizer)->piece(1 << 20).empty());
    }
    /// A long word is cut where no merge reaches across: the ids are those of merging it as a whole.
    void cutsOfLongWordsChangeNothing()
    {
        const std::filesystem::path folder = QL_TEST_DATA "/tokenizers/llama2";
        const auto tokenizer = open(folder);
        QVERIFY(tokenizer);
        const Json model = Json::parse(readTextFile(folder / "tokenizer.json", 1 << 24).value())["model"];
        std::vector<std::string> pieces;
        for (const auto& [piece, id] : model["vocab"].items())
            if (piece.find('<') == std::string::npos)
                pieces.push_back(piece);
        const CounterRng rng(7);
        for (std::uint64_t round = 0; round < 20; ++round) {
            std::vector<std::string> characters{"▁"};
            std::string text;
            for (std::uint64_t i = 0; i < 300; ++i) {
                const std::string& piece = pieces[rng.bits(round * 1000 + i) % pieces.size()];
                for (std::size_t at = 0; at < piece.size();) {
                    std::size_t end = at + 1;
                    while (end < piece.size() && (static_cast<unsigned char>(piece[end]) & 0xc0) == 0x80)
                        ++end;
                    characters.push_back(piece.substr(at, end - at));
                    text += characters.back();
                    at = end;
                }
            }
            const auto encoded = tokenizer->encode(text, {}, m_context);
            QVERIFY(encoded);
            QCOMPARE(encoded->ids, slowBpe(model, characters));
        }
    }
    /// Runs of seven letters in a run of a million: no block's search ever stands where the one from the left does.
    void blocksOfASearchAreStitched_data()
    {
        QTest::addColumn<int>("length");
        QTest::newRow("never in step") << 1'000'003;
        QTest::newRow("one letter short of two blocks") << 2 * 262144 - 1;
        QTest::newRow("blocks") << 4 * 262144;
    }
    void blocksOfASearchAreStitched()
    {
        QFETCH(int, length);
        const auto regex = tok::Regex::compile("[a-z]{1,7}", "test");
        QVERIFY(regex);
        tok::Words words;
        words.text = "é😀" + std::string(static_cast<std::size_t>(length), 'x') + " é";
        words.words.push_back({0, words.text.size(), -1, true});
        const auto matches = regex->findAll(words, m_context);
        QVERIFY(matches);
        const auto& found = matches->front();
        QCOMPARE(std::ssize(found), (length + 6) / 7);
        for (std::size_t i = 0; i < found.size(); ++i) {
            QCOMPARE(found[i].begin, 6 + i * 7);
            QCOMPARE(found[i].end, std::min(6 + i * 7 + 7, 6 + static_cast<std::size_t>(length)));
        }
    }
    void emptyMatchesAndLookaheadCrossBlocks()
    {
        const auto regex = tok::Regex::compile("(?=y)|z+", "test");
        QVERIFY(regex);
        tok::Words words;
        words.text = std::string(300'000, 'x') + "yzzy" + std::string(300'000, 'z') + "y";
        words.words.push_back({0, words.text.size(), -1, true});
        const auto matches = regex->findAll(words, m_context);
        QVERIFY(matches);
        const auto& found = matches->front();
        QCOMPARE(found.size(), std::size_t{3}); // before y; zz; the run of z. An empty match behind another is none
        QCOMPARE(found[0].begin, std::size_t{300'000});
        QCOMPARE(found[1].end, std::size_t{300'003});
        QCOMPARE(found[2].end - found[2].begin, std::size_t{300'000});
    }
    void stopsWhenAsked()
    {
        const auto tokenizer = open(kSample);
        QVERIFY(tokenizer);
        std::stop_source stop;
        stop.request_stop();
        const auto encoded =
            tokenizer->encode(std::string(1'000'000, 'a'), {}, JobContext(m_executor, stop.get_token()));
        QVERIFY(!encoded && encoded.error().code == Errc::cancelled);
    }
    /// Without blanks to cut at: as long as ten thousand times a hundred letters, and no slower than n log n.
    void longRunsEnd()
    {
        const auto tokenizer = open(kSample);
        QVERIFY(tokenizer);
        const auto encoded = tokenizer->encode(std::string(1'000'000, 'a'), {}, m_context);
        QVERIFY(encoded);
        QCOMPARE(tokenizer->decode(encoded->ids).size(), std::size_t{1'000'000});
    }
    /// vocab.txt and tokenizer.json of one model are one tokenizer.
    void vocabTextIsTheSameAsItsJson()
    {
        const std::filesystem::path folder = QL_TEST_DATA "/tokenizers/bert";
        const auto json = open(folder);
        QVERIFY(json);
        std::string lines;
        for (std::int64_t id = 0; id < json->vocabularySize(); ++id)
            lines += std::string(json->piece(id)) + "\n";
        const test::TemporaryFolder temporary;
        const auto text = open(temporary.write("vocab.txt", lines));
        QVERIFY(text);
        QCOMPARE(text->vocabularySize(), json->vocabularySize());
        const std::string hard = "Ångström [SEP] wörld 你好 unaffable don't!";
        const EncodeOptions options{.addSpecial = true, .parseSpecial = true};
        QCOMPARE(text->encode(hard, options, m_context)->ids, json->encode(hard, options, m_context)->ids);
        QVERIFY(text->addsBos() && text->addsEos() && text->padId() == 0);
    }
    void configNamesSpecialTokens()
    {
        const test::TemporaryFolder temporary;
        temporary.write("tokenizer.json",
                        readTextFile(QL_TEST_DATA "/tokenizers/gpt2/tokenizer.json", 1 << 24).value());
        temporary.write("tokenizer_config.json",
                        R"({"eos_token": {"content": "<|endoftext|>"}, "bos_token": "!", "add_bos_token": true})");
        const auto tokenizer = open(temporary.path());
        QVERIFY(tokenizer);
        QCOMPARE(tokenizer->eosId(), std::optional<std::int64_t>(0));
        QCOMPARE(tokenizer->bosId(), tokenizer->idOf("!"));
        QCOMPARE(tokenizer->warnings().size(), std::size_t{1}); // it does not add BOS, though the configuration says so
        QVERIFY(tokenizer->warnings().front().what.find("add_bos_token = true") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(TokenizerTest)
#include "tokenizer_test.moc"
