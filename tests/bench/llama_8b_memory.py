#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peak memory and bytes in the study when one batch of 512 tokens calibrates a model of Llama-3.1-8B's shapes.

    python llama_8b_memory.py build/release/bin/qloupe FOLDER [OPTIONS OF calibrate…]

Writes a sparse safetensors file (16 GB long, nothing on disk) of zeros with config.json into FOLDER, runs `qloupe calibrate`
on it and prints as JSON the seconds it took, its own memory (anonymous pages; mapped pages of the checkpoint belong to the
page cache) and the bytes of the study. Without options twice: --gram blocks, then in another study also all of XᵀX of one
block. Aim: 4 GiB each.
"""
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import time

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
          "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
          "vocab_size": 128256, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
          "hidden_act": "silu", "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
TOKENS = 512
USUAL = (["--gram", "blocks"], ["--gram", "blocks", "--full", "model.layers.12.*"])


def write_model(folder):
    width, inner, keys, vocabulary = 4096, 14336, 1024, 128256
    shapes = {"model.embed_tokens.weight": [vocabulary, width], "model.norm.weight": [width],
              "lm_head.weight": [vocabulary, width]}
    for block in range(CONFIG["num_hidden_layers"]):
        for name, shape in (("input_layernorm", [width]), ("post_attention_layernorm", [width]),
                            ("self_attn.q_proj", [width, width]), ("self_attn.k_proj", [keys, width]),
                            ("self_attn.v_proj", [keys, width]), ("self_attn.o_proj", [width, width]),
                            ("mlp.gate_proj", [inner, width]), ("mlp.up_proj", [inner, width]),
                            ("mlp.down_proj", [width, inner])):
            shapes[f"model.layers.{block}.{name}.weight"] = shape
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    ids = struct.pack(f"<{TOKENS}q", *range(TOKENS))
    described = b"{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }" % TOKENS
    described += b" " * (-(len(described) + 11) % 64) + b"\n"
    (folder / "tokens.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(described)) + described + ids)


def peak_of(process):
    """Largest RssAnon, sampled; it ends with the process."""
    peak = 0
    while process.poll() is None:
        try:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        peak = max([peak] + [1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")])
        time.sleep(0.02)
    return peak


def calibrate(program, folder, options):
    study = folder / "study.qloupe"
    study.unlink(missing_ok=True)
    shutil.rmtree(folder / "study.qloupe.d", ignore_errors=True)
    start = time.monotonic()
    process = subprocess.Popen([program, "calibrate", folder, "--tokens", folder / "tokens.npy", "--context", str(TOKENS),
                                "--out", study, "--json", "--quiet", *options], stdout=subprocess.PIPE)
    peak = peak_of(process)
    result = json.loads(process.communicate()[0])
    files = [study, *folder.glob("study.qloupe.d/*")]
    print(json.dumps({"options": options, "seconds": round(time.monotonic() - start, 1), "peak_bytes": peak,
                      "study_bytes": sum(file.stat().st_size for file in files), "announced": result}))


def main():
    program, folder, options = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder)
    for chosen in [options] if options else USUAL:
        calibrate(program, folder, chosen)


if __name__ == "__main__":
    main()
