// SPDX-License-Identifier: GPL-3.0-or-later
// tokenizer.model is a message ModelProto; fields by the numbers of sentencepiece_model.proto (google/sentencepiece).
#include "core/base/file.h"
#include "core/checkpoint/wire_format.h"
#include "core/export/gguf_vocabulary.h"

#include <array>
#include <bit>

namespace ql::ggufout {

namespace {

/// What of a model decides how it cuts text; the values where the file says nothing are the format's.
struct PieceModel {
    std::vector<Token> pieces;
    std::uint64_t type = 1; // 1 unigram, 2 BPE, 3 word, 4 char
    bool blankBehind = false;
    bool blankInFront = true;
    bool dropsBlanks = true;
    bool marksBlanks = true;
    bool rewrites = false; // a table of replaced characters
    std::map<std::string, std::int64_t> specials{{"unk", 0}, {"bos", 1}, {"eos", 2}, {"pad", -1}};
};

Token pieceOf(wire::Reader& reader)
{
    Token piece{.text = {}, .kind = TokenKind::normal, .score = 0};
    while (const auto field = reader.next()) {
        if (field->number == 1)
            piece.text = field->text();
        else if (field->number == 2)
            piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field->value));
        else if (field->number == 3)
            piece.kind = static_cast<TokenKind>(field->value);
    }
    return piece;
}

void readTraining(wire::Reader& reader, PieceModel& model)
{
    while (const auto field = reader.next()) {
        const auto number = static_cast<std::int64_t>(field->value);
        switch (field->number) {
        case 3:
            model.type = field->value;
            break;
        case 24:
            model.blankBehind = field->value != 0;
            break;
        case 40:
            model.specials["unk"] = number;
            break;
        case 41:
            model.specials["bos"] = number;
            break;
        case 42:
            model.specials["eos"] = number;
            break;
        case 43:
            model.specials["pad"] = number;
            break;
        default:
            break;
        }
    }
}

void readNormalizer(wire::Reader& reader, PieceModel& model)
{
    while (const auto field = reader.next()) {
        if (field->number == 2)
            model.rewrites = !field->bytes.empty();
        else if (field->number == 3)
            model.blankInFront = field->value != 0;
        else if (field->number == 4)
            model.dropsBlanks = field->value != 0;
        else if (field->number == 5)
            model.marksBlanks = field->value != 0;
    }
}

/// Nothing if the bytes are no such message. Ends at the first piece beyond the limit.
std::optional<PieceModel> readModel(wire::Bytes bytes, std::int64_t limit)
{
    PieceModel model;
    wire::Reader reader(bytes);
    while (std::ssize(model.pieces) <= limit) {
        const auto field = reader.next();
        if (!field)
            break;
        wire::Reader inner(field->bytes);
        if (field->number == 1)
            model.pieces.push_back(pieceOf(inner));
        else if (field->number == 2)
            readTraining(inner, model);
        else if (field->number == 3)
            readNormalizer(inner, model);
        if (field->number <= 3 && (inner.failed() || field->type != wire::Type::bytes))
            return std::nullopt;
    }
    return reader.failed() || model.pieces.empty() ? std::nullopt : std::optional(std::move(model));
}

} // namespace

Result<Vocabulary> sentencePieceVocabulary(const TokenizerFiles& files, std::int64_t tokenCount)
{
    const std::string where = files.pathOf("tokenizer.model");
    QL_TRY(file, MappedFile::open(files.folder / "tokenizer.model"));
    const auto model = readModel(file->bytes(), tokenCount);
    if (!model)
        return refused("is no SentencePiece model; start from a GGUF file of the model", where);
    const auto cutsOtherwise = [&](const std::string& what) {
        return refused("is a SentencePiece model that " + what +
                           ": llama.cpp would cut its text into other tokens; use another target",
                       where);
    };
    if (model->type != 2)
        return cutsOtherwise("is no BPE but of the type " + std::string(model->type == 1   ? "unigram"
                                                                        : model->type == 3 ? "word"
                                                                                           : "char"));
    if (model->rewrites)
        return cutsOtherwise("normalises characters");
    if (model->dropsBlanks)
        return cutsOtherwise("drops blanks that follow blanks");
    if (model->blankBehind || !model->marksBlanks)
        return cutsOtherwise("marks blanks in a way of its own");

    Vocabulary made;
    made.model = "llama";
    made.pre = "default";
    made.spacePrefix = model->blankInFront;
    made.tokens.resize(static_cast<std::size_t>(tokenCount));
    for (std::size_t i = 0; i < model->pieces.size(); ++i) {
        if (model->pieces[i].text.empty() || model->pieces[i].kind < TokenKind::normal ||
            model->pieces[i].kind > TokenKind::byte)
            return badInput("has a piece without a text or of an unknown kind", where);
        QL_CHECK(made.place(model->pieces[i], static_cast<std::int64_t>(i), where));
    }
    made.specials = model->specials;
    QL_CHECK(made.placeAdded(files));
    QL_CHECK(made.checkBytes(where));
    made.fillUnused();
    return made;
}

} // namespace ql::ggufout
