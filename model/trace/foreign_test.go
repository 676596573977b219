package trace

import (
	"math"
	"testing"
)

// A trace that pyarrow 26.0.1 wrote again (testdata/rewrite.py): snappy, dictionaries,
// pages of version 1, optional list elements, row groups of 100. Its rows are the
// same, so all digests hold; only the files' seals are not those of the writer.
func TestForeignWriter(t *testing.T) {
	rep, err := Check("testdata/pyarrow.parquet", 3)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Failed != 2 || rep.Findings[0].Law != "seal" || rep.Findings[1].Law != "seal" || rep.Docs != 30 || rep.Rows != 486 {
		t.Errorf("%d documents, %d rows, findings %v; want two about seals", rep.Docs, rep.Rows, rep.Findings)
	}
	r, err := Open("testdata/pyarrow.parquet")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sum, n := 0.0, 0
	for x, err := range r.Columns("logprob", "scored", "top_logprob") {
		if err != nil {
			t.Fatal(err)
		}
		for i, ok := range x.Tokens.Scored {
			if ok != (x.Tokens.TopLogprob[i] != nil) {
				t.Fatalf("document %d row %d: scored %v, list %v", x.Doc.Doc, i, ok, x.Tokens.TopLogprob[i])
			}
			if ok {
				sum, n = sum+float64(x.Tokens.Logprob[i]), n+1
			}
		}
	}
	// polars 2.1.0: filter(scored)["logprob"].cast(Float64).sum(), and its length.
	if math.Abs(sum+2608.4834722280502) > 1e-9 || n != 467 {
		t.Errorf("sum %v over %d rows, want -2608.4834722280502 over 467", sum, n)
	}
	for _, doc := range []int32{20, 3, 29, 0} {
		x, err := r.Tokens(doc)
		if err != nil {
			t.Fatal(err)
		}
		if x.Len() > 0 && len(x.TopID[x.Len()-1]) != 2 {
			t.Errorf("document %d: lists of %d", doc, len(x.TopID[x.Len()-1]))
		}
	}
}
