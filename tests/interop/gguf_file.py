# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an exported GGUF file with the gguf package, restores every tensor and compares it bit for bit with the restored
weights of an HDF5 export of the same plan; with --reference also with what the package's own quantizer makes.

    python gguf_file.py EXPORT.gguf EXPORT.h5 [--source SOURCE.gguf] [--reference SOURCE.gguf TYPE]

--source     compares keys, order and kept tensors with the GGUF file the export was made from
--reference  EXPORT.gguf is uniform in TYPE and @rtn:ggml: its bytes equal gguf.quants.quantize of SOURCE's weights
"""
import argparse
import sys

import gguf
import h5py
import numpy as np

OWN_KEYS = {"general.file_type", "general.quantization_version", "quantloupe.plan"}


def fields(reader):
    return {k: (list(f.types), f.contents()) for k, f in reader.fields.items() if not k.startswith("GGUF.")}


def bits(x):
    return np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)


def compare_with_source(reader, source):
    problems = 0
    ours, theirs = fields(reader), fields(source)
    for key, value in theirs.items():
        if key not in OWN_KEYS and ours.get(key) != value:
            problems += 1
            print(f"key {key} differs")
    extra = set(ours) - set(theirs) - OWN_KEYS
    order = [t.name for t in reader.tensors] == [t.name for t in source.tensors]
    kept = sum(a.tensor_type == b.tensor_type for a, b in zip(reader.tensors, source.tensors))
    same = sum(a.tensor_type == b.tensor_type and a.data.tobytes() == b.data.tobytes()
               for a, b in zip(reader.tensors, source.tensors))
    print(f"{len(theirs)} keys copied, extra {sorted(extra)}, order {'kept' if order else 'CHANGED'}, "
          f"{same} of {kept} tensors of unchanged type are equal byte for byte")
    return problems + len(extra) + (not order)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("hdf5", nargs="?")
    parser.add_argument("--source")
    parser.add_argument("--reference", nargs=2)
    args = parser.parse_args()
    reader = gguf.GGUFReader(args.file)
    failed = 0
    if args.source:
        failed += compare_with_source(reader, gguf.GGUFReader(args.source))
    if args.hdf5:
        compared = differing = coded = 0
        with h5py.File(args.hdf5, "r") as export:
            groups = export["tensors"]
            for tensor in reader.tensors:
                group = groups[tensor.name.replace("%", "%25").replace("/", "%2F")]
                actual = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
                expected = group["weights" if "weights" in group else "values"][()].astype(np.float32)
                coded += "weights" in group
                wrong = int((bits(expected).ravel() != bits(actual).ravel()).sum())
                compared += expected.size
                differing += wrong
                if wrong:
                    print(f"{tensor.name} {tensor.tensor_type.name}: {wrong} of {expected.size} differ")
        print(f"{len(reader.tensors)} tensors, {coded} of them coded, {compared} weights compared, {differing} differ")
        failed += differing
    if args.reference:
        source, kind = args.reference
        wanted = getattr(gguf.GGMLQuantizationType, kind.upper())
        equal = total = 0
        for ours, theirs in zip(reader.tensors, gguf.GGUFReader(source).tensors):
            if ours.tensor_type != wanted:
                continue
            weights = gguf.dequantize(theirs.data, theirs.tensor_type).astype(np.float32)
            total += 1
            equal += gguf.quants.quantize(weights, wanted).tobytes() == ours.data.tobytes()
        print(f"{equal} of {total} tensors equal gguf.quants.quantize to {wanted.name}")
        failed += total - equal or (total == 0)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
