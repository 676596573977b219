"""Writes demo_scores.npy: mean log-probabilities of the demo checkpoints on 6,000 rows of the demo transcript, for tests without a model.

usage: python demo_scores.py DEMO_FOLDER demo_scores.npy      (versions in requirements.txt)

float32 [6, 6000]: row index in transcript.npy (= position in the run), then alice, alice-half, bob, carol, reference; rows drawn by
numpy default_rng(0).choice(20160, 6000, replace=False), kept in drawn order. float32 forward pass, 63 scored tokens a row.
"""
import os, sys
import numpy as np, torch
from transformers import GPTNeoXForCausalLM

demo, out = sys.argv[1:3]
torch.set_num_threads(1)
ids = np.load(os.path.join(demo, "transcript.npy"))
rows = np.random.default_rng(0).choice(len(ids), 6000, replace=False)
table = [rows.astype(np.float32)]
for name in ["alice", "alice-half", "bob", "carol", "reference"]:
    m = GPTNeoXForCausalLM.from_pretrained(os.path.join(demo, name), dtype=torch.float32).eval()
    lp = []
    with torch.no_grad():
        for b in range(0, len(rows), 250):
            x = torch.from_numpy(ids[rows[b : b + 250]].astype(np.int64))
            logp = torch.log_softmax(m(x).logits[:, :-1].double(), -1)
            lp.append(logp.gather(-1, x[:, 1:, None])[..., 0].mean(1))
    table.append(torch.cat(lp).numpy().astype(np.float32))
    print(name, "mean NLL %.3f" % -table[-1].mean(), file=sys.stderr)
np.save(out, np.stack(table))
