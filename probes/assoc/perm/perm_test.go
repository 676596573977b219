package perm

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"
)

// brute enumerates every choice of nx values: the slow, obvious reference.
func brute(x, y []float64, alt Alt) (ge, ties, total int64) {
	v := slices.Concat(x, y)
	n, nx, tol := len(v), len(x), Tol(v)
	all, t := sum(v), sum(x)
	gap := func(s float64) float64 { return s/float64(nx) - (all-s)/float64(n-nx) }
	for mask := range 1 << n {
		var s float64
		k := 0
		for i := range n {
			if mask>>i&1 == 1 {
				s += v[i]
				k++
			}
		}
		if k != nx {
			continue
		}
		total++
		if math.Abs(s-t) <= tol {
			ties++
		}
		switch {
		case alt == Greater && s >= t-tol:
			ge++
		case alt == TwoSided && math.Abs(gap(s)) >= math.Abs(gap(t))-2*tol*float64(n)/float64(nx*(n-nx)):
			ge++
		}
	}
	return ge, ties, total
}

// cases are 200 seeded inputs with up to 14 values; every third is rounded to
// tenths so that ties abound.
func cases() (out []example) {
	g := NewStream(20)
	for c := range 200 {
		nx, ny := 1+g.Index(7), 1+g.Index(7)
		draw := func(n int, shift float64) []float64 {
			out := make([]float64, n)
			for i := range out {
				out[i] = g.Normal() + shift
				if c%3 == 0 {
					out[i] = math.Round(out[i]*10) / 10
				}
			}
			return out
		}
		out = append(out, example{fmt.Sprintf("case %d, %d+%d", c, nx, ny), draw(nx, float64(c%4)/2), draw(ny, 0)})
	}
	return out
}

type example struct {
	name string
	x, y []float64
}

func TestMethodsEqualBruteForce(t *testing.T) {
	for _, c := range cases() {
		name, x, y := c.name, c.x, c.y
		for _, alt := range []Alt{Greater, TwoSided} {
			want, ties, total := brute(x, y, alt)
			for _, m := range []Method{"", TailCount, Middle} {
				got, err := TwoSample(x, y, alt, Options{Only: m})
				if err != nil || got.GE.Int64() != want || got.Total.Int64() != total {
					t.Fatalf("%s, %v, %q: %v of %v, %v; want %d of %d", name, alt, m, got.GE, got.Total, err, want, total)
				}
				if alt == Greater && (m == Middle || got.Ties >= 0) && got.Ties != ties {
					t.Fatalf("%s, %q: %d ties, want %d", name, m, got.Ties, ties)
				}
			}
			b, err := TwoSample(x, y, alt, Options{Only: Bracket, MaxBytes: 8 << 20})
			if p := float64(want) / float64(total); err != nil || p < b.Lo*(1-1e-12) || p > b.Hi*(1+1e-12) {
				t.Fatalf("%s, %v: exact p %v is outside the bracket [%v, %v], %v", name, alt, p, b.Lo, b.Hi, err)
			}
		}
	}
}

func TestTies(t *testing.T) {
	// By hand: of the 6 pairs out of 1 1 0 0 only {1,1} sums to 2; {1,0} sums to 1 in 4 ways.
	for _, c := range []struct {
		x, y     []float64
		ge, ties int64
	}{{[]float64{1, 1}, []float64{0, 0}, 1, 1}, {[]float64{1, 0}, []float64{1, 0}, 5, 4}} {
		for _, m := range []Method{TailCount, Middle} {
			got, err := TwoSample(c.x, c.y, Greater, Options{Only: m})
			if err != nil || got.GE.Int64() != c.ge || got.Ties != c.ties {
				t.Errorf("%v %v %s: GE %v, ties %d, %v; want %d, %d", c.x, c.y, m, got.GE, got.Ties, err, c.ge, c.ties)
			}
		}
	}
}

func TestConstantValues(t *testing.T) {
	got, err := TwoSample([]float64{2, 2}, []float64{2, 2, 2}, TwoSided, Options{})
	if err != nil || got.P() != 1 || got.GE.Int64() != 10 {
		t.Errorf("p %v, GE %v, %v; want 1 and all 10", got.P(), got.GE, err)
	}
}

// TestBeyond64Bits: 0..79 split into the larger and the smaller 40 values;
// exactly one choice reaches that sum.
func TestBeyond64Bits(t *testing.T) {
	var x, y []float64
	for i := range 40 {
		x, y = append(x, float64(40+i)), append(y, float64(i))
	}
	got, err := TwoSample(x, y, Greater, Options{})
	// C(80,40) by Python 3 math.comb, its log10 by mpmath 1.3.
	want, _ := new(big.Int).SetString("107507208733336176461620", 10)
	if err != nil || got.Total.Cmp(want) != 0 || got.GE.Int64() != 1 || math.Abs(got.Log10P+23.031437586187852) > 1e-12 {
		t.Errorf("GE %v of %v, log10 p %v, %v; want 1 of %v, -23.031437586187852", got.GE, got.Total, got.Log10P, err, want)
	}
	// A threshold below the mean counts nearly all of them, past 2^63.
	low, err := TwoSample(y, x, Greater, Options{})
	if err != nil || low.GE.Cmp(want) != 0 {
		t.Errorf("GE %v, %v; want all %v", low.GE, err, want)
	}
}

func TestSampleAgreesWithExact(t *testing.T) {
	outside := 0
	for _, c := range cases()[:100] {
		for _, alt := range []Alt{Greater, TwoSided} {
			e, err := TwoSample(c.x, c.y, alt, Options{})
			s, err2 := TwoSample(c.x, c.y, alt, Options{Sample: true, Draws: 4999, Seed: 3})
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if e.Hi < s.Lo || e.Hi > s.Hi {
				outside++
			}
		}
	}
	// 200 intervals of 99 %: 2 misses expected, more than 8 has probability below 3e-4.
	if outside > 8 {
		t.Errorf("%d of 200 exact p-values lie outside the 99 %% interval of the draws", outside)
	}
}

func TestOrderAndRelabelling(t *testing.T) {
	for _, c := range cases()[:60] {
		a, _ := TwoSample(c.x, c.y, TwoSided, Options{})
		x, y := slices.Clone(c.x), slices.Clone(c.y)
		slices.Reverse(x)
		slices.Reverse(y)
		b, _ := TwoSample(y, x, TwoSided, Options{})
		if a.GE.Cmp(b.GE) != 0 {
			t.Fatalf("two-sided count %v changes to %v when groups are exchanged and reversed: %v", a.GE, b.GE, c)
		}
		up, _ := TwoSample(c.x, c.y, Greater, Options{})
		down, _ := TwoSample(negate(c.x), negate(c.y), Greater, Options{})
		if new(big.Int).Add(up.GE, down.GE).Cmp(up.Total) < 0 {
			t.Fatalf("upper and lower tail leave a gap: %v + %v < %v", up.GE, down.GE, up.Total)
		}
	}
}

// KS is the one-sided Kolmogorov-Smirnov distance of p below uniform.
func ksAnticonservative(p []float64) float64 {
	slices.Sort(p)
	var d float64
	for i, x := range p {
		d = max(d, float64(i+1)/float64(len(p))-x)
	}
	return d
}

// TestUniformUnderNull: 500 splits of one pool; exp(-2 n D^2) > .001 means D < .0831.
func TestUniformUnderNull(t *testing.T) {
	g := NewStream(77)
	var one, two, draws, flips []float64
	for range 500 {
		v := make([]float64, 16)
		for i := range v {
			v[i] = math.Exp(g.Normal()) // skewed: exactness must not need normality
		}
		a, _ := TwoSample(v[:7], v[7:], Greater, Options{})
		b, _ := TwoSample(v[:7], v[7:], TwoSided, Options{})
		c, _ := TwoSample(v[:7], v[7:], Greater, Options{Sample: true, Draws: 199, Seed: g.Uint64()})
		for i := range v {
			v[i] = g.Normal()
		}
		d, _ := SignFlip(v[:12], TwoSided, Options{})
		one, two, draws, flips = append(one, a.P()), append(two, b.P()), append(draws, c.P()), append(flips, d.P())
	}
	for name, p := range map[string][]float64{"one-sided": one, "two-sided": two, "sampled": draws, "sign flips": flips} {
		d := ksAnticonservative(p)
		t.Logf("%s: D %.4f, KS p %.3f", name, d, math.Exp(-2*500*d*d))
		if d > 0.0831 {
			t.Errorf("%s: KS distance %.4f below uniform, want at most .0831", name, d)
		}
	}
}

func TestSignFlip(t *testing.T) {
	// By hand: of the 8 signs of 1 2 3 only +++ sums to 6, and --- to -6.
	one, err := SignFlip([]float64{1, 2, 3}, Greater, Options{})
	two, err2 := SignFlip([]float64{1, 2, 3}, TwoSided, Options{})
	if err != nil || err2 != nil || one.GE.Int64() != 1 || two.GE.Int64() != 2 || two.Total.Int64() != 8 {
		t.Errorf("got %v and %v of %v, %v %v; want 1 and 2 of 8", one.GE, two.GE, two.Total, err, err2)
	}
}

func TestClopperPearson(t *testing.T) {
	// scipy 1.17 stats.beta.ppf(.005, 468, 99532), ppf(.995, 469, 99531).
	lo, hi := ClopperPearson(468, 99999, 0.99)
	if math.Abs(lo-0.004142690810444003) > 1e-9 || math.Abs(hi-0.005265105309783197) > 1e-9 {
		t.Errorf("got [%v, %v]", lo, hi)
	}
	if lo, hi := ClopperPearson(0, 10, 0.95); lo != 0 || math.Abs(hi-0.3084971078187608) > 1e-9 { // 1 - .025^(1/10)
		t.Errorf("0 of 10: [%v, %v], want [0, .3084971]", lo, hi)
	}
}

func TestStream(t *testing.T) {
	// Reference outputs of splitmix64, seed 1, by its published C code.
	s := NewStream(1)
	if got := s.Uint64(); got != 0x910a2dec89025cc1 {
		t.Errorf("first output %#x, want 0x910a2dec89025cc1", got)
	}
	s = NewStream(1)
	if a, b := s.Float64(), s.Float64(); a != .5665615751722809 || b != .7457817572627011 {
		t.Errorf("uniforms %v %v", a, b)
	}
	if got := NewStream(1).Normal(); math.Abs(got-1.4243480905156511) > 1e-15 {
		t.Errorf("normal %v", got)
	}
	r := Replicate(1, 1)
	if r.state != 0x910a2dec89025cc1 {
		t.Errorf("replicate 1 starts at %#x, want the first output of the seed", r.state)
	}
}

func TestRefusals(t *testing.T) {
	for name, f := range map[string]func() error{
		"empty":    func() error { _, err := TwoSample(nil, []float64{1}, Greater, Options{}); return err },
		"nan":      func() error { _, err := TwoSample([]float64{math.NaN()}, []float64{1}, Greater, Options{}); return err },
		"no signs": func() error { _, err := SignFlip(nil, Greater, Options{}); return err },
		"infinite": func() error { _, err := SignFlip([]float64{math.Inf(1)}, Greater, Options{}); return err },
		"draws":    func() error { _, err := TwoSample([]float64{1}, []float64{2}, Greater, Options{Draws: -1}); return err },
		"wrong method": func() error {
			_, err := TwoSample(make([]float64, 60), []float64{1, 2}, Greater, Options{Only: Middle, MaxBytes: 1000})
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func BenchmarkMiddle(b *testing.B) {
	for _, n := range []int{24, 32, 40, 50} {
		g := NewStream(5)
		v := make([]float64, n)
		for i := range v {
			v[i] = g.Normal()
		}
		b.Run(fmt.Sprintf("%d values", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := TwoSample(v[:n/2], v[n/2:], Greater, Options{Only: Middle}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
