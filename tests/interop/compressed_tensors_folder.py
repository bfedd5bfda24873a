# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads an exported folder with transformers + compressed-tensors and compares every weight bit for bit with the restored
weights of an HDF5 export of the same plan, rounded to the dtype of the folder.

    python compressed_tensors_folder.py FOLDER EXPORT.h5 MODEL

FOLDER   written by the target compressed-tensors
EXPORT   written by the target hdf5 from the same model and candidates
MODEL    the unquantized folder, for the tensors that are kept
"""
import json
import pathlib
import sys
import time

import h5py
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationScheme
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def restored(group, dtype):
    if "weights" not in group:
        return None
    return torch.from_numpy(group["weights"][()]).to(dtype)


def groups_of(folder):
    return json.loads(pathlib.Path(folder, "config.json").read_text())["quantization_config"]["config_groups"].values()


def has_zero_points(folder):
    return not all(group["weights"]["symmetric"] for group in groups_of(folder))


def load(folder):
    # not dequantize=True: transformers 5.23 then restores every layer by the first group of a mixed file
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    model.hf_quantizer.compressor.decompress_model(model)
    return model


def load_by_module(folder, source):
    """The library's own decompressors, module by module, in the unquantized model. transformers 5.23 with compressed-tensors 0.20
    refuses every file with packed zero points, also the library's own: on the meta device they get the shape that is not packed."""
    model = AutoModelForCausalLM.from_pretrained(source, dtype="auto")
    state = load_file(f"{folder}/model.safetensors")
    names = {target: group for group in groups_of(folder) for target in group["targets"]}
    for name, module in model.named_modules():
        parts = {key[len(name) + 1:]: value for key, value in state.items() if key.rpartition(".")[0] == name}
        if not isinstance(module, torch.nn.Linear) or "weight_scale" not in parts:
            continue
        group = names.get(name, names.get("Linear"))
        scheme = QuantizationScheme.model_validate(group)
        module.weight.data = BaseCompressor.get_value_from_registry(group["format"]).decompress(parts, scheme)["weight"]
    return model


def main(folder, export, source):
    started = time.time()
    model = load_by_module(folder, source) if has_zero_points(folder) else load(folder)
    print(f"loaded in {time.time() - started:.1f} s, dtype {model.dtype}")
    state = model.state_dict()
    original = load_file(f"{source}/model.safetensors")
    compared = quantized = differing = 0
    with h5py.File(export, "r") as file:
        for link, group in file["tensors"].items():
            name = link.replace("%2F", "/").replace("%25", "%")
            actual = state[name]
            expected = restored(group, actual.dtype)
            quantized += expected is not None
            if expected is None:
                expected = original[name]
            bits = torch.int16 if actual.element_size() == 2 else torch.int32
            wrong = int((expected.contiguous().view(bits) != actual.contiguous().view(bits)).sum())
            compared += expected.numel()
            differing += wrong
            if wrong:
                print(f"{name}: {wrong} of {expected.numel()} differ")
    print(f"{quantized} quantized layers, {compared} weights compared, {differing} differ")
    tokens = torch.arange(1, 33).reshape(1, -1)
    with torch.no_grad():
        logits = model(tokens).logits
        for name, parameter in model.named_parameters():
            if name in original:
                parameter.data = original[name]
        reference = model(tokens).logits
    print(f"logits: largest change against the unquantized model {float((logits - reference).abs().max()):.3f}")
    return 1 if differing or not torch.isfinite(logits).all() else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
