package aqi

import (
	"fmt"
	"math"
	"slices"

	"assay/latent/geom"
	"assay/latent/internal/report"
)

// SklearnDBS is the Davies-Bouldin score of scikit-learn 1.9.1: 0 if all
// distances to centroids, or all distances between centroids, are within 1e-8
// of 0; two centroids that coincide exactly count as infinitely far apart.
func SklearnDBS(x geom.Rows, labels []int, k int) float64 {
	return geom.DaviesBouldinTol(x, labels, k, 1e-8)
}

// SklearnCHI is the Calinski-Harabasz score of scikit-learn 1.9.1: 1 if W = 0.
func SklearnCHI(m geom.Moments) float64 {
	if m.W == 0 {
		return 1
	}
	return m.CHI.Value
}

// RunRelative is the score of aqi-eval, which depends on the other groups of
// the run: CHI_n = 100 (CHI-min)/(max-min); z = (XB-median)/(IQR+1e-9), XB_n =
// 100 (1 - sigmoid z) clipped to [10, 100]; gamma CHI_n + (1-gamma) XB_n. A run of
// one category can only give 13.447071 or 86.552929 at gamma .5.
func RunRelative(chi, xb []float64, gamma float64) []float64 {
	lo, hi := slices.Min(chi), slices.Max(chi)
	s := slices.Clone(xb)
	slices.Sort(s)
	med := geom.Quantile(s, .5)
	iqr := geom.Quantile(s, .75) - geom.Quantile(s, .25)
	out := make([]float64, len(chi))
	for i := range chi {
		c := 0.0
		if hi > lo {
			c = 100 * (chi[i] - lo) / (hi - lo)
		}
		z := (xb[i] - med) / (iqr + 1e-9)
		x := 100 * (1 - 1/(1+math.Exp(-z)))
		out[i] = gamma*c + (1-gamma)*math.Min(100, math.Max(10, x))
	}
	return out
}

// compat adds the figures of other programs where they were asked for.
func (a *analysis) compat(b *report.Builder) error {
	r, h := a.r, a.head
	switch r.o.Paper.Compat {
	case "sklearn":
		b.Add("aqi.compat.sklearn.chi", SklearnCHI(h.mom), "ratio", "scikit-learn 1.9.1, headline vector", h.mom.CHI.Why)
		if !h.hasFar || r.q.kept && h.farRows > maxDense {
			return nil
		}
		rs, err := r.q.space(h.alpha, r.post, h.farRows < sum(a.rows))
		if err != nil {
			return err
		}
		x, _, labels := rs.only(r.q.d)
		b.Add("aqi.compat.sklearn.dbs", SklearnDBS(x, labels, len(r.q.d.Groups)), "ratio", "scikit-learn 1.9.1, headline vector", "")
	case "aqi-eval":
		b.Warn("not-comparable", "aqi-eval scores are relative to the categories of this run: another set of categories gives other numbers")
		var names []string
		var chi, xb []float64
		for s, name := range r.q.d.Strata {
			t, _, err := r.q.table(h.alpha, r.post, r.q.d)
			if err != nil {
				return err
			}
			if m := geom.MomentIndices(t.StratumGroups(s)); m.CHI.Why == "" && m.XBI.Why == "" && r.q.d.Stratified() {
				names, chi, xb = append(names, name), append(chi, m.CHI.Value), append(xb, m.XBI.Value)
			}
		}
		names, chi, xb = append(names, "overall"), append(chi, h.mom.CHI.Value), append(xb, h.mom.XBI.Value)
		for i, v := range RunRelative(chi, xb, r.o.Paper.Gamma) {
			b.Add(fmt.Sprintf("aqi.compat.aqi-eval.%s", names[i]), v, "run-relative score", "relative to this run", "")
		}
	}
	return nil
}
