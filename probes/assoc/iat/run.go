package iat

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/assoc"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// Options configure a run. Start from Default.
type Options struct {
	Templates []Template
	MaxPairs  int     // of group words, default 64; more are drawn by seed
	MassFloor float64 // below it the answers are not the model's, default .5
	Alpha     float64 // of the finding, default .05
	Seed      uint64
}

// Default returns all templates and the limits above.
func Default() (Options, error) {
	t, err := Templates()
	return Options{Templates: t, MaxPairs: 64, MassFloor: .5, Alpha: .05, Seed: 1}, err
}

// Validate refuses options out of range.
func (o Options) Validate() error {
	if len(o.Templates) == 0 || o.MaxPairs < 1 || !(o.MassFloor >= 0 && o.MassFloor < 1) || !(o.Alpha > 0 && o.Alpha < 1) {
		return fault.Usagef("iat: options: found %d templates, %d pairs, mass floor %v, alpha %v, want 1 or more, 1 or more, 0 to below 1, between 0 and 1",
			len(o.Templates), o.MaxPairs, o.MassFloor, o.Alpha)
	}
	for _, t := range o.Templates {
		if !strings.Contains(t.Prompt, "{group0}") || !strings.Contains(t.Prompt, "{group1}") {
			return fault.Inputf("bad-template", "iat: template %q: found no {group0} and {group1}", t.Name)
		}
	}
	return nil
}

// pair indexes a group word of A and one of B.
type pair struct{ a, b int }

// pairs lists all pairs, or MaxPairs of them drawn by seed, in list order.
func (o Options) pairs(s Set) []pair {
	var out []pair
	for i := range s.A {
		for j := range s.B {
			out = append(out, pair{i, j})
		}
	}
	if len(out) <= o.MaxPairs {
		return out
	}
	g, ix := perm.NewStream(o.Seed), make([]int, len(out))
	for i := range ix {
		ix[i] = i
	}
	for i := range o.MaxPairs {
		j := i + g.Index(len(ix)-i)
		ix[i], ix[j] = ix[j], ix[i]
	}
	ix = ix[:o.MaxPairs]
	slices.Sort(ix)
	chosen := make([]pair, len(ix))
	for i, k := range ix {
		chosen[i] = out[k]
	}
	return chosen
}

// forms are the spellings of a group word that count as its answer.
func forms(w string) []string {
	out := []string{w}
	if l := strings.ToLower(w); l != w {
		out = append(out, l)
	}
	return out
}

// request asks for one word, pair, template and order of mention. The word list
// holds the one word, printed as the authors print lists.
func (o Options) request(s Set, t Template, word string, p pair, swapped bool) assoc.Request {
	first, second := s.A[p.a], s.B[p.b]
	if swapped {
		first, second = second, first
	}
	w := strings.ToLower(word)
	prompt := strings.NewReplacer("{group0}", first, "{group1}", second, "{attributes}", "['"+w+"']").Replace(t.Prompt)
	return t.Put(prompt, "\n", w+" - ", assoc.Forms{forms(s.A[p.a]), forms(s.B[p.b])}.Flat())
}

// Plan lists the requests of a set: templates x words x pairs x 2 orders.
func Plan(s Set, o Options) ([]assoc.Request, error) {
	if err := firstError(s.Validate(), o.Validate()); err != nil {
		return nil, err
	}
	var out []assoc.Request
	for _, t := range o.Templates {
		for _, w := range s.Words {
			for _, p := range o.pairs(s) {
				out = append(out, o.request(s, t, w, p, false), o.request(s, t, w, p, true))
			}
		}
	}
	return out, nil
}

func firstError(errs ...error) error {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}

// answers holds logit q(b) by template, order, word and pair.
type answers struct {
	set      Set
	pairs    []pair
	logit    [][2][][]float64
	mass     float64
	straddle bool
}

func collect(s Set, o Options, ev assoc.Evidence) (*answers, error) {
	a := &answers{set: s, pairs: o.pairs(s)}
	n := 0
	for _, t := range o.Templates {
		var cell [2][][]float64
		for order := range 2 {
			for _, w := range s.Words {
				row := make([]float64, len(a.pairs))
				for k, p := range a.pairs {
					got, err := assoc.Ask(ev, o.request(s, t, w, p, order == 1))
					if err != nil {
						return nil, err
					}
					ll, mass, straddle, err := assoc.Forms{forms(s.A[p.a]), forms(s.B[p.b])}.Options(got)
					if err != nil {
						return nil, fmt.Errorf("iat: set %q, word %q: %w", s.Name, w, err)
					}
					row[k] = ll[1] - ll[0]
					a.mass, a.straddle, n = a.mass+mass, a.straddle || straddle, n+1
				}
				cell[order] = append(cell[order], row)
			}
		}
		a.logit = append(a.logit, cell)
	}
	a.mass /= float64(n)
	return a, nil
}

// summary averages p and logit over the templates, orders and pairs kept.
func (a *answers) summary(template, order int, drop func(pair) bool) (p, lambda []float64) {
	p, lambda = make([]float64, len(a.set.Words)), make([]float64, len(a.set.Words))
	var n float64
	for t, cell := range a.logit {
		for o := range cell {
			if template >= 0 && t != template || order >= 0 && o != order {
				continue
			}
			for k, pr := range a.pairs {
				if drop != nil && drop(pr) {
					continue
				}
				n++
				for w := range p {
					l := cell[o][w][k]
					p[w] += 1 / (1 + math.Exp(-l))
					lambda[w] += l
				}
			}
		}
	}
	for w := range p {
		p[w], lambda[w] = p[w]/n, lambda[w]/n
	}
	return p, lambda
}

func (a *answers) d(template, order int, drop func(pair) bool) (float64, error) {
	p, _ := a.summary(template, order, drop)
	d, _, err := D(p, a.set.IsB)
	return d, err
}

// Run computes the result of one set from stored answers.
func Run(s Set, o Options, ev assoc.Evidence) (probes.Result, error) {
	if err := firstError(s.Validate(), o.Validate()); err != nil {
		return probes.Result{}, err
	}
	a, err := collect(s, o, ev)
	if err != nil {
		return probes.Result{}, err
	}
	p, lambda := a.summary(-1, -1, nil)
	d, _, err := D(p, s.IsB)
	if err != nil {
		return probes.Result{}, err
	}
	var lb, la []float64
	for i, l := range lambda {
		if s.IsB[i] {
			lb = append(lb, l)
		} else {
			la = append(la, l)
		}
	}
	mb, _ := stat.MeanVar(lb)
	ma, _ := stat.MeanVar(la)
	base, _ := stat.MeanVar(p)
	byFormat, byOrder, err := a.formats()
	if err != nil {
		return probes.Result{}, err
	}
	stable := assoc.Stable(byFormat, 0)
	one, err := perm.TwoSample(lb, la, perm.Greater, perm.Options{Seed: o.Seed})
	if err != nil {
		return probes.Result{}, err
	}
	two, err := perm.TwoSample(lb, la, perm.TwoSided, perm.Options{Seed: o.Seed})
	if err != nil {
		return probes.Result{}, err
	}
	seWords, seGroups := a.jackknife(p)
	orderEffect, flips := math.Abs(byOrder[0]-byOrder[1]), a.flipRate()
	r := probes.Result{Schema: probes.Schema, Test: "probe.iat", Version: 1, Seed: o.Seed, Inputs: []probes.Input{}, P: []probes.PValue{}, Warnings: []probes.Warning{},
		Settings: map[string]any{"set": s.Name, "category": s.Category, "A": s.A, "B": s.B, "templates": o.Templates, "max_pairs": o.MaxPairs, "mass_floor": o.MassFloor, "alpha": o.Alpha},
		N:        map[string]int{"words": len(s.Words), "pairs": len(a.pairs), "templates": len(o.Templates), "orders": 2}}
	r.Estimates = []probes.Estimate{
		assoc.Number("D", "1", d, "0 neutral, above 0 stereotyped, -1 to 1"),
		assoc.Number("effect", "nats", mb-ma, "mean logit of group B over B words less over A words"),
		assoc.Number("base_rate", "probability", base, "mean probability of group B over all words"),
		assoc.Number("mass", "probability", a.mass, "of all counted answers"),
		assoc.Number("order_effect", "1", orderEffect, fmt.Sprintf("D with A named first %.4f, with B first %.4f", byOrder[0], byOrder[1])),
		assoc.Number("flip_rate", "share", flips, "answers whose likelier group changes when the groups are named in the other order"),
		assoc.Number("format_sd", "1", stable.SD, fmt.Sprintf("of D over %d templates and orders, %.4f to %.4f", stable.Formats, stable.Lo, stable.Hi)),
		assoc.Number("se_words", "1", seWords, "jackknife of D over words"),
		assoc.Number("se_groups", "1", seGroups, "jackknife of D over group words"),
		assoc.Number("tail_log10", "log10", one.Log10P, describe(one)),
		assoc.Number("tail_two_log10", "log10", two.Log10P, describe(two)),
	}
	orders := a.orders()
	r.Estimates = append(r.Estimates, assoc.Number("order_tv", "probability", orders.TV, "mean total variation of an answer between the two orders"),
		assoc.Number("order_js", "bits", orders.JS, "mean Jensen-Shannon divergence of the same"))
	shares, err := a.shares()
	if err != nil {
		return probes.Result{}, err
	}
	for _, s := range shares {
		r.Estimates = append(r.Estimates, assoc.Number("variance_"+s.Name, "share", s.Value, "of the logits over words, templates and orders"))
	}
	judge(&r, o, verdictIn{d: d, base: base, mass: a.mass, orderEffect: orderEffect, flips: flips, stable: stable, straddle: a.straddle, one: one, two: two, s: s})
	return r, nil
}

func describe(t perm.Tail) string { return fmt.Sprintf("%s: %v of %v", t.Method, t.GE, t.Total) }

// formats returns D by template and order, and by order alone.
func (a *answers) formats() (all []float64, byOrder [2]float64, err error) {
	for t := range a.logit {
		for o := range 2 {
			d, err := a.d(t, o, nil)
			if err != nil {
				return nil, byOrder, err
			}
			all = append(all, d)
		}
	}
	for o := range 2 {
		if byOrder[o], err = a.d(-1, o, nil); err != nil {
			return nil, byOrder, err
		}
	}
	return all, byOrder, nil
}

// shares splits the variance of the logits, averaged over pairs.
func (a *answers) shares() ([]assoc.Share, error) {
	t := assoc.Table{Factors: []string{"template", "order"}, Levels: []int{len(a.logit), 2}}
	for w := range a.set.Words {
		var row []float64
		for _, cell := range a.logit {
			for o := range cell {
				m, _ := stat.MeanVar(cell[o][w])
				row = append(row, m)
			}
		}
		t.Scores = append(t.Scores, row)
	}
	return t.Shares()
}

// jackknife leaves words out, and group words out with all their pairs.
func (a *answers) jackknife(p []float64) (words, groups float64) {
	var loo [2][]float64
	for i := range p {
		q, b := slices.Delete(slices.Clone(p), i, i+1), slices.Delete(slices.Clone(a.set.IsB), i, i+1)
		if d, _, err := D(q, b); err == nil {
			k := 0
			if a.set.IsB[i] {
				k = 1
			}
			loo[k] = append(loo[k], d)
		}
	}
	words = stratified(loo)
	loo = [2][]float64{}
	for k, set := range [][]string{a.set.A, a.set.B} {
		for i := range set {
			drop := func(q pair) bool { return k == 0 && q.a == i || k == 1 && q.b == i }
			if !slices.ContainsFunc(a.pairs, func(q pair) bool { return !drop(q) }) {
				continue
			}
			if d, err := a.d(-1, -1, drop); err == nil {
				loo[k] = append(loo[k], d)
			}
		}
	}
	return words, stratified(loo)
}

// stratified is the jackknife standard error over two strata, NaN if one has
// fewer than two values.
func stratified(loo [2][]float64) float64 {
	var v float64
	for _, x := range loo {
		if len(x) < 2 {
			return math.NaN()
		}
		_, s2 := stat.MeanVar(x)
		n := float64(len(x))
		v += (n - 1) / n * s2 * (n - 1)
	}
	return math.Sqrt(v)
}

// maxFlips is the share of answers that may change with the order of mention.
const maxFlips = .2

// orders compares the answers to each template, word and pair between the orders.
func (a *answers) orders() assoc.Orders {
	var q [][][]float64
	for _, cell := range a.logit {
		for w := range cell[0] {
			for k := range cell[0][w] {
				var item [][]float64
				for o := range cell {
					p := 1 / (1 + math.Exp(-cell[o][w][k]))
					item = append(item, []float64{1 - p, p})
				}
				q = append(q, item)
			}
		}
	}
	return assoc.OrderEffects(q)
}

// flipRate compares the two orders of each template, word and pair.
func (a *answers) flipRate() float64 {
	var choices [][]int
	for _, cell := range a.logit {
		for w := range cell[0] {
			for k := range cell[0][w] {
				row := []int{0, 0}
				for o := range row {
					if cell[o][w][k] > 0 {
						row[o] = 1
					}
				}
				choices = append(choices, row)
			}
		}
	}
	return assoc.FlipRate(choices)
}
