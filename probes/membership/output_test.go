package membership

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"assay/internal/fault"
	"assay/model/trace"
)

func TestCalibrate(t *testing.T) {
	src := goldenSources(t, trace.Options{})
	list, _ := Parse("loss,mink")
	table, err := Build(src, list)
	if err != nil {
		t.Fatal(err)
	}
	th, err := Calibrate(table, .2)
	if err != nil {
		t.Fatal(err)
	}
	b, found := th.Find("loss", 45)
	if !found || b.Lo != 32 || b.Controls < 5 {
		t.Fatalf("%+v", th)
	}
	// Every score strictly above the threshold has a conformal p of at most alpha.
	var c []float64
	for _, r := range table.Rows {
		if r.Tokens >= 32 && r.Tokens < 64 {
			c = append(c, r.Score[0])
		}
	}
	slices.Sort(c)
	if p := Conformal(*b.Value, c); p > .2 {
		t.Errorf("p at the threshold %v", p)
	}
	if p := Conformal(math.Nextafter(*b.Value, math.Inf(-1)), c); p <= .2 {
		t.Errorf("p just below the threshold %v: it could be lower", p)
	}
	if th, _ = Calibrate(table, .01); th.Buckets[0].Value != nil {
		t.Errorf("16 controls cannot show 1 %%: %+v", th.Buckets[0])
	}
	j, _ := json.Marshal(th)
	if _, err := ReadThresholds(bytes.NewReader(j), table.Weights); err != nil {
		t.Error(err)
	}
	if _, err := ReadThresholds(bytes.NewReader(j), "sha256:other"); fault.As(err) == nil || fault.As(err).Code != "weights" {
		t.Errorf("other weights: %v", err)
	}
	if _, err := Calibrate(Table{Names: []string{"loss"}}, .1); fault.As(err) == nil {
		t.Errorf("no controls: %v", err)
	}
}

func TestSignature(t *testing.T) {
	// The two rows of the signature vector, V = 4 (numpy 2.4).
	ln := func(p ...float64) (out []float32) {
		for _, x := range p {
			out = append(out, float32(math.Log(x)))
		}
		return out
	}
	d := trace.DocTokens{Doc: trace.Doc{ID: "x"}, Tokens: trace.Tokens{
		Pos: []int32{0, 1}, Scored: []bool{true, true}, ID: []int32{0, 3}, Rank: []int32{0, 2},
		Logprob: []float32{-.356675, -1.609438}, Entropy: []float32{.914286, 1.366159}, SD: []float32{.878581, .198637},
		UMean: []float32{-1.888028, -1.406705}, USD: []float32{1.117138, .234095},
		TopID: [][]int32{{0, 2, 1, 3}, {0, 1, 2, 3}}, TopLogprob: [][]float32{ln(.7, .15, .1, .05), ln(.3, .3, .2, .2)},
	}}
	rows, flat, err := SignatureRows(d, 4, SignatureOptions{TopK: 2})
	if err != nil || len(rows) != 2 || flat != 0 {
		t.Fatal(rows, flat, err)
	}
	near(t, "top z 1", float64(rows[0].TopZ[0]), 1.370783, 2e-6)
	near(t, "top z 2", float64(rows[0].TopZ[1]), -.008139, 2e-6)
	near(t, "scale", float64(rows[0].Scale), 1, 0)
	near(t, "z", float64(rows[1].Z), -.866025, 5e-6)
	near(t, "scale of rank 2", float64(rows[1].Scale), 0, 0)
	f := SignatureFeatures(rows)
	near(t, "lp_mean", f[0], (-.356675-1.609438)/2, 1e-6)
	near(t, "share_rank0", f[14], .5, 0)
	near(t, "mean_gap", f[17], (0+math.Log(.3/.2))/2, 1e-6)
	if len(f) != 20 {
		t.Errorf("%d features, want 20", len(f))
	}
	if _, _, err := SignatureRows(d, 2048, SignatureOptions{}); fault.As(err) == nil {
		t.Errorf("top-k 20 from 4 entries: %v", err)
	}
}

func TestExportSignature(t *testing.T) {
	of := identity("11")
	of.Checkpoint.Vocab = 4
	tok := trace.Tokens{ID: []int32{0, 3}, ByteOff: []int64{0, 1}, ByteLen: []int32{1, 1},
		Logprob: []float32{0, -1.609438}, Entropy: []float32{0, 1.366159}, SD: []float32{0, .198637}, Rank: []int32{0, 2},
		ArgmaxID: []int32{0, 0}, ArgmaxLogprob: []float32{0, -1.2039728}, UMean: []float32{0, -1.406705}, USD: []float32{0, .234095},
		TopID: [][]int32{{0, 1}, {0, 1}}, TopLogprob: [][]float32{{-1.2039728, -1.2039728}, {-1.2039728, -1.2039728}}}
	r := write(t, "s.parquet", of, trace.Options{Moments: true, TopK: 2}, []trace.Doc{trace.TextDoc(0, "ab", []byte("ab"))}, []trace.Tokens{tok})
	var b bytes.Buffer
	n, flat, err := ExportSignature(r, &b, SignatureOptions{TopK: 2})
	if err != nil || n != 1 || flat != 0 {
		t.Fatal(n, flat, err)
	}
	back, err := parquet.Read[TokenRow](bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || len(back) != 1 || back[0].DocID != "ab" || len(back[0].TopZ) != 2 || back[0].Rank != 2 {
		t.Errorf("%+v, %v", back, err)
	}
	src := goldenSources(t, trace.Options{})
	if _, _, err := ExportSignature(src.Suspect, &b, SignatureOptions{}); fault.As(err) == nil || !strings.Contains(fmt.Sprint(fault.As(err).Hints, err), "--") {
		t.Errorf("no moments: %v", err)
	}
}

func TestPlots(t *testing.T) {
	src := goldenSources(t, trace.Options{})
	list, _ := Parse("loss,zlib")
	table, err := Build(src, list)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := EvalOptions{}.Curves(table)
	if err != nil || len(cs) != 2 {
		t.Fatal(cs, err)
	}
	for format, magic := range map[string]string{"svg": "<?xml", "png": "\x89PNG"} {
		var a, b, c bytes.Buffer
		if err := WriteROC(&a, format, cs); err != nil {
			t.Fatal(err)
		}
		if err := WriteScores(&c, format, cs[0]); err != nil {
			t.Fatal(err)
		}
		_ = WriteROC(&b, format, cs)
		if !strings.HasPrefix(a.String(), magic) || !strings.HasPrefix(c.String(), magic) || a.String() != b.String() {
			t.Errorf("%s: begins %q, or two runs differ", format, a.String()[:5])
		}
	}
	var a bytes.Buffer
	if err := WriteROC(&a, "pdf", cs); fault.As(err) == nil {
		t.Errorf("format pdf: %v", err)
	}
	if err := WriteScores(&a, "svg", Curve{Name: "x", Score: []float64{math.NaN()}, Label: []int{1}}); fault.As(err) == nil {
		t.Errorf("no value: %v", err)
	}
}

func TestPerturb(t *testing.T) {
	text := "The Quick brown fox jumps over the lazy dog and runs away into the night."
	syn := make(map[string][]string)
	for _, w := range strings.Fields(strings.ToLower(text)) {
		syn[w] = []string{"other"}
	}
	for _, e := range Edits() {
		a, err := Perturb(text, e, 1, syn)
		if err != nil || a == text || a == "" {
			t.Errorf("%s: %q, %v", e.Name, a, err)
		}
		b, _ := Perturb(text, e, 1, syn)
		if a != b {
			t.Errorf("%s: two runs differ", e.Name)
		}
	}
	if _, err := Perturb(text, Edit{"synonym", .2}, 1, nil); fault.As(err) == nil {
		t.Errorf("no synonyms: %v", err)
	}
	s := Swap(text, .3, 1, 0)
	a, b := strings.Fields(s), strings.Fields(text)
	slices.Sort(a)
	slices.Sort(b)
	if s == text || !slices.Equal(a, b) {
		t.Errorf("swapped copy %q", s)
	}
	f := Features{Names: []string{"x"}, Rows: []FeatureRow{{ID: "a", X: []float64{1}}, {ID: "b", X: []float64{2}}}}
	g := f.PerturbedFeatures(map[string]float64{"a": 2}, map[string]map[int]float64{"a": {0: 3, 1: 2}})
	if len(g.Names) != 13 || g.Rows[0].X[1] != 1.5 || g.Rows[0].X[2] != 1 || !math.IsNaN(g.Rows[0].X[5]) || !math.IsNaN(g.Rows[1].X[1]) {
		t.Errorf("%+v", g)
	}
}
