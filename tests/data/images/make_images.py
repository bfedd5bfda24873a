#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes small pictures of two kinds and golden.npz: what Pillow makes of them in 12 × 18 (height × width), bilinear.

    python make_images.py

Needs numpy, Pillow 13.
"""
import pathlib

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
SIZE = (18, 12)


def waves(height, width, phase):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return (127.5 + 127.4 * np.sin(0.31 * x + 0.17 * y * (c + 1) + phase)).astype(np.uint8)


def main():
    pictures = {
        "cat/large.png": Image.fromarray(waves(50, 40, 0)),
        "cat/small.png": Image.fromarray(waves(5, 7, 1)),
        "dog/grey.png": Image.fromarray(waves(20, 30, 2)[..., 0]),
        "dog/photo.jpg": Image.fromarray(waves(37, 61, 3)),
    }
    golden = {}
    for name, picture in pictures.items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        picture.save(path, **({"quality": 90} if name.endswith("jpg") else {}))
        golden[name] = np.asarray(Image.open(path).convert("RGB").resize(SIZE, Image.Resampling.BILINEAR))
    np.savez_compressed(HERE / "golden.npz", **golden)


if __name__ == "__main__":
    main()
