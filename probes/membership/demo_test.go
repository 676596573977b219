package membership

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"assay/model/trace"
	"assay/probes"
)

// demoRows reads a uint16 NumPy array of 64 columns.
func demoRows(t *testing.T, name string) func(row int) []int32 {
	t.Helper()
	b, err := os.ReadFile("../../testdata/demo/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(b), "\x93NUMPY\x01\x00") {
		t.Fatalf("%s is no NumPy file", name)
	}
	data := b[10+int(binary.LittleEndian.Uint16(b[8:])):]
	return func(row int) []int32 {
		out := make([]int32, 64)
		for i := range out {
			out[i] = int32(binary.LittleEndian.Uint16(data[2*(64*row+i):]))
		}
		return out
	}
}

// TestDemoRandomSplit: held-out rows are a random tenth of the corpus. After one epoch
// a score can hardly tell them from trained rows, and the gate must not fire.
// Scores by testdata/demo_rows.py (torch 2.15).
func TestDemoRandomSplit(t *testing.T) {
	b, err := os.ReadFile("testdata/demo_rows.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Transcript, Nonmembers []int
		Alice, Reference       []float64
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	trained, held := demoRows(t, "transcript.npy"), demoRows(t, "nonmembers.npy")
	table := Table{Names: []string{"loss", "ref"}}
	ids := make(map[string][]int32)
	for i := range d.Alice {
		l, id, of := int32(1), fmt.Sprintf("t%d", i), trained
		row := i
		if i < 400 {
			row = d.Transcript[i]
		} else {
			l, id, of, row = 0, fmt.Sprintf("n%d", i), held, d.Nonmembers[i-400]
		}
		ids[id] = of(row)
		doc := trace.IDsDoc(int32(i), id, ids[id])
		table.Rows = append(table.Rows, Row{ID: id, SHA256: doc.SHA256, Label: &l, Tokens: 63, Score: []float64{d.Alice[i] / 63, (d.Alice[i] - d.Reference[i]) / 63}})
	}
	o := EvalOptions{Options: Options{B: 999}}
	texts, err := o.Texts(table, nil, ids)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Gate(texts, GateOptions{Permutations: 19})
	if err != nil {
		t.Fatal(err)
	}
	o.Ground.Gate = &g
	e, err := Eval(table, o)
	if err != nil {
		t.Fatal(err)
	}
	if a := e.Blocks[0].AUC; a < .45 || a > .57 {
		t.Errorf("loss of a random split after one epoch: AUC %.3f, want near one half", a)
	}
	if g.Outcome == Confounded {
		t.Errorf("gate on a random split: %s, blind AUC %.3f", g.Outcome, g.AUC)
	}
	if g.Outcome == Clean && e.Result.Verdict.Tier != probes.TierB {
		t.Errorf("clean gate with 400 of each: tier %s", e.Result.Verdict.Tier)
	}
	t.Logf("loss AUC %.3f [%.3f, %.3f], ref AUC %.3f, blind AUC %.3f +- %.3f, gate %s, tier %s, finding %s", e.Blocks[0].AUC, e.Blocks[0].CI[0], e.Blocks[0].CI[1],
		e.Blocks[1].AUC, g.AUC, g.SE, g.Outcome, e.Result.Verdict.Tier, e.Result.Verdict.Finding)
}
