#!/usr/bin/env python3
"""Make variants.json: settings of the model families that no reference checkpoint has, and what transformers computes.

    python make_variants.py            write variants.json, defaults.json and rewritten.json beside this script

Nothing is stored of the weights. Each number follows from the name of its tensor and its place in it (`unit`), times a scale
and plus a center that variants.json gives for each tensor; the test in Go makes the same float32 numbers. The expected values
come from transformers' own code in float64 (../../testdata/reference/make_reference.py), from a config.json as it stands in
variants.json.

defaults.json holds, for each family, the configuration that transformers makes of a config.json with the model_type alone;
rewritten.json what transformers writes after reading each configuration of the variants and the reference checkpoints.

Needs torch, transformers 5.23.0 and numpy.
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "testdata" / "reference"))
import make_reference as ref  # noqa: E402
import torch  # noqa: E402
from transformers import AutoConfig  # noqa: E402
from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: E402

LENGTH = 44


def llama(**more):
    """Keys that many families share, with sizes that keep the tests fast."""
    return dict(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40,
                max_position_embeddings=64, pad_token_id=0) | more


# name, what it shows, config.json, keys that are meant as text only
VARIANTS = [
    ("gpt2-inverse-layer", "scores divided by the number of the layer; keys by transformers' general names",
     dict(model_type="gpt2", vocab_size=61, hidden_size=24, num_hidden_layers=3, num_attention_heads=3, n_positions=64,
          scale_attn_by_inverse_layer_idx=True, layer_norm_epsilon=1e-3)),
    ("gpt2-unscaled", "scores that are not scaled",
     dict(model_type="gpt2", vocab_size=61, n_embd=24, n_layer=2, n_head=3, n_positions=64, scale_attn_weights=False, n_inner=40,
          activation_function="silu")),
    ("gpt_neo-untied", "an explicit intermediate_size, an output matrix of its own",
     dict(model_type="gpt_neo", vocab_size=61, hidden_size=24, num_layers=2, num_heads=3, attention_types=[[["local", "global"], 1]],
          window_size=7, max_position_embeddings=64, intermediate_size=40, activation_function="relu", tie_word_embeddings=False)),
    ("gptj-whole-head", "whole heads rotated, an explicit n_inner, tied with a bias on the output",
     dict(model_type="gptj", vocab_size=61, n_embd=24, n_layer=2, n_head=3, n_positions=64, rotary_dim=8, n_inner=40,
          activation_function="gelu", tie_word_embeddings=True)),
    ("olmo-bias", "attention_bias, a head_dim of its own, clip, tied",
     llama(model_type="olmo", attention_bias=True, head_dim=10, clip_qkv=1.1, tie_word_embeddings=True, rope_theta=5000.0)),
    ("olmo2-bias", "attention_bias, grouped keys, tied, linear rotation",
     llama(model_type="olmo2", attention_bias=True, tie_word_embeddings=True, rope_theta=10000.0,
           rope_scaling={"rope_type": "linear", "factor": 2.0}, rms_norm_eps=1e-3)),
    ("olmo3-yarn", "as published: yarn for the full layers alone, the default pattern of layers",
     llama(model_type="olmo3", num_hidden_layers=5, hidden_size=64, num_attention_heads=2, num_key_value_heads=1, rope_theta=500000, sliding_window=9, max_position_embeddings=512,
           rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "attention_factor": 1.2079441541679836,
                         "beta_fast": 3.0, "beta_slow": 0.5})),
    ("olmo3-bias", "attention_bias, two thetas",
     llama(model_type="olmo3", attention_bias=True, layer_types=["full_attention", "sliding_attention"], sliding_window=9,
           rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 9000.0},
                            "sliding_attention": {"rope_type": "linear", "factor": 3.0, "rope_theta": 700.0}})),
    ("gemma-bias", "attention_bias, SiLU",
     llama(model_type="gemma", head_dim=10, attention_bias=True, hidden_act="silu", rms_norm_eps=1e-3)),
    ("gemma2-uncapped", "no caps, attention_bias, exact GELU, the default pattern of layers",
     llama(model_type="gemma2", num_hidden_layers=3, head_dim=8, attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=True,
           hidden_activation="gelu", query_pre_attn_scalar=11, sliding_window=8)),
    ("gemma3-capped", "a cap on the logits, attention_bias, the default pattern of layers",
     llama(model_type="gemma3_text", num_hidden_layers=7, hidden_size=16, num_attention_heads=2, num_key_value_heads=1, intermediate_size=24, head_dim=8,
           final_logit_softcapping=7.0, attention_bias=True, query_pre_attn_scalar=7, sliding_window=8, rope_theta=50000.0)),
    ("gemma3-layers", "two thetas in the current style, an untied head",
     llama(model_type="gemma3_text", head_dim=8, layer_types=["full_attention", "sliding_attention"], sliding_window=8, tie_word_embeddings=False,
           query_pre_attn_scalar=7,
           rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 9000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 700.0}})),
    ("gemma3-vision", "the text part of a checkpoint that sees images; sizes that it leaves out",
     dict(model_type="gemma3", mm_tokens_per_image=4, image_token_index=60, boi_token_index=58, eoi_token_index=59,
          text_config=dict(model_type="gemma3_text", vocab_size=61, hidden_size=16, num_hidden_layers=2, intermediate_size=24, head_dim=4, sliding_window=8,
                           num_key_value_heads=2, sliding_window_pattern=2, rope_scaling={"rope_type": "linear", "factor": 8.0}, query_pre_attn_scalar=5),
          vision_config=dict(model_type="siglip_vision_model", hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                             image_size=8, patch_size=4, vision_use_head=False))),
    ("phi-norm", "layer norms on q and k, grouped keys, another share of each head",
     llama(model_type="phi", qk_layernorm=True, hidden_size=40, partial_rotary_factor=0.4, layer_norm_eps=1e-3)),
    ("phi-tied", "tied, the default share of each head, linear rotation",
     llama(model_type="phi", tie_word_embeddings=True, hidden_size=32, rope_scaling={"type": "linear", "factor": 2.0})),
    ("phi3-longrope-short", "longrope within the original length",
     llama(model_type="phi3", hidden_size=32, original_max_position_embeddings=48, max_position_embeddings=192, sliding_window=30,
           rope_scaling={"type": "longrope", "short_factor": [1.0, 1.1, 1.3, 1.6], "long_factor": [1.2, 2.0, 3.5, 6.0]})),
    ("phi3-longrope-long", "longrope beyond the original length, a part of each head",
     llama(model_type="phi3", hidden_size=32, original_max_position_embeddings=32, max_position_embeddings=192, partial_rotary_factor=0.75,
           tie_word_embeddings=True, rope_scaling={"type": "longrope", "short_factor": [1.0, 1.1, 1.3], "long_factor": [1.2, 2.0, 3.5]})),
    ("opt-bare", "no biases, norms without weights, GELU",
     dict(model_type="opt", vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, ffn_dim=40, max_position_embeddings=64,
          enable_bias=False, layer_norm_elementwise_affine=False, activation_function="gelu", tie_word_embeddings=False)),
    ("opt-no-final", "no final norm although norms stand before each part; narrow embeddings with an output matrix of their own",
     dict(model_type="opt", vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, ffn_dim=40, max_position_embeddings=64,
          _remove_final_layer_norm=True, word_embed_proj_dim=16, tie_word_embeddings=False)),
    ("falcon-rw", "Falcon RW: sequential, q, k and v per head, ALiBi, biases",
     dict(model_type="falcon", vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, alibi=True, bias=True, multi_query=False,
          new_decoder_architecture=False, parallel_attn=False, layer_norm_epsilon=1e-3)),
    ("falcon-alibi-multiquery", "ALiBi with one key head and parallel attention",
     dict(model_type="falcon", vocab_size=61, n_embed=24, num_hidden_layers=2, num_attention_heads=6, alibi=True, multi_query=True, parallel_attn=True,
          activation="relu", ffn_hidden_size=40)),
    ("falcon-2", "Falcon 2: new decoder architecture with one norm, ALiBi off, untied",
     dict(model_type="falcon", vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=6, num_kv_heads=3, new_decoder_architecture=True,
          num_ln_in_parallel_attn=1, bias=True, rope_theta=500.0, tie_word_embeddings=False)),
    ("falcon-per-head", "rotation with q, k and v per head, sequential, linear scaling",
     dict(model_type="falcon", vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, multi_query=False, parallel_attn=False,
          rope_scaling={"type": "linear", "factor": 2.5})),
    ("bloom-post", "residuals from the normalised state, heads a power of two",
     dict(model_type="bloom", vocab_size=61, hidden_size=24, n_layer=2, n_head=4, apply_residual_connection_post_layernorm=True, layer_norm_epsilon=1e-3)),
    ("bloom-seven", "seven heads, untied",
     dict(model_type="bloom", vocab_size=61, n_embed=28, num_hidden_layers=2, num_attention_heads=7, tie_word_embeddings=False)),
    ("mpt-clip", "q, k and v clipped, a scale of its own, six heads",
     dict(model_type="mpt", vocab_size=61, d_model=24, n_heads=6, n_layers=2, max_seq_len=64, attn_config={"clip_qkv": 1.1, "softmax_scale": 0.7})),
    ("stablelm-norm", "a norm per head with bias on q, k and v, tied",
     llama(model_type="stablelm", hidden_size=32, use_qkv_bias=True, qk_layernorm=True, tie_word_embeddings=True, layer_norm_eps=1e-3)),
    ("starcoder2-bare", "no biases, no window, an untied head, exact GELU",
     llama(model_type="starcoder2", use_bias=False, sliding_window=None, tie_word_embeddings=False, hidden_act="gelu", rope_theta=500.0)),
    ("cohere-norm", "a norm with weights per head, attention_bias, untied",
     llama(model_type="cohere", use_qk_norm=True, attention_bias=True, tie_word_embeddings=False, rope_theta=500.0, logit_scale=0.5, layer_norm_eps=1e-3)),
    ("cohere2-layers", "layer_types, attention_bias, untied",
     llama(model_type="cohere2", layer_types=["full_attention", "sliding_attention"], sliding_window=8, attention_bias=True, tie_word_embeddings=False,
           logit_scale=0.5)),
    ("granite-bias", "all biases, untied, llama3 rotation",
     llama(model_type="granite", attention_bias=True, mlp_bias=True, attention_multiplier=0.3, embedding_multiplier=3.0, residual_multiplier=0.5,
           logits_scaling=1.5, max_position_embeddings=1024,
           rope_scaling={"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256})),
    ("smollm3-sliding", "sliding layers are those without rotation; biases",
     llama(model_type="smollm3", num_hidden_layers=3, use_sliding_window=True, sliding_window=8, no_rope_layer_interval=2, attention_bias=True,
           mlp_bias=True)),
    ("smollm3-layers", "layer_types beside a list of rotating layers, untied",
     llama(model_type="smollm3", use_sliding_window=True, sliding_window=8, no_rope_layers=[0, 1], layer_types=["full_attention", "sliding_attention"],
           tie_word_embeddings=False)),
    ("glm4-no-bias", "no biases, another share of each head, tied",
     llama(model_type="glm4", head_dim=8, attention_bias=False, partial_rotary_factor=0.75, tie_word_embeddings=True, rms_norm_eps=1e-3)),
    ("mixtral-sliding", "a window, heads of a size of their own, three of five experts",
     llama(model_type="mixtral", head_dim=10, sliding_window=9, num_local_experts=5, num_experts_per_tok=3, rope_theta=500.0, rms_norm_eps=1e-3)),
    ("qwen2_moe-steps", "every second layer has experts, even layers slide, no bias, renormalised weights",
     llama(model_type="qwen2_moe", num_hidden_layers=4, decoder_sparse_step=2, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=20,
           shared_expert_intermediate_size=28, norm_topk_prob=True, qkv_bias=False, use_sliding_window=True, sliding_window=9, max_window_layers=3)),
    ("qwen2_moe-layers", "layer_types, a layer without experts, exact GELU, tied",
     llama(model_type="qwen2_moe", num_hidden_layers=3, mlp_only_layers=[1], num_experts=4, num_experts_per_tok=1, moe_intermediate_size=20, hidden_act="gelu",
           shared_expert_intermediate_size=28, use_sliding_window=True, sliding_window=9, tie_word_embeddings=True,
           layer_types=["full_attention", "sliding_attention", "full_attention"])),
    ("qwen3_moe-window", "all layers slide, biases, weights as they are, one dense layer",
     llama(model_type="qwen3_moe", num_hidden_layers=3, head_dim=10, mlp_only_layers=[0], num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20,
           norm_topk_prob=False, attention_bias=True, use_sliding_window=True, sliding_window=9)),
    ("olmoe-clip", "clip after the norm, grouped keys, biases, renormalised weights, tied",
     llama(model_type="olmoe", num_experts=5, num_experts_per_tok=2, norm_topk_prob=True, clip_qkv=1.1, attention_bias=True, tie_word_embeddings=True)),
]

FAMILIES = ["gpt2", "gpt_neo", "gptj", "olmo", "olmo2", "olmo3", "gemma", "gemma2", "gemma3_text", "phi", "phi3", "opt", "falcon", "bloom", "mpt",
            "stablelm", "starcoder2", "cohere2", "granite", "smollm3", "glm4", "mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "bert", "roberta", "distilbert"]


def unit(name, n):
    """n numbers from -1 up to 1 that follow from a name: splitmix64 of FNV-1a, the upper 24 bits."""
    h = 14695981039346656037
    for b in name.encode():
        h = (h ^ b) * 1099511628211 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float32) - np.float32(2**23)) / np.float32(2**23)


def build(config, dtype=torch.float32):
    attention = "sdpa" if config.model_type == "falcon" else "eager"  # see ../../testdata/reference/README.md
    return ref.build(config, dtype, attention)


def stored(model):
    """Name, values and dimensions of each tensor as checkpoints hold them: experts one by one, which transformers 5 keeps joined."""
    mixtral = model.config.get_text_config().model_type == "mixtral"
    for name, p in model.named_parameters():
        if mixtral:
            name = name.replace(".mlp.", ".block_sparse_moe.")
        if ".experts." not in name:
            yield name, p.data
            continue
        base, what = name.rsplit(".", 1)
        for e, x in enumerate(p.data):
            half = x.shape[0] // 2
            parts = {"gate_proj": x[:half], "up_proj": x[half:]} if what == "gate_up_proj" else {"down_proj": x}
            for part, values in parts.items():
                part = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}[part] if mixtral else part
                yield f"{base}.{e}.{part}.weight", values


def sizes(model):
    """center and scale of each tensor: those of the reference checkpoints."""
    gain = dict(ref.GAIN)
    text = model.config.get_text_config()
    kind = text.model_type
    embed, stream = embedding(model, text, gain)
    minus_one = kind in ref.STORED_MINUS_ONE
    out = {}
    for name, p in stored(model):
        if "vision" in name or "multi_modal" in name:
            continue
        k, center = ref.kind_of(name.replace("block_sparse_moe", "mlp").replace(".w2.", ".down_proj.")), 0.0
        fan_in = p.shape[0] if kind == "gpt2" and p.dim() == 2 and k in ("qkv", "out", "inner") else p.shape[-1]
        if name.endswith("bias"):
            sd = gain["norm_bias"] if k in ("norm", "qk_norm") else gain["bias"] * (stream if k == "out" else 1.0)
        elif k in ("norm", "qk_norm"):
            center, sd = (gain["qk_norm"] if k == "qk_norm" else 1.0) - (1.0 if minus_one else 0.0), gain["norm"]
        elif k == "embed":
            sd = embed
        elif k == "position":
            sd = gain["position"] * stream
        elif k == "out":
            sd = gain["out"] * stream / getattr(text, "residual_multiplier", 1.0) / math.sqrt(fan_in)
        else:
            sd = gain[k] / math.sqrt(fan_in)
        out[name] = [list(p.shape), float(np.float32(center)), float(np.float32(sd * math.sqrt(3)))]
    return out


def embedding(model, text, gain):
    width = model.get_input_embeddings().weight.shape[1]
    std = 2.3 / math.sqrt(width) if ref.is_tied(model) else 1.0
    if text.model_type in ref.STORED_MINUS_ONE:
        return std, std * math.sqrt(text.hidden_size)
    if text.model_type == "granite":
        return std, std * text.embedding_multiplier
    if text.model_type == "bloom":
        return std, 1.0
    return std, std


def fill(model, tensors):
    for name, p in stored(model):
        if name in tensors:
            dims, center, scale = tensors[name]
            x = np.float32(center) + np.float32(scale) * unit(name, math.prod(dims))
            p.copy_(torch.from_numpy(x.reshape(dims)))


def sharpen(model, tensors, sequence):
    """Scale the output matrix, or the norm before a tied one, until predictions are neither flat nor certain."""
    text = model.config.get_text_config()
    minus_one = text.model_type in ref.STORED_MINUS_ONE
    if not ref.is_tied(model):
        knobs = ["lm_head.weight"]
    else:
        final = ref.FINAL_NORM.get(text.model_type, "model.norm")
        knobs = [n for n in (final + ".weight", final + ".bias", final.replace("model.", "model.language_model.") + ".weight") if n in tensors]
        knobs = knobs or [n for n in tensors if "embed_tokens.weight" in n]
    start = {k: tensors[k][1:] for k in knobs}

    def entropy(factor):
        for k in knobs:
            center, scale = start[k]
            one = 1.0 if minus_one and k.endswith("norm.weight") else 0.0
            tensors[k][1:] = [float(np.float32((center + one) * factor - one)), float(np.float32(scale * factor))]
        fill(model, tensors)
        logp = ref.forward(model, sequence)["logits"].log_softmax(-1)
        return -(logp.exp() * logp).sum(-1).mean().item() / math.log(text.vocab_size)

    last = 1.0
    for i in range(30):
        e = entropy(0.1 * 1.25**i)
        if e < 0.62:
            return e
        if e > last and last < 0.9:  # a cap on the logits makes the entropy rise again: stay at the least
            return entropy(0.1 * 1.25 ** (i - 1))
        last = e
    raise ValueError(f"entropy {e:.2f}")


def number(x):
    return float(f"{x:.10g}")


def make(name, says, config):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        read = AutoConfig.from_pretrained(folder)
    model = build(read)
    generator = torch.Generator().manual_seed(len(name) * 7919 + sum(name.encode()))
    vocab = read.get_text_config().vocab_size
    ids = torch.randint(0, vocab - 4, (LENGTH,), generator=generator)  # not an image token
    ids[0], ids[5] = 0, vocab - 4
    ids[30:36] = ids[3:9]
    sequence = {"ids": ids[None]}
    tensors = sizes(model)
    share = sharpen(model, tensors, sequence)
    double = build(read, torch.float64)
    fill(double, tensors)
    with ref.AllFloat64():
        out = ref.scored(ref.forward(double, sequence)["logits"], sequence)
    single = ref.scored(ref.forward(model, sequence)["logits"], sequence)
    noise = (single["logprob"].double() - out["logprob"]).abs().max().item()
    assert noise < 2e-5 and 0.25 < share < 0.9, (name, noise, share)
    print(f"{name}: entropy {share:.2f} of log V, transformers in float32 off by {noise:.1e}")
    return {
        "name": name, "says": says, "config": config, "tensors": tensors, "ids": ids.tolist(),
        **{k: [number(v) for v in out[k].tolist()] for k in ("logprob", "entropy", "sd")},
    }


def main():
    only = sys.argv[1:]
    made = [make(*v) for v in VARIANTS if not only or v[0] in only]
    if only:
        return
    with open(HERE / "variants.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in made) + "\n]\n")
    defaults = {}
    for family in FAMILIES:
        full = CONFIG_MAPPING[family]().to_dict()
        defaults[family] = {k: v for k, v in sorted(full.items()) if k not in ("transformers_version", "architectures")}
    write(HERE / "defaults.json", defaults)
    rewritten = {v["name"]: rewrite(v["config"]) for v in made}
    for folder in sorted(p.parent for p in (HERE.parent.parent / "testdata" / "reference").glob("*/config.json")):
        config = json.loads((folder / "config.json").read_text())
        if config["model_type"] in FAMILIES + ["cohere"]:
            rewritten[folder.name] = rewrite(config)
    write(HERE / "rewritten.json", rewritten)


def write(path, values):
    with open(path, "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in values.items()) + "\n}\n")


def rewrite(config):
    """config.json as transformers writes it after reading this one."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        AutoConfig.from_pretrained(folder).save_pretrained(folder)
        new = json.loads((Path(folder) / "config.json").read_text())
    return {k: v for k, v in new.items() if k not in ("transformers_version", "architectures", "vision_config")}


if __name__ == "__main__":
    main()
