// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/export/gguf_vocabulary.h"
#include "core/model/tokenizer/sentence_piece_file.h"

namespace ql::ggufout {

Result<Vocabulary> sentencePieceVocabulary(const TokenizerFiles& files, std::int64_t tokenCount)
{
    const std::string where = files.pathOf("tokenizer.model");
    QL_TRY(file, MappedFile::open(files.folder / "tokenizer.model"));
    QL_TRY(model, tok::readSentencePieceFile(file->bytes(), where));
    using Type = tok::SentencePieceModel;
    const auto cutsOtherwise = [&](const std::string& what) {
        return refused("is a SentencePiece model that " + what +
                           ": llama.cpp would cut its text into other tokens; use another target",
                       where);
    };
    if (model.model != Type::bpe)
        return cutsOtherwise("is no BPE but of the type " + std::string(model.model == Type::unigram ? "unigram"
                                                                        : model.model == Type::word  ? "word"
                                                                                                     : "char"));
    if (!model.charsMap.empty())
        return cutsOtherwise("normalises characters");
    if (model.removeExtraBlanks)
        return cutsOtherwise("drops blanks that follow blanks");
    if (model.blankIsSuffix || !model.escapeBlanks)
        return cutsOtherwise("marks blanks in a way of its own");

    Vocabulary made;
    made.model = "llama";
    made.pre = "default";
    made.spacePrefix = model.addDummyPrefix;
    made.tokens.resize(static_cast<std::size_t>(tokenCount));
    for (std::size_t i = 0; i < model.pieces.size(); ++i) {
        const tok::SentencePiece& piece = model.pieces[i];
        if (piece.text.empty())
            return badInput("has a piece without a text", where);
        QL_CHECK(made.place({piece.text, piece.kind, piece.score}, static_cast<std::int64_t>(i), where));
    }
    made.specials = {{"unk", model.unk}, {"bos", model.bos}, {"eos", model.eos}, {"pad", model.pad}};
    QL_CHECK(made.placeAdded(files));
    QL_CHECK(made.checkBytes(where));
    made.fillUnused();
    return made;
}

} // namespace ql::ggufout
