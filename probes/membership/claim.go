package membership

import (
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Case is one text with the score named beforehand; NaN = undefined.
type Case struct {
	ID, Group string
	SHA256    [32]byte
	Score     float64
}

// ClaimRow is one suspect text among the controls.
type ClaimRow struct {
	ID        string   `json:"id"`
	Score     *float64 `json:"score"`       // nil = undefined
	Conformal *float64 `json:"conformal_p"` // (1 + #{controls >= score})/(C+1); nil in tier C
	BH        *float64 `json:"bh"`          // adjusted over the suspects
	Holm      *float64 `json:"holm"`
}

// Claim tests one claimant's texts against controls by the rank sum of one score:
// texts of one group move together under permutation; without groups and ties the law is exact
// at any depth. Conformal p-values of single texts share their controls, so
// combining them by Fisher's method is invalid (their level at a nominal .05 is
// about .1 for 200 texts and 100 controls): the rank sum is the combination. In
// tier C rows keep only ids and scores.
func Claim(name string, suspect, control []Case, g Ground, o Options, inputs []probes.Input) (probes.Result, []ClaimRow, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, nil, err
	}
	if err := checkCases(suspect, control); err != nil {
		return probes.Result{}, nil, err
	}
	o = o.withDefaults()
	var units []unit
	var score []float64
	var label []int
	var group []string
	for l, cases := range [][]Case{control, suspect} {
		for _, c := range cases {
			units = append(units, unit{c.ID, c.Group, c.SHA256, l})
			score, label, group = append(score, c.Score), append(label, l), append(group, c.Group)
		}
	}
	tier, checks, warnings, err := g.grade(units)
	if err != nil {
		return probes.Result{}, nil, err
	}
	b, err := Evaluate(score, label, group, o)
	if err != nil {
		return probes.Result{}, nil, err
	}
	res := probes.Result{
		Schema: probes.Schema, Test: "membership.claim", Version: 1, Inputs: append([]probes.Input{}, inputs...), Seed: o.Seed, P: []probes.PValue{}, Warnings: append([]probes.Warning{}, warnings...),
		Settings: map[string]any{"score": name, "alpha": o.Alpha, "level": o.Level, "replicates": o.B, "checks": checks},
		N:        map[string]int{"suspects": len(suspect), "controls": len(control), "groups": b.Groups, "undefined": b.Undefined},
	}
	res.Estimates = append(res.Estimates, withCI(estimate("auc", b.AUC, "1", "P(suspect > control), "+b.SEMethod), b.CI, o.Level))
	d, ci := medianDifference(suspect, control, o)
	res.Estimates = append(res.Estimates, withCI(estimate("effect", d, "score", fmt.Sprintf("difference of medians, bootstrap of groups, %d replicates", o.B)), ci, o.Level))
	g.blind(&res)
	ln, method := rankSum(suspect, control, b)
	if b.Undefined > 0 {
		res.Warnings = append(res.Warnings, probes.Warning{Code: "undefined-scores", Text: fmt.Sprintf("%d scores are undefined and count against the claim", b.Undefined)})
	}
	rows := claimRows(suspect, control)
	if tier == probes.TierC {
		for i := range rows {
			rows[i].Conformal, rows[i].BH, rows[i].Holm = nil, nil, nil
		}
		res.Verdict = verdictC(fmt.Sprintf("the %d texts rank among the %d controls with AUC %.3f; checks that failed: %s", len(suspect), len(control), b.AUC, failed(checks)))
		return res, rows, nil
	}
	res.P = append(res.P, logP("rank_sum", ln, method, "the suspects' scores and the controls' are exchangeable"))
	res.Verdict = verdictB(ln, o.Alpha, "the claimed texts score higher than exchangeable controls: as a set they were trained on, or on copies of them", "the claimed texts do not score higher than the controls")
	res.Verdict.Tier = tier
	return res, rows, nil
}

// rankSum returns ln p: the exact law of the rank sum without ties and groups, else
// the permutation of Evaluate.
func rankSum(suspect, control []Case, b Block) (ln float64, method string) {
	n := len(suspect) + len(control)
	values := make([]float64, 0, n)
	for _, c := range slices.Concat(suspect, control) {
		values = append(values, c.Score)
	}
	slices.Sort(values)
	tied := b.Undefined > 0
	for i := 1; i < n; i++ {
		tied = tied || values[i] == values[i-1]
	}
	if tied || b.Groups < n {
		if b.Exact {
			return b.LogP, fmt.Sprintf("rank sum over all arrangements of %d groups", b.Groups)
		}
		return b.LogP, fmt.Sprintf("rank sum, labels permuted over %d groups", b.Groups)
	}
	u := int64(math.Round(b.AUC * float64(len(suspect)) * float64(len(control))))
	ln, _ = stat.LogTailRankSum(u, int64(len(suspect)), int64(len(control)))
	return ln, "exact law of the rank sum"
}

func claimRows(suspect, control []Case) []ClaimRow {
	c := make([]float64, 0, len(control))
	for _, x := range control {
		v := x.Score
		if math.IsNaN(v) {
			v = math.Inf(1)
		}
		c = append(c, v)
	}
	slices.Sort(c)
	rows := make([]ClaimRow, len(suspect))
	logs := make([]float64, len(suspect))
	for i, s := range suspect {
		p := Conformal(s.Score, c)
		rows[i] = ClaimRow{ID: s.ID, Score: estimate("", s.Score, "", "").Value, Conformal: &p}
		logs[i] = math.Log(p)
	}
	for i, v := range stat.BH(logs) {
		rows[i].BH = probes.Value(math.Exp(v))
	}
	for i, v := range stat.Holm(logs) {
		rows[i].Holm = probes.Value(math.Exp(v))
	}
	return rows
}

// Conformal returns (1 + #{controls >= x})/(C+1) for controls in increasing order;
// an undefined score has 1. The floor is 1/(C+1).
func Conformal(x float64, sorted []float64) float64 {
	if math.IsNaN(x) {
		return 1
	}
	i, _ := slices.BinarySearch(sorted, x)
	return float64(1+len(sorted)-i) / float64(len(sorted)+1)
}

// medianDifference with a bootstrap over groups of each side.
func medianDifference(suspect, control []Case, o Options) (d float64, ci [2]float64) {
	median := func(x []float64) float64 {
		slices.Sort(x)
		return stat.Quantile(x, .5)
	}
	split := func(cs []Case) [][]float64 {
		at := make(map[string]int)
		var out [][]float64
		sorted := slices.Clone(cs)
		slices.SortStableFunc(sorted, func(a, b Case) int { return slices.Compare([]string{a.Group, a.ID}, []string{b.Group, b.ID}) })
		for _, c := range sorted {
			if math.IsNaN(c.Score) {
				continue
			}
			i, ok := at[c.Group]
			if !ok || c.Group == "" {
				i = len(out)
				out = append(out, nil)
				at[c.Group] = i
			}
			out[i] = append(out[i], c.Score)
		}
		return out
	}
	a, b := split(suspect), split(control)
	if len(a) == 0 || len(b) == 0 {
		return math.NaN(), [2]float64{math.NaN(), math.NaN()}
	}
	d = median(slices.Concat(a...)) - median(slices.Concat(b...))
	reps := make([]float64, o.B)
	parallel(o, func(j int, _ *[]float64) {
		rng := stat.NewRand(o.Seed, "membership-median", uint64(j))
		draw := func(g [][]float64) float64 {
			var x []float64
			for range g {
				x = append(x, g[rng.IntN(len(g))]...)
			}
			return median(x)
		}
		reps[j] = draw(a) - draw(b)
	})
	return d, quantiles(reps, o.Level)
}

// checkCases refuses an empty side.
func checkCases(suspect, control []Case) error {
	if len(suspect) < 2 || len(control) < 2 {
		return fault.Inputf("empty", "membership: found %d suspects and %d controls, want at least 2 of each", len(suspect), len(control))
	}
	return nil
}
