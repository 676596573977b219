package palimpsest

import (
	"fmt"
	"math"

	"assay/probes/stat"
)

// checks holds the sample against exchangeability: position must not go with
// anything known from the content, nor with what the references say. It returns
// one check for each covariate, category and reference, Holm-adjusted over all,
// with the leak |rho(t,c) rho(c,d)| that a failure could explain.
func (s *Sample) checks(l layout, t, d []stat.Ranks) []Check {
	var out []Check
	var logP []float64
	add := func(name, text string, lp, leak float64) {
		if math.IsNaN(lp) {
			return // constant: nothing to go with
		}
		out = append(out, Check{Name: "position vs " + name, Limit: -3, Code: "order-drift", Text: text, Leak: leak, Log10P: clip(lp / math.Ln10)})
		logP = append(logP, lp)
	}
	number := func(name string, x []float64) {
		c := l.ranks(x)
		tc := pairs(t, c)
		if len(tc) == 0 {
			return
		}
		rt, _ := rhoOf(tc)
		rd, _ := rhoOf(pairs(c, d))
		add(name, fmt.Sprintf("rho %.5f", rt), logTwo(tc), math.Abs(rt*rd))
	}
	for _, c := range s.Covariates {
		number(c.Name, c.X)
	}
	for j, r := range s.L[1:] {
		number("reference "+s.Models[j+1].Name, r)
	}
	for _, c := range s.Categories {
		s.category(l, t, d, c, add)
	}
	for i, h := range stat.Holm(logP) {
		out[i].Value = clip(h / math.Ln10)
		out[i].Pass = h/math.Ln10 >= out[i].Limit
		out[i].Text = fmt.Sprintf("Holm-adjusted log10 p (%s, log10 p %.2f)", out[i].Text, out[i].Log10P)
	}
	return out
}

// category compares positions between the values of a label. Strata are combined
// by the sum of their chi-squared statistics.
func (s *Sample) category(l layout, t, d []stat.Ranks, c Category, add func(name, text string, logP, leak float64)) {
	var h, df, vt, vd, n float64
	for g, idx := range l.groups {
		code := take(c.Code, idx)
		ht, _, et, err := stat.KruskalWallis(t[g], code, len(c.Names))
		if err != nil {
			continue // one label in this stratum
		}
		_, _, ed, err := stat.KruskalWallis(d[g], code, len(c.Names))
		if err != nil {
			continue
		}
		w := float64(len(idx) - 1)
		h, df = h+ht, df+float64(distinct(code)-1)
		vt, vd, n = vt+w*et, vd+w*ed, n+w
	}
	if df > 0 {
		add(c.Name, fmt.Sprintf("Kruskal-Wallis H %.2f, df %g", h, df), stat.LogTailChi2(h, df), math.Sqrt(vt/n*vd/n))
	}
}

func distinct(code []int32) int {
	seen := map[int32]bool{}
	for _, c := range code {
		seen[c] = true
	}
	return len(seen)
}
