# SPDX-License-Identifier: GPL-3.0-or-later
"""GGUF files that hold only a tokenizer, and llama.cpp's ids of the hard texts.

    python make_gguf.py LLAMA_TOKENIZE

Needs gguf, and sentencepiece for the scores of the SentencePiece model; LLAMA_TOKENIZE is llama.cpp's program llama-tokenize
(made with the sources of llama-cpp-python 0.3.36). Writes gguf_NAME/tokenizer.gguf and golden.json from the files that
make_tokenizers.py has written: ids, with BOS and the like (special), and with special tokens in the text left as text
(unparsed).
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import gguf
from sentencepiece import sentencepiece_model_pb2

from hard_texts import TEXTS

HERE = pathlib.Path(__file__).parent
NORMAL, UNKNOWN, CONTROL, USER = 1, 2, 3, 4
# tokenizer.json made by make_tokenizers.py, and the pre-tokenizer that llama.cpp has for it
BYTE_LEVEL = {"gpt2": "gpt-2", "llama3": "llama-bpe", "qwen2": "qwen2", "smollm": "smollm", "gpt4o": "gpt-4o",
              "deepseek": "deepseek-v3"}
# further pre-tokenizers, on the vocabulary of gpt2
PATTERNS = ["default", "falcon", "bloom", "viking", "tekken", "deepseek-coder", "qwen35", "bailingmoe", "seed-coder",
            "glm4"]


def writer(path, model):
    path.parent.mkdir(exist_ok=True)
    made = gguf.GGUFWriter(path, "llama")
    for key in ["context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"]:
        made.add_uint32(f"llama.{key}", 1)
    made.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    made.add_tokenizer_model(model)
    return made


def finish(made):
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.close()


def pieces_of(document):
    vocabulary = {piece: id for piece, id in document["model"]["vocab"].items()}
    types = dict.fromkeys(vocabulary, NORMAL)
    for token in document["added_tokens"]:
        vocabulary[token["content"]] = token["id"]
        types[token["content"]] = CONTROL if token["special"] else USER
    pieces = sorted(vocabulary, key=vocabulary.get)
    return pieces, [types[piece] for piece in pieces]


def byte_level(family, pre, path):
    document = json.loads((HERE / family / "tokenizer.json").read_text())
    pieces, types = pieces_of(document)
    made = writer(path, "gpt2")
    made.add_tokenizer_pre(pre)
    made.add_token_list(pieces)
    made.add_token_types(types)
    made.add_token_merges([" ".join(merge) for merge in document["model"]["merges"]])
    made.add_bos_token_id(0)
    made.add_eos_token_id(1)
    finish(made)


def sentence_piece(path):
    """The BPE model with byte pieces; types and scores as they are."""
    model = sentencepiece_model_pb2.ModelProto.FromString((HERE / "sentence_bpe" / "tokenizer.model").read_bytes())
    made = writer(path, "llama")
    made.add_tokenizer_pre("default")
    made.add_token_list([piece.piece for piece in model.pieces])
    made.add_token_scores([piece.score for piece in model.pieces])
    made.add_token_types([piece.type for piece in model.pieces])
    made.add_bos_token_id(1)
    made.add_eos_token_id(2)
    made.add_unk_token_id(0)
    finish(made)


def bert(family, path, lowercase):
    """Words begin with the phantom blank, later pieces lose their ##: as llama.cpp's converter does."""
    document = json.loads((HERE / family / "tokenizer.json").read_text())
    pieces, types = pieces_of(document)
    phantom = [piece if kind == CONTROL else piece[2:] if piece.startswith("##") else "▁" + piece
               for piece, kind in zip(pieces, types)]
    made = writer(path, "bert")
    made.add_tokenizer_pre("default")
    made.add_token_list(phantom)
    made.add_token_types(types)
    made.add_bool("tokenizer.ggml.normalizer.lowercase", lowercase)
    ids = {piece: id for id, piece in enumerate(pieces)}
    made.add_uint32("tokenizer.ggml.bos_token_id", ids["[CLS]"])
    made.add_uint32("tokenizer.ggml.seperator_token_id", ids["[SEP]"])
    made.add_uint32("tokenizer.ggml.unknown_token_id", ids["[UNK]"])
    made.add_uint32("tokenizer.ggml.padding_token_id", ids["[PAD]"])
    finish(made)


def ids_by(program, model, text, *options):
    """llama-tokenize prints [1, 2]; a text is given as a file, so that any byte may be in it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        done = subprocess.run([program, "-m", model, "-f", file.name, "--ids", "--no-escape", "--log-disable", *options],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return [int(id) for id in re.findall(rb"-?\d+", done.stdout)]


def main(program):
    made = []
    for family, pre in BYTE_LEVEL.items():
        made.append(HERE / f"gguf_{family}" / "tokenizer.gguf")
        byte_level(family, pre, made[-1])
    for pre in PATTERNS:
        made.append(HERE / f"gguf_{pre.replace('-', '_')}" / "tokenizer.gguf")
        byte_level("gpt2", pre, made[-1])
    made.append(HERE / "gguf_llama" / "tokenizer.gguf")
    sentence_piece(made[-1])
    for family, lowercase in [("bert", True), ("bert_cased", False)]:
        made.append(HERE / f"gguf_{family}" / "tokenizer.gguf")
        bert(family, made[-1], lowercase)
    for path in made:
        document = {"size": len(gguf.GGUFReader(path).fields["tokenizer.ggml.tokens"].data),
                    "ids": [ids_by(program, path, text, "--no-bos") for text in TEXTS],
                    "special": [ids_by(program, path, text) for text in TEXTS],
                    "unparsed": [ids_by(program, path, text, "--no-bos", "--no-parse-special") for text in TEXTS]}
        (path.parent / "golden.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
