package membership

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// EvalOptions of a labelled evaluation.
type EvalOptions struct {
	Options
	Primary string // the score that was named beforehand; "" = all, adjusted by Holm
	Ground  Ground
	Labels  map[string]int    // by document id; nil = the trace's labels
	Groups  map[string]string // nil = the trace's groups
	// Collapse averages the texts of a group into one before anything else: the
	// score of a document that was cut into sequences.
	Collapse bool
	Inputs   []probes.Input
	Extra    []probes.Warning
}

// Evaluated is the result with the block of every score.
type Evaluated struct {
	Result probes.Result
	Names  []string
	Blocks []Block
	Adjust []float64 // Holm-adjusted natural log p of every score
	MaxP   float64   // natural log p of the largest AUC over all scores
}

// evaluation is a table cut to its labelled rows.
type evaluation struct {
	rows  []Row
	label []int
	group []string
}

// Eval evaluates every score of a table on labelled texts. Beside each AUC stand its
// interval, the blind AUC of the gate and their paired difference. p-values are
// those of labels permuted over groups; several scores are adjusted by Holm, and
// `max` is the p of the best of them, for those who choose after looking.
func Eval(t Table, o EvalOptions) (Evaluated, error) {
	if err := o.Validate(); err != nil {
		return Evaluated{}, err
	}
	o.Options = o.Options.withDefaults()
	e, err := o.cut(t)
	if err != nil {
		return Evaluated{}, err
	}
	primary := slices.Index(t.Names, o.Primary)
	if o.Primary != "" && primary < 0 {
		return Evaluated{}, fault.Usagef("membership: primary: found %q, want one of %s", o.Primary, strings.Join(t.Names, ", "))
	}
	units := make([]unit, len(e.rows))
	for i, r := range e.rows {
		units[i] = unit{r.ID, e.group[i], r.SHA256, e.label[i]}
	}
	tier, checks, warnings, err := o.Ground.grade(units)
	if err != nil {
		return Evaluated{}, err
	}
	out := Evaluated{Names: t.Names}
	res := &out.Result
	*res = probes.Result{
		Schema: probes.Schema, Test: "membership.eval", Version: 1, Inputs: append([]probes.Input{}, o.Inputs...), Seed: o.Seed, P: []probes.PValue{}, Warnings: append(append(append([]probes.Warning{}, warnings...), t.Warnings...), o.Extra...),
		Settings: map[string]any{"scores": t.Names, "primary": o.Primary, "alpha": o.Alpha, "level": o.Level, "fpr": o.FPR, "replicates": o.B,
			"checks": checks, "weights": t.Weights, "tokenizer": t.Tokenizer, "policy": t.Policy, "collapse": o.Collapse},
	}
	warn := func(code, format string, args ...any) {
		res.Warnings = append(res.Warnings, probes.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
	}
	undefined := 0
	logs := make([]float64, len(t.Names))
	for i, name := range t.Names {
		b, err := Evaluate(e.column(i), e.label, e.group, o.Options)
		if err != nil {
			return out, fmt.Errorf("score %s: %w", name, err)
		}
		out.Blocks = append(out.Blocks, b)
		logs[i] = b.LogP
		undefined += b.Undefined
		o.print(res, name, b)
		if g := o.Ground.Gate; g != nil {
			d, se, err := e.minusBlind(i, g)
			if err != nil {
				return out, err
			}
			z := stat.NormalQuantile((1 + o.Level) / 2)
			res.Estimates = append(res.Estimates, withCI(estimate("auc_minus_blind["+name+"]", d, "1", "pairs inside folds, paired DeLong"), [2]float64{d - z*se, d + z*se}, o.Level))
		}
	}
	o.Ground.blind(res)
	out.Adjust = stat.Holm(logs)
	out.MaxP = e.permuteMax(len(t.Names), o.Options)
	b := out.Blocks[0]
	res.N = map[string]int{"texts": len(e.rows), "label_1": b.Members, "label_0": b.Non, "groups": b.Groups, "unlabelled": len(t.Rows) - len(e.rows), "undefined": undefined}
	if o.Collapse {
		delete(res.N, "unlabelled")
	}
	e.warnings(t, undefined, warn)
	for _, f := range o.FPR {
		if float64(b.Non) < 10/f {
			warn("low-resolution", "%d texts with label 0 cannot resolve a false-positive rate of %g well (wanted: %.0f)", b.Non, f, 10/f)
		}
	}
	if tier == probes.TierC {
		best := slices.MaxFunc(out.Blocks, func(a, b Block) int { return cmp.Compare(a.AUC, b.AUC) })
		res.Verdict = verdictC(fmt.Sprintf("the two labels' texts score apart with AUC up to %.3f; checks that failed: %s", best.AUC, failed(checks)))
		return out, nil
	}
	o.pvalues(&out, primary, tier)
	return out, nil
}

func (o EvalOptions) pvalues(out *Evaluated, primary int, tier probes.Tier) {
	const h0 = "scores do not depend on the label: texts (or groups) of both labels are exchangeable"
	res := &out.Result
	best := 0.0
	for i, b := range out.Blocks {
		how := fmt.Sprintf("labels permuted over %d groups, ", b.Groups)
		if b.Exact {
			how += "all arrangements"
		} else {
			how += fmt.Sprintf("%d draws", o.B)
			if b.LogP <= -math.Log(float64(o.B+1))+1e-12 {
				res.Warnings = append(res.Warnings, probes.Warning{Code: "mc-floor", Text: fmt.Sprintf("%s is at the Monte Carlo floor of %.1g", out.Names[i], 1/float64(o.B+1))})
			}
		}
		res.P = append(res.P, logP("permutation["+out.Names[i]+"]", b.LogP, how, h0),
			logP("mw_normal["+out.Names[i]+"]", b.LogNormal, "approximate: normal law of the rank sum, tie and continuity corrections", h0))
		if len(out.Blocks) > 1 && primary < 0 {
			res.P = append(res.P, logP("holm["+out.Names[i]+"]", out.Adjust[i], fmt.Sprintf("Holm over %d scores", len(out.Blocks)), h0))
		}
		best = min(best, out.Adjust[i])
	}
	if primary >= 0 {
		best = out.Blocks[primary].LogP
	} else if len(out.Blocks) > 1 {
		res.P = append(res.P, logP("max", out.MaxP, fmt.Sprintf("largest AUC of %d scores, labels permuted for all at once, %d draws", len(out.Blocks), o.B), h0))
	}
	res.Verdict = verdictB(best, o.Alpha, "the texts labelled as members score higher than exchangeable non-members: the checkpoint was trained on them, or on copies", "no difference between the two labels was shown")
	res.Verdict.Tier = tier
}

// print adds the estimates of one score.
func (o EvalOptions) print(res *probes.Result, name string, b Block) {
	res.Estimates = append(res.Estimates, withCI(estimate("auc["+name+"]", b.AUC, "1", b.SEMethod+", logit scale"), b.CI, o.Level))
	for _, r := range b.Rates {
		v := r.TPR
		at := "above every score"
		if r.Threshold != nil {
			at = fmt.Sprintf("%.6g", *r.Threshold)
		}
		how := fmt.Sprintf("%d of %d at threshold %s; %d of %d false (true rate at most %.4g); bootstrap [%.4g, %.4g]", r.Hits, r.Members, at, r.False, r.Non, r.FalseTop, r.Boot[0], r.Boot[1])
		if r.Refused {
			v, how = math.NaN(), fmt.Sprintf("refused: %d texts with label 0 cannot show a false-positive rate of %g", r.Non, r.FPR)
		}
		res.Estimates = append(res.Estimates, withCI(estimate(fmt.Sprintf("tpr_at_fpr_%g[%s]", r.FPR, name), v, "1", how), r.Exact, o.Level))
	}
}

// cut takes the labelled rows of a table.
func (o EvalOptions) cut(t Table) (*evaluation, error) {
	e := &evaluation{}
	for _, r := range t.Rows {
		var l int
		switch {
		case o.Labels != nil:
			v, ok := o.Labels[r.ID]
			if !ok {
				continue
			}
			l = v
		case r.Label != nil:
			l = int(*r.Label)
		default:
			continue
		}
		if l != 0 && l != 1 {
			return nil, fault.Inputf("labels", "membership: %q: found label %d, want 0 or 1", r.ID, l)
		}
		g := r.Group
		if o.Groups != nil {
			g = o.Groups[r.ID]
		}
		e.rows, e.label, e.group = append(e.rows, r), append(e.label, l), append(e.group, g)
	}
	if len(e.rows) == 0 {
		return nil, fault.Inputf("labels", "membership: found no labelled text among %d", len(t.Rows)).Hint("give --labels, or a field label in the input")
	}
	if o.Collapse {
		return e.collapse(len(t.Names))
	}
	return e, nil
}

// collapse averages each group's scores; undefined ones are left out of the mean.
func (e *evaluation) collapse(scores int) (*evaluation, error) {
	out := &evaluation{}
	at := make(map[string]int)
	count := make([][]float64, 0)
	for i, r := range e.rows {
		key := e.group[i]
		if key == "" {
			key = r.ID
		}
		k, ok := at[key]
		if !ok {
			k = len(out.rows)
			at[key] = k
			n := Row{ID: key, Status: r.Status, Score: make([]float64, scores)}
			out.rows, out.label, out.group, count = append(out.rows, n), append(out.label, e.label[i]), append(out.group, ""), append(count, make([]float64, scores))
		}
		if out.label[k] != e.label[i] {
			return nil, fault.Inputf("labels", "membership: group %q: found both labels, want one label per group", key)
		}
		out.rows[k].Tokens += r.Tokens
		for j := range scores {
			if !math.IsNaN(r.Score[j]) {
				out.rows[k].Score[j] += r.Score[j]
				count[k][j]++
			}
		}
	}
	for k := range out.rows {
		for j := range scores {
			out.rows[k].Score[j] /= count[k][j] // 0/0: undefined
		}
	}
	return out, nil
}

func (e *evaluation) column(i int) []float64 {
	out := make([]float64, len(e.rows))
	for k, r := range e.rows {
		out[k] = r.Score[i]
	}
	return out
}

// minusBlind is AUC(score) - AUC(blind) over pairs inside the gate's folds.
func (e *evaluation) minusBlind(i int, g *GateResult) (d, se float64, err error) {
	if len(g.Fold) != len(e.rows) {
		return 0, 0, fault.Inputf("texts", "membership: the gate saw %d texts, the scores %d, want the same", len(g.Fold), len(e.rows))
	}
	l, _, err := newLabelled(e.column(i), e.label, nil) // puts undefined scores at the worst place
	if err != nil {
		return 0, 0, err
	}
	worst := make(map[bool]float64)
	lo, hi := slices.Min(l.score), slices.Max(l.score)
	worst[true], worst[false] = lo, hi
	total, v := 0.0, 0.0
	for k := range folds {
		var m1, n1, m2, n2 []float64
		for j, r := range e.rows {
			if g.Fold[j] != k {
				continue
			}
			s := r.Score[i]
			if math.IsNaN(s) {
				s = worst[e.label[j] == 1]
			}
			if e.label[j] == 1 {
				m1, m2 = append(m1, s), append(m2, g.Blind[j])
			} else {
				n1, n2 = append(n1, s), append(n2, g.Blind[j])
			}
		}
		if len(m1) == 0 && len(n1) == 0 {
			continue
		}
		x, s, err := stat.AUCDiff(m1, n1, m2, n2)
		if err != nil {
			return 0, 0, fault.Inputf("too-few", "membership: fold %d: %w", k+1, err)
		}
		w := float64(len(m1)) * float64(len(n1))
		total += w
		d += w * x
		v += w * w * s * s
	}
	return d / total, math.Sqrt(v) / total, nil
}

// permuteMax is the p of the largest AUC over all scores: the same permutations
// serve every score.
func (e *evaluation) permuteMax(scores int, o Options) float64 {
	type col struct{ sum, size []float64 }
	cols := make([]col, scores)
	var class []int
	// One canonical order of groups for every score, by name or id.
	key := make([]string, len(e.rows))
	for i, r := range e.rows {
		key[i] = unit{id: r.ID, group: e.group[i]}.key()
	}
	names := slices.Clone(key)
	slices.Sort(names)
	names = slices.Compact(names)
	number := make(map[string]int, len(names))
	for i, k := range names {
		number[k] = i
	}
	class = make([]int, len(names))
	members := 0
	for i := range e.rows {
		class[number[key[i]]] = e.label[i]
	}
	for _, c := range class {
		members += c
	}
	for s := range cols {
		x := e.column(s)
		finite := x[:0:0]
		for _, v := range x {
			if !math.IsNaN(v) {
				finite = append(finite, v)
			}
		}
		lo, hi := 0.0, 0.0
		if len(finite) > 0 {
			lo, hi = slices.Min(finite)-1, slices.Max(finite)+1
		}
		for i, v := range x {
			if math.IsNaN(v) {
				if x[i] = lo; e.label[i] == 0 {
					x[i] = hi
				}
			}
		}
		c := col{make([]float64, len(names)), make([]float64, len(names))}
		for i, r := range stat.MidRanks(x) {
			c.sum[number[key[i]]] += r
			c.size[number[key[i]]]++
		}
		cols[s] = c
	}
	n := float64(len(e.rows))
	best := func(chosen func(yield func(int))) float64 {
		top := math.Inf(-1)
		for _, c := range cols {
			r, s := 0.0, 0.0
			chosen(func(g int) { r, s = r+c.sum[g], s+c.size[g] })
			if s > 0 && s < n {
				top = max(top, (r-s*(s+1)/2)/(s*(n-s)))
			}
		}
		return top
	}
	observed := best(func(yield func(int)) {
		for g, c := range class {
			if c == 1 {
				yield(g)
			}
		}
	}) - 1e-12
	var hits atomic.Int64
	parallel(o, func(j int, _ *[]float64) {
		p := stat.NewRand(o.Seed, "membership-max", uint64(j)).Perm(len(names))[:members]
		if best(func(yield func(int)) {
			for _, g := range p {
				yield(g)
			}
		}) >= observed {
			hits.Add(1)
		}
	})
	return math.Log(float64(hits.Load()+1) / float64(o.B+1))
}

// warnings about the texts themselves.
func (e *evaluation) warnings(t Table, undefined int, warn func(code, format string, args ...any)) {
	if undefined > 0 {
		warn("undefined-scores", "%d scores are undefined; they count as the lowest with label 1 and the highest with label 0", undefined)
	}
	if t.Degenerate > 0 {
		warn("degenerate", "%d token rows have a flat distribution; their standardised score is 0", t.Degenerate)
	}
	if t.Saturated > 0 {
		warn("saturated", "dcpdd clipped over half of the terms of %d texts", t.Saturated)
	}
	var m, n []float64
	tiny := 0
	for i, r := range e.rows {
		if r.Tokens < 32 && t.Run != "" { // generations have no scored tokens
			tiny++
		}
		if e.label[i] == 1 {
			m = append(m, float64(r.Tokens))
		} else {
			n = append(n, float64(r.Tokens))
		}
	}
	if auc, _, err := stat.AUC(m, n); err == nil && (auc < .45 || auc > .55) {
		warn("length-differs", "the two labels differ in length (AUC of lengths %.3f)", auc)
	}
	if tiny > 0 {
		warn("short-text", "%d of %d texts have fewer than 32 scored tokens", tiny, len(e.rows))
	}
}
