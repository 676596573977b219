package weat

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/assoc/perm"
)

// descriptive is a result of tier C.
func descriptive(test string, o Options, settings map[string]any) probes.Result {
	r := probes.Result{Schema: probes.Schema, Test: test, Version: Version, Inputs: o.Inputs, Settings: settings, N: map[string]int{}, Seed: o.Seed,
		Estimates: []probes.Estimate{}, P: []probes.PValue{}, Warnings: []probes.Warning{}}
	if r.Inputs == nil {
		r.Inputs = []probes.Input{}
	}
	r.Verdict = probes.Verdict{Tier: probes.TierC, Finding: "descriptive", DoesNotSay: doesNotSay}
	return r
}

func number(name, unit string, v float64, method string) probes.Estimate {
	e := probes.Estimate{Name: name, Unit: unit, Method: method}
	if finite(v) {
		e.Value = probes.Value(v)
	}
	return e
}

func lostWarning(lost []Lost) []probes.Warning {
	if len(lost) == 0 {
		return nil
	}
	return []probes.Warning{{Code: "words-lost", Text: fmt.Sprintf("lost %d: %s", len(lost), names(lost))}}
}

// RunWEFAT correlates a list with its property. The tails stay estimates: the
// t test assumes normality that nothing checked, and the words of a list were
// not drawn at random.
func RunWEFAT(l WEFATList, sp Space, loss LossOptions, o Options) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	r := descriptive("weat.wefat", o, map[string]any{"list": l.Name, "property": l.Property, "A": setNames(l.A, "A"), "B": setNames(l.B, "B"), "rep": o.Rep, "variant": string(o.Variant), "perm": o.Perm})
	c, err := WEFAT(l, sp, loss)
	if err != nil {
		return r, err
	}
	r.N["words"], r.N["lost"] = c.N, len(c.Lost)
	r.Warnings = append(r.Warnings, lostWarning(c.Lost)...)
	e := number("r", "correlation", c.R, "Pearson, word score with the property; Fisher limits")
	e.CI = &probes.CI{Lo: c.FisherLo, Hi: c.Fisher, Level: .95}
	tail := c.Permute(o.Perm, o.Seed)
	r.Estimates = append(r.Estimates, e, number("spearman", "rank correlation", c.Spearman, ""), number("t", "1", c.T, fmt.Sprintf("df %d", c.N-2)),
		number("tail_two_log10", "log10", c.LogPTwo/math.Ln10, "two-sided Student tail"),
		number("tail_permutation_log10", "log10", tail.Log10P, "property permuted over words, two-sided, "+describe(tail)))
	r.Verdict.Says = fmt.Sprintf("Over %d words, nearness to %s and the %s correlate by r = %.4f.", c.N, setNames(l.A, "A"), l.Property, c.R)
	return r, nil
}

// Permute returns the two-sided tail of |r| with the property permuted.
func (c Correlation) Permute(draws int, seed uint64) perm.Tail {
	s := make([]float64, c.N)
	for i, w := range c.Scores {
		s[i] = w.Score
	}
	ms, mv := mean(s), mean(c.Values)
	v := make([]float64, c.N)
	var obs float64
	for i := range s {
		s[i] -= ms
		v[i] = c.Values[i] - mv
		obs += s[i] * v[i]
	}
	hits, shuffled := 0, make([]float64, c.N)
	for r := 1; r <= draws; r++ {
		g, t := perm.Replicate(seed, r), 0.0
		copy(shuffled, v)
		for i := range s {
			j := i + g.Index(c.N-i)
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
			t += s[i] * shuffled[i]
		}
		if math.Abs(t) >= math.Abs(obs)*(1-1e-12) {
			hits++
		}
	}
	return perm.Drawn(hits, draws, 1e-12*math.Abs(obs))
}

// RunCEAT summarises draws of single contexts.
func RunCEAT(t Test, s *States, shift Shift, draws int, loss LossOptions, o Options) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	d, sc, err := Draw(t, s, shift, draws, o.Seed, loss)
	if err != nil {
		return probes.Result{}, err
	}
	b := newBuilder(sc, o)
	b.res.Test = "weat.ceat"
	if sc.Undefined != "" {
		return b.undefined(sc.Undefined), nil
	}
	c, err := Combine(d.D, d.V)
	if err != nil {
		return probes.Result{}, err
	}
	b.res.N["draws"], b.res.N["dropped"] = len(d.D), d.Dropped
	b.res.Settings["draws"] = draws
	q := d.Quantiles(.05, .5, .95)
	b.add("d_median", "sd of s", q[1], "of d over draws of one context a word")
	b.res.Estimates[0].CI = &probes.CI{Lo: q[0], Hi: q[2], Level: .9}
	b.add("combined", "sd of s", c.D, "random-effects mean of d over draws (DerSimonian and Laird)")
	b.add("tau2", "sd of s squared", c.Tau2, "variance of d between draws")
	b.add("I2", "share", c.I2, "")
	b.add("Q", "1", c.Q, "")
	b.add("tail_combined_log10", "log10", c.Log10P, "normal tail of combined/sqrt V; it falls without bound as draws are added, so it is no p-value")
	if sc.Contexts > 0 && sc.Contexts < 5 {
		b.warn("few-contexts", "%d contexts a word, want 5 or more", sc.Contexts)
	}
	b.res.Verdict = probes.Verdict{Tier: probes.TierC, Finding: "descriptive", DoesNotSay: doesNotSay,
		Says: fmt.Sprintf("Over single contexts d is %.4f in the median, %.4f to %.4f in nine of ten draws. The p-value to cite is the word-level one of the mean states.", q[1], q[0], q[2])}
	return b.res, nil
}

// Measures are the names RunRelated takes.
func Measures() []string { return []string{"rnd", "ect", "mac", "ripa", "rnsb"} }

// RunRelated computes other measures of a test: rnd and ect of X and Y on A,
// mac over A and B, ripa of the pairs X[i], Y[i] on A, rnsb of all targets with
// A against B. Raw vectors, as in the papers.
func RunRelated(t Test, sp Space, measures []string, loss LossOptions, o Options) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	for _, m := range measures {
		if !slices.Contains(Measures(), m) {
			return probes.Result{}, fault.Usagef("weat: measure: found %q, want %s", m, strings.Join(Measures(), ", "))
		}
	}
	sets, sc, err := gather(t, sp, loss)
	if err != nil {
		return probes.Result{}, err
	}
	b := newBuilder(sc, o)
	b.res.Test = "weat.related"
	if sc.Undefined != "" {
		return b.undefined(sc.Undefined), nil
	}
	raw := [4][][]float64{}
	for k, s := range sets {
		for _, v := range s {
			raw[k] = append(raw[k], v.raw)
		}
	}
	x, y, a, bb := raw[0], raw[1], raw[2], raw[3]
	rel, err := RelatedOf(x, y, a, [][][]float64{a, bb}, false)
	if err != nil {
		return probes.Result{}, err
	}
	for _, m := range measures {
		switch m {
		case "rnd":
			b.add("rnd", "distance", rel.RND, "mean over A of distance to the mean of X less that to the mean of Y; above 0 nearer Y")
			b.add("rnd_cos", "cosine", rel.RNDCos, "the same with cosine similarity; above 0 nearer X")
		case "ect":
			b.add("ect", "rank correlation", rel.ECT, "over A, cosines to the two means; 1 is no difference")
		case "mac":
			b.add("mac", "cosine distance", rel.MAC, "mean of all targets to A and to B; 1 is none")
		case "ripa":
			if len(sc.Lost) > 0 {
				return probes.Result{}, fault.Usagef("weat: ripa: found lost words (%s), want paired lists that are whole", names(sc.Lost))
			}
			r, err := RIPAOf(x, y, a)
			if err != nil {
				return probes.Result{}, err
			}
			b.add("ripa", "projection", r.Mean, fmt.Sprintf("mean over A of the projection on %d pair directions", len(x)))
		case "rnsb":
			r, err := RNSBOf(a, bb, slices.Concat(x, y))
			if err != nil {
				return probes.Result{}, err
			}
			b.add("rnsb", "nats", r.KL, "divergence of the targets' normalised P(B) from uniform; 0 is even")
		}
	}
	b.res.Verdict = probes.Verdict{Tier: probes.TierC, Finding: "descriptive", DoesNotSay: doesNotSay, Says: "Related measures of the same sets; none has a valid p-value."}
	return b.res, nil
}

// Folded is a source whose columns are scaled, such as an output matrix times
// the gain of the final norm before it.
type Folded struct {
	Source
	gain []float64
}

// Fold scales the columns of a source.
func Fold(src Source, gain []float64) (Folded, error) {
	if len(gain) != src.Dim() {
		return Folded{}, fault.Inputf("malformed", "weat: fold: found a gain of %d numbers, want %d", len(gain), src.Dim())
	}
	return Folded{src, gain}, nil
}

// Row writes the scaled row.
func (f Folded) Row(i int, dst []float64) {
	f.Source.Row(i, dst)
	for k := range dst {
		dst[k] *= f.gain[k]
	}
}
