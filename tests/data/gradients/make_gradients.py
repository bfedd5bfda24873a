#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what PyTorch's autograd makes of tiny models of ../frontends: gradients of the loss and the Fisher diagonal.

    python make_gradients.py

Each MODEL.npz holds `tokens` [windows, length]; for every weight of a linear layer or table, under its name in the
checkpoint, "gradient/NAME": of Σ −ln p(next token) over the first window, and "fisher/NAME": the mean over all tokens of
the squared gradient of Σ −ln p(label) of a window, labels drawn from the model as core/model/evaluation/labels.h says
with seed 7, and for every linear layer "outputs/NAME": the mean over those tokens of the squared gradient of each output, and
"loss_gram/NAME": over the same tokens the sum of x·xᵀ, x the layer's input, times the mean of the squared gradients of
its outputs. A weight that is table and output head at once counts as two whose squares are added. Computed in float64; matrices are
[out, in]. Needs torch, transformers 5.23.
"""
import pathlib

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).parent
MODELS = ["llama", "qwen2", "gemma2", "gpt2", "opt_350m", "mamba"]
WINDOWS, LENGTH, SEED = 3, 13, 7
MASK = (1 << 64) - 1


def mixed(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def uniform(seed, stream, index):
    """core/base/rng.h."""
    key = mixed(seed ^ mixed((stream + 0x632BE59BD9B4E019) & MASK))
    return (mixed(mixed((index * 0x9E3779B97F4A7C15 + key) & MASK) ^ key) >> 11) * 2.0**-53


def drawn(probabilities, window):
    totals = probabilities.cumsum(-1).numpy()
    return [int(np.searchsorted(row, uniform(SEED, window, t) * row[-1], side="right")) for t, row in enumerate(totals)]


def in_float64(folder):
    """The model with the weights of the folder, everything in float64 and its output head untied."""
    kept = torch.float32, torch.float, torch.Tensor.float
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tied = loaded.config.tie_word_embeddings
    config = transformers.AutoConfig.from_pretrained(folder, attn_implementation="eager")
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    try:
        model = type(loaded)(config).eval()
        model.load_state_dict({name: tensor.double() for name, tensor in loaded.state_dict().items()})
    finally:
        torch.float32, torch.float, torch.Tensor.float = kept
        torch.set_default_dtype(torch.float32)
    head = model.get_output_embeddings()
    table = model.get_input_embeddings()
    if tied:
        head.weight = torch.nn.Parameter(table.weight.detach().clone())
    return model, tied


def main():
    for name in MODELS:
        model, tied = in_float64(HERE.parent / "frontends" / name)
        tokens = np.random.default_rng(SEED).integers(3, 37, (WINDOWS, LENGTH))
        weights = {key: (value, module) for prefix, module in model.named_modules()
                   for key, value in ((f"{prefix}.weight", getattr(module, "weight", None)),)
                   if value is not None and value.ndim >= 2}

        squares = {}  # of the output gradients of linear layers, summed over tokens
        grams = {}
        inputs = {}

        def see(key, outputs):
            gradient = outputs[0].flatten(0, -2).square()
            squares[key] = squares.get(key, 0) + gradient.sum(0).numpy()
            x = inputs[key]
            grams[key] = grams.get(key, 0) + (x.T @ (gradient.mean(1, keepdim=True) * x)).numpy()

        for key, (_, module) in weights.items():
            if type(module).__name__ in ("Linear", "Conv1D"):
                module.register_forward_hook(
                    lambda _, given, __, key=key: inputs.__setitem__(key, given[0].detach().flatten(0, -2)))
                module.register_full_backward_hook(lambda _, __, outputs, key=key: see(key, outputs))

        def gradients(window, labels):
            model.zero_grad()
            kept = torch.float32
            torch.float32, torch.Tensor.float = torch.float64, torch.Tensor.double
            try:
                logits = model(torch.tensor(window)[None]).logits[0]
                chosen = labels(logits.detach())
                torch.nn.functional.cross_entropy(logits[: len(chosen)], torch.tensor(chosen), reduction="sum").backward()
            finally:
                torch.float32, torch.Tensor.float = kept, FLOAT
            made = {}
            for key, (value, module) in weights.items():
                turned = value.grad.T if type(module).__name__ == "Conv1D" else value.grad
                made[key] = turned.numpy().copy()
            return made

        arrays = {"tokens": tokens}
        table = next(key for key, (value, _) in weights.items() if value is model.get_input_embeddings().weight)
        head = next(key for key, (value, _) in weights.items() if value is model.get_output_embeddings().weight)

        def add(kind, made):
            for key, value in made.items():
                if not (tied and key == head):
                    arrays[f"{kind}/{key}"] = value + made[head] if tied and key == table else value

        add("gradient", gradients(tokens[0], lambda logits: tokens[0, 1:]))
        sums = {}
        squares.clear()
        grams.clear()
        for window in range(WINDOWS):
            made = gradients(tokens[window], lambda logits: drawn(logits.softmax(-1), window))
            for key, value in made.items():
                sums[key] = sums.get(key, 0) + value**2 / tokens.size
        add("fisher", sums)
        for key, value in squares.items():
            arrays[f"outputs/{table if tied and key == head else key}"] = value / tokens.size
        for key, value in grams.items():
            arrays[f"loss_gram/{table if tied and key == head else key}"] = value
        np.savez(HERE / f"{name}.npz", **{key: value.astype(np.int64 if key == "tokens" else np.float32)
                                          for key, value in arrays.items()})
        print(name, len(arrays))


FLOAT = torch.Tensor.float
if __name__ == "__main__":
    main()
