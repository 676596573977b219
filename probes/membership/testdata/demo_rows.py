"""Makes demo_rows.json: summed log-probabilities of 400 trained and 400 held-out rows of the demo under alice and reference.

usage: demo_rows.py ../../../testdata/demo > demo_rows.json
torch 2.15, transformers 5.23, numpy 2.4, float32. Rows: default_rng(1) without replacement, of the transcript (each row trained
on once) and of nonmembers.npy without the rows that ghosts.json names as fillers; 63 scored tokens a row.
"""
import json, sys, torch, numpy as np
from transformers import AutoModelForCausalLM
torch.set_num_threads(2)
D = sys.argv[1]
tr, non = np.load(D + '/transcript.npy'), np.load(D + '/nonmembers.npy')
g = json.load(open(D + '/ghosts.json'))
planted = {p for x in g['planted'] for p in x['positions']}
rng = np.random.default_rng(1)
a = [int(i) for i in rng.permutation(len(tr)) if int(i) not in planted][:400]
b = [int(i) for i in rng.permutation(len(non)) if int(i) not in set(g['filler_nonmember_rows'])][:400]
out = {'transcript': a, 'nonmembers': b}
for name in ('alice', 'reference'):
    m = AutoModelForCausalLM.from_pretrained(D + '/' + name, dtype=torch.float32).eval()
    s = []
    with torch.no_grad():
        for rows in (tr[a], non[b]):
            for k in range(0, 400, 50):
                x = torch.from_numpy(rows[k:k + 50].astype(np.int64))
                lp = torch.log_softmax(m(x).logits[:, :-1].double(), -1).gather(-1, x[:, 1:, None])[..., 0]
                s += [round(v, 4) for v in lp.sum(1).tolist()]
    out[name] = s
print(json.dumps(out, separators=(',', ':')))
