package trace

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"assay/internal/gen"
	"assay/model/trace/window"
)

// synthetic makes n documents under the policy from a seed: distributions over
// V = 50 from gen, every column filled, some documents empty, some with context,
// labels, dates, groups and metadata. Documents lie about nothing.
func synthetic(t testing.TB, p window.Policy, n int, seed uint64) (Identity, []DocTokens) {
	t.Helper()
	g := gen.New(seed)
	const vocab = 50
	of := toyIdentity()
	of.Checkpoint.Vocab, of.Policy, of.Text = vocab, p, ""
	var docs []DocTokens
	for k := range n {
		rows := g.Below(40)
		if k%7 == 3 {
			rows = 0
		}
		text := []byte(strings.Repeat("ab ", rows))
		d := TextDoc(int32(k), fmt.Sprintf("doc-%d", k), text)
		if k%5 == 1 {
			d = d.WithContext([]byte("context"), int32(g.Below(9)))
		}
		if k%2 == 1 {
			l := int32(k % 3)
			d.Label, d.Group, d.Date = &l, fmt.Sprintf("group %d", k%4), time.Date(1969, 12, 25+k, 0, 0, 0, 0, time.UTC)
			d.Meta = json.RawMessage(fmt.Sprintf(`{"dose":%d,"set":"ü<%d>"}`, k, k))
			d.Scores = map[string]float64{"loss": g.Z(), "mink:0.2": math.NaN()}
		}
		x := newTokens(rows)
		x.UMean, x.USD = make([]float32, rows), make([]float32, rows)
		x.ID, x.ByteOff, x.ByteLen = make([]int32, rows), make([]int64, rows), make([]int32, rows)
		x.TopID, x.TopLogprob = make([][]int32, rows), make([][]float32, rows)
		for i := range rows {
			q := make([]float64, vocab)
			sum := 0.0
			for v := range q {
				q[v] = math.Exp(2 * g.Z())
				sum += q[v]
			}
			for v := range q {
				q[v] /= sum
			}
			x.ID[i], x.ByteOff[i], x.ByteLen[i] = int32(g.Below(vocab)), int64(3*i), 3
			x.fromP(i, q, x.ID[i])
			a, b := x.ArgmaxID[i], (x.ArgmaxID[i]+1)%vocab
			x.TopID[i], x.TopLogprob[i] = []int32{a, b}, []float32{x.ArgmaxLogprob[i], float32(math.Log(q[b]))}
		}
		docs = append(docs, DocTokens{d, x})
	}
	var ds []Doc
	for _, d := range docs {
		ds = append(ds, d.Doc)
	}
	of.Text = TextDigest(ds)
	return of, docs
}

var everything = Options{Moments: true, TopK: 2, Scores: []string{"loss", "mink:0.2"}}

// without clears what o does not store, as a reader would leave it.
func (d DocTokens) without(o Options) DocTokens {
	if !o.Moments {
		d.Tokens.UMean, d.Tokens.USD = nil, nil
	}
	if o.TopK == 0 {
		d.Tokens.TopID, d.Tokens.TopLogprob = nil, nil
	}
	if o.Scores == nil {
		d.Doc.Scores = nil
	}
	return d
}

// text prints a document with what its pointers point to; NaN equals NaN there.
func text(d DocTokens) string {
	var label int32
	var context [32]byte
	if d.Doc.Label != nil {
		label = *d.Doc.Label
	}
	if d.Doc.ContextSHA256 != nil {
		context = *d.Doc.ContextSHA256
	}
	s := fmt.Sprint(d.Doc.Label == nil, label, d.Doc.ContextSHA256 == nil, context)
	d.Doc.Label, d.Doc.ContextSHA256 = nil, nil
	return fmt.Sprintf("%s %+v", s, d)
}

// What is written is what is read, in every form, and conversion keeps digests.
func TestRoundTrip(t *testing.T) {
	for _, p := range []window.Policy{
		{Name: "full", Window: 64},
		{Name: "hf-stride", Window: 10, Stride: 4, PrefixIDs: []int32{1}},
		{Name: "lmeval-rolling", Window: 10, Context: 3, PrefixIDs: []int32{1}},
		{Name: "llamacpp", Window: 8},
	} {
		of, docs := synthetic(t, p, 30, 3)
		for _, o := range []Options{{}, everything} {
			d := newMem()
			paths := []string{"x.parquet", "x.jsonl", "x.jsonl.gz"}
			var first Header
			var want []DocTokens
			for i, path := range paths {
				h := writeAll(t, d, path, of, docs, o)
				got := readAll(t, d, path)
				if i == 0 {
					first, want = h, got
					checkWritten(t, docs, got, o)
				}
				if !reflect.DeepEqual(h.Content, first.Content) || h.Run != first.Run {
					t.Errorf("%s: %s: content %+v, want %+v", p.Name, path, h.Content, first.Content)
				}
				for k := range want {
					if a, b := text(got[k]), text(want[k]); a != b {
						t.Fatalf("%s: %s: document %d\n%s\n%s", p.Name, path, k, a, b)
					}
				}
				clean(t, d, path)
			}
			for _, step := range [][2]string{{"y.jsonl.gz", paths[0]}, {"back.parquet", "y.jsonl.gz"}} {
				h, err := copyTrace(d, step[0], step[1], false)
				if err != nil || !reflect.DeepEqual(h.Content, first.Content) {
					t.Fatalf("%s to %s: %v, content %+v, want %+v", step[1], step[0], err, h.Content, first.Content)
				}
			}
			if rep := clean(t, d, "back.parquet"); len(rep.NotChecked) > 0 {
				t.Errorf("converted back: not checked %v", rep.NotChecked)
			}
		}
	}
}

// checkWritten compares what was read with what was given to the writer.
func checkWritten(t *testing.T, docs, got []DocTokens, o Options) {
	t.Helper()
	if len(got) != len(docs) {
		t.Fatalf("%d documents, want %d", len(got), len(docs))
	}
	for k, g := range got {
		d := docs[k].without(o)
		if g.Doc.ID != d.Doc.ID || g.Doc.SHA256 != d.Doc.SHA256 || g.Doc.Bytes != d.Doc.Bytes || g.Doc.Zlib != d.Doc.Zlib || !g.Doc.Date.Equal(d.Doc.Date) ||
			g.Doc.Group != d.Doc.Group || (g.Doc.Label == nil) != (d.Doc.Label == nil) || string(g.Doc.Meta) != string(d.Doc.Meta) ||
			(g.Doc.ContextSHA256 == nil) != (d.Doc.ContextSHA256 == nil) || o.Scores != nil && d.Doc.Scores != nil && g.Doc.Scores["loss"] != d.Doc.Scores["loss"] {
			t.Errorf("document %d: %+v, want %+v", k, g.Doc, d.Doc)
		}
		n := 0
		for i, ok := range g.Tokens.Scored {
			if g.Tokens.ID[i] != d.Tokens.ID[i] || g.Tokens.ByteOff[i] != d.Tokens.ByteOff[i] {
				t.Fatalf("document %d row %d: id or tile differ", k, i)
			}
			if !ok {
				if !math.IsNaN(float64(g.Tokens.Logprob[i])) || !math.IsNaN(float64(g.Tokens.SD[i])) || g.Tokens.Rank[i] != Null || g.Tokens.Ctx[i] != Null {
					t.Fatalf("document %d row %d is not scored but has values", k, i)
				}
				continue
			}
			n++
			if g.Tokens.Logprob[i] != d.Tokens.Logprob[i] || g.Tokens.Rank[i] != d.Tokens.Rank[i] || g.Tokens.ArgmaxLogprob[i] != d.Tokens.ArgmaxLogprob[i] ||
				o.Moments && g.Tokens.USD[i] != d.Tokens.USD[i] || o.TopK > 0 && g.Tokens.TopLogprob[i][1] != d.Tokens.TopLogprob[i][1] {
				t.Fatalf("document %d row %d: values differ", k, i)
			}
		}
		if n != int(g.Doc.Scored) {
			t.Errorf("document %d: %d scored rows, n_scored %d", k, n, g.Doc.Scored)
		}
	}
}

// Rows come in any order and across several row groups; random access finds them.
func TestLargeAndRandom(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 200, 5)
	// One long document of several records and row groups.
	long := DocTokens{Doc: IDsDoc(200, "long", nil)}
	const n = 3*recordRows + 17
	x := newTokens(n)
	x.ID = make([]int32, n)
	for i := range n {
		x.ID[i] = int32(i % 50)
		x.Logprob[i], x.ArgmaxLogprob[i], x.Entropy[i], x.Rank[i] = -3-float32(i%1000)/1000, -1, 2, 1
	}
	long.Tokens = x
	of.Text, of.Policy = "", window.Policy{Name: "lmeval-rolling", Window: 64, Context: 1, PrefixIDs: []int32{0}}
	docs = append(docs, long)
	for _, path := range []string{"x.parquet", "x.jsonl"} {
		disk := newMem()
		w, err := Create(path, of, Options{BlockBytes: 1 << 14, disk: disk})
		if err != nil {
			t.Fatal(err)
		}
		for k := range docs {
			d := docs[(k*77+200)%len(docs)].without(Options{})
			if err := w.Append(d.Doc, d.Tokens); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		clean(t, disk, path)
		r, err := open(disk, path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for k := range docs {
			i := (k*131 + 5) % len(docs)
			got, err := r.Tokens(int32(i))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.ID) != len(docs[i].Tokens.ID) || len(got.ID) > 0 && !reflect.DeepEqual(got.ID, docs[i].Tokens.ID) || len(got.Logprob) > 1 && got.Logprob[1] != docs[i].Tokens.Logprob[1] {
				t.Fatalf("%s: document %d: %d rows, want %d", path, i, got.Len(), len(docs[i].Tokens.ID))
			}
		}
		if _, err := r.Tokens(201); err == nil {
			t.Error("document 201 of 201 found")
		}
	}
}

// Columns reads only what is asked for and gives the same values.
func TestColumns(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 20, 6)
	for _, name := range []string{"x.parquet", "x.jsonl.gz"} {
		disk := newMem()
		writeAll(t, disk, name, of, docs, everything)
		r, err := open(disk, name)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		k := 0
		for d, err := range r.Columns("logprob", "top_id") {
			if err != nil {
				t.Fatal(err)
			}
			if d.Tokens.ID != nil || d.Tokens.Scored != nil || len(d.Tokens.Logprob) != int(d.Doc.Tokens) || len(d.Tokens.TopID) != int(d.Doc.Tokens) {
				t.Fatalf("%s: %+v", name, d.Tokens)
			}
			for i, l := range d.Tokens.Logprob {
				if i > 0 && l != docs[k].Tokens.Logprob[i] {
					t.Fatalf("%s: document %d row %d: %v, want %v", name, k, i, l, docs[k].Tokens.Logprob[i])
				}
			}
			k++
		}
		for _, err := range r.Columns("nothing") {
			if err == nil || !strings.Contains(err.Error(), `column "nothing" is not part of the format`) {
				t.Errorf("unknown column: %v", err)
			}
		}
	}
}

// The compact mode writes the document table alone, with the same documents.
func TestPerDocument(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 20, 7)
	for _, name := range []string{"x.parquet", "x.jsonl"} {
		disk := newMem()
		full := writeAll(t, disk, "full.parquet", of, docs, Options{Scores: everything.Scores})
		path := name
		h := writeAll(t, disk, path, of, docs, Options{Scores: everything.Scores, PerDocument: true})
		if h.Content.Docs != full.Content.Docs || h.Content.Tokens != "" || h.Run != full.Run {
			t.Errorf("content %+v, want documents %s alone", h.Content, full.Content.Docs)
		}
		if name == "x.parquet" {
			if disk.files[path] != nil {
				t.Error("compact mode wrote a token table")
			}
		}
		r, err := open(disk, path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if err := r.Need("sum_logprob", "score.loss"); err != nil {
			t.Error(err)
		}
		if err := r.Need("logprob"); err == nil || !strings.Contains(err.Error(), "logprob is missing") {
			t.Errorf("Need(logprob) = %v", err)
		}
		for _, err := range r.All() {
			if err == nil {
				t.Error("All yields rows that are not there")
			}
		}
		if rep := clean(t, disk, path); len(rep.NotChecked) == 0 {
			t.Error("everything is checked without a token table")
		}
	}
}
