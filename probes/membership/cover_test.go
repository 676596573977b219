package membership

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"assay/internal/fault"
	"assay/model/trace"
)

func TestHalve(t *testing.T) {
	for in, want := range map[string][2]string{
		"a b c d":       {"a b", " c d"},
		"a b c":         {"a", " b c"},
		" x\ty  z w\n":  {" x\ty", "  z w\n"},
		"one":           {"one", ""},
		"":              {"", ""},
		"zażółć gęślą ": {"zażółć", " gęślą "},
	} {
		if a, b := Halve(in); a != want[0] || b != want[1] {
			t.Errorf("Halve(%q) = %q, %q, want %q", in, a, b, want)
		}
	}
}

// The generated and true texts of n-gram coverage: index 14/11, balanced coverage of
// runs of 3 1/2, longest 3 words and 17 characters, counted by hand.
func TestCover(t *testing.T) {
	const rest, gen = "a quick brown fox jumped on the lazy dog and slept well today", "the quick brown fox sat on the lazy mat and slept"
	texts := []CoverText{
		{ID: "x", Text: strings.Repeat("w ", 12) + rest},
		{ID: "y", Text: "one"},
		{ID: "z", Text: "no one asked for this"},
	}
	_, r := Halve(texts[0].Text)
	if strings.TrimSpace(r) != rest {
		t.Fatalf("rest %q", r)
	}
	tab, err := Cover(texts, map[string][]string{"x": {gen, "  ", gen}, "y": {"two"}, "elsewhere": {"text"}})
	if err != nil {
		t.Fatal(err)
	}
	x := tab.Rows[0]
	near(t, "index", x.Score[0], 14./11, 1e-12)
	near(t, "mean over samples", x.Score[1], 2*14./11/3, 1e-12)
	near(t, "balanced", x.Score[2], .5, 1e-12)
	near(t, "words", x.Score[3], 3, 0)
	near(t, "characters", x.Score[4], 17, 0)
	if !math.IsNaN(tab.Rows[1].Score[0]) || tab.Rows[1].Why[0] != "no rest after the first half" || tab.Rows[2].Why[0] != "no generation" {
		t.Errorf("undefined rows %+v", tab.Rows[1:])
	}
	var codes []string
	for _, w := range tab.Warnings {
		codes = append(codes, w.Code)
	}
	if strings.Join(codes, " ") != "empty-generations generations-unmatched" {
		t.Errorf("warnings %v", codes)
	}
	if _, err := Cover([]CoverText{{ID: "a", Text: "b c"}, {ID: "a", Text: "b c"}}, nil); fault.As(err) == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("duplicate: %v", err)
	}
	if _, err := Cover(texts, nil); fault.As(err) == nil {
		t.Errorf("no generation: %v", err)
	}
}

func TestReadGenerations(t *testing.T) {
	g, err := ReadGenerations(strings.NewReader("{\"id\":\"a\",\"text\":\"x\",\"sample\":0}\n{\"id\":\"a\",\"text\":\"\"}\n"))
	if err != nil || len(g["a"]) != 2 {
		t.Fatal(g, err)
	}
	const head, line, end = `{"assay":{"schema":"assay.gens/1"}}`, `{"id":"a","sample":0,"ids":[1],"text":"x","stop":"eos","near_tie":-1}`, `{"end":{"records":1,"content":"00"}}`
	if g, err := ReadGenerations(strings.NewReader(head + "\n" + line + "\n" + end + "\n")); err != nil || len(g) != 1 {
		t.Errorf("a file of generate: %v, %v", g, err)
	}
	if _, err := ReadGenerations(strings.NewReader(head + "\n" + line + "\n")); fault.As(err) == nil || fault.As(err).Class != fault.Retry {
		t.Errorf("cut off: %v", err)
	}
	for name, in := range map[string]string{"no id": `{"text":"x"}`, "no text": `{"id":"x"}`, "cut": `{"id":`, "empty line": "\n{}", "utf8": "{\"id\":\"\xff\",\"text\":\"\"}", "array": "[]"} {
		if _, err := ReadGenerations(strings.NewReader(in)); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: %v, want an input fault", name, err)
		}
	}
}

func TestDatedRows(t *testing.T) {
	day := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	tab := Table{Names: []string{"loss"}, Rows: []Row{
		{ID: "before", Date: day.AddDate(0, 0, -3), Score: []float64{-1}, Bytes: 7},
		{ID: "on", Date: day, Score: []float64{-2}, Bytes: trace.Null},
		{ID: "undated", Score: []float64{-3}},
	}}
	d, undated, err := tab.Dated("loss", day)
	if err != nil || len(d) != 2 || undated != 1 || d[0].Days != -3 || d[1].Days != 0 || d[0].Bytes != 7 || !math.IsNaN(d[1].Bytes) {
		t.Errorf("%+v, %d, %v", d, undated, err)
	}
	if _, _, err := tab.Dated("zlib", day); fault.As(err) == nil {
		t.Error("unknown score: no error")
	}
	if _, _, err := (Table{Names: []string{"loss"}, Rows: tab.Rows[2:]}).Dated("loss", day); fault.As(err) == nil || !strings.Contains(err.Error(), "found no date") {
		t.Errorf("no dates: %v", err)
	}
	var b bytes.Buffer
	if err := WriteCutoff(&b, "svg", "loss", d, CutoffOptions{Bandwidth: 30}); err != nil || !strings.Contains(b.String(), "<svg") {
		t.Errorf("figure: %v", err)
	}
}

// A map of a document by windows; what cannot be measured is a row with its reason.
func TestExtractAll(t *testing.T) {
	n := 8
	d := trace.DocTokens{Doc: trace.Doc{ID: "d", Status: trace.StatusOK}}
	for i := range n {
		d.Tokens.Pos = append(d.Tokens.Pos, int32(i))
		d.Tokens.ID, d.Tokens.ArgmaxID = append(d.Tokens.ID, 1), append(d.Tokens.ArgmaxID, int32(1+i/6))
		d.Tokens.Scored = append(d.Tokens.Scored, i > 0)
		d.Tokens.Logprob = append(d.Tokens.Logprob, float32(-i))
	}
	rows, err := ExtractAll(d, nil, "", Window{2, 2, 1}, Sampler{})
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d windows, %v", len(rows), err)
	}
	for i, x := range rows { // ln p = -(i+2) - (i+3); greedy until a token at place 6
		if x.LogProb != -float64(2*i+5) || x.Greedy != (i+3 < 6) || x.From != i || x.Low {
			t.Errorf("window %d: %+v", i, x)
		}
	}
	ref := d
	ref.Tokens.Logprob = make([]float32, n)
	rows, err = ExtractAll(d, &ref, "", Window{2, 2, 0}, Sampler{})
	if err != nil || len(rows) != 1 || !rows[0].Low || rows[0].RefBits != 0 {
		t.Errorf("a suffix that the reference knows: %+v, %v", rows, err)
	}
	ref.Doc.ID = "other"
	if _, err := ExtractAll(d, &ref, "", Window{2, 2, 0}, Sampler{}); fault.As(err) == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("another reference: %v", err)
	}
	if rows, _ := ExtractAll(d, nil, "", Window{6, 4, 0}, Sampler{}); len(rows) != 1 || rows[0].Status != "too-short" || !math.IsNaN(rows[0].LogProb) {
		t.Errorf("too short: %+v", rows)
	}
	d.Tokens.Scored[3] = false
	if rows, _ := ExtractAll(d, nil, "", Window{2, 2, 0}, Sampler{}); rows[0].Status != "unscored" {
		t.Errorf("unscored: %+v", rows)
	}
}
