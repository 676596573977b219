"""R2 of two labels from the cells of a states file, in ten lines.

    python3 r2.py g1.safetensors resid_post.mean 3      (safetensors 0.8.0, numpy 2.4)
"""
import sys

import numpy as np
from safetensors.numpy import load_file

path, view, layer = sys.argv[1:]
t = load_file(path)
k = 0  # index of the layer in the view
n, w, mean = [], [], []
for label in (0, 1):
    c = t["cell.label"] == label
    n.append(t["cell.n"][c].sum())
    s = t[f"cell.sum.{view}.{layer}"][c].sum(0)
    mean.append(s / n[-1])
    w.append(t[f"cell.q.{view}"][c, k, k].sum() - s @ s / n[-1])
d2 = ((mean[0] - mean[1]) ** 2).sum() - sum(w[i] / (n[i] * (n[i] - 1)) for i in (0, 1))
v = sum(w[i] / (n[i] - 1) for i in (0, 1))
print(d2 / (d2 + 2 * v))
