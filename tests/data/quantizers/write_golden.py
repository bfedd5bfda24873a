#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes compressed_tensors.json and gguf.json beside itself: weights, and what the reference libraries make of them.

Needs torch, compressed-tensors 0.20 and gguf 0.19. compressed-tensors computes in the weights' dtype, here bfloat16:
scale, quotient and zero point are each rounded to it.
"""
import json
import pathlib

import gguf
import numpy as np
import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import quantize
from compressed_tensors.quantization.utils import calculate_qparams

HERE = pathlib.Path(__file__).parent
ROWS, COLS = 6, 192


def bits16(t):
    return t.contiguous().view(torch.int16).to(torch.int32).bitwise_and(0xFFFF).flatten().tolist()


def compressed_tensors():
    torch.manual_seed(1)
    w = (torch.randn(ROWS, COLS) * 0.05 * torch.exp(torch.randn(ROWS, 1))).to(torch.bfloat16)
    w[2, 64:128] = 0  # a group of zeros
    w[3] = w[3].abs()  # one-sided
    cases = []
    for bits in (3, 4, 8):
        for symmetric in (True, False):
            for group in (64, 0):
                args = QuantizationArgs(
                    num_bits=bits, symmetric=symmetric, strategy="group" if group else "channel", group_size=group or None)
                runs = w.reshape(ROWS, -1, group or COLS)
                scale, zero = calculate_qparams(runs.amin(-1), runs.amax(-1), args)
                codes = quantize(w, scale, zero, args, dtype=torch.int8)
                text = f"int{bits}" + (f":g{group}" if group else "") + ("" if symmetric else ":asym") + ":s=bf16"
                cases.append({"scheme": text, "scales": bits16(scale), "zeros": zero.to(torch.int32).flatten().tolist(),
                              "codes": codes.to(torch.int32).flatten().tolist()})
    return {"shape": [ROWS, COLS], "weights_bf16": bits16(w), "cases": cases}


def ggml():
    rng = np.random.default_rng(2)
    w = (rng.standard_normal((12, 64)) * 0.05 * np.exp(rng.standard_normal((12, 1)))).astype(np.float32)
    w[1, :32] = 0
    w[2, :4] = [0.5, -0.5, 0.5, -0.5]  # the first of equal magnitudes counts
    w[3, 32:] = 0.125
    w[4] *= np.float32(1e-7)  # scales below the normal range of float16
    cases = []
    for name in ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0"):
        blocks = gguf.quants.quantize(w, gguf.GGMLQuantizationType[name.upper()])
        cases.append({"type": name, "bytes": blocks.tobytes().hex()})
    return {"shape": list(w.shape), "weights_f32": w.view(np.uint32).flatten().tolist(), "cases": cases}


for name, data in (("compressed_tensors", compressed_tensors()), ("gguf", ggml())):
    (HERE / f"{name}.json").write_text(json.dumps(data, separators=(",", ":")) + "\n")
