package weat

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"assay/internal/fault"
	"assay/probes/stat"
)

// Related are other published measures of the same sets, as defined by their
// papers and checked against dccuchile/wefe; none has a valid p-value.
type Related struct {
	// RND (relative norm distance): mean over attributes of the Euclidean
	// distance to the mean of X less that to the mean of Y; > 0 nearer Y.
	RND float64
	// RNDCos is the same with cosine similarity; > 0 nearer X.
	RNDCos float64
	// ECT (embedding coherence): Spearman over attributes of the cosines to
	// the two means; 1 is no difference.
	ECT float64
	// MAC: mean cosine distance of all targets to each attribute set; 1 is none.
	MAC float64
}

// RelatedOf computes RND, ECT on one attribute set and MAC on all sets given.
// Raw vectors, as in the papers; unit scales every vector to length 1 first.
func RelatedOf(x, y, attr [][]float64, all [][][]float64, scaled bool) (Related, error) {
	sets := append([][][]float64{x, y, attr}, all...)
	for k := range sets {
		if len(sets[k]) == 0 {
			return Related{}, fault.Inputf("bad-wordsets", "weat: related measures: found an empty set")
		}
		for _, v := range sets[k] {
			if _, why := unit(v); why != "" || len(v) != len(sets[0][0]) {
				return Related{}, fault.Inputf("bad-vectors", "weat: related measures: found a %s vector of %d numbers", why, len(v))
			}
		}
	}
	raw := sets
	if scaled {
		raw = unitSets(sets)
	}
	m1, _ := PoolMean.Join(raw[0])
	m2, _ := PoolMean.Join(raw[1])
	var r Related
	c1, c2 := make([]float64, len(attr)), make([]float64, len(attr))
	for i, a := range raw[2] {
		r.RND += (distance(a, m1) - distance(a, m2)) / float64(len(attr))
		c1[i], c2[i] = cosine(a, m1), cosine(a, m2)
		r.RNDCos += (c1[i] - c2[i]) / float64(len(attr))
	}
	r.ECT = nan
	if e, err := stat.Spearman(c1, c2); err == nil {
		r.ECT = e
	}
	n := 0
	for _, t := range slices.Concat(x, y) {
		for _, s := range all {
			var d float64
			for _, a := range s {
				d += 1 - cosine(t, a)
			}
			r.MAC += d / float64(len(s))
			n++
		}
	}
	r.MAC /= float64(n)
	return r, nil
}

func unitSets(sets [][][]float64) [][][]float64 {
	out := make([][][]float64, len(sets))
	for k, s := range sets {
		for _, v := range s {
			u, _ := unit(v)
			out[k] = append(out[k], u)
		}
	}
	return out
}

func distance(a, b []float64) float64 {
	d := make([]float64, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return length(d)
}

func cosine(a, b []float64) float64 { return dot(a, b) / (length(a) * length(b)) }

// RIPA is the relational inner product association: raw vectors on the
// directions of paired words.
type RIPA struct {
	Mean     float64
	WordMean []float64 // by attribute, over the pairs
	WordSD   []float64 // ddof 0
}

// RIPAOf needs lists of one length, x[i] paired with y[i].
func RIPAOf(x, y, attr [][]float64) (RIPA, error) {
	if len(x) != len(y) || len(x) == 0 || len(attr) == 0 {
		return RIPA{}, fault.Usagef("weat: ripa: found %d and %d words, want paired lists of one length", len(x), len(y))
	}
	dirs := make([][]float64, len(x))
	for i := range x {
		d := make([]float64, len(x[i]))
		for k := range d {
			d[k] = x[i][k] - y[i][k]
		}
		u, why := unit(d)
		if why != "" {
			return RIPA{}, fault.Inputf("bad-wordsets", "weat: ripa: pair %d: found equal vectors, want two different words", i+1)
		}
		dirs[i] = u
	}
	var out RIPA
	for _, a := range attr {
		var m, ss float64
		p := make([]float64, len(dirs))
		for i, d := range dirs {
			p[i] = dot(a, d)
		}
		m = mean(p)
		for _, q := range p {
			ss += (q - m) * (q - m)
		}
		out.WordMean = append(out.WordMean, m)
		out.WordSD = append(out.WordSD, math.Sqrt(ss/float64(len(p))))
	}
	out.Mean = mean(out.WordMean)
	return out, nil
}

// RNSB is the relative negative sentiment bias: a logistic classifier of the
// two attribute sets, and how unevenly it likes the targets.
type RNSB struct {
	KL float64   // of the targets' normalised P(B) from uniform, nats
	P  []float64 // P(set B) of each target
}

// RNSBOf fits attributes A (label -1) against B (+1) by L2 logistic regression,
// C = 1, the intercept penalised, all words used: Newton steps to a gradient
// below 1e-10. Published code fits a random 80 %.
func RNSBOf(a, b, targets [][]float64) (RNSB, error) {
	if len(a) == 0 || len(b) == 0 || len(targets) == 0 {
		return RNSB{}, fault.Inputf("bad-wordsets", "weat: rnsb: found an empty set")
	}
	rows := slices.Concat(a, b)
	n, d := len(rows), len(rows[0])+1
	z := mat.NewDense(n, d, nil)
	label := make([]float64, n)
	for i, r := range rows {
		copy(z.RawRowView(i), r)
		z.Set(i, d-1, 1)
		label[i] = -1
		if i >= len(a) {
			label[i] = 1
		}
	}
	w, err := newtonLogistic(z, label)
	if err != nil {
		return RNSB{}, err
	}
	var out RNSB
	var sum float64
	for _, t := range targets {
		p := 1 / (1 + math.Exp(-dot(t, w[:d-1])-w[d-1]))
		out.P = append(out.P, p)
		sum += p
	}
	for _, p := range out.P {
		if q := p / sum; q > 0 {
			out.KL += q * math.Log(q*float64(len(out.P)))
		}
	}
	return out, nil
}

// newtonLogistic minimises |w|^2/2 + sum ln(1 + exp(-label z.w)). There are
// fewer rows than columns, so each step is solved in the space of rows:
// (I + Z'DZ)^-1 g = g - Z' (D^-1 + ZZ')^-1 Z g.
func newtonLogistic(z *mat.Dense, label []float64) ([]float64, error) {
	n, d := z.Dims()
	var gram mat.Dense
	gram.Mul(z, z.T())
	w := make([]float64, d)
	for range 100 {
		g := slices.Clone(w)
		weight := make([]float64, n)
		for i := range n {
			row := z.RawRowView(i)
			p := 1 / (1 + math.Exp(label[i]*dot(row, w)))
			weight[i] = max(p*(1-p), 1e-300)
			for k, x := range row {
				g[k] -= label[i] * p * x
			}
		}
		if length(g) < 1e-10 {
			return w, nil
		}
		m := mat.NewDense(n, n, nil)
		m.Copy(&gram)
		zg := mat.NewVecDense(n, nil)
		for i := range n {
			m.Set(i, i, m.At(i, i)+1/weight[i])
			zg.SetVec(i, dot(z.RawRowView(i), g))
		}
		var y mat.VecDense
		if err := y.SolveVec(m, zg); err != nil {
			return nil, fault.Inputf("near-singular", "weat: rnsb: %w", err)
		}
		for k := range w {
			step := g[k]
			for i := range n {
				step -= z.At(i, k) * y.AtVec(i)
			}
			w[k] -= step
		}
	}
	return nil, fault.Inputf("near-singular", "weat: rnsb: the classifier did not converge in 100 Newton steps")
}

// RawVectors returns the vectors of a set's words as the space has them, and
// the words it has not: what the related measures work on.
func RawVectors(s Set, sp Space, o LossOptions) ([][]float64, []Lost) {
	found, lost, _ := o.lookup(s.Name, s.Words, sp)
	out := make([][]float64, len(found))
	for i, v := range found {
		out[i] = v.raw
	}
	return out, lost
}
