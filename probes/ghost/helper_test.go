package ghost

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"assay/internal/gen"
)

// syllables is the synthetic list of the vectors: 7776 words of two syllables.
func syllables(t testing.TB) *List {
	t.Helper()
	syl := func(q int) string {
		return "bcdfghjklmnpqrstvwxz"[q/5:q/5+1] + "aeiou"[q%5:q%5+1]
	}
	var b strings.Builder
	for i := range 7776 {
		b.WriteString(syl(i/100) + syl(i%100) + "\n")
	}
	l, err := ReadList(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func seq(from byte) (s [32]byte) {
	for i := range s {
		s[i] = from + byte(i)
	}
	return s
}

func newSet(t testing.TB, k, m, n int, edit func(*Plan)) *Set {
	t.Helper()
	p := DefaultPlan()
	if edit != nil {
		edit(&p)
	}
	s, err := New(seq(0), Spec{Kind: Passphrase, Words: n, Secrets: k, Controls: m, List: syllables(t), Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fake scores every candidate with z of g, the planted ones shift higher.
func fake(s *Set, g *gen.Stream, shift float64) Scores {
	out := Scores{Weights: "sha256:fake", Policy: "full", BOS: "none"}
	for k := range s.Secrets {
		for j := range s.Controls + 1 {
			for w := range s.wrappers(k) {
				x := Score{Secret: k, Candidate: j, Wrapper: w, LogProb: -60 + g.Z(), Tokens: 20, Scored: 20}
				if j == s.Index(k) {
					x.LogProb += shift
				}
				out.All = append(out.All, x)
			}
		}
	}
	return out
}

func hexOf(b [32]byte) string { return hex.EncodeToString(b[:]) }

type demoScores struct {
	Tokens map[string]int `json:"tokens"`
	Models map[string]struct {
		Whole map[string]float64 `json:"whole"`
	} `json:"models"`
	Context int `json:"context"`
}

func readDemo(t *testing.T) (External, demoScores) {
	t.Helper()
	f, err := os.Open("../../testdata/demo/ghosts.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e, err := ReadExternal(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("testdata/demo_scores.json")
	if err != nil {
		t.Fatal(err)
	}
	var d demoScores
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return e, d
}

func (d demoScores) mean(model string) map[string]float64 {
	out := make(map[string]float64)
	for id, v := range d.Models[model].Whole {
		out[id] = v / float64(d.Context+d.Tokens[id]-1)
	}
	return out
}

func finiteOr(x, or float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return or
	}
	return x
}
