package trace

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/model/trace/window"
)

// One bit flipped at 1,000 random positions of a token table and some hundred of
// the other forms, and files cut at random
// lengths: the reader or Check reports every one, and neither panics.
func TestBitFlips(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "hf-stride", Window: 16, Stride: 8}, 6, 11)
	for _, c := range []struct {
		path, victim string
		flips        int
	}{{"x.parquet", "x.parquet", 1000}, {"x.parquet", "x.docs.parquet", 400}, {"x.jsonl", "x.jsonl", 600}, {"x.jsonl.gz", "x.jsonl.gz", 400}} {
		flips := c.flips
		if testing.Short() {
			flips /= 10
		}
		d := newMem()
		writeAll(t, d, c.path, of, docs, everything)
		whole := d.files[c.victim].b
		g := gen.New(12)
		seen := func(what string, pos int, b []byte) {
			d.put(c.victim, b)
			if rep, err := check(d, c.path, 3); err == nil && rep.Err() == nil {
				t.Errorf("%s: %s %d of %d is not noticed", c.victim, what, pos, len(whole))
			} else if err != nil && fault.As(err) == nil {
				t.Errorf("%s: %s %d: error without a class: %v", c.victim, what, pos, err)
			}
		}
		for range flips {
			b := slices.Clone(whole)
			pos := g.Below(len(b))
			b[pos] ^= 1 << g.Below(8)
			seen("flip at", pos, b)
		}
		for range flips / 20 {
			n := g.Below(len(whole))
			seen("cut at", n, whole[:n])
		}
		d.put(c.victim, whole)
		clean(t, d, c.path)
	}
}

// A file that is cut short may be retried; a wrong one may not.
func TestTruncated(t *testing.T) {
	for _, path := range []string{"x.parquet", "x.jsonl", "x.jsonl.gz"} {
		d := newMem()
		of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 5, 13)
		writeAll(t, d, path, of, docs, Options{})
		whole := d.files[path].b
		d.put(path, whole[:len(whole)-20])
		rep, err := check(d, path, 2)
		if err == nil {
			err = rep.Err()
		}
		f := fault.As(err)
		if f == nil || f.Class != fault.Retry {
			t.Errorf("%s cut short: %v, want a retry fault", path, err)
		}
		if path == "x.jsonl" && !strings.Contains(err.Error(), `last complete document: "doc-4"`) {
			t.Errorf("%v does not name the last complete document", err)
		}
	}
	d := newMem()
	d.put("x.parquet", nil)
	if _, err := open(d, "x.parquet"); fault.As(err) == nil || fault.As(err).Class != fault.Retry {
		t.Errorf("empty file: %v", err)
	}
	if _, err := open(d, "y.parquet"); fault.As(err) == nil || fault.As(err).Class != fault.Input {
		t.Errorf("no file: %v", err)
	}
}

// What is no trace is refused with what was found and what is read.
func TestNotATrace(t *testing.T) {
	d := newMem()
	d.put("a", []byte("hello world, this is text"))
	d.put("b", []byte(`{"hello": 1}`+"\n"))
	d.put("c", []byte(`{"assay": {"schema": "assay.trace/2", "of": {}}}`+"\n"))
	d.put("d", []byte(`{"assay": {"schema": "assay.states/1", "of": {}}}`+"\n"))
	d.put("e", []byte("PAR1 but then nothing that PAR1"))
	d.put("f", []byte(`{"assay": {"schema": "assay.trace/1", "of": {}, "columns": ["umean"]}}`+"\n"))
	d.put("g", []byte(`{"assay": {"schema": "assay.trace/1"}}`+"\n"))
	for name, says := range map[string]string{"a": `starts with "hell", want Parquet or JSONL`, "b": "want {\"assay\": header}", "c": `schema "assay.trace/2", want "assay.trace/1"`,
		"d": `schema "assay.states/1"`, "e": "footer", "f": "optional columns [umean]", "g": "no identity"} {
		_, err := open(d, name)
		if f := fault.As(err); f == nil || f.Class != fault.Input || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an input fault that says %q", name, err, says)
		}
	}
	d.put("h", []byte(`{"assay": {"schema": "assay.trace/1.7", "of": {"later": true}, "new": 1}}`+"\n"))
	if _, err := open(d, "h"); err != nil {
		t.Errorf("a later minor version: %v", err)
	}
}

// Files of two runs, of two traces of one run, or a document table missing.
func TestPairs(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 5, 14)
	other := of
	other.Precision = "f64"
	d := newMem()
	a := writeAll(t, d, "a.parquet", of, docs, Options{})
	b := writeAll(t, d, "b.parquet", other, docs, Options{})
	docs[0].Tokens.SD[len(docs[0].Tokens.SD)-1] += .5
	writeAll(t, d, "c.parquet", of, docs, Options{})
	mix := func(tokens, documents string) error {
		m := newMem()
		m.put("x.parquet", d.files[tokens].b)
		if documents != "" {
			m.put("x.docs.parquet", d.files[documents].b)
		}
		_, err := open(m, "x.parquet")
		return err
	}
	for _, c := range []struct {
		err  error
		says []string
	}{
		{mix("a.parquet", "b.docs.parquet"), []string{a.Run, b.Run}},
		{mix("a.parquet", "c.docs.parquet"), []string{"of one run but not of one trace"}},
		{mix("a.parquet", ""), []string{"x.docs.parquet is missing"}},
		{mix("a.parquet", "a.parquet"), []string{`table "tokens", want "docs"`}},
	} {
		if f := fault.As(c.err); f == nil || f.Class != fault.Input {
			t.Errorf("%v, want an input fault", c.err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(c.err.Error(), s) {
				t.Errorf("%v does not say %s", c.err, s)
			}
		}
	}
	if f := fault.As(mix("a.parquet", "b.docs.parquet")); f == nil || len(f.Hints) == 0 || !strings.Contains(f.Hints[0], "assay score") {
		t.Error("no hint at the command that rebuilds")
	}
}

// JSONL damage that a careless reader would read as something else.
func TestLines(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 3, 15)
	d := newMem()
	writeAll(t, d, "x.jsonl", of, docs, Options{})
	whole := string(d.files["x.jsonl"].b)
	for _, c := range []struct{ name, old, new, says string }{
		{"list lengths", `"id":[`, `"id":[1,`, "id has"},
		{"unknown member", `"status":"ok","sha`, `"extra":1,"status":"ok","sha`, "extra: unknown member"},
		{"doubled member", `"status":"ok","sha`, `"status":"ok","status":"ok","sha`, "duplicate"},
		{"missing member", `"n_windows":1,`, ``, "n_windows is missing"},
		{"string in a column", `"rank":[null,`, `"rank":["a",`, "want a number or null"},
		{"list in a column", `"rank":[null,`, `"rank":[[1],`, "want an integer"},
		{"negative", `"n_context":0`, `"n_context":-1`, "want an integer from 0"},
		{"huge", `"n_tokens":`, `"n_tokens":9`, "planner"},
		{"hash", `"sha256":"`, `"sha256":"zz`, "want 64 hex digits"},
		{"order", `{"doc":1,`, `{"doc":2,`, "ordinal 2, want 1"},
		{"text behind", "\n{\"end\"", "\n{\"end\":1}\n{\"end\"", "last line"},
		{"after the end", `"}}` + "\n", `"}}` + "\nx", "follows the last line"},
	} {
		if !strings.Contains(whole, c.old) {
			t.Fatalf("%s: %q is not in the file", c.name, c.old)
		}
		i := strings.Index(whole, c.old)
		if c.name == "after the end" {
			i = strings.LastIndex(whole, c.old)
		}
		d.put("x.jsonl", []byte(whole[:i]+c.new+whole[i+len(c.old):]))
		r, err := open(d, "x.jsonl")
		if err == nil {
			for _, e := range r.All() {
				if err = e; err != nil {
					break
				}
			}
		}
		if f := fault.As(err); f == nil || f.Class != fault.Input || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an input fault that says %q", c.name, err, c.says)
		}
	}
}

// Without a seal, or with one that is not the file's, Check says so even where the
// digests of the rows hold.
func TestSeal(t *testing.T) {
	d := newMem()
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 5, 16)
	writeAll(t, d, "x.parquet", of, docs, Options{Made: Made{Program: "someprogram"}})
	b := d.files["x.parquet"].b
	if !bytes.Contains(b, []byte("someprogram")) {
		t.Fatal("the header is not in the file as text")
	}
	d.put("x.parquet", bytes.Replace(b, []byte("someprogram"), []byte("sameprogram"), 1))
	rep, err := check(d, "x.parquet", 2)
	if err != nil || rep.Failed != 1 || rep.Findings[0].Law != "seal" {
		t.Errorf("%v, %+v; want a finding about the seal", err, rep.Findings)
	}
	d.put("x.parquet", bytes.Replace(b, []byte("assay.seal"), []byte("assay.seat"), 1))
	if rep, err := check(d, "x.parquet", 2); err != nil || rep.Failed == 0 || rep.Findings[0].Law != "seal" {
		t.Errorf("without a seal: %v, %+v", err, rep.Findings)
	}
}
