# SPDX-License-Identifier: GPL-3.0-or-later
"""What `qloupe run` computes against transformers in float32.

    python model_outputs.py QLOUPE MODELS

SmolLM2-135M, as folder and as F16 GGUF (whose weights were rounded from others), over five prompts: logits within
1e-3. MiniLM: mean-pooled, normalized embeddings within 1e-4.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    if n < 2:\n        return n\n",
    "Once upon a time, in a village at the foot of the mountains, there lived a clockmaker who",
    "1, 2, 3, 5, 8, 13, 21, 34,",
    "Über den Wolken muss die Freiheit wohl grenzenlos sein. 東京は日本の首都です。 😀",
]


def run(qloupe, model, ids):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.npz"
        subprocess.run([qloupe, "run", str(model), "--ids", ",".join(map(str, ids)), "--npz", str(out), "--quiet"],
                       check=True, stdout=subprocess.DEVNULL)
        with np.load(out) as arrays:
            return dict(arrays)


def report(what, worst, limit):
    print(f"{what}: {worst:.3g} (limit {limit:g}) {'ok' if worst <= limit else 'FAILED'}", flush=True)
    return worst > limit


def logits(qloupe, models):
    folder, gguf = models / "smollm2-135m", models / "smollm2-135m-f16.gguf"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    failed = 0
    for path, where in ((folder, {"pretrained_model_name_or_path": folder}),
                        (gguf, {"pretrained_model_name_or_path": models, "gguf_file": gguf.name})):
        model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
        worst = 0.0
        for prompt in PROMPTS:
            ids = tokenizer(prompt)["input_ids"]
            with torch.no_grad():
                expected = model(torch.tensor([ids])).logits[0].numpy()
            worst = max(worst, np.abs(run(qloupe, path, ids)["logits"] - expected).max())
        failed += report(f"{path.name} logits", worst, 1e-3)
    return failed


def embeddings(qloupe, models):
    folder = models / "minilm-l6-v2"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    worst = 0.0
    for prompt in PROMPTS:
        ids = tokenizer(prompt)["input_ids"]
        with torch.no_grad():
            expected = model(torch.tensor([ids])).last_hidden_state[0].numpy()
        pooled = [hidden.mean(0) / np.linalg.norm(hidden.mean(0)) for hidden in (expected, run(qloupe, folder, ids)["hidden"])]
        worst = max(worst, np.abs(pooled[0] - pooled[1]).max())
    return report("minilm-l6-v2 embeddings", worst, 1e-4)


def main(qloupe, models):
    models = pathlib.Path(models)
    return 1 if logits(qloupe, models) + embeddings(qloupe, models) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
