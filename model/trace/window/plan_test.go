package window

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

// show writes a plan as "[b,e) targets; ...".
func show(ws []Window) string {
	var parts []string
	for _, w := range ws {
		s := fmt.Sprintf("[%d,%d)", w.Begin, w.End)
		for i := w.Lo; i < w.Hi; i++ {
			s += fmt.Sprintf(" %d", i)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// Expected plans: vector V1 of the perplexity page, by an independent planner
// in Python. lmeval plans are shifted by the one prefix id.
func TestPlanV1(t *testing.T) {
	for _, c := range []struct {
		name           string
		p              Policy
		prefix, tokens int
		want           string
	}{
		{"hf-stride s=2", Policy{Name: "hf-stride", Window: 4, Stride: 2}, 0, 10, "[0,4) 1 2 3; [2,6) 4 5; [4,8) 6 7; [6,10) 8 9"},
		{"hf-stride s=4", Policy{Name: "hf-stride", Window: 4, Stride: 4}, 0, 10, "[0,4) 1 2 3; [4,8) 5 6 7; [8,10) 9"},
		{"mimir", Policy{Name: "mimir", Window: 4}, 0, 10, "[0,2) 1; [0,4) 2 3; [2,6) 4 5; [4,8) 6 7; [6,10) 8 9"},
		{"lmeval c=1", Policy{Name: "lmeval-rolling", Window: 4, Context: 1}, 1, 10, "[0,4) 1 2 3 4; [4,8) 5 6 7 8; [6,10) 9 10"},
		{"lmeval c=2", Policy{Name: "lmeval-rolling", Window: 4, Context: 2}, 1, 10, "[0,4) 1 2 3 4; [3,7) 5 6 7; [6,10) 8 9 10"},
		{"oren s=2", Policy{Name: "oren", Window: 4, Stride: 2}, 0, 10, "[0,4) 1 2 3 4; [2,6) 5 6; [4,8) 7 8; [6,9) 9"},
		{"llamacpp", Policy{Name: "llamacpp", Window: 4}, 0, 10, "[0,4) 3; [4,8) 7"},
		{"llamacpp-stride C'=5", Policy{Name: "llamacpp-stride", Window: 4, Stride: 2}, 0, 10, "[0,5) 3 4; [2,7) 5 6; [4,9) 7 8"},
		{"llamacpp-stride C'=4", Policy{Name: "llamacpp-stride", Window: 3, Stride: 2}, 0, 8, "[0,4) 2 3; [2,6) 4 5"},
		{"gptq", Policy{Name: "gptq", Window: 4}, 0, 10, "[0,4) 1 2 3; [4,8) 5 6 7"},
	} {
		ws, err := Plan(c.p, c.prefix, 0, c.tokens)
		if got := show(ws); err != nil || got != c.want {
			t.Errorf("%s: %s, %v\nwant %s", c.name, got, err, c.want)
		}
	}
	if _, err := Plan(Policy{Name: "llamacpp", Window: 8}, 0, 0, 10); !errors.Is(err, ErrTooShort) || !strings.Contains(err.Error(), "10 ids, want at least 16") {
		t.Errorf("llamacpp C = 8: %v, want ErrTooShort with 10 and 16", err)
	}
}

// docAverage is the average of the documented transformers loop.
func docAverage(ws []Window, nll func(w Window, i int) float64) (mean, weight float64) {
	prev := 0
	for _, w := range ws {
		sum := 0.0
		for i := w.Lo; i < w.Hi; i++ {
			sum += nll(w, i)
		}
		n := float64(w.Hi - w.Lo)
		k := n
		if w.Lo == prev {
			k = n - 1
		}
		prev = w.Hi
		mean, weight = mean+sum/n*k, weight+k
	}
	return mean / weight, weight
}

// The plain and the documented mean of nll(i) = i, from the same page.
func TestStrideMeans(t *testing.T) {
	ws, err := Plan(Policy{Name: "hf-stride", Window: 4, Stride: 2}, 0, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := docAverage(ws, func(_ Window, i int) float64 { return float64(i) }); got != 4.25 {
		t.Errorf("hf-stride-doc mean = %v, want 4.25", got)
	}
}

// Expected sums: vector V2 of the perplexity page, numpy 2.4 over an independent
// Python planner. The fake model gives document index i with c ids before it
// 2 + 3/(1+c) + (i mod 7)/7 nats.
func TestPlanV2(t *testing.T) {
	for _, c := range []struct {
		p                       Policy
		prefix                  int
		windows, scored, sumCtx int
		a, ppl                  float64
	}{
		{Policy{Name: "full", Window: 1000}, 0, 1, 999, 499500, 2445.599269725, 11.565740431},
		{Policy{Name: "full", Window: 1000}, 1, 1, 1000, 500500, 2447.602266728, 11.560594240},
		{Policy{Name: "hf-stride", Window: 64, Stride: 16}, 0, 60, 999, 53932, 2487.438855177, 12.060417195},
		{Policy{Name: "hf-stride", Window: 64, Stride: 64}, 0, 16, 984, 31020, 2568.310719784, 13.600028247},
		{Policy{Name: "hf-stride", Window: 64, Stride: 16}, 1, 60, 1000, 53988, 2489.491486756, 12.055144361},
		{Policy{Name: "mimir", Window: 64}, 0, 32, 999, 46380, 2497.664100004, 12.184495274},
		{Policy{Name: "lmeval-rolling", Window: 64, Context: 1}, 1, 16, 1000, 32980, 2600.140207526, 13.465625885},
		{Policy{Name: "lmeval-rolling", Window: 64, Context: 17}, 1, 21, 1000, 40276, 2516.013921207, 12.379153905},
		{Policy{Name: "oren", Window: 64, Stride: 16}, 0, 60, 999, 54876, 2486.549687202, 12.049687499},
		{Policy{Name: "llamacpp", Window: 64}, 0, 15, 465, 22320, 1159.050599080, 12.092457771},
		{Policy{Name: "llamacpp", Window: 64}, 1, 15, 465, 22320, 1159.622027651, 12.107327068},
		{Policy{Name: "llamacpp-stride", Window: 64, Stride: 16}, 0, 58, 928, 58928, 2296.242441846, 11.874570526},
		{Policy{Name: "gptq", Window: 64}, 0, 15, 945, 30240, 2463.475090667, 13.556307644},
	} {
		nll := func(w Window, i int) float64 {
			return 2 + 3/(1+float64(w.Ctx(i))) + float64((i-c.prefix)%7)/7
		}
		ws, err := Plan(c.p, c.prefix, 0, 1000)
		if err != nil {
			t.Errorf("%+v: %v", c.p, err)
			continue
		}
		scored, sum, a := 0, 0, 0.0
		for _, w := range ws {
			for i := w.Lo; i < w.Hi; i++ {
				scored, sum, a = scored+1, sum+w.Ctx(i), a+nll(w, i)
			}
		}
		ppl := math.Exp(a / float64(scored))
		if len(ws) != c.windows || scored != c.scored || sum != c.sumCtx || math.Abs(a-c.a) > 1e-9 || math.Abs(ppl-c.ppl) > 1e-9 {
			t.Errorf("%s, %d prefix: %d windows, %d scored, ctx %d, A %.9f, ppl %.9f\nwant %d, %d, %d, %.9f, %.9f",
				c.p.Name, c.prefix, len(ws), scored, sum, a, ppl, c.windows, c.scored, c.sumCtx, c.a, c.ppl)
		}
	}
	ws, err := Plan(Policy{Name: "hf-stride-doc", Window: 64, Stride: 16}, 0, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	mean, weight := docAverage(ws, func(w Window, i int) float64 {
		return 2 + 3/(1+float64(w.Ctx(i))) + float64(i%7)/7
	})
	if ppl := math.Exp(mean); weight != 940 || math.Abs(ppl-12.066122614) > 1e-9 {
		t.Errorf("hf-stride-doc: weight %v, ppl %.9f; want 940, 12.066122614", weight, ppl)
	}
}

// Every combination of small sizes: each position is a target at most once, in
// order, of a window that holds it; ctx is between 1 and the window; prefix and
// context change only what stands before; where the rule scores everything,
// everything is scored.
func TestPlanProperties(t *testing.T) {
	check := func(p Policy, prefix, context, n int, all bool) {
		t.Helper()
		ws, err := Plan(p, prefix, context, n)
		if err != nil {
			if errors.Is(err, ErrTooLong) || errors.Is(err, ErrTooShort) {
				return
			}
			t.Fatalf("%+v prefix %d context %d n %d: %v", p, prefix, context, n, err)
		}
		longest := p.Window
		if p.Name == "llamacpp-stride" {
			longest += p.Stride / 2
		}
		next, scored := prefix+context, 0
		for _, w := range ws {
			if w.Lo < next || w.Lo >= w.Hi || w.Hi > prefix+context+n || w.Begin < 0 || w.End < w.Hi-1 || w.End > prefix+context+n ||
				w.End-w.Begin+w.Prefix > longest || w.Ctx(w.Lo) < 1 || w.Ctx(w.Hi-1) > longest || w.Feed() > longest {
				t.Fatalf("%+v prefix %d context %d n %d: bad window %+v after target %d", p, prefix, context, n, w, next)
			}
			next, scored = w.Hi, scored+w.Hi-w.Lo
		}
		if all && scored != n {
			t.Fatalf("%+v prefix %d context %d n %d: %d scored, want all", p, prefix, context, n, scored)
		}
	}
	step := 1
	if testing.Short() {
		step = 7
	}
	for n := 0; n < 200; n += step {
		for l := 2; l < 20; l++ {
			for _, context := range []int{0, 5, 41} {
				for prefix := range 2 {
					check(Policy{Name: "full", Window: l}, prefix, context, n, prefix+context > 0)
					check(Policy{Name: "mimir", Window: l}, prefix, context, n, prefix+context > 0)
					check(Policy{Name: "llamacpp", Window: l}, prefix, context, n, false)
					check(Policy{Name: "gptq", Window: l}, prefix, context, n, false)
					for s := 1; s <= l; s++ {
						check(Policy{Name: "hf-stride", Window: l, Stride: s}, prefix, context, n, prefix+context > 0 && s < l)
						check(Policy{Name: "oren", Window: l, Stride: s}, prefix, context, n, prefix+context > 0)
						check(Policy{Name: "llamacpp-stride", Window: l, Stride: s}, prefix, context, n, false)
						check(Policy{Name: "lmeval-rolling", Window: l, Context: s}, 1, context, n, true)
					}
				}
				check(Policy{Name: "full", Window: l, EachWindow: true}, 1, context, n, true)
				check(Policy{Name: "mimir", Window: l + 2, EachWindow: true}, 2, context, n, true)
				check(Policy{Name: "hf-stride", Window: l, Stride: l - 1, EachWindow: true}, 1, context, n, true)
			}
		}
	}
}

// A context only hides targets: the windows that keep one are those of the same
// ids without the distinction, so skipping windows inside a context is safe.
func TestPlanContextHides(t *testing.T) {
	for l := 2; l < 9; l++ {
		for s := 1; s <= l; s++ {
			for _, p := range []Policy{{Name: "hf-stride", Window: l, Stride: s}, {Name: "mimir", Window: l}, {Name: "oren", Window: l, Stride: s},
				{Name: "llamacpp", Window: l}, {Name: "llamacpp-stride", Window: l, Stride: s}, {Name: "gptq", Window: l}, {Name: "lmeval-rolling", Window: l, Context: s}} {
				for context := range 40 {
					all, err1 := Plan(p, 1, 0, context+23)
					got, err2 := Plan(p, 1, context, 23)
					var want []Window
					for _, w := range all {
						if w.Lo = max(w.Lo, 1+context); w.Lo < w.Hi {
							want = append(want, w)
						}
					}
					if (err1 == nil) != (err2 == nil) || !slices.Equal(got, want) {
						t.Fatalf("%+v context %d: %s, %v\nwant %s, %v", p, context, show(got), err2, show(want), err1)
					}
				}
			}
		}
	}
}

func TestFullEqualsOneStride(t *testing.T) {
	a, err1 := Plan(Policy{Name: "full", Window: 30}, 1, 3, 20)
	b, err2 := Plan(Policy{Name: "hf-stride", Window: 30, Stride: 30}, 1, 3, 20)
	if err1 != nil || err2 != nil || len(a) != 1 || len(b) != 1 || a[0].Begin != b[0].Begin || a[0].Lo != b[0].Lo || a[0].Hi != b[0].Hi {
		t.Errorf("full %s, %v; hf-stride %s, %v", show(a), err1, show(b), err2)
	}
	if _, err := Plan(Policy{Name: "full", Window: 30}, 1, 3, 28); !errors.Is(err, ErrTooLong) || fault.As(err).Class != fault.Input {
		t.Errorf("31 ids to feed in 30: %v, want ErrTooLong", err)
	}
	if _, err := Plan(Policy{Name: "full", Window: 30}, 1, 3, 27); err != nil {
		t.Errorf("30 ids to feed in 30: %v", err)
	}
}

// By hand: with 2 prefix ids before every window of 6, a window holds 4.
func TestEachWindow(t *testing.T) {
	ws, err := Plan(Policy{Name: "hf-stride", Window: 6, Stride: 4, EachWindow: true}, 2, 0, 10)
	if got, want := show(ws), "[2,6) 2 3 4 5; [6,10) 6 7 8 9; [10,12) 10 11"; err != nil || got != want {
		t.Fatalf("%s, %v; want %s", got, err, want)
	}
	if c := ws[1].Ctx(6); c != 2 {
		t.Errorf("ctx of a window's first target = %d, want 2", c)
	}
	if _, err := Plan(Policy{Name: "hf-stride", Window: 6, Stride: 5, EachWindow: true}, 2, 0, 10); fault.As(err) == nil {
		t.Errorf("stride above the room: %v, want a usage fault", err)
	}
}

func TestMaxTokens(t *testing.T) {
	ws, err := Plan(Policy{Name: "full", Window: 30, MaxTokens: 5}, 0, 0, 100)
	if got, want := show(ws), "[0,4) 1 2 3 4"; err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		p         Policy
		positions int
		says      string
	}{
		{Policy{Name: "perplexity"}, 0, `policy "perplexity": want one of full, hf-stride`},
		{Policy{Name: "full", Window: 1}, 0, "window 1, want 2"},
		{Policy{Name: "full"}, 0, "window 0"},
		{Policy{Name: "full", Window: 2049}, 2048, "window 2049, the model has 2048 positions"},
		{Policy{Name: "llamacpp-stride", Window: 2048, Stride: 2}, 2048, "window 2049, the model has 2048"},
		{Policy{Name: "hf-stride", Window: 8, Stride: 9}, 0, "stride 9, want 1 to the window, 8"},
		{Policy{Name: "hf-stride", Window: 8}, 0, "stride 0"},
		{Policy{Name: "oren", Window: 8, Stride: 9}, 0, "stride 9"},
		{Policy{Name: "lmeval-rolling", Window: 8, Context: 9}, 0, "context 9, want 1 to the window, 8"},
		{Policy{Name: "gptq", Window: 8, Stride: 4}, 0, "stride 4, but the policy has none"},
		{Policy{Name: "full", Window: 8, Context: 4}, 0, "context 4, but the policy has none"},
		{Policy{Name: "llamacpp", Window: 8, EachWindow: true}, 0, "a rule of its own"},
		{Policy{Name: "full", Window: 8, MaxTokens: -1}, 0, "max_tokens -1"},
	} {
		err := c.p.Validate(c.positions)
		if f := fault.As(err); f == nil || f.Class != fault.Usage || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want a usage fault with %q", c.p, err, c.says)
		}
	}
	if _, err := Plan(Policy{Name: "lmeval-rolling", Window: 8, Context: 1}, 0, 0, 5); err == nil || !strings.Contains(err.Error(), "exactly 1") {
		t.Errorf("lmeval without a prefix: %v", err)
	}
	if _, err := Plan(Policy{Name: "full", Window: 8}, 0, -1, 5); err == nil {
		t.Error("negative count passes")
	}
}

// The defaults of the page's table.
// Each document id is masked once, in the whole sequence (Salazar et al. 2020,
// section 2): by hand, two ids in front, one behind.
func TestMasked(t *testing.T) {
	p := Policy{Name: Masked, Window: 6, PrefixIDs: []int32{8, 9}, SuffixIDs: []int32{7}}
	ws, err := Plan(p, 2, 0, 3)
	want := []Window{{Begin: 0, End: 6, Lo: 2, Hi: 3, Masked: true}, {Begin: 0, End: 6, Lo: 3, Hi: 4, Masked: true}, {Begin: 0, End: 6, Lo: 4, Hi: 5, Masked: true}}
	if err != nil || !slices.Equal(ws, want) {
		t.Fatalf("%v, %v; want %v", ws, err, want)
	}
	if w := ws[1]; w.Ctx(3) != 5 || w.Feed() != 6 {
		t.Errorf("ctx %d, fed %d; want 5 and 6", w.Ctx(3), w.Feed())
	}
	if ws, err = Plan(p, 2, 1, 2); err != nil || len(ws) != 2 || ws[0].Lo != 3 { // context ids are seen, not scored
		t.Errorf("with context: %v, %v", ws, err)
	}
	if _, err := Plan(p, 2, 0, 4); !errors.Is(err, ErrTooLong) {
		t.Errorf("seven ids in a window of six: %v", err)
	}
	if ws, err := Plan(p, 2, 0, 0); err != nil || len(ws) != 0 {
		t.Errorf("an empty document: %v, %v", ws, err)
	}
}

func TestDefaults(t *testing.T) {
	for _, c := range []struct{ in, want Policy }{
		{Policy{Name: "full"}, Policy{Name: "full", Window: 2048}},
		{Policy{Name: "hf-stride"}, Policy{Name: "hf-stride", Window: 2048, Stride: 1024}},
		{Policy{Name: "lmeval-rolling"}, Policy{Name: "lmeval-rolling", Window: 2048, Context: 1}},
		{Policy{Name: "llamacpp"}, Policy{Name: "llamacpp", Window: 512}},
		{Policy{Name: "oren"}, Policy{Name: "oren", Window: 2048, Stride: 1024}},
		{Policy{Name: "gptq"}, Policy{Name: "gptq", Window: 2048}},
		{Policy{Name: "hf-stride", Window: 10, Stride: 3}, Policy{Name: "hf-stride", Window: 10, Stride: 3}},
	} {
		got := c.in.WithDefaults(2048)
		if got.PrefixIDs == nil || got.Window != c.want.Window || got.Stride != c.want.Stride || got.Context != c.want.Context {
			t.Errorf("%+v: %+v, want %+v", c.in, got, c.want)
		}
		if err := got.Validate(2048); err != nil {
			t.Error(err)
		}
	}
	if err := (Policy{Name: "llamacpp-stride"}).WithDefaults(2048).Validate(2048); err == nil {
		t.Error("llamacpp-stride without a stride passes")
	}
	if len(Policies()) != 10 {
		t.Errorf("%d policies, want 10", len(Policies()))
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, p := range []Policy{{Name: "hf-stride", Window: 1024, Stride: 512}, {Name: "lmeval-rolling", Window: 1024, Context: 1}} {
		b.Run(p.Name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Plan(p, 1, 0, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
