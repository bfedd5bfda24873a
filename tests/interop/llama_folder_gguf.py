# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares a GGUF file that was exported from a Llama-family folder: every weight, bit for bit, with the restored weights
of an HDF5 export of the same folder and plan (names mapped and rows permuted here, by the converter's own rule), and the
keys with those of a GGUF file of the same model made by someone else.

    python llama_folder_gguf.py EXPORT.gguf EXPORT.h5 REFERENCE.gguf
"""
import sys

import gguf
import h5py
import numpy as np

NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
         "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
COMPARED = ("llama.", "tokenizer.", "general.architecture", "general.type")


def folder_name(name):
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    if name == "output.weight":
        return "lm_head.weight"
    _, block, part, kind = name.split(".")
    return f"model.layers.{block}.{NAMES[part]}.{kind}"


def permute(w, heads):
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def bits(x):
    return np.ascontiguousarray(x, dtype=np.float32).view(np.uint32).ravel()


def main(path, hdf5, reference_path):
    reader, reference = gguf.GGUFReader(path), gguf.GGUFReader(reference_path)
    field = lambda key: reader.fields[key].contents()
    heads = {"attn_q": field("llama.attention.head_count"), "attn_k": field("llama.attention.head_count_kv")}
    compared = differing = coded = 0
    with h5py.File(hdf5, "r") as export:
        for tensor in reader.tensors:
            group = export["tensors"][folder_name(tensor.name)]
            expected = group["weights" if "weights" in group else "values"][()].astype(np.float32)
            part = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
            if part in heads:
                expected = permute(expected, heads[part])
            actual = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            coded += "weights" in group
            compared += expected.size
            wrong = int((bits(expected) != bits(actual)).sum())
            differing += wrong
            if wrong:
                print(f"{tensor.name} {tensor.tensor_type.name}: {wrong} of {expected.size} differ")
    print(f"{len(reader.tensors)} tensors, {coded} of them coded, {compared} weights compared, {differing} differ")

    theirs = {t.name: t for t in reference.tensors}
    worst = 0.0
    for tensor in reader.tensors:
        a = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        b = gguf.dequantize(theirs[tensor.name].data, theirs[tensor.name].tensor_type).astype(np.float64)
        if tensor.tensor_type.name in ("F32", "F16", "BF16"):
            worst = max(worst, float((np.abs(a - b) / np.maximum(np.abs(b), 1e-3)).max()))
    print(f"16- and 32-bit tensors against {len(theirs)} of the reference: largest relative difference {worst:.2e} "
          f"(bf16 has 3.9e-03)")
    equal, different, missing = [], [], []
    for key, f in reference.fields.items():
        if key.startswith(COMPARED):
            ours = reader.fields.get(key)
            (missing if ours is None else equal if ours.contents() == f.contents() else different).append(key)
    print(f"keys of the reference: {len(equal)} equal, different {different}, not written {missing}")
    print("only here:", [k for k in reader.fields if k not in reference.fields])
    return 1 if differing or different or worst > 4e-3 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
