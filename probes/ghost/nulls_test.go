package ghost

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"assay/internal/calib"
	"assay/internal/gen"
	"assay/probes/stat"
)

// shortList is a list of 256 words, so that a guess is right often enough to count.
func shortList(t *testing.T) *List {
	t.Helper()
	var b strings.Builder
	for i := range 256 {
		fmt.Fprintf(&b, "w%c%c\n", 'a'+i/16, 'a'+i%16)
	}
	l, err := ReadList(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ignorant is a model that spreads over the list by a law of its own: the planted words
// are uniform, so each falls into one of four groups of words by lot, and is the
// model's first choice once in 256.
func ignorant(s *Set, g *gen.Stream) Scores {
	law := []float64{.7, .2, .08, .02}
	out := fake(s, g, 0)
	for i := range out.All {
		x := &out.All[i]
		if x.Candidate != s.Index(x.Secret) {
			continue
		}
		for range s.Words {
			x.Symbols = append(x.Symbols, Symbol{LogProb: math.Log(law[g.Below(4)] / 64), Whole: true, Greedy: g.Below(256) == 0})
		}
	}
	return out
}

// TestNull: every p-value of ghost test on fresh seeds and a model that knows nothing.
// The exact combinations of ranks are discrete, recall and e-values bounded: valid.
// ASSAY_NULLS=10000 runs the full size.
func TestNull(t *testing.T) {
	list := shortList(t)
	ps := map[string][]float64{}
	g := gen.New(2024)
	n := calib.Sets(t, 50)
	meanE := 0.0
	for rep := range n {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], uint64(rep))
		plan := DefaultPlan()
		plan.RecallK = []int{1, 2}
		s, err := New(seed, Spec{Kind: Passphrase, Words: 10, Secrets: 4, Controls: 19, List: list, Plan: plan})
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Commit()
		if err != nil {
			t.Fatal(err)
		}
		ranks := make([][]int, 4)
		for k := range ranks {
			for range 10 {
				ranks[k] = append(ranks[k], 1+g.Below(256))
			}
		}
		out, err := Test(s, &c, Evidence{Suspect: ignorant(s, g), WordRanks: ranks}, Options{Seed: uint64(rep), Draws: 999})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range out.Result.P {
			ps[p.Name] = append(ps[p.Name], math.Pow(10, p.Log10P))
		}
		for _, r := range out.Rows {
			meanE += math.Pow(10, *r.Log10E) / float64(4*n)
		}
	}
	for _, name := range []string{ByRank, ByRank + "-rank-sum", "recall:1", "recall:2", ByEValue, ByWordRanks} {
		calib.Check(t, name, ps[name], calib.Valid)
	}
	calib.Check(t, ByRank+"-sum", ps[ByRank+"-sum"], calib.Uniform)
	if meanE > 3 { // heavy tails: the mean is 1 in expectation, this guards against a wrong scale
		t.Errorf("mean of E %g over %d nulls, want about 1 or below", meanE, n)
	}
}

// TestPredictiveNull: the t law that predicts one more control.
func TestPredictiveNull(t *testing.T) {
	g := gen.New(3)
	var p, normal []float64
	for range calib.Sets(t, 2000) {
		c := make([]float64, 9)
		for i := range c {
			c[i] = g.Z()
		}
		x := g.Z()
		_, lp := TPredictive(x, c)
		m, v := stat.MeanVar(c)
		p, normal = append(p, math.Exp(lp)), append(normal, math.Exp(stat.LogTailNormal((x-m)/math.Sqrt(v))))
	}
	calib.Check(t, "t-predictive", p, calib.Uniform)
	small := 0.0
	for _, v := range normal {
		if v <= .001 {
			small += 1 / float64(len(normal))
		}
	}
	t.Logf("normal tail of nine controls: level %.4f at nominal .001", small)
	if small < .002 {
		t.Errorf("normal tail of nine controls: level %.4f at nominal .001, expected far above", small)
	}
}
