"""Writes oracle.json: expected values for the tests of probes/stat.

usage: python oracle.py > oracle.json      (versions in requirements.txt)
"""
import json, sys
import numpy as np, scipy, mpmath as mp
from scipy import stats

mp.mp.dps = 50
rng = np.random.default_rng(7)
out = {"origin": f"numpy {np.__version__}, scipy {scipy.__version__}, mpmath {mp.__version__}"}


def arr(a):
    return [float(v) for v in a]


sp = []
for n, kx, ky in [(5, 0, 0), (30, 0, 0), (30, 4, 3), (200, 0, 8), (200, 20, 0), (7, 2, 2)]:
    x, y = rng.normal(size=n), rng.normal(size=n)
    y = y + 0.4 * x
    if kx: x = np.round(x * kx / 2)
    if ky: y = np.round(y * ky / 2)
    s = stats.spearmanr(x, y)
    sp.append(dict(x=arr(x), y=arr(y), rank=arr(stats.rankdata(x)), rho=float(s.statistic), two=float(s.pvalue),
                   upper=float(stats.spearmanr(x, y, alternative="greater").pvalue), pearson=float(stats.pearsonr(x, y).statistic),
                   kurt=float(stats.kurtosis(stats.rankdata(x)))))
out["spearman"] = sp


def log_i(t2, df):
    """ln of the two-sided Student tail I_x(a, 1/2), by s = x exp(-v/a) under the integral of the incomplete beta."""
    if t2 == 0:
        return mp.mpf(0)
    x, a = df / (df + t2), df / 2
    q = mp.quad(lambda v: mp.exp(-v) / mp.sqrt(1 - x * mp.exp(-v / a)), [0, mp.mpf(10) ** -12, mp.mpf(10) ** -6, 1e-3, 0.1, 1, 4, 16, 64, 256])
    return a * mp.log(x) - mp.log(a) - mp.log(mp.beta(a, mp.mpf(1) / 2)) + mp.log(q)


st = []
for t, df in [(0, 3), (1e-9, 4), (0.5, 1), (2, 1), (1e9, 1), (1e200, 2), (1, 7.5), (-1, 7.5), (3, 30), (-8, 100), (8, 100), (40, 12),
              (12, 398), (13, 399), (13, 401), (100, 5000), (1.3, 1e5), (5, 1e7), (300, 1e6)]:
    two = log_i(mp.mpf(t) ** 2, mp.mpf(df))
    up = two - mp.log(2) if t > 0 else mp.log1p(-mp.exp(two) / 2)
    if abs(t) < 1e6 and two > -600:  # scipy as a check of the oracle
        assert abs(stats.t.logsf(t, df) - up) < 1e-9 * max(1, abs(up)), (t, df, up, stats.t.logsf(t, df))
    st.append(dict(t=float(t), df=float(df), two=float(two), upper=float(up)))
out["student"] = st

nz = [-40, -8, -3, -1, -0.1, 0, 0.3, 1, 3, 5, 9.9, 10, 12, 37, 39, 100, 1e4, 1e8]
out["normal"] = [dict(z=float(z), logsf=float(mp.log(mp.erfc(mp.mpf(z) / mp.sqrt(2)) / 2))) for z in nz]
for d in out["normal"]:
    s = stats.norm.logsf(d["z"])
    assert abs(s - d["logsf"]) <= 1e-11 * abs(d["logsf"]), (d, s)

def ks_tail(n, d):
    """1 - P(D < d) by Durbin's matrix at 50 digits. scipy switches to an expansion of six digits above n = 140."""
    nd = n * mp.mpf(d)
    k = int(nd) + 1
    h = k - nd
    m = 2 * k - 1
    a = mp.matrix(m, m)
    for i in range(m):
        for j in range(m):
            a[i, j] = 1 if i - j + 1 >= 0 else 0
    for i in range(m):
        a[i, 0] -= h ** (i + 1)
        a[m - 1, i] -= h ** (m - i)
    if 2 * h > 1:
        a[m - 1, 0] += (2 * h - 1) ** m
    for i in range(m):
        for j in range(m):
            if i - j + 1 > 0:
                a[i, j] /= mp.factorial(i - j + 1)
    q = a ** n
    return 1 - q[k - 1, k - 1] * mp.factorial(n) / mp.mpf(n) ** n


ks = []
for n, p in [(1, 1), (2, 1), (10, 1), (10, 2), (50, 1.3), (200, 1), (200, 1.2), (200, 3), (1000, 1.05)]:
    x = rng.random(n) ** p
    r = stats.kstest(x, "uniform", method="exact")
    p_exact = float(ks_tail(n, r.statistic))
    assert abs(p_exact - r.pvalue) < 1e-5 * p_exact, (n, p_exact, r.pvalue)
    r = type("R", (), dict(statistic=r.statistic, pvalue=p_exact))
    ks.append(dict(x=arr(x) if n <= 200 else None, n=n, d=float(r.statistic), p=float(r.pvalue)))
out["ks"] = ks

ch = [(0.1, 1), (3, 1), (50, 1), (3, 7.5), (30, 12), (900, 3), (1400, 3), (5000, 10), (120, 100), (700, 500)]
out["chi2"] = [dict(x=float(x), df=float(k), logsf=float(mp.log(mp.gammainc(mp.mpf(k) / 2, mp.mpf(x) / 2, regularized=True)))) for x, k in ch]
kw = []
for n, g, lev in [(30, 3, 0), (40, 4, 3)]:
    x, c = rng.normal(size=n), rng.integers(0, g, n)
    x = x + 0.5 * c
    if lev: x = np.round(x * lev / 2)
    r = stats.kruskal(*[x[c == k] for k in range(g)])
    kw.append(dict(x=arr(x), code=[int(v) for v in c], groups=g, h=float(r.statistic), p=float(r.pvalue)))
out["kruskal"] = kw

wl = []
for n1, n2 in [(5, 9), (40, 3)]:
    a, b = rng.normal(1, 2, n1), rng.normal(0, 1, n2)
    r = stats.ttest_ind(a, b, equal_var=False)
    wl.append(dict(a=arr(a), b=arr(b), diff=float(a.mean() - b.mean()), se=float((a.mean() - b.mean()) / r.statistic)))
out["welch"] = wl

out["holm"] = dict(logp=arr(np.log([1e-20, 1e-5, 1e-3, 10**-1.5, 10**-0.2])))
q = rng.normal(size=37)
q.sort()
out["quantile"] = dict(x=arr(q), p=[0, 0.025, 0.1, 0.5, 0.333, 0.975, 1], q=arr(np.quantile(q, [0, 0.025, 0.1, 0.5, 0.333, 0.975, 1])))

# Permutation p of all 9! and 6! orders by an independent loop is in the published vectors; here a large one by scipy.
json.dump(out, sys.stdout, indent=0)
