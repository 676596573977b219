"""Pooled states of the demo checkpoint `alice` on two kinds of text, and expected values.

python 3, torch 2.15, transformers 5.23, numpy 2.4, scikit-learn 1.9
Run from the root of the repository:  python latent/aqi/testdata/make_demo_states.py

demo-states.f16: little-endian float16 [80, 4, 128]: documents (40 of texts.json `kjv`, then 40
of `shk`), layers 0 (embedding output) to 3, mean over the first 48 tokens; from forward hooks on
the blocks, float32, rounded to float16. demo-expected.json: computed from the rounded values.
"""
import json
import numpy as np, torch
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score
from transformers import AutoModelForCausalLM, AutoTokenizer

demo, here = "testdata/demo", "latent/aqi/testdata"
model = AutoModelForCausalLM.from_pretrained(f"{demo}/alice", dtype=torch.float32).eval()
tok = AutoTokenizer.from_pretrained(f"{demo}/alice")
texts = json.load(open(f"{demo}/texts.json"))
seen = {}
def keep(k):
    def hook(mod, args, out):
        seen[k] = (out[0] if isinstance(out, tuple) else out)[0].double().numpy()
    return hook
model.gpt_neox.embed_in.register_forward_hook(lambda m, a, o: seen.__setitem__(0, o[0].detach().double().numpy()))
for l, block in enumerate(model.gpt_neox.layers):
    block.register_forward_hook(keep(l + 1))
rows = []
for text in texts["kjv"][:40] + texts["shk"][:40]:
    ids = tok(text, add_special_tokens=False, return_tensors="pt").input_ids[:, :48]
    with torch.no_grad():
        model(ids)
    rows.append([seen[k].reshape(-1, 128).mean(0) for k in range(4)])
x16 = np.array(rows).astype("<f2")
x16.tofile(f"{here}/demo-states.f16")
x = x16.astype(float)
y = np.repeat([0, 1], 40)

def theta(z):
    a, b = z[:40], z[40:]
    va, vb = a.var(0, ddof=1).sum(), b.var(0, ddof=1).sum()
    d2u = ((a.mean(0) - b.mean(0)) ** 2).sum() - va / 40 - vb / 40
    return 2 * d2u / (va + vb)

def cka(a, b):  # debiased, written from the definition: double sums over ordered indices
    n = len(a)
    k, l = a @ a.T, b @ b.T
    np.fill_diagonal(k, 0), np.fill_diagonal(l, 0)
    one = np.ones(n)
    h = lambda p, q: ((p @ q).trace() + one @ p @ one * (one @ q @ one) / ((n - 1) * (n - 2)) - 2 * (one @ p @ q @ one) / (n - 2)) / (n * (n - 3))
    return h(k, l) / np.sqrt(h(k, k) * h(l, l))

out = {"layers": []}
for k in range(4):
    z = x[:, k]
    t = theta(z)
    out["layers"].append({"theta": t, "r2": max(0.0, t) / (4 + max(0.0, t)),
        "chi": calinski_harabasz_score(z, y), "dbs": davies_bouldin_score(z, y), "silhouette": silhouette_score(z, y),
        "cka_with_layer_3": cka(z, x[:, 3])})
json.dump(out, open(f"{here}/demo-expected.json", "w"), indent=1)
open(f"{here}/demo-expected.json", "a").write("\n")
