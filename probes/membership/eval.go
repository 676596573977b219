package membership

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"gonum.org/v1/gonum/stat/distuv"

	"assay/internal/fault"
	"assay/probes/stat"
)

// Options of the evaluation. The zero value works.
type Options struct {
	Alpha   float64   // significance level of the verdict; 0 = .05
	Level   float64   // of intervals; 0 = .95
	FPR     []float64 // false-positive rates; nil = .05 .01 .001
	B       int       // permutations and bootstrap replicates; 0 = 9,999
	Seed    uint64
	Workers int // goroutines; 0 = all cores. Never changes a result
}

func (o Options) withDefaults() Options {
	if o.Alpha == 0 {
		o.Alpha = .05
	}
	if o.Level == 0 {
		o.Level = .95
	}
	if o.FPR == nil {
		o.FPR = []float64{.05, .01, .001}
	}
	if o.B == 0 {
		o.B = 9999
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o
}

// Validate returns a usage error.
func (o Options) Validate() error {
	if o.Alpha != 0 && !(o.Alpha > 0 && o.Alpha < 1) {
		return fault.Usagef("membership: alpha: found %v, want a number in (0, 1)", o.Alpha)
	}
	if o.Level != 0 && !(o.Level > 0 && o.Level < 1) {
		return fault.Usagef("membership: level: found %v, want a number in (0, 1)", o.Level)
	}
	for _, f := range o.FPR {
		if !(f > 0 && f < 1) {
			return fault.Usagef("membership: false-positive rate: found %v, want a number in (0, 1)", f)
		}
	}
	if o.B < 0 {
		return fault.Usagef("membership: replicates: found %d, want at least 1", o.B)
	}
	return nil
}

// Rate is the true-positive rate at one false-positive rate.
type Rate struct {
	FPR       float64    `json:"fpr"`
	Threshold *float64   `json:"threshold"` // least observed score with at most floor(fpr n) non-members at or above it; nil if none
	Hits      int        `json:"hits"`
	Members   int        `json:"label_1"`
	False     int        `json:"false"`
	Non       int        `json:"label_0"`
	TPR       float64    `json:"tpr"`
	Exact     [2]float64 `json:"clopper_pearson"` // of the member share at this threshold
	Boot      [2]float64 `json:"bootstrap"`       // the threshold moves too
	FalseTop  float64    `json:"fpr_upper"`       // Clopper-Pearson upper limit of the true false-positive rate
	Refused   bool       `json:"refused"`         // fewer than 1/fpr non-members
	Coarse    bool       `json:"coarse"`          // fewer than 10/fpr
}

// Block is the evaluation of one score on labelled texts.
type Block struct {
	Members, Non, Groups int
	AUC, SE              float64
	SEMethod             string
	CI                   [2]float64
	LogP                 float64 // labels permuted over groups, natural log
	Exact                bool
	LogNormal            float64 // Mann-Whitney, normal law with tie and continuity corrections
	Rates                []Rate
	Undefined            int
}

// labelled is a score with its labels, sorted for counting.
type labelled struct {
	score  []float64
	label  []int
	group  []int32 // number of each text's group
	class  []int   // label of each group
	order  []int   // indices by decreasing score
	member int
}

// Evaluate computes the block of a score. NaN scores are undefined texts: they count
// as the lowest member and the highest non-member. group may be nil; otherwise
// labels are permuted and texts resampled by group, and a group with both labels is
// an error.
func Evaluate(score []float64, label []int, group []string, o Options) (Block, error) {
	if err := o.Validate(); err != nil {
		return Block{}, err
	}
	o = o.withDefaults()
	l, undefined, err := newLabelled(score, label, group)
	if err != nil {
		return Block{}, err
	}
	m, n := l.split()
	b := Block{Members: len(m), Non: len(n), Groups: len(l.class), Undefined: undefined}
	if b.AUC, b.SE, err = stat.AUC(m, n); err != nil {
		return b, fmt.Errorf("membership: %w", err)
	}
	b.SEMethod = "DeLong"
	reps := l.bootstrap(o)
	if len(l.class) < len(label) {
		_, v := stat.MeanVar(reps.auc)
		b.SE, b.SEMethod = math.Sqrt(v), fmt.Sprintf("bootstrap of %d groups", len(l.class))
	}
	b.CI = LogitInterval(b.AUC, b.SE, o.Level, min(len(m), len(n)))
	b.LogP, b.Exact = l.permute(o)
	b.LogNormal = LogMannWhitney(m, n)
	for i, a := range o.FPR {
		r := l.rate(a, o.Level)
		r.Boot = quantiles(reps.tpr[i], o.Level)
		b.Rates = append(b.Rates, r)
	}
	return b, nil
}

func quantiles(x []float64, level float64) [2]float64 {
	s := slices.Clone(x)
	slices.Sort(s)
	return [2]float64{stat.Quantile(s, (1-level)/2), stat.Quantile(s, (1+level)/2)}
}

func newLabelled(score []float64, label []int, group []string) (*labelled, int, error) {
	if len(score) != len(label) || group != nil && len(group) != len(label) {
		return nil, 0, fault.Inputf("malformed", "membership: found %d scores, %d labels, %d groups, want one each", len(score), len(label), len(group))
	}
	score, label, group = canonicalOrder(score, label, group)
	l := &labelled{score: score, label: label, group: make([]int32, len(label))}
	lo, hi := math.Inf(1), math.Inf(-1)
	for i, v := range score {
		if label[i] != 0 && label[i] != 1 {
			return nil, 0, fault.Inputf("labels", "membership: text %d: found label %d, want 0 or 1", i+1, label[i])
		}
		l.member += label[i]
		if math.IsInf(v, 0) {
			return nil, 0, fault.Inputf("nonfinite", "membership: text %d: found score %v, want a number or undefined", i+1, v)
		}
		if !math.IsNaN(v) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if l.member == 0 || l.member == len(label) {
		return nil, 0, fault.Inputf("labels", "membership: found %d texts with label 1 and %d with label 0, want both", l.member, len(label)-l.member)
	}
	if l.member < 2 || len(label)-l.member < 2 {
		return nil, 0, fault.Inputf("labels", "membership: found %d texts with label 1 and %d with label 0, want at least 2 of each", l.member, len(label)-l.member)
	}
	undefined := 0
	for i, v := range l.score {
		if math.IsNaN(v) { // the worst case for the claim
			undefined++
			if l.score[i] = lo - 1; label[i] == 0 {
				l.score[i] = hi + 1
			}
			if math.IsInf(lo, 1) {
				l.score[i] = 0
			}
		}
	}
	number := make(map[string]int32)
	for i := range label {
		if group[i] == "" {
			l.group[i] = int32(len(l.class))
			l.class = append(l.class, label[i])
			continue
		}
		g, ok := number[group[i]]
		if !ok {
			g = int32(len(l.class))
			number[group[i]] = g
			l.class = append(l.class, label[i])
		}
		if l.class[g] != label[i] {
			return nil, 0, fault.Inputf("labels", "membership: group %q: found both labels, want one label per group", group[i])
		}
		l.group[i] = g
	}
	l.order = make([]int, len(label))
	for i := range l.order {
		l.order[i] = i
	}
	slices.SortStableFunc(l.order, func(a, b int) int { return cmp.Compare(l.score[b], l.score[a]) })
	return l, undefined, nil
}

// canonicalOrder sorts copies by label, group and score, so that the order of the
// input rows cannot reach the random streams.
func canonicalOrder(score []float64, label []int, group []string) ([]float64, []int, []string) {
	name := func(i int) string {
		if group == nil {
			return ""
		}
		return group[i]
	}
	idx := make([]int, len(label))
	for i := range idx {
		idx[i] = i
	}
	slices.SortStableFunc(idx, func(a, b int) int {
		return cmp.Or(cmp.Compare(label[a], label[b]), cmp.Compare(name(a), name(b)), cmp.Compare(score[a], score[b]))
	})
	s, l, g := make([]float64, len(idx)), make([]int, len(idx)), make([]string, len(idx))
	for k, i := range idx {
		s[k], l[k], g[k] = score[i], label[i], name(i)
	}
	return s, l, g
}

func (l *labelled) split() (m, n []float64) {
	for i, v := range l.score {
		if l.label[i] == 1 {
			m = append(m, v)
		} else {
			n = append(n, v)
		}
	}
	return m, n
}

// LogitInterval is the interval of an AUC on the logit scale. At exactly 1 (or 0)
// that scale is useless: the lower limit is then (alpha/2)^(1/pairs), what pairs
// independent pairs in the right order show.
func LogitInterval(auc, se, level float64, pairs int) [2]float64 {
	tail := (1 - level) / 2
	switch {
	case auc >= 1:
		return [2]float64{math.Pow(tail, 1/float64(pairs)), 1}
	case auc <= 0:
		return [2]float64{0, 1 - math.Pow(tail, 1/float64(pairs))}
	case !(se > 0):
		return [2]float64{auc, auc}
	}
	z := stat.NormalQuantile(1 - tail)
	c, h := math.Log(auc/(1-auc)), z*se/(auc*(1-auc))
	inv := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	return [2]float64{inv(c - h), inv(c + h)}
}

// LogMannWhitney is ln of the one-sided normal tail of the Mann-Whitney statistic
// of m over n, with tie and continuity corrections.
func LogMannWhitney(m, n []float64) float64 {
	all := append(slices.Clone(m), n...)
	r := stat.MidRanks(all)
	u := stat.Sum(r[:len(m)]) - float64(len(m))*float64(len(m)+1)/2
	slices.Sort(all)
	ties := 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j] == all[i] {
			j++
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	a, b, t := float64(len(m)), float64(len(n)), float64(len(all))
	sd := math.Sqrt(a * b / 12 * (t + 1 - ties/(t*(t-1))))
	return stat.LogTailNormal((u - a*b/2 - .5) / sd)
}

// ClopperPearson returns the exact limits of a binomial share k/n.
func ClopperPearson(k, n int, level float64) (lo, hi float64) {
	tail := (1 - level) / 2
	lo, hi = 0, 1
	if k > 0 {
		lo = distuv.Beta{Alpha: float64(k), Beta: float64(n - k + 1)}.Quantile(tail)
	}
	if k < n {
		hi = distuv.Beta{Alpha: float64(k + 1), Beta: float64(n - k)}.Quantile(1 - tail)
	}
	return lo, hi
}

// rate finds the threshold of one false-positive rate.
func (l *labelled) rate(fpr, level float64) Rate {
	non := len(l.label) - l.member
	r := Rate{FPR: fpr, Members: l.member, Non: non}
	allowed := int(math.Floor(fpr*float64(non) + 1e-9))
	for i := 0; i < len(l.order); {
		j, hits, false_ := i, 0, 0
		for j < len(l.order) && l.score[l.order[j]] == l.score[l.order[i]] {
			hits += l.label[l.order[j]]
			false_ += 1 - l.label[l.order[j]]
			j++
		}
		if r.False+false_ > allowed {
			break
		}
		r.Hits, r.False, r.Threshold = r.Hits+hits, r.False+false_, &l.score[l.order[i]]
		i = j
	}
	r.TPR = float64(r.Hits) / float64(r.Members)
	r.Exact[0], r.Exact[1] = ClopperPearson(r.Hits, r.Members, level)
	_, r.FalseTop = ClopperPearson(r.False, non, level)
	r.Refused = float64(non) < 1/fpr-1e-9
	r.Coarse = float64(non) < 10/fpr-1e-9
	return r
}

type replicates struct {
	auc []float64
	tpr [][]float64 // by rate
}

// bootstrap resamples groups within each class and walks the sorted scores once
// per replicate for the AUC and every rate.
func (l *labelled) bootstrap(o Options) replicates {
	out := replicates{auc: make([]float64, o.B), tpr: make([][]float64, len(o.FPR))}
	for i := range out.tpr {
		out.tpr[i] = make([]float64, o.B)
	}
	var classes [2][]int32
	for g, c := range l.class {
		classes[c] = append(classes[c], int32(g))
	}
	parallel(o, func(j int, scratch *[]float64) {
		if *scratch == nil {
			*scratch = make([]float64, len(l.class))
		}
		w := *scratch
		clear(w)
		rng := stat.NewRand(o.Seed, "membership-boot", uint64(j))
		for _, gs := range classes {
			for range gs {
				w[gs[rng.IntN(len(gs))]]++
			}
		}
		out.auc[j] = l.weighted(w, o.FPR, func(i int, tpr float64) { out.tpr[i][j] = tpr })
	})
	return out
}

// weighted returns the AUC with group weights w and reports each rate.
func (l *labelled) weighted(w, fpr []float64, report func(i int, tpr float64)) float64 {
	var tm, tn float64
	for i := range l.label {
		if l.label[i] == 1 {
			tm += w[l.group[i]]
		} else {
			tn += w[l.group[i]]
		}
	}
	var above, below, pairs float64 // members at or above, non-members so far, pairs won
	stopped := make([]bool, len(fpr))
	best := make([]float64, len(fpr))
	for i := 0; i < len(l.order); {
		j, gm, gn := i, 0.0, 0.0
		for j < len(l.order) && l.score[l.order[j]] == l.score[l.order[i]] {
			k := l.order[j]
			if l.label[k] == 1 {
				gm += w[l.group[k]]
			} else {
				gn += w[l.group[k]]
			}
			j++
		}
		pairs += gn * (above + gm/2)
		above, below = above+gm, below+gn
		for r, a := range fpr {
			if !stopped[r] {
				if below > math.Floor(a*tn+1e-9) {
					stopped[r] = true
				} else {
					best[r] = above
				}
			}
		}
		i = j
	}
	for r := range fpr {
		report(r, best[r]/tm)
	}
	return pairs / (tm * tn)
}

// parallel runs f(0..B-1) on all cores; f gets a scratch slot of its own worker.
func parallel(o Options, f func(j int, scratch *[]float64)) {
	var wg sync.WaitGroup
	for k := range o.Workers {
		wg.Go(func() {
			var scratch []float64
			for j := k; j < o.B; j += o.Workers {
				f(j, &scratch)
			}
		})
	}
	wg.Wait()
}
