package membership

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"assay/model/trace"
	"assay/probes"
)

// trained is what testdata/trained.py measured (torch 2.15).
type trained struct {
	Half struct {
		Tuned, Base []float64
	}
	InOrder    orderScores `json:"in_order"`
	Reshuffled orderScores `json:"reshuffled"`
}

type orderScores struct {
	Canonical []float64
	Shuffled  [][]float64
}

func readTrained(t *testing.T) trained {
	t.Helper()
	b, err := os.ReadFile("testdata/trained.json")
	if err != nil {
		t.Fatal(err)
	}
	var x trained
	if err := json.Unmarshal(b, &x); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestTrainedHalf: membership drawn by lot gives tier A, and three passes over the
// drawn half are found; the base that never saw them is not accused.
func TestTrainedHalf(t *testing.T) {
	x := readTrained(t)
	rows := demoRows(t, "nonmembers.npy")
	a := NewAssignment("split", "half", 200)
	var keys []string
	for i := range 400 {
		keys = append(keys, fmt.Sprintf("r%03d", i))
	}
	labels := make(map[string]int)
	for i, k := range a.Split(keys) {
		labels[k] = 0
		if i < 200 {
			labels[k] = 1
		}
	}
	table := Table{Names: []string{"loss", "ref"}}
	innocent := Table{Names: []string{"loss"}}
	for i, k := range keys {
		d := trace.IDsDoc(int32(i), k, rows(i))
		table.Rows = append(table.Rows, Row{ID: k, SHA256: d.SHA256, Tokens: 63, Score: []float64{x.Half.Tuned[i] / 63, (x.Half.Tuned[i] - x.Half.Base[i]) / 63}})
		innocent.Rows = append(innocent.Rows, Row{ID: k, SHA256: d.SHA256, Tokens: 63, Score: []float64{x.Half.Base[i] / 63}})
	}
	o := EvalOptions{Options: Options{B: 999}, Labels: labels, Ground: Ground{Assignment: &a}}
	e, err := Eval(table, o)
	if err != nil {
		t.Fatal(err)
	}
	if e.Result.Verdict.Tier != probes.TierA || e.Result.Verdict.Finding != FindingShown || e.Blocks[1].AUC < .9 {
		t.Errorf("trained half: %+v, ref AUC %.3f", e.Result.Verdict, e.Blocks[1].AUC)
	}
	t.Logf("loss AUC %.3f, ref AUC %.3f, log10 p by normal law %.1f", e.Blocks[0].AUC, e.Blocks[1].AUC, e.Blocks[1].LogNormal/2.302585)
	e, err = Eval(innocent, o)
	if err != nil || e.Result.Verdict.Tier != probes.TierA || e.Result.Verdict.Finding != FindingNotShown {
		t.Errorf("base: %+v, %v", e.Result.Verdict, err)
	}
}

// TestTrainedOrder: the model that saw the file in its order prefers that order; the
// one that saw the same examples reshuffled does not.
func TestTrainedOrder(t *testing.T) {
	x := readTrained(t)
	a := NewAssignment("order", "order", 0)
	var ids []string
	for i := 400; i < 640; i++ {
		ids = append(ids, fmt.Sprintf("r%03d", i))
	}
	var ex []Example
	for _, id := range hashOrder(ids, "order") {
		ex = append(ex, Example{ID: id})
	}
	for name, c := range map[string]struct {
		s       orderScores
		finding string
	}{"in order": {x.InOrder, FindingShown}, "reshuffled": {x.Reshuffled, FindingNotShown}} {
		var shards []Shard
		for i, v := range c.s.Canonical {
			shards = append(shards, Shard{v, c.s.Shuffled[i]})
		}
		r, err := Order(shards, ex, OrderOptions{Assignment: &a, B: 999})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict.Tier != probes.TierA || r.Verdict.Finding != c.finding {
			t.Errorf("%s: %+v, fisher log10 p %.2f", name, r.Verdict, pOf(r, "fisher"))
		}
		t.Logf("%s: fisher log10 p %.2f, rank-sum %.2f, t_shards %.2f", name, pOf(r, "fisher"), pOf(r, "rank-sum"), pOf(r, "t_shards"))
	}
}
