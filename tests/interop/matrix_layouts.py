# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores every layout over the whole matrix from an HDF5 export, by its text and with numpy alone.

    python matrix_layouts.py QLOUPE MODEL

MODEL, with layers of multiples of 256, is exported once for each of the schemes below, to the hdf5 target; 'packed' is read by h5py,
restored as the attribute 'layout' says, and compared bit for bit with 'weights'. Needs h5py and numpy. The exit code is 0 if all agree.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import h5py
import numpy as np

SCHEMES = ["bitstack1_1", "bitstack3_16", "fairy2i1", "fairy2i4", "dgq4:g64", "dgq4:g128", "slim2:g64", "slim3:g32", "mix24_10:g16",
           "mix24_25:g64", "ptq1_61", "e2m1:g128:s=pow2", "int4:g32:s=pow2", "e3m2:g64:s=pow2", "bitmod3:s=int8", "bitmod4:s=int8",
           "e3m2:planes", "e2m3:planes", "e2m2:planes", "e3m1:planes", "ifairy"]
F = np.float32


class Bytes:
    """Arrays that follow each other without gaps."""

    def __init__(self, data):
        self.data, self.at = np.asarray(data, np.uint8), 0

    def take(self, *shape, dtype=np.uint8):
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        piece = self.data[self.at:self.at + count]
        self.at += count
        return np.frombuffer(piece.tobytes(), dtype).reshape(shape)

    def halves(self, *shape):
        return self.take(*shape, dtype="<f2").astype(F)

    def finish(self):
        assert self.at == len(self.data), f"{len(self.data) - self.at} bytes are left"


def ceil(a, b):
    return -(-a // b)


def fields(rows, width, count, highest_first=False):
    """Fields of `width` bits of each row of bytes."""
    bits = np.unpackbits(rows, axis=1, bitorder="big" if highest_first else "little")[:, :count * width]
    bits = bits.reshape(len(rows), count, width).astype(np.int64)
    order = np.arange(width)[::-1] if highest_first else np.arange(width)
    return (bits << order).sum(axis=2)


def minifloat(name):
    """Levels by code: sign, exponent, mantissa; all finite."""
    x, y = int(name[1]), int(name[3])
    bias = 0 if x == 1 else 2 ** (x - 1) - 1
    levels = []
    for code in range(2 ** (1 + x + y)):
        exponent, mantissa = code >> y & (2 ** x - 1), code & (2 ** y - 1)
        value = 2.0 ** (1 - bias) * mantissa / 2 ** y if exponent == 0 else 2.0 ** (exponent - bias) * (1 + mantissa / 2 ** y)
        levels.append(-value if code >> (x + y) else value)
    return np.array(levels, F)


def levels_of(name):
    if name.startswith("int"):
        b = int(name[3:])
        return np.array([code if code < 2 ** (b - 1) else code - 2 ** b for code in range(2 ** b)], F), b
    levels = minifloat(name)
    return levels, int(np.log2(len(levels)))


def bit_stack(data, rows, cols, n, k):
    total = None
    for _ in range(n):
        plus = fields(data.take(rows, ceil(cols, 8)), 1, cols, highest_first=True).astype(bool)
        u, v = data.halves(rows, k), data.halves(k, cols)
        product = u[:, :1] * v[:1]
        for i in range(1, k):
            product = product + u[:, i:i + 1] * v[i:i + 1]
        signed = np.where(plus, product, -product)
        total = signed if total is None else total + signed
    return total


def phases(data, rows, cols, stages):
    n, m = rows // 2, cols // 2
    parts = [[np.zeros((n, m), F), np.zeros((n, m), F)] for _ in range(2)]
    for _ in range(stages):
        scales = data.take(4, dtype="<f4").reshape(2, 2)
        for part, (s, t) in zip(parts, scales):
            codes = fields(data.take(n, ceil(m, 4)), 2, m)
            part[0] = part[0] + np.array([-s, s, 0, 0], F)[codes]
            part[1] = part[1] + np.array([0, 0, -t, t], F)[codes]
    (ur, ui), (vr, vi) = parts
    return np.block([[ur + vr, vi - ui], [vi + ui, ur - vr]])


def phase_blocks(data, rows, cols):
    blocks = data.take(rows // 2 * (cols // 256), 68)
    codes = fields(np.ascontiguousarray(blocks[:, :64]), 2, 256)
    s, t = (np.ascontiguousarray(blocks[:, at:at + 2]).view("<f2").astype(F) for at in (64, 66))
    zero = np.zeros_like(s)
    parts = (np.take_along_axis(np.concatenate(values, axis=1), codes, axis=1)
             for values in ((-s, s, zero, zero), (zero, zero, -t, t)))
    return np.concatenate([part.reshape(rows // 2, cols) for part in parts])


def dual(data, rows, cols, g):
    groups = ceil(cols, g)
    codes = fields(data.take(rows, ceil(cols, 2)), 4, cols)
    n, z = data.take(rows, groups).astype(np.int64), data.take(rows, groups).astype(np.int64)
    s = data.halves(rows, 1)
    of = np.arange(cols) // g
    integers = n[:, of] * (codes - z[:, of])
    assert np.abs(integers).max() <= 127
    return s * integers.astype(F)


def ladder(data, rows, cols, bits, g):
    groups = ceil(cols, g)
    widths = bits - 1 + fields(data.take(1, ceil(groups, 4)), 2, groups)[0]
    codes = np.unpackbits(data.take(rows, ceil(bits * cols, 8)), axis=1, bitorder="little").astype(np.int64)
    slots = data.take(rows, groups, dtype="<u2")
    zeros = np.unpackbits(data.take(rows, ceil(bits * groups, 8)), axis=1, bitorder="little").astype(np.int64)
    out = np.empty((rows, cols), F)
    at = zero_at = 0
    for i, width in enumerate(widths):
        count = min(g, cols - i * g)
        powers = 1 << np.arange(width)
        code = (codes[:, at:at + count * width].reshape(rows, count, width) * powers).sum(axis=2)
        zero = (zeros[:, zero_at:zero_at + width] * powers).sum(axis=1)[:, None]
        slot = slots[:, i:i + 1]
        if width > 1:
            value = np.ascontiguousarray(slot).view("<f2").astype(F) * (code - zero).astype(F)
        else:
            a = ((slot & 0xffe0) >> 1).astype("<u2").view("<f2").astype(F)
            m = (slot.astype(np.int64) & 31) + 32 * zero
            m = np.where(m >= 32, m - 64, m).astype(F)
            value = a * (m / F(64)) - a + code.astype(F) * (F(2) * a)
        out[:, i * g:i * g + count] = value
        at += count * width
        zero_at += width
    return out


def promoted(data, rows, cols, percent, g):
    groups, whole = ceil(cols, g), cols // g
    count = ceil(percent * whole, 100)
    wide = fields(data.take(rows, ceil(groups, 8)), 1, groups).astype(bool)
    codes = fields(data.take(rows, ceil(cols, 4)), 2, cols)
    upper = fields(data.take(rows, ceil(2 * g * count, 8)), 2, g * count)
    for r in range(rows):
        chosen = np.flatnonzero(wide[r])
        assert len(chosen) == count
        for i, group in enumerate(chosen):
            codes[r, group * g:(group + 1) * g] += 4 * upper[r, i * g:(i + 1) * g]
    t = data.take(rows, groups).astype(F)
    z = fields(data.take(rows, ceil(groups, 2)), 4, groups)
    u = data.halves(rows, 1)
    of = np.arange(cols) // g
    return (u * t)[:, of] * (codes - z[:, of]).astype(F)


def salient(data, rows, cols):
    chosen = fields(data.take(1, ceil(cols, 8)), 1, cols)[0].astype(bool)
    count = cols // 5 + 1
    assert chosen.sum() == count
    codes = fields(data.take(rows, ceil(count, 2)), 4, count)
    plus = fields(data.take(rows, ceil(cols - count, 8)), 1, cols - count).astype(bool)
    z = fields(data.take(1, ceil(rows, 2)), 4, rows)[0][:, None]
    s, a, m, r = (data.halves(rows, 1) for _ in range(4))
    t = data.halves(cols)
    out = np.empty((rows, cols), F)
    out[:, chosen] = s * (codes - z).astype(F)
    out[:, ~chosen] = (r * t[~chosen]) * (np.where(plus, a, -a) + m)
    return out


def shifted(data, rows, cols, element, g):
    levels, bits = levels_of(element)
    groups = ceil(cols, g)
    codes = fields(data.take(rows, ceil(cols * bits, 8)), bits, cols)
    k = fields(data.take(rows, ceil(groups, 2)), 4, groups)
    s = data.halves(rows, 1)
    return levels[codes] * (s * F(2) ** -k.astype(F))[:, np.arange(cols) // g]


def bitmod(data, rows, cols, bits):
    groups = ceil(cols, 128)
    codes = fields(data.take(rows, ceil(cols * bits, 8)), bits, cols)
    t = data.take(rows, groups).astype(F)
    k = fields(data.take(rows, ceil(groups, 4)), 2, groups)
    u = data.halves(rows, 1)
    base = [0, 1, 2, 4] if bits == 3 else [0, 1, 2, 3, 4, 6, 8, 12]
    special = np.array([3, -3, 6, -6] if bits == 3 else [10, -10, 16, -16], F)
    levels = np.array(base + [-x for x in base], F)
    of = np.arange(cols) // 128
    value = np.where(codes == len(base), special[k[:, of]], levels[codes])
    return value * (u * t)[:, of]


def planes(data, rows, cols, element):
    levels, bits = levels_of(element)
    upper = fields(data.take(rows, ceil(cols * (bits - 4), 8)), bits - 4, cols, highest_first=True)
    lower = fields(data.take(rows, ceil(cols, 2)), 4, cols, highest_first=True)
    return levels[16 * upper + lower] * data.halves(rows, 1)


RULES = [(r"bitstack(\d+)_(\d+)", bit_stack), (r"fairy2i(\d)", phases), (r"ifairy", phase_blocks), (r"dgq4:g(\d+)", dual),
         (r"slim(\d):g(\d+)", ladder),
         (r"mix24_(\d+):g(\d+)", promoted), (r"ptq1_61", salient), (r"([a-z0-9]+):g(\d+):s=pow2", shifted),
         (r"bitmod(\d):s=int8", bitmod), (r"(\w+):planes", planes)]


def restore(scheme, packed, rows, cols):
    for pattern, rule in RULES:
        if found := re.fullmatch(pattern, scheme):
            data = Bytes(packed)
            out = rule(data, rows, cols, *(int(x) if x.isdigit() else x for x in found.groups()))
            data.finish()
            return out
    raise ValueError(scheme)


def text(tensor, name):
    value = tensor.attrs[name]
    return value.decode() if isinstance(value, bytes) else value


def check(path, scheme):
    compared = 0
    with h5py.File(path) as file:
        for tensor in file["tensors"].values():
            if "packed" not in tensor:
                continue
            assert text(tensor, "candidate").split("@")[0] == scheme and text(tensor, "layout")
            weights = tensor["weights"][()]
            back = restore(scheme, tensor["packed"][()], weights.shape[0], weights[0].size)
            if back.astype(F).tobytes() != weights.tobytes():
                different = np.sum(back.astype(F).reshape(weights.shape) != weights)
                print(f"{scheme}: {text(tensor, 'name')}: {different} of {weights.size} weights differ")
                return False
            compared += 1
    print(f"{scheme}: {compared} tensors agree", flush=True)
    return compared > 0


def main():
    qloupe, model = sys.argv[1:3]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        template = folder / "plan.json"
        subprocess.run([qloupe, "solve", model, "--candidates", "int8", "--bpw", "40", "--target", "hdf5", "--out", template],
                       check=True, stdout=subprocess.DEVNULL)
        plan = json.loads(template.read_text())
        names = [name for name in plan["candidates"] if "proj" in name]
        for scheme in SCHEMES:
            plan["candidates"] = {name: scheme if name in names else "keep" for name in plan["candidates"]}
            template.write_text(json.dumps(plan))
            path = folder / "model.h5"
            subprocess.run([qloupe, "export", model, "--plan", template, "--target", "hdf5", "--out", path], check=True,
                           stdout=subprocess.DEVNULL)
            good = check(path, scheme) and good
            path.unlink()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
