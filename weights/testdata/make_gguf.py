"""Writes gguf/*.gguf, gguf/expected.json and blocks.json for the tests of package weights.

Tiny checkpoints with random weights (multiples of 1/128, exact in every plain type) are saved by
transformers and turned into GGUF by llama.cpp's own converter; what is expected of the reader is
what was in the safetensors file: names, shapes, values, configuration.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 torch==2.15.0 safetensors==0.8.0 transformers==5.23.0
    pip download --no-deps llama-cpp-python==0.3.36 and unpack it; its vendor/llama.cpp holds the converter
    venv/bin/python make_gguf.py path/to/vendor/llama.cpp .
    venv/bin/python make_gguf.py path/to/vendor/llama.cpp --reference ../../testdata/reference FOLDER

The last form makes F32 files of the reference checkpoints, which are too large to keep; go test ./model -run
GGUFReference -gguf FOLDER scores both.

blocks.json: for every block type, 64 blocks of bytes (2654435761 i mod 2^32) >> 13 & 255 with scales
in [2^-10, 2), unpacked by gguf-py.
"""
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

llama_cpp, out = sys.argv[1], sys.argv[2]
reference = sys.argv[3:5] if out == "--reference" else None
sys.path[:0] = [os.path.join(llama_cpp, "gguf-py"), llama_cpp]
import convert_hf_to_gguf  # noqa: E402
import gguf  # noqa: E402
from conversion import base as conversion_base  # noqa: E402
from conversion.stablelm import StableLMModel  # noqa: E402

VOCAB = 24
TOKENS = ["<s>", "</s>"] + [chr(97 + i) for i in range(VOCAB - 2)]

llama = dict(vocab_size=VOCAB, hidden_size=16, intermediate_size=20, num_hidden_layers=1, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, bos_token_id=0, eos_token_id=1, pad_token_id=None)
rope = lambda theta=10000.0, **k: dict(rope_parameters=dict(rope_type="default", rope_theta=theta) | k)  # noqa: E731
mha = {k: v for k, v in llama.items() if k != "num_key_value_heads"}
mha4 = llama | dict(num_key_value_heads=4)
moe = llama | dict(intermediate_size=12)

# name -> (model_type, outtype, config)
CASES = {
    "llama": ("llama", "f16", llama | dict(num_hidden_layers=2, rms_norm_eps=1e-5, tie_word_embeddings=False) | rope(500000.0)),
    "llama-tied-bias": ("llama", "bf16", llama | dict(tie_word_embeddings=True, attention_bias=True, mlp_bias=True, head_dim=8) | rope(rope_type="linear", factor=2.5)),
    "llama-llama3": ("llama", "f16", llama | dict(head_dim=16, max_position_embeddings=128) | rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "llama-yarn": ("llama", "f16", llama | rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=16.0, beta_slow=2.0)),
    "llama-q8_0": ("llama", "q8_0", llama | dict(hidden_size=32, intermediate_size=32, head_dim=8) | rope()),
    "mixtral": ("mixtral", "f16", moe | dict(num_local_experts=3, num_experts_per_tok=2, sliding_window=None) | rope(1e6)),
    "qwen2": ("qwen2", "f16", llama | dict(tie_word_embeddings=True) | rope(1e6)),
    "qwen2_moe": ("qwen2_moe", "f16", llama | dict(moe_intermediate_size=12, shared_expert_intermediate_size=8, num_experts=3, num_experts_per_tok=2, norm_topk_prob=False, decoder_sparse_step=1) | rope(1e6)),
    "qwen3": ("qwen3", "f32", llama | dict(head_dim=6) | rope(1e6)),
    "qwen3_moe": ("qwen3_moe", "f16", llama | dict(head_dim=8, moe_intermediate_size=12, num_experts=3, num_experts_per_tok=2, norm_topk_prob=True, decoder_sparse_step=1) | rope(1e6)),
    "gemma": ("gemma", "f16", llama | dict(head_dim=8, num_key_value_heads=1) | rope()),
    "gemma2": ("gemma2", "f16", llama | dict(head_dim=8, query_pre_attn_scalar=8, sliding_window=16, attn_logit_softcapping=50.0, final_logit_softcapping=30.0) | rope()),
    "gemma3": ("gemma3_text", "f16", llama | dict(head_dim=8, query_pre_attn_scalar=8, sliding_window=16) | dict(rope_parameters=dict(full_attention=dict(rope_type="linear", factor=4.0, rope_theta=1e6), sliding_attention=dict(rope_type="default", rope_theta=1e4)))),
    "gpt2": ("gpt2", "f16", dict(vocab_size=VOCAB, n_positions=32, n_ctx=32, n_embd=16, n_layer=1, n_head=4, bos_token_id=0, eos_token_id=1)),
    "gpt_neox": ("gpt_neox", "f16", mha | dict(rotary_pct=0.5, tie_word_embeddings=False, use_parallel_residual=True, layer_norm_eps=1e-5)),
    "bloom": ("bloom", "f16", dict(vocab_size=VOCAB, hidden_size=16, n_layer=1, n_head=4, seq_length=32, bos_token_id=0, eos_token_id=1)),
    "falcon": ("falcon", "f16", dict(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, num_attention_heads=4, multi_query=True, parallel_attn=True, alibi=False, bias=False, num_kv_heads=1, bos_token_id=0, eos_token_id=1)),
    "falcon-gqa": ("falcon", "f16", dict(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, num_attention_heads=4, num_kv_heads=2, new_decoder_architecture=True, alibi=False, bias=False, bos_token_id=0, eos_token_id=1)),
    "phi": ("phi", "f16", mha4 | dict(intermediate_size=64, partial_rotary_factor=0.5)),
    "phi3": ("phi3", "f16", llama | dict(sliding_window=48, original_max_position_embeddings=64) | rope()),
    "phi3-longrope": ("phi3", "f16", llama | dict(max_position_embeddings=128, original_max_position_embeddings=32) | rope(rope_type="longrope", short_factor=[1.0, 1.25], long_factor=[2.0, 4.5])),
    "olmo": ("olmo", "f16", llama | dict(clip_qkv=6.5) | rope()),
    "olmo2": ("olmo2", "f16", llama | dict(rms_norm_eps=1e-6) | rope(500000.0)),
    "olmo3": ("olmo3", "f16", llama | dict(num_hidden_layers=2, sliding_window=8, layer_types=["sliding_attention", "full_attention"], rms_norm_eps=1e-6) | dict(rope_parameters=dict(full_attention=dict(rope_type="default", rope_theta=5e5), sliding_attention=dict(rope_type="default", rope_theta=5e5)))),
    "olmoe": ("olmoe", "f16", moe | dict(num_key_value_heads=4, num_experts=3, num_experts_per_tok=2, rms_norm_eps=1e-5) | rope()),
    "stablelm": ("stablelm", "f16", llama | dict(hidden_size=32, use_qkv_bias=True, partial_rotary_factor=0.25, layer_norm_eps=1e-5)),
    "stablelm-parallel": ("stablelm", "f16", llama | dict(hidden_size=32, use_parallel_residual=True, qk_layernorm=True, partial_rotary_factor=0.25, layer_norm_eps=1e-5)),
    "starcoder2": ("starcoder2", "f16", llama | dict(norm_epsilon=1e-5, use_bias=True, sliding_window=None) | rope()),
    "cohere": ("cohere", "f16", llama | dict(logit_scale=0.25, use_qk_norm=True, layer_norm_eps=1e-5) | rope(8e6)),
    "cohere2": ("cohere2", "f16", llama | dict(num_hidden_layers=4, logit_scale=0.25, sliding_window=8, layer_norm_eps=1e-5) | rope(5e4)),
    "glm4": ("glm4", "f16", llama | dict(head_dim=8, attention_bias=True) | rope(partial_rotary_factor=0.5)),
    "gpt_neox-full": ("gpt_neox", "f16", mha | dict(rotary_pct=1.0, use_parallel_residual=False, attention_bias=False)),
    "granite": ("granite", "f16", llama | dict(attention_multiplier=0.25, embedding_multiplier=6.0, residual_multiplier=0.22, logits_scaling=3.0) | rope()),
    "smollm3": ("smollm3", "f16", llama | dict(num_hidden_layers=4, no_rope_layer_interval=4) | rope(5e4)),
    # Encoders: the converter leaves their heads out, so they are saved without.
    "bert": ("bert", "f16", dict(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=20, max_position_embeddings=48, type_vocab_size=3, layer_norm_eps=1e-6)),
    "distilbert": ("distilbert", "f16", dict(vocab_size=VOCAB, dim=16, n_layers=2, n_heads=4, hidden_dim=20, max_position_embeddings=48)),
}


def fill(model, seed):
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for _, p in sorted(model.named_parameters()):
            k = rng.integers(-127, 128, size=tuple(p.shape))
            p.copy_(torch.from_numpy(k.astype(np.float32) / 128))


def set_vocab(self):
    self.gguf_writer.add_tokenizer_model("gpt2")
    self.gguf_writer.add_tokenizer_pre("default")
    rows = self.hparams["vocab_size"]
    tokens = TOKENS + [f"t{i}" for i in range(len(TOKENS), rows)]
    self.gguf_writer.add_token_list(tokens[:rows])
    self.gguf_writer.add_token_types([3, 3] + [1] * (rows - 2))
    self.gguf_writer.add_bos_token_id(0)
    self.gguf_writer.add_eos_token_id(1)


def stablelm_tensors(self, data, name, bid):
    """The converter's own, but for a generator that it returns instead of yielding from."""
    for norms, layer, n in (("_q_norms", "q_layernorm", "num_attention_heads"), ("_k_norms", "k_layernorm", "num_key_value_heads")):
        if f"{layer}.norms" in name:
            if getattr(self, norms) is None:
                setattr(self, norms, [{} for _ in range(self.block_count)])
            found = getattr(self, norms)[bid]
            found[name] = data
            if len(found) >= self.hparams[n]:
                yield from self._stack_qk_norm(bid, self.hparams[n], found, layer)
            return
    yield from conversion_base.TextModel.modify_tensors(self, data, name, bid)


load_hparams = conversion_base.ModelBase.load_hparams


def older_keys(*a, **k):
    """The converter wants older keys, which transformers 5 no longer writes."""
    hparams = load_hparams(*a, **k)
    if hparams.get("model_type") == "cohere2":
        hparams["rotary_pct"] = 1.0
    if hparams.get("model_type") == "gpt_neox":
        hparams["rotary_pct"] = hparams["rope_parameters"]["partial_rotary_factor"]
    return hparams


def convert(folder, target, outtype):
    conversion_base.ModelBase.load_hparams = staticmethod(older_keys)
    StableLMModel.modify_tensors = stablelm_tensors
    real = convert_hf_to_gguf.get_model_class

    def patched(*a, **k):
        cls = real(*a, **k)
        cls.set_vocab = set_vocab
        return cls

    convert_hf_to_gguf.get_model_class = patched
    sys.argv = ["convert", str(folder), "--outfile", str(target), "--outtype", outtype, "--model-name", "t"]
    try:
        convert_hf_to_gguf.main()
    finally:
        convert_hf_to_gguf.get_model_class = real


def expected(folder, outtype):
    tensors = {}
    with safe_open(os.path.join(folder, "model.safetensors"), "pt") as f:
        for name in sorted(f.keys()):
            if name.startswith("pooler."):  # the converter leaves it out, and so do we
                continue
            w = f.get_tensor(name).float().numpy()
            values = w
            if outtype == "q8_0" and w.ndim == 2:
                q = gguf.GGMLQuantizationType.Q8_0
                values = gguf.quants.dequantize(gguf.quants.quantize(w, q), q)
            tensors[name] = [list(w.shape), hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()[:16]]
    config = json.load(open(os.path.join(folder, "config.json")))
    return {"config": config, "tensors": tensors}


def blocks():
    result = {}
    for t in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"):
        q = gguf.GGMLQuantizationType[t]
        values, size = gguf.GGML_QUANT_SIZES[q]
        n = 64
        i = np.arange(n * size, dtype=np.uint64)
        data = ((i * 2654435761 % 2**32) >> 13 & 255).astype(np.uint8).reshape(n, size)
        scales = {"Q4_1": (0, 2), "Q5_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}.get(t, (0,))
        for at in scales:
            data[:, at + 1] = data[:, at + 1] & 0x97 | 0x14 * (1 + (data[:, at] & 1))  # exponents 5 to 15
        y = gguf.quants.dequantize(data.reshape(-1), q).reshape(-1)
        assert y.size == n * values and np.isfinite(y).all()
        result[t] = {"sha256": hashlib.sha256(y.astype("<f4").tobytes()).hexdigest(), "first": [float(v) for v in y[:4]]}
    return result


def references(source, target):
    for folder in sorted(Path(source).iterdir()):
        if not (folder / "config.json").exists():
            continue
        with tempfile.TemporaryDirectory() as copy:
            for file in folder.iterdir():
                if file.name.startswith("model") or file.name == "config.json":
                    Path(copy, file.name).write_bytes(file.read_bytes())
            try:
                convert(copy, os.path.join(target, folder.name + ".gguf"), "f32")
            except (Exception, SystemExit) as e:  # a family that the converter lacks, or a config.json too old for it
                Path(target, folder.name + ".gguf").unlink(missing_ok=True)
                print(f"NOT CONVERTED {folder.name}: {type(e).__name__}: {e}")


def main():
    if reference:
        return references(*reference)
    everything = {}
    only = sys.argv[3:]
    for seed, (name, (kind, outtype, conf)) in enumerate(CASES.items()):
        if only and name not in only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            kinds = AutoModel if kind in ("bert", "distilbert") else AutoModelForCausalLM
            model = kinds.from_config(AutoConfig.for_model(kind, **conf), dtype=torch.float32)
            fill(model, seed)
            model.save_pretrained(folder)
            Path(folder, "tokenizer.json").write_text(json.dumps({"model": {"vocab": {t: i for i, t in enumerate(TOKENS)}}, "added_tokens": []}))
            target = os.path.join(out, "gguf", name + ".gguf")
            convert(folder, target, outtype)
            everything[name] = expected(folder, outtype)
    if not only:
        json.dump(everything, open(os.path.join(out, "gguf", "expected.json"), "w"), separators=(",", ":"), sort_keys=True)
        json.dump(blocks(), open(os.path.join(out, "blocks.json"), "w"), indent=1)


main()
