package membership

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Shard is a run of consecutive examples: the sum of log-probabilities in the
// published order and in uniform shuffles of it, scored alike.
type Shard struct {
	Canonical float64
	Shuffled  []float64
}

// Example is one row of the published file, for the checks that need no model.
type Example struct {
	ID, Text string
	Label    string // empty = none
}

// OrderOptions of the order test. The zero value combines by Fisher's sum.
type OrderOptions struct {
	Alpha      float64 // 0 = .05
	B          int     // draws of the checks and of `sum`; 0 = 9,999
	Seed       uint64
	Sequential int // h > 0: a shard stopped after h shuffles at or above the published order
	Assignment *Assignment
	Inputs     []probes.Input
}

// Validate returns a usage error.
func (o OrderOptions) Validate() error {
	if o.Alpha < 0 || o.Alpha >= 1 || o.B < 0 || o.Sequential < 0 {
		return fault.Usagef("membership: order: found alpha %v, %d draws, sequential %d, want a number in (0, 1), at least 1, at least 0", o.Alpha, o.B, o.Sequential)
	}
	return nil
}

const orderNull = "the weights do not depend on the published order of an exchangeable dataset"

// Order tests whether a model prefers the published order of a dataset. Under the
// null hypothesis the rank of the published order among m shuffles of a shard is uniform
// on 1..m+1 whatever the model is; the ranks of the shards combine exactly. t_shards and
// t_published are approximate; the latter, with divisor r, is what
// tatsu-lab/test_set_contamination computes and is anti-conservative.
//
// Tier A when an assignment reproduces the publisher's shuffle, B when order
// and content are unrelated in five checks without the model, else C.
func Order(shards []Shard, examples []Example, o OrderOptions) (probes.Result, error) {
	if o.Alpha == 0 {
		o.Alpha = .05
	}
	if o.B == 0 {
		o.B = 9999
	}
	m, err := checkShards(shards, examples, o)
	if err != nil {
		return probes.Result{}, err
	}
	res := probes.Result{
		Schema: probes.Schema, Test: "membership.order", Version: 1, Inputs: append([]probes.Input{}, o.Inputs...), Seed: o.Seed, Warnings: []probes.Warning{},
		N: map[string]int{"shards": len(shards), "shuffles": m, "examples": len(examples)},
	}
	tier, checks, err := o.grade(examples)
	if err != nil {
		return probes.Result{}, err
	}
	res.Settings = map[string]any{"alpha": o.Alpha, "draws": o.B, "sequential": o.Sequential, "checks": checks, "primary": "fisher"}
	ranks, d := ranksOf(shards)
	scores, index := make([][]float64, len(shards)), make([]int, len(shards))
	for i, s := range shards {
		scores[i] = append([]float64{s.Canonical}, s.Shuffled...)
	}
	mean, v := stat.MeanVar(d)
	res.Estimates = append(res.Estimates,
		estimate("mean_gain", mean, "nats/shard", "published order minus mean of its shuffles"),
		estimate("first", float64(count(ranks, 1)), "shards", fmt.Sprintf("in which the published order ranks before all %d shuffles", m)))
	primary := 0.0
	if o.Sequential > 0 {
		primary = sequentialFisher(shards, o.Sequential)
		res.P = append(res.P, logP("fisher", primary, "Besag and Clifford p per shard, continuous law of Fisher's sum", orderNull))
	} else {
		total := 0
		for _, r := range ranks {
			total += r
		}
		primary = stat.LogFisherRanks(ranks, m+1)
		res.P = append(res.P, logP("fisher", primary, fmt.Sprintf("Fisher's sum over %d ranks of %d, exact grid law", len(ranks), m+1), orderNull),
			logP("rank-sum", stat.LogTailRankTotal(total, len(ranks), m+1), "exact", orderNull))
		sum, exact := stat.LogBlocks(scores, index, o.B, stat.NewRand(o.Seed, "order-sum", 0))
		how := "all index choices"
		if !exact {
			how = fmt.Sprintf("%d random index choices", o.B)
		}
		res.P = append(res.P, logP("sum", sum, how, orderNull))
	}
	if n := float64(len(d)); n > 1 && v > 0 && o.Sequential == 0 { // early stopping biases the gains
		t := mean / math.Sqrt(v/n)
		up, _ := stat.LogTailStudentT(t, n-1)
		res.P = append(res.P, logP("t_shards", up, fmt.Sprintf("approximate, t %.4g, %.0f df", t, n-1), orderNull))
		t *= math.Sqrt(n / (n - 1))
		up, _ = stat.LogTailStudentT(t, n-1)
		res.P = append(res.P, logP("t_published", up, fmt.Sprintf("as published, t %.4g with divisor r: anti-conservative", t), orderNull))
	}
	if tier == probes.TierC {
		res.P = []probes.PValue{}
		res.Warnings = append(res.Warnings, probes.Warning{Code: "order-not-exchangeable", Text: "the order of the file goes with its content: " + failed(checks)})
		res.Verdict = verdictC("the file's order is not exchangeable, so a model may prefer it without having seen it")
		return res, nil
	}
	res.Verdict = verdictB(primary, o.Alpha, "the checkpoint prefers the published order: it was trained on this file in this order", "no preference for the published order was shown")
	res.Verdict.Tier = tier
	return res, nil
}

func count(x []int, v int) (n int) {
	for _, y := range x {
		if y == v {
			n++
		}
	}
	return n
}

func checkShards(shards []Shard, examples []Example, o OrderOptions) (m int, err error) {
	if len(shards) < 2 {
		return 0, fault.Inputf("too-few", "membership: order: found %d shards, want at least 2", len(shards))
	}
	if examples != nil && len(examples) < len(shards) {
		return 0, fault.Inputf("too-few", "membership: order: found %d examples for %d shards, want at least one each", len(examples), len(shards))
	}
	m = len(shards[0].Shuffled)
	for i, s := range shards {
		if len(s.Shuffled) < 1 || o.Sequential == 0 && len(s.Shuffled) != m {
			return 0, fault.Inputf("shuffles", "membership: order: shard %d: found %d shuffles, want %d as in the first", i, len(s.Shuffled), m)
		}
		for _, v := range append([]float64{s.Canonical}, s.Shuffled...) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return 0, fault.Inputf("nonfinite", "membership: order: shard %d: found score %v, want a finite number", i, v)
			}
		}
		m = max(m, len(s.Shuffled))
	}
	return m, nil
}

// ranksOf returns each shard's rank of the published order (ties count against it)
// and its gain over the mean shuffle.
func ranksOf(shards []Shard) (ranks []int, gain []float64) {
	for _, s := range shards {
		r, m := 1, 0.0
		for _, v := range s.Shuffled {
			if v >= s.Canonical-1e-12*max(1, math.Abs(s.Canonical)) {
				r++
			}
			m += v / float64(len(s.Shuffled))
		}
		ranks, gain = append(ranks, r), append(gain, s.Canonical-m)
	}
	return ranks, gain
}

// sequentialFisher combines p = h/n of shards that stopped at draw n (Besag and
// Clifford 1991), or (1+hits)/(1+n) of those that did not: -sum ln p against a
// gamma law, whose tail is valid for any p that are not too small.
func sequentialFisher(shards []Shard, h int) float64 {
	y := 0.0
	for _, s := range shards {
		hits, p := 0, 0.0
		for n, v := range s.Shuffled {
			if v >= s.Canonical-1e-12*max(1, math.Abs(s.Canonical)) {
				hits++
			}
			if hits == h {
				p = float64(h) / float64(n+1)
				break
			}
		}
		if p == 0 {
			p = float64(1+hits) / float64(1+len(s.Shuffled))
		}
		y -= math.Log(p)
	}
	return min(0, stat.LogTailChi2(2*y, 2*float64(len(shards))))
}

// grade runs the checks of the tier.
func (o OrderOptions) grade(examples []Example) (probes.Tier, []Check, error) {
	if o.Assignment != nil {
		ids := make([]string, len(examples))
		for i, e := range examples {
			ids[i] = e.ID
		}
		if err := o.Assignment.CheckOrder(ids); err != nil {
			return "", nil, err
		}
		return probes.TierA, []Check{{"assignment", o.Assignment.Commitment, nil, true}}, nil
	}
	if len(examples) < 20 {
		return probes.TierC, []Check{{"examples", len(examples), 20, false}}, nil
	}
	names, logs := o.exchangeable(examples)
	checks := make([]Check, len(names))
	tier := probes.TierB
	for i, p := range stat.Holm(logs) {
		checks[i] = Check{names[i], fmt.Sprintf("Holm p %.4g", math.Exp(p)), ".05", p >= math.Log(.05)}
		if !checks[i].Pass {
			tier = probes.TierC
		}
	}
	return tier, checks, nil
}

// exchangeable permutes the examples and asks whether the file's order goes with
// length, alphabet, the neighbours' length and words, or runs of labels.
func (o OrderOptions) exchangeable(ex []Example) (names []string, logs []float64) {
	n := len(ex)
	index, size, texts := make([]float64, n), make([]float64, n), make([]string, n)
	sig := make([]signature, n)
	labels := make(map[string]int)
	label := make([]int, n)
	for i, e := range ex {
		index[i], size[i], texts[i], sig[i] = float64(i), float64(len(e.Text)), e.Text, signatureOf(e.Text)
		if _, ok := labels[e.Label]; !ok {
			labels[e.Label] = len(labels)
		}
		label[i] = labels[e.Label]
	}
	sorted := slices.Clone(texts)
	slices.Sort(sorted)
	alpha := make([]float64, n)
	for i, t := range texts {
		j, _ := slices.BinarySearch(sorted, t)
		alpha[i] = float64(j)
	}
	corr := func(x []float64) func(p []int) float64 {
		m, _ := stat.MeanVar(x)
		mid := float64(n-1) / 2
		return func(p []int) float64 {
			s := 0.0
			for i, j := range p {
				s += (float64(i) - mid) * (x[j] - m)
			}
			return math.Abs(s)
		}
	}
	m, _ := stat.MeanVar(size)
	tests := []struct {
		name string
		of   func(p []int) float64
	}{
		{"index-bytes", corr(stat.MidRanks(size))},
		{"index-alphabet", corr(alpha)},
		{"lag-bytes", func(p []int) float64 {
			s := 0.0
			for i := 1; i < n; i++ {
				s += (size[p[i]] - m) * (size[p[i-1]] - m)
			}
			return math.Abs(s)
		}},
		{"neighbour-words", func(p []int) float64 {
			s := 0.0
			for i := 1; i < n; i++ {
				s += sig[p[i]].jaccard(&sig[p[i-1]])
			}
			return s
		}},
	}
	if len(labels) > 1 {
		tests = append(tests, struct {
			name string
			of   func(p []int) float64
		}{"label-runs", func(p []int) float64 {
			s := 0.0
			for i := 1; i < n; i++ {
				if label[p[i]] == label[p[i-1]] {
					s++
				}
			}
			return s
		}})
	}
	identity := make([]int, n)
	for i := range identity {
		identity[i] = i
	}
	hits := make([]int, len(tests))
	seen := make([]float64, len(tests))
	for i, t := range tests {
		seen[i] = t.of(identity)
	}
	for j := range o.B {
		p := stat.NewRand(o.Seed, "order-check", uint64(j)).Perm(n)
		for i, t := range tests {
			if t.of(p) >= seen[i]-1e-12*max(1, math.Abs(seen[i])) {
				hits[i]++
			}
		}
	}
	for i, t := range tests {
		names = append(names, t.name)
		logs = append(logs, math.Log(float64(1+hits[i])/float64(1+o.B)))
	}
	return names, logs
}

// signature is a set of words as 512 bits: any statistic of neighbours is a valid
// check, and this one is cheap enough to permute.
type signature [8]uint64

func signatureOf(text string) (s signature) {
	for _, w := range strings.Fields(strings.ToLower(text)) {
		h := uint64(14695981039346656037)
		for i := range len(w) {
			h = (h ^ uint64(w[i])) * 1099511628211
		}
		h ^= h >> 32
		s[h>>6&7] |= 1 << (h & 63)
	}
	return s
}

func (s *signature) jaccard(t *signature) float64 {
	and, or := 0, 0
	for i := range s {
		and += bits.OnesCount64(s[i] & t[i])
		or += bits.OnesCount64(s[i] | t[i])
	}
	if or == 0 {
		return 0
	}
	return float64(and) / float64(or)
}
