"""Writes warpers.json: what transformers' logits warpers leave, in its order.

Requires: transformers==5.23.0 torch==2.15.0 (python 3.11). Run in this folder: python make_warpers.py
"""
import json

import torch
import transformers
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

ROWS = [[2.0, 1.0, 0.5, -1.0, -3.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 3.0, 1.0, 1.0, -2.0], [5.0, -5.0, 4.9, 4.8, -9.0, 4.7]]
out = {"origin": f"transformers {transformers.__version__}, torch {torch.__version__}", "cases": []}
for row in ROWS:
    for t, k, p in [(1, 0, 0), (0.5, 0, 0), (2, 0, 0), (1, 1, 0), (1, 2, 0), (1, 3, 0), (1, 0, 0.3), (1, 0, 0.7), (1, 0, 0.95), (0.7, 4, 0.8), (1.5, 3, 0.5)]:
        w = LogitsProcessorList()
        if t != 1:
            w.append(TemperatureLogitsWarper(float(t)))
        if k:
            w.append(TopKLogitsWarper(k))
        if p:
            w.append(TopPLogitsWarper(p))
        x = torch.tensor([row], dtype=torch.float64)
        probs = torch.softmax(w(torch.zeros(1, 1, dtype=torch.long), x), -1)[0].tolist()
        if p and any(abs(v - row[i - 1]) < 1e-9 for i, v in enumerate(row) if i) and k == 0 and row[0] == 0:
            continue  # which of equal logits stay depends on the sort
        out["cases"].append({"logits": row, "temperature": t, "top_k": k, "top_p": p, "p": [round(v, 9) for v in probs]})
with open("warpers.json", "w") as f:
    json.dump(out, f)
    f.write("\n")
print(len(out["cases"]))
