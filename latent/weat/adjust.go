package weat

import (
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// Adjusted is the association of s with the group that covariates such as
// ln|v| leave: a partial correlation.
type Adjusted struct {
	R, T    float64
	DF      int
	LogP    float64   // ln of the upper Student tail of T
	LogPTwo float64   // two-sided
	Tail    perm.Tail // Freedman-Lane: residuals of s given the covariates are permuted
}

// Adjust correlates s (X then Y) with the group given covariates, one slice
// each, in the same order. The permutation is that of Freedman and Lane
// (1983): residuals of s are shuffled, added to the fit and adjusted again.
func Adjust(x, y []float64, covariates [][]float64, alt perm.Alt, draws int, seed uint64) (Adjusted, error) {
	n, q := len(x)+len(y), len(covariates)
	df := n - 2 - q
	if df < 1 {
		return Adjusted{}, fault.Inputf("too-few", "weat: adjust: found %d words for %d covariates, want %d or more", n, q, q+3)
	}
	basis := [][]float64{}
	one := make([]float64, n)
	for i := range one {
		one[i] = 1
	}
	for k, c := range append([][]float64{one}, covariates...) {
		if len(c) != n {
			return Adjusted{}, fault.Inputf("too-few", "weat: adjust: covariate %d: found %d values, want %d", k, len(c), n)
		}
		v := residual(c, basis)
		l := length(v)
		if l <= 1e-10*length(c) || l == 0 {
			return Adjusted{}, fault.Inputf("near-singular", "weat: adjust: covariate %d: found a constant or a combination of the others", k)
		}
		for i := range v {
			v[i] /= l
		}
		basis = append(basis, v)
	}
	group := make([]float64, n)
	for i := range x {
		group[i] = 1
	}
	g := residual(group, basis)
	s := slices.Concat(x, y)
	e := residual(s, basis)
	if length(g) <= 1e-10 || length(e) <= 1e-10*length(s) {
		return Adjusted{}, fault.Inputf("near-singular", "weat: adjust: found covariates that determine the group or the scores")
	}
	r := dot(e, g) / (length(e) * length(g))
	a := Adjusted{R: r, DF: df, T: r * math.Sqrt(float64(df)/(1-r*r))}
	a.LogP, a.LogPTwo = stat.LogTailStudentT(a.T, float64(df))
	// The fit itself is removed by the second adjustment, so only the shuffled
	// residuals matter.
	hits, shuffled := 0, make([]float64, n)
	for k := 1; k <= draws; k++ {
		st := perm.Replicate(seed, k)
		copy(shuffled, e)
		for i := range n - 1 {
			j := i + st.Index(n-i)
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		}
		v := residual(shuffled, basis)
		rk := dot(v, g) / (length(v) * length(g))
		if rk >= r-1e-12 && alt == perm.Greater || alt == perm.TwoSided && math.Abs(rk) >= math.Abs(r)-1e-12 {
			hits++
		}
	}
	a.Tail = perm.Drawn(hits, draws, 1e-12)
	return a, nil
}

// residual takes the projections on an orthonormal basis off, twice.
func residual(v []float64, basis [][]float64) []float64 {
	out := slices.Clone(v)
	for range 2 {
		for _, b := range basis {
			c := dot(out, b)
			for i, x := range b {
				out[i] -= c * x
			}
		}
	}
	return out
}

// Matched is the effect that random words with the same lengths and piece
// counts make.
type Matched struct {
	MeanD, SD float64 // of d over the draws
	Tail      perm.Tail
	Pool      int
}

// MatchedNull draws X' and Y' anew: each word is replaced by a random word of
// the pool with the same number of pieces and in the same decile of length.
// The mean of d' is what the covariates alone make; the tail counts d' >= d.
func MatchedNull(sc Scores, sp Space, pool []string, draws int, seed uint64) (Matched, error) {
	if sc.Undefined != "" || draws < 1 {
		return Matched{}, fault.Usagef("weat: matched null: found %d draws, test undefined: %q", draws, sc.Undefined)
	}
	g, err := sc.axis(sp)
	if err != nil {
		return Matched{}, err
	}
	own := map[string]bool{}
	for _, w := range slices.Concat(sc.X, sc.Y, sc.A, sc.B) {
		own[w.Used] = true
	}
	var s, ln []float64
	var pieces []int
	for _, w := range pool {
		if own[w] {
			continue
		}
		v, why := sp.Vector(w)
		if why != "" {
			continue
		}
		if u, why := unit(v); why == "" {
			s, ln, pieces = append(s, dot(u, g)), append(ln, logNormOf(sp, w, v)), append(pieces, piecesOf(sp, w))
		}
	}
	if len(s) < 100 {
		return Matched{}, fault.Inputf("too-few", "weat: matched null: found %d usable words in the pool, want 100 or more", len(s))
	}
	sorted := slices.Clone(ln)
	slices.Sort(sorted)
	decile := func(x float64) int {
		i, _ := slices.BinarySearch(sorted, x)
		return min(9, 10*i/len(sorted))
	}
	type cell struct{ pieces, decile int }
	cells := map[cell][]float64{}
	for i := range s {
		c := cell{pieces[i], decile(ln[i])}
		cells[c] = append(cells[c], s[i])
	}
	from := func(words []Scored) ([][]float64, error) {
		out := make([][]float64, len(words))
		for i, w := range words {
			out[i] = cells[cell{w.Pieces, decile(w.LogNorm)}]
			if len(out[i]) < 2 {
				return nil, fault.Inputf("too-few", "weat: matched null: word %q: found %d matches in the pool, want 2 or more", w.Word, len(out[i]))
			}
		}
		return out, nil
	}
	cx, err := from(sc.X)
	if err != nil {
		return Matched{}, err
	}
	cy, err := from(sc.Y)
	if err != nil {
		return Matched{}, err
	}
	d := effectD(values(sc.X), values(sc.Y))
	x, y, all, hits := make([]float64, len(cx)), make([]float64, len(cy)), make([]float64, 0, draws), 0
	for r := 1; r <= draws; r++ {
		st := perm.Replicate(seed, r)
		for i, c := range cx {
			x[i] = c[st.Index(len(c))]
		}
		for i, c := range cy {
			y[i] = c[st.Index(len(c))]
		}
		if v := effectD(x, y); finite(v) {
			all = append(all, v)
			if v >= d-1e-12 {
				hits++
			}
		}
	}
	m, v := stat.MeanVar(all)
	return Matched{MeanD: m, SD: math.Sqrt(v), Tail: perm.Drawn(hits, draws, 1e-12), Pool: len(s)}, nil
}

// axis is g, the mean unit vector of A less that of B.
func (sc Scores) axis(sp Space) ([]float64, error) {
	g := make([]float64, sp.Dim())
	for k, set := range [][]Scored{sc.A, sc.B} {
		for _, w := range set {
			v, _ := sp.Vector(w.Used)
			u, why := unit(v)
			if why != "" || len(u) != len(g) {
				return nil, fault.Usagef("weat: matched null: word %q has no vector in this space", w.Used)
			}
			for i, x := range u {
				g[i] += float64(1-2*k) * x / float64(len(set))
			}
		}
	}
	return g, nil
}
