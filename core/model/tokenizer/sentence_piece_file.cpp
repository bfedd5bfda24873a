// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/sentence_piece_file.h"

#include "core/checkpoint/wire_format.h"

#include <bit>

namespace ql::tok {

namespace {

/// Calls visit(field) for the fields of a message; whether it was one.
template<typename Visit>
bool visitFields(wire::Bytes message, const Visit& visit)
{
    wire::Reader reader(message);
    while (const auto field = reader.next())
        visit(*field);
    return !reader.failed();
}

bool readPiece(wire::Bytes message, SentencePieceFile& file)
{
    SentencePiece piece;
    const bool ok = visitFields(message, [&](const wire::Field& field) {
        if (field.number == 1 && field.type == wire::Type::bytes)
            piece.text = field.text();
        else if (field.number == 2 && field.type == wire::Type::fixed32)
            piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
        else if (field.number == 3)
            piece.kind = static_cast<PieceKind>(field.value);
    });
    file.pieces.push_back(std::move(piece));
    return ok;
}

bool readTrainer(wire::Bytes message, SentencePieceFile& file)
{
    return visitFields(message, [&](const wire::Field& field) {
        const auto number = static_cast<std::int64_t>(field.value);
        if (field.number == 3)
            file.model = static_cast<SentencePieceModel>(field.value);
        else if (field.number == 24)
            file.blankIsSuffix = field.value != 0;
        else if (field.number == 35)
            file.byteFallback = field.value != 0;
        else if (field.number == 40)
            file.unk = number;
        else if (field.number == 41)
            file.bos = number;
        else if (field.number == 42)
            file.eos = number;
        else if (field.number == 43)
            file.pad = number;
        else if (field.number == 44 && field.type == wire::Type::bytes)
            file.unknownSurface = field.text();
    });
}

bool readNormalizer(wire::Bytes message, SentencePieceFile& file)
{
    return visitFields(message, [&](const wire::Field& field) {
        if (field.number == 2 && field.type == wire::Type::bytes)
            file.charsMap = field.text();
        else if (field.number == 3)
            file.addDummyPrefix = field.value != 0;
        else if (field.number == 4)
            file.removeExtraBlanks = field.value != 0;
        else if (field.number == 5)
            file.escapeBlanks = field.value != 0;
    });
}

} // namespace

Result<SentencePieceFile> readSentencePieceFile(std::span<const std::byte> bytes, const std::string& where)
{
    SentencePieceFile file;
    bool ok = true;
    ok &= visitFields(bytes, [&](const wire::Field& field) {
        if (field.number < 1 || field.number > 3)
            return;
        if (field.type != wire::Type::bytes)
            ok = false;
        else if (field.number == 1)
            ok &= readPiece(field.bytes, file);
        else if (field.number == 2)
            ok &= readTrainer(field.bytes, file);
        else
            ok &= readNormalizer(field.bytes, file);
    });
    if (!ok || file.pieces.empty())
        return badInput("is no SentencePiece model: it has no list of pieces, or a damaged one", where);
    for (const SentencePiece& piece : file.pieces)
        if (piece.kind < PieceKind::normal || piece.kind > PieceKind::byte)
            return badInput("has the piece '" + piece.text + "' of an unknown kind", where);
    return file;
}

} // namespace ql::tok
