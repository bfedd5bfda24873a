#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes models that torch exports to ONNX, with what torch computes with them in float64, as folders onnx_* of
tests/data/frontends: model.onnx and golden.npz, see make_frontends.py.

    python make_models.py

A CNN and a ViT are trained for some seconds on images made here: one of four patterns under noise. The batch norms of
the CNN stay in the file. The encoder is the tiny one of tests/data/frontends/bert; shapes are free, the padding mask is
computed. Each file is checked with onnxruntime, and must be right about the images. Needs torch 2.x, transformers 5.23,
onnx and onnxruntime.
"""
import pathlib
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
import transformers
from torch import nn

FRONTENDS = pathlib.Path(__file__).parent.parent / "frontends"
SIZE, CLASSES = 16, 4


def images(count, generator):
    """Stripes along rows or columns, a checkerboard, or a disc, somewhere, with noise."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    labels = torch.randint(CLASSES, (count,), generator=generator)
    shifts = torch.randint(SIZE, (count, 2), generator=generator)
    pictures = []
    for label, (dy, dx) in zip(labels.tolist(), shifts.tolist()):
        u, v = (y + dy) // 2, (x + dx) // 2
        disc = (y - 4 - dy % 8) ** 2 + (x - 4 - dx % 8) ** 2 < 20
        pictures.append([u % 2, v % 2, (u + v) % 2, disc][label].float())
    clean = torch.stack(pictures)[:, None]
    return clean + 0.5 * torch.randn(clean.shape, generator=generator), labels


class Cnn(nn.Module):
    """Grouped, strided and dilated convolutions, batch norms, a residual, pooling of every kind."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
                                  nn.MaxPool2d(3, 2, 1))
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8), nn.BatchNorm2d(8),
                                       nn.Hardswish(), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))
        self.down = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(16), nn.SiLU(),
                                  nn.AvgPool2d(2, ceil_mode=True))
        self.classifier = nn.Linear(16, CLASSES)

    def forward(self, pixels):
        x = self.stem(pixels)
        x = self.down(F.relu(x + self.depthwise(x)))
        return self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, 4)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    def __init__(self, width=24, patch=4):
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + (SIZE // patch) ** 2, width))
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.norm, self.classifier = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, pixels):
        x = self.patches(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.classifier(self.norm(self.blocks(x))[:, 0])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.bert = transformers.AutoModel.from_pretrained(FRONTENDS / "bert", dtype=torch.float32)

    def forward(self, tokens, attention_mask, token_types):
        made = self.bert(input_ids=tokens, attention_mask=attention_mask, token_type_ids=token_types)
        return made.last_hidden_state, made.pooler_output


def trained(model, generator):
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(300):
        pixels, labels = images(64, generator)
        loss = F.cross_entropy(model(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def write(name, model, cases, inputs, outputs, axes, **options):
    """cases: tuples of inputs, the first of which the exporter traces."""
    folder = FRONTENDS / f"onnx_{name}"
    folder.mkdir(exist_ok=True)
    torch.onnx.export(model, cases[0], folder / "model.onnx", input_names=inputs, output_names=outputs,
                      dynamic_axes=axes, opset_version=18, dynamo=False, **options)
    onnx.checker.check_model(folder / "model.onnx", full_check=True)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    arrays = {}
    model = model.double()
    for index, case in enumerate(cases):
        with torch.no_grad():
            made = model(*(x.double() if x.is_floating_point() else x for x in case))
        made = made if isinstance(made, tuple) else (made,)
        for key, value in (*zip(inputs, case), *zip(outputs, made)):
            arrays[f"{key}.{index}"] = value.numpy()
        for ours, theirs in zip(made, session.run(None, {key: x.numpy() for key, x in zip(inputs, case)})):
            assert np.abs(ours.numpy() - theirs).max() < 1e-4
    np.savez_compressed(folder / "golden.npz", **arrays)
    print(name, (folder / "model.onnx").stat().st_size, "bytes")


def main():
    warnings.simplefilter("ignore")
    torch.manual_seed(7)
    for name, model in (("cnn", Cnn()), ("vit", Vit())):
        generator = torch.Generator().manual_seed(11)
        trained(model, generator)
        pixels, labels = images(400, generator)
        right = (model(pixels).argmax(1) == labels).float().mean().item()
        assert right > 0.9, right
        print(f"{name}: {right:.1%} right")
        keep = dict(training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False) if name == "cnn" else {}
        write(name, model, [(pixels[:3],)], ["pixels"], ["logits"], {"pixels": {0: "batch"}, "logits": {0: "batch"}},
              **keep)
    tokens = [torch.tensor([[5, 9, 11, 30, 2, 7], [3, 8, 36, 1, 0, 0]]), torch.tensor([[4, 4, 21]])]
    cases = [(ids, (ids > 0).long(), (ids > 8).long()) for ids in tokens]
    names = ["tokens", "attention_mask", "token_types"]
    axes = {name: {0: "batch", 1: "tokens"} for name in (*names, "hidden")} | {"pooled": {0: "batch"}}
    write("bert", Encoder().eval(), cases, names, ["hidden", "pooled"], axes)


if __name__ == "__main__":
    main()
