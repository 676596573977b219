"""Makes trained.json: models fine-tuned on a random half of 400 rows, and on a small file in its order and in another.

usage: trained.py ../../../testdata/demo > trained.json
torch 2.15, transformers 5.23, numpy 2.4, float32, 2 threads. Base: the demo's reference model. Half: rows 0..399 of nonmembers.npy, ids r000..r399, members =
the first 200 in the order of SHA-256("half:" id), three passes, batch 16, AdamW 3e-4; sums of log-probabilities of 63 tokens.
Order: 240 examples, the first 16 ids of rows 400..639, in the order of SHA-256("order:" id) of ids r400..r639; 20 shards of 12
examples (192 ids) seen eight times as rows of 192 ids, or after one reshuffling of all examples; canonical and 19 shuffled sums.
"""
import hashlib, json, sys, torch, numpy as np
from transformers import AutoModelForCausalLM
torch.set_num_threads(2)
D = sys.argv[1]
non = np.load(D + '/nonmembers.npy').astype(np.int64)
name = lambda i: 'r%03d' % i
order = lambda seed, ids: sorted(ids, key=lambda k: hashlib.sha256(('%s:%s' % (seed, k)).encode()).digest())
def train(rows, passes, lr, batch):
    torch.manual_seed(7); rng = np.random.default_rng(7)
    m = AutoModelForCausalLM.from_pretrained(D + '/reference', dtype=torch.float32).train()
    opt = torch.optim.AdamW(m.parameters(), lr=lr, betas=(.9, .95))
    for _ in range(passes):
        p = rng.permutation(len(rows))
        for b in range(0, len(rows), batch):
            x = torch.from_numpy(rows[p[b:b + batch]]); loss = m(input_ids=x, labels=x).loss
            opt.zero_grad(); loss.backward(); torch.nn.utils.clip_grad_norm_(m.parameters(), 1.); opt.step()
    return m.eval()
def sums(m, rows):
    out = []
    with torch.no_grad():
        for b in range(0, len(rows), 20):
            x = torch.from_numpy(np.ascontiguousarray(rows[b:b + 20]))
            out += torch.log_softmax(m(x).logits[:, :-1].double(), -1).gather(-1, x[:, 1:, None])[..., 0].sum(1).tolist()
    return [round(v, 4) for v in out]
ids = [name(i) for i in range(400)]
member = set(order('half', ids)[:200])
half = train(non[[i for i in range(400) if name(i) in member]], 3, 3e-4, 16)
base = AutoModelForCausalLM.from_pretrained(D + '/reference', dtype=torch.float32).eval()
out = {'half': {'tuned': sums(half, non[:400]), 'base': sums(base, non[:400])}}
ex = {name(i): non[i][:16] for i in range(400, 640)}
file = order('order', list(ex))
rng = np.random.default_rng(3)
other = [file[i] for i in rng.permutation(240)]
pack = lambda f: np.stack([np.concatenate([ex[k] for k in f[s * 12:s * 12 + 12]]) for s in range(20)])
shuffles = [[rng.permutation(12) for _ in range(19)] for _ in range(20)]
for what, f in (('in_order', file), ('reshuffled', other)):
    m = train(pack(f), 8, 1e-3, 4)
    can = sums(m, pack(file)); shuf = []
    for s in range(20):
        part = file[s * 12:s * 12 + 12]
        shuf.append(sums(m, np.stack([np.concatenate([ex[part[i]] for i in p]) for p in shuffles[s]])))
    out[what] = {'canonical': can, 'shuffled': shuf}
print(json.dumps(out, separators=(',', ':')))
