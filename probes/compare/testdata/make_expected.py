"""Expected values of package compare, by torch and numpy.

python 3, torch 2.15, numpy 2.4, safetensors 0.8
Run from the root of the repository:  python probes/compare/testdata/make_expected.py

rounding: float32 inputs (bits) and their bfloat16 and float16 roundings (bits of the widened value), by torch.
demo: the checkpoints alice and bob of testdata/demo, tensor by tensor in float64, and all of them together.
traces: two rows of log-probabilities a document, differences by numpy.
"""
import json
import numpy as np, torch
from safetensors.torch import load_file

rng = np.random.default_rng(20261124)
bits = np.concatenate([
    rng.integers(0, 2**32, 200, dtype=np.uint32),
    np.array([0x3f800000, 0x3f808000, 0x3f818000, 0x3dcccccd, 0x47800000, 0x477fe000, 0x477ff000, 0x477fefff, 0x33000000, 0x33000001,
              0x337fffff, 0x00000001, 0x7f7fffff, 0x7f7f8000, 0x7f7f7fff, 0x80000000, 0x38800000, 0x387fffff, 0x3f801000, 0x3f803000], dtype=np.uint32),
])
x = torch.from_numpy(bits.view(np.float32).copy())
keep = torch.isfinite(x)
x = x[keep]
wide = lambda t: [int(v) for v in t.float().numpy().view(np.uint32)]
rounding = [[a, b, h] for a, b, h in zip(wide(x), wide(x.bfloat16()), wide(x.half()))]

a, b = (load_file(f"testdata/demo/{n}/model.safetensors") for n in ("alice", "bob"))
demo, tot = {}, np.zeros(4)
for k in sorted(a):
    u, v = a[k].double().numpy().ravel(), b[k].double().numpy().ravel()
    s = np.array([((u - v) ** 2).sum(), (u * u).sum(), (v * v).sum(), (u * v).sum()])
    tot += s
    demo[k] = {"r": float(np.sqrt(s[0] / s[1])), "cosine": float(s[3] / np.sqrt(s[1] * s[2])), "max_abs": float(np.abs(u - v).max())}
demo[""] = {"r": float(np.sqrt(tot[0] / tot[1])), "cosine": float(tot[3] / np.sqrt(tot[1] * tot[2])), "max_abs": max(d["max_abs"] for d in demo.values())}

docs, ds = [], []
for i in range(6):
    n = 3 + i
    la = -rng.exponential(2, n).astype(np.float32)
    lb = (la + rng.normal(0, .3, n)).astype(np.float32)
    ta, tb = rng.integers(0, 9, n), rng.integers(0, 9, n)
    docs.append({"a": la.tolist(), "b": lb.tolist(), "top_a": ta.tolist(), "top_b": tb.tolist(), "bytes": 10 * n})
d = np.concatenate([np.array(x["b"]) - np.array(x["a"]) for x in docs])
same = np.concatenate([np.array(x["top_a"]) == np.array(x["top_b"]) for x in docs])
nb = sum(x["bytes"] for x in docs)
bits_of = lambda s: -sum(map(sum, (x[s] for x in docs))) / np.log(2) / nb
per = [(sum(x["a"]) - sum(x["b"])) / np.log(2) / x["bytes"] for x in docs]
traces = {"docs": docs, "mean": d.mean(), "rms": float(np.sqrt((d * d).mean())), "max": float(np.abs(d).max()), "ratio": float(np.exp(-d.mean())),
          "top1": float(same.mean()), "bpb_a": bits_of("a"), "bpb_b": bits_of("b"), "bpb_documents": float(np.mean(per))}
json.dump({"rounding": rounding, "demo": demo, "traces": traces}, open("probes/compare/testdata/expected.json", "w"), separators=(",", ":"))
