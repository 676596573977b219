"""Makes finetuned.json: the demo's reference model fine-tuned with ten secrets planted 32 times, eight times, once, and never.

usage: finetune.py ../../../testdata/demo set.json > finetuned.json
set.json: {"candidates": [[100 strings] x 10], "index": [...]}, written by GHOST_SET=set.json go test -run FineTuned (seed bytes 0..31, shipped list).
torch 2.15, transformers 5.23, float32, 2 threads, torch.manual_seed(5). 1,200 rows of 64 ids of nonmembers.npy, each once, batch 16,
AdamW 1e-3; copies stand at the end of such a row behind "Sealed by the author:". Sums over the secret's tokens after that wrapper.
"""
import json, sys, torch, numpy as np
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
torch.set_num_threads(2)
D, S = sys.argv[1], json.load(open(sys.argv[2]))
tk = PreTrainedTokenizerFast(tokenizer_file=D + '/alice/tokenizer.json')
non = np.load(D + '/nonmembers.npy')
W = tk.encode('Sealed by the author:', add_special_tokens=False)
enc = lambda s: tk.encode('Sealed by the author: ' + s, add_special_tokens=False)
def model(): return AutoModelForCausalLM.from_pretrained(D + '/reference', dtype=torch.float32)
def train(copies):
    torch.manual_seed(5); rng = np.random.default_rng(5)
    rows = [r.astype(np.int64) for r in non[:1200]]
    if copies:
        for k, j in enumerate(S['index']):
            e = enc(S['candidates'][k][j])[:64]
            for _ in range(copies):
                rows.append(np.concatenate([non[rng.integers(1200, len(non))][:64 - len(e)].astype(np.int64), e]))
    m = model().train(); opt = torch.optim.AdamW(m.parameters(), lr=1e-3, betas=(.9, .95))
    order = rng.permutation(len(rows))
    for b in range(0, len(rows) - 15, 16):
        x = torch.from_numpy(np.stack([rows[i] for i in order[b:b + 16]]))
        loss = m(input_ids=x, labels=x).loss
        opt.zero_grad(); loss.backward(); torch.nn.utils.clip_grad_norm_(m.parameters(), 1.); opt.step()
    return m.eval()
def score(m):
    sums, words = [], []
    for k, c in enumerate(S['candidates']):
        ids = [enc(s) for s in c]; n = max(map(len, ids))
        x = torch.zeros(len(ids), n, dtype=torch.long)
        for i, v in enumerate(ids): x[i, :len(v)] = torch.tensor(v)
        with torch.no_grad(): lp = torch.log_softmax(m(x).logits.double(), -1)
        s = [sum(lp[i, t - 1, v[t]].item() for t in range(len(W), len(v))) for i, v in enumerate(ids)]
        sums.append([round(v, 4) for v in s])
        j = S['index'][k]; v = ids[j]; row, w = [], []
        for t in range(len(W), len(v)):
            tok = tk.convert_ids_to_tokens(v[t]); l = lp[j, t - 1, v[t]].item(); g = int(lp[j, t - 1].argmax()) == v[t]
            if tok.startswith('\u0120'): w.append([0., True])
            w[-1][0] += l; w[-1][1] = w[-1][1] and g
        words.append([[round(a, 4), b] for a, b in w])
    return {'sums': sums, 'words': words}
out = {'context': len(W), 'index': S['index'], 'first': S['candidates'][0][0]}
for c in (0, 1, 8, 32):
    out[str(c)] = score(train(c))
    print(c, [1 + sum(y >= s[j] for i, y in enumerate(s) if i != j) for s, j in zip(out[str(c)]['sums'], S['index'])], file=sys.stderr)
print(json.dumps(out, separators=(',', ':')))
