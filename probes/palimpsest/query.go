package palimpsest

import (
	"fmt"
	"math"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// QueryVersion is raised whenever a number of Query can change.
const QueryVersion = 1

// Findings of a query, a partition or a shuffle test.
const (
	Dependence   = "order_dependence" // verdict p at most alpha and rho above 0
	NotFound     = "not_found"
	InvalidSetup = "invalid_setup" // wrong sign, or a check failed that could explain the finding
)

// Query tests whether the suspect of a sample depends on the order of the run:
// rank correlation of position and score, its exact and approximate p-values,
// exchangeability checks, controls, estimates and a verdict with its tier. It is a
// pure function of its arguments and leaves the sample as it is. Input that no
// test can use (constant scores or positions, rows that a checkpoint reference has
// seen) is an error; a set-up that cannot be trusted is a result of tier C.
// O(B n + n log n) for B permutations.
func Query(s *Sample, o Options) (probes.Result, error) {
	refs := len(s.L) - 1
	if err := o.Validate(refs); err != nil {
		return probes.Result{}, err
	}
	o = o.withDefaults(s.Len(), refs)
	q := query{s: s, o: o, l: s.layout()}
	if err := q.run(); err != nil {
		return probes.Result{}, err
	}
	return q.result(), nil
}

// query is one run of Query.
type query struct {
	s       *Sample
	o       Options
	l       layout
	t       []stat.Ranks // positions
	d       []float64    // scores
	split   [][2][]int32
	r       reading
	checks  []Check // of the sample and of the full order
	refs    []refReading
	wrong   *reading // under another seed of the generator; nil without one
	nullZ   []float64
	ksD     float64
	logKS   float64
	warn    []probes.Warning
	invalid []string // reasons for tier C
}

// refReading is a reference tried as a suspect.
type refReading struct {
	name string
	d    []float64
	r    reading
	holm float64
}

func (q *query) run() error {
	s := q.s
	if s.Len() < 5 {
		return tooFew(s.Len(), "")
	}
	for m, l := range s.L {
		for i, v := range l {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fault.Inputf("nonfinite", "palimpsest: score of seq %d under %s is %g", s.Seq[i], s.Models[m].Name, v)
			}
		}
	}
	if err := q.checkBases(); err != nil {
		return err
	}
	var err error
	if q.d, err = combine(s.L[0], s.L[1:], s.Covariates, q.o.Combine); err != nil {
		return err
	}
	q.t = q.l.intRanks(s.Pos)
	if q.split, err = s.split(q.l); err != nil {
		return err
	}
	if q.r, err = s.read(q.l, q.t, q.d, q.split, q.perm("permutation", q.o.Perm)); err != nil {
		return err
	}
	q.checks = append(s.checks(q.l, q.t, q.l.ranks(q.d)), s.Meta.Checks...)
	if err := q.references(); err != nil {
		return err
	}
	if err := q.wrongSeed(); err != nil {
		return err
	}
	if err := q.randomOrders(); err != nil {
		return err
	}
	q.judge()
	return nil
}

func (q *query) perm(stream string, b int) *stat.Perm {
	if b == None {
		return nil
	}
	return &stat.Perm{B: b, Seed: q.o.Seed, Stream: stream, Workers: q.o.Workers, Progress: q.o.Progress}
}

// checkBases refuses rows that a checkpoint reference of the same run has seen.
func (q *query) checkBases() error {
	for j, b := range q.o.RefBasis {
		_, step, err := parseBasis(b)
		if err != nil {
			return err
		}
		if step < 0 {
			continue
		}
		name := q.s.Models[j+1].Name
		if q.s.Step == nil {
			return fault.Inputf("malformed", "palimpsest: reference %s is checkpoint:%d, but the transcript has no column step", name, step)
		}
		seen := 0
		for _, v := range q.s.Step {
			if v <= step {
				seen++
			}
		}
		if seen > 0 {
			return fault.Inputf("covered", "palimpsest: reference %s: %d of %d rows lie at or before its step %d, want none", name, seen, q.s.Len(), step).
				Hint("restrict the test to later rows: --after-step %d", step)
		}
	}
	return nil
}

// references tries each reference as a suspect against the others. Positive
// dependence in one of them hides or flips the signal of the real suspect.
func (q *query) references() error {
	var logP []float64
	for j := range q.s.L[1:] {
		var others [][]float64
		for k, l := range q.s.L[1:] {
			if k != j {
				others = append(others, l)
			}
		}
		d, err := combine(q.s.L[j+1], others, nil, defaultCombine(len(others)))
		if err != nil {
			return err
		}
		r, err := q.s.read(q.l, q.t, d, nil, nil)
		if err != nil {
			return fmt.Errorf("reference %s: %w", q.s.Models[j+1].Name, err)
		}
		q.refs = append(q.refs, refReading{name: q.s.Models[j+1].Name, d: d, r: r})
		logP = append(logP, upperOf(r))
	}
	for j, h := range stat.Holm(logP) {
		q.refs[j].holm = h
	}
	return nil
}

// wrongSeed reads the score against the order that the run's generator draws from
// another seed: nobody trained in it, so there must be nothing to find.
func (q *query) wrongSeed() error {
	if q.s.Wrong == nil {
		return nil
	}
	t := q.l.intRanks(q.s.Wrong)
	if len(pairs(t, q.t)) == 0 {
		return nil // the control puts all rows at one position
	}
	r, err := q.s.read(q.l, t, q.d, nil, nil)
	if err != nil {
		return fmt.Errorf("wrong-seed control: %w", err)
	}
	q.wrong = &r
	return nil
}

// upperOf is the one-sided log p of a reading: of Student or normal kind, or at
// rho = +-1, where there is none, the permutation limit 1/n! or 1.
func upperOf(r reading) float64 {
	if !math.IsNaN(r.upper) {
		return r.upper
	}
	if r.rho < 0 {
		return 0
	}
	g, _ := math.Lgamma(float64(r.n) + 1)
	return -g
}

// randomOrders reads the score against orders that nobody trained on: their
// p-values must be uniform.
func (q *query) randomOrders() error {
	p := q.perm("control-orders", q.o.Controls)
	if p == nil || q.l.n <= stat.EnumerateUpTo { // with so few orders p-values are steps, not uniform
		return nil
	}
	z, err := stat.NullZ(q.r.pairs, *p)
	if err != nil {
		return fmt.Errorf("palimpsest: controls: %w", err)
	}
	q.nullZ = z
	u := make([]float64, len(z))
	for j, lp := range q.controlLogP() {
		u[j] = math.Exp(lp)
	}
	if q.ksD, q.logKS, err = stat.KSUniform(u); err != nil {
		return fmt.Errorf("palimpsest: controls: %w", err)
	}
	return nil
}

// controlLogP returns the one-sided log p of each random order.
func (q *query) controlLogP() []float64 {
	out := make([]float64, len(q.nullZ))
	for j, z := range q.nullZ {
		if len(q.r.pairs) > 1 {
			out[j] = stat.LogTailNormal(z)
			continue
		}
		rho := z / math.Sqrt(float64(q.r.n-1))
		out[j], _ = stat.LogTailT(max(-1, min(1, rho)), q.r.n)
	}
	return out
}
