"""Makes tools.json: what seven tools print for one text on one checkpoint, and the log-probabilities to recompute it from;
and named.json: the same figures of all causal reference checkpoints, for a test of the whole program.

usage: tools.py ../../../testdata/reference/gpt2 > tools.json; tools.py --all ../../../testdata/reference > named.json
torch 2.15, transformers 5.23, numpy 2.4, float64 weights. Each tool's loop is written anew from the code named: the transformers
perplexity page; lm_eval/utils.py get_rolling_token_windows and make_disjoint_window; llama.cpp tools/perplexity (050fc7f), both
paths, with the BOS rule of its vocabulary; the GPTQ loop; mimir get_ll; tatsu-lab compute_logprob_of_token_sequence; evaluate.
`table` holds ln p(S[i] | S[b..i-1]) for windows of at most 16 ids: plain S, S behind a prefix id 1, and that with its entry b replaced by id 1.
"""
import glob, json, math, os, sys, torch, numpy as np
from transformers import AutoModelForCausalLM
torch.set_num_threads(1)
N, L, BOS = 63, 16, 1
def rolling(tokens, prefix, size, c):
    first = min(size, len(tokens))
    yield [prefix] + tokens[:first - 1], tokens[:first]
    done = first
    while done < len(tokens):
        k = min(len(tokens) - done, size - c + 1); end = done + k
        yield tokens[end - size - 1:end - 1], tokens[end - k:end]
        done += k
def tools(m, ids):
    T = {}
    def lps(x):
        with torch.no_grad():
            return torch.log_softmax(m(torch.tensor([x])).logits[0], -1).numpy()
    for s in (4, 8, 16):  # transformers page: loss of the labelled part, weighted by labels - 1
        nll, n, prev = 0.0, 0, 0
        for b in range(0, N, s):
            e = min(b + L, N); k = e - prev
            x = torch.tensor([ids[b:e]]); y = x.clone(); y[:, :-k] = -100
            with torch.no_grad(): loss = m(x, labels=y).loss.item()
            valid = int((y != -100).sum()) - 1
            nll += loss * valid; n += valid; prev = e
            if e == N: break
        T['hf-stride-doc %d' % s] = math.exp(nll / n)
    for c in (1, 5):  # lm-eval: word and byte figures of a text of 20 words and 130 bytes
        ll = 0.0
        for a, b in rolling(ids, BOS, L, c):
            ctx, cont = a[:len(a) - (len(b) - 1)], b
            x = (ctx + cont)[-(L + 1):]; lp = lps(x[:-1])[-len(cont):]
            ll += sum(lp[i, t] for i, t in enumerate(cont))
        T['lmeval-rolling %d' % c] = {'word_perplexity': math.exp(-ll / 20), 'byte_perplexity': math.exp(-ll / 130), 'bits_per_byte': -ll / 130 / math.log(2)}
    for add in (False, True):  # llama-perplexity, -c 16
        S = [BOS] + ids if add else ids
        nll = nll2 = 0.0; n = 0
        for j in range(len(S) // L):
            w = S[j * L:(j + 1) * L]
            if add: w = [BOS] + w[1:]
            a = lps(w); first = L // 2
            for k in range(first, L - 1):
                v = -a[k, w[k + 1]]; nll += v; nll2 += v * v
            n += L - first - 1
        mean = nll / n; var = nll2 / n - mean * mean
        T['llamacpp %d' % add] = {'ppl': math.exp(mean), 'error': math.sqrt(var / (n - 1)) * math.exp(mean)}
    s, C = 4, 12 + 4 // 2  # llama-perplexity --ppl-stride 4 -c 12 -b 12: context C + s/2
    nll, n = 0.0, 0
    for i in range(-(-(N - C) // s)):
        w = ids[i * s:i * s + C]; a = lps(w)
        for k in range(C - s - 1, C - 1):
            nll -= a[k, w[k + 1]]; n += 1
    T['llamacpp-stride 4'] = math.exp(nll / n)
    nlls = []  # GPTQ evaluation
    for i in range(N // L):
        w = ids[i * L:(i + 1) * L]; a = lps(w)
        nlls.append(np.mean([-a[k, w[k + 1]] for k in range(L - 1)]) * L)
    T['gptq'] = math.exp(sum(nlls) / (len(nlls) * L))
    allp = []  # mimir
    for i in range(0, N, L // 2):
        b, e = max(i + L // 2 - L, 0), min(i + L // 2, N); k = e - i
        x = ids[b:e]; a = lps(x)
        for p in range(1, len(x)):
            if p >= len(x) - k: allp.append(-a[p - 1, x[p]])
    T['mimir'] = float(np.mean(allp))
    for c, s in ((16, 8), (16, 16)):  # test_set_contamination
        inp, trg, lp = ids[:-1], ids[1:], 0.0
        for j in range(math.ceil(max(0, len(inp) - c) / s) + 1):
            b, e = s * j, min(s * j + c, len(inp))
            a = lps(inp[b:e]); off = max(0, c - s) if j > 0 else 0
            lp += sum(a[k, trg[b + k]] for k in range(off, e - b))
        T['oren %d' % s] = lp
    a = lps([BOS] + ids[:-1][:L - 1]); T['evaluate'] = math.exp(-np.mean([a[k, ids[k]] for k in range(L)]))
    return T
def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation='eager', experts_implementation='eager').double().eval()
def draw(vocab):
    return [int(i) for i in np.random.default_rng(4).integers(2, vocab, N)]
def windows(m, S, first=None):
    out = []
    for b in range(len(S) - 1):
        w = S[b:b + L + 1]
        if first is not None: w = [first] + w[1:]
        with torch.no_grad(): a = torch.log_softmax(m(torch.tensor([w[:-1]])).logits[0], -1).numpy()
        out.append([float('%.9g' % a[k, w[k + 1]]) for k in range(len(w) - 1)])
    return out
if sys.argv[1] == '--all':
    out = {}
    for c in sorted(glob.glob(os.path.join(sys.argv[2], '*', 'config.json'))):
        name = os.path.basename(os.path.dirname(c))
        if json.load(open(c))['model_type'] in ('bert', 'distilbert', 'roberta'): continue
        m = load(os.path.dirname(c)); ids = draw(m.config.vocab_size)
        out[name] = {'ids': ids, 'tools': tools(m, ids)}
        print(name, file=sys.stderr)
    print(json.dumps(out, separators=(',', ':')))
else:
    m = load(sys.argv[1]); ids = draw(m.config.vocab_size)
    table = {'plain': windows(m, ids), 'prefix': windows(m, [BOS] + ids), 'bos': windows(m, [BOS] + ids, BOS)}
    print(json.dumps({'ids': ids, 'bos': BOS, 'window': L, 'table': table, 'tools': tools(m, ids)}, separators=(',', ':')))
