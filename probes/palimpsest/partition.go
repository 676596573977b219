package palimpsest

import (
	"context"
	"fmt"
	"iter"
	"math"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Doc is one text of the suspect.
type Doc struct {
	ID   string
	Text string
	IDs  []uint32 // instead of Text, in the transcript's tokenizer
}

// PartitionOptions of the partition and pattern tests. The zero value is ready to
// use.
type PartitionOptions struct {
	MinN   int         // shortest n-gram, in tokens; 0 = 4
	MaxN   int         // longest n-gram; 0 = 8
	MaxOcc int         // n-grams in more units than this are ignored; 0 = 100
	Cap    int         // largest count of one unit; 0 = 10
	Join   JoinOptions // rows, units and strata of the transcript
	Perm   int         // permutations; 0 = 9,999
	Seed   uint64
	Alpha  float64 // 0 = 1e-3
	Tried  int     // options tried on this pair; 0 = 1
}

func (o PartitionOptions) withDefaults() PartitionOptions {
	for _, c := range []struct {
		v *int
		d int
	}{{&o.MinN, 4}, {&o.MaxN, 8}, {&o.MaxOcc, 100}, {&o.Cap, 10}, {&o.Perm, 9999}, {&o.Tried, 1}} {
		if *c.v == 0 {
			*c.v = c.d
		}
	}
	if o.Alpha == 0 {
		o.Alpha = 1e-3
	}
	return o
}

// Validate reports the first option out of range.
func (o PartitionOptions) Validate() error {
	o = o.withDefaults()
	switch {
	case o.MinN < 1 || o.MaxN < o.MinN || o.MaxN > 64:
		return fault.Usagef("palimpsest: n-grams of %d to %d tokens, want 1 <= min <= max <= 64", o.MinN, o.MaxN)
	case o.MaxOcc < 1 || o.Cap < 1 || o.Perm < 1 || o.Tried < 1:
		return fault.Usagef("palimpsest: max-occ %d, cap %d, permutations %d, tried %d, want at least 1", o.MaxOcc, o.Cap, o.Perm, o.Tried)
	case o.Alpha < 0 || o.Alpha >= 1:
		return fault.Usagef("palimpsest: alpha %g, want between 0 and 1", o.Alpha)
	}
	return o.Join.Validate()
}

// Partition asks from which positions of the run the suspect's n-grams come. At
// each start of the suspect's text it takes the longest n-gram that occurs in 1 to
// MaxOcc units of the transcript and credits them; h_u is the credit of unit u, at
// most Cap. The statistic is T = sum r_u h_u, r the midranks of position, its null
// the permutation of h over units: overlapping n-grams depend on each other, units
// do not. Common n-grams say nothing and would swamp the rest, so MaxOcc decides
// power. Memory: about 100 bytes a text token and 8 bytes an occurrence, whatever
// the transcript; the transcript is read once more.
//
// It wants several hundred thousand tokens, sampled near temperature 1. Prompts
// must not be part of the texts.
func Partition(ctx context.Context, t *Transcript, texts iter.Seq2[Doc, error], o PartitionOptions) (probes.Result, error) {
	if err := o.Validate(); err != nil {
		return probes.Result{}, err
	}
	o = o.withDefaults()
	x := newNgramIndex(o.MinN, o.MaxN, o.MaxOcc)
	var starts [][]int32
	docs, tokens := 0, 0
	useIDs := t.Bytes == nil
	for d, err := range texts {
		if err != nil {
			return probes.Result{}, fmt.Errorf("palimpsest: text: %w", err)
		}
		if useIDs && d.IDs == nil && d.Text != "" {
			return probes.Result{}, fault.Inputf("mismatch", "palimpsest: partition: text %s is not tokenised and the transcript holds ids", d.ID).
				Hint("give the tokenizer of the transcript, or a transcript with a text column")
		}
		c := Contents{Text: d.Text}
		if useIDs {
			c = Contents{IDs: d.IDs}
		}
		starts = append(starts, x.add(c))
		docs, tokens = docs+1, tokens+len(x.tokens)
	}
	if len(x.grams) == 0 {
		return probes.Result{}, fault.Inputf("too-few", "palimpsest: partition: %d texts with %d tokens hold no n-gram of %d tokens", docs, tokens, o.MinN)
	}
	row := int32(0)
	for c, err := range t.Contents() {
		if err != nil {
			return probes.Result{}, err
		}
		if row%1024 == 0 && ctx.Err() != nil {
			return probes.Result{}, fault.New(fault.Interrupted, "interrupted", "palimpsest: partition: %w", context.Cause(ctx))
		}
		x.match(row, c)
		row++
	}
	h := make([]int32, t.Len())
	matched := 0
	for _, at := range starts {
		matched += x.score(at, h)
	}
	p := positional{test: "palimpsest.partition", o: o, measure: "matched starts per unit",
		settings: map[string]any{"min_n": o.MinN, "max_n": o.MaxN, "max_occ": o.MaxOcc, "cap": o.Cap},
		n:        map[string]int{"texts": docs, "tokens": tokens, "matched_starts": matched, "ngrams": len(x.grams)}}
	r, err := p.run(t, h)
	if err != nil {
		return r, err
	}
	share := float64(matched) / float64(max(1, tokens))
	r.Estimates = append(r.Estimates, probes.Estimate{Name: "matched_share", Value: probes.Value(share), Unit: "share of tokens",
		Method: fmt.Sprintf("starts whose longest n-gram of %d..%d tokens occurs in 1..%d units", o.MinN, o.MaxN, o.MaxOcc)})
	return r, nil
}

// positional tests counts of transcript rows against position.
type positional struct {
	test, measure string
	o             PartitionOptions
	settings      map[string]any
	n             map[string]int
	warnings      []probes.Warning
}

// run joins counts with the rows that enter the test and permutes them over units.
func (p positional) run(t *Transcript, h []int32) (probes.Result, error) {
	counts := Scores{Name: "text of the suspect", Rows: func(yield func(Score, error) bool) {
		for i, v := range h {
			if !yield(Score{Seq: t.Seq[i], SHA256: t.SHA256[i], Sum: float64(v), Scored: 1, Bytes: -1}, nil) {
				return
			}
		}
	}}
	p.o.Join.sums = true
	s, err := Join(t, counts, nil, p.o.Join)
	if err != nil {
		return probes.Result{}, err
	}
	s.Measure = p.measure
	s.Warnings = append(s.Warnings, p.warnings...)
	capped := make([]int32, s.Len())
	hit := 0
	for i, v := range s.L[0] {
		capped[i] = int32(min(v, float64(p.o.Cap)))
		s.L[0][i] = float64(capped[i])
		if v > 0 {
			hit++
		}
	}
	if hit == 0 {
		return probes.Result{}, fault.Inputf("too-few", "palimpsest: no match in any of %d units", s.Len()).
			Hint("sample several hundred thousand tokens near temperature 1, or raise --max-occ")
	}
	q := query{s: s, l: s.layout(), d: s.L[0], o: Options{Combine: "none", Perm: p.o.Perm, Controls: None, Seed: p.o.Seed, Alpha: p.o.Alpha, Level: 0.95, Tried: p.o.Tried}}
	q.t = q.l.intRanks(s.Pos)
	if q.r, err = s.read(q.l, q.t, q.d, nil, nil); err != nil {
		return probes.Result{}, err
	}
	by := make([][]int32, len(q.l.groups))
	for g, idx := range q.l.groups {
		by[g] = take(capped, idx)
	}
	tally, err := stat.PermuteScores(q.t, by, *q.perm("permutation", p.o.Perm))
	if err != nil {
		return probes.Result{}, fmt.Errorf("palimpsest: %w", err)
	}
	q.r.perm, q.r.hasPerm = tally, true
	q.r.verdict, q.r.hasVerdict = tally.Greater(), true
	q.checks = append(s.checks(q.l, q.t, q.l.ranks(q.d)), s.Meta.Checks...)
	q.judge()
	return p.result(&q, hit), nil
}

// result is a query's, with the sum of counts as the statistic.
func (p positional) result(q *query, hit int) probes.Result {
	r := q.result()
	r.Test = p.test
	for k, v := range p.settings {
		r.Settings[k] = v
	}
	for k, v := range p.n {
		r.N[k] = v
	}
	r.N["units_hit"] = hit
	for i := range r.Estimates {
		if r.Estimates[i].Name == "z" {
			z := q.sumZ()
			r.Estimates[i] = probes.Estimate{Name: "z", Value: &z, Unit: "standard deviations", Method: "(T - E T)/sqrt(sum (r-mean)^2 sum (h-mean)^2/(n-1)), T = sum r h"}
		}
	}
	for i := range r.P {
		if r.P[i].Name == "verdict" {
			r.P[i].Method = "exact: the permutation p"
			if p.o.Tried > 1 {
				r.P[i].Method += fmt.Sprintf(", times %d options tried", p.o.Tried)
			}
		}
		if r.P[i].Name == "permutation" {
			r.P[i].Method += "; statistic sum of position rank times count"
		}
	}
	return r
}

// sumZ standardises T over all strata.
func (q *query) sumZ() float64 {
	var t, v float64
	for g, idx := range q.l.groups {
		h := take(q.d, idx)
		m, vh := stat.MeanVar(h)
		if len(h) < 2 {
			continue
		}
		var th, rr float64
		for i, c := range q.t[g].C {
			r := float64(c) / 2
			th += r * (h[i] - m)
			rr += r * r
		}
		t += th
		v += rr * vh
	}
	return t / math.Sqrt(v)
}
