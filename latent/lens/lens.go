// Package lens answers: from which layer on is the answer readable by the
// model's own head? It reads what the states file holds: the checkpoint's final
// norm and head applied to the residual stream after every block.
//
// Per layer: mean log-probability of the next token, mean KL divergence of the
// final distribution from the layer's, agreement of the most probable token
// with the final one, median rank of the next token; and where readings settle.
//
// It refuses to call a reading a belief: a small divergence means readable by
// this head. It refuses readings whose last layer is not the model's own
// output: with a trace of the same run the log-probabilities must agree within
// 5e-5, and the divergence of the last layer from itself must be 0. Tier C.
//
// Sources: nostalgebraist, "interpreting GPT: the logit lens" (2020); the norm is
// taken of the very vector that is read (one cached scale for all layers
// flattens early ones).
//
// # Warnings
//
//	not-verified  no trace was given: the last layer was not compared with it
//	no-targets    positions at the end of a text have no next token and are left out of its figures
package lens

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/report"
	"assay/probes"
)

// Version is raised whenever any number of the test can change.
const Version = 1

// Tolerance is the largest difference allowed between the last layer's
// log-probability and the trace's, nats.
const Tolerance = 5e-5

// Scores gives a trace's log-probability, in nats, of the token that follows
// position pos of a document; ok is false where the trace does not score it.
type Scores interface {
	LogProb(doc string, pos int) (nats float64, ok bool)
}

// Options of Run. The zero value is not valid; see Default.
type Options struct {
	Level     float64 `json:"level"`
	Agreement float64 `json:"agreement"` // .5: the depth is the first layer that reaches it
	Trace     Scores  `json:"-"`         // nil = not compared
}

// Default returns the standard reading.
func Default() Options { return Options{Level: .95, Agreement: .5} }

// Row is one layer of the table.
type Row struct {
	Layer                               int
	LogProb, KL, Agree, Entropy, Median float64 // nats, nats, share, nats, rank (0 = most probable)
}

// Report is a result with its table.
type Report struct {
	probes.Result
	Rows []Row
}

// Run reads the lens part of a states file.
func Run(ctx context.Context, s latent.States, o Options) (probes.Result, error) {
	r, err := Analyse(ctx, s, o)
	if err != nil {
		return probes.Result{}, err
	}
	return r.Result, nil
}

// Analyse is Run with the table by layer.
func Analyse(ctx context.Context, s latent.States, o Options) (*Report, error) {
	if !(o.Level > .5 && o.Level < 1) || !(o.Agreement > 0 && o.Agreement <= 1) {
		return nil, fault.Usagef("lens: level %v, agreement %v, want .5 to 1 and above 0 to 1", o.Level, o.Agreement)
	}
	in := s.Info()
	l, err := s.Lens()
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, fault.Inputf("missing-states", "lens: %s: no readings of the head, want them", in.Path).Hint("make the states again with --lens")
	}
	docs, err := s.Docs()
	if err != nil {
		return nil, err
	}
	p, k := len(l.Doc), len(l.Layers)
	if err := check(l, docs.Len()); err != nil {
		return nil, fmt.Errorf("lens: %s: %w", in.Path, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := report.New("probe.lens", Version, 0)
	b.Input("states", in)
	b.Settings = map[string]any{"layers": l.Layers, "level": o.Level, "agreement": o.Agreement, "tolerance": Tolerance}
	b.N["positions"], b.N["layers"] = p, k
	units := make([]int, p)
	for i, d := range l.Doc {
		units[i] = int(docs.Unit[d])
	}
	b.N["units"] = len(distinct(units))

	if err := lastLayer(l, docs, o.Trace, b); err != nil {
		return nil, fmt.Errorf("lens: %s: %w", in.Path, err)
	}
	final := make([]int32, p)
	var target []int
	for i := range p {
		final[i] = l.TopID[(i*k+k-1)*5]
		if l.Target[i] >= 0 {
			target = append(target, i)
		}
	}
	b.N["positions.target"] = len(target)
	if len(target) < p {
		b.Warn("no-targets", "%d of %d positions have no next token", p-len(target), p)
	}
	out := &Report{}
	every := make([]int, p)
	for i := range every {
		every[i] = i
	}
	depth := -1
	for j, layer := range l.Layers {
		at := func(v []float32) func(i int) float64 { return func(i int) float64 { return float64(v[i*k+j]) } }
		agree := func(i int) float64 {
			if l.TopID[(i*k+j)*5] == final[i] {
				return 1
			}
			return 0
		}
		row := Row{Layer: layer}
		add := func(name, unit, how string, use []int, f func(i int) float64) float64 {
			m, ci := jackMean(use, units, f, o.Level)
			b.CI(fmt.Sprintf("lens.%s@%d", name, layer), m, unit, how+", jackknife over units", "no-targets", ci)
			return m
		}
		row.LogProb = add("logprob", "nats/token", "mean log-probability of the next token", target, at(l.LogProb))
		row.KL = add("kl", "nats", "mean KL(final || layer)", every, at(l.KL))
		row.Agree = add("agreement", "fraction", "most probable token is the final one", every, agree)
		row.Entropy = add("entropy", "nats", "mean entropy", every, at(l.Entropy))
		row.Median = math.NaN()
		if len(target) > 0 {
			ranks := make([]float64, len(target))
			for x, i := range target {
				ranks[x] = float64(l.Rank[i*k+j])
			}
			row.Median = geom.Median(ranks)
		}
		b.Add(fmt.Sprintf("lens.rank@%d", layer), row.Median, "rank", "median rank of the next token, 0 = most probable", "no-targets")
		if depth < 0 && row.Agree >= o.Agreement {
			depth = layer
		}
		out.Rows = append(out.Rows, row)
	}
	settled := settle(l, final)
	m, ci := jackMean(every, units, func(i int) float64 { return float64(settled[i]) }, o.Level)
	b.CI("lens.settled", m, "layer", "mean over positions of the first layer from which on the most probable token stays final; jackknife over units", "", ci)
	b.Add("lens.depth", float64(depth), "layer", fmt.Sprintf("first layer with agreement of at least %g", o.Agreement), "")
	b.Verdict = probes.Verdict{
		Tier: probes.TierC, Finding: "descriptive",
		Says:       fmt.Sprintf("The final token is readable by the model's own head from layer %d of %d on (agreement at least %g), over %d positions.", depth, l.Layers[k-1], o.Agreement, p),
		DoesNotSay: "That the model believes or knows anything at a layer: a small divergence means readable by this head.",
	}
	out.Result = b.Done()
	return out, nil
}

// check refuses readings whose parts disagree.
func check(l *latent.Lens, docs int) error {
	p, k := len(l.Doc), len(l.Layers)
	if p == 0 || k == 0 {
		return fault.Inputf("too-few-points", "lens.doc: %d positions at %d layers, want at least one", p, k)
	}
	for _, c := range []struct {
		name      string
		got, want int
	}{
		{"pos", len(l.Pos), p}, {"target", len(l.Target), p}, {"logprob", len(l.LogProb), p * k}, {"entropy", len(l.Entropy), p * k},
		{"kl", len(l.KL), p * k}, {"rank", len(l.Rank), p * k}, {"top_id", len(l.TopID), 5 * p * k},
	} {
		if c.got != c.want {
			return fault.Inputf("bad-states-file", "lens.%s: %d values, want %d", c.name, c.got, c.want)
		}
	}
	for i := range p {
		if d := int(l.Doc[i]); d < 0 || d >= docs {
			return fault.Inputf("bad-states-file", "lens.doc: position %d: document %d, want below %d", i, d, docs)
		}
		for j := range k {
			kl, lp := float64(l.KL[i*k+j]), float64(l.LogProb[i*k+j])
			if math.IsNaN(kl) || math.IsInf(kl, 0) || l.Target[i] >= 0 && (math.IsNaN(lp) || math.IsInf(lp, 0)) {
				return fault.Inputf("nonfinite", "position %d layer %d: kl %v, log-probability %v, want finite values", i, l.Layers[j], kl, lp)
			}
		}
	}
	return nil
}

// lastLayer checks that the last layer is the model's own output.
func lastLayer(l *latent.Lens, docs *latent.Docs, trace Scores, b *report.Builder) error {
	k := len(l.Layers)
	for i := range l.Doc {
		if kl := float64(l.KL[i*k+k-1]); math.Abs(kl) > Tolerance {
			return fault.Inputf("lens-mismatch", "position %d: KL of the last layer from the final output %g, want 0 within %g", i, kl, Tolerance).
				Hint("a second norm or a missing one gives this: make the states again")
		}
	}
	if trace == nil {
		b.Warn("not-verified", "no trace was given: log-probabilities of the last layer were not compared with it")
		return nil
	}
	worst, n := 0.0, 0
	for i, d := range l.Doc {
		if l.Target[i] < 0 {
			continue
		}
		want, ok := trace.LogProb(docs.ID[d], int(l.Pos[i]))
		if !ok {
			continue
		}
		got := float64(l.LogProb[i*k+k-1])
		n++
		if e := math.Abs(got - want); !(e <= Tolerance) {
			return fault.Inputf("lens-mismatch", "document %q position %d: last layer %.6f nats, trace %.6f, want equal within %g", docs.ID[d], l.Pos[i], got, want, Tolerance).
				Hint("trace and states must come from the same checkpoint, texts and window policy")
		}
		worst = math.Max(worst, math.Abs(got-want))
	}
	if n == 0 {
		return fault.Inputf("lens-mismatch", "no position is scored in the trace, want the trace of the same texts")
	}
	b.N["positions.verified"] = n
	b.Add("lens.trace.difference", worst, "nats", fmt.Sprintf("largest difference between last layer and trace, %d positions", n), "")
	return nil
}

// settle gives, for each position, the first layer from which on the most
// probable token is the final one.
func settle(l *latent.Lens, final []int32) []int {
	k := len(l.Layers)
	out := make([]int, len(final))
	for i := range final {
		j := k - 1
		for j > 0 && l.TopID[(i*k+j-1)*5] == final[i] {
			j--
		}
		out[i] = l.Layers[j]
	}
	return out
}

func distinct(v []int) []int {
	s := slices.Clone(v)
	slices.Sort(s)
	return slices.Compact(s)
}

// jackMean is the mean of f over positions with the delete-one interval over
// units: a unit leaves with all its positions. No interval with one unit.
func jackMean(use, units []int, f func(i int) float64, level float64) (float64, *probes.CI) {
	if len(use) == 0 {
		return math.NaN(), nil
	}
	sum, n := map[int]float64{}, map[int]float64{}
	total := 0.0
	var order []int
	for _, i := range use {
		u := units[i]
		if n[u] == 0 {
			order = append(order, u)
		}
		v := f(i)
		sum[u] += v
		n[u]++
		total += v
	}
	all, g := float64(len(use)), float64(len(order))
	m := total / all
	if len(order) < 2 {
		return m, nil
	}
	mean, v := 0.0, 0.0
	loo := make([]float64, len(order))
	for x, u := range order {
		loo[x] = (total - sum[u]) / (all - n[u])
		mean += loo[x] / g
	}
	for _, x := range loo {
		v += (x - mean) * (x - mean)
	}
	se := math.Sqrt(v * (g - 1) / g)
	q := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: g - 1}.Quantile(1 - (1-level)/2)
	return m, &probes.CI{Lo: m - q*se, Hi: m + q*se, Level: level}
}
