// SPDX-License-Identifier: GPL-3.0-or-later
// tokenizer.model of SentencePiece: unigram and BPE models. Source: sentencepiece_model.proto, normalizer.cc,
// unigram_model.cc, bpe_model.cc (0.2).
#include "core/base/file.h"
#include "core/checkpoint/wire_format.h"
#include "core/model/tokenizer/chars_map.h"
#include "core/model/tokenizer/pipeline.h"
#include "core/model/tokenizer/score_bpe.h"
#include "core/model/tokenizer/unicode_text.h"
#include "core/model/tokenizer/unigram.h"

#include <bit>
#include <limits>

namespace ql::tok {

namespace {

enum PieceType : std::uint64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUser = 4, kUnused = 5, kByte = 6 };
enum ModelType : std::uint64_t { kUnigramModel = 1, kBpeModel = 2 };

struct Piece {
    std::string text;
    float score = 0;
    std::uint64_t type = kNormal;
};

struct ModelFile {
    std::vector<Piece> pieces;
    std::uint64_t modelType = kUnigramModel;
    bool byteFallback = false;
    bool blankIsSuffix = false;
    bool addDummyPrefix = true;
    bool removeExtraBlanks = true;
    bool escapeBlanks = true;
    std::string charsMap;
    std::string unknownSurface = " \u2047 "; // what the unknown piece decodes to
};

float asFloat(std::uint64_t bits)
{
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
}

/// Calls visit(field) for the fields of a message; whether it was one.
template<typename Visit>
bool visitFields(wire::Bytes message, const Visit& visit)
{
    wire::Reader reader(message);
    while (const auto field = reader.next())
        visit(*field);
    return !reader.failed();
}

bool readPiece(wire::Bytes message, ModelFile& model)
{
    Piece piece;
    const bool ok = visitFields(message, [&](const wire::Field& field) {
        if (field.number == 1 && field.type == wire::Type::bytes)
            piece.text = field.text();
        else if (field.number == 2 && field.type == wire::Type::fixed32)
            piece.score = asFloat(field.value);
        else if (field.number == 3)
            piece.type = field.value;
    });
    model.pieces.push_back(std::move(piece));
    return ok;
}

bool readTrainer(wire::Bytes message, ModelFile& model)
{
    return visitFields(message, [&](const wire::Field& field) {
        if (field.number == 3)
            model.modelType = field.value;
        else if (field.number == 24)
            model.blankIsSuffix = field.value != 0;
        else if (field.number == 35)
            model.byteFallback = field.value != 0;
        else if (field.number == 44 && field.type == wire::Type::bytes)
            model.unknownSurface = field.text();
    });
}

bool readNormalizer(wire::Bytes message, ModelFile& model)
{
    return visitFields(message, [&](const wire::Field& field) {
        if (field.number == 2 && field.type == wire::Type::bytes)
            model.charsMap = field.text();
        else if (field.number == 3)
            model.addDummyPrefix = field.value != 0;
        else if (field.number == 4)
            model.removeExtraBlanks = field.value != 0;
        else if (field.number == 5)
            model.escapeBlanks = field.value != 0;
    });
}

Result<ModelFile> parse(std::span<const std::byte> bytes, const std::string& where)
{
    ModelFile model;
    bool ok = true;
    ok &= visitFields(bytes, [&](const wire::Field& field) {
        if (field.type != wire::Type::bytes)
            return;
        if (field.number == 1)
            ok &= readPiece(field.bytes, model);
        else if (field.number == 2)
            ok &= readTrainer(field.bytes, model);
        else if (field.number == 3)
            ok &= readNormalizer(field.bytes, model);
    });
    if (!ok || model.pieces.empty())
        return badInput("is no SentencePiece model: it has no list of pieces", where);
    return model;
}

/// SentencePiece's normalizer: replaces by the map, leaves out blanks and adds one in front, as the file says.
class SentenceNormalizer {
public:
    SentenceNormalizer(const ModelFile& model, CharsMap map, Trie user)
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

Trie userPieces(const Pipeline& pipeline, const ModelFile& model)
{
    std::vector<std::pair<std::string_view, std::int32_t>> entries;
    for (std::size_t id = 0; id < model.pieces.size(); ++id)
        if (model.pieces[id].type == kUser)
            entries.emplace_back(pipeline.vocabulary.piece(static_cast<std::int64_t>(id)),
                                 static_cast<std::int32_t>(id));
    return Trie(std::move(entries));
}

std::unique_ptr<const TokenModel> unigramOf(const Pipeline& pipeline, const ModelFile& model)
{
    UnigramSettings settings;
    settings.unknown = static_cast<std::int32_t>(pipeline.unknown.value_or(-1));
    settings.byteFallback = model.byteFallback;
    settings.singlePrecision = true;
    settings.lowestScore = static_cast<double>(std::numeric_limits<float>::max());
    settings.highestScore = static_cast<double>(std::numeric_limits<float>::min());
    std::vector<UnigramPiece> pieces;
    for (std::size_t id = 0; id < model.pieces.size(); ++id) {
        const Piece& piece = model.pieces[id];
        const auto score = static_cast<double>(piece.score);
        if (piece.type == kNormal) {
            settings.lowestScore = std::min(settings.lowestScore, score);
            settings.highestScore = std::max(settings.highestScore, score);
        }
        if (piece.type == kNormal || piece.type == kUser)
            pieces.push_back({pipeline.vocabulary.piece(static_cast<std::int64_t>(id)), static_cast<std::int32_t>(id),
                              score, piece.type == kUser});
    }
    return makeUnigram(pipeline.vocabulary, std::move(pieces), settings, pipeline.path.string());
}

Result<std::unique_ptr<const TokenModel>> bpeOf(const Pipeline& pipeline, const ModelFile& model)
{
    ScoreBpeSettings settings;
    for (const Piece& piece : model.pieces) {
        if (piece.type == kUnused)
            return refused("has unused pieces in a BPE model, which QuantLoupe does not take apart; convert it to "
                           "tokenizer.json",
                           pipeline.path.string());
        settings.scores.push_back(piece.score);
        settings.merges.push_back(piece.type == kNormal || piece.type == kUser);
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
    QL_TRY(model, parse(file->bytes(), where));
    if (model.modelType != kUnigramModel && model.modelType != kBpeModel)
        return refused("is a SentencePiece model of whole words or characters; QuantLoupe reads unigram and BPE models",
                       where);
    auto pipeline = std::make_unique<Pipeline>();
    pipeline->path = path;
    for (std::size_t i = 0; i < model.pieces.size(); ++i) {
        const auto id = static_cast<std::int64_t>(i);
        const Piece& piece = model.pieces[i];
        QL_CHECK(pipeline->vocabulary.add(piece.text, id, where));
        if (piece.type == kUnknown && !pipeline->unknown)
            pipeline->unknown = id;
        if (piece.type == kControl || piece.type == kUnknown)
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
    if (model.modelType == kUnigramModel) {
        pipeline->model = unigramOf(*pipeline, model);
    } else {
        QL_TRY(bpe, bpeOf(*pipeline, model));
        pipeline->model = std::move(bpe);
    }
    pipeline->title = std::string(model.modelType == kUnigramModel ? "Unigram" : "Byte pair encoding by scores") +
                      " (" + path.filename().string() + ")";
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
