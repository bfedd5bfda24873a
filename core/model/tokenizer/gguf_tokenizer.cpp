// SPDX-License-Identifier: GPL-3.0-or-later
// Tokenizers in GGUF metadata (tokenizer.ggml.*), as llama.cpp reads them: gpt2 (byte-level BPE), llama (BPE by scores)
// and bert (WordPiece).
#include "core/base/file.h"
#include "core/checkpoint/gguf_file.h"
#include "core/model/tokenizer/bpe.h"
#include "core/model/tokenizer/gguf_pre_tokenizers.h"
#include "core/model/tokenizer/pipeline.h"
#include "core/model/tokenizer/score_bpe.h"
#include "core/model/tokenizer/unicode_text.h"
#include "core/model/tokenizer/word_piece.h"

#include <array>
#include <unordered_set>

namespace ql::tok {

namespace {

enum TokenType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

/// Texts that end a message: llama.cpp takes them for control tokens whatever the file says.
constexpr std::array<std::string_view, 23> kEndTexts = {"<|eot_id|>",
                                                        "<|im_end|>",
                                                        "<|end|>",
                                                        "<|return|>",
                                                        "<|call|>",
                                                        "<|flush|>",
                                                        "<|calls|>",
                                                        "<end_of_turn>",
                                                        "</s>",
                                                        "<|endoftext|>",
                                                        "<|eom_id|>",
                                                        "<EOT>",
                                                        "_<EOT>",
                                                        "[EOT]",
                                                        "[EOS]",
                                                        "<|end_of_text|>",
                                                        "<end_of_utterance>",
                                                        "<eos>",
                                                        "<turn|>",
                                                        "<|tool_response>",
                                                        "<\uff5cend\u2581of\u2581sentence\uff5c>",
                                                        "[e~[",
                                                        "<|fim_pad|>"};

class Reading {
public:
    Reading(GgufFile file, std::filesystem::path path)
        : m_file(std::move(file)), m_where(path.string()), m_pipeline(std::make_unique<Pipeline>())
    {
        m_pipeline->path = std::move(path);
    }

    Result<std::unique_ptr<const Pipeline>> run()
    {
        QL_TRY(model, text("model"));
        QL_CHECK(readTokens());
        m_pipeline->title = model + " (GGUF)";
        static constexpr std::pair<std::string_view, Result<void> (Reading::*)()> kModels[] = {
            {"gpt2", &Reading::readByteLevel}, {"llama", &Reading::readScores}, {"bert", &Reading::readWordPiece}};
        const auto* const known =
            std::ranges::find(kModels, model, &std::pair<std::string_view, Result<void> (Reading::*)()>::first);
        if (known == std::end(kModels))
            return refused("has the tokenizer '" + printable(model) +
                               "'; of GGUF files QuantLoupe reads gpt2, llama and bert",
                           m_where);
        QL_CHECK((this->*known->second)());
        return std::unique_ptr<const Pipeline>(std::move(m_pipeline));
    }

private:
    static std::string key(const char* name) { return "tokenizer.ggml." + std::string(name); }
    Result<std::string> text(const char* name) const
    {
        const auto value = m_file.text(key(name));
        if (!value)
            return badInput("has no text " + key(name) + ", so it holds no tokenizer", m_where);
        return std::string(*value);
    }
    bool flag(const char* name, bool fallback) const { return m_file.boolean(key(name)).value_or(fallback); }
    std::optional<std::int64_t> idAt(const char* name, std::optional<std::int64_t> fallback) const
    {
        for (const auto& id : {m_file.integer(key(name)), fallback})
            if (id && *id >= 0 && *id < m_pipeline->vocabulary.size())
                return id;
        return std::nullopt;
    }

    Result<void> readTokens()
    {
        const auto pieces = m_file.texts(key("tokens"));
        if (!pieces || pieces->empty())
            return badInput("has no list " + key("tokens") + ", so it holds no tokenizer", m_where);
        const auto types = m_file.numbers(key("token_type"));
        if (types && types->size() < pieces->size())
            return badInput("has fewer entries in " + key("token_type") + " than tokens", m_where);
        std::vector<AddedToken> added;
        for (std::size_t i = 0; i < pieces->size(); ++i) {
            const std::string piece =
                (*pieces)[i].empty() ? "[EMPTY_" + std::to_string(i) + "]" : std::string((*pieces)[i]);
            if (m_pipeline->vocabulary.idOf(piece) >= 0)
                return badInput("has the token '" + printable(piece) + "' twice", m_where);
            QL_CHECK(m_pipeline->vocabulary.add(piece, static_cast<std::int64_t>(i), m_where));
            int type = types ? static_cast<int>((*types)[i]) : kNormal;
            if (std::ranges::find(kEndTexts, piece) != kEndTexts.end())
                type = kControl;
            if (type != kControl && type != kUnknown && type != kUserDefined)
                continue;
            AddedToken token;
            token.id = static_cast<std::int32_t>(i);
            token.content = piece;
            token.special = type != kUserDefined;
            added.push_back(std::move(token));
        }
        stripBlanks(added);
        return addTokens(*m_pipeline, std::move(added), Overlap::longestFirst);
    }

    /// Files do not say which tokens take the blanks beside them; llama.cpp goes by the model's name.
    void stripBlanks(std::vector<AddedToken>& added) const
    {
        const std::string name = toLower(m_file.text("general.name").value_or(""));
        const std::string_view pre = m_file.text(key("pre")).value_or("");
        const bool phi3 = name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
        const bool jina = pre.starts_with("jina-v2-");
        for (AddedToken& token : added) {
            token.rightStrip =
                phi3 && token.content != "<unk>" && token.content != "<s>" && token.content != "<|endoftext|>";
            token.leftStrip = jina && token.content == "<mask>";
        }
    }

    /// Ids around a text and named ids; defaults are the family's.
    void readSpecial(std::optional<std::int64_t> bos, std::optional<std::int64_t> eos,
                     std::optional<std::int64_t> unknown, bool addsBos, bool addsEos)
    {
        m_pipeline->bos = idAt("bos_token_id", bos);
        m_pipeline->eos = idAt("eos_token_id", eos);
        m_pipeline->unknown = idAt("unknown_token_id", unknown);
        m_pipeline->pad = idAt("padding_token_id", std::nullopt);
        if (m_pipeline->bos && flag("add_bos_token", addsBos))
            m_pipeline->prefix = {*m_pipeline->bos};
        if (m_pipeline->eos && flag("add_eos_token", addsEos))
            m_pipeline->suffix = {*m_pipeline->eos};
    }

    Result<void> decodeBy(Json steps)
    {
        QL_TRY(decoder, makeDecoder({{"type", "Sequence"}, {"decoders", std::move(steps)}}, m_where));
        m_pipeline->decoder = std::move(decoder);
        return {};
    }

    static Json blankSteps()
    {
        return {{{"type", "ByteFallback"}},
                {{"type", "Replace"}, {"pattern", {{"String", kMetaspace}}}, {"content", " "}},
                {{"type", "Fuse"}}};
    }

    Result<void> readByteLevel()
    {
        std::string name(m_file.text(key("pre")).value_or(""));
        if (name.empty()) {
            name = "default";
            m_pipeline->warnings.push_back(
                {m_where, "does not name its pre-tokenizer (tokenizer.ggml.pre), so the default is used, which may cut "
                          "words elsewhere; convert the model anew"});
        }
        const GgufPreTokenizer* pre = findGgufPreTokenizer(name);
        if (!pre)
            return refused("has the pre-tokenizer '" + printable(name) + "', which QuantLoupe does not have", m_where);
        Json steps = Json::array();
        for (const char* pattern : pre->patterns)
            steps.push_back(
                {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
        steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
        QL_TRY(preTokenizers, makePreTokenizers({{"type", "Sequence"}, {"pretokenizers", std::move(steps)}}, m_where));
        m_pipeline->preTokenizers = std::move(preTokenizers);
        m_pipeline->invalidBytes = InvalidBytes::likeLlama;
        const bool hasBos = !name.starts_with("chatglm") && !name.starts_with("glm");
        readSpecial(hasBos ? std::optional<std::int64_t>(11) : std::nullopt, 11, std::nullopt, pre->addsBos, false);

        const auto lines = m_file.texts(key("merges"));
        if (!lines)
            return badInput("has no list " + key("merges"), m_where);
        Merges merges;
        std::unordered_set<std::string_view> seen;
        for (const std::string_view line : *lines) {
            const std::size_t blank = line.find(' ', 1);
            if (blank != std::string_view::npos && seen.insert(line).second)
                merges.emplace_back(line.substr(0, blank), line.substr(blank + 1));
        }
        BpeSettings settings;
        settings.wholeWordsFirst = pre->wholeWordsFirst;
        settings.piecesMayBeMissing = true;
        QL_TRY(bpe, makeBpe(m_pipeline->vocabulary, merges, std::move(settings), m_where));
        m_pipeline->model = std::move(bpe);
        return decodeBy(Json::array({{{"type", "ByteLevel"}}}));
    }

    Result<void> readScores()
    {
        ScoreBpeSettings settings;
        const auto scores = m_file.numbers(key("scores"));
        const auto count = static_cast<std::size_t>(m_pipeline->vocabulary.size());
        if (scores && scores->size() < count)
            return badInput("has fewer entries in " + key("scores") + " than tokens", m_where);
        settings.scores.assign(count, 0);
        for (std::size_t i = 0; scores && i < count; ++i)
            settings.scores[i] = static_cast<float>((*scores)[i]);
        readSpecial(1, 2, 0, true, false);
        settings.unknown = static_cast<std::int32_t>(m_pipeline->unknown.value_or(-1));
        m_pipeline->model = makeScoreBpe(m_pipeline->vocabulary, std::move(settings));
        m_pipeline->invalidBytes = InvalidBytes::leftToTheModel;

        const bool prefix = flag("add_space_prefix", true);
        Json normalizers = Json::array();
        if (prefix)
            normalizers.push_back({{"type", "Prepend"}, {"prepend", " "}});
        normalizers.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kMetaspace}});
        QL_TRY(made, makeNormalizers({{"type", "Sequence"}, {"normalizers", std::move(normalizers)}}, m_where));
        m_pipeline->normalizers = std::move(made);
        Json steps = blankSteps();
        if (prefix)
            steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
        return decodeBy(std::move(steps));
    }

    Result<void> readWordPiece()
    {
        readSpecial(101, std::nullopt, 100, true, false);
        const auto separator = idAt("seperator_token_id", 102); // spelled so in the format
        if (!m_pipeline->unknown || !m_pipeline->bos || !separator)
            return badInput("has no ids of [CLS], [SEP] and [UNK]", m_where);
        m_pipeline->prefix = {*m_pipeline->bos};
        m_pipeline->suffix = {*separator};
        if (!m_pipeline->eos)
            m_pipeline->eos = separator;
        const bool lowercase = flag("normalizer.lowercase", true);
        const bool accents = flag("normalizer.strip_accents", lowercase);
        m_pipeline->preTokenizers.push_back([lowercase, accents](Words& words, const JobContext& context) {
            return rewriteWords(words, context, [=](std::string_view text, bool&) {
                return normalizedLikeWpm(text, lowercase, accents);
            });
        });
        QL_TRY(cut, makePreTokenizers({{"type", "CharDelimiterSplit"}, {"delimiter", " "}}, m_where));
        m_pipeline->preTokenizers.push_back(std::move(cut.front()));
        m_pipeline->invalidBytes = InvalidBytes::likeLlama;
        WordPieceSettings settings;
        settings.firstPrefix = kMetaspace;
        settings.unknown = static_cast<std::int32_t>(*m_pipeline->unknown);
        m_pipeline->model = makeWordPiece(m_pipeline->vocabulary, std::move(settings));
        Json steps = blankSteps();
        steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
        return decodeBy(std::move(steps));
    }

    /// The words of llama.cpp's WPM, apart by blanks. Each character is replaced by the first of its decomposition.
    static std::string normalizedLikeWpm(std::string_view text, bool lowercase, bool accents)
    {
        std::string out;
        for (std::size_t at = 0; at < text.size();) {
            CodePoint c = nextCodePoint(text, at);
            if (accents)
                c = decompositionStart(c);
            if (isWhitespace(c)) {
                out += ' ';
                continue;
            }
            if (c == 0 || c == 0xfffd || isControl(c) || (accents && isMark(c)))
                continue;
            const bool apart = isPunctuation(c) || isBertIdeograph(c);
            if (apart)
                out += ' ';
            append(out, lowercase ? simpleLower(c) : c);
            if (apart)
                out += ' ';
        }
        return out;
    }

    GgufFile m_file;
    std::string m_where;
    std::unique_ptr<Pipeline> m_pipeline;
};

} // namespace

Result<std::unique_ptr<const Pipeline>> readGgufTokenizer(const std::filesystem::path& path, const JobContext& context)
{
    QL_TRY(mapped, MappedFile::open(path));
    QL_TRY(file, parseGguf(mapped, context));
    return Reading(std::move(file), path).run();
}

} // namespace ql::tok
