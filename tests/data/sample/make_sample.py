#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the sample study from nothing: text, tokenizer, model, activations, golden values.

Needs torch, transformers, tokenizers, safetensors and numpy; reads no file and
no network.  One thread and fixed seeds: the same versions on the same kind of
processor give the same bytes.  About a quarter of an hour on one core.

    make_sample.py --out resources/sample --raw-out tests/data/sample

--from-model skips the tokenizer and the training and remakes the activations
and the golden values of the model that is already in --out.
"""

import argparse
import hashlib
import json
import math
import os
import pathlib
import platform
import time

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import safetensors
import safetensors.torch
import tokenizers
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import generate_text

END = "<|endoftext|>"
VOCAB = 1024
WINDOW = 256          # perplexity, activations
TRAIN_WINDOW = 512
DOCUMENTS = {"train": 24_000, "calibration": 170, "test": 200}
DOCUMENTS_PER_PAGE = 4   # in training, END starts a page of about this many documents
GOLDEN_WINDOWS = 8
GOLDEN_LOGITS = 64
RAW_LAYERS = ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"]

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.1,
    "intermediate_size": 512,
    "max_position_embeddings": TRAIN_WINDOW,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": VOCAB,
}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def make_tokenizer(docs, out):
    """Byte-level BPE, digits one by one, no prefix space, no normalizer."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=[END], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False)
    tok.train_from_iterator(docs, trainer)
    if tok.get_vocab_size() != VOCAB:
        raise SystemExit(f"the vocabulary has {tok.get_vocab_size()} entries, not {VOCAB}")
    tok.save(str(out / "tokenizer.json"))
    write_json(out / "tokenizer_config.json", {
        "add_bos_token": False,
        "add_eos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {"0": {"content": END, "lstrip": False, "normalized": False, "rstrip": False,
                                       "single_word": False, "special": True}},
        "bos_token": END,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "model_max_length": TRAIN_WINDOW,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    })


def ids_of(tok, text):
    return tok.encode(text, add_special_tokens=False).ids


def training_stream(tok, docs):
    pick = generate_text.Dice(5)
    pages, page = [], []
    for doc in docs:
        page.append(doc)
        if pick.chance(1.0 / DOCUMENTS_PER_PAGE):
            pages.append(page)
            page = []
    pages.append(page)
    out = []
    for batch in tok.encode_batch(["\n\n".join(p) for p in pages if p], add_special_tokens=False):
        out.append(0)
        out += batch.ids
    return torch.tensor(out, dtype=torch.long)


def new_model(out):
    config = transformers.LlamaConfig.from_pretrained(out)
    config._attn_implementation = "eager"
    return transformers.LlamaForCausalLM(config).to(torch.float32)


def train(model, stream, steps, batch, rate, decay):
    generator = torch.Generator().manual_seed(7)
    windows = (len(stream) - 1) // TRAIN_WINDOW
    order = torch.randperm(windows, generator=generator)
    if steps * batch > windows:
        print(f"note: {steps * batch} windows wanted, {windows} there; some are seen again", flush=True)
    decayed = [p for p in model.parameters() if p.dim() == 2]
    plain = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}],
                                  lr=rate, betas=(0.9, 0.95), eps=1e-8, fused=True)
    warmup = min(80, max(1, steps // 10))
    model.train()
    begin, smooth = time.time(), None
    for step in range(steps):
        part = (step + 1) / warmup if step < warmup else \
            0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
        for group in optimizer.param_groups:
            group["lr"] = rate * part
        starts = [int(order[(step * batch + i) % windows]) * TRAIN_WINDOW for i in range(batch)]
        x = torch.stack([stream[s:s + TRAIN_WINDOW + 1] for s in starts])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=x[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.float().reshape(-1, VOCAB), x[:, 1:].reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
        if step % 25 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {loss.item():.4f}  smoothed {smooth:.4f}  "
                  f"perplexity {math.exp(smooth):.3f}  {time.time() - begin:.0f} s", flush=True)
    model.eval()
    return {"steps": steps, "tokens_per_step": batch * TRAIN_WINDOW, "window": TRAIN_WINDOW, "peak_rate": rate,
            "optimizer": f"AdamW, betas 0.9 0.95, weight decay {decay} on matrices, gradient norm clipped to 1, "
                         f"{warmup} warm-up steps, cosine to 3 %",
            "final_training_loss_smoothed": round(smooth, 4)}


def save_model(model, out):
    state = {}
    for name, p in sorted(model.named_parameters()):   # the tied lm_head is not listed twice
        state[name] = p.detach().to(torch.bfloat16).contiguous()
    safetensors.torch.save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)


def load_model(out):
    """The BF16 weights of the folder, computed with in float32."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        out, dtype=torch.float32, attn_implementation="eager").eval()


def linear_names(model):
    return [n + ".weight" for n, m in model.named_modules()
            if isinstance(m, torch.nn.Linear) and n.startswith("model.layers.")]


def windows_of(ids):
    n = len(ids) // WINDOW
    return torch.tensor(ids[:n * WINDOW], dtype=torch.long).reshape(n, WINDOW)


@torch.no_grad()
def window_nll(model, windows):
    """Per window: the sum over positions 1..255 of -ln p(token | the tokens before it in the window)."""
    out = []
    for w in windows:
        logp = torch.log_softmax(model(input_ids=w[None], use_cache=False).logits[0].double(), dim=-1)
        out.append(-logp[:-1].gather(1, w[1:, None]).sum().item())
    return out


def perplexity(model, windows):
    return math.exp(sum(window_nll(model, windows)) / (len(windows) * (WINDOW - 1)))


def rtn(w, bits, group):
    """Round to nearest: symmetric, scale = absmax / (2^(bits-1) - 1), half to even; `group` 0 is a whole row."""
    top = float(2 ** (bits - 1) - 1)
    v = w.reshape(w.shape[0], -1, group if group else w.shape[1])
    scale = v.abs().amax(dim=-1, keepdim=True) / top
    q = torch.where(scale > 0, torch.round(v / torch.where(scale > 0, scale, 1.0)), 0.0).clamp(-top, top)
    return (q * scale).reshape(w.shape)


def perplexity_quantized(model, names, windows, bits, group):
    params = dict(model.named_parameters())
    kept = {n: params[n].detach().clone() for n in names}
    with torch.no_grad():
        for n in names:
            params[n].copy_(rtn(kept[n], bits, group))
        result = perplexity(model, windows)
        for n in names:
            params[n].copy_(kept[n])
    return result


@torch.no_grad()
def capture(model, names, windows):
    """X^T X of every linear layer's input, summed over all tokens; raw X of the first window for RAW_LAYERS."""
    modules = dict(model.named_modules())
    grams, raw, hooks = {}, {}, []

    def watch(name):
        def hook(_module, args):
            x = args[0].reshape(-1, args[0].shape[-1])
            xd = x.double()
            grams[name] = grams.get(name, 0) + xd.T @ xd
            if name in RAW_LAYERS and name not in raw:
                raw[name] = x.float().clone().numpy()
        return hook

    for n in names:
        hooks.append(modules[n.removesuffix(".weight")].register_forward_pre_hook(watch(n)))
    for w in windows:
        model(input_ids=w[None], use_cache=False)
    for h in hooks:
        h.remove()
    return {n: grams[n].float().numpy() for n in names}, raw


def unigram_perplexity(stream, windows):
    counts = torch.bincount(stream, minlength=VOCAB).double() + 1
    logp = (counts / counts.sum()).log()
    return math.exp(-logp[windows[:, 1:].reshape(-1)].mean().item())


@torch.no_grad()
def greedy(model, ids, count):
    ids = list(ids)
    for _ in range(count):
        ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", type=pathlib.Path, required=True, help="the sample folder")
    p.add_argument("--raw-out", type=pathlib.Path, help="where activations_x.npz goes; not made without it")
    p.add_argument("--steps", type=int, default=1600)
    p.add_argument("--batch", type=int, default=2)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--decay", type=float, default=0.0)
    p.add_argument("--from-model", action="store_true", help="keep the model that is in --out")
    args = p.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(20240601)
    torch.use_deterministic_algorithms(True)
    out = args.out
    golden = out / "golden"
    golden.mkdir(parents=True, exist_ok=True)
    versions = {"python": platform.python_version(), "torch": torch.__version__,
                "transformers": transformers.__version__, "tokenizers": tokenizers.__version__,
                "safetensors": safetensors.__version__, "numpy": np.__version__}
    print(versions, flush=True)

    # No document of one split is in another.
    train_docs = generate_text.documents("train", DOCUMENTS["train"])
    calibration_docs = generate_text.documents("calibration", DOCUMENTS["calibration"], train_docs)
    test_docs = generate_text.documents("test", DOCUMENTS["test"], train_docs + calibration_docs)
    (out / "calibration.txt").write_text(generate_text.join(calibration_docs), encoding="utf-8")
    (out / "test.txt").write_text(generate_text.join(test_docs), encoding="utf-8")

    if not args.from_model:
        make_tokenizer(train_docs, out)
    tok = Tokenizer.from_file(str(out / "tokenizer.json"))
    stream = training_stream(tok, train_docs)
    print(f"training text: {len(train_docs)} documents, {len(stream)} tokens", flush=True)

    if args.from_model:
        training = json.loads((golden / "perplexity.json").read_text(encoding="utf-8"))["training"]
    else:
        write_json(out / "config.json", CONFIG)
        write_json(out / "generation_config.json",
                   {"_from_model_config": True, "bos_token_id": 0, "do_sample": False, "eos_token_id": 0})
        model = new_model(out)
        training = train(model, stream, args.steps, args.batch, args.rate, args.decay)
        training["text_tokens"] = len(stream)
        save_model(model, out)

    model = load_model(out)
    names = linear_names(model)

    calibration = windows_of(ids_of(tok, (out / "calibration.txt").read_text(encoding="utf-8")))
    grams, raw = capture(model, names, calibration)
    np.savez_compressed(out / "activations.npz", **grams)
    if args.raw_out:
        args.raw_out.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(args.raw_out / "activations_x.npz", **{n: raw[n] for n in RAW_LAYERS})

    test_ids = ids_of(tok, (out / "test.txt").read_text(encoding="utf-8"))
    test = windows_of(test_ids)
    np.save(golden / "tokens.npy", test[:GOLDEN_WINDOWS].numpy().astype(np.int32))
    with torch.no_grad():
        logits = model(input_ids=test[:1, :GOLDEN_LOGITS], use_cache=False).logits[0]
    np.save(golden / "logits.npy", logits.numpy().astype(np.float32))

    nll = window_nll(model, test)
    base = math.exp(sum(nll) / (len(test) * (WINDOW - 1)))
    quantized = {}
    for bits, group in [(8, 0), (6, 0), (5, 0), (4, 0), (4, 64), (4, 32), (3, 0), (3, 64), (2, 0), (2, 64)]:
        name = f"int{bits}:" + (f"g{group}" if group else "channel")
        ppl = perplexity_quantized(model, names, test, bits, group)
        quantized[name] = {"perplexity": ppl, "rise_percent": 100.0 * (ppl / base - 1.0)}
        print(f"{name:14s} {ppl:10.4f}  {100.0 * (ppl / base - 1.0):+.2f} %", flush=True)

    prompt = "In Calder lived a baker called Mara. She had an old lamp in the cellar and a small key in the attic."
    prompt_ids = ids_of(tok, prompt)
    full = greedy(model, prompt_ids, 48)
    write_json(golden / "greedy.json", {
        "definition": "the most likely next token 48 times, float32, no token added before the prompt",
        "prompt": prompt, "prompt_ids": prompt_ids, "continuation_ids": full[len(prompt_ids):],
        "continuation": tok.decode(full[len(prompt_ids):], skip_special_tokens=False)})

    write_json(golden / "perplexity.json", {
        "definition": "test.txt is tokenized as a whole, no special tokens added, and cut into windows of `window` "
                      "tokens that do not overlap; the incomplete last one is dropped. Each window is computed on "
                      "its own from position 0. Positions 1 to window-1 are scored with the natural logarithm of the "
                      "probability given the tokens before in the window. perplexity = exp(-sum / scored_tokens).",
        "computed_in": "float32 from the BF16 weights (eager attention); log-softmax and sums in float64",
        "window": WINDOW,
        "windows": len(test),
        "test_tokens": len(test_ids),
        "test_tokens_sha256": hashlib.sha256(np.array(test_ids, dtype="<i4").tobytes()).hexdigest(),
        "scored_tokens": len(test) * (WINDOW - 1),
        "perplexity": base,
        "unigram_perplexity": unigram_perplexity(stream, test),
        "window_nll": nll,
        "quantized": {
            "definition": "round to nearest of every linear weight of every block (q k v o gate up down); embedding "
                          "(and so the tied output) and norms untouched. Symmetric: scale = absmax / (2^(bits-1) - 1) "
                          "in float32 per output row (channel) or per group of that many inputs (g32, g64); "
                          "q = round-half-even(w / scale), clamped to +-(2^(bits-1) - 1); weight = q * scale in float32.",
            **quantized},
        "activations": {
            "definition": "activations.npz: X^T X [in, in] float32 per linear layer, keyed by its weight's name, X the "
                          "layer's input; summed, not averaged, over `tokens` tokens: calibration.txt in windows as "
                          "above; accumulated in float64. q, k and v have the same input, as have gate and up.",
            "tokens": int(calibration.numel()), "windows": len(calibration)},
        "golden": {"tokens.npy": f"int32 [{GOLDEN_WINDOWS}, {WINDOW}]: the first windows of test.txt",
                   "logits.npy": f"float32 [{GOLDEN_LOGITS}, {VOCAB}]: logits of the first {GOLDEN_LOGITS} tokens "
                                 "of window 0"},
        "training": training,
        "versions": versions,
    })
    print(f"perplexity {base:.4f}  unigram {unigram_perplexity(stream, test):.1f}  "
          f"{len(test) * (WINDOW - 1)} scored tokens", flush=True)
    print("greedy:", tok.decode(full, skip_special_tokens=False), flush=True)
    total = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"{total} bytes in {out.name}", flush=True)


if __name__ == "__main__":
    main()
