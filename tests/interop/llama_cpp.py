# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads exported GGUF files in llama.cpp (package cyllama).

    python llama_cpp.py QLOUPE OUT

Makes, in the folder OUT, a Llama of random weights with the SentencePiece tokenizer of tests/data (once as tokenizer.model, once as
tokenizer.json alone), exports it and compares in llama.cpp: texts with what SentencePiece cuts, perplexity with what transformers
computes from the folder.
"""
import json
import math
import pathlib
import shutil
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
TOKENIZERS = HERE.parent / "data/gguf_tokenizers"
BOS = 1
CONTEXT = 128


def load(path):
    from cyllama.llama import llama_cpp as llama

    class Model(llama.LlamaModel):  # LlamaContext.get_logits_ith of cyllama 0.2.18 asks for it, and it is not there
        @property
        def n_vocab(self):
            return self.get_vocab().n_vocab

    llama.disable_logging()
    return Model(str(path), verbose=False)


def windows(ids, bos, chunks, context):
    """As llama-perplexity cuts: windows that begin with the first token, if the model has one; the second half of each is scored."""
    for chunk in range(chunks):
        window = ids[chunk * context:(chunk + 1) * context]
        yield ([bos] + window[1:] if bos is not None else window), range(context // 2, context - 1)


def log_probabilities(logits):
    logits = np.asarray(logits, dtype=np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def perplexity_of(logits_of, ids, bos, chunks, context):
    total = count = 0
    for window, scored in windows(ids, bos, chunks, context):
        log = log_probabilities(logits_of(window, scored))
        total -= sum(log[row, window[i + 1]] for row, i in enumerate(scored))
        count += len(scored)
    return math.exp(total / count)


class Runner:
    """A model file in llama.cpp, two threads."""

    def __init__(self, path, context):
        from cyllama.llama import llama_cpp as llama

        self.llama, self.model, self.context = llama, load(path), context
        self.vocabulary = self.model.get_vocab()
        self.bos = self.vocabulary.token_bos() if self.vocabulary.get_add_bos() else None
        parameters = llama.LlamaContextParams()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = context
        parameters.n_threads = parameters.n_threads_batch = 2
        self.state = llama.LlamaContext(self.model, parameters)

    def ids(self, text):
        return self.vocabulary.tokenize(text, True, False)

    def logits(self, window, scored):
        self.state.kv_cache_clear()
        batch = self.llama.LlamaBatch(n_tokens=self.context, embd=0, n_seq_max=1)
        for i, token in enumerate(window):
            batch.add(token, i, [0], i in scored)
        self.state.decode(batch)
        return [self.state.get_logits_ith(i) for i in scored]


def perplexity(path, text, chunks, context=512):
    runner = Runner(path, context)
    return perplexity_of(runner.logits, runner.ids(text), runner.bos, chunks, context)


def divergence(reference, path, text, chunks, context=512):
    """Perplexity of both files and mean KLD (nats per token) of the second from the first."""
    base, other = Runner(reference, context), Runner(path, context)
    nll, kld, count = np.zeros(2), 0.0, 0
    for window, scored in windows(base.ids(text), base.bos, chunks, context):
        logs = [log_probabilities(runner.logits(window, scored)) for runner in (base, other)]
        nll -= [sum(log[row, window[i + 1]] for row, i in enumerate(scored)) for log in logs]
        kld += (np.exp(logs[0]) * (logs[0] - logs[1])).sum()
        count += len(scored)
    return (*np.exp(nll / count), kld / count)


def quantize(source, target, ftype):
    """llama.cpp's own uniform file of that number (llama_ftype)."""
    from cyllama.llama import llama_cpp as llama

    llama.disable_logging()
    parameters = llama.LlamaModelQuantizeParams()
    parameters.ftype, parameters.nthread = ftype, 2
    llama.model_quantize(str(source), str(target), parameters)


def make_model(folder):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(vocab_size=400, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.2, bos_token_id=BOS,
                         eos_token_id=2, tie_word_embeddings=False)
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(folder)
    return model


def expected_perplexity(model, text, chunks):
    import torch
    from tokenizers import Tokenizer

    ids = [BOS] + Tokenizer.from_file(str(TOKENIZERS / "sentencepiece/tokenizer.json")).encode(text, add_special_tokens=False).ids

    def logits_of(window, scored):
        with torch.no_grad():
            return model(torch.tensor([window])).logits[0][list(scored)].numpy()

    return perplexity_of(logits_of, ids, BOS, chunks, CONTEXT)


def differing_texts(path):
    vocabulary = load(path).get_vocab()
    wrong = 0
    examples = [e for e in json.loads((TOKENIZERS / "expected.json").read_text())["texts"] if e["text"]]
    for example in examples:
        ids = vocabulary.tokenize(example["text"], False, False)
        if ids != example["ids"]:
            wrong += 1
            print(f"{example['text']!r}: {ids}, not {example['ids']}")
    print(f"{len(examples)} texts, {wrong} cut otherwise than by SentencePiece")
    return wrong


def main(qloupe, out):
    out = pathlib.Path(out)
    folder, plan, path = out / "sentencepiece-llama", out / "plan.json", out / "sentencepiece.gguf"
    model = make_model(folder)
    text = (TOKENIZERS / "make_tokenizers.py").read_text()
    wanted = expected_perplexity(model, text, 8)
    failed = 0
    for tokenizer in ("tokenizer.model", "tokenizer.json"):
        for old in ("tokenizer.model", "tokenizer.json"):
            (folder / old).unlink(missing_ok=True)
        shutil.copy(TOKENIZERS / "sentencepiece" / tokenizer, folder)
        for candidate, tolerance in (("keep", 0.002), ("gguf:q8_0@rtn:ggml", 0.05)):
            for command in (["solve", folder, "--candidates", candidate, "--bpw", "32", "--target", "gguf", "--out", plan],
                            ["export", folder, "--plan", plan, "--target", "gguf", "--out", path]):
                subprocess.run([qloupe, *command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
            found = perplexity(path, text, 8, CONTEXT)
            wrong = abs(found / wanted - 1) > tolerance
            print(f"{tokenizer}, {candidate}: perplexity {found:.4f} in llama.cpp, {wanted:.4f} in transformers"
                  f"{' WRONG' if wrong else ''}")
            failed += wrong
        failed += differing_texts(path)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
