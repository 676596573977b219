package palimpsest

import (
	"assay/internal/fault"
	"assay/probes/stat"
)

// Design says which positions of a run become rows: by position and seed only,
// never by content or score, so that the null stays exact.
type Design struct {
	Kind   string     // uniform, late:F or all; "" means uniform
	Rows   int        // 0 means 10,000
	Window [2]float64 // fractions of the run; zero means all of it
	Seed   uint64
}

// Select draws the positions of a transcript from a run of n sequences, in the
// random order in which they are to be stored. Uniform draws without
// replacement from the window; late:F takes half of the rows from the last share
// F of the window and half from its first half, which raises power when memory
// fades fast but gives a rho that is not comparable with uniform. All keeps every
// position of the window and ignores Rows. O(rows) time and memory.
func Select(n int64, d Design) ([]int64, error) {
	if d.Kind == "" {
		d.Kind = "uniform"
	}
	if d.Rows == 0 {
		d.Rows = 10000
	}
	kind, f, err := parseDesign(d.Kind)
	if err != nil {
		return nil, err
	}
	lo, hi, err := windowBounds(n, d.Window)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "all":
		return drawRows(lo, hi, hi-lo, d.Seed, "select")
	case "late":
		late, early := lateGroups(lo, hi, f)
		a, err := drawRows(late, hi, int64(d.Rows+1)/2, d.Seed, "select-late")
		if err != nil {
			return nil, err
		}
		b, err := drawRows(lo, early, int64(d.Rows/2), d.Seed, "select-early")
		if err != nil {
			return nil, err
		}
		a = append(a, b...)
		g := stat.NewRand(d.Seed, "select-mix", 0)
		g.Shuffle(len(a), func(i, j int) { a[i], a[j] = a[j], a[i] })
		return a, nil
	}
	return drawRows(lo, hi, int64(d.Rows), d.Seed, "select")
}

// lateGroups returns the first late position and the end of the early ones.
func lateGroups(lo, hi int64, f float64) (late, early int64) {
	size := float64(hi - lo)
	return hi - int64(f*size), lo + int64(0.5*size)
}

// windowBounds turns fractions of a run into positions [lo, hi).
func windowBounds(n int64, w [2]float64) (lo, hi int64, err error) {
	if w == ([2]float64{}) {
		w[1] = 1
	}
	if !(w[0] >= 0 && w[0] < w[1] && w[1] <= 1) {
		return 0, 0, fault.Usagef("palimpsest: window %g:%g, want fractions A < B between 0 and 1", w[0], w[1])
	}
	lo, hi = int64(w[0]*float64(n)), int64(w[1]*float64(n))
	if w[1] == 1 {
		hi = n
	}
	if lo >= hi {
		return 0, 0, fault.Inputf("empty", "palimpsest: window %g:%g of %d positions holds none", w[0], w[1], n)
	}
	return lo, hi, nil
}

// drawRows takes k of the positions [lo, hi) by a Fisher-Yates shuffle that stores
// only the slots it has moved.
func drawRows(lo, hi, k int64, seed uint64, stream string) ([]int64, error) {
	n := hi - lo
	if k > n {
		return nil, fault.Inputf("empty", "palimpsest: selection: %d rows asked for, %d positions between %d and %d", k, n, lo, hi)
	}
	g := stat.NewRand(seed, stream, 0)
	moved := make(map[int64]int64)
	at := func(i int64) int64 {
		if v, ok := moved[i]; ok {
			return v
		}
		return i
	}
	out := make([]int64, k)
	for i := range out {
		j := int64(i) + g.Int64N(n-int64(i))
		out[i] = lo + at(j)
		moved[j] = at(int64(i))
	}
	return out, nil
}
