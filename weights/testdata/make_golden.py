"""Writes golden.json: expected values for the tests of package weights.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 torch==2.15.0 safetensors==0.8.0 transformers==5.23.0
    venv/bin/python make_golden.py ../../testdata/reference > golden.json

checkpoints  weights: the digest of a checkpoint by its definition (hashlib);
             f32: SHA-256 of all floating-point tensors, by name, widened by
             torch and written as little-endian float32
f16, bf16    SHA-256 of all 65536 bit patterns widened (numpy, torch)
f64          float64 bit patterns and the float32 they round to (numpy)
rope         inverse frequencies and attention factor (transformers)
"""
import glob
import hashlib
import json
import os
import struct
import sys

import numpy as np
import torch
from safetensors import safe_open
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS


def tensors(folder):
    """name -> (dtype, shape, bytes), read with the standard library alone."""
    index = os.path.join(folder, "model.safetensors.index.json")
    files = ["model.safetensors"]
    if os.path.exists(index):
        files = sorted(set(json.load(open(index))["weight_map"].values()))
    out = {}
    for f in files:
        data = open(os.path.join(folder, f), "rb").read()
        (n,) = struct.unpack("<Q", data[:8])
        for name, t in json.loads(data[8 : 8 + n]).items():
            if name != "__metadata__":
                a, b = t["data_offsets"]
                out[name] = (t["dtype"], t["shape"], data[8 + n + a : 8 + n + b])
    return files, out


def checkpoint(folder):
    files, ts = tensors(folder)
    root = hashlib.sha256(b"assay-tensors-v1\n")
    for name in sorted(ts, key=lambda s: s.encode()):
        dtype, shape, data = ts[name]
        leaf = hashlib.sha256(data).hexdigest()
        root.update(f"{name}\t{dtype}\t{','.join(map(str, shape))}\t{leaf}\n".encode())
    values = {}
    for f in files:
        with safe_open(os.path.join(folder, f), "pt") as s:
            for name in s.keys():
                t = s.get_tensor(name)
                if t.is_floating_point():
                    values[name] = t.float().numpy().astype("<f4").tobytes()
    f32 = hashlib.sha256(b"".join(values[n] for n in sorted(values, key=lambda s: s.encode())))
    return {"weights": "sha256:" + root.hexdigest(), "f32": f32.hexdigest(), "tensors": len(ts)}


def rope(params, head=16, window=None, top=None, **conf):
    kind = params["rope_type"]
    c = LlamaConfig(head_dim=head, num_attention_heads=4, hidden_size=4 * head, rope_parameters=dict(params), **conf)
    inv, factor = ROPE_INIT_FUNCTIONS[kind](c, "cpu", seq_len=window)
    return {"parameters": params, "head": head, "window": window or 1, "max_positions": c.max_position_embeddings,
            "inv": [float(x) for x in inv.double()], "attention": float(factor)}


def main(reference):
    every = np.arange(65536, dtype=np.uint16)
    odd = np.array([0, 1, 1 << 63, 0x36A0000000000000, 0x3690000000000000, 0x3690000000000001, 0x380FFFFFFFFFFFFF,
                    0x3FF0000010000000, 0x3FF0000030000000, 0x47EFFFFFE0000000, 0x47EFFFFFF0000000, 0x7FF0000000000000,
                    0xC00921FB54442D18], dtype=np.uint64)
    with np.errstate(all="ignore"):
        rounded = odd.view(np.float64).astype(np.float32).view(np.uint32)
    yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 40}
    long = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 64,
            "short_factor": [1 + i / 10 for i in range(8)], "long_factor": [1.0 + i for i in range(8)]}
    golden = {
        "checkpoints": {os.path.basename(os.path.dirname(f)): checkpoint(os.path.dirname(f))
                        for f in sorted(glob.glob(os.path.join(reference, "*", "config.json")))},
        "f16": hashlib.sha256(every.view(np.float16).astype("<f4").tobytes()).hexdigest(),
        "bf16": hashlib.sha256(torch.from_numpy(every.view(np.int16).copy()).view(torch.bfloat16).float().numpy().tobytes()).hexdigest(),
        "f64": [[f"{a:016x}", f"{b:08x}"] for a, b in zip(odd.tolist(), rounded.tolist())],
        "rope": {
            "linear": rope({"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.5}, max_position_embeddings=256),
            "llama3": rope({"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
                            "high_freq_factor": 4.0, "original_max_position_embeddings": 64}, max_position_embeddings=512),
            "llama3 partial": rope({"rope_type": "llama3", "rope_theta": 5e5, "factor": 32.0, "low_freq_factor": 1.0,
                                    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
                                    "partial_rotary_factor": 0.5}, head=128, max_position_embeddings=131072),
            "yarn": rope(yarn, max_position_embeddings=160),
            "yarn head 24": rope(yarn, head=24, max_position_embeddings=160),
            "yarn not truncated": rope(yarn | {"truncate": False}, max_position_embeddings=160),
            "yarn betas": rope(yarn | {"beta_fast": 8, "beta_slow": 0.5}, head=64, max_position_embeddings=160),
            "yarn mscale": rope(yarn | {"mscale": 0.707, "mscale_all_dim": 1.1}, max_position_embeddings=160),
            "yarn attention factor": rope(yarn | {"attention_factor": 1.25}, max_position_embeddings=160),
            "longrope short": rope(long, window=64, max_position_embeddings=256),
            "longrope long": rope(long, window=65, max_position_embeddings=256),
            "longrope factor": rope(long | {"factor": 2.0}, window=65, max_position_embeddings=256),
            "dynamic": rope({"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}, window=256, max_position_embeddings=256),
        },
    }
    json.dump(golden, sys.stdout, indent=1)
    print()


main(sys.argv[1])
