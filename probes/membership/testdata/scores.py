"""Makes scores.json: token rows of a demo model on sixteen texts, and every score by numpy from the float64 logits.

usage: scores.py ../../../testdata/demo > scores.json
torch 2.15, transformers 5.23, numpy 2.4, Python zlib 1.2.13. Model carol, reference model reference, both float32 weights run
in float64. `mpp` follows the loop of zjysteven/mink-plus-plus run.py (float32 softmax, variance as E[x^2]-E[x]^2, int(T k));
the other scores are written from their formulas, apart from the code under test.
"""
import json, sys, zlib, torch, numpy as np
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
torch.set_num_threads(2)
D = sys.argv[1]
tk = PreTrainedTokenizerFast(tokenizer_file=D + '/carol/tokenizer.json')
T = json.load(open(D + '/texts.json'))
texts = []
for part in ('shk', 'heldout_shk'):
    for i in range(8):
        w = T[part][3 * i].split()
        texts.append(' '.join(w[5:5 + 18 + 3 * i]))
load = lambda n: AutoModelForCausalLM.from_pretrained(D + '/' + n, dtype=torch.float32).double().eval()
carol, ref, f32 = load('carol'), load('reference'), AutoModelForCausalLM.from_pretrained(D + '/carol', dtype=torch.float32).eval()
def lps(m, ids):
    with torch.no_grad():
        return torch.log_softmax(m(torch.tensor([ids])).logits[0], -1)[:-1].double().numpy()
def gather(a, ids): return a[np.arange(len(ids) - 1), ids[1:]]
def lowest(x, k): return float(np.mean(np.sort(x)[:max(1, int(np.floor(k * len(x) + 1e-9)))]))
def highest(x, k): return float(np.mean(np.sort(x)[-max(1, int(np.floor(k * len(x) + 1e-9))):]))
f9 = lambda x: [float('%.9g' % v) for v in np.asarray(x, np.float32)]
docs = []
for n, text in enumerate(texts):
    ids = tk.encode(text, add_special_tokens=False)
    a, b = lps(carol, ids), lps(ref, ids)
    l, lr = gather(a, ids), gather(b, ids)
    p = np.exp(a); mu = (p * a).sum(1); sd = np.sqrt((p * (a - mu[:, None]) ** 2).sum(1))
    um, us = a.mean(1), a.std(1, ddof=1)
    rank = (a > l[:, None]).sum(1); H = -mu
    z, zp, Z = (l - mu) / sd, (l - um) / us, len(zlib.compress(text.encode(), 6))
    low = tk.encode(text.lower(), add_special_tokens=False); ll = gather(lps(carol, low), low)
    order = np.argsort(l, kind='stable')[:max(1, int(.4 * len(l) + 1e-9))]
    sure = [l[i] for i in order if H[i] < 2]
    g = l - lr; am = a.argmax(1) != np.array(ids[1:])
    win = [np.mean([g[i:i + w].sum() > 0 for i in range(len(g) - w + 1)]) for w in (2, 3, 4, 5, 8, 11, 15, 21, 29, 40) if w <= len(g)]
    P, N = g[am & (g > 0)].sum(), -g[am & (g <= 0)].sum()
    count = np.bincount(ids, minlength=2048) + (np.arange(2048) % 7)
    seen, dc = set(), []
    for i, t in enumerate(ids[1:]):
        if t not in seen:
            seen.add(t); dc.append(min(np.exp(l[i]) * np.log((count.sum() + 2048) / (count[t] + 1)), .01))
    slope = np.polyfit(np.arange(len(l)), -l, 1)[0]
    s = {'loss': l.mean(), 'zlib': l.mean() / Z, 'zlib:char': l.mean() / (Z / len(text)), 'zlib:bits': l.sum() / np.log(2) / 8 / Z,
         'lower': ll.mean() / l.mean(), 'ref': l.mean() - lr.mean(), 'ref:ratio': lr.mean() / l.mean(),
         'ref:bits': (l.sum() - lr.sum()) / len(text.encode()) / np.log(2), 'mink:0.2': lowest(l, .2), 'mink:0.5': lowest(l, .5), 'maxk:0.3': highest(l, .3),
         'minkpp:0.2': lowest(z, .2), 'minkpp:1': lowest(z, 1), 'minkpp:plain:0.2': lowest(zp, .2), 'rank': -(rank + 1).mean(), 'logrank': -np.log(rank + 1).mean(),
         'wbc': np.mean(win), 'ez': P / (P + N), 'dcpdd:0.01': np.mean(dc), 'dyn:slope': -slope,
         'dyn:below': np.mean([-l[i] < np.mean(-l[:i]) for i in range(1, len(l))]), 'dyn:div': l.mean() / (len(set(ids[1:])) / len(l))}
    if sure: s['surp:2'] = float(np.mean(sure))
    x = torch.tensor([ids])
    with torch.no_grad():
        o = f32(x, labels=x)
    pr, lg = torch.softmax(o.logits[0, :-1], -1), torch.log_softmax(o.logits[0, :-1], -1)
    tl = lg.gather(-1, x[0][1:].unsqueeze(-1)).squeeze(-1)
    m = (pr * lg).sum(-1); zz = (tl - m) / ((pr * lg.square()).sum(-1) - m.square()).sqrt()
    k = lambda v, r: float(np.mean(np.sort(v.numpy())[:int(len(v) * r)]))
    mpp = {'loss': -o.loss.item(), 'zlib': -o.loss.item() / len(zlib.compress(bytes(text, 'utf-8')))}
    for r in (.2, .5, .8): mpp['mink:%g' % r] = k(tl, r); mpp['minkpp:%g' % r] = k(zz, r)
    docs.append({'id': 'd%02d' % n, 'label': int(n < 8), 'text': text, 'ids': ids, 'len': [len(t) for t in tk.convert_ids_to_tokens(ids)], 'logprob': f9(l), 'entropy': f9(H), 'sd': f9(sd), 'umean': f9(um), 'usd': f9(us),
                 'rank': rank.tolist(), 'argmax': a.argmax(1).tolist(), 'argmax_logprob': f9(a.max(1)), 'ref': f9(lr), 'lower_ids': low, 'lower_len': [len(t) for t in tk.convert_ids_to_tokens(low)], 'lower': f9(ll),
                 'counts': 'numpy.bincount(ids) + id mod 7', 'scores': {a: float('%.9g' % v) for a, v in s.items()}, 'mink_plus_plus': {a: float('%.7g' % v) for a, v in mpp.items()}})
print(json.dumps(docs, separators=(',', ':')))
