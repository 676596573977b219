package palimpsest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/model/trace"
	"assay/model/trace/window"
)

// writeTrace stores rows with two scored tokens each as a trace and reads it back.
func writeTrace(t testing.TB, path string, docs []trace.Doc, lp func(doc, k int) float32, compact bool) *trace.Reader {
	t.Helper()
	of := trace.Identity{Checkpoint: trace.Checkpoint{Weights: "sha256:w", Vocab: 100}, Tokenizer: trace.Tokenizer{Digest: "sha256:tok"}, Precision: "f32", Policy: window.Policy{Name: "full", Window: 8}}
	w, err := trace.Create(path, of, trace.Options{PerDocument: compact})
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range docs {
		a, b := lp(i, 0), lp(i, 1)
		err := w.Append(d, trace.Tokens{ID: []int32{1, 2, 3}, Logprob: []float32{0, a, b}, Entropy: []float32{0, 4.6, 4.6}, SD: []float32{0, 1, 1}, Rank: []int32{0, 0, 0},
			ArgmaxID: []int32{0, 2, 3}, ArgmaxLogprob: []float32{0, a, b}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := trace.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestTraceScores(t *testing.T) {
	const n = 20
	tr := &Transcript{Meta: Meta{N: n, Design: "all"}}
	var ds []trace.Doc
	for i := range n {
		tr.Seq = append(tr.Seq, int64(100+i))
		tr.Positions = append(tr.Positions, []int64{int64((i * 7) % n)})
		tr.IDs = append(tr.IDs, []uint32{1, 2, uint32(i)})
		ds = append(ds, trace.IDsDoc(int32(i), fmt.Sprint(100+i), []int32{1, 2, int32(i)}))
	}
	if err := tr.Derive(); err != nil {
		t.Fatal(err)
	}
	lp := func(i, k int) float32 { return -1 - float32(i)/8 - float32(k)/4 }
	full := writeTrace(t, filepath.Join(t.TempDir(), "s.parquet"), ds, lp, false)
	compact := writeTrace(t, filepath.Join(t.TempDir(), "c.parquet"), ds, lp, true)
	for _, c := range []struct {
		name   string
		r      *trace.Reader
		tokens int
		want   func(i int) float64
	}{
		{"document table", compact, 0, func(i int) float64 { return -1 - float64(i)/8 - .125 }},
		{"all tokens", full, 5, func(i int) float64 { return -1 - float64(i)/8 - .125 }},
		{"first token", full, 1, func(i int) float64 { return -1 - float64(i)/8 }},
	} {
		sc, err := TraceScores(c.name, c.r, c.tokens)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Join(tr, sc, nil, JoinOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for k, seq := range s.Seq {
			if want := c.want(int(seq) - 100); s.L[0][k] != want {
				t.Errorf("%s: seq %d scores %g, want %g", c.name, seq, s.L[0][k], want)
			}
		}
		if s.Models[0].Weights != "sha256:w" || !strings.HasPrefix(s.Models[0].Digest, "sha256:") || len(s.Models[0].Digest) != 71 {
			t.Errorf("%s: model %+v", c.name, s.Models[0])
		}
	}
	if _, err := TraceScores("compact", compact, 1); err == nil || fault.As(err) == nil {
		t.Errorf("tokens of a document table: %v", err)
	}
	ds[3].ID = "poem"
	named := writeTrace(t, filepath.Join(t.TempDir(), "n.parquet"), ds, lp, true)
	sc, err := TraceScores("named", named, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Join(tr, sc, nil, JoinOptions{}); err == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), `"poem"`) {
		t.Errorf("foreign doc_id: %v", err)
	}
}

// One million sequences of 64 ids with two traces, from files to a result:
// ASSAY_MILLION=1, or the name of a folder to keep the files in, for the command.
// Prints seconds and memory of each step.
func TestMillion(t *testing.T) {
	if os.Getenv("ASSAY_MILLION") == "" {
		t.Skip("set ASSAY_MILLION=1: writes 400 MB and takes a minute")
	}
	const n = 1_000_000
	dir := os.Getenv("ASSAY_MILLION")
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		dir = t.TempDir()
	}
	path := filepath.Join(dir, "t.parquet")
	million(t, path, dir, n)
	runtime.GC()
	step := time.Now()
	mark := func(name string) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("%-28s %6.2f s, heap %d MB, system %d MB", name, time.Since(step).Seconds(), m.HeapAlloc>>20, (m.Sys-m.HeapReleased)>>20)
		step = time.Now()
	}
	tr, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	mark("transcript")
	var sc []Scores
	for _, name := range []string{"s", "r"} {
		r, err := trace.Open(filepath.Join(dir, name+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		x, err := TraceScores(name, r, 0)
		if err != nil {
			t.Fatal(err)
		}
		sc = append(sc, x)
	}
	s, err := Join(tr, sc[0], sc[1:], JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mark("traces and join")
	mustQuery(t, s, Options{Perm: None, Controls: None})
	mark("query without permutations")
	mustQuery(t, s, Options{})
	mark("query, 999 permutations")
}

func million(t *testing.T, path, dir string, n int) {
	g := gen.New(1)
	tr := &Transcript{Meta: Meta{N: int64(n), Design: "all"}, Positions: make([][]int64, n)}
	pos, s, ref := generate(n, 1, .02)
	var ds []trace.Doc
	ids := make([]int32, 64)
	for i := range n {
		tr.Seq = append(tr.Seq, int64(i))
		tr.Positions[i] = pos[i : i+1]
		row := make([]uint32, 64)
		for k := range row {
			row[k] = uint32(g.Below(50000))
			ids[k] = int32(row[k])
		}
		tr.IDs = append(tr.IDs, row)
		ds = append(ds, trace.IDsDoc(int32(i), fmt.Sprint(i), ids))
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.WriteParquet(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string][]float64{"s": s, "r": ref} {
		writeTrace(t, filepath.Join(dir, name+".parquet"), ds, func(i, k int) float32 { return min(0, max(-4.5, float32(l[i]))) }, true).Close()
	}
}
