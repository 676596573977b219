package trace

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model/trace/window"
)

// shards writes the documents in ranges that end at cuts.
func shards(t *testing.T, d *mem, form string, of Identity, docs []DocTokens, o Options, cuts ...int) []string {
	t.Helper()
	var paths []string
	from := 0
	for i, to := range cuts {
		o.From, o.To = int32(from), int32(to)
		o.Part.Device = fmt.Sprintf("device %d", i)
		path := fmt.Sprintf("s%d.%s", i, form)
		writeAll(t, d, path, of, docs[from:to], o)
		paths = append(paths, path)
		from = to
	}
	return paths
}

// Merged shards give the trace that one machine writes: same run, same digests,
// whatever their number, form and order.
func TestMerge(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "hf-stride", Window: 16, Stride: 8}, 21, 18)
	for _, o := range []Options{{}, everything, {PerDocument: true, Scores: []string{"loss"}}} {
		d := newMem()
		whole := writeAll(t, d, "whole.parquet", of, docs, o)
		for _, form := range []string{"parquet", "jsonl.gz"} {
			for _, cuts := range [][]int{{21}, {4, 21}, {1, 2, 3, 9, 10, 20, 21}} {
				paths := shards(t, d, form, of, docs, o, cuts...)
				for _, p := range paths {
					clean(t, d, p)
				}
				slices.Reverse(paths)
				h, err := MergeWith("m.parquet", MergeOptions{disk: d}, paths...)
				if err != nil {
					t.Fatal(err)
				}
				if h.Run != whole.Run || !reflect.DeepEqual(h.Content, whole.Content) || !reflect.DeepEqual(h.Counts, whole.Counts) {
					t.Errorf("%s, %v: %+v, want %+v", form, cuts, h.Content, whole.Content)
				}
				if len(h.Parts) != len(cuts) || h.Parts[0].Device != "device 0" || h.Parts[len(cuts)-1].Docs[1] != 21 || h.Incomplete {
					t.Errorf("%s, %v: parts %+v", form, cuts, h.Parts)
				}
				if rep := clean(t, d, "m.parquet"); len(cuts) > 1 && len(rep.NotChecked) > 0 && !o.PerDocument {
					t.Errorf("not checked: %v", rep.NotChecked)
				}
			}
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 9, 19)
	d := newMem()
	p := shards(t, d, "jsonl", of, docs, Options{}, 3, 6, 9)
	other := of
	other.Policy.Window = 65
	writeAll(t, d, "other.jsonl", other, docs[3:6], Options{From: 3, To: 6})
	writeAll(t, d, "wide.jsonl", of, docs[2:6], Options{From: 2, To: 6})
	writeAll(t, d, "compact.jsonl", of, docs[3:6], Options{From: 3, To: 6, PerDocument: true})
	lie := bytes.Replace(d.files[p[1]].b, []byte(`"label":0`), []byte(`"label":1`), 1)
	if i := bytes.Index(lie, []byte(`,"sha256":"`+"")); i > 0 {
		// Without the digest of the lines the content digest must notice.
		j := bytes.LastIndex(lie, []byte(`,"sha256":"`))
		lie = append(slices.Clone(lie[:j]), "}}\n"...)
	}
	d.put("lie.jsonl", lie)
	for _, c := range []struct {
		name  string
		parts []string
		says  string
	}{
		{"hole", []string{p[0], p[2]}, "documents [3, 6) between s0.jsonl and s2.jsonl are missing"},
		{"start", []string{p[1], p[2]}, "documents [0, 3) between the start"},
		{"end", []string{p[0], p[1]}, "documents from 6 on are missing"},
		{"overlap", []string{p[0], "wide.jsonl", p[2]}, "wide.jsonl holds documents [2, 6), s0.jsonl goes to 3"},
		{"twice", []string{p[0], p[0], p[1], p[2]}, "s0.jsonl holds documents [0, 3)"},
		{"run", []string{p[0], "other.jsonl", p[2]}, "of.policy.window is 64 and 65"},
		{"columns", []string{p[0], "compact.jsonl", p[2]}, "different columns"},
		{"content", []string{p[0], "lie.jsonl", p[2]}, "lie.jsonl: content"},
		{"none", nil, "no parts"},
		{"missing file", []string{"nothing.jsonl"}, "nothing.jsonl"},
	} {
		_, err := MergeWith("m.jsonl", MergeOptions{disk: d}, c.parts...)
		if f := fault.As(err); f == nil || f.Class != fault.Input && c.name != "none" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an input fault that says %q", c.name, err, c.says)
		}
		if slices.ContainsFunc(d.names(), func(n string) bool { return strings.Contains(n, "m.jsonl") }) {
			t.Errorf("%s: files %v are left", c.name, d.names())
		}
	}
	h, err := MergeWith("m.jsonl", MergeOptions{Partial: true, disk: d}, p[2], p[0])
	if err != nil || !h.Incomplete || h.Counts.Docs != 6 {
		t.Errorf("partial: %v, %+v", err, h)
	}
	rep := clean(t, d, "m.jsonl")
	if len(rep.NotChecked) == 0 {
		t.Error("a partial trace claims that its text digest was checked")
	}
	if _, err := MergeWith("n.jsonl", MergeOptions{disk: d}, "m.jsonl", p[1]); err == nil {
		t.Error("a partial trace merges as if it were whole")
	}
}

// A redacted trace keeps run, sums and laws, shows no text, and says what the
// digests were.
func TestRedact(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 9, 20)
	for _, path := range []string{"x.parquet", "x.jsonl"} {
		d := newMem()
		whole := writeAll(t, d, path, of, docs, everything)
		o := everything
		o.Redact = true
		direct := writeAll(t, d, "direct.parquet", of, docs, o)
		h, err := copyTrace(d, "r.parquet", path, true)
		if err != nil {
			t.Fatal(err)
		}
		if h.Run != whole.Run || h.Content.Tokens == whole.Content.Tokens || h.Content.Docs != whole.Content.Docs || !reflect.DeepEqual(*h.Content.Full, whole.Content) ||
			!reflect.DeepEqual(h.Content, direct.Content) || !h.Redacted {
			t.Errorf("redacted content %+v, written redacted %+v, whole %+v", h.Content, direct.Content, whole.Content)
		}
		for k, x := range readAll(t, d, "r.parquet") {
			if x.Tokens.ID != nil || x.Tokens.ByteOff != nil || x.Tokens.ByteLen != nil || x.Tokens.ArgmaxID != nil || x.Tokens.TopID != nil {
				t.Fatalf("document %d: redacted columns are there", k)
			}
			if x.Doc.Greedy > 0 && x.Doc.Scored == 0 || len(x.Tokens.TopLogprob) != x.Tokens.Len() {
				t.Fatalf("document %d: %+v", k, x.Doc)
			}
		}
		if rep := clean(t, d, "r.parquet"); len(rep.NotChecked) == 0 {
			t.Error("a redacted trace claims that ids were checked")
		}
		r, err := open(d, "r.parquet")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Need("logprob", "id"); err == nil || !strings.Contains(fault.As(err).Hints[0], "--redact") {
			t.Errorf("Need(id) = %v", err)
		}
		if _, err := copyTrace(d, "rr.parquet", "r.parquet", true); err == nil {
			t.Error("redacted twice")
		}
		back, err := copyTrace(d, "r.jsonl", "r.parquet", false)
		if err != nil || !reflect.DeepEqual(back.Content, h.Content) {
			t.Errorf("redacted to JSONL: %v, %+v, want %+v", err, back.Content, h.Content)
		}
		if again, err := copyTrace(d, "r2.parquet", "r.jsonl", false); err != nil || !reflect.DeepEqual(again.Content, h.Content) {
			t.Errorf("and back: %v, %+v, want %+v", err, again.Content, h.Content)
		}
		if _, err := copyTrace(d, path, path, true); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
			t.Errorf("onto itself: %v", err)
		}
	}
}

func TestNeed(t *testing.T) {
	of, docs := synthetic(t, window.Policy{Name: "full", Window: 64}, 3, 21)
	d := newMem()
	writeAll(t, d, "x.parquet", of, docs, Options{})
	r, err := open(d, "x.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Need("logprob", "doc_id", "meta"); err != nil {
		t.Error(err)
	}
	for col, hint := range map[string]string{"umean": "--moments", "top_id": "--topk", "score.loss": "--scores loss"} {
		err := r.Need("logprob", col)
		if f := fault.As(err); f == nil || len(f.Hints) == 0 || !strings.Contains(f.Hints[0], hint) || !strings.Contains(err.Error(), col) {
			t.Errorf("Need(%s) = %v, hint should name %s", col, err, hint)
		}
	}
}
