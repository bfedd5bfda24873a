# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokenizes with qloupe and with the program that each file comes from, compares every id, and says both speeds.

    python tokenizer_ids.py QLOUPE MODELS

MODELS holds smollm2-135m and minilm-l6-v2 (folders), smollm2-135m-f16.gguf and text/test.txt. Needs tokenizers; where cyllama
(llama.cpp as a Python package) is installed, also the GGUF file is compared. The exit code is 0 if all agree.
"""
import base64
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import tokenizers

DATA = pathlib.Path(__file__).parents[1] / "data" / "tokenizers"


def texts(models):
    """The test text as a whole, and the hard texts."""
    yield (models / "text" / "test.txt").read_bytes()
    for text in json.loads((DATA / "texts.json").read_text()):
        yield base64.b64decode(text)


def by_qloupe(qloupe, model, file, *options):
    done = subprocess.run([qloupe, "tokenize", model, "--file", file, "--ids", "--json", "--quiet", *options],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return json.loads(done.stdout)["ids"]


def by_tokenizers(path, special):
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return lambda text: tokenizer.encode(text.decode("utf-8", "replace"), add_special_tokens=special).ids


def by_llama(path, parse):
    from cyllama.llama import llama_cpp
    llama_cpp.llama_backend_init()
    llama_cpp.ggml_backend_load_all()
    model = llama_cpp.LlamaModel(str(path), llama_cpp.LlamaModelParams(), verbose=False)
    vocabulary = model.get_vocab()

    def ids(text, _model=model):  # which lives as long as this
        try:
            return vocabulary.tokenize(text.decode(), True, parse)
        except UnicodeDecodeError:
            return None  # it takes valid text only
    return ids


def compare(name, qloupe, model, reference, models, *options):
    failed = count = 0
    with tempfile.TemporaryDirectory() as folder:
        for index, text in enumerate(texts(models)):
            file = pathlib.Path(folder) / "text"
            file.write_bytes(text)
            theirs = reference(text)
            if theirs is None:
                continue
            ours = by_qloupe(qloupe, model, file, *options)
            count += len(theirs)
            if ours != theirs:
                at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
                print(f"  {name}: text {index} differs at token {at}: {ours[at:at + 5]} for {theirs[at:at + 5]}")
                failed = 1
    print(f"{'FAILED' if failed else 'ok'}: {name}, {count} ids", flush=True)
    return failed


def speed(qloupe, folder, models):
    """Whole processes on a text of some 4 MB, less those on an empty text; and the library itself."""
    text = (models / "text" / "test.txt").read_bytes() * 20
    with tempfile.TemporaryDirectory() as name:
        times = {}
        for size, content in [("empty", b""), ("text", text)]:
            file = pathlib.Path(name) / size
            file.write_bytes(content)
            started = time.time()
            subprocess.run([qloupe, "tokenize", folder, "--file", file, "--ids", "--quiet"], stdout=subprocess.DEVNULL,
                           check=True)
            times[size] = time.time() - started
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    decoded = text.decode()
    started = time.time()
    tokenizer.encode(decoded)
    theirs = time.time() - started
    size = len(text) / 1e6
    print(f"{folder.name}: qloupe {size / (times['text'] - times['empty']):.1f} MB/s, tokenizers {size / theirs:.2f} MB/s")


def main(qloupe, models):
    models = pathlib.Path(models)
    smollm, minilm, f16 = models / "smollm2-135m", models / "minilm-l6-v2", models / "smollm2-135m-f16.gguf"
    failed = 0
    for folder in [smollm, minilm]:
        for special in [False, True]:
            failed += compare(f"{folder.name}{' with special tokens' * special}", qloupe, folder,
                              by_tokenizers(folder / "tokenizer.json", special), models, *["--special"] * special)
    failed += compare("minilm-l6-v2, vocab.txt", qloupe, minilm / "vocab.txt",
                      by_tokenizers(minilm / "tokenizer.json", True), models, "--special")
    if importlib.util.find_spec("cyllama"):
        failed += compare("smollm2-135m-f16.gguf", qloupe, f16, by_llama(f16, True), models, "--special")
        failed += compare("smollm2-135m-f16.gguf, special tokens as text", qloupe, f16, by_llama(f16, False), models,
                          "--special", "--no-parse-special")
    speed(qloupe, smollm, models)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
