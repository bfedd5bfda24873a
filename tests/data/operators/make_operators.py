#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes operators.json and operators.npz: what PyTorch computes for operators of core/model/graph, and by autograd the
gradients of their inputs, in float64. Needs torch 2.x and numpy.

    python3 make_operators.py

A case is one node: operator, attributes, inputs (null: left out), the output, the gradient of the output that autograd
began with, and those of the inputs. Integer inputs stand in the JSON, arrays of float64 in the archive as
<case>/in<i>, <case>/out, <case>/dout, <case>/din<i>.
"""
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(20261128)
torch.set_default_dtype(torch.float64)
cases, arrays = [], {}


def integers(values):
    return torch.tensor(values, dtype=torch.int64)


def normal(*shape):
    return torch.randn(*shape)


def case(name, op, inputs, compute, differentiable=None, **attributes):
    """compute(*inputs) is the reference; inputs without gradient are those not in `differentiable`."""
    described = []
    for i, value in enumerate(inputs):
        if value is None:
            described.append(None)
        elif value.dtype == torch.int64:
            described.append({"shape": list(value.shape), "integers": value.flatten().tolist()})
        else:
            described.append({"shape": list(value.shape)})
            value.requires_grad_(differentiable is None or i in differentiable)
            arrays[f"{name}/in{i}"] = value.detach().numpy()
    out = compute(*inputs)
    gradient = torch.randn_like(out)
    out.backward(gradient)
    arrays[f"{name}/out"] = out.detach().numpy()
    arrays[f"{name}/dout"] = gradient.numpy()
    for i, value in enumerate(inputs):
        if value is not None and value.dtype != torch.int64 and value.requires_grad:
            grad = value.grad if value.grad is not None else torch.zeros_like(value)
            arrays[f"{name}/din{i}"] = grad.numpy()
    cases.append({"name": name, "op": op, "attributes": attributes, "inputs": described})


# --- attention -------------------------------------------------------------------------------------------------------
def attention(heads, kv_heads, causal=False, window=0, softcap=0.0, scale=None):
    def compute(q, k, v, mask=None):
        def split(x, n):
            return x.unflatten(-1, (n, -1)).transpose(1, 2)

        q, k, v = split(q, heads), split(k, kv_heads), split(v, kv_heads)
        k, v = (x.repeat_interleave(heads // kv_heads, dim=1) for x in (k, v))
        scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
        if softcap:
            scores = softcap * torch.tanh(scores / softcap)
        i, j = torch.arange(q.shape[2])[:, None], torch.arange(k.shape[2])[None, :]
        seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool)
        if causal:
            seen &= j <= i
        if window:
            seen &= (i - j < window) & (j - i < window)
        if mask is not None:
            scores = scores + mask
        scores = scores.masked_fill(~seen, float("-inf"))
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)

    return compute


case("attention_plain", "attention", [normal(2, 5, 6), normal(2, 7, 6), normal(2, 7, 8)], attention(2, 2), heads=2)
case("attention_causal_gqa", "attention", [normal(2, 7, 12), normal(2, 7, 6), normal(2, 7, 10)],
     attention(4, 2, causal=True), heads=4, kv_heads=2, causal=1)
case("attention_mqa_scale", "attention", [normal(1, 3, 9), normal(1, 3, 3), normal(1, 3, 3)],
     attention(3, 1, causal=True, scale=0.3), heads=3, kv_heads=1, causal=1, scale=0.3)
case("attention_window", "attention", [normal(1, 9, 4), normal(1, 9, 4), normal(1, 9, 4)],
     attention(2, 2, causal=True, window=3), heads=2, causal=1, window=3)
case("attention_window_both", "attention", [normal(1, 9, 4), normal(1, 9, 4), normal(1, 9, 4)],
     attention(1, 1, window=2), heads=1, window=2)
case("attention_softcap", "attention", [3 * normal(1, 6, 4), 3 * normal(1, 6, 4), normal(1, 6, 4)],
     attention(2, 2, causal=True, softcap=1.5), heads=2, causal=1, softcap=1.5)
mask = normal(2, 1, 1, 5)
mask[1, 0, 0, 3:] = float("-inf")
case("attention_mask", "attention", [normal(2, 4, 6), normal(2, 5, 6), normal(2, 5, 6), mask],
     attention(3, 3), differentiable=(0, 1, 2), heads=3)
case("attention_padding", "attention", [normal(2, 4, 6), normal(2, 5, 6), normal(2, 5, 6),
                                        integers([[1, 1, 1, 1, 1], [0, 1, 1, 1, 0]])],
     lambda q, k, v, seen: attention(3, 3)(q, k, v, torch.zeros(2, 1, 1, 5).masked_fill(seen[:, None, None] == 0, -torch.inf)),
     heads=3)
case("attention_long", "attention", [normal(1, 133, 2), normal(1, 133, 2), normal(1, 133, 2)],
     attention(1, 1, causal=True, window=70), heads=1, causal=1, window=70)

# --- norms -----------------------------------------------------------------------------------------------------------
case("layer_norm", "layer_norm", [normal(2, 3, 5), normal(5), normal(5)],
     lambda x, w, b: F.layer_norm(x, (5,), w, b, 1e-3), epsilon=1e-3)
case("layer_norm_plain", "layer_norm", [1000 + normal(3, 7)], lambda x: F.layer_norm(x, (7,)))
case("rms_norm", "rms_norm", [normal(2, 3, 5), normal(5)], lambda x, w: F.rms_norm(x, (5,), w, 1e-2), epsilon=1e-2)
case("rms_norm_gemma_heads", "rms_norm", [normal(2, 3, 12), normal(4)],
     lambda x, w: F.rms_norm(x.unflatten(-1, (3, 4)), (4,), 1 + w, 1e-6).flatten(-2), size=4, offset=1.0)
case("batch_norm", "batch_norm", [normal(2, 3, 2, 5), normal(3), normal(3), normal(3), 0.1 + torch.rand(3)],
     lambda x, w, b, m, v: (x - m[:, None, None]) / (v[:, None, None] + 1e-3).sqrt() * w[:, None, None] + b[:, None, None],
     epsilon=1e-3)
case("batch_norm_eval", "batch_norm", [normal(5, 4), normal(4), normal(4), normal(4), 0.1 + torch.rand(4)],
     lambda x, w, b, m, v: F.batch_norm(x, m.detach(), v.detach(), w, b, False), differentiable=(0, 1, 2))

# --- elementwise -----------------------------------------------------------------------------------------------------
for name, function in {"gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu,
                       "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softplus": F.softplus, "relu": F.relu,
                       "relu2": lambda x: F.relu(x) ** 2, "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
                       "exp": torch.exp}.items():
    case(f"activation_{name}", "activation", [2 * normal(3, 11)], function, function=name)
for name, function, attributes in [
        ("leaky_relu", lambda x: F.leaky_relu(x, 0.2), {"alpha": 0.2}), ("elu", lambda x: F.elu(x, 0.7), {"alpha": 0.7}),
        ("clip", F.relu6, {"alpha": 0.0, "beta": 6.0}), ("hard_swish", F.hardswish, {}), ("mish", F.mish, {}),
        ("hard_sigmoid", lambda x: torch.clamp(x / 6 + 0.5, 0, 1), {"alpha": 1 / 6, "beta": 0.5}), ("erf", torch.erf, {}), ("abs", torch.abs, {})]:
    case(f"unary_{name}", "unary", [3 * normal(3, 7)], function, function=name, **attributes)
case("gated_silu", "gated", [normal(2, 3, 5), normal(2, 3, 5)], lambda g, u: F.silu(g) * u, function="silu")
case("gated_fused", "gated", [normal(2, 10)], lambda x: F.gelu(x[:, :5], approximate="tanh") * x[:, 5:],
     function="gelu_tanh")
case("softcap", "softcap", [30 * normal(4, 5)], lambda x: 30 * torch.tanh(x / 30), cap=30.0)
case("softmax_last", "softmax", [3 * normal(2, 3, 5)], lambda x: x.softmax(-1))
case("softmax_middle", "softmax", [3 * normal(2, 3, 5)], lambda x: x.softmax(1), axis=1)

# --- convolutions, pooling, resizing ---------------------------------------------------------------------------------
case("conv_2d", "conv", [normal(2, 3, 7, 6), normal(4, 3, 3, 2), normal(4)],
     lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(1, 0), dilation=(1, 2)), strides=[2, 1],
     pads=[1, 0, 1, 0], dilations=[1, 2])
case("conv_groups", "conv", [normal(2, 6, 5, 5), normal(4, 3, 3, 3)], lambda x, w: F.conv2d(x, w, groups=2), groups=2)
case("conv_depthwise", "conv", [normal(1, 5, 6, 4), normal(10, 1, 3, 3), normal(10)],
     lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=5), pads=[1, 1, 1, 1], groups=5)
case("conv_patches", "conv", [normal(2, 3, 8, 12), normal(5, 3, 4, 4), normal(5)],
     lambda x, w, b: F.conv2d(x, w, b, stride=4), strides=[4, 4])
case("conv_1d", "conv", [normal(2, 4, 9), normal(6, 2, 3)],
     lambda x, w: F.conv1d(F.pad(x, (2, 1)), w, stride=2, groups=2), strides=[2], pads=[2, 1], groups=2)
case("conv_same", "conv", [normal(1, 2, 7, 8), normal(3, 2, 2, 3)],
     lambda x, w: F.conv2d(F.pad(x, (0, 1, 0, 1)), w, stride=2), strides=[2, 2], auto_pad="same_upper")
case("conv_wide", "conv", [normal(1, 18, 5, 5), normal(3, 18, 3, 3)], lambda x, w: F.conv2d(x, w, padding=1),
     pads=[1, 1, 1, 1])
case("pool_max", "pool", [normal(2, 3, 7, 6)], lambda x: F.max_pool2d(x, 3, 2, 1), kind="max", kernel=[3, 3],
     strides=[2, 2], pads=[1, 1, 1, 1])
case("pool_max_dilated_ceil", "pool", [normal(2, 2, 8, 7)],
     lambda x: F.max_pool2d(x, 2, 2, 1, dilation=2, ceil_mode=True), kind="max", kernel=[2, 2], strides=[2, 2],
     pads=[1, 1, 1, 1], dilations=[2, 2], ceil=1)
case("pool_average", "pool", [normal(2, 2, 7, 6)],
     lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), kind="average", kernel=[3, 3], strides=[2, 2],
     pads=[1, 1, 1, 1])
case("pool_average_pads_ceil", "pool", [normal(2, 2, 8, 6)],
     lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=True), kind="average", kernel=[3, 3],
     strides=[2, 2], pads=[1, 1, 1, 1], count_pads=1, ceil=1)
case("pool_1d", "pool", [normal(2, 3, 8)], lambda x: F.avg_pool1d(x, 2, 2), kind="average", kernel=[2], strides=[2])
case("pool_global", "pool", [normal(2, 3, 4, 5)], lambda x: x.mean((2, 3), keepdim=True), kind="average")
for name, mode, coordinates, align in [("nearest", "nearest-exact", "half_pixel", None), ("linear", "bilinear", "half_pixel", False),
                                       ("linear", "bilinear", "align_corners", True), ("nearest", "nearest", "asymmetric", None)]:
    attributes = {"kind": name, "coordinates": coordinates, "sizes": [2, 2, 7, 3]}
    attributes["rounding"] = "floor" if mode == "nearest" else "round_prefer_ceil"
    case(f"resize_{name}_{coordinates}", "resize", [normal(2, 2, 4, 5)],
         lambda x: F.interpolate(x, (7, 3), mode=mode, align_corners=align), **attributes)

# --- products --------------------------------------------------------------------------------------------------------
case("linear", "linear", [normal(2, 3, 5), normal(4, 5), normal(4)], F.linear)
case("linear_transposed", "linear", [normal(3, 5), normal(5, 4), normal(4)], lambda x, w, b: x @ w + b, transposed=1)
case("matmul_broadcast", "matmul", [normal(2, 1, 3, 4), normal(5, 4, 2)], torch.matmul)
case("matmul_transposed", "matmul", [normal(2, 4, 3), normal(2, 5, 4)], lambda a, b: a.mT @ b.mT, transpose_a=1,
     transpose_b=1)
case("matmul_row", "matmul", [normal(4), normal(3, 4, 2)], torch.matmul)
case("matmul_column", "matmul", [normal(3, 2, 4), normal(4)], torch.matmul)
case("embedding", "embedding", [integers([[1, 0, 1], [4, 1, 3]]), normal(5, 3)], lambda i, w: 1.5 * F.embedding(i, w),
     scale=1.5)


# --- rotary positions ------------------------------------------------------------------------------------------------
def rope(head_size, rotary, theta, interleaved, scale=1.0):
    def compute(x, factors=1, long_factors=None):
        heads = x.unflatten(-1, (-1, head_size))
        frequency = theta ** (-torch.arange(0, rotary, 2) / rotary) / (factors if long_factors is None else long_factors)
        angle = torch.arange(x.shape[1])[:, None] * frequency
        cos, sin = (angle.cos() * scale)[:, None, :], (angle.sin() * scale)[:, None, :]
        turning, rest = heads[..., :rotary], heads[..., rotary:]
        if interleaved:
            a, b = turning[..., 0::2], turning[..., 1::2]
            turned = torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)
        else:
            a, b = turning.chunk(2, -1)
            turned = torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
        return torch.cat((turned, rest), -1).flatten(-2)

    return compute


case("rope_halves", "rope", [normal(2, 5, 12)], rope(6, 6, 10000.0, False), head_size=6)
case("rope_interleaved", "rope", [normal(2, 5, 12)], rope(6, 6, 500.0, True), head_size=6, theta=500.0,
     pairing="interleaved")
case("rope_partial_factors", "rope", [normal(1, 4, 20), torch.tensor([1.0, 2.0, 8.0])],
     rope(10, 6, 100.0, False, 1.25), differentiable=(0,), head_size=10, rotary=6, theta=100.0, scale=1.25)
case("rope_long_factors", "rope", [normal(1, 5, 6), torch.rand(3), torch.tensor([4.0, 2.0, 8.0])],
     rope(6, 6, 100.0, False), differentiable=(0,), head_size=6, theta=100.0, context=4)
case("rope_dynamic", "rope", [normal(1, 5, 6)], rope(6, 6, 100.0 * (2.0 * 5 / 4 - 1) ** (6 / 4), False), head_size=6,
     theta=100.0, context=4, dynamic=2.0)


# --- Mamba -----------------------------------------------------------------------------------------------------------
def scan(u, delta, a, b, c, d=None):
    h = torch.zeros(u.shape[0], u.shape[2], a.shape[1])
    out = []
    for t in range(u.shape[1]):
        decay = torch.exp(delta[:, t, :, None] * a)
        h = decay * h + delta[:, t, :, None] * b[:, t, None, :] * u[:, t, :, None]
        y = (h * c[:, t, None, :]).sum(-1)
        out.append(y if d is None else y + d * u[:, t])
    return torch.stack(out, 1)


case("selective_scan", "selective_scan",
     [normal(2, 5, 19), torch.rand(2, 5, 19), -torch.rand(19, 3), normal(2, 5, 3), normal(2, 5, 3), normal(19)], scan)
case("selective_scan_no_d", "selective_scan",
     [normal(1, 3, 2), torch.rand(1, 3, 2), -torch.rand(2, 4), normal(1, 3, 4), normal(1, 3, 4)], scan)
case("causal_conv", "causal_conv", [normal(2, 6, 3), normal(3, 1, 4), normal(3)],
     lambda x, w, b: F.conv1d(F.pad(x.mT, (3, 0)), w, b, groups=3).mT)
case("causal_conv_short", "causal_conv", [normal(1, 2, 18), normal(18, 1, 4)],
     lambda x, w: F.conv1d(F.pad(x.mT, (3, 0)), w, groups=18).mT)


# --- mixtures of experts ---------------------------------------------------------------------------------------------
def route(top_k, normalize):
    def compute(logits):
        p = logits.softmax(-1)
        chosen, index = p.topk(top_k, -1)
        if normalize:
            chosen = chosen / chosen.sum(-1, keepdim=True)
        return torch.zeros_like(p).scatter(-1, index, chosen)

    return compute


case("moe_route_mixtral", "moe_route", [normal(2, 3, 5)], route(2, True), top_k=2)
case("moe_route_qwen2", "moe_route", [normal(2, 3, 5)], route(3, False), top_k=3, normalize=0)
case("moe_route_one", "moe_route", [normal(4, 3)], route(1, False), top_k=1, normalize=0)

# --- of ONNX graphs --------------------------------------------------------------------------------------------------
case("conv_transpose_2d", "conv_transpose", [normal(2, 4, 3, 4), normal(4, 3, 3, 2), normal(6)],
     lambda x, w, b: F.conv_transpose2d(x, w, b, stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2,
                                        dilation=(2, 1)),
     strides=[2, 3], pads=[1, 0, 1, 0], output_padding=[1, 2], groups=2, dilations=[2, 1])
case("conv_transpose_1d", "conv_transpose", [normal(2, 3, 5), normal(3, 2, 4)],
     lambda x, w: F.conv_transpose1d(x, w, stride=2, padding=1), strides=[2], pads=[1, 1])
case("cumulative_sum", "cumulative_sum", [normal(2, 5, 3)], lambda x: x.cumsum(1), axis=[1])
case("top_k", "top_k", [normal(2, 7, 3)], lambda x: x.topk(3, 1).values, axis=1, k=[3])
case("top_k_smallest", "top_k", [normal(2, 7)], lambda x: x.topk(2, -1, largest=False).values, k=[2], largest=0)
case("triangle_upper", "triangle", [normal(2, 4, 5)], lambda x: x.triu())
case("triangle_lower", "triangle", [normal(5, 4), integers([-1])], lambda x, k: x.tril(-1), upper=0)

folder = pathlib.Path(__file__).parent
np.savez_compressed(folder / "operators.npz", **{key: np.ascontiguousarray(value) for key, value in arrays.items()})
(folder / "operators.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
