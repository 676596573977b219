package perplexity

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/model/trace"
	"assay/model/trace/window"
)

// docTable writes a document table of n documents, and returns its reader.
func docTable(t testing.TB, n int, edit func(i int, d *trace.Doc)) *trace.Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.parquet")
	of := trace.Identity{Checkpoint: trace.Checkpoint{Weights: "sha256:11", Vocab: 50}, Tokenizer: trace.Tokenizer{Digest: "sha256:t"},
		Policy: window.Policy{Name: "full", Window: 512, BOS: "none"}, Precision: "f32"}
	w, err := trace.Create(path, of, trace.Options{PerDocument: true})
	if err != nil {
		t.Fatal(err)
	}
	g := gen.New(7)
	for i := range n {
		d := trace.TextDoc(int32(i), fmt.Sprintf("d%d", i), []byte(fmt.Sprintf("document number %d of the corpus", i)))
		rows := trace.Tokens{}
		k := 2 + g.Below(3)
		for p := range k {
			rows.Pos, rows.ID = append(rows.Pos, int32(p)), append(rows.ID, 1)
			rows.ByteOff, rows.ByteLen = append(rows.ByteOff, int64(p)), append(rows.ByteLen, 1)
			rows.Logprob = append(rows.Logprob, float32(-1-3*g.U()))
			rows.Rank, rows.ArgmaxID, rows.ArgmaxLogprob = append(rows.Rank, 1), append(rows.ArgmaxID, 2), append(rows.ArgmaxLogprob, -.5)
			rows.Entropy, rows.SD = append(rows.Entropy, 2), append(rows.SD, 1)
		}
		rows.ByteLen[k-1] = int32(d.Bytes) - int32(k-1)
		if edit != nil {
			edit(i, &d)
		}
		if err := w.Append(d, rows); err != nil {
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
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// TestLean: a packed sample gives the same result to the last bit; groups and repeated
// texts are read whole; what it cannot serve is refused.
func TestLean(t *testing.T) {
	r := docTable(t, 300, nil)
	both := func(r *trace.Reader) (whole, lean Sample) {
		whole, err := FromTrace(r, Read{})
		if err != nil {
			t.Fatal(err)
		}
		if lean, err = FromTrace(r, Read{Lean: true}); err != nil {
			t.Fatal(err)
		}
		return whole, lean
	}
	whole, lean := both(r)
	if lean.packed == nil || lean.Units != nil {
		t.Fatal("the sample is not packed")
	}
	for _, ci := range []string{Jackknife, None} {
		a, err := Run(whole, Options{CI: ci})
		if err != nil {
			t.Fatal(err)
		}
		b, err := Run(lean, Options{CI: ci})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(fmt.Sprint(b.Warnings), "300 of 300 documents have fewer than 16 tokens") {
			t.Errorf("warnings %v", b.Warnings)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: packed and whole differ:\n%+v\n%+v", ci, a, b)
		}
	}
	for _, o := range []Options{{CI: BCa}, {By: "group"}} {
		if _, err := Run(lean, o); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for name, edit := range map[string]func(i int, d *trace.Doc){
		"groups": func(i int, d *trace.Doc) { d.Group = fmt.Sprint(i / 10) },
		"repeats": func(i int, d *trace.Doc) {
			d.SHA256[0], d.SHA256[1], d.SHA256[2] = byte(i%200), 1, 2
			clear(d.SHA256[3:])
		},
	} {
		whole, lean := both(docTable(t, 300, edit))
		if lean.packed != nil || fmt.Sprint(whole) != fmt.Sprint(lean) { // undefined sizes are NaN
			t.Errorf("%s: want the sample read whole", name)
		}
	}
}

// TestMillionDocuments reads and aggregates a document table of a million documents:
// ASSAY_MILLION=1. Prints seconds and the largest live heap.
func TestMillionDocuments(t *testing.T) {
	if os.Getenv("ASSAY_MILLION") == "" {
		t.Skip("set ASSAY_MILLION=1: writes 60 MB and takes a minute")
	}
	r := docTable(t, 1_000_000, nil)
	runtime.GC()
	var base runtime.MemStats
	runtime.ReadMemStats(&base)
	peak := uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var m runtime.MemStats
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	begin := time.Now()
	s, err := FromTrace(r, Read{Lean: true})
	if err != nil {
		t.Fatal(err)
	}
	read := time.Now()
	res, err := Run(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now()
	close(stop)
	<-done
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d documents: reading %v, aggregating %v; live after a collection %.1f MB, largest heap with garbage %.1f MB above the start",
		res.N["documents"], read.Sub(begin), end.Sub(read), (float64(m.HeapAlloc)-float64(base.HeapAlloc))/1e6, (float64(peak)-float64(base.HeapAlloc))/1e6)
	runtime.KeepAlive(s)
}
