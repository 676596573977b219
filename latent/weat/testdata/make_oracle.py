#!/usr/bin/env python3
"""Write oracle.json: statistics of association tests by scipy, statsmodels and scikit-learn.

    python make_oracle.py ../../../testdata/weat ../data/wefat_data.json oracle.json

Made with python 3.11, numpy 2.4.6, scipy 1.17.1, statsmodels 0.15.0, scikit-learn 1.9.1.
"""

import gzip
import json
import sys

import numpy as np
import scipy
import sklearn
import statsmodels
import statsmodels.api as sm
from scipy import optimize, stats
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.meta_analysis import combine_effects

weat, wefat, out = sys.argv[1:]
g = np.random.default_rng(30)
doc = {"about": f"made by make_oracle.py with numpy {np.__version__}, scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, scikit-learn {sklearn.__version__}"}


def r(x):
    return np.round(x, 6)


# Effect sizes of two samples: point-biserial correlation, Mann-Whitney's share, Cohen's d, its noncentral t limits.
x, y = r(g.normal(.8, 1, 8)), r(g.normal(0, 1, 7))
n, both = len(x) + len(y), np.concatenate([x, y])
pooled = np.sqrt((7 * x.var(ddof=1) + 6 * y.var(ddof=1)) / (n - 2))
c = len(x) * len(y) / n
t = stats.ttest_ind(x, y).statistic
lam = [optimize.brentq(lambda l: stats.nct.cdf(t, n - 2, l) - q, -20, 20, xtol=1e-13) for q in (.975, .025)]
delta = np.array(lam) / np.sqrt(c)
doc["sizes"] = {"x": x.tolist(), "y": y.tolist(), "r": stats.pointbiserialr([1] * 8 + [0] * 7, both).statistic,
                "auc": stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)), "d_pooled": (x.mean() - y.mean()) / pooled,
                "d_limits": (delta * np.sqrt((n - 1) / (n - 2 + c * delta**2))).tolist(), "z_log10": np.log10(stats.norm.sf((x.mean() - y.mean()) / both.std(ddof=1) * np.sqrt(c)))}

# Adjusted: t of the group in least squares with covariates is that of the partial correlation.
cov = r(g.normal(0, 1, (2, n)))
fit = sm.OLS(both, np.column_stack([np.ones(n), [1] * 8 + [0] * 7, cov.T])).fit()
doc["adjust"] = {"cov": cov.tolist(), "t": fit.tvalues[1], "log10_two": np.log10(fit.pvalues[1]), "df": int(fit.df_resid)}

# Random effects (DerSimonian and Laird).
d, v = r(g.normal(.5, .9, 12)), r(g.uniform(.02, .3, 12))
m = combine_effects(d, v, method_re="dl")
doc["combine"] = {"d": d.tolist(), "v": v.tolist(), "tau2": m.tau2, "q": m.q, "i2": m.i2, "combined": m.mean_effect_re, "sd": m.sd_eff_w_re}

# WEFAT on the GloVe rows: correlation with its interval, rank correlation.
vec = {}
with gzip.open(f"{weat}/glove840b_weat.txt.gz", "rt", newline="\n") as f:
    for line in f:
        p = line.rstrip("\n").split(" ")
        vec[" ".join(p[:-300])] = np.array(p[-300:], float)
w = json.load(open(wefat))
unit = lambda k: vec[k] / np.linalg.norm(vec[k])
a, b = np.array([unit(k) for k in w["A"]]), np.array([unit(k) for k in w["B"]])
doc["wefat"] = {}
for name, key in (("occupations", "percent_women_weighted"), ("names", "percent_women")):
    s = [(np.mean(a @ unit(q["word"])) - np.mean(b @ unit(q["word"]))) / np.std(np.concatenate([a, b]) @ unit(q["word"]), ddof=1) for q in w[name]]
    val = [q[key] for q in w[name]]
    p = stats.pearsonr(s, val)
    doc["wefat"][name] = {"r": p.statistic, "ci": list(p.confidence_interval()), "log10_p": np.log10(p.pvalue), "rho": stats.spearmanr(s, val).statistic}

# RNSB: scikit-learn's classifier, the intercept as a column so that it is penalised too.
sets = [r(g.normal(m, 1, (k, 5))) for m, k in ((.4, 6), (-.4, 7), (0, 8))]
z = np.column_stack([np.concatenate(sets[:2]), np.ones(13)])
lr = LogisticRegression(C=1, fit_intercept=False, tol=1e-12, max_iter=10000, solver="newton-cg").fit(z, [0] * 6 + [1] * 7)
q = lr.predict_proba(np.column_stack([sets[2], np.ones(8)]))[:, 1]
doc["rnsb"] = {"a": sets[0].tolist(), "b": sets[1].tolist(), "targets": sets[2].tolist(), "p": q.tolist(), "kl": stats.entropy(q / q.sum(), np.ones(8) / 8)}

with open(out, "w") as f:
    json.dump(doc, f, separators=(",", ":"))
    f.write("\n")
