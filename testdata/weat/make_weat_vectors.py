#!/usr/bin/env python3
"""Make vectors.json: expected values for latent/weat and probes/assoc.

    python make_weat_vectors.py DATA_DIR vectors.json

DATA_DIR holds the data files of this folder and those of latent/weat/data. Needs numpy and scipy (made with numpy 2.4.6, scipy
1.17.1). About five minutes and 2 GiB. Exact permutation counts come from two programs that share no code: a tail count (branch and
bound over sorted values) and, up to 50 values, meet in the middle; where both ran they must agree.
"""

import collections
import csv
import gzip
import itertools
import json
import math
import sys
from fractions import Fraction

import numpy as np
import scipy
from scipy import optimize, stats

LN10 = math.log(10)
M64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


# ---------------------------------------------------------------- random numbers (splitmix64)

def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M64
    return x ^ (x >> 31)


class SplitMix:
    def __init__(self, seed):
        self.x = seed & M64

    def u64(self):
        self.x = (self.x + GOLDEN) & M64
        return mix(self.x)

    def uniform(self):
        return (self.u64() >> 11) * 2.0 ** -53

    def index(self, n):
        return int(self.uniform() * n)

    def nrm(self):
        t = 0.0
        for _ in range(12):
            t += self.uniform()
        return t - 6


def replicate(seed, r):
    """Stream of replicate r = 1, 2, ...: its state is the r-th output of the stream of `seed`."""
    return SplitMix(mix((seed + r * GOLDEN) & M64))


# ---------------------------------------------------------------- exact counts

def tail_count(values, k, thr):
    """Number of k-subsets with sum >= thr, and nodes visited."""
    v = sorted((float(x) for x in values), reverse=True)
    n = len(v)
    pre = [0.0]
    for x in v:
        pre.append(pre[-1] + x)
    total = nodes = 0

    def go(i, k, s):
        nonlocal total, nodes
        nodes += 1
        if k == 0:
            total += s >= thr
            return
        if n - i < k or s + (pre[i + k] - pre[i]) < thr:
            return
        if s + (pre[n] - pre[n - k]) >= thr:
            total += math.comb(n - i, k)
            return
        if k == 1:
            lo, hi = i, n
            while lo < hi:
                m = (lo + hi) // 2
                if s + v[m] >= thr:
                    lo = m + 1
                else:
                    hi = m
            total += lo - i
            return
        for j in range(i, n - k + 1):
            if s + (pre[j + k] - pre[j]) < thr:
                break
            go(j + 1, k - 1, s + v[j])

    go(0, k, 0.0)
    return total, nodes


def _by_size(v):
    s, size = np.zeros(1), np.zeros(1, np.uint8)
    for x in v:
        s, size = np.concatenate([s, s + x]), np.concatenate([size, size + 1])
    order = np.argsort(size, kind="stable")
    s, off = s[order], np.r_[0, np.cumsum(np.bincount(size, minlength=len(v) + 1))]
    return [np.sort(s[off[i]:off[i + 1]]) for i in range(len(v) + 1)]


def middle_count(values, k, thr):
    """The same count by meeting in the middle."""
    v = np.asarray(values, float)
    h = len(v) // 2
    a, b, total = _by_size(v[:h]), _by_size(v[h:]), 0
    for c in range(max(0, k - (len(v) - h)), min(h, k) + 1):
        x, y = sorted((a[c], b[k - c]), key=len)
        for i in range(0, len(x), 1 << 20):
            total += int((len(y) - np.searchsorted(y, thr - x[i:i + (1 << 20)], "left")).sum())
    return total


def tol(values):
    return 1e-12 * max(1.0, float(np.abs(values).sum()))


def count_ge(values, k, thr, quick):
    """GE by the tail count when it is small, by meeting in the middle when N <= 50; both must agree when both run."""
    out = []
    if quick:
        out.append(tail_count(values, k, thr))
    if len(values) <= 50:
        out.append((middle_count(values, k, thr), None))
    assert out and len({o[0] for o in out}) == 1, out
    return out[0]


def two_sample(x, y, quick=True):
    v, nx, ny = np.concatenate([x, y]), len(x), len(y)
    n, c, eps = nx + ny, math.comb(nx + ny, nx), tol(v)
    ge, nodes = count_ge(v, nx, float(x.sum()) - eps, quick)
    diff = abs(x.mean() - y.mean())
    if nx == ny and abs(diff) > 0:
        two = min(c, 2 * (ge if x.mean() > y.mean() else count_ge(-v, nx, -float(x.sum()) - eps, quick)[0]))
    else:
        up = (diff + v.sum() / ny) * nx * ny / n
        lo = (-diff + v.sum() / ny) * nx * ny / n
        two = min(c, count_ge(v, nx, up - eps, quick)[0] + count_ge(-v, nx, -(lo + eps), quick)[0])
    return {"ge": ge, "two": two, "total": c, "p": ge / c, "log10_p": math.log10(ge) - math.log10(c), "nodes": nodes}


def bracket(values, k, t, bits):
    v = np.asarray(values, float)
    scale = 2 ** bits / (v.max() - v.min())
    q = np.floor((v - v.min()) * scale + 0.5).astype(int)
    qt, w = (t - k * v.min()) * scale, (k << bits) + 1
    f = np.zeros((k + 1, w))
    f[0, 0] = 1
    for i, qi in enumerate(q):
        for c in range(min(i, k - 1), -1, -1):
            f[c + 1, qi:] += f[c, :w - qi]
    a, s = f[k], np.arange(w)
    return [float(a[s > qt + k / 2].sum() / a.sum()), float(a[s >= qt - k / 2].sum() / a.sum())]


# ---------------------------------------------------------------- statistics

def unit(m):
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def effect(x, y, ddof=1):
    return float((x.mean() - y.mean()) / np.concatenate([x, y]).std(ddof=ddof))


def scores(vec, x, y, a, b):
    g = unit(np.array([vec[w] for w in a])).mean(0) - unit(np.array([vec[w] for w in b])).mean(0)
    return unit(np.array([vec[w] for w in x])) @ g, unit(np.array([vec[w] for w in y])) @ g


def nct_limits(x, y, level=0.95):
    nx, ny = len(x), len(y)
    n, c, d = nx + ny, nx * ny / (nx + ny), effect(x, y)
    t = d * math.sqrt((n - 2) / ((n - 1) - c * d * d)) * math.sqrt(c)
    out = []
    for q in ((1 + level) / 2, (1 - level) / 2):
        f = lambda lam: stats.nct.cdf(t, n - 2, lam) - q
        step = 2 + abs(t) / 4
        lo, hi = t - step, t + step
        while f(lo) < 0:
            lo -= step / 2
        while f(hi) > 0:
            hi += step / 2
        delta = optimize.brentq(f, lo, hi, xtol=1e-13) / math.sqrt(c)
        out.append(delta * math.sqrt((n - 1) / (n - 2 + c * delta * delta)))
    return out


def leave_one_out(vec, sets):
    u = {w: vec[w] / np.linalg.norm(vec[w]) for s in sets for w in s}

    def d(x, y, a, b):
        g = np.mean([u[w] for w in a], 0) - np.mean([u[w] for w in b], 0)
        return effect(np.array([u[w] @ g for w in x]), np.array([u[w] @ g for w in y]))

    var, seen = [0.0, 0.0], []
    for k, s in enumerate(sets):
        vals = []
        for i in range(len(s)):
            args = list(sets)
            args[k] = s[:i] + s[i + 1:]
            vals.append(d(*args))
            seen.append((vals[-1], "XYAB"[k], s[i]))
        vals = np.array(vals)
        var[k // 2] += (len(s) - 1) / len(s) * ((vals - vals.mean()) ** 2).sum()
    lo, hi = min(seen), max(seen)
    return {"se_targets": math.sqrt(var[0]), "se_attributes": math.sqrt(var[1]),
            "loo_min": [lo[0], lo[1], lo[2]], "loo_max": [hi[0], hi[1], hi[2]]}


def sampled(x, y, m, seed):
    v = [float(q) for q in np.concatenate([x, y])]
    n, nx = len(v), len(x)
    eps, t = 1e-12 * max(1.0, sum(abs(q) for q in v)), 0.0
    for q in x:
        t += float(q)
    hits = 0
    for r in range(1, m + 1):
        g, ix, s = replicate(seed, r), list(range(n)), 0.0
        for i in range(nx):
            j = i + g.index(n - i)
            ix[i], ix[j] = ix[j], ix[i]
            s += v[ix[i]]
        hits += s >= t - eps
    return {"hits": hits, "m": m, "p": (hits + 1) / (m + 1),
            "ci99": [float(stats.beta.ppf(.005, hits, m - hits + 1)), float(stats.beta.ppf(.995, hits + 1, m - hits))]}


def bca(x, y, b, seed):
    d, nx, ny, draws = effect(x, y), len(x), len(y), []
    for r in range(1, b + 1):
        g = replicate(seed, r)
        p, q = np.array([x[g.index(nx)] for _ in range(nx)]), np.array([y[g.index(ny)] for _ in range(ny)])
        if np.ptp(np.concatenate([p, q])) > 0:
            draws.append(effect(p, q))
    s = np.array(draws)
    z0 = stats.norm.ppf(((s < d).sum() + .5 * (s == d).sum()) / len(s))
    num = den = 0.0
    for n, v in ((nx, [effect(np.delete(x, i), y) for i in range(nx)]), (ny, [effect(x, np.delete(y, i)) for i in range(ny)])):
        u = (n - 1) * (np.mean(v) - np.array(v)) / n
        num, den = num + (u ** 3).sum(), den + (u ** 2).sum()
    acc = num / (6 * den ** 1.5)
    z = stats.norm.ppf([.025, .975])
    at = stats.norm.cdf(z0 + (z0 + z) / (1 - acc * (z0 + z)))
    return {"b": len(s), "percentile": list(np.quantile(s, [.025, .975])), "z0": float(z0), "a": float(acc), "bca": list(np.quantile(s, at))}


def ceat(d, v):
    d, v = np.asarray(d, float), np.asarray(v, float)
    w = 1 / v
    q = (w * (d - (w * d).sum() / w.sum()) ** 2).sum()
    cc = w.sum() - (w * w).sum() / w.sum()
    tau2 = max(0.0, (q - (len(d) - 1)) / cc)
    ws = 1 / (v + tau2)
    e, var = (ws * d).sum() / ws.sum(), 1 / ws.sum()
    z = e / math.sqrt(var)
    return {"q": q, "cc": cc, "tau2": tau2, "combined": e, "v": var, "z": z, "log10_p": stats.norm.logsf(z) / LN10}


# ---------------------------------------------------------------- the file

def read_vectors(path, header=False):
    with gzip.open(path, "rt", encoding="utf-8") as f:
        if header:
            f.readline()
        return {p[0]: np.array([float(x) for x in p[1:]]) for p in (line.rstrip("\n").split(" ") for line in f)}


def weat_row(vec, test, rename=None, variants=None, slow=()):
    rename = rename or {}
    sets = [[rename.get(w, w) for w in test[k]["words"]] for k in "XYAB"]
    lost = [w for s in sets for w in s if w not in vec]
    sets = [[w for w in s if w in vec] for s in sets]
    x, y = scores(vec, *sets)
    ha, hb = scores(vec, sets[2], sets[3], sets[0], sets[1])
    nx, ny = len(x), len(y)
    n, d = nx + ny, effect(x, y)
    z = d * math.sqrt(nx * ny / n)
    ln = [np.log([np.linalg.norm(vec[w]) for w in s]) for s in sets]
    row = {"id": test["id"], "sizes": [len(s) for s in sets], "lost": lost, "S": float(x.sum() - y.sum()), "d": d, "d_population": effect(x, y, 0),
           "d_pooled": d * math.sqrt((n - 2) / ((n - 1) - nx * ny / n * d * d)), "d_bound": n / math.sqrt(nx * ny) * math.sqrt((n - 1) / n),
           "r": effect(x, y, 0) * math.sqrt(nx * ny) / n, "auc": float(np.mean((x[:, None] > y) + .5 * (x[:, None] == y))),
           "z": z, "p_normal": float(stats.norm.sf(z)), "log10_p_normal": float(stats.norm.logsf(z) / LN10),
           "target": two_sample(x, y, "target" not in slow), "attr": two_sample(ha, hb, "attr" not in slow), "d_attr": effect(ha, hb),
           "nct95": nct_limits(x, y), **leave_one_out(vec, sets)}
    for name, p, q in (("balance_norm", ln[0], ln[1]), ("balance_norm_attr", ln[2], ln[3])):
        row[name] = {"d": effect(p, q)}
        if len(p) + len(q) <= 50:
            c = two_sample(p, q, len(p) + len(q) <= 32)
            row[name].update(two=c["two"], total=c["total"], p=c["two"] / c["total"])
        else:
            v, k = np.concatenate([p, q]), len(p)
            hi = max(p.sum(), q.sum())
            assert len(p) == len(q)
            row[name]["p_bracket"] = [2 * b for b in bracket(v, k, float(hi), 15)]
    group, cov = np.r_[np.ones(nx), np.zeros(ny)], np.c_[np.ones(n), np.concatenate(ln[:2])]
    res = lambda v: v - cov @ np.linalg.lstsq(cov, v, rcond=None)[0]
    pr = float(np.corrcoef(res(np.concatenate([x, y])), res(group))[0, 1])
    t = pr * math.sqrt((n - 3) / (1 - pr * pr))
    row["adjusted_norm"] = {"partial_r": pr, "t": t, "df": n - 3, "log10_p_t": float(stats.t.logsf(t, n - 3) / LN10)}
    for name, v2 in (variants or {}).items():
        row["d_" + name] = effect(*scores(v2, *sets))
    return row


def main(data, out):
    sys.setrecursionlimit(10000)
    tests = json.load(open(f"{data}/weat_words.json"))["tests"]
    by_id = {t["id"]: t for t in tests}
    glove, w2v = read_vectors(f"{data}/glove840b_weat.txt.gz"), read_vectors(f"{data}/googlenews_w2v_weat.txt.gz", True)
    words = sorted(glove)
    m = np.array([glove[w] for w in words])
    mc = m - m.mean(0)
    top = np.linalg.svd(mc, full_matrices=False)[2][:3]
    variants = {"centred": dict(zip(words, mc)), "abtt3": dict(zip(words, mc - mc @ top.T @ top))}
    doc = {"about": "Expected values for latent/weat and probes/assoc, made by make_weat_vectors.py with "
                    f"numpy {np.__version__} and scipy {scipy.__version__}. Counts exact; closed forms 1e-9; intervals 1e-5. "
                    "p is one-sided (greater, ties count) unless named two."}
    doc["generators"] = {
        "splitmix64": "x += 0x9E3779B97F4A7C15; output mix(x); first output of seed 1: 0x910a2dec89025cc1; U = (out >> 11) 2^-53; index(n) = floor(U n); Nrm = U + .. + U (12, left to right) - 6",
        "replicate": "replicate r = 1, 2, ..: a splitmix64 whose state is the r-th output of the stream of the seed",
        "sampled_seed1": "values X then Y; for i < nx swap i with i + index(N-i); sum in drawing order; hit if sum >= t - tol",
        "bca_seed1": "per replicate index(nx) nx times, then index(ny) ny times; s values of X and Y in list order",
        "pooling": "seed 7: E, 64 x 16 row-major, = Nrm + 0.5; word k has pieces [k], odd k also [k+32]; X 0-7, Y 8-15, A 16-23, B 24-31; mean and 3 directions of all 64 rows",
        "contexts": "seed 11: Nrm over set X Y A B, word 0-3, context 0-2, dimension 0-7; then + 0.8 in dimension 0 for X and A, in dimension 1 for Y and B. sentence: every context vector a row; word: s averaged per word; mean_vector: vectors averaged per word first; ceat: replicate(1, r), one index(3) per word in order X Y A B",
        "variants": "centred and abtt3: mean and top 3 principal directions of all 457 rows of the GloVe file",
    }
    doc["glove840b"] = []
    for t in tests:
        doc["glove840b"].append(weat_row(glove, t, variants=variants, slow={3: ("attr",), 4: ("attr",)}.get(t["id"], ())))
        print("glove", t["id"], flush=True)
    doc["word2vec"] = []
    for i in (1, 2, 6, 7, 8, 9, 10):
        doc["word2vec"].append(weat_row(w2v, by_id[i], {"short-term": "short"} if i == 9 else {}, slow={1: ("attr",), 2: ("attr",)}.get(i, ())))
        print("w2v", i, flush=True)
    sv = lambda i: scores(glove, *[by_id[i][k]["words"] for k in "XYAB"])
    al = np.concatenate(sv(3))
    doc["bracket"] = {"glove3_b16": bracket(al, 32, float(sv(3)[0].sum()), 16), "glove1_b16": bracket(np.concatenate(sv(1)), 25, float(sv(1)[0].sum()), 16)}
    doc["sampled_seed1"] = {f"glove{i}": sampled(*sv(i), 99999, 1) for i in (5, 7, 8)}
    doc["bca_seed1"] = {f"glove{i}": bca(*sv(i), 9999, 1) for i in range(1, 11)}
    x, y = sv(8)
    doc["replicated_glove8"] = {}
    for k in (1, 2, 8):
        d = effect(np.repeat(x, k), np.repeat(y, k))
        doc["replicated_glove8"][str(k)] = {"d": d, "p_normal": float(stats.norm.sf(d * math.sqrt(4 * k)))}
    doc["single_glove"] = {}
    for i in (5, 7, 8, 10):
        for side in "XY":
            mean = unit(np.array([glove[w] for w in by_id[i][side]["words"]])).mean(0)
            h = [unit(np.array([glove[w] for w in by_id[i][k]["words"]])) @ mean for k in "AB"]
            doc["single_glove"][f"{i}{side}"] = {"d": effect(*h), **two_sample(*h)}

    # WEFAT
    wd = json.load(open(f"{data}/wefat_data.json"))
    ua, ub = (unit(np.array([glove[w] for w in wd[k]])) for k in "AB")
    doc["wefat"] = {}
    for name, col in (("occupations", "percent_women_weighted"), ("names", "percent_women")):
        sc = []
        for row in wd[name]:
            u = glove[row["word"]] / np.linalg.norm(glove[row["word"]])
            c = np.concatenate([ua @ u, ub @ u])
            sc.append((c[:8].mean() - c[8:].mean()) / c.std(ddof=1))
        prop = [row[col] for row in wd[name]]
        r, n = float(np.corrcoef(sc, prop)[0, 1]), len(sc)
        t = r * math.sqrt((n - 2) / (1 - r * r))
        doc["wefat"][name] = {"n": n, "r": r, "t": t, "log10_p_two": float((stats.t.logsf(t, n - 2) + math.log(2)) / LN10),
                              "fisher95": list(np.tanh(np.arctanh(r) + np.array([-1, 1]) * stats.norm.ppf(.975) / math.sqrt(n - 3))),
                              "spearman": float(stats.spearmanr(sc, prop).statistic)}

    # related measures on word2vec
    t1, t2 = by_id[7]["B"]["words"], by_id[7]["A"]["words"]
    fam, car = by_id[6]["B"]["words"], by_id[6]["A"]["words"]
    get = lambda ws: np.array([w2v[w] for w in ws])
    cos = lambda p, q: float(p @ q / np.linalg.norm(p) / np.linalg.norm(q))
    rel = {"weat": {"S": None, **two_sample(*scores(w2v, t1, t2, fam, car))}}
    rel["weat"]["S"] = float(scores(w2v, t1, t2, fam, car)[0].sum() - scores(w2v, t1, t2, fam, car)[1].sum())
    rel["weat"]["d"], rel["weat"]["d_population"] = effect(*scores(w2v, t1, t2, fam, car)), effect(*scores(w2v, t1, t2, fam, car), 0)
    for name, f in (("raw", get), ("unit", lambda ws: unit(get(ws)))):
        m1, m2, a = f(t1).mean(0), f(t2).mean(0), f(fam)
        rel[f"rnd_{name}"] = float(np.mean(np.linalg.norm(a - m1, axis=1) - np.linalg.norm(a - m2, axis=1)))
        rel[f"rnd_cos_{name}"] = float(np.mean([cos(v, m1) - cos(v, m2) for v in a]))
        rel[f"ect_{name}"] = float(stats.spearmanr([cos(v, m1) for v in a], [cos(v, m2) for v in a]).statistic)
    rel["mac"] = float(np.mean([1 - unit(get(t1 + t2)) @ unit(get(s)).T for s in (fam, car)]))
    for k in (8, 7):
        dirs = unit(get(t1[:k]) - get(t2[:k]))
        p = get(fam) @ dirs.T
        rel[f"ripa_{k}_pairs"] = {"mean": float(p.mean()), "word_mean": dict(zip(fam, p.mean(1))), "word_sd": dict(zip(fam, p.std(1)))}
    z, lab = np.c_[np.vstack([get(fam), get(car)]), np.ones(16)], np.r_[np.ones(8), -np.ones(8)]
    w = np.zeros(z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(lab * (z @ w)))
        g = w - z.T @ (lab * p)
        if np.linalg.norm(g) < 1e-12:
            break
        w -= np.linalg.solve(np.eye(len(w)) + (z.T * (p * (1 - p))) @ z, g)
    p = 1 / (1 + np.exp(np.c_[get(t1 + t2), np.ones(16)] @ w))
    q = p / p.sum()
    rel["rnsb"] = {"kl": float((q * np.log(q * 16)).sum()), "p_set2": dict(zip(t1 + t2, p))}
    doc["related_word2vec"] = rel

    # pooling of pieces
    g = SplitMix(7)
    e = np.array([[g.nrm() + .5 for _ in range(16)] for _ in range(64)])
    ec = e - e.mean(0)
    tp = np.linalg.svd(ec, full_matrices=False)[2][:3]
    pools = {"mean": lambda r: r.mean(0), "mean-unit": lambda r: unit(r).mean(0), "first": lambda r: r[0], "last": lambda r: r[-1]}
    doc["pooling"] = {"E00": e[0, 0], "E63_15": e[63, 15]}
    for pn, pf in pools.items():
        for vn, mat in (("raw", e), ("centred", ec), ("abtt3", ec - ec @ tp.T @ tp)):
            vec = {k: pf(mat[[k] + ([k + 32] if k % 2 else [])]) for k in range(32)}
            x, y = scores(vec, range(8), range(8, 16), range(16, 24), range(24, 32))
            doc["pooling"][f"{pn}.{vn}"] = {"d": effect(x, y), "ge": two_sample(x, y)["ge"], "s_X0": float(x[0])}

    # contexts: SEAT and CEAT
    g = SplitMix(11)
    c = np.array([[[[g.nrm() for _ in range(8)] for _ in range(3)] for _ in range(4)] for _ in range(4)])
    c[0, ..., 0] += .8
    c[2, ..., 0] += .8
    c[1, ..., 1] += .8
    c[3, ..., 1] += .8
    u = unit(c)
    s = u @ (u[2].reshape(-1, 8).mean(0) - u[3].reshape(-1, 8).mean(0))
    mv = unit(c.mean(2))
    mx, my = (mv[i] @ (mv[2].mean(0) - mv[3].mean(0)) for i in (0, 1))
    ds, vs = [], []
    for r in range(1, 1001):
        g = replicate(1, r)
        pick = np.array([[u[i, j, g.index(3)] for j in range(4)] for i in range(4)])
        both = [pick[i] @ (pick[2].mean(0) - pick[3].mean(0)) for i in (0, 1)]
        ds.append(effect(*both))
        vs.append(float(np.concatenate(both).var(ddof=1)))
    doc["contexts"] = {"first": c[0, 0, 0, :3].tolist(), "last": c[3, 3, 2, 7],
                       "sentence": {"d": effect(s[0].ravel(), s[1].ravel()), **two_sample(s[0].ravel(), s[1].ravel())},
                       "word": {"d": effect(s[0].mean(1), s[1].mean(1)), **two_sample(s[0].mean(1), s[1].mean(1))},
                       "mean_vector": {"d": effect(mx, my), **two_sample(mx, my)}, "d1": ds[0], "v1": vs[0],
                       "ceat": {str(k): ceat(ds[:k], vs[:k]) for k in (10, 100, 1000)}, "d_quantiles_5_50_95": list(np.quantile(ds, [.05, .5, .95]))}
    doc["ceat_toy"] = {"a": ceat([.5, 1, 1.6], [.1, .2, .1]), "b": ceat([.5, .52, .48], [.1, .1, .1])}

    # decision swaps
    rows = list(csv.DictReader(gzip.open(f"{data}/discrim_templated_qwen2.5-7b-instruct.csv.gz", "rt")))
    doc["decision_swap"] = {}
    for fmt in sorted({r["prompt_format"] for r in rows}):
        per = collections.defaultdict(list)
        for r in rows:
            if r["prompt_format"] == fmt:
                per[r["decision_question_id"]].append(r)
        b = []
        for rs in per.values():
            d = np.array([[1, r["race"] == "Asian", r["race"] == "Black", r["race"] == "Hispanic", r["gender"] == "female"] for r in rs], float)
            b.append(np.linalg.lstsq(d, np.array([float(r["yes_logit"]) - float(r["no_logit"]) for r in rs]), rcond=None)[0])
        b = np.array(b)
        se = b.std(0, ddof=1) / math.sqrt(len(b))
        o = {"m": len(b)}
        for k, name in enumerate(("intercept", "Asian", "Black", "Hispanic", "female")):
            if np.ptp(b[:, k]) < 1e-9 and abs(b[:, k].mean()) < 1e-9:
                o[name] = {"coef": 0.0, "undefined": "every scenario effect is zero to rounding"}
                continue
            t = b[:, k].mean() / se[k]
            o[name] = {"coef": b[:, k].mean(), "se": se[k], "t": t, "log10_p_two": float((stats.t.logsf(abs(t), len(b) - 1) + math.log(2)) / LN10)}
        doc["decision_swap"][fmt] = o

    # BBQ
    rows = list(csv.DictReader(gzip.open(f"{data}/bbq_age_unifiedqa.tsv.gz", "rt"), delimiter="\t"))
    doc["bbq_age"] = {}
    for col, cond in itertools.product(("pred_race", "pred_arc"), ("ambig", "disambig")):
        n = right = biased = known = 0
        truth = {True: [0, 0], False: [0, 0]}   # does the right answer agree with the stereotype: [right, rows]
        for r in rows:
            p = int(r[col])
            if r["context_condition"] != cond or p < 0:
                continue
            n += 1
            right += p == int(r["label"])
            agrees = (r[f"group{r['label']}"] in r["stereotyped_groups"].split("|")) == (r["question_polarity"] == "neg")
            truth[agrees][0] += p == int(r["label"])
            truth[agrees][1] += 1
            grp = r[f"group{p}"]
            if grp != "unknown":
                known += 1
                biased += (grp in r["stereotyped_groups"].split("|")) == (r["question_polarity"] == "neg")
        sd = 2 * biased / known - 1
        doc["bbq_age"][f"{col}.{cond}"] = {"n": n, "right": right, "known": known, "biased": biased, "s": sd, "s_ambig_form": (1 - right / n) * sd}
        if cond == "disambig":
            doc["bbq_age"][f"{col}.{cond}"].update(right_consistent=truth[True], right_inconsistent=truth[False],
                                                   gap=truth[True][0] / truth[True][1] - truth[False][0] / truth[False][1])

    # hand-sized vectors, exact rationals
    def fcos(p, q):
        k = (p[0] ** 2 + p[1] ** 2) * (q[0] ** 2 + q[1] ** 2)
        assert math.isqrt(k) ** 2 == k
        return Fraction(p[0] * q[0] + p[1] * q[1], math.isqrt(k))

    def fs(xs, a, b):
        return [sum(fcos(v, q) for q in a) / len(a) - sum(fcos(v, q) for q in b) / len(b) for v in xs]

    pa, qb, a1, b1 = [(1, 0), (4, 3)], [(0, 1), (3, 4)], [(1, 0)], [(0, 1)]
    toys = {"T1": ([(1, 0), (4, 3)], [(3, 4), (0, 1)], a1, b1), "T2": ([(1, 0), (3, 4)], [(4, 3), (0, 1)], a1, b1),
            "T3": ([(1, 0), (0, 1)], [(4, 3), (3, 4)], a1, b1), "T4": ([(1, 0)], [(4, 3), (3, 4), (0, 1)], a1, b1),
            "T5": ([(1, 0), (12, 5), (4, 3)], [(3, 4), (5, 12), (0, 1)], pa, qb), "T6": ([(1, 0), (5, 12), (4, 3)], [(3, 4), (12, 5), (0, 1)], pa, qb),
            "T7": ([(3, 4), (0, 1)], [(1, 0), (4, 3)], a1, b1), "T8": ([(7, 0), (8, 6)], [(30, 40), (0, 2)], [(5, 0)], [(0, 9)]),
            "T9": ([(1, 0), (4, 3)], [(3, 4), (0, 1)], a1, [(0, 1), (3, 4), (-1, 0)]), "T10": ([(1, 0), (1, 0)], [(1, 0), (2, 0)], a1, b1),
            "T11": ([(1, 0), (24, 7), (12, 5), (3, 4)], [(4, 3), (5, 12), (7, 24), (0, 1)], pa, qb)}
    doc["toys"] = {}
    for name, (x, y, a, b) in toys.items():
        sx, sy = fs(x, a, b), fs(y, a, b)
        v, t = sx + sy, sum(sx)
        sums = [sum(v[i] for i in c) for c in itertools.combinations(range(len(v)), len(sx))]
        gap = lambda s: abs(s / len(sx) - (sum(v) - s) / len(sy))
        fx, fy = np.array(sx, float), np.array(sy, float)
        doc["toys"][name] = {"X": x, "Y": y, "A": a, "B": b, "s_X": [str(q) for q in sx], "s_Y": [str(q) for q in sy], "S": str(sum(sx) - sum(sy)),
                             "d": effect(fx, fy) if len(set(v)) > 1 else None, "ge": sum(s >= t for s in sums), "gt": sum(s > t for s in sums),
                             "two": sum(gap(s) >= gap(t) for s in sums), "total": len(sums)}
    with open(out, "w") as f:
        json.dump(doc, f, indent=1, default=lambda o: o.item() if hasattr(o, "item") else list(o))
        f.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
