#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes golden.json: how transformers' generate continues a prompt, greedily, with tiny models of ../frontends.

    python make_generation.py

Prompts are such that at every step the best token leads by at least GAP, so that the rounding of float decides nothing
(Gemma 2's last cap makes ties of the tiny models' logits, so it is left out).
Needs torch, transformers 5.23.
"""
import json
import pathlib

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).parent
MODELS = ["llama", "llama_biases", "llama_dynamic", "llama_llama3", "llama_longrope", "mistral", "qwen2_window", "qwen3",
          "granite", "gemma", "gemma3", "phi3", "mixtral", "qwen2_moe", "qwen3_moe", "gpt2",
          "gpt2_options", "opt", "opt_350m", "mamba", "mamba_biases"]
VOCAB, PROMPT, NEW, GAP = 37, 5, 15, 1e-4


def continued(model, prompt):
    out = model.generate(torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False, eos_token_id=None,
                         pad_token_id=0, output_logits=True, return_dict_in_generate=True)
    best = torch.stack(out.logits)[:, 0].topk(2).values
    return out.sequences[0, len(prompt):].tolist(), (best[:, 0] - best[:, 1]).min().item()


def main():
    golden = {}
    for name in MODELS:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            HERE.parent / "frontends" / name, dtype=torch.float32, attn_implementation="eager",
            **({"experts_implementation": "eager"} if "mix" in name or "moe" in name else {})).eval()
        for seed in range(1000):
            prompt = np.random.default_rng(seed).integers(3, VOCAB, PROMPT).tolist()
            ids, gap = continued(model, prompt)
            if gap >= GAP and len(set(ids)) > 1:
                break
        else:
            raise SystemExit(f"{name}: no prompt without near ties")
        golden[name] = {"prompt": prompt, "ids": ids}
        print(name, golden[name])
    lines = [f'"{name}": {json.dumps(value)}' for name, value in golden.items()]
    (HERE / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
