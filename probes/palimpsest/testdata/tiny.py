"""Trains byte-level transformers of known order and writes tiny_scores.npy, for tests without a trainer.

usage: python tiny.py DEMO_FOLDER tiny_scores.npy      (versions in requirements.txt; a few minutes on one core)

One layer, width 32, 4,000 rows of 64 bytes (King James Bible, decoded from the demo's texts.json), one pass, batch 16, learning rate 1e-2.
float32 [5, 4000]: row i is position i of the run; mean log-probability of 63 bytes under
  0 own        trained in this order
  1 own2       trained in this order from another initialisation
  2 other      trained on the same rows in another order
  3 other2     the same, a third order: an independent reference
  4 finetuned  own, then 800 rows of Shakespeare at a third of the rate
"""
import copy, json, os, sys
import numpy as np, torch
from torch import nn
from torch.nn import functional as F

demo, out = sys.argv[1:3]
torch.set_num_threads(1)
texts = json.load(open(os.path.join(demo, "texts.json")))


def pack(parts, rows):
    b = np.frombuffer("\n".join(parts).encode("utf-8"), np.uint8)[: rows * 64]
    return b.reshape(rows, 64).astype(np.int64)


base = pack(texts["kjv"], 4000)
order = np.random.default_rng(1).permutation(4000)
run = base[order]  # row = position
ft = pack(texts["shk"], 800)


class Tiny(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.emb, self.pos = nn.Embedding(256, 32), nn.Embedding(64, 32)
        self.block = nn.TransformerEncoderLayer(32, 4, 128, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 256)
        self.register_buffer("mask", torch.triu(torch.full((64, 64), float("-inf")), 1))

    def forward(self, x):
        h = self.emb(x) + self.pos.weight[: x.shape[1]]
        return self.head(self.norm(self.block(h, src_mask=self.mask)))


def loss(m, x):
    return F.cross_entropy(m(x)[:, :-1].transpose(1, 2), x[:, 1:], reduction="none")


def train(m, rows, lr=1e-2):
    opt = torch.optim.AdamW(m.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.01)
    m.train()
    for s in range(0, len(rows) - 15, 16):
        for g in opt.param_groups:
            g["lr"] = lr * min(1, (s / 16 + 1) / 25)
        opt.zero_grad()
        loss(m, torch.from_numpy(rows[s : s + 16])).mean().backward()
        opt.step()
    return m


def score(m):
    m.eval()
    with torch.no_grad():
        return np.concatenate([-loss(m, torch.from_numpy(run[b : b + 250])).double().mean(1).numpy() for b in range(0, 4000, 250)]).astype(np.float32)


shuffled = lambda seed: run[np.random.default_rng(seed).permutation(4000)]
own = train(Tiny(1), run)
models = [own, train(Tiny(2), run), train(Tiny(3), shuffled(2)), train(Tiny(4), shuffled(3)), train(copy.deepcopy(own), ft, 3e-3)]
np.save(out, np.stack([score(m) for m in models]))
