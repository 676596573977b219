package aqi

import (
	"fmt"
	"math"
	"strings"

	"assay/latent/geom"
	"assay/latent/internal/report"
	"assay/probes"
)

// Findings of the verdict.
const (
	Separated    = "separated"     // p below .05 in tier A or B
	NotSeparated = "not-separated" // p not below .05
	Descriptive  = "descriptive"   // tier C: no p-value is valid
)

// minUnits is the number of units per label that tier B asks for.
const minUnits = 30

// checks are the conditions of tier B, in fixed order.
func (a *analysis) checks() []Check {
	c := a.ctl
	d := a.r.q.d
	matched := d.Form == geom.Pairs || d.Stratified()
	between := func(v float64) bool { return v >= .4 && v <= .6 }
	least := math.Inf(1)
	for _, u := range a.units {
		least = math.Min(least, float64(u))
	}
	out := []Check{
		{"matched", bit(matched), "pairs or strata", matched},
		{"length", c.length, "AUROC .4 to .6", between(c.length)},
		{"bytes", c.bytes, "AUROC .4 to .6", between(c.bytes)},
		{"texts-across-labels", float64(c.crossDup), "0", c.crossDup == 0},
		{"units", least, "at least 30 per label", least >= minUnits},
	}
	w := Check{Name: "words", Value: -1, Limit: "AUROC at most .6; texts must be given"}
	if c.words != nil {
		w.Value, w.Pass = c.words.AUROC, c.words.AUROC <= .6
	}
	out = append(out, w)
	if c.hasSource {
		out = append(out, Check{"source", c.source, "AUROC at most .6", c.source <= .6})
	}
	return out
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// tier is A if the auditor's draw reproduces the labels, B if every check
// passes, else C.
func (a *analysis) tier(cs []Check) probes.Tier {
	if a.assigned {
		return probes.TierA
	}
	for _, c := range cs {
		if !c.Pass {
			return probes.TierC
		}
	}
	return probes.TierB
}

func (a *analysis) warnings(b *report.Builder) {
	r, c, o := a.r, a.ctl, a.r.o
	if c.crossDup+c.dupTexts > 0 {
		b.Warn("duplicate-text", "%d texts stand under two labels, %d under two units", c.crossDup, c.dupTexts)
	}
	if v := worst(c.length, c.bytes); v < .4 || v > .6 {
		b.Warn("length-confounded", "length tells the labels apart: AUROC %.3f (tokens), %.3f (bytes); limits .4 to .6", c.length, c.bytes)
	}
	if c.words != nil && c.words.AUROC > .6 {
		b.Warn("words-confounded", "a bag of words tells the labels apart: held-out AUROC %.3f, limit .6", c.words.AUROC)
	}
	if c.words == nil && !a.assigned {
		b.Warn("no-texts", "the words of the texts were not controlled: give the texts, two groups")
	}
	if c.hasSource && c.source > .6 {
		b.Warn("source-confounded", "the source tells the labels apart: held-out AUROC %.3f, limit .6", c.source)
	}
	for i, s := range c.shares {
		if s < .1 {
			b.Warn("unbalanced", "%s is %.1f %% of the rows", r.q.d.Groups[i], 100*s)
		}
	}
	for i, u := range a.rows {
		if u == 1 {
			b.Warn("singleton", "%s has one row", r.q.d.Groups[i])
		}
	}
	if n := len(a.head.sep.Dropped); n > 0 {
		b.Warn("singleton", "%d strata have fewer than two units of a group and are left out", n)
	}
	if c.outliers > 0 {
		b.Warn("outlier-rows", "%d rows have a norm more than 6 MAD from the median; see aqi.r2.without-outliers", c.outliers)
	}
	if r.fewBlock > 0 {
		b.Warn("few-blocks", "%d block pairs, fewer than 12: %s permuted instead", r.fewBlock, map[bool]string{true: "the sample was", false: "they were"}[r.permKind == "sample"])
	}
	if total := sum(a.rows); a.head.hasFar && a.head.farRows < total {
		b.Warn("sampled", "distances and probe use %d of %d rows", a.head.farRows, total)
		if o.wants("dunn") {
			b.Warn("dunn-bound", "of a sample the gap is an upper and the diameter a lower bound: Dunn is biased up")
		}
	} else if a.head.kind == "sample" {
		b.Warn("sampled", "the headline uses the sample")
	}
	if r.q.v.Span == "all" {
		b.Warn("bos-in-span", "span all includes the first special token, whose state is often massive")
	}
	if len(r.q.layers) == 1 {
		b.Warn("layer-chosen", "the settings name layer %d: a choice made on these data has no p-value", r.q.v.Layers[r.q.layers[0]])
	}
	if len(a.learned) > 0 {
		b.Warn("learned-pool", "layer weights were fitted to these labels on other folds; the headline stays the uniform pool")
	}
}

func sum(v []int) int {
	t := 0
	for _, x := range v {
		t += x
	}
	return t
}

func worst(a, b float64) float64 {
	if math.Abs(a-.5) > math.Abs(b-.5) {
		return a
	}
	return b
}

func (a *analysis) verdict(b *report.Builder, tier probes.Tier, fam *geom.Family) {
	h := a.head
	r2 := fmt.Sprintf("AQI-R2 %.2f", 100*h.sep.R2)
	if !math.IsNaN(h.lo) {
		r2 += fmt.Sprintf(" (%.0f %% interval %.2f to %.2f)", 100*a.level(), 100*geom.R2(h.lo), 100*geom.R2(h.hi))
	}
	where := "in " + a.r.q.v.Name() + ", layer " + h.name
	if h.name == "pool" {
		where = fmt.Sprintf("in %s, %d layers pooled", a.r.q.v.Name(), len(a.inPool))
	}
	v := probes.Verdict{Tier: tier, Finding: Descriptive}
	v.Says = fmt.Sprintf("%s: the label would explain %.2f %% of the variance %s if the groups were equally common.", r2, 100*h.sep.R2, where)
	if h.perm != nil {
		v.Says += fmt.Sprintf(" The plain R2 is %.4f; without any difference its mean is %.4f and its 95 %% point %.4f.", h.sep.Plain, h.perm.NullMean, h.perm.NullQ95)
	}
	if tier != probes.TierC && h.perm != nil {
		p := h.perm.Log10P()
		if p < math.Log10(.05) {
			v.Finding = Separated
			v.Says += fmt.Sprintf(" The two groups are separated: log10 p %.2f.", p)
		} else {
			v.Finding = NotSeparated
			v.Says += fmt.Sprintf(" No separation is shown: log10 p %.2f.", p)
		}
		if len(a.r.q.d.Groups) > 2 {
			v.Says = strings.ReplaceAll(v.Says, "The two groups", "The groups")
		}
		if fam != nil {
			m := a.curve[fam.Best]
			v.Says += fmt.Sprintf(" Largest at layer %s, family-wise log10 p %.2f over %d layers.", m.name, fam.Log10P[fam.Best], len(a.curve))
		}
	} else {
		v.Says += " Descriptive: labels were neither drawn by the auditor nor matched and checked, so no p-value is valid."
	}
	v.DoesNotSay = "That the model refuses anything, that it is aligned or safe, or that the meaning of the label and not topic, length, words or source separates the groups."
	b.Verdict = v
}
