package compare

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/probes"
)

// fake is a checkpoint in memory.
type fake struct {
	name    string
	tensors []Tensor
	values  map[string][]float64
	files   map[string]string
	digests Digests
}

func (f *fake) Path() string      { return f.name }
func (f *fake) Tensors() []Tensor { return f.tensors }
func (f *fake) Digests() Digests  { return f.digests }
func (f *fake) File(n string) ([]byte, error) {
	if s, ok := f.files[n]; ok {
		return []byte(s), nil
	}
	return nil, nil
}
func (f *fake) Open(n string) (Reader, error) { return slice(f.values[n]), nil }

type slice []float64

func (s slice) Read(at int, dst []float64) error { copy(dst, s[at:at+len(dst)]); return nil }

// of makes a checkpoint from name, type, shape and values.
func of(name string, ts ...any) *fake {
	f := &fake{name: name, values: map[string][]float64{}, files: map[string]string{}}
	for i := 0; i < len(ts); i += 4 {
		n := ts[i].(string)
		f.tensors = append(f.tensors, Tensor{n, ts[i+1].(string), ts[i+2].([]int)})
		f.values[n] = ts[i+3].([]float64)
	}
	slices.SortFunc(f.tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return f
}

func run(t *testing.T, a, b *fake) *Report {
	t.Helper()
	var out *Report
	for _, w := range []int{1, 3} { // the number of workers changes nothing
		r, err := Weights(context.Background(), a, b, Options{Workers: w})
		if err != nil {
			t.Fatal(err)
		}
		if out != nil {
			x, _ := json.Marshal(out)
			y, _ := json.Marshal(r)
			if string(x) != string(y) {
				t.Fatal("1 and 3 workers give different reports")
			}
		}
		out = r
	}
	return out
}

func find(t *testing.T, r *Report, name string) Row {
	t.Helper()
	for _, x := range r.Tensors {
		if x.Name == name {
			return x
		}
	}
	t.Fatalf("no tensor %q", name)
	return Row{}
}

func near(t *testing.T, what string, got *float64, want, tol float64) {
	t.Helper()
	if got == nil || !(math.Abs(*got-want) <= tol*(1+math.Abs(want))) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// By hand: |(0,0,-1)|/|(1,2,2)| = 1/3, 11/(3 sqrt 14) = .979957887012223.
func TestDistance(t *testing.T) {
	r := run(t, of("a", "w", "F32", []int{3}, []float64{1, 2, 2}), of("b", "w", "F32", []int{3}, []float64{1, 2, 3}))
	w := find(t, r, "w")
	if w.Status != Differs {
		t.Errorf("status %s", w.Status)
	}
	near(t, "r", w.R, 1./3, 1e-15)
	near(t, "cosine", w.Cosine, .979957887012223, 1e-15)
	near(t, "max", w.MaxAbs, 1, 0)
	if r.Verdict.Finding != "differs" || Require(SameWeights, r.Result) == nil {
		t.Errorf("finding %q, or same-weights holds", r.Verdict.Finding)
	}
}

func TestStatus(t *testing.T) {
	// torch 2.15: bfloat16 of 1, 1.00390625, 1.01171875, 0.1.
	x, y := []float64{1, 1.00390625, 1.01171875, float64(float32(.1))}, []float64{1, 1, 1.015625, .10009765625}
	n := []int{4}
	a := of("a", "same", "F32", n, x, "wide", "BF16", n, y, "round", "F32", n, x, "up", "F32", n, y, "inplace", "F32", n, x, "zero", "F32", n, []float64{0, 1, 2, 3}, "gone", "F32", n, []float64{9, 9, 9, 9}, "shape", "F32", n, x)
	b := of("b", "same", "F32", n, x, "wide", "F32", n, y, "round", "BF16", n, y, "up", "F32", n, x, "inplace", "F32", n, y, "zero", "F32", n, []float64{math.Copysign(0, -1), 1, 2, 3}, "new", "F32", n, []float64{8, 9, 9, 9}, "shape", "F32", []int{2, 2}, x)
	r := run(t, a, b)
	for name, want := range map[string][2]string{
		"same": {Identical, ""}, "wide": {Cast, "widened"}, "round": {Cast, "B is A rounded to BF16"}, "up": {Cast, "A is B rounded to BF16"},
		"inplace": {Cast, "B is A rounded to BF16"}, "zero": {Differs, ""}, "gone": {OnlyA, ""}, "new": {OnlyB, ""}, "shape": {Shape, ""},
	} {
		if w := find(t, r, name); w.Status != want[0] || w.How != want[1] {
			t.Errorf("%s: %s %q, want %v", name, w.Status, w.How, want)
		}
	}
	if r.N["cast"] != 4 || r.N["identical"] != 1 || r.N["only_a"] != 1 || r.N["only_b"] != 1 || r.N["shape"] != 1 {
		t.Errorf("counts %v", r.N)
	}
	// One of each way in which weights are not the same: 3 lossy casts, zero, shape, gone, new.
	for _, c := range r.Checks {
		if c.Name == SameWeights && (c.Pass || c.Value != 7) {
			t.Errorf("same-weights: %+v, want 7 tensors", c)
		}
	}
}

func TestSameUnderAnotherTypeAndName(t *testing.T) {
	x := []float64{1, -2, .5, 3, 0, 7}
	a := of("a", "model.layers.0.mlp.up.weight", "BF16", []int{2, 3}, x, "model.norm.weight", "F32", []int{3}, []float64{1, 1, 1}, "model.layers.0.norm.weight", "F32", []int{3}, []float64{1, 1, 1})
	b := of("b", "transformer.h.0.ffn.w1", "F32", []int{2, 3}, x, "z.norm", "F32", []int{3}, []float64{1, 1, 1}, "y.norm", "F32", []int{3}, []float64{1, 1, 1})
	r := run(t, a, b)
	if w := find(t, r, "model.layers.0.mlp.up.weight"); w.Other != "transformer.h.0.ffn.w1" || w.Status != Cast || w.How != "widened" || w.Block != "0" || w.Kind != "mlp" {
		t.Errorf("%+v", w)
	}
	if err := Require(SameWeights, r.Result); err != nil {
		t.Errorf("same weights under other names: %v", err)
	}
	if r.N["renamed"] != 3 || r.Verdict.Finding != "same-weights" {
		t.Errorf("%v, %s", r.N, r.Verdict.Finding)
	}
	var codes []string
	for _, w := range r.Warnings {
		codes = append(codes, w.Code)
	}
	if !slices.Contains(codes, "renamed") || !slices.Contains(codes, "ambiguous") {
		t.Errorf("warnings %v, want renamed and ambiguous", codes)
	}
}

func TestNothingOfOneShape(t *testing.T) {
	r := run(t, of("a", "w", "F32", []int{2}, []float64{1, 2}), of("b", "w", "F32", []int{1}, []float64{1}))
	for _, e := range r.Estimates {
		if e.Value != nil {
			t.Errorf("%s = %v, want null", e.Name, *e.Value)
		}
	}
	if r.Verdict.Finding != "other-shape" {
		t.Errorf("finding %s", r.Verdict.Finding)
	}
}

func TestNonFiniteAndZero(t *testing.T) {
	n := []int{3}
	r := run(t, of("a", "w", "F32", n, []float64{math.NaN(), 1, math.Inf(1)}, "z", "F32", n, []float64{0, 0, 0}), of("b", "w", "F32", n, []float64{1, 2, math.Inf(1)}, "z", "F32", n, []float64{0, 0, 1}))
	w := find(t, r, "w")
	near(t, "r of the finite values", w.R, 1, 0)
	if z := find(t, r, "z"); z.R != nil || z.Cosine != nil || z.Status != Differs {
		t.Errorf("a zero tensor: %+v, want r and cosine null", z)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(r.Warnings, func(w probes.Warning) bool { return w.Code == "nonfinite" }) {
		t.Errorf("no warning nonfinite in %v", r.Warnings)
	}
}

const tokenizerA = `{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}, "added_tokens": [{"id": 3, "content": "<s>", "special": true}], "pre_tokenizer": null, "truncation": null}`

func TestTokenizers(t *testing.T) {
	for name, c := range map[string]struct {
		other string
		want  TokenizerDiff
	}{
		"merges as pairs":  {strings.Replace(tokenizerA, `"a b"`, `["a", "b"]`, 1), TokenizerDiff{Same: true, Common: 4, Merges: "same"}},
		"truncation":       {strings.Replace(tokenizerA, `"truncation": null`, `"truncation": {"max_length": 5}`, 1), TokenizerDiff{Same: true, Common: 4, Merges: "same"}},
		"moved":            {strings.Replace(tokenizerA, `"a": 0, "b": 1`, `"a": 1, "b": 0`, 1), TokenizerDiff{Moved: 2, Common: 4, Merges: "same"}},
		"another token":    {strings.Replace(tokenizerA, `"ab": 2`, `"ac": 2`, 1), TokenizerDiff{OnlyA: 1, OnlyB: 1, Common: 3, Merges: "same"}},
		"no merges":        {strings.Replace(tokenizerA, `"a b"`, ``, 1), TokenizerDiff{Common: 4, Merges: "1 and 0, the first difference at 0"}},
		"other pre":        {strings.Replace(tokenizerA, `"pre_tokenizer": null`, `"pre_tokenizer": {"type": "Split"}`, 1), TokenizerDiff{Common: 4, Merges: "same"}},
		"special is plain": {strings.Replace(tokenizerA, `"special": true`, `"special": false`, 1), TokenizerDiff{Common: 4, Merges: "same"}},
	} {
		a, b := of("a", "w", "F32", []int{1}, []float64{1}), of("b", "w", "F32", []int{1}, []float64{1})
		a.files["tokenizer.json"], b.files["tokenizer.json"] = tokenizerA, c.other
		r := run(t, a, b)
		d := *r.Tokenizer
		if d.Same != c.want.Same || d.OnlyA != c.want.OnlyA || d.OnlyB != c.want.OnlyB || d.Moved != c.want.Moved || d.Common != c.want.Common || d.Merges != c.want.Merges {
			t.Errorf("%s: %+v, want %+v", name, d, c.want)
		}
		if err := Require(SameTokenizer, r.Result); (err == nil) != c.want.Same {
			t.Errorf("%s: require: %v", name, err)
		}
	}
	a, b := of("a", "w", "F32", []int{1}, []float64{1}), of("b", "w", "F32", []int{1}, []float64{1})
	for _, bad := range []string{"", "{", "[]", `{"model": 1}`, `{"model": {"vocab": 3}}`, `{"model": {"vocab": [["a"]]}}`, `{"model": {"vocab": {}, "merges": [3]}}`} {
		a.files["tokenizer.json"] = bad
		if _, err := Weights(context.Background(), a, b, Options{}); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("tokenizer %q: %v, want an input error", bad, err)
		}
	}
}

// Rows of the same token are compared although they moved and one matrix has a
// padding row.
func TestRowsByToken(t *testing.T) {
	a := of("a", "embed.weight", "F32", []int{4, 2}, []float64{1, 2, 3, 4, 5, 6, 7, 8})
	b := of("b", "embed.weight", "F32", []int{5, 2}, []float64{3, 4, 1, 2, 5, 7, 7, 8, 0, 0})
	a.files["tokenizer.json"] = tokenizerA
	b.files["tokenizer.json"] = strings.Replace(tokenizerA, `"a": 0, "b": 1`, `"a": 1, "b": 0`, 1)
	w := find(t, run(t, a, b), "embed.weight")
	if w.Status != Shape || w.Rows == nil || w.Rows.Matched != 4 || w.Rows.Identical != 3 {
		t.Fatalf("%+v, rows %+v", w, w.Rows)
	}
	// By hand: the only difference is 6 against 7; |A|^2 = 204.
	near(t, "r", w.Rows.R, 1/math.Sqrt(204), 1e-15)
}

func TestConfig(t *testing.T) {
	a, b := of("a", "w", "F32", []int{1}, []float64{1}), of("b", "w", "F32", []int{1}, []float64{1})
	a.files["config.json"] = `{"eps": 1e-5, "rope": {"theta": 10000.0, "x": [1, 2]}, "only": true, "mask": -Infinity}`
	b.files["config.json"] = `{"eps": 0.00001, "rope": {"theta": 10000, "x": [1, 3]}, "mask": -Infinity}`
	r := run(t, a, b)
	if len(r.Config) != 2 || r.Config[0] != (Difference{"only", "true", ""}) || r.Config[1] != (Difference{"rope.x", "[1,2]", "[1,3]"}) {
		t.Errorf("%+v", r.Config)
	}
	a.files["config.json"] = "{"
	if _, err := Weights(context.Background(), a, b, Options{}); fault.As(err) == nil || fault.As(err).Class != fault.Input {
		t.Errorf("a broken configuration: %v, want an input error", err)
	}
}

func TestBytesOfFiles(t *testing.T) {
	a, b := of("a", "w", "F32", []int{1}, []float64{1}), of("b", "w", "F32", []int{1}, []float64{1})
	a.digests.Files = map[string]string{"model.safetensors": "sha256:1"}
	b.digests.Files = map[string]string{"model.safetensors": "sha256:1"}
	if err := Require(SameBytes, run(t, a, b).Result); err != nil {
		t.Error(err)
	}
	b.digests.Files["config.json"] = "sha256:2"
	if err := Require(SameBytes, run(t, a, b).Result); fault.As(err) == nil || fault.As(err).Class != fault.Check {
		t.Errorf("another file: %v, want a failed check", err)
	}
	if err := Require("same-scores", run(t, a, b).Result); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("no scores: %v, want a usage error", err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	a := of("a", "w", "F32", []int{1}, []float64{1})
	if _, err := Weights(ctx, a, a, Options{}); err == nil {
		t.Error("a cancelled context gave a report")
	}
}

func TestIgnore(t *testing.T) {
	n := []int{1}
	a, b := of("a", "w", "F32", n, []float64{1}, "x.inv_freq", "F32", n, []float64{1}), of("b", "w", "F32", n, []float64{1})
	r, err := Weights(context.Background(), a, b, Options{Ignore: []string{"*.inv_freq"}})
	if err != nil || len(r.Tensors) != 1 || Require(SameWeights, r.Result) != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Weights(context.Background(), a, b, Options{Ignore: []string{"["}}); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("a bad pattern: %v", err)
	}
	if _, err := Weights(context.Background(), a, b, Options{Ignore: []string{"*"}}); fault.As(err) == nil {
		t.Errorf("nothing left: %v, want an error", err)
	}
}

func TestKinds(t *testing.T) {
	for name, want := range map[string][2]string{
		"model.layers.12.self_attn.q_proj.weight": {"12", "attention"}, "model.layers.3.post_attention_layernorm.weight": {"3", "norm"},
		"transformer.h.0.mlp.c_fc.weight": {"0", "mlp"}, "gpt_neox.embed_in.weight": {"", "embedding"}, "embed_out.weight": {"", "head"}, "lm_head.weight": {"", "head"},
		"model.layers.1.mlp.experts.7.down_proj.weight": {"1", "mlp"}, "transformer.ln_f.bias": {"", "norm"}, "model.decoder.layers.0.self_attn_layer_norm.bias": {"0", "norm"},
	} {
		if b, k := block(name), kindOf(name); b != want[0] || k != want[1] {
			t.Errorf("%s: block %q, kind %s; want %v", name, b, k, want)
		}
	}
	names := []string{"h.10.w", "h.2.w", "h.2.b", "a"}
	slices.SortFunc(names, natural)
	if !slices.Equal(names, []string{"a", "h.2.b", "h.2.w", "h.10.w"}) {
		t.Errorf("order %v", names)
	}
}

// expected is testdata/expected.json (make_expected.py: torch 2.15, numpy 2.4).
type expected struct {
	Rounding [][3]uint32
	Demo     map[string]struct {
		R, Cosine float64
		Max       float64 `json:"max_abs"`
	}
	Traces struct {
		Docs []struct {
			A, B       []float32
			TopA, TopB []int32
			Bytes      int64
		}
		Mean, RMS, Max, Ratio, Top1 float64
		BPBA                        float64 `json:"bpb_a"`
		BPBB                        float64 `json:"bpb_b"`
		BPBDocuments                float64 `json:"bpb_documents"`
	}
}

func readExpected(t *testing.T) expected {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	b = []byte(strings.NewReplacer(`"top_a"`, `"TopA"`, `"top_b"`, `"TopB"`).Replace(string(b)))
	var e expected
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestRoundingAgainstTorch(t *testing.T) {
	for _, c := range readExpected(t).Rounding {
		x, bf, h := float64(math.Float32frombits(c[0])), math.Float32frombits(c[1]), math.Float32frombits(c[2])
		if got := float32(RoundBF16(x)); math.Float32bits(got) != math.Float32bits(bf) {
			t.Errorf("bfloat16 of %x (%v): %x, want %x", c[0], x, math.Float32bits(got), c[1])
		}
		if got := float32(RoundF16(x)); math.Float32bits(got) != math.Float32bits(h) {
			t.Errorf("float16 of %x (%v): %x, want %x", c[0], x, math.Float32bits(got), c[2])
		}
	}
}
