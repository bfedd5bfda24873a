// SPDX-License-Identifier: GPL-3.0-or-later
// tokenizer.model of SentencePiece: unigram and BPE models. Source: normalizer.cc, unigram_model.cc, bpe_model.cc
// (0.2).
#include "core/base/file.h"
#include "core/model/tokenizer/chars_map.h"
#include "core/model/tokenizer/pipeline.h"
#include "core/model/tokenizer/score_bpe.h"
#include "core/model/tokenizer/sentence_piece_file.h"
#include "core/model/tokenizer/unicode_text.h"
#include "core/model/tokenizer/unigram.h"

#include <limits>

namespace ql::tok {

namespace {

/// SentencePiece's normalizer: replaces by the map, leaves out blanks and adds one in front, as the file says.
class SentenceNormalizer {
public:
    SentenceNormalizer(const SentencePieceFile& model, CharsMap map, Trie user)
        : m_map(std::move(map)),
          m_user(std::move(user)),
          m_blank(model.escapeBlanks ? kMetaspace : std::string_view(" ")),
          m_removesBlanks(model.removeExtraBlanks),
          m_addsPrefix(model.addDummyPrefix && !model.blankIsSuffix),
          m_addsSuffix(model.addDummyPrefix && model.blankIsSuffix)
    {}

    std::string operator()(std::string_view rest) const
    {
        std::string out;
        while (m_removesBlanks && !rest.empty()) {
            const auto [by, length] = next(rest);
            if (by != " ")
                break;
            rest.remove_prefix(length);
        }
        if (rest.empty())
            return out;
        if (m_addsPrefix)
            out += m_blank;
        bool afterBlank = m_removesBlanks;
        while (!rest.empty()) {
            auto [by, length] = next(rest);
            while (afterBlank && by.starts_with(' '))
                by.remove_prefix(1);
            for (const char c : by)
                c == ' ' ? out += m_blank : out += c;
            if (!by.empty())
                afterBlank = by.ends_with(' ');
            if (!m_removesBlanks)
                afterBlank = false;
            rest.remove_prefix(length);
        }
        while (m_removesBlanks && out.ends_with(m_blank))
            out.resize(out.size() - m_blank.size());
        if (m_addsSuffix)
            out += m_blank;
        return out;
    }

private:
    CharsMap::Replaced next(std::string_view text) const
    {
        CharsMap::Replaced found;
        m_user.prefixes(text, [&](std::size_t length, std::int32_t) { found = {text.substr(0, length), length}; });
        if (found.length > 0)
            return found;
        if (const auto replaced = m_map.longest(text))
            return *replaced;
        std::size_t length = 0;
        nextCodePoint(text, length); // valid: repaired before
        return {text.substr(0, length), length};
    }

    CharsMap m_map;
    Trie m_user;
    std::string_view m_blank;
    bool m_removesBlanks;
    bool m_addsPrefix;
    bool m_addsSuffix;
};

Trie userPieces(const Pipeline& pipeline, const SentencePieceFile& model)
{
    std::vector<std::pair<std::string_view, std::int32_t>> entries;
    for (std::size_t id = 0; id < model.pieces.size(); ++id)
        if (model.pieces[id].kind == PieceKind::userDefined)
            entries.emplace_back(pipeline.vocabulary.piece(static_cast<std::int64_t>(id)),
                                 static_cast<std::int32_t>(id));
    return Trie(std::move(entries));
}

std::unique_ptr<const TokenModel> unigramOf(const Pipeline& pipeline, const SentencePieceFile& model)
{
    UnigramSettings settings;
    settings.unknown = static_cast<std::int32_t>(pipeline.unknown.value_or(-1));
    settings.byteFallback = model.byteFallback;
    settings.singlePrecision = true;
    settings.lowestScore = static_cast<double>(std::numeric_limits<float>::max());
    settings.highestScore = static_cast<double>(std::numeric_limits<float>::min());
    std::vector<UnigramPiece> pieces;
    for (std::size_t id = 0; id < model.pieces.size(); ++id) {
        const SentencePiece& piece = model.pieces[id];
        const auto score = static_cast<double>(piece.score);
        if (piece.kind == PieceKind::normal) {
            settings.lowestScore = std::min(settings.lowestScore, score);
            settings.highestScore = std::max(settings.highestScore, score);
        }
        if (piece.kind == PieceKind::normal || piece.kind == PieceKind::userDefined)
            pieces.push_back({pipeline.vocabulary.piece(static_cast<std::int64_t>(id)), static_cast<std::int32_t>(id),
                              score, piece.kind == PieceKind::userDefined});
    }
    return makeUnigram(pipeline.vocabulary, std::move(pieces), settings, pipeline.path.string());
}

Result<std::unique_ptr<const TokenModel>> bpeOf(const Pipeline& pipeline, const SentencePieceFile& model)
{
    ScoreBpeSettings settings;
    for (const SentencePiece& piece : model.pieces) {
        if (piece.kind == PieceKind::unused)
            return refused("has unused pieces in a BPE model, which QuantLoupe does not take apart; convert it to "
                           "tokenizer.json",
                           pipeline.path.string());
        settings.scores.push_back(piece.score);
        settings.merges.push_back(piece.kind == PieceKind::normal || piece.kind == PieceKind::userDefined);
    }
    settings.unknown = static_cast<std::int32_t>(pipeline.unknown.value_or(-1));
    settings.fuseUnknown = true;
    settings.byteFallback = model.byteFallback;
    settings.user = userPieces(pipeline, model);
    return makeScoreBpe(pipeline.vocabulary, std::move(settings));
}

/// Whether BOS and EOS are put around a text; the model itself does not say.
void readAround(Pipeline& pipeline)
{
    const std::string where = (pipeline.path.parent_path() / "tokenizer_config.json").string();
    const auto text = readTextFile(where, std::int64_t{16} << 20U);
    const Json config = text ? Json::parse(*text, nullptr, false) : Json();
    const Fields fields(config, where);
    if (pipeline.bos && fields["add_bos_token"] == true)
        pipeline.prefix = {*pipeline.bos};
    if (pipeline.eos && fields["add_eos_token"] == true)
        pipeline.suffix = {*pipeline.eos};
    if (!fields["add_bos_token"].is_boolean())
        pipeline.warnings.push_back({where, "does not say whether BOS is put in front (add_bos_token); nothing is"});
}

} // namespace

Result<std::unique_ptr<const Pipeline>> readSentencePiece(const std::filesystem::path& path)
{
    QL_TRY(file, MappedFile::open(path));
    const std::string where = path.string();
    QL_TRY(model, readSentencePieceFile(file->bytes(), where));
    if (model.model != SentencePieceModel::unigram && model.model != SentencePieceModel::bpe)
        return refused("is a SentencePiece model of whole words or characters; QuantLoupe reads unigram and BPE models",
                       where);
    auto pipeline = std::make_unique<Pipeline>();
    pipeline->path = path;
    for (std::size_t i = 0; i < model.pieces.size(); ++i) {
        const auto id = static_cast<std::int64_t>(i);
        const SentencePiece& piece = model.pieces[i];
        QL_CHECK(pipeline->vocabulary.add(piece.text, id, where));
        if (piece.kind == PieceKind::unknown && !pipeline->unknown)
            pipeline->unknown = id;
        if (piece.kind == PieceKind::control || piece.kind == PieceKind::unknown)
            pipeline->specialIds.insert(id);
    }
    readSpecialTokens(*pipeline, path.parent_path());
    for (const auto& [id, name] :
         {std::pair{&pipeline->bos, "<s>"}, std::pair{&pipeline->eos, "</s>"}, std::pair{&pipeline->pad, "<pad>"}})
        if (const std::int32_t known = pipeline->vocabulary.idOf(name); !*id && known >= 0)
            *id = known;
    readAround(*pipeline);

    QL_TRY(map, CharsMap::read(model.charsMap, where));
    const SentenceNormalizer normalizer(model, std::move(map), userPieces(*pipeline, model));
    pipeline->normalizers.push_back([normalizer](Words& words, const JobContext& context) {
        return rewriteWords(words, context, [&](std::string_view text, bool&) { return normalizer(text); });
    });
    if (model.model == SentencePieceModel::unigram) {
        pipeline->model = unigramOf(*pipeline, model);
    } else {
        QL_TRY(bpe, bpeOf(*pipeline, model));
        pipeline->model = std::move(bpe);
    }
    pipeline->title =
        std::string(model.model == SentencePieceModel::unigram ? "Unigram" : "Byte pair encoding by scores") + " (" +
        path.filename().string() + ")";
    if (pipeline->unknown)
        pipeline->decodedAs[*pipeline->unknown] = model.unknownSurface;
    // Marks of blanks in front are left out as the normalizer puts or removes them: the one it adds, or all.
    constexpr int kAll = 1 << 30;
    Json steps = Json::array({{{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
    if (model.addDummyPrefix || model.removeExtraBlanks)
        steps.push_back(
            {{"type", "Strip"}, {"content", kMetaspace}, {"start", model.removeExtraBlanks ? kAll : 1}, {"stop", 0}});
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", kMetaspace}}}, {"content", " "}});
    QL_TRY(decoder, makeDecoder({{"type", "Sequence"}, {"decoders", std::move(steps)}}, where));
    pipeline->decoder = std::move(decoder);
    return std::unique_ptr<const Pipeline>(std::move(pipeline));
}

} // namespace ql::tok
