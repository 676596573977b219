package membership

import (
	"fmt"
	"math"
	"testing"

	"assay/internal/calib"
	"assay/internal/gen"
	"assay/probes"
	"assay/probes/stat"
)

// The tests of this file simulate every p-value that the commands print under its null
// hypothesis. ASSAY_NULLS=10000 runs the full size (minutes); the default is small.

type collected map[string][]float64

func (c collected) add(name string, p float64) { c[name] = append(c[name], p) }

func (c collected) result(r probes.Result, prefix string) {
	for _, p := range r.P {
		c.add(prefix+p.Name, math.Pow(10, p.Log10P))
	}
}

func (c collected) check(t *testing.T, law calib.Law, names ...string) {
	t.Helper()
	for _, n := range names {
		calib.Check(t, n, c[n], law)
	}
}

// drawn deals labels over keys by an assignment of its own seed.
func drawn(keys []string, rep, members int) (*Assignment, map[string]int) {
	a := NewAssignment("split", fmt.Sprint("null ", rep), members)
	labels := make(map[string]int, len(keys))
	for i, k := range a.Split(keys) {
		labels[k] = 0
		if i < members {
			labels[k] = 1
		}
	}
	return &a, labels
}

// TestEvalNull: scores do not depend on labels that were drawn by lot; three scores
// that resemble each other, one with ties; then texts in groups.
func TestEvalNull(t *testing.T) {
	g := gen.New(12)
	ps := collected{}
	for rep := range calib.Sets(t, 100) {
		tab := Table{Names: []string{"a", "b", "tied"}}
		var keys []string
		for i := range 50 {
			id := fmt.Sprintf("t%02d", i)
			x := g.Z()
			tab.Rows = append(tab.Rows, Row{ID: id, Tokens: 64, Score: []float64{x, x + .5*g.Z(), math.Round(2 * g.Z())}})
			keys = append(keys, id)
		}
		a, labels := drawn(keys, rep, 25)
		e, err := Eval(tab, EvalOptions{Options: Options{B: 999, Seed: uint64(rep), FPR: []float64{.1}, Workers: 1}, Labels: labels, Ground: Ground{Assignment: a}})
		if err != nil {
			t.Fatal(err)
		}
		ps.result(e.Result, "")
		ps.add("holm, smallest", math.Exp(min(e.Adjust[0], e.Adjust[1], e.Adjust[2])))

		grouped := Table{Names: []string{"a"}}
		keys = keys[:0]
		groups := make(map[string]string)
		for i := range 60 {
			id, gr := fmt.Sprintf("t%02d", i), fmt.Sprintf("g%02d", i/3)
			x := g.Z()
			if i%3 > 0 { // texts of one group resemble each other
				x = grouped.Rows[i-1].Score[0] + .3*g.Z()
			} else {
				keys = append(keys, gr)
			}
			grouped.Rows, groups[id] = append(grouped.Rows, Row{ID: id, Group: gr, Tokens: 64, Score: []float64{x}}), gr
		}
		a, byGroup := drawn(keys, rep, 10)
		labels = make(map[string]int)
		for id, gr := range groups {
			labels[id] = byGroup[gr]
		}
		e, err = Eval(grouped, EvalOptions{Options: Options{B: 999, Seed: uint64(rep), FPR: []float64{.1}, Workers: 1}, Labels: labels, Groups: groups, Ground: Ground{Assignment: a}})
		if err != nil {
			t.Fatal(err)
		}
		ps.add("grouped permutation", math.Pow(10, pOf(e.Result, "permutation[a]")))
	}
	ps.check(t, calib.Uniform, "permutation[a]", "permutation[b]", "grouped permutation", "max", "mw_normal[a]")
	ps.check(t, calib.Valid, "permutation[tied]", "mw_normal[tied]", "holm, smallest", "holm[a]")
}

// TestClaimRankSumNull: the rank sum of suspects among exchangeable controls.
func TestClaimRankSumNull(t *testing.T) {
	g := gen.New(31)
	ps := collected{}
	for range calib.Sets(t, 100) {
		r, _, err := Claim("loss", cases(g, "s", 200, 0), cases(g, "c", 200, 0), Ground{Gate: cleanGate}, Options{B: 9, Workers: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ps.result(r, "")
	}
	ps.check(t, calib.Uniform, "rank_sum")
}

// TestInferNull: suspects and unseen texts drawn from one set by lot.
func TestInferNull(t *testing.T) {
	g := gen.New(77)
	ps := collected{}
	for rep := range calib.Sets(t, 100) {
		all := features(g, "x", 100, 0)
		var keys []string
		for _, r := range all.Rows {
			keys = append(keys, r.ID)
		}
		a, labels := drawn(keys, rep, 50)
		s, v := Features{Names: all.Names}, Features{Names: all.Names}
		for _, r := range all.Rows {
			if labels[r.ID] == 1 {
				s.Rows = append(s.Rows, r)
			} else {
				v.Rows = append(v.Rows, r)
			}
		}
		for splits, name := range map[int]string{1: "", 3: "splits "} {
			r, err := Infer(s, v, InferOptions{B: 999, Seed: fmt.Sprint(rep), Splits: splits, Ground: Ground{Assignment: a}, Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			ps.result(r, name)
		}
	}
	ps.check(t, calib.Uniform, "permutation", "welch", "null_run")
	ps.check(t, calib.Valid, "splits permutation")
}

// TestOrderNull: a model that does not know the order. The published t with divisor r is
// shown to be what its method says: too small.
func TestOrderNull(t *testing.T) {
	g := gen.New(6)
	ps := collected{}
	a := NewAssignment("order", "x", 0)
	ex := []Example{}
	for _, id := range hashOrder([]string{"a", "b", "c", "d", "e", "f", "g", "h"}, "x") {
		ex = append(ex, Example{ID: id})
	}
	for rep := range calib.Sets(t, 500) {
		shards := make([]Shard, 8)
		for i := range shards {
			shards[i].Canonical = g.Z()
			for range 19 {
				shards[i].Shuffled = append(shards[i].Shuffled, g.Z())
			}
		}
		r, err := Order(shards, ex, OrderOptions{Assignment: &a, B: 999, Seed: uint64(rep)})
		if err != nil {
			t.Fatal(err)
		}
		ps.result(r, "")
		for i, s := range shards { // stopped at the second shuffle at or above it
			hits := 0
			for n, v := range s.Shuffled {
				if v >= s.Canonical {
					hits++
				}
				if hits == 2 {
					shards[i].Shuffled = s.Shuffled[:n+1]
					break
				}
			}
		}
		if r, err = Order(shards, ex, OrderOptions{Assignment: &a, Sequential: 2, B: 9}); err != nil {
			t.Fatal(err)
		}
		ps.result(r, "sequential ")
	}
	ps.check(t, calib.Valid, "fisher", "rank-sum", "sequential fisher")
	ps.check(t, calib.Uniform, "sum", "t_shards")
	small := 0.0
	for _, p := range ps["t_published"] {
		if p <= .05 {
			small += 1 / float64(len(ps["t_published"]))
		}
	}
	t.Logf("t_published: level %.4f at nominal .05", small)
	if n := float64(len(ps["t_published"])); n >= 5000 && small < .05+2*math.Sqrt(.05*.95/n) {
		t.Errorf("t_published: level %.4f, expected above .05", small)
	}
}

// TestCutoffNull: without a jump the p-values that come out are uniform, and the
// checks let at least eight of ten through.
func TestCutoffNull(t *testing.T) {
	g := gen.New(88)
	ps := collected{}
	n := calib.Sets(t, 400)
	for range n {
		r, err := Cutoff(dated(g, 400, 0, 0), CutoffOptions{Bandwidth: 150})
		if err != nil {
			t.Fatal(err)
		}
		ps.result(r, "")
	}
	if len(ps["tau"]) < n*8/10 {
		t.Errorf("%d of %d graded B", len(ps["tau"]), n)
	}
	ps.check(t, calib.Uniform, "tau")
}

// TestGateNull: labels without meaning; the p-value of the blind AUC.
func TestGateNull(t *testing.T) {
	g := gen.New(5)
	ps := collected{}
	for rep := range calib.Sets(t, 40) {
		var texts []Text
		for i := range 50 {
			x := Text{ID: fmt.Sprintf("d%02d", i), Label: i % 2}
			for range 15 {
				x.IDs = append(x.IDs, int32(g.Below(30)))
			}
			texts = append(texts, x)
		}
		r, err := Gate(texts, GateOptions{Seed: fmt.Sprint(rep), Permutations: 19, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		ps.add("gate", r.P)
	}
	ps.check(t, calib.Valid, "gate")
}

// TestGreedyFisherNull: shares that come back whole, suspects and controls alike.
func TestGreedyFisherNull(t *testing.T) {
	g := gen.New(9)
	ps := collected{}
	for range calib.Sets(t, 500) {
		var hit [2]int64
		for i := range 100 {
			if g.Below(4) == 0 {
				hit[i%2]++
			}
		}
		ps.add("greedy_fisher", math.Exp(stat.LogFisherExact(hit[1], 50, hit[0], 50)))
	}
	ps.check(t, calib.Valid, "greedy_fisher")
}
