# SPDX-License-Identifier: GPL-3.0-or-later
"""GGUF files that hold a tokenizer and the smallest model around it, and llama.cpp's ids of the hard texts.

    python make_gguf.py

Needs gguf, numpy, sentencepiece for the scores of the SentencePiece model, and cyllama (0.2.18: llama.cpp as a Python package).
Writes gguf_NAME/tokenizer.gguf and golden.json from the files that make_tokenizers.py has written: ids, with BOS and the like
(special), and with special tokens in the text left as text (unparsed). cyllama takes valid text only: ids of other texts
are null.
"""
import json
import pathlib
import unicodedata

import gguf
import numpy
from cyllama.llama import llama_cpp
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


WIDTH = 8


def writer(path, model):
    path.parent.mkdir(exist_ok=True)
    made = gguf.GGUFWriter(path, "llama")
    for key, value in [("context_length", 8), ("embedding_length", WIDTH), ("block_count", 1), ("feed_forward_length", WIDTH),
                       ("attention.head_count", 1)]:
        made.add_uint32(f"llama.{key}", value)
    made.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    made.add_tokenizer_model(model)
    return made


def finish(made, pieces):
    """With a model of zeros, without which llama.cpp does not open the file."""
    matrix, vector = numpy.zeros((WIDTH, WIDTH), "float16"), numpy.zeros(WIDTH, "float32")
    made.add_token_list(pieces)
    made.add_tensor("token_embd.weight", numpy.zeros((len(pieces), WIDTH), "float16"))
    made.add_tensor("output_norm.weight", vector)
    for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
        made.add_tensor(f"blk.0.{name}.weight", matrix)
    for name in ["attn_norm", "ffn_norm"]:
        made.add_tensor(f"blk.0.{name}.weight", vector)
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
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
    made.add_token_types(types)
    made.add_token_merges([" ".join(merge) for merge in document["model"]["merges"]])
    made.add_bos_token_id(0)
    made.add_eos_token_id(1)
    finish(made, pieces)


def sentence_piece(path):
    """The BPE model with byte pieces; types and scores as they are."""
    model = sentencepiece_model_pb2.ModelProto.FromString((HERE / "sentence_bpe" / "tokenizer.model").read_bytes())
    made = writer(path, "llama")
    made.add_tokenizer_pre("default")
    made.add_token_scores([piece.score for piece in model.pieces])
    made.add_token_types([piece.type for piece in model.pieces])
    made.add_bos_token_id(1)
    made.add_eos_token_id(2)
    made.add_unk_token_id(0)
    finish(made, [piece.piece for piece in model.pieces])


def bert(family, path):
    """Words begin with the phantom blank, later pieces lose their ##: as llama.cpp's converter does."""
    document = json.loads((HERE / family / "tokenizer.json").read_text())
    pieces, types = pieces_of(document)
    phantom = [piece if kind == CONTROL else piece[2:] if piece.startswith("##") else "▁" + piece
               for piece, kind in zip(pieces, types)]
    made = writer(path, "bert")
    made.add_tokenizer_pre("default")
    made.add_token_types(types)
    ids = {piece: id for id, piece in enumerate(pieces)}
    made.add_uint32("tokenizer.ggml.bos_token_id", ids["[CLS]"])
    made.add_uint32("tokenizer.ggml.seperator_token_id", ids["[SEP]"])
    made.add_uint32("tokenizer.ggml.unknown_token_id", ids["[UNK]"])
    made.add_uint32("tokenizer.ggml.padding_token_id", ids["[PAD]"])
    finish(made, phantom)


def ids_by(vocabulary, text, special, parse, marks):
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return None
    if not marks and any(unicodedata.category(c)[0] == "M" for c in decoded):
        return None
    return vocabulary.tokenize(decoded, special, parse)


def golden(path):
    """This llama.cpp keeps combining marks in WordPiece, later ones leave them out: ids of texts with marks are null, too."""
    marks = path.parent.name != "gguf_bert"
    model = llama_cpp.LlamaModel(str(path), llama_cpp.LlamaModelParams(), verbose=False)
    vocabulary = model.get_vocab()
    ids = {name: [ids_by(vocabulary, text, special, parse, marks) for text in TEXTS]
           for name, special, parse in [("ids", False, True), ("special", True, True), ("unparsed", False, False)]}
    return {"size": vocabulary.n_vocab, **ids}


def main():
    made = []
    for family, pre in BYTE_LEVEL.items():
        made.append(HERE / f"gguf_{family}" / "tokenizer.gguf")
        byte_level(family, pre, made[-1])
    for pre in PATTERNS:
        made.append(HERE / f"gguf_{pre.replace('-', '_')}" / "tokenizer.gguf")
        byte_level("gpt2", pre, made[-1])
    made.append(HERE / "gguf_llama" / "tokenizer.gguf")
    sentence_piece(made[-1])
    made.append(HERE / "gguf_bert" / "tokenizer.gguf")
    bert("bert", made[-1])
    llama_cpp.llama_backend_init()
    llama_cpp.ggml_backend_load_all()
    for path in made:
        (path.parent / "golden.json").write_text(json.dumps(golden(path), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
