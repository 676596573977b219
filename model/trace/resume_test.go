package trace

import (
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/model/trace/window"
)

// finish writes the documents that the writer lacks, in an order of its own.
func finish(w *Writer, docs []DocTokens, o Options, g *gen.Stream) error {
	order := make([]int, len(docs))
	for i := range order {
		j := g.Below(i + 1)
		order[i], order[j] = order[j], i
	}
	for _, i := range order {
		if x := docs[i].without(o); !w.Has(x.Doc.Doc) {
			if err := w.Append(x.Doc, x.Tokens); err != nil {
				return err
			}
		}
	}
	_, err := w.Close()
	return err
}

// Power fails at every operation of a run: no file under a final name is ever
// wrong, and resuming, also through a second failure, ends with the digests of an
// uninterrupted run.
func TestPowerFailure(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 25, 8)
	for _, path := range []string{"x.parquet", "x.jsonl"} {
		o := Options{BlockBytes: 2000}
		whole := newMem()
		want := writeAll(t, whole, path, of, docs, o).Content
		total := whole.ops
		step := 1
		if testing.Short() {
			step = 7
		}
		for k := 1; k <= total; k += step {
			d := newMem()
			g := gen.New(uint64(k))
			o.disk, d.left = d, k
			for attempt := 0; ; attempt++ {
				w, err := Resume(path, of, o)
				if err == nil {
					err = finish(w, docs, o, g)
				}
				if err == nil {
					break
				}
				if f := fault.As(err); attempt > 1 || f == nil || f.Class != fault.Retry {
					t.Fatalf("%s, failure at operation %d: %v", path, k, err)
				}
				d.reboot(g)
				neverWrong(t, d, path, want)
				if attempt == 0 {
					d.left = 1 + g.Below(total)
				}
			}
			r, err := open(d, path)
			if err != nil {
				t.Fatalf("%s, failure at operation %d: %v", path, k, err)
			}
			if rep, err := check(d, path, 3); err != nil || rep.Err() != nil {
				t.Fatalf("%s, failure at operation %d: %v %v", path, k, err, rep.Err())
			}
			for range r.Docs() {
			}
			if got := r.Header().Content; got.Docs != want.Docs || got.Tokens != want.Tokens {
				t.Fatalf("%s, failure at operation %d: content %+v, want %+v", path, k, got, want)
			}
			if n := slices.DeleteFunc(d.names(), func(n string) bool { return strings.HasSuffix(n, ".tmp") }); len(n) > 3 {
				t.Fatalf("%s: files %v are left", path, n)
			}
		}
	}
}

// neverWrong opens what has a final name: it is refused, or it is the whole trace.
func neverWrong(t *testing.T, d *mem, path string, want Content) {
	t.Helper()
	r, err := open(d, path)
	if err != nil {
		return
	}
	for _, err := range r.Docs() {
		if err != nil {
			t.Fatalf("a file under a final name: %v", err)
		}
	}
	if got := r.Header().Content; got.Docs != want.Docs {
		t.Fatalf("a file under a final name has content %+v, want %+v", got, want)
	}
	clean(t, d, path)
}

// A part file belongs to its run and options, and Create does not start over it.
func TestPartFileOfOtherWork(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 5, 9)
	d := newMem()
	w, err := Create("x.parquet", of, Options{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, w, docs[:3], Options{})
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create("x.parquet", of, Options{disk: d}); fault.As(err) == nil || fault.As(err).Class != fault.Usage || !strings.Contains(err.Error(), "x.parquet.part: unfinished work") {
		t.Errorf("Create over a part file: %v", err)
	}
	other := of
	other.Policy.Window = 65
	for _, c := range []struct {
		of Identity
		o  Options
	}{{other, Options{disk: d}}, {of, Options{disk: d, Moments: true}}, {of, Options{disk: d, PerDocument: true}}} {
		if _, err := Resume("x.parquet", c.of, c.o); fault.As(err) == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), "belongs to work") {
			t.Errorf("Resume of other work: %v", err)
		}
	}
	if w, err = Resume("x.parquet", of, Options{disk: d}); err != nil {
		t.Fatal(err)
	}
	if w.Len() != 3 || !w.Has(2) || w.Has(3) {
		t.Errorf("resumed with %d documents", w.Len())
	}
	if _, err := w.Close(); fault.As(err) == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), "text digest") {
		t.Errorf("Close with documents missing: %v, want the text digests", err)
	}
	if d.files["x.parquet.part"] == nil || d.files["x.parquet"] != nil {
		t.Errorf("files after a failed Close: %v", d.names())
	}
}

// A hole is named, and the work stays.
func TestMissingDocument(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 5, 9)
	d := newMem()
	w, err := Create("x.jsonl", of, Options{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, w, slices.Delete(slices.Clone(docs), 1, 2), Options{})
	if err := w.Append(docs[0].without(Options{}).Doc, docs[0].without(Options{}).Tokens); err == nil {
		t.Error("one document twice")
	}
	_, err = w.Close()
	if f := fault.As(err); f == nil || f.Class != fault.Retry || !strings.Contains(err.Error(), "4 of 5 documents stored, the first missing is 1") {
		t.Errorf("Close: %v", err)
	}
	if err := w.Append(docs[1].Doc, docs[1].Tokens); err == nil {
		t.Error("Append after Close")
	}
}

// A damaged or foreign part file never stops a run with a panic and never yields
// a wrong trace: flipped bytes are refused or only cost the documents behind them.
func TestDamagedPart(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 12, 10)
	d := newMem()
	o := Options{BlockBytes: 1500, disk: d}
	w, err := Create("x.jsonl", of, o)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, w, docs, o)
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	part := d.files["x.jsonl.part"].b
	want := writeAll(t, newMem(), "x.jsonl", of, docs, Options{}).Content.Docs
	step := 1 + len(part)/400
	for i := 0; i < len(part); i += step {
		b := slices.Clone(part)
		b[i] ^= 0x10
		d := newMem()
		d.put("x.jsonl.part", b)
		o.disk = d
		w, err := Resume("x.jsonl", of, o)
		if err != nil {
			if fault.As(err) == nil || i >= 48 {
				t.Fatalf("byte %d: %v", i, err)
			}
			continue
		}
		if err := finish(w, docs, o, gen.New(uint64(i))); err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		r, err := open(d, "x.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		for range r.Docs() {
		}
		if got := r.Header().Content.Docs; got != want {
			t.Fatalf("byte %d: content %s, want %s", i, got, want)
		}
	}
}
