# SPDX-License-Identifier: GPL-3.0-or-later
# Writes the safetensors_* files and huggingface_* folders here. Needs torch, safetensors 0.8 and ml_dtypes.
import json
import os
import struct

import ml_dtypes
import numpy as np
import torch
from safetensors.torch import save_file

import golden

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(5)

WORDS = {
    torch.float64: "f64", torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16", torch.float8_e4m3fn: "f8_e4m3",
    torch.float8_e5m2: "f8_e5m2", torch.float8_e8m0fnu: "f8_e8m0", torch.int64: "i64", torch.int32: "i32", torch.int16: "i16",
    torch.int8: "i8", torch.uint64: "u64", torch.uint32: "u32", torch.uint16: "u16", torch.uint8: "u8", torch.bool: "bool",
    torch.complex64: "c64",
}


def expected(t):
    raw = t.contiguous().reshape(-1).view(torch.uint8) if t.numel() else torch.zeros(0, dtype=torch.uint8)
    entry = golden.tensor(raw.numpy(), WORDS[t.dtype])
    entry["shape"] = list(t.shape)
    if t.dtype not in (torch.complex64, torch.int64, torch.uint64):
        entry["values"] = [golden.number(v) for v in t.to(torch.float64).reshape(-1)]
    return entry


def random(dtype, shape):
    n = int(np.prod(shape))
    size = torch.empty(0, dtype=dtype).element_size()
    raw = torch.randint(0, 2 if dtype == torch.bool else 256, (n * size,), dtype=torch.uint8)
    return (raw.view(dtype) if n else torch.empty(0, dtype=dtype)).reshape(shape)


# Every dtype, random bytes (NaN, infinities and subnormals among them), several ranks, all codes of the 8-bit floats.
tensors = {}
for dtype, word in WORDS.items():
    for shape in ((3, 4), (2, 3, 2), (5,), (), (0, 3)):
        tensors[f"{word}.{'x'.join(map(str, shape)) or 'scalar'}"] = random(dtype, shape)
for dtype in (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu):
    tensors[f"all.{WORDS[dtype]}"] = torch.arange(256, dtype=torch.uint8).view(dtype).reshape(16, 16)
metadata = {"format": "pt", "ключ": "значение"}
save_file(tensors, "safetensors_all.safetensors", metadata)
golden.write("safetensors_all.safetensors", {k: expected(v) for k, v in tensors.items()}, warnings=1, metadata=metadata)  # c64 has no decoder


# Sub-byte floats: torch cannot store them by shape, so the header is written by hand; values from ml_dtypes, bits packed
# as one little-endian stream. And a dtype of the future, shown as bytes with a warning.
def pack(codes, bits):
    stream = np.unpackbits(codes.astype(np.uint8)[:, None], axis=1, bitorder="little")[:, :bits].ravel()
    return np.packbits(stream, bitorder="little").tobytes()


header, data, wanted = {}, b"", {}
for word, name, bits, kind in (("F4", "f4_e2m1", 4, ml_dtypes.float4_e2m1fn), ("F6_E2M3", "f6_e2m3", 6, ml_dtypes.float6_e2m3fn),
                               ("F6_E3M2", "f6_e3m2", 6, ml_dtypes.float6_e3m2fn)):
    codes = np.arange(1 << bits)
    raw = pack(codes, bits)
    header[name] = {"dtype": word, "shape": [4, len(codes) // 4], "data_offsets": [len(data), len(data) + len(raw)]}
    wanted[name] = golden.tensor(np.frombuffer(raw, np.uint8), name, codes.astype(np.uint8).view(kind).astype(np.float64))
    wanted[name]["shape"] = header[name]["shape"]
    data += raw
header["future"] = {"dtype": "F8_E9M9", "shape": [2, 2], "data_offsets": [len(data), len(data) + 4]}
wanted["future"] = golden.tensor(np.arange(4, dtype=np.uint8).reshape(2, 2), "u8")
data += bytes(range(4))
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open("safetensors_subbyte.safetensors", "wb") as out:
    out.write(struct.pack("<Q", len(text)) + text + data)
golden.write("safetensors_subbyte.safetensors", wanted, warnings=1)

# A tiny tied Llama, as one file and as two shards.
llama = {"model.embed_tokens.weight": torch.randn(12, 4), "model.norm.weight": torch.randn(4)}
for i in range(2):
    block = f"model.layers.{i}."
    for name, shape in (("self_attn.q_proj", (4, 4)), ("self_attn.k_proj", (2, 4)), ("self_attn.v_proj", (2, 4)),
                        ("self_attn.o_proj", (4, 4)), ("mlp.gate_proj", (6, 4)), ("mlp.up_proj", (6, 4)), ("mlp.down_proj", (4, 6)),
                        ("input_layernorm", (4,)), ("post_attention_layernorm", (4,))):
        llama[block + name + ".weight"] = torch.randn(*shape)
llama = {k: v.to(torch.bfloat16) for k, v in llama.items()}
config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4, "intermediate_size": 6,
          "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 12, "rms_norm_eps": 1e-05,
          "tie_word_embeddings": True}
for folder in ("huggingface_single", "huggingface_sharded"):
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/config.json", "w") as out:
        out.write(json.dumps(config))
    golden.write(folder, {k: expected(v) for k, v in llama.items()}, metadata={"format": "pt"}, config=json.dumps(config))
save_file(llama, "huggingface_single/model.safetensors", {"format": "pt"})
names = sorted(llama)
weight_map = {}
for i, part in enumerate((names[:9], names[9:])):
    shard = f"model-{i + 1:05}-of-00002.safetensors"
    save_file({k: llama[k] for k in part}, "huggingface_sharded/" + shard, {"format": "pt"})
    weight_map.update({k: shard for k in part})
with open("huggingface_sharded/model.safetensors.index.json", "w") as out:
    json.dump({"metadata": {"total_size": sum(v.numel() * 2 for v in llama.values())}, "weight_map": weight_map}, out)

# GPT-2's Conv1D modules store [in, out].
w = golden.oriented()
gpt2 = {"attn.c_attn": w["c_attn"], "attn.c_proj": w["attn_proj"], "mlp.c_fc": w["c_fc"], "mlp.c_proj": w["mlp_proj"]}
gpt2 = {f"transformer.h.0.{name}.weight": torch.from_numpy(a.T.copy()) for name, a in gpt2.items()}
gpt2["transformer.wte.weight"] = torch.from_numpy(w["embedding"])
os.makedirs("oriented_gpt2", exist_ok=True)
save_file(gpt2, "oriented_gpt2/model.safetensors", {"format": "pt"})
with open("oriented_gpt2/config.json", "w") as out:
    json.dump({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, out)
