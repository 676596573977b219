package membership

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/probes"
)

func pOf(r probes.Result, name string) float64 {
	for _, p := range r.P {
		if p.Name == name {
			return p.Log10P
		}
	}
	return math.NaN()
}

func codes(r probes.Result) (c []string) {
	for _, w := range r.Warnings {
		c = append(c, w.Code)
	}
	return c
}

func examples(g *gen.Stream, n int, sorted bool) []Example {
	out := make([]Example, n)
	for i := range out {
		k := 3 + g.Below(20)
		if sorted {
			k = 3 + i/4
		}
		var w []string
		for range k {
			w = append(w, fmt.Sprintf("w%d", g.Below(500)))
		}
		out[i] = Example{ID: fmt.Sprintf("e%03d", i), Text: strings.Join(w, " "), Label: fmt.Sprint(g.Below(2))}
	}
	return out
}

var vectorShards = []Shard{
	{-100, []float64{-104, -103, -105}}, {-98, []float64{-99, -101, -100}},
	{-105, []float64{-106, -104, -107}}, {-101, []float64{-103, -105, -104}},
}

func TestOrderVector(t *testing.T) {
	// scipy 1.17 stats.t.sf; the rest enumerated (4^4 = 256).
	r, err := Order(vectorShards, examples(gen.New(1), 60, false), OrderOptions{B: 999})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "fisher", math.Pow(10, pOf(r, "fisher")), .01953125, 1e-9)
	near(t, "rank-sum", math.Pow(10, pOf(r, "rank-sum")), .01953125, 1e-12)
	near(t, "sum", math.Pow(10, pOf(r, "sum")), 3.0/256, 1e-12)
	near(t, "t_shards", math.Pow(10, pOf(r, "t_shards")), .021321517, 1e-9)
	near(t, "t_published", math.Pow(10, pOf(r, "t_published")), .014769767, 1e-9)
	if r.Verdict.Tier != probes.TierB || r.Verdict.Finding != FindingShown {
		t.Errorf("verdict %+v, checks %v", r.Verdict, r.Settings["checks"])
	}
}

// TestOrderTies: a shuffle that scores the same counts against the published order.
func TestOrderTies(t *testing.T) {
	ranks, gain := ranksOf([]Shard{{-1, []float64{-1, -2, -3}}, {-1, []float64{-1 - 1e-14, 0, -3}}, {-1, []float64{-2, -2, -2}}})
	if ranks[0] != 2 || ranks[1] != 3 || ranks[2] != 1 || gain[0] != 1 {
		t.Errorf("ranks %v, gains %v; want ranks 2 3 1", ranks, gain)
	}
}

func TestOrderTiers(t *testing.T) {
	r, err := Order(vectorShards, examples(gen.New(1), 80, true), OrderOptions{B: 999})
	if err != nil || r.Verdict.Tier != probes.TierC || len(r.P) != 0 || codes(r)[0] != "order-not-exchangeable" {
		t.Errorf("file sorted by length: %+v, %v", r.Verdict, err)
	}
	a := NewAssignment("order", "a public number", 0)
	ex := examples(gen.New(2), 40, false)
	ids := make([]string, len(ex))
	for i, e := range ex {
		ids[i] = e.ID
	}
	drawn := make([]Example, 0, len(ex))
	for _, id := range hashOrder(ids, a.Seed) {
		drawn = append(drawn, Example{ID: id})
	}
	r, err = Order(vectorShards, drawn, OrderOptions{Assignment: &a, B: 99})
	if err != nil || r.Verdict.Tier != probes.TierA {
		t.Errorf("proven shuffle: %+v, %v", r.Verdict, err)
	}
	if _, err = Order(vectorShards, ex, OrderOptions{Assignment: &a}); fault.As(err) == nil || fault.As(err).Code != "commitment" {
		t.Errorf("another order: %v", err)
	}
}

func TestOrderRefuses(t *testing.T) {
	ex := examples(gen.New(1), 40, false)
	nan := []Shard{{math.NaN(), []float64{1}}, {1, []float64{1}}}
	uneven := []Shard{{1, []float64{1, 2}}, {1, []float64{1}}}
	for name, c := range map[string]struct {
		s  []Shard
		ex []Example
	}{
		"one shard": {vectorShards[:1], ex}, "few examples": {vectorShards, ex[:3]}, "nan": {nan, ex}, "uneven": {uneven, ex}, "no shuffles": {[]Shard{{}, {}}, ex},
	} {
		if _, err := Order(c.s, c.ex, OrderOptions{}); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: %v, want an input fault", name, err)
		}
	}
}
