package trace

import (
	"testing"

	"assay/internal/fault"
	"assay/model/trace/part"
	"assay/model/trace/window"
)

// readable reads everything a trace offers and fails on an error without a class.
func readable(t *testing.T, d *mem, path string) {
	r, err := open(d, path)
	if err != nil {
		if fault.As(err) == nil {
			t.Fatalf("error without a class: %v", err)
		}
		return
	}
	defer r.Close()
	n := 0
	for x, err := range r.rows(nil) {
		if err != nil {
			if fault.As(err) == nil {
				t.Fatalf("error without a class: %v", err)
			}
			break
		}
		if n++; n > 1000 || x.Doc.Tokens > 1<<20 {
			return // a file of repeated values may hold far more rows than bytes
		}
	}
	if r.HasTokens() && n > 0 {
		if _, err := r.Tokens(int32(n / 2)); err != nil && fault.As(err) == nil {
			t.Fatalf("error without a class: %v", err)
		}
	}
	if _, err := check(d, path, 3); err != nil && fault.As(err) == nil {
		t.Fatalf("error without a class: %v", err)
	}
}

func FuzzOpenParquet(f *testing.F) {
	of, docs := synthetic(f, window.Policy{Name: "hf-stride", Window: 16, Stride: 8}, 5, 11)
	for _, o := range []Options{{}, everything} {
		d := newMem()
		writeAll(f, d, "x.parquet", of, docs, o)
		f.Add(d.files["x.parquet"].b, d.files["x.docs.parquet"].b)
		f.Add(d.files["x.docs.parquet"].b, d.files["x.parquet"].b)
	}
	f.Fuzz(func(t *testing.T, tokens, docs []byte) {
		d := newMem()
		d.put("x.parquet", tokens)
		d.put("x.docs.parquet", docs)
		readable(t, d, "x.parquet")
		readable(t, d, "x.docs.parquet")
	})
}

func FuzzOpenJSONL(f *testing.F) {
	of, docs := synthetic(f, window.Policy{Name: "hf-stride", Window: 16, Stride: 8}, 5, 11)
	for _, path := range []string{"x.jsonl", "x.jsonl.gz"} {
		d := newMem()
		writeAll(f, d, path, of, docs, everything)
		f.Add(d.files[path].b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newMem()
		d.put("x.jsonl", b)
		readable(t, d, "x.jsonl")
	})
}

// FuzzPart puts bytes into records whose frames verify, which a damaged disk does
// not do.
func FuzzPart(f *testing.F) {
	of, docs := synthetic(f, window.Policy{Name: "full", Window: 64}, 3, 11)
	d := newMem()
	o := Options{disk: d}
	w, err := Create("x.jsonl", of, o)
	if err != nil {
		f.Fatal(err)
	}
	appendAll(f, w, docs, o)
	f.Add(append([]byte{}, w.pending...))
	head, err := w.partHeader()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		d := newMem()
		file, err := d.create("x.jsonl.part")
		if err != nil {
			t.Fatal(err)
		}
		p, err := part.NewWriter(file, head)
		if err == nil {
			err = p.Frame(1, payload)
		}
		if err != nil {
			t.Fatal(err)
		}
		w, err := Resume("x.jsonl", of, Options{disk: d})
		if err != nil {
			if fault.As(err) == nil {
				t.Fatalf("error without a class: %v", err)
			}
			return
		}
		if _, err := w.Close(); err != nil && fault.As(err) == nil {
			t.Fatalf("error without a class: %v", err)
		}
	})
}
