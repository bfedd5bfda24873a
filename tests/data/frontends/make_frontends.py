#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes tiny randomly initialised models of every family and option, and what transformers computes with them.

    python make_frontends.py [NAME...]

Each folder beside this file gets config.json, model.safetensors (and model.gguf, laid out as llama.cpp's converter does)
and golden.npz: inputs and outputs of each case under the names of the graph's inputs and outputs, "tokens.0",
"logits.0", …. The reference loads the written folder and computes in float64 throughout: where modelling code asks for
float32 it gets float64. Needs torch, transformers 5.23, gguf 0.19, safetensors.
"""
import json
import math
import pathlib
import shutil
import sys

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
SEED = 20260
VOCAB = 37
SHORT, LONG = 7, 13
BASE = dict(vocab_size=VOCAB, hidden_size=20, intermediate_size=27, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, bos_token_id=0, eos_token_id=1)
LLAMA = dict(BASE, head_dim=6)  # not hidden_size / num_attention_heads
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32, "rope_theta": 500.0}
GEMMA = dict(LLAMA, head_dim=6, pad_token_id=2, sliding_window=4)
ENCODER = dict(vocab_size=VOCAB, hidden_size=20, intermediate_size=27, num_hidden_layers=2, num_attention_heads=4,
               max_position_embeddings=40)
MOE = dict(BASE, num_experts_per_tok=2, moe_intermediate_size=9)
IMAGE = dict(hidden_size=20, intermediate_size=27, num_hidden_layers=2, num_attention_heads=4, image_size=[12, 18],
             patch_size=[4, 6], num_channels=3)


def causal(config, **options):
    return dict(config=config, model="AutoModelForCausalLM", **options)


def rope(**parameters):
    return dict(rope_parameters={"rope_theta": 10000.0, **parameters})


def factors(count, start):
    return [round(start + 0.37 * i * i, 3) for i in range(count)]


# `old` writes rope settings as transformers 4 did; `gguf` names the architecture to write beside the folder.
MODELS = {
    "llama": causal(("llama", LLAMA), gguf="llama"),
    "llama_biases": causal(("llama", dict(LLAMA, attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
                                          hidden_act="gelu_pytorch_tanh")), dtype="float32"),
    "llama_llama3": causal(("llama", dict(LLAMA, rope_parameters=LLAMA3)), gguf="llama"),
    "llama_llama3_old": causal(("llama", dict(LLAMA, rope_parameters=LLAMA3)), old=True),
    "llama_linear": causal(("llama", dict(LLAMA, **rope(rope_type="linear", factor=3.0))), old=True, gguf="llama"),
    "llama_dynamic": causal(("llama", dict(LLAMA, max_position_embeddings=9, **rope(rope_type="dynamic", factor=2.0)))),
    "llama_yarn": causal(("llama", dict(LLAMA, **rope(rope_type="yarn", factor=4.0,
                                                      original_max_position_embeddings=16))), old=True, gguf="llama"),
    "llama_yarn_options": causal(("llama", dict(LLAMA, **rope(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=8.0, beta_slow=2.0, mscale=0.7,
        mscale_all_dim=0.4, truncate=False)))),
    "llama_longrope": causal(("llama", dict(LLAMA, **rope(
        rope_type="longrope", original_max_position_embeddings=8, factor=8.0, short_factor=factors(3, 1.0),
        long_factor=factors(3, 2.0))))),
    "llama_headless": dict(config=("llama", LLAMA), model="AutoModel"),
    "mistral": causal(("mistral", dict(LLAMA, sliding_window=4, tie_word_embeddings=True))),
    "mistral_full": causal(("mistral", dict(BASE, hidden_size=24, sliding_window=None)), gguf="llama"),
    "qwen2": causal(("qwen2", dict(BASE, hidden_size=24, tie_word_embeddings=True)), gguf="qwen2"),
    "qwen2_window": causal(("qwen2", dict(BASE, hidden_size=24, use_sliding_window=True, sliding_window=4,
                                          max_window_layers=1))),
    "qwen3": causal(("qwen3", dict(LLAMA, tie_word_embeddings=True)), gguf="qwen3"),
    "qwen3_biases": causal(("qwen3", dict(LLAMA, attention_bias=True))),
    "granite": causal(("granite", dict(BASE, hidden_size=24, embedding_multiplier=3.0, attention_multiplier=0.3,
                                       residual_multiplier=0.7, logits_scaling=2.5)), gguf="granite"),
    "gemma": causal(("gemma", dict(LLAMA, pad_token_id=2)), gguf="gemma"),
    "gemma2": causal(("gemma2", dict(GEMMA, query_pre_attn_scalar=11, attn_logit_softcapping=2.0,
                                     final_logit_softcapping=3.0))),
    "gemma2_gguf": causal(("gemma2", dict(GEMMA, query_pre_attn_scalar=6, attn_logit_softcapping=2.0,
                                          final_logit_softcapping=3.0)), gguf="gemma2"),
    "gemma3": causal(("gemma3_text", dict(GEMMA, num_hidden_layers=7, hidden_size=12, intermediate_size=13,
                                          query_pre_attn_scalar=6, rope_parameters={
                                              "full_attention": {"rope_type": "linear", "factor": 8.0,
                                                                 "rope_theta": 1e6},
                                              "sliding_attention": {"rope_type": "default", "rope_theta": 300.0}}))),
    "gemma3_old": causal(("gemma3_text", dict(GEMMA, num_hidden_layers=7, hidden_size=12, intermediate_size=13,
                                              query_pre_attn_scalar=6, rope_parameters={
                                                  "full_attention": {"rope_type": "linear", "factor": 8.0,
                                                                     "rope_theta": 1e6},
                                                  "sliding_attention": {"rope_type": "default",
                                                                        "rope_theta": 10000.0}})),
                         old=True, gguf="gemma3"),
    "gemma3_pattern": causal(("gemma3_text", dict(GEMMA, num_hidden_layers=3, final_logit_softcapping=3.0,
                                                  query_pre_attn_scalar=11, layer_types=[
                                                      "sliding_attention", "full_attention", "sliding_attention"]))),
    "gemma3_multimodal": dict(
        config=("gemma3", dict(
            text_config=dict(GEMMA, num_hidden_layers=2, hidden_size=12, intermediate_size=13,
                             model_type="gemma3_text", query_pre_attn_scalar=6),
            vision_config=dict(model_type="siglip_vision_model", hidden_size=8, intermediate_size=8,
                               num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4),
            mm_tokens_per_image=4)),
        model="Gemma3ForConditionalGeneration"),
    "phi3": causal(("phi3", dict(BASE, hidden_size=24, pad_token_id=2, sliding_window=5)), gguf="phi3"),
    "phi3_longrope": causal(("phi3", dict(BASE, hidden_size=32, pad_token_id=2, partial_rotary_factor=0.75,
                                          original_max_position_embeddings=8, tie_word_embeddings=True,
                                          rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0,
                                                           "partial_rotary_factor": 0.75,
                                                           "short_factor": factors(3, 1.0),
                                                           "long_factor": factors(3, 2.0)})),
                            gguf="phi3"),
    "mixtral": causal(("mixtral", dict(LLAMA, intermediate_size=9, num_local_experts=3, num_experts_per_tok=2)),
                      gguf="llama"),
    "qwen2_moe": causal(("qwen2_moe", dict(MOE, num_experts=5, hidden_size=24,
                                           shared_expert_intermediate_size=11, decoder_sparse_step=2)),
                        dtype="bfloat16"),
    "qwen2_moe_everywhere": causal(("qwen2_moe", dict(MOE, num_experts=5, hidden_size=24,
                                                      shared_expert_intermediate_size=11)), gguf="qwen2moe"),
    "qwen2_moe_normed": causal(("qwen2_moe", dict(MOE, num_experts=4, hidden_size=24,
                                                  num_hidden_layers=2, shared_expert_intermediate_size=11,
                                                  norm_topk_prob=True, mlp_only_layers=[1]))),
    "qwen3_moe": causal(("qwen3_moe", dict(MOE, head_dim=6, num_experts=4, norm_topk_prob=True)),
                        gguf="qwen3moe"),
    "gpt2": causal(("gpt2", dict(vocab_size=VOCAB, n_embd=20, n_head=4, n_layer=2, n_positions=24)), gguf="gpt2"),
    "gpt2_options": causal(("gpt2", dict(vocab_size=VOCAB, n_embd=20, n_head=2, n_layer=3, n_positions=24, n_inner=27,
                                         scale_attn_by_inverse_layer_idx=True, activation_function="relu",
                                         tie_word_embeddings=False))),
    "gpt2_unscaled": causal(("gpt2", dict(vocab_size=VOCAB, n_embd=20, n_head=2, n_layer=2, n_positions=24,
                                          scale_attn_weights=False))),
    "opt": causal(("opt", dict(vocab_size=VOCAB, hidden_size=20, ffn_dim=27, num_hidden_layers=2,
                               num_attention_heads=4, max_position_embeddings=24, word_embed_proj_dim=20))),
    "opt_350m": causal(("opt", dict(vocab_size=VOCAB, hidden_size=20, ffn_dim=27, num_hidden_layers=2,
                                    num_attention_heads=4, max_position_embeddings=24, word_embed_proj_dim=12,
                                    do_layer_norm_before=False))),
    "opt_bare": causal(("opt", dict(vocab_size=VOCAB, hidden_size=20, ffn_dim=27, num_hidden_layers=2,
                                    num_attention_heads=4, max_position_embeddings=24, word_embed_proj_dim=20,
                                    enable_bias=False, layer_norm_elementwise_affine=False,
                                    activation_function="gelu"))),
    "bert": dict(config=("bert", ENCODER), model="BertModel", masked=True, gguf="bert", dtype="float32"),
    "bert_mlm": dict(config=("bert", dict(ENCODER, hidden_act="gelu_new", tie_word_embeddings=True)),
                     model="BertForMaskedLM", masked=True),
    "roberta": dict(config=("roberta", dict(ENCODER, type_vocab_size=1, pad_token_id=1)), model="RobertaModel",
                    masked=True),
    "roberta_mlm": dict(config=("roberta", dict(ENCODER, type_vocab_size=1, pad_token_id=1)),
                        model="RobertaForMaskedLM"),
    "vit": dict(config=("vit", dict(IMAGE, num_labels=5)), model="ViTForImageClassification", image=(12, 18)),
    "vit_headless": dict(config=("vit", dict(IMAGE, qkv_bias=False, image_size=12, patch_size=4)), model="ViTModel",
                         image=(12, 12)),
    "mamba": causal(("mamba", dict(vocab_size=VOCAB, hidden_size=20, state_size=5, num_hidden_layers=2, expand=2,
                                   conv_kernel=3, time_step_rank=4)), gguf="mamba"),
    "mamba_biases": causal(("mamba", dict(vocab_size=VOCAB, hidden_size=12, state_size=5, num_hidden_layers=2,
                                          conv_kernel=4, use_bias=True, use_conv_bias=False,
                                          tie_word_embeddings=False))),
}


def initialise(model, gemma):
    """Weights large enough that nothing is linear or flat."""
    generator = torch.Generator().manual_seed(SEED)

    def normal(shape):
        return torch.randn(shape, generator=generator, dtype=torch.float32)

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            shape = parameter.shape
            if name.endswith("A_log"):
                value = torch.log(1 + torch.rand(shape, generator=generator, dtype=torch.float32) * 4)
            elif parameter.ndim == 1 and "bias" not in name:  # norms
                value = 0.3 * normal(shape) + (0.0 if gemma else 1.0)
            elif parameter.ndim == 1:
                value = 0.3 * normal(shape)
            elif "embed" in name or "wte" in name or "wpe" in name or name.endswith("token"):
                value = normal(shape)
            else:
                fan_in = shape[0] if isinstance(model, transformers.GPT2LMHeadModel) and name.startswith(
                    "transformer.h") else parameter[0].numel() if parameter.ndim != 3 else shape[-1]
                value = normal(shape) * 1.6 / math.sqrt(fan_in)
            parameter.copy_(value.to(parameter.dtype))


def as_version_4(config):
    """Rope settings at the top and in rope_scaling; the older files say "type" for "rope_type"."""
    parameters = config.pop("rope_parameters")
    if "full_attention" in parameters:
        config["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
        parameters = parameters["full_attention"]
        config.pop("layer_types")
        config["sliding_window_pattern"] = 6
    config["rope_theta"] = parameters.pop("rope_theta")
    kind = parameters.pop("rope_type")
    parameters["rope_type" if kind == "llama3" or "rope_local_base_freq" in config else "type"] = kind
    config["rope_scaling"] = parameters
    return config


def write_folder(folder, spec):
    family, values = spec["config"]
    config = transformers.AutoConfig.for_model(family, **values)
    torch.manual_seed(SEED)
    cls = getattr(transformers, spec["model"])
    model = cls.from_config(config) if spec["model"].startswith("Auto") else cls(config)
    initialise(model, family.startswith("gemma"))
    model.to(getattr(torch, spec.get("dtype", "bfloat16"))).save_pretrained(folder)
    path = folder / "config.json"
    written = json.loads(path.read_text())
    if spec.get("old"):
        written = as_version_4(written)
    path.write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
    for extra in folder.glob("generation_config.json"):
        extra.unlink()


def inputs_of(spec, case):
    generator = np.random.default_rng(SEED + case)
    if "image" in spec:
        return {"pixels": generator.standard_normal((2, 3, *spec["image"]))}
    length = (SHORT, LONG)[case]
    inputs = {"tokens": generator.integers(3, VOCAB, (2, length))}
    if spec.get("masked") and case == 1:  # the second row is shorter, and padded
        config = spec["config"][1]
        inputs["tokens"][1, length - 4:] = config.get("pad_token_id", 0)
        inputs["attention_mask"] = np.ones((2, length), dtype=np.int64)
        inputs["attention_mask"][1, length - 4:] = 0
        if config.get("type_vocab_size", 2) > 1:
            inputs["token_types"] = generator.integers(0, 2, (2, length))
    return inputs


def outputs_of(model, inputs):
    words = {"tokens": "input_ids", "pixels": "pixel_values", "token_types": "token_type_ids"}
    out = model(**{words.get(name, name): torch.tensor(value) for name, value in inputs.items()})
    names = {"logits": "logits", "last_hidden_state": "hidden", "pooler_output": "pooled"}
    return {name: out[key] for key, name in names.items() if out.get(key) is not None}


def write_golden(folder, spec):
    """transformers on what the folder holds."""
    kept = torch.float32, torch.float, torch.Tensor.float
    cls = getattr(transformers, spec["model"])
    arrays = {}
    try:
        loaded = cls.from_pretrained(folder, dtype=torch.float32)
        torch.float32 = torch.float = torch.float64
        torch.Tensor.float = torch.Tensor.double
        torch.set_default_dtype(torch.float64)
        config = transformers.AutoConfig.from_pretrained(folder, attn_implementation="eager",
                                                         experts_implementation="eager")
        model = type(loaded)(config).eval()
        model.load_state_dict({name: tensor.double() for name, tensor in loaded.state_dict().items()})
        for case in range(1 if "image" in spec else 2):
            inputs = inputs_of(spec, case)
            with torch.no_grad():
                outputs = outputs_of(model, inputs)
            for name, value in inputs.items():
                arrays[f"{name}.{case}"] = value
            for name, value in outputs.items():
                assert value.dtype == torch.float64 and value.std() > 0.1, (name, value.dtype, value.std())
                arrays[f"{name}.{case}"] = value.numpy()
    finally:
        torch.float32, torch.float, torch.Tensor.float = kept
        torch.set_default_dtype(torch.float32)
    np.savez(folder / "golden.npz", **arrays)


# --- GGUF, as llama.cpp's convert_hf_to_gguf.py lays it out

def permuted(weights, heads):
    """From halves to neighbours: llama.cpp's llama turns features 2i and 2i + 1."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(
        weights.shape)


def rope_keys(writer, arch, config, head_dim):
    parameters = config.get("rope_parameters") or {}
    local = parameters.get("sliding_attention")
    parameters = parameters.get("full_attention", parameters)
    scaling = {**parameters, **(config.get("rope_scaling") or {})}
    kind = scaling.get("rope_type", scaling.get("type"))
    theta = config.get("rope_theta", parameters.get("rope_theta", 10000.0))
    writer.add_rope_freq_base(theta)
    rotary = int(head_dim * scaling.get("partial_rotary_factor", 1.0))
    writer.add_rope_dimension_count(rotary)
    if local:
        writer.add_rope_freq_base_swa(local["rope_theta"])
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(scaling["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
    if kind == "llama3":
        old = scaling["original_max_position_embeddings"]
        low, high, factor = scaling["low_freq_factor"], scaling["high_freq_factor"], scaling["factor"]
        values = []
        for i in range(rotary // 2):
            wavelength = 2 * math.pi * theta ** (2 * i / rotary)
            smooth = (old / wavelength - low) / (high - low)
            values.append(1.0 if wavelength < old / high else factor if wavelength > old / low
                          else 1 / ((1 - smooth) / factor + smooth))
        writer.add_tensor("rope_freqs.weight", np.array(values, dtype=np.float32))
    if kind == "longrope":
        original = config["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
        for kind in ("long", "short"):
            writer.add_tensor(f"rope_factors_{kind}.weight", np.array(scaling[f"{kind}_factor"], dtype=np.float32))


def write_gguf(folder, arch):
    config = json.loads((folder / "config.json").read_text())
    weights = {name: tensor.float().numpy() for name, tensor in load_file(folder / "model.safetensors").items()}
    get = lambda *names: next((config[name] for name in names if config.get(name) is not None), None)
    blocks = get("num_hidden_layers", "n_layer")
    width = get("hidden_size", "n_embd")
    writer = gguf.GGUFWriter(folder / "model.gguf", arch)
    writer.add_block_count(blocks)
    writer.add_embedding_length(width)
    writer.add_context_length(get("max_position_embeddings", "n_positions") or 1024)
    writer.add_vocab_size(VOCAB)
    heads = get("num_attention_heads", "n_head")
    if arch == "mamba":
        inner = config["expand"] * width
        writer.add_feed_forward_length(0)
        writer.add_head_count(0)
        writer.add_ssm_conv_kernel(config["conv_kernel"])
        writer.add_ssm_inner_size(inner)
        writer.add_ssm_state_size(config["state_size"])
        writer.add_ssm_time_step_rank(config["time_step_rank"])
        writer.add_layer_norm_rms_eps(config["layer_norm_epsilon"])
    else:
        kv_heads = get("num_key_value_heads") or heads
        head_dim = get("head_dim") or width // heads
        writer.add_feed_forward_length(get("intermediate_size", "n_inner") or 4 * width)
        writer.add_head_count(heads)
        if arch in ("gpt2", "bert"):
            writer.add_layer_norm_eps(get("layer_norm_epsilon", "layer_norm_eps"))
        else:
            writer.add_head_count_kv(kv_heads)
            writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
            writer.add_key_length(head_dim)
            writer.add_value_length(head_dim)
            rope_keys(writer, arch, config, head_dim)
    if arch == "bert":
        writer.add_causal_attention(False)
    if arch.startswith("gemma") and get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    if get("attn_logit_softcapping"):
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
    if get("final_logit_softcapping"):
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if arch == "phi3":
        writer.add_sliding_window(get("sliding_window") or 0)
    if arch == "granite":
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    experts = get("num_local_experts", "num_experts")
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config["num_experts_per_tok"])
        if arch != "llama":
            writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
        if get("shared_expert_intermediate_size"):
            writer.add_expert_shared_feed_forward_length(config["shared_expert_intermediate_size"])
    names = gguf.get_tensor_name_map(next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == arch), blocks)
    stacks = {}

    def add(name, values):
        """Matrices in the model's own dtype where they are unchanged by it, the rest in float32."""
        kind = gguf.GGMLQuantizationType.BF16
        coded = gguf.quants.quantize(values, kind) if values.ndim > 1 else None
        if coded is not None and np.array_equal(gguf.quants.dequantize(coded, kind), values):
            writer.add_tensor(name, coded, raw_dtype=kind)
        else:
            writer.add_tensor(name, values)

    for name, values in weights.items():
        stem, _, kind = name.rpartition(".")
        if kind not in ("weight", "bias"):
            stem, kind = name, ""
        if arch == "gpt2" and values.ndim == 2 and stem.split(".")[-1] in ("c_attn", "c_proj", "c_fc"):
            values = values.T
        if arch in ("llama", "granite") and "q_proj" in stem:
            values = permuted(values, heads)
        if arch in ("llama", "granite") and "k_proj" in stem:
            values = permuted(values, kv_heads)
        if arch.startswith("gemma") and stem.endswith("norm"):
            values = values + 1
        if stem.endswith("A_log"):
            values = -np.exp(values)
        if stem.endswith("conv1d") and values.ndim == 3:
            values = values.squeeze(1)
        if stem.endswith("shared_expert_gate"):
            values = values.squeeze(0)
        if "pooler" in stem:
            continue
        if ".experts." in stem:
            before, _, after = stem.partition(".experts.")
            index, _, after = after.partition(".")
            stacks.setdefault(f"{before}.experts.{after}", {})[int(index)] = values
            continue
        mapped = names.get_name(stem) or names.get_name(stem.removeprefix("backbone.")) or names.get_name("bert." + stem)
        assert mapped, name
        if stem.endswith("D") or stem.endswith("A_log"):
            kind = ""
        add(f"{mapped}.{kind}" if kind else mapped, np.ascontiguousarray(values))
    for stem, stack in stacks.items():
        mapped = names.get_name(stem)
        assert mapped, stem
        add(f"{mapped}.weight", np.stack([stack[i] for i in sorted(stack)]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(*wanted):
    for name, spec in MODELS.items():
        if wanted and name not in wanted:
            continue
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_folder(folder, spec)
        write_golden(folder, spec)
        if "gguf" in spec:
            write_gguf(folder, spec["gguf"])
        print(name, sum(f.stat().st_size for f in folder.iterdir()), "bytes", flush=True)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    main(*sys.argv[1:])
