package membership

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Features are texts described by numbers, one row each; NaN = undefined.
type Features struct {
	Names []string
	Rows  []FeatureRow
}

// FeatureRow is one text.
type FeatureRow struct {
	ID, Group string
	SHA256    [32]byte
	X         []float64
}

// InferScores are the scores whose values describe a text for dataset inference;
// references add theirs.
const InferScores = "loss,mink:0.05,mink:0.1,mink:0.2,mink:0.3,mink:0.4,mink:0.5,mink:0.6," +
	"maxk:0.05,maxk:0.1,maxk:0.2,maxk:0.3,maxk:0.4,maxk:0.5,maxk:0.6,minkpp:0.2,zlib"

// InferOptions of dataset inference. The zero value works.
type InferOptions struct {
	Alpha   float64 // 0 = .05
	B       int     // permutations; 0 = 9,999
	Seed    string  // orders the halves: SHA-256(seed ":" key); "" = "1"
	Splits  int     // q > 1: q splits, p = min(1, 2 median)
	Ground  Ground
	Inputs  []probes.Input
	Workers int
}

const inferPerClass = 40

// half is one class cut in two by key.
type half struct{ a, b []int }

// inferred is the outcome of one split.
type inferred struct {
	diff     float64 // mean f(V) - mean f(S) on the held-out halves
	logP     float64 // labels permuted by group
	exact    bool
	t, df    float64
	logWelch float64
	constant []string
}

// Infer asks whether a dataset S scores unlike texts V that are known to be unseen and
// were made by the same process (Maini et al. 2024). A ridge logistic model learns on
// half of both classes (clipped at 2.5 and 97.5 %, standardised) which features tell
// V from S; the other halves are compared by its scores, labels permuted by group.
// Beside it always the same with V cut in two, which must show nothing.
func Infer(s, v Features, o InferOptions) (probes.Result, error) {
	if o.Alpha == 0 {
		o.Alpha = .05
	}
	if o.B == 0 {
		o.B = 9999
	}
	if o.Seed == "" {
		o.Seed = "1"
	}
	o.Splits = max(o.Splits, 1)
	s, v, undefined, err := common(s, v)
	if err != nil {
		return probes.Result{}, err
	}
	tier, checks, warnings, err := o.Ground.grade(slices.Concat(unitsOf(s, 1), unitsOf(v, 0)))
	if err != nil {
		return probes.Result{}, err
	}
	warn := func(code, format string, args ...any) {
		warnings = append(warnings, probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
	}
	if len(undefined) > 0 {
		warn("undefined-scores", "features left out because some text has no value: %s", strings.Join(undefined, ", "))
	}
	var runs []inferred
	for q := range o.Splits {
		seed := o.Seed
		if q > 0 {
			seed = fmt.Sprintf("%s/%d", o.Seed, q)
		}
		r, err := inferOnce(s, v, seed, o)
		if err != nil {
			return probes.Result{}, err
		}
		runs = append(runs, r)
	}
	r := runs[0]
	if len(r.constant) > 0 {
		warn("constant-feature", "features left out because they are constant: %s", strings.Join(r.constant, ", "))
	}
	ln := r.logP
	method := "labels permuted by group on the held-out halves"
	if r.exact {
		method += ", all arrangements"
	} else {
		method += fmt.Sprintf(", %d draws", o.B)
	}
	if o.Splits > 1 {
		all := make([]float64, len(runs))
		for i, x := range runs {
			all[i] = x.logP
		}
		slices.Sort(all)
		ln = min(0, math.Ln2+stat.Quantile(all, .5))
		method += fmt.Sprintf("; %d splits, twice the median", o.Splits)
	}
	null, nullErr := nullRun(v, o)
	nullOK := nullErr == nil && null.logP > math.Log(.05)
	checks = append(checks, Check{"null-run", fmt.Sprintf("p %.4g", math.Exp(null.logP)), ".05", nullOK})
	switch {
	case nullErr != nil:
		warn("null-run-missing", "the unseen set is too small to be cut in two: %v", nullErr)
	case !nullOK:
		warn("null-run-significant", "two halves of the unseen set differ (p %.4g)", math.Exp(null.logP))
	}
	if tier == probes.TierB && !nullOK {
		tier = probes.TierC
	}
	res := probes.Result{
		Schema: probes.Schema, Test: "membership.infer", Version: 1, Inputs: append([]probes.Input{}, o.Inputs...), P: []probes.PValue{}, Warnings: append([]probes.Warning{}, warnings...),
		Settings: map[string]any{"alpha": o.Alpha, "replicates": o.B, "seed": o.Seed, "splits": o.Splits, "features": s.Names, "lambda": 1, "checks": checks},
		N:        map[string]int{"suspects": len(s.Rows), "unseen": len(v.Rows), "features": len(s.Names)},
	}
	res.Estimates = append(res.Estimates, estimate("difference", r.diff, "log odds", "mean f(unseen) - mean f(suspect) on the held-out halves"),
		estimate("null_difference", null.diff, "log odds", "the same between two halves of the unseen set"))
	o.Ground.blind(&res)
	if tier == probes.TierC {
		res.Verdict = verdictC("the two sets score differently by " + fmt.Sprintf("%.3g log odds", r.diff) + "; checks that failed: " + failed(checks))
		return res, nil
	}
	const h0 = "suspect and unseen texts are exchangeable"
	res.P = append(res.P, logP("permutation", ln, method, h0),
		logP("welch", r.logWelch, fmt.Sprintf("one-sided, t %.4g, df %.4g", r.t, r.df), h0),
		logP("null_run", null.logP, "the same test between two halves of the unseen set", h0))
	res.Verdict = verdictB(ln, o.Alpha, "the suspect set scores unlike exchangeable unseen texts: as a set it was trained on", "the suspect set scores like the unseen texts")
	res.Verdict.Tier = tier
	return res, nil
}

func unitsOf(f Features, label int) []unit {
	out := make([]unit, len(f.Rows))
	for i, r := range f.Rows {
		out[i] = unit{r.ID, r.Group, r.SHA256, label}
	}
	return out
}

// common keeps the features that every row of both classes has a value of.
func common(s, v Features) (Features, Features, []string, error) {
	if !slices.Equal(s.Names, v.Names) {
		return s, v, nil, fault.Inputf("malformed", "membership: infer: features %v and %v differ", s.Names, v.Names)
	}
	if len(s.Rows) < inferPerClass || len(v.Rows) < inferPerClass {
		return s, v, nil, fault.Inputf("too-few", "membership: infer: found %d suspects and %d unseen texts, want at least %d of each", len(s.Rows), len(v.Rows), inferPerClass)
	}
	var keep []int
	var undefined []string
	for j, name := range s.Names {
		ok := true
		for _, r := range slices.Concat(s.Rows, v.Rows) {
			if len(r.X) != len(s.Names) {
				return s, v, nil, fault.Inputf("malformed", "membership: infer: %q: found %d features, want %d", r.ID, len(r.X), len(s.Names))
			}
			if math.IsInf(r.X[j], 0) {
				return s, v, nil, fault.Inputf("nonfinite", "membership: infer: %q: found feature %s = %v, want a number or undefined", r.ID, name, r.X[j])
			}
			ok = ok && !math.IsNaN(r.X[j])
		}
		if ok {
			keep = append(keep, j)
		} else {
			undefined = append(undefined, name)
		}
	}
	if len(keep) == 0 {
		return s, v, nil, noFeature(slices.Concat(s.Rows, v.Rows))
	}
	cut := func(f Features) Features {
		out := Features{}
		for _, j := range keep {
			out.Names = append(out.Names, f.Names[j])
		}
		for _, r := range f.Rows {
			x := make([]float64, len(keep))
			for k, j := range keep {
				x[k] = r.X[j]
			}
			r.X = x
			out.Rows = append(out.Rows, r)
		}
		slices.SortStableFunc(out.Rows, func(a, b FeatureRow) int { return strings.Compare(a.ID, b.ID) })
		return out
	}
	return cut(s), cut(v), undefined, nil
}

// noFeature names the texts that have no value at all: mostly they were not scored.
func noFeature(rows []FeatureRow) error {
	n, first := 0, ""
	for _, r := range rows {
		if !slices.ContainsFunc(r.X, func(x float64) bool { return !math.IsNaN(x) }) {
			if n++; n == 1 {
				first = r.ID
			}
		}
	}
	f := fault.Inputf("empty", "membership: infer: found no feature that every text has a value of")
	if n > 0 {
		f = fault.Inputf("empty", "membership: infer: found %d texts without any score, first %q: no feature is left", n, first).
			Hint("texts longer than the model need a policy such as lmeval-rolling; leave out texts without tokens")
	}
	return f
}

// halves cuts a class by key in the order of SHA-256(seed ":" key).
func halves(f Features, seed string) half {
	keys := make([]string, len(f.Rows))
	for i, r := range f.Rows {
		keys[i] = unit{id: r.ID, group: r.Group}.key()
	}
	order := hashOrder(keys, seed)
	first := make(map[string]bool)
	for _, k := range order[:len(order)/2] {
		first[k] = true
	}
	var h half
	for i, k := range keys {
		if first[k] {
			h.a = append(h.a, i)
		} else {
			h.b = append(h.b, i)
		}
	}
	return h
}

func inferOnce(s, v Features, seed string, o InferOptions) (inferred, error) {
	hs, hv := halves(s, seed), halves(v, seed)
	var fit [][]float64
	var y []float64
	for _, i := range hs.a {
		fit, y = append(fit, s.Rows[i].X), append(y, 0)
	}
	for _, i := range hv.a {
		fit, y = append(fit, v.Rows[i].X), append(y, 1)
	}
	lo, hi := clips(fit)
	clipped := func(x []float64) []float64 {
		out := make([]float64, len(x))
		for j, e := range x {
			out[j] = min(max(e, lo[j]), hi[j])
		}
		return out
	}
	idx := make([]int, len(fit))
	for i := range fit {
		fit[i], idx[i] = clipped(fit[i]), i
	}
	d, kept := stat.Dense(fit, idx)
	var r inferred
	for j, name := range s.Names {
		if !slices.Contains(kept, j) {
			r.constant = append(r.constant, name)
		}
	}
	if len(kept) == 0 {
		return r, fault.Inputf("constant", "membership: infer: every feature is constant")
	}
	w, b, err := stat.Logistic(d, y, 1, 1e-10)
	if err != nil {
		return r, err
	}
	var fs, fv []float64
	var score []float64
	var label []int
	var group []string
	for _, i := range hs.b {
		f := d.Predict(stat.DenseRow(clipped(s.Rows[i].X), kept), w, b)
		fs = append(fs, f)
		score, label, group = append(score, f), append(label, 0), append(group, s.Rows[i].Group)
	}
	for _, i := range hv.b {
		f := d.Predict(stat.DenseRow(clipped(v.Rows[i].X), kept), w, b)
		fv = append(fv, f)
		score, label, group = append(score, f), append(label, 1), append(group, v.Rows[i].Group)
	}
	return r, r.compare(fs, fv, score, label, group, seed, o)
}

// clips are the 2.5 and 97.5 % quantiles of every column, type 7.
func clips(x [][]float64) (lo, hi []float64) {
	for j := range x[0] {
		c := make([]float64, len(x))
		for i := range x {
			c[i] = x[i][j]
		}
		slices.Sort(c)
		lo, hi = append(lo, stat.Quantile(c, .025)), append(hi, stat.Quantile(c, .975))
	}
	return lo, hi
}

// compare fills in the statistics of the held-out halves.
func (r *inferred) compare(fs, fv, score []float64, label []int, group []string, seed string, o InferOptions) error {
	diff, se, err := stat.MeanDiff(fv, fs)
	if err != nil {
		return fault.Inputf("too-few", "membership: infer: %w", err)
	}
	r.diff, r.t = diff, diff/se
	_, vv := stat.MeanVar(fv)
	_, vs := stat.MeanVar(fs)
	a, b := vv/float64(len(fv)), vs/float64(len(fs))
	r.df = (a + b) * (a + b) / (a*a/float64(len(fv)-1) + b*b/float64(len(fs)-1))
	r.logWelch, _ = stat.LogTailStudentT(r.t, r.df)
	r.logP, r.exact, err = permuteMeans(score, label, group, Options{B: o.B, Seed: seedOf(seed), Workers: o.Workers}.withDefaults())
	return err
}

// permuteMeans is the p of the difference of means, label 1 minus 0, labels dealt
// anew over groups: exact up to 2^20 arrangements.
func permuteMeans(score []float64, label []int, group []string, o Options) (ln float64, exact bool, err error) {
	l, _, err := newLabelled(score, label, group)
	if err != nil {
		return 0, false, err
	}
	sum, size := make([]float64, len(l.class)), make([]float64, len(l.class))
	total, scale := 0.0, 0.0
	for i, g := range l.group {
		sum[g] += l.score[i]
		size[g]++
		total += l.score[i]
		scale += math.Abs(l.score[i])
	}
	n := float64(len(l.score))
	members := 0
	var s1, n1 float64
	for g, c := range l.class {
		if c == 1 {
			members++
			s1, n1 = s1+sum[g], n1+size[g]
		}
	}
	diff := func(s, k float64) float64 { return s/k - (total-s)/(n-k) }
	limit := diff(s1, n1) - 1e-12*max(1, scale/n)
	if stat.LogChoose(int64(len(l.class)), int64(members)) <= math.Log(maxExact)+1e-9 {
		hits, all := 0.0, 0.0
		var walk func(g, left int, s, k float64)
		walk = func(g, left int, s, k float64) {
			if left == 0 {
				all++
				if k > 0 && k < n && diff(s, k) >= limit {
					hits++
				}
				return
			}
			for h := g; h <= len(sum)-left; h++ {
				walk(h+1, left-1, s+sum[h], k+size[h])
			}
		}
		walk(0, members, 0, 0)
		return math.Log(hits / all), true, nil
	}
	var hits atomic.Int64
	parallel(o, func(j int, _ *[]float64) {
		rng := stat.NewRand(o.Seed, "infer-perm", uint64(j))
		var s, k float64
		for _, g := range rng.Perm(len(sum))[:members] {
			s, k = s+sum[g], k+size[g]
		}
		if diff(s, k) >= limit {
			hits.Add(1)
		}
	})
	return math.Log(float64(hits.Load()+1) / float64(o.B+1)), false, nil
}

// nullRun compares two halves of the unseen set, cut by another seed.
func nullRun(v Features, o InferOptions) (inferred, error) {
	h := halves(v, o.Seed+"/null")
	pick := func(idx []int) Features {
		f := Features{Names: v.Names}
		for _, i := range idx {
			f.Rows = append(f.Rows, v.Rows[i])
		}
		return f
	}
	a, b := pick(h.a), pick(h.b)
	if len(a.Rows) < 10 || len(b.Rows) < 10 {
		return inferred{logP: 0}, fault.Inputf("too-few", "found %d and %d texts, want at least 10 each", len(a.Rows), len(b.Rows))
	}
	return inferOnce(a, b, o.Seed+"/null", o)
}

// seedOf is the number behind a seed that is a string: other halves get other draws.
func seedOf(seed string) uint64 {
	h := sha256.Sum256([]byte("infer-perm:" + seed))
	return binary.LittleEndian.Uint64(h[:])
}
