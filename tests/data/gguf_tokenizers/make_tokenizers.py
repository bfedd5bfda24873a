#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the tokenizers of this folder and what their own libraries say of them.

    python3 make_tokenizers.py

sentencepiece/tokenizer.model   a SentencePiece BPE like Llama 2's: bytes to fall back on, nothing normalised
sentencepiece/tokenizer.json    the same as transformers converts it
native/tokenizer.json           a BPE with bytes trained by tokenizers
expected.json                   pieces, scores and kinds of the model, and texts with their numbers, by sentencepiece and, of the
                                native BPE, by tokenizers (no texts with a blank in front: before one it puts no other)

Made with sentencepiece 0.2.3, transformers 5.23.0, tokenizers 0.23.3. The text is this file's own.
"""
import io
import json
import pathlib
import tempfile

import sentencepiece
import tokenizers
from transformers import LlamaTokenizer

HERE = pathlib.Path(__file__).parent
TEXT = """
The grey heron stands in the reeds and waits; the water waits with it.
Three times three is nine, nine times nine is eighty-one, and 81 + 19 = 100.
    for reed in reeds:
        if reed.height > heron.height:
            return reed
Über die Brücke gehen zwei Brüder: «Grüße!», sagt der ältere, „Grüße!“ der jüngere.
Les élèves ont relevé l'été dernier des récits où l'eau des étangs s'était retirée.
Вода ждёт, и цапля ждёт вместе с водой.
The heron's name is Thea. Thea's nest is in the northern thicket, near the other nests.
banana bandana anagram: an anaconda and a banana, aaaa and aaaaaaa, nananana.
"""
CASES = ["", "the", "The grey heron", " leading", "  two  blanks   three ", "banana aaaaaaaa nananana", "tabs\tand\nlines\r\n",
         "Über Brüder, élèves, ждёт", "emoji \U0001f426 and 鷺, \u2581mark", "100 + 81 = 181", "for reed in reeds:\n    return reed",
         "\x00\x7f", "é vs e\u0301", "a" * 37, "The heron's nest. " * 5]


def sentencepiece_model():
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for line in TEXT.split("\n") if line), model_writer=out, model_type="bpe", vocab_size=400,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, split_digits=True, character_coverage=0.99, user_defined_symbols=["<sep>"])
    return out.getvalue()


def converted(model):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "tokenizer.model").write_bytes(model)
        (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                                                                  "add_bos_token": True}))
        LlamaTokenizer.from_pretrained(folder).save_pretrained(folder / "out")
        return json.loads((folder / "out/tokenizer.json").read_text())


def expected(model, native):
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    kind = lambda i: (2 if sp.IsUnknown(i) else 3 if sp.IsControl(i) else 5 if sp.IsUnused(i) else 6 if sp.IsByte(i)
                      else 4 if sp.IdToPiece(i) == "<sep>" else 1)
    ids = range(sp.vocab_size())
    return {"tokens": [sp.IdToPiece(i) for i in ids], "scores": [sp.GetScore(i) for i in ids], "kinds": [kind(i) for i in ids],
            "texts": [{"text": text, "ids": sp.encode(text)} for text in CASES],
            "native": [{"text": text, "ids": tokenizers.Tokenizer.from_str(json.dumps(native)).encode(text).ids}
                       for text in CASES if not text.startswith(" ")]}


def native():
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(split=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)])
    tokenizer.train_from_iterator([line for line in TEXT.split("\n") if line], trainer)
    made = json.loads(tokenizer.to_str())
    made["added_tokens"] = made["added_tokens"][:3]
    return made


def main():
    model = sentencepiece_model()
    trained = native()
    for folder, tokenizer in (("sentencepiece", converted(model)), ("native", trained)):
        (HERE / folder).mkdir(exist_ok=True)
        (HERE / folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n")
    (HERE / "sentencepiece/tokenizer.model").write_bytes(model)
    (HERE / "expected.json").write_text(json.dumps(expected(model, trained), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
