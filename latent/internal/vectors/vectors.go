// Package vectors holds the expected values that the tests of latent compare
// with, and the small inputs they were computed on. The values were computed
// with numpy 2.4.6 and scipy 1.17.1 in float64, columns named sk with
// scikit-learn 1.9.1; none of them is output of assay. Only tests import it.
package vectors

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"assay/internal/gen"
)

//go:embed vectors.json
var raw []byte

// H draws (u1+u2+u3+u4)/2^20 - 2 with u the top 20 bits of splitmix64.
func H(g *gen.Stream) float64 {
	var u uint64
	for range 4 {
		u += g.Uint64() >> 44
	}
	return float64(u)/(1<<20) - 2
}

// G1 is 200 rows of width 64, row-major: h 2^-(j mod 4), rows 100..199 have
// shift added in column 5.
func G1(seed uint64, shift float64) []float64 {
	g := gen.New(seed)
	x := make([]float64, 200*64)
	for i := range 200 {
		for j := range 64 {
			x[i*64+j] = H(g) * math.Ldexp(1, -(j%4))
			if i >= 100 && j == 5 {
				x[i*64+j] += shift
			}
		}
	}
	return x
}

// Y is G1(1, .75) turned by one column plus .5 h of seed 2.
func Y() []float64 {
	x, g := G1(1, .75), gen.New(2)
	y := make([]float64, len(x))
	for i := range 200 {
		for j := range 64 {
			y[i*64+j] = x[i*64+(j+1)%64] + .5*H(g)
		}
	}
	return y
}

// Float32 converts exactly; every value of G1 fits.
func Float32(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// File gives access to the values by path, as in "G1.indices.dbs".
type File struct {
	t   testing.TB
	top map[string]any
}

// Load parses the embedded file.
func Load(t testing.TB) File {
	t.Helper()
	f := File{t: t}
	if err := json.Unmarshal(raw, &f.top); err != nil {
		t.Fatal(err)
	}
	return f
}

// At returns the value at a path of keys and list indices; a missing key fails the test.
func (f File) At(path string) any {
	f.t.Helper()
	var v any = f.top
	// Keys may hold dots ("G1_shift_0.125"): the longest prefix that is a key wins.
	rest := path
	for rest != "" {
		switch x := v.(type) {
		case map[string]any:
			k := rest
			for {
				if _, ok := x[k]; ok {
					break
				}
				i := strings.LastIndexByte(k, '.')
				if i < 0 {
					f.t.Fatalf("vectors: no %q in %q", rest, path)
				}
				k = k[:i]
			}
			v, rest = x[k], strings.TrimPrefix(rest[len(k):], ".")
		case []any:
			k, r, _ := strings.Cut(rest, ".")
			i, err := strconv.Atoi(k)
			if err != nil || i >= len(x) {
				f.t.Fatalf("vectors: index %q in %q", k, path)
			}
			v, rest = x[i], r
		default:
			f.t.Fatalf("vectors: %q ends before %q", path, rest)
		}
	}
	return v
}

// Has reports whether a map at path has the key.
func (f File) Has(path, key string) bool {
	m, ok := f.At(path).(map[string]any)
	_, has := m[key]
	return ok && has
}

// Num returns the number at a path; "inf" is +Inf and null is NaN.
func (f File) Num(path string) float64 {
	f.t.Helper()
	switch x := f.At(path).(type) {
	case float64:
		return x
	case string:
		if x == "inf" {
			return math.Inf(1)
		}
	case nil:
		return math.NaN()
	}
	f.t.Fatalf("vectors: %q is not a number", path)
	return 0
}

// Nums returns the list of numbers at a path.
func (f File) Nums(path string) []float64 {
	f.t.Helper()
	l, ok := f.At(path).([]any)
	if !ok {
		f.t.Fatalf("vectors: %q is not a list", path)
	}
	out := make([]float64, len(l))
	for i := range l {
		out[i] = f.Num(fmt.Sprintf("%s.%d", path, i))
	}
	return out
}

// Case returns points (row-major), width and labels of a case of table T.
func (f File) Case(name string) (x []float64, w int, labels []int) {
	f.t.Helper()
	for i := range f.At("T." + name + ".points").([]any) {
		row := f.Nums(fmt.Sprintf("T.%s.points.%d", name, i))
		x, w = append(x, row...), len(row)
	}
	for _, l := range f.Nums("T." + name + ".labels") {
		labels = append(labels, int(l))
	}
	return x, w, labels
}

// Near fails the test unless got equals want to rel relative (absolute where
// want is 0), with NaN equal to NaN and Inf to Inf.
func Near(t testing.TB, what string, got, want, rel float64) {
	t.Helper()
	if math.IsNaN(want) || math.IsInf(want, 0) || math.IsNaN(got) || math.IsInf(got, 0) {
		if !(got == want || math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
		return
	}
	d := math.Abs(got - want)
	if want != 0 {
		d /= math.Abs(want)
	}
	if d > rel {
		t.Errorf("%s = %.17g, want %.17g (off by %.2g, allowed %.2g)", what, got, want, d, rel)
	}
}
