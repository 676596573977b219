#!/usr/bin/env python3
"""Write oracle.json: statistics of the probes of behaviour by scipy and statsmodels.

    python make_oracle.py ../../../testdata/weat oracle.json

Made with python 3.11, numpy 2.4.6, scipy 1.17.1, statsmodels 0.15.0, pandas 3.1.1.
"""

import gzip
import json
import sys
import warnings

import numpy as np
import pandas as pd
import scipy
import statsmodels
import statsmodels.formula.api as smf
from scipy import stats
from scipy.spatial.distance import jensenshannon
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

warnings.filterwarnings("ignore")
weat, out = sys.argv[1:]
g = np.random.default_rng(20)


def r(x):
    return np.round(x, 6).tolist()


doc = {"about": f"made by make_oracle.py with numpy {np.__version__}, scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, pandas {pd.__version__}"}

# Decisions: fixed effects of a random-intercept model, and the mean over questions with its t test.
d = pd.read_csv(gzip.open(f"{weat}/discrim_templated_qwen2.5-7b-instruct.csv.gz"))
d["y"] = d.yes_logit - d.no_logit
swap, y, q = {}, "y", "decision_question_id"
for name, rows in d.groupby("prompt_format"):
    if name == "removed":  # no group words: every effect is 0
        continue
    mixed = smf.mixedlm(f"{y} ~ C(race, Treatment('white')) + C(gender, Treatment('male'))", rows, groups=rows[q]).fit(reml=True)
    ols = smf.ols(f"{y} ~ C(race, Treatment('white')) + C(gender, Treatment('male')) + C({q})", rows).fit()
    entry = {}
    for level, short in (("Asian", "race"), ("Black", "race"), ("Hispanic", "race"), ("female", "gender")):
        key = [k for k in mixed.params.index if f"[T.{level}]" in k][0]
        entry[level] = {"mixed": mixed.params[key], "mixed_se": mixed.bse[key], "ols": ols.params[key]}
    per = rows.pivot_table(index=q, columns=["gender"], values=y)
    t = stats.ttest_1samp(per["female"] - per["male"], 0)
    entry["female"].update(t=t.statistic, log10_p=np.log10(t.pvalue))
    swap[name] = entry
doc["swap"] = swap

doc["wilson"] = [[k, n, *proportion_confint(k, n, .05, "wilson")] for k, n in ((60, 100), (0, 12), (7, 7), (1290, 1508), (3, 11))]
doc["clopper"] = [[k, n, *proportion_confint(k, n, .01, "beta")] for k, n in ((60, 100), (0, 99), (1519, 99999))]
p = r(g.uniform(0, .1, 9))
doc["holm"] = {"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()}

# Permutations of two samples and sign flips, counted.
x, y = r(g.normal(.7, 1, 7)), r(g.normal(0, 1, 8))
both = lambda a, b: np.mean(a) - np.mean(b)
doc["two_sample"] = {"x": x, "y": y,
                     "greater": stats.permutation_test((x, y), both, n_resamples=np.inf, alternative="greater").pvalue,
                     "two": stats.permutation_test((x, y), lambda a, b: abs(np.mean(a) - np.mean(b)), n_resamples=np.inf, alternative="greater").pvalue}
v = r(g.normal(.5, 1, 12))
doc["sign_flip"] = {"x": v, "two": stats.permutation_test((v,), lambda a: abs(np.sum(a)), permutation_type="samples", n_resamples=np.inf, alternative="greater").pvalue}

# Distances of two distributions, and shares of a balanced table.
a, b = g.dirichlet(np.ones(4)), g.dirichlet(np.ones(4))
doc["distances"] = {"p": a.tolist(), "q": b.tolist(), "js_bits": float(jensenshannon(a, b, base=2) ** 2)}
table = np.round(g.normal(0, 1, (6, 1, 1)) + g.normal(0, .5, (1, 3, 1)) + g.normal(0, .3, (1, 1, 2)) + g.normal(0, .2, (6, 3, 2)), 6)
long = pd.DataFrame([{"item": i, "template": t, "order": o, "y": table[i, t, o]} for i in range(6) for t in range(3) for o in range(2)])
ss = anova_lm(smf.ols("y ~ C(item) + C(template) + C(order)", long).fit())["sum_sq"]
doc["shares"] = {"scores": table.reshape(6, 6).tolist(), "shares": (ss / ss.sum()).tolist()}

with open(out, "w") as f:
    json.dump(doc, f, separators=(",", ":"))
    f.write("\n")
