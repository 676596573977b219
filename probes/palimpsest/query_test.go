package palimpsest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/probes"
	"assay/probes/stat"
)

// BMT hands argsort(order) to Spearman where ranks belong. On the smallest vector
// that turns +1 into -1.
func TestArgsortIsNotRank(t *testing.T) {
	pos, d := []int64{2, 0, 3, 1}, []float64{.2, 0, .3, .1}
	if rho := stat.NewIntRanks(pos).Rho(stat.NewRanks(d)); rho != 1 {
		t.Errorf("rho of ranks %g, want 1", rho)
	}
	argsort := []int64{1, 3, 0, 2}
	if rho := stat.NewIntRanks(argsort).Rho(stat.NewRanks(d)); rho != -1 {
		t.Errorf("rho of argsort %g, want -1", rho)
	}
}

// bytesOf is a result's canonical JSON.
func bytesOf(t *testing.T, r probes.Result) string {
	t.Helper()
	b, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestQueryIsAFunctionOfTheRows(t *testing.T) {
	d := loadDemo(t)
	o := Options{Perm: 199, Seed: 7, Series: true, RefBasis: bases(1)}
	run := func(tr *Transcript, s, r Scores, o Options) string {
		sm, err := Join(tr, s, []Scores{r}, JoinOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sm.Stored = nil // the stored order is the file's, not the rows'
		res, err := Query(sm, o)
		if err != nil {
			t.Fatal(err)
		}
		return bytesOf(t, res)
	}
	want := run(d.t, d.scores["alice"], d.scores["reference"], o)

	perm := stat.NewRand(1, "rows", 0).Perm(d.t.Len())
	mixed := &Transcript{Meta: d.t.Meta}
	for _, i := range perm {
		mixed.Seq = append(mixed.Seq, d.t.Seq[i])
		mixed.Positions = append(mixed.Positions, d.t.Positions[i])
		mixed.IDs = append(mixed.IDs, d.t.IDs[i])
	}
	if err := mixed.Derive(); err != nil {
		t.Fatal(err)
	}
	if run(mixed, shuffled(d.scores["alice"]), shuffled(d.scores["reference"]), o) != want {
		t.Error("permuted rows change the result")
	}
	for _, w := range []int{1, 8} {
		o.Workers = w
		if run(d.t, d.scores["alice"], d.scores["reference"], o) != want {
			t.Errorf("%d workers change the result", w)
		}
	}
	for _, bad := range []string{`"p": 0,`, `"p": 0}`, "NaN", "Inf"} {
		if strings.Contains(want, bad) {
			t.Errorf("result prints %s", bad)
		}
	}
}

// shuffled yields the rows of a model in another order.
func shuffled(s Scores) Scores {
	var rows []Score
	for r := range s.Rows {
		rows = append(rows, r)
	}
	stat.NewRand(2, "rows", 0).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	out := s
	out.Rows = func(yield func(Score, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
	return out
}

func TestReversedOrderNegatesRho(t *testing.T) {
	pos, s, r := generate(1000, 3, .05)
	back := slices.Clone(pos)
	for i := range back {
		back[i] = int64(len(pos)-1) - pos[i]
	}
	o := Options{Perm: 99}
	a, b := mustQuery(t, sampleOf(pos, s, r), o), mustQuery(t, sampleOf(back, s, r), o)
	if estimate(t, a, "rho") != -estimate(t, b, "rho") || estimate(t, a, "control_reversed_rho") != estimate(t, b, "rho") {
		t.Errorf("rho %g, reversed %g", estimate(t, a, "rho"), estimate(t, b, "rho"))
	}
	if b.Verdict.Finding != InvalidSetup || !hasWarning(b, "wrong-sign") || len(b.P) != 0 {
		t.Errorf("reversed order: %+v", b.Verdict)
	}
}

// Rank statistics must not change under a monotone map of scores or positions.
func TestRankInvariance(t *testing.T) {
	pos, s, _ := generate(500, 3, .05)
	curved := make([]float64, len(s))
	far := make([]int64, len(pos))
	for i := range s {
		curved[i] = math.Exp(3 * s[i])
		far[i] = pos[i]*pos[i] + 5
	}
	a, b := sampleOf(pos, s), sampleOf(far, curved)
	b.Meta.N = 0
	o := Options{Perm: 99}
	ra, rb := mustQuery(t, a, o), mustQuery(t, b, o)
	for _, p := range ra.P {
		if log10P(t, rb, p.Name) != p.Log10P {
			t.Errorf("%s changes from %g to %g", p.Name, p.Log10P, log10P(t, rb, p.Name))
		}
	}
}

func TestTierA(t *testing.T) {
	pos, s, r := generate(2000, 3, .05)
	a := sampleOf(pos, s, r)
	a.Meta.Regenerated, a.Meta.Generator = true, "numpy PCG64"
	res := mustQuery(t, a, Options{Perm: 999})
	if res.Verdict.Tier != probes.TierA || res.Verdict.Finding != Dependence || hasWarning(res, "order-declared") {
		t.Errorf("verdict %+v, warnings %v", res.Verdict, res.Warnings)
	}
	a.Partial = true
	if res := mustQuery(t, a, Options{Perm: 999}); res.Verdict.Tier != probes.TierB || !hasWarning(res, "partial-trace") {
		t.Errorf("partial trace: tier %s", res.Verdict.Tier)
	}
}

// sorted by source, in blocks of 8, and a reference trained in the tested order:
// each gives its warning and its tier.
func TestInvalidSetups(t *testing.T) {
	const n = 4000
	g := gen.New(5)
	t.Run("sorted by source", func(t *testing.T) {
		s := sampleOf(nil, nil)
		src := Category{Name: "source", Names: []string{"a", "b"}}
		for i := range n {
			s.Seq = append(s.Seq, int64(len(s.Pos)))
			s.Pos = append(s.Pos, int64(i))
			src.Code = append(src.Code, int32(i/(n/2)))
			s.L[0] = append(s.L[0], float64(src.Code[i])+g.Z()) // source b is easier text
		}
		s.Meta.N, s.Meta.Regenerated = n, true
		s.Categories = []Category{src}
		r := mustQuery(t, s, Options{Perm: 199})
		if r.Verdict.Tier != probes.TierC || r.Verdict.Finding != InvalidSetup || !hasWarning(r, "order-drift") || len(r.P) != 0 {
			t.Errorf("%+v %v", r.Verdict, r.Warnings)
		}
		s.Stratum, s.Strata = src.Code, src.Names // naming the strata repairs it
		if r := mustQuery(t, s, Options{Perm: 199}); r.Verdict.Finding != NotFound || r.Verdict.Tier != probes.TierA {
			t.Errorf("with strata: %+v %v", r.Verdict, r.Warnings)
		}
	})
	t.Run("a harmless drift", func(t *testing.T) {
		pos, a, b := generate(n, 6, .1)
		s := sampleOf(pos, a, b)
		length := Covariate{Name: "length", X: make([]float64, n)}
		for i, p := range pos {
			length.X[i] = float64(p) + 2*n*g.Z() // goes with position, but not with the score
		}
		s.Meta.Regenerated = true
		s.Covariates = []Covariate{length}
		r := mustQuery(t, s, Options{Perm: 999})
		if r.Verdict.Tier != probes.TierB || r.Verdict.Finding != Dependence || !hasWarning(r, "order-drift") {
			t.Errorf("%+v leak %g %v", r.Verdict, estimate(t, r, "leak"), r.Warnings)
		}
	})
	t.Run("blocks of 8", func(t *testing.T) {
		var ids []int64
		for _, b := range stat.NewRand(1, "blocks", 0).Perm(n / 8) {
			for k := range 8 {
				ids = append(ids, int64(8*b+k))
			}
		}
		checks, err := CheckOrder(ids)
		if err != nil {
			t.Fatal(err)
		}
		if c := checks[2]; c.Pass || c.Modal != 8 || !strings.Contains(c.Text, "8 ids") {
			t.Errorf("check %+v", c)
		}
		pos, a, b := generate(n, 6, .1)
		s := sampleOf(pos, a, b)
		s.Meta.Checks = checks
		r := mustQuery(t, s, Options{Perm: 199})
		if r.Verdict.Tier != probes.TierC || !hasWarning(r, "order-blocky") {
			t.Errorf("%+v %v", r.Verdict, r.Warnings)
		}
		s.GroupedBy = "unit"
		if r := mustQuery(t, s, Options{Perm: 199}); r.Verdict.Tier == probes.TierC {
			t.Errorf("with units: %+v", r.Verdict)
		}
	})
	t.Run("a reference trained in the tested order", func(t *testing.T) {
		pos, innocent, remembers := generate(n, 6, 0)
		_, _, other := generate(n, 7, 0)
		for i, p := range pos {
			u := (float64(p) + .5) / n
			remembers[i] += .1 * u
			other[i] = innocent[i] + .05*g.Z()
		}
		r := mustQuery(t, sampleOf(pos, innocent, remembers, other), Options{Perm: 199, RefBasis: []string{"other-order", "unrelated"}})
		if r.Verdict.Tier != probes.TierC || !hasWarning(r, "ref-depends-on-order") || len(r.P) != 0 {
			t.Errorf("%+v %v", r.Verdict, r.Warnings)
		}
		one := mustQuery(t, sampleOf(pos, innocent, other), Options{Perm: 199})
		if !hasWarning(one, "ref-unchecked") || one.Verdict.Finding != NotFound {
			t.Errorf("one clean reference: %+v %v", one.Verdict, one.Warnings)
		}
	})
	t.Run("a device that follows position", func(t *testing.T) {
		pos, a, b := generate(n, 6, 0)
		s := sampleOf(pos, a, b)
		dev := Category{Name: "device of suspect", Names: []string{"gpu", "cpu"}}
		for i, p := range pos {
			dev.Code = append(dev.Code, int32(2*p/n))
			s.L[0][i] += .05 * float64(dev.Code[i])
		}
		s.Categories = []Category{dev}
		if r := mustQuery(t, s, Options{Perm: 199}); r.Verdict.Tier != probes.TierC || r.Verdict.Finding != InvalidSetup {
			t.Errorf("%+v %v", r.Verdict, r.Warnings)
		}
	})
}

func TestCheckOrderPassesAShuffle(t *testing.T) {
	for seed := range uint64(20) {
		var ids []int64
		for _, v := range stat.NewRand(seed, "order", 0).Perm(2000) {
			ids = append(ids, int64(v))
		}
		sparse := make([]int64, len(ids)) // not a permutation of 0..n-1
		for i, v := range ids {
			sparse[i] = 3*v + 1
		}
		for _, x := range [][]int64{ids, sparse} {
			checks, err := CheckOrder(x)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range checks {
				if !c.Pass && c.Value > -4 {
					continue // one in a thousand
				}
				if !c.Pass {
					t.Errorf("seed %d: %+v", seed, c)
				}
			}
		}
	}
	sorted := make([]int64, 100)
	for i := range sorted {
		sorted[i] = int64(i)
	}
	checks, err := CheckOrder(sorted)
	if err != nil || checks[0].Pass || checks[1].Pass || checks[2].Pass || checks[2].Modal != 100 {
		t.Errorf("identity order: %+v, %v", checks, err)
	}
}

func TestTriedAndCorrect(t *testing.T) {
	pos, s, r := generate(10000, 1, .02)
	one := mustQuery(t, sampleOf(pos, s, r), Options{Perm: 999})
	ten := mustQuery(t, sampleOf(pos, s, r), Options{Perm: 999, Tried: 10})
	if d := log10P(t, ten, "verdict") - log10P(t, one, "verdict"); math.Abs(d-1) > 1e-12 || !hasWarning(ten, "options-tried") {
		t.Errorf("ten tried options add %g to log10 p, want 1", d)
	}
	pos2, s2, r2 := generate(1000, 9, .022)
	weak := mustQuery(t, sampleOf(pos2, s2, r2), Options{Perm: 999, Alpha: .05})
	none := mustQuery(t, sampleOf(pos2, r2, s2), Options{Perm: 999, Alpha: .05})
	rs, err := Correct([]probes.Result{weak, one, none, one, one}, "holm")
	if err != nil {
		t.Fatal(err)
	}
	want := stat.Holm([]float64{log10P(t, weak, "verdict") * math.Ln10, log10P(t, one, "verdict") * math.Ln10, log10P(t, none, "verdict") * math.Ln10,
		log10P(t, one, "verdict") * math.Ln10, log10P(t, one, "verdict") * math.Ln10})
	for i, w := range want {
		if math.Abs(log10P(t, rs[i], "verdict_holm")-w/math.Ln10) > 1e-12 {
			t.Errorf("result %d: Holm %g, want %g", i, log10P(t, rs[i], "verdict_holm"), w/math.Ln10)
		}
	}
	if rs[1].Verdict.Finding != Dependence || len(one.P)+2 != len(rs[1].P) {
		t.Errorf("the strong verdict changed: %+v", rs[1].Verdict)
	}
	if _, err := Correct(rs, "bonferroni"); err == nil {
		t.Error("an unknown correction was accepted")
	}
}

func TestCalibrate(t *testing.T) {
	pos, s, r := generate(1000, 3, .05)
	a := sampleOf(pos, s, r)
	res, err := Calibrate(a, Options{RefBasis: bases(1), Controls: 1000})
	if err != nil || res.Verdict.Finding != "calibrated" || len(res.Checks) != 4 {
		t.Fatalf("%+v %v %v", res.Verdict, res.Checks, err)
	}
	one, _ := Calibrate(a, Options{RefBasis: bases(1), Controls: 1000, Workers: 1})
	if bytesOf(t, one) != bytesOf(t, res) {
		t.Error("workers change a calibration")
	}
}

// Every p carries method and null, every estimate a unit, every warning is
// documented.
func TestResultIsComplete(t *testing.T) {
	pos, s, r := generate(2000, 3, .05)
	res := mustQuery(t, sampleOf(pos, s, r), Options{Perm: 99, Series: true, Tried: 3})
	for _, p := range res.P {
		if p.Method == "" || p.Null == "" || p.P == nil && p.Log10P > -300 || p.P != nil && *p.P == 0 {
			t.Errorf("p-value %+v", p)
		}
	}
	for _, e := range res.Estimates {
		if e.Unit == "" || e.Value == nil {
			t.Errorf("estimate %+v", e)
		}
	}
	for _, w := range res.Warnings {
		if !slices.ContainsFunc(Codes(), func(c probes.Warning) bool { return c.Code == w.Code }) {
			t.Errorf("undocumented warning %s", w.Code)
		}
	}
	for _, c := range res.Series {
		if len(c.Columns) != len(c.Units) {
			t.Errorf("series %s: %d columns, %d units", c.Name, len(c.Columns), len(c.Units))
		}
	}
	if res.N["units"] != 2000 || res.Verdict.Says == "" || res.Verdict.DoesNotSay == "" {
		t.Errorf("n %v verdict %+v", res.N, res.Verdict)
	}
	var back probes.Result
	if err := json.NewDecoder(bytes.NewReader([]byte(bytesOf(t, res)))).Decode(&back); err != nil {
		t.Error(err)
	}
}

// p far below the smallest float64 keeps its logarithm and prints neither 0 nor
// nothing.
func TestDeepTail(t *testing.T) {
	n := 5000
	var u []Unit
	for i := range n {
		u = append(u, Unit{Seq: int64(i), Pos: int64(i), D: float64(i)})
	}
	r := mustQuery(t, FromUnits(u), Options{Perm: 99})
	rank := stat.LogChoose(2*1666, 1666)
	near(t, "rank_sum of a perfect order", log10P(t, r, "rank_sum"), -rank/math.Ln10, 1e-12)
	for _, p := range r.P {
		if p.Name == "spearman_t" {
			t.Error("Student's tail at rho = 1 is no number")
		}
		if p.Name == "rank_sum" && p.P != nil {
			t.Errorf("p = %g, want null", *p.P)
		}
	}
	if !strings.Contains(r.Verdict.Says, "e-1001") {
		t.Errorf("verdict %q hides the size of p", r.Verdict.Says)
	}
}

func TestQueryRefusals(t *testing.T) {
	pos, s, r := generate(100, 3, .05)
	flat := make([]float64, len(s))
	nan := slices.Clone(s)
	nan[3] = math.NaN()
	steps := sampleOf(pos, s, r)
	for _, p := range pos {
		steps.Step = append(steps.Step, p/10)
	}
	for _, c := range []struct {
		name  string
		s     *Sample
		o     Options
		class fault.Class
		want  string
	}{
		{"reference without basis", sampleOf(pos, s, r), Options{RefBasis: []string{}}, fault.Usage, "1 references with 0 declared bases"},
		{"unknown basis", sampleOf(pos, s, r), Options{RefBasis: []string{"trust me"}}, fault.Usage, "trust me"},
		{"basis without step", sampleOf(pos, s, r), Options{RefBasis: []string{"checkpoint:x"}}, fault.Usage, "checkpoint:x"},
		{"checkpoint without steps", sampleOf(pos, s, r), Options{RefBasis: []string{"checkpoint:3"}}, fault.Input, "no column step"},
		{"checkpoint has seen rows", steps, Options{RefBasis: []string{"checkpoint:3"}}, fault.Input, "40 of 100 rows"},
		{"constant score", sampleOf(pos, flat), Options{}, fault.Input, "score is the same"},
		{"constant position", sampleOf(make([]int64, len(s)), s), Options{}, fault.Input, "position is the same"},
		{"suspect as its own reference", sampleOf(pos, s, s), Options{}, fault.Input, "score is the same"},
		{"NaN", sampleOf(pos, nan), Options{}, fault.Input, "seq 3"},
		{"four units", sampleOf(pos[:4], s[:4]), Options{}, fault.Input, "4 units left"},
		{"unknown combine", sampleOf(pos, s), Options{Combine: "sum"}, fault.Usage, "sum"},
		{"diff without reference", sampleOf(pos, s), Options{Combine: "diff"}, fault.Usage, "diff with 0"},
		{"alpha", sampleOf(pos, s), Options{Alpha: 2}, fault.Usage, "alpha 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.o.RefBasis == nil {
				c.o.RefBasis = bases(len(c.s.L) - 1)
			}
			_, err := Query(c.s, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.As(err) == nil || fault.As(err).Class != c.class {
				t.Errorf("error %v, want class %d with %q", err, c.class, c.want)
			}
		})
	}
}

func BenchmarkQuery(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		pos, s, r := generate(n, 1, .02)
		sm := sampleOf(pos, s, r)
		for name, o := range map[string]Options{"plain": {Perm: None, Controls: None}, "default": {}} {
			b.Run(fmt.Sprintf("n=%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					mustQuery(b, sm, o)
				}
			})
		}
	}
}

// The order of another seed reads nothing; when it reads something the result says so.
func TestWrongSeed(t *testing.T) {
	pos, s, r := generate(2000, 3, .05)
	a := sampleOf(pos, s, r)
	g := gen.New(99)
	a.Wrong = make([]int64, len(pos))
	for i := range a.Wrong {
		a.Wrong[i] = int64(i)
	}
	for i := len(a.Wrong) - 1; i > 0; i-- {
		j := g.Below(i + 1)
		a.Wrong[i], a.Wrong[j] = a.Wrong[j], a.Wrong[i]
	}
	has := func(r probes.Result) (rho float64, found, warned bool) {
		for _, e := range r.Estimates {
			if e.Name == "control_wrong_seed_rho" {
				rho, found = *e.Value, true
			}
		}
		for _, w := range r.Warnings {
			warned = warned || w.Code == "control-wrong-seed"
		}
		return rho, found, warned
	}
	if rho, found, warned := has(mustQuery(t, a, Options{RefBasis: bases(1), Perm: 99})); !found || warned || math.Abs(rho) > 0.08 {
		t.Errorf("random control: rho %g, reported %v, warned %v", rho, found, warned)
	}
	a.Wrong = a.Pos
	if rho, found, warned := has(mustQuery(t, a, Options{RefBasis: bases(1), Perm: 99})); !found || !warned || rho < 0.1 {
		t.Errorf("control that is the order itself: rho %g, reported %v, warned %v", rho, found, warned)
	}
}
