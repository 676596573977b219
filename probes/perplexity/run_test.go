package perplexity

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/stat"
)

func near(t *testing.T, name string, got, want, tol float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tol {
		t.Errorf("%s = %.12g, want %.12g within %g", name, got, want, tol)
	}
}

func get(t *testing.T, r probes.Result, name string) probes.Estimate {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no estimate %q in %v", name, names(r))
	return probes.Estimate{}
}

func names(r probes.Result) (n []string) {
	for _, e := range r.Estimates {
		n = append(n, e.Name)
	}
	return n
}

func codes(r probes.Result) (c []string) {
	for _, w := range r.Warnings {
		c = append(c, w.Code)
	}
	return c
}

func value(t *testing.T, r probes.Result, name string) float64 {
	t.Helper()
	e := get(t, r, name)
	if e.Value == nil {
		t.Fatalf("%s is null", name)
	}
	return *e.Value
}

// scoredDoc plays the planner: every target i with c ids before it costs nll(i, c).
func scoredDoc(t *testing.T, p window.Policy, prefix, n int, nll func(i, ctx int) float64) trace.DocTokens {
	t.Helper()
	ws, err := window.Plan(p, prefix, 0, n)
	if err != nil {
		t.Fatal(err)
	}
	d := trace.DocTokens{Doc: trace.Doc{ID: "x", Status: trace.StatusOK, Tokens: int32(n), Bytes: int64(2 * n), Chars: int64(2 * n), Words: int64(n / 2), Pieces: int64(n / 2), Windows: int32(len(ws))}}
	tk := &d.Tokens
	for i := range n {
		tk.Pos, tk.ByteOff, tk.ByteLen = append(tk.Pos, int32(i)), append(tk.ByteOff, int64(2*i)), append(tk.ByteLen, 2)
		tk.Scored = append(tk.Scored, false)
		tk.Window, tk.Ctx = append(tk.Window, trace.Null), append(tk.Ctx, trace.Null)
		tk.Logprob = append(tk.Logprob, float32(math.NaN()))
	}
	for k, w := range ws {
		for i := w.Lo; i < w.Hi; i++ {
			pos := i - prefix
			x := nll(pos, w.Ctx(i))
			tk.Scored[pos], tk.Window[pos], tk.Ctx[pos], tk.Logprob[pos] = true, int32(k), int32(w.Ctx(i)), float32(-x)
			d.Doc.Scored++
			d.Doc.SumLogprob += float64(float32(-x))
			d.Doc.SumLogprob2 += float64(float32(-x)) * float64(float32(-x))
		}
	}
	return d
}

func sampleOf(t *testing.T, p window.Policy, ds ...trace.DocTokens) Sample {
	t.Helper()
	s := Sample{Policy: p, Tokenizer: "sha256:abcdef0123456789"}
	bins := make(map[int]*Bin)
	for _, d := range ds {
		u, err := unit(d.Doc)
		if err != nil {
			t.Fatal(err)
		}
		ws, err := rows(&u, d, bins)
		if err != nil {
			t.Fatal(err)
		}
		s.Units = append(s.Units, u)
		s.Blocks = ws
	}
	for lo := 1; lo < 1<<20; lo *= 2 {
		if bins[lo] != nil {
			s.Bins = append(s.Bins, *bins[lo])
		}
	}
	return s
}

func TestPoliciesOfOneText(t *testing.T) {
	// numpy 2.4 over an independent Python planner; costs are stored as float32.
	for _, c := range []struct {
		p      window.Policy
		prefix int
		ppl, a float64
	}{
		{window.Policy{Name: "full", Window: 1000}, 0, 11.565740431, 2445.599269725},
		{window.Policy{Name: "full", Window: 1000}, 1, 11.560594240, 2447.602266728},
		{window.Policy{Name: "hf-stride", Window: 64, Stride: 16}, 0, 12.060417195, 2487.438855177},
		{window.Policy{Name: "hf-stride-doc", Window: 64, Stride: 16}, 0, 12.066122614, 0},
		{window.Policy{Name: "hf-stride", Window: 64, Stride: 64}, 0, 13.600028247, 2568.310719784},
		{window.Policy{Name: "hf-stride", Window: 64, Stride: 16}, 1, 12.055144361, 2489.491486756},
		{window.Policy{Name: "mimir", Window: 64}, 0, 12.184495274, 2497.664100004},
		{window.Policy{Name: "lmeval-rolling", Window: 64, Context: 1}, 1, 13.465625885, 2600.140207526},
		{window.Policy{Name: "lmeval-rolling", Window: 64, Context: 17}, 1, 12.379153905, 2516.013921207},
		{window.Policy{Name: "oren", Window: 64, Stride: 16}, 0, 12.049687499, 2486.549687202},
		{window.Policy{Name: "llamacpp", Window: 64}, 0, 12.092457771, 1159.050599080},
		{window.Policy{Name: "llamacpp", Window: 64}, 1, 12.107327068, 1159.622027651},
		{window.Policy{Name: "llamacpp-stride", Window: 64, Stride: 16}, 0, 11.874570526, 2296.242441846},
		{window.Policy{Name: "gptq", Window: 64}, 0, 13.556307644, 2463.475090667},
	} {
		d := scoredDoc(t, c.p, c.prefix, 1000, func(i, ctx int) float64 { return 2 + 3/(1+float64(ctx)) + float64(i%7)/7 })
		s := sampleOf(t, c.p, d)
		r, err := Run(s, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.p.Name, err)
			continue
		}
		near(t, c.p.Name+" ppl_token", value(t, r, "ppl_token"), c.ppl, 2e-6*c.ppl)
		if c.a > 0 {
			near(t, c.p.Name+" A", s.Units[0].Nats, c.a, 1e-6*c.a)
		} else if s.Units[0].Loop.Weight != 940 {
			t.Errorf("weight %v, want 940", s.Units[0].Loop.Weight)
		}
		if only := strings.HasPrefix(c.p.Name, "llamacpp") || c.p.Name == "hf-stride-doc"; only == slices.Contains(names(r), "bpb") {
			t.Errorf("%s: figures %v: bits per byte belong to plain sums over the whole text", c.p.Name, names(r))
		}
		if m := get(t, r, "ppl_token").Method; !strings.Contains(m, "policy "+c.p.Name) || !strings.Contains(m, "abcdef012345") {
			t.Errorf("%s: method %q does not name policy and tokenizer", c.p.Name, m)
		}
	}
	// nll of target i is i: 5.0 and, by the documented loop, 4.25 (by hand).
	for name, want := range map[string]float64{"hf-stride": 5, "hf-stride-doc": 4.25} {
		p := window.Policy{Name: name, Window: 4, Stride: 2}
		r, err := Run(sampleOf(t, p, scoredDoc(t, p, 0, 10, func(i, _ int) float64 { return float64(i) })), Options{})
		if err != nil {
			t.Fatal(err)
		}
		near(t, name, value(t, r, "nll_token"), want, 1e-6)
	}
}

func TestUnits(t *testing.T) {
	// Python floats: "Zażółć gęślą jaźń", 17 code points, 26 bytes, 3 words, A = 40, T = 12.
	d := trace.TextDoc(0, "pl", []byte("Zażółć gęślą jaźń"))
	d.Status, d.Tokens, d.Scored, d.SumLogprob, d.SumLogprob2 = trace.StatusOK, 12, 12, -40, 200
	u, err := unit(d)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(Sample{Units: []Unit{u}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"ppl_token": 28.031624895, "ppl_byte": 4.657419496, "bpb": 2.219530832, "bpc": 3.394576567, "bpt": 4.808983470,
	} {
		near(t, name, value(t, r, name), want, 1e-8)
	}
	near(t, "ppl_word", value(t, r, "ppl_word"), 617437.6269, 1e-3)
	// lm-eval counts pieces of a split, so a trailing blank adds one.
	if got := trace.TextDoc(0, "x", []byte("a b ")).Pieces; got != 3 {
		t.Errorf("pieces %d, want 3 (Python re.split)", got)
	}
	// The toy text of the trace package's tests: five scored tokens.
	toy := Unit{ID: "toy", Nats: 6.196277142, Squares: 13.142397867, Tokens: 5, Total: 6, Words: 1, Pieces: 1, Bytes: 12, Chars: 12}
	r, _ = Run(Sample{Units: []Unit{toy}}, Options{})
	near(t, "toy ppl_token", value(t, r, "ppl_token"), 3.453041471, 1e-8)
	near(t, "toy bpb", value(t, r, "bpb"), .744944859, 1e-8)
	near(t, "toy ppl_byte", value(t, r, "ppl_byte"), 1.675910213, 1e-8)
	near(t, "toy +/-", value(t, r, "se_llamacpp"), 1.804792742, 1e-7)
}

func TestLlamaError(t *testing.T) {
	// numpy 2.4 of the formula in llama.cpp tools/perplexity.
	a, sq := 0.0, 0.0
	for _, x := range []float64{.2, 1, 3.5, .1, 2.2} {
		a, sq = a+x, sq+x*x
	}
	near(t, "ppl", math.Exp(a/5), 4.055199967, 1e-8)
	near(t, "+/-", LlamaError(a, sq, 5), 2.618667162, 1e-8)
}

func unitsOf(a, u []float64) []Unit {
	out := make([]Unit, len(a))
	for i := range a {
		nan := math.NaN()
		out[i] = Unit{ID: fmt.Sprintf("d%03d", i), Nats: a[i], Squares: 2 * a[i], Tokens: u[i], Total: u[i], Words: nan, Pieces: nan, Bytes: nan, Chars: nan}
		out[i].SHA256[0], out[i].SHA256[1], out[i].SHA256[2] = byte(i), byte(i>>8), 1
	}
	return out
}

func TestJackknife(t *testing.T) {
	// numpy 2.4, scipy 1.17 stats.t.ppf.
	r, err := Run(Sample{Units: unitsOf([]float64{120, 80, 200, 50, 150}, []float64{100, 60, 180, 60, 100})}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := get(t, r, "ppl_token")
	near(t, "ppl", *e.Value, 3.320116923, 1e-8)
	near(t, "lo", e.CI.Lo, 2.560450218, 1e-8)
	near(t, "hi", e.CI.Hi, 4.305171139, 1e-8)
	if !strings.HasPrefix(e.Method, "jackknife over 5 documents") {
		t.Errorf("method %q", e.Method)
	}
	near(t, "macro", value(t, r, "macro_ppl"), 3.386836311, 1e-8)
	near(t, "geometric", value(t, r, "geometric_ppl"), 3.305393590, 1e-8)
	e = get(t, r, "nll_token")
	near(t, "nll lo", e.CI.Lo, .940183109, 1e-8)
	near(t, "nll hi", e.CI.Hi, 1.459816891, 1e-8)
}

func corpus200() (a, u []float64) {
	g := gen.New(7)
	for range 200 {
		n := float64(50 + g.Below(200))
		u, a = append(u, n), append(a, n*(1+g.U()))
	}
	return a, u
}

func TestCorpus(t *testing.T) {
	// numpy 2.4 and scipy 1.17 on the generator's values.
	a, u := corpus200()
	if u[0] != 127 || u[1] != 230 || stat.Sum(u) != 29851 {
		t.Fatalf("u %v %v, sum %v", u[0], u[1], stat.Sum(u))
	}
	near(t, "sum a", stat.Sum(a), 44929.899580099, 1e-8)
	r, err := Run(Sample{Units: unitsOf(a, u)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := get(t, r, "nll_token")
	near(t, "theta", *e.Value, 1.505138842253, 1e-11)
	near(t, "lo", e.CI.Lo, 1.460216412, 1e-8)
	near(t, "hi", e.CI.Hi, 1.550061273, 1e-8)
	near(t, "macro", value(t, r, "macro_ppl"), 4.630382111, 1e-8)
	// numpy 2.4 with its own stream gives [1.460315720, 1.548587640]; another
	// stream of 9,999 moves the limits by a few parts in 10^4.
	for _, ci := range []string{Percentile, BCa} {
		r, err = Run(Sample{Units: unitsOf(a, u)}, Options{CI: ci})
		if err != nil {
			t.Fatal(err)
		}
		e = get(t, r, "nll_token")
		near(t, ci+" lo", e.CI.Lo, 1.460315720, .0025)
		near(t, ci+" hi", e.CI.Hi, 1.548587640, .0025)
	}
}

func TestLoneDocument(t *testing.T) {
	p := window.Policy{Name: "hf-stride", Window: 64, Stride: 16}
	d := scoredDoc(t, p, 1, 1000, func(i, ctx int) float64 { return 1 + float64(i%13)/5 })
	r, err := Run(sampleOf(t, p, d), Options{By: "ctx"})
	if err != nil {
		t.Fatal(err)
	}
	e := get(t, r, "ppl_byte")
	if e.CI == nil || !strings.HasPrefix(e.Method, "jackknife over 20 blocks") || !slices.Contains(codes(r), "one-document") {
		t.Errorf("one text: %+v, warnings %v", e, codes(r))
	}
	tok := get(t, r, "nll_token")
	byt := get(t, r, "bpb") // bytes are twice the tokens, so the limits scale
	near(t, "limits scale", byt.CI.Lo*math.Ln2*2, tok.CI.Lo, 1e-9)
	n := 0.0
	for _, b := range sampleOf(t, p, d).Bins {
		n += b.Tokens
	}
	if n != 1000 || !slices.Contains(names(r), "nll_token[ctx 32-63]") {
		t.Errorf("bins hold %v tokens; %v", n, names(r))
	}
	full := window.Policy{Name: "full", Window: 1000}
	r, err = Run(sampleOf(t, full, scoredDoc(t, full, 0, 1000, func(int, int) float64 { return 1 })), Options{})
	if err != nil || get(t, r, "nll_token").CI != nil || !slices.Contains(codes(r), "too-few-blocks") {
		t.Errorf("one window: %v, %v", codes(r), err)
	}
}

func TestGroupsAndDuplicates(t *testing.T) {
	a, u := corpus200()
	units := unitsOf(a, u)
	for i := range units {
		units[i].Group = fmt.Sprintf("book%d", i%10)
	}
	r, err := Run(Sample{Units: units}, Options{By: "group"})
	if err != nil {
		t.Fatal(err)
	}
	if m := get(t, r, "nll_token").Method; !strings.HasPrefix(m, "jackknife over 10 groups") {
		t.Errorf("method %q", m)
	}
	want, macro := 0.0, 0.0
	for b := range 10 {
		sa, su := 0.0, 0.0
		for i := b; i < 200; i += 10 {
			sa, su = sa+a[i], su+u[i]
		}
		macro += sa / su / 10
		if b == 3 {
			want = sa / su
		}
	}
	near(t, "group 3", value(t, r, "nll_token[book3]"), want, 1e-12)
	near(t, "macro over groups", value(t, r, "nll_token_macro_group"), macro, 1e-12)

	twice := append(unitsOf(a, u), unitsOf(a, u)...)
	for i := range twice[200:] {
		twice[200+i].ID = fmt.Sprintf("copy%d", i)
	}
	r, err = Run(Sample{Units: twice}, Options{})
	if err != nil || !slices.Contains(codes(r), "duplicate-text") || r.N["units"] != 200 {
		t.Fatalf("copies: %v, n %v, %v", codes(r), r.N, err)
	}
	near(t, "copies add no certainty", get(t, r, "nll_token").CI.Lo, 1.460216412, 1e-8)
}

func TestUndefined(t *testing.T) {
	a, u := corpus200()
	units := unitsOf(a, u)
	units = append(units, Unit{ID: "empty", Status: trace.StatusNoTokens})
	r, err := Run(Sample{Units: units}, Options{})
	if err != nil || r.N["documents"] != 201 || r.N["documents_undefined"] != 1 || !slices.Contains(codes(r), "docs-unscored") {
		t.Errorf("n %v, warnings %v, %v", r.N, codes(r), err)
	}
	if e := get(t, r, "bpb"); e.Value != nil || !slices.Contains(codes(r), "unit-undefined") {
		t.Errorf("bits per byte of ids: %v, want null and a warning", e.Value)
	}
	if rs := Rows(units); len(rs) != 201 || rs[200].NLLToken != nil || rs[0].NLLToken == nil || rs[200].Status != trace.StatusNoTokens {
		t.Errorf("row of the empty document: %+v", rs[200])
	}
	big := unitsOf([]float64{1e6, 1e6}, []float64{1, 1})
	r, err = Run(Sample{Units: big}, Options{})
	if err != nil || get(t, r, "ppl_token").Value != nil {
		t.Errorf("overflow: %v, %v; want null", get(t, r, "ppl_token").Value, err)
	}
	near(t, "log10", value(t, r, "log10_ppl_token"), 1e6/math.Ln10, 1e-6)
}

func TestRefusals(t *testing.T) {
	nan := unitsOf([]float64{1, math.NaN()}, []float64{1, 1})
	for name, c := range map[string]struct {
		s     Sample
		o     Options
		class fault.Class
		says  string
	}{
		"no documents": {Sample{}, Options{}, fault.Input, "no scored token"},
		"unscored":     {Sample{Units: []Unit{{ID: "a", Status: trace.StatusNoTargets}}}, Options{}, fault.Input, "no-targets 1"},
		"nan":          {Sample{Units: nan}, Options{}, fault.Input, "d001"},
		"ci":           {Sample{}, Options{CI: "normal"}, fault.Usage, "normal"},
		"by":           {Sample{}, Options{By: "author"}, fault.Usage, "author"},
		"level":        {Sample{}, Options{Level: 95}, fault.Usage, "95"},
		"cover":        {Sample{}, Options{Cover: "half"}, fault.Usage, "half"},
		"no rows":      {Sample{Units: unitsOf([]float64{1}, []float64{1})}, Options{By: "ctx"}, fault.Input, "token table"},
	} {
		_, err := Run(c.s, c.o)
		if f := fault.As(err); f == nil || f.Class != c.class || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want class %d and %q", name, err, c.class, c.says)
		}
	}
	d := scoredDoc(t, window.Policy{Name: "full", Window: 100}, 0, 20, func(int, int) float64 { return 1 })
	d.Tokens.Logprob[7] = float32(math.NaN())
	u, _ := unit(d.Doc)
	if _, err := rows(&u, d, map[int]*Bin{}); fault.As(err) == nil || !strings.Contains(err.Error(), "pos 7") {
		t.Errorf("NaN in a scored row: %v, want the position", err)
	}
	d.Doc.SumLogprob = math.NaN()
	if _, err := unit(d.Doc); fault.As(err) == nil {
		t.Error("NaN in a document sum: no error")
	}
}

// TestCoverage: with document effects the interval over documents holds its level
// and the token-wise one does not.
func TestCoverage(t *testing.T) {
	g := gen.New(17)
	const reps = 1000
	jack, naive := 0, 0
	for range reps {
		a, u := make([]float64, 50), make([]float64, 50)
		sum, squares, n := 0.0, 0.0, 0.0
		for d := range a {
			u[d] = float64(20 + g.Below(60))
			effect := 2 + .5*g.Z()
			for range int(u[d]) {
				x := effect + g.Z()
				a[d] += x
				squares += x * x
			}
			sum, n = sum+a[d], n+u[d]
		}
		theta, se := stat.JackknifeRatio(a, u)
		h := stat.StudentQuantile(.975, 49) * se
		if math.Abs(theta-2) <= h {
			jack++
		}
		if e := LlamaError(sum, squares, n) / math.Exp(sum/n); math.Abs(theta-2) <= 1.96*e {
			naive++
		}
	}
	if jack < 930 || jack > 970 {
		t.Errorf("jackknife interval covers %d of %d, want 93 to 97 %%", jack, reps)
	}
	if naive > 700 {
		t.Errorf("token-wise interval covers %d of %d: expected far below 95 %%", naive, reps)
	}
	t.Logf("covered: jackknife %d, token-wise %d of %d", jack, naive, reps)
}

func BenchmarkRun(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		a, u := make([]float64, n), make([]float64, n)
		g := gen.New(1)
		for i := range a {
			u[i] = float64(10 + g.Below(100))
			a[i] = 2 * u[i]
		}
		s := Sample{Units: unitsOf(a, u)}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Run(s, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
