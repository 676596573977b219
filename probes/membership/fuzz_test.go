package membership

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func FuzzReaders(f *testing.F) {
	a, err := json.Marshal(NewAssignment("split", "s", 2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a)
	f.Add([]byte(`{"schema":"assay.thresholds/1","weights":"w","buckets":[{"score":"loss","tokens_from":1,"tokens_below":2,"controls":3,"value":null}]}`))
	f.Add([]byte("0\t5\n7\t1\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if a, err := ReadAssignment(bytes.NewReader(in)); err == nil {
			_ = a.CheckSplit([]string{"a", "b"}, []int{0, 1})
			_ = a.CheckOrder([]string{"a", "b"})
		}
		if th, err := ReadThresholds(bytes.NewReader(in), "w"); err == nil {
			th.Find("loss", 1)
		}
		if c, err := ReadCounts(bytes.NewReader(in), 100); err == nil && len(c.N) != 100 {
			t.Fatalf("%d counts, want 100", len(c.N))
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("The quick, brown fox.", "the quick brown fox")
	f.Add("żółć\xff 日本", "\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 400 {
			return
		}
		if o, err := NGrams(a, b); err == nil && (o.LongestWords > o.Generated || o.Common[1] > o.Generated || o.Common[2] > o.Common[1]) {
			t.Fatalf("%+v", o)
		}
		for _, e := range Edits() {
			if _, err := Perturb(a, e, 1, map[string][]string{"the": {"a"}}); err != nil {
				t.Fatal(err)
			}
		}
		if s := Swap(a, .3, 1, 2); len(strings.Fields(s)) != len(strings.Fields(a)) {
			t.Fatalf("swapping changes the number of words: %q", s)
		}
	})
}

func TestReadCounts(t *testing.T) {
	c, err := ReadCounts(strings.NewReader("# corpus\n3\t7\n0,2\n"), 5)
	if err != nil || c.N[3] != 7 || c.N[0] != 2 || c.Total != 9 || len(c.N) != 5 {
		t.Errorf("%+v, %v", c, err)
	}
	for name, in := range map[string]string{"outside": "5\t1", "negative": "1\t-1", "text": "a\tb", "one field": "7", "twice": "1\t2\n1\t3", "empty": "", "fraction": "1\t2.5"} {
		if _, err := ReadCounts(strings.NewReader(in), 5); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
