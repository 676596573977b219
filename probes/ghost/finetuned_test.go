package ghost

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"assay/probes"
)

// finetunedSet is the set of testdata/finetune.py. With GHOST_SET=path it is written
// there for that script.
func finetunedSet(t *testing.T) *Set {
	t.Helper()
	p := DefaultPlan()
	p.Wrappers, p.RecallK = []string{"Sealed by the author:"}, []int{1, 2}
	s, err := New(seq(0), Spec{Kind: Passphrase, Words: 10, Secrets: 10, Controls: 99, List: Shipped(), Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	if path := os.Getenv("GHOST_SET"); path != "" {
		c, index := make([][]string, s.Secrets), make([]int, s.Secrets)
		for k := range s.Secrets {
			index[k] = s.Index(k)
			for j := range s.Controls + 1 {
				c[k] = append(c[k], s.Candidate(k, j))
			}
		}
		b, err := json.Marshal(map[string]any{"candidates": c, "index": index})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestFineTuned: a small model fine-tuned with ten secrets (testdata/finetune.py, torch
// 2.15) betrays eight copies by rank and e-value, 32 by recall too, one copy hardly,
// none not at all.
func TestFineTuned(t *testing.T) {
	s := finetunedSet(t)
	c, err := s.Commit()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("testdata/finetuned.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	var context int
	var index []int
	if err := json.Unmarshal(file["context"], &context); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file["index"], &index); err != nil || index[3] != s.Index(3) {
		t.Fatalf("the file is of another set: %v, %v", index, err)
	}
	load := func(copies string) Scores {
		var x struct {
			Sums  [][]float64 `json:"sums"`
			Words [][][]any   `json:"words"`
		}
		if err := json.Unmarshal(file[copies], &x); err != nil {
			t.Fatal(err)
		}
		out := Scores{Policy: "full", BOS: "none"}
		for k := range x.Sums {
			for j, v := range x.Sums[k] {
				sc := Score{Secret: k, Candidate: j, LogProb: v, Tokens: 20, Scored: 20, Context: context}
				if j == s.Index(k) {
					for _, w := range x.Words[k] {
						sc.Symbols = append(sc.Symbols, Symbol{LogProb: w[0].(float64), Whole: true, Greedy: w[1].(bool)})
					}
				}
				out.All = append(out.All, sc)
			}
		}
		return out
	}
	never := load("0")
	for copies, want := range map[string]struct {
		finding string
		lo, hi  float64 // of the rank test's log10 p
	}{"0": {FindingNotShown, -1, 0}, "1": {"", -6, 0}, "8": {FindingDepends, -20.0001, -19.9999}, "32": {FindingDepends, -20.0001, -19.9999}} {
		out, err := Test(s, &c, Evidence{Suspect: load(copies), Reference: &never}, Options{})
		if err != nil {
			t.Fatal(copies, err)
		}
		p := pOf(out.Result, ByRank)
		if out.Result.Verdict.Tier != probes.TierA || want.finding != "" && out.Result.Verdict.Finding != want.finding || p < want.lo || p > want.hi {
			t.Errorf("%s copies: %+v, rank log10 p %v", copies, out.Result.Verdict, p)
		}
		hits := 0
		for _, r := range out.Rows {
			if slices.Contains(r.Hits, 1) {
				hits++
			}
		}
		if (hits > 0) != (copies == "32") {
			t.Errorf("%s copies: %d of 10 last words recalled", copies, hits)
		}
		t.Logf("%s copies: rank log10 p %.2f, recall %.2f, e-value %.2f, last word of %d secrets", copies, p, pOf(out.Result, "recall:1"), pOf(out.Result, ByEValue), hits)
		if e := pOf(out.Result, ByEValue); copies == "0" && e != 0 || math.IsNaN(e) {
			t.Errorf("%s copies: e-value log10 p %v", copies, e)
		}
	}
}
