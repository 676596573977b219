package aqi

import (
	"math"
	"math/rand/v2"
	"slices"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/par"
	"assay/probes/stat"
)

// Learned is the cross-fitted separation of learned layer weights.
type Learned struct {
	Map      string
	Theta    float64
	Uniform  float64     // equal weights on the same held-out folds
	Permuted float64     // mean theta with labels swapped over blocks
	Weights  [][]float64 // by fold and layer, on the simplex
	Entropy  []float64   // of the weights, nats
}

// forms are the quadratic forms of a set of cells: for layer weights alpha,
// theta(alpha) = alpha'A alpha / alpha'V alpha.
type forms struct{ a, v geom.Dense }

func (f forms) theta(p []float64) float64 {
	return geom.Quad(f.a.Data, p) / geom.Quad(f.v.Data, p)
}

// moment is one cell: rows, vector sums by layer, layer products.
type moment struct {
	label, stratum, block int
	n                     int
	s                     [][]float64 // as the file holds them: see learner.scale
	q                     []float64
}

// learner holds the cells of the chosen layers, scaled by their spread.
type learner struct {
	cells  []moment
	k, w   int
	strata int
	form   geom.Form
	own    [][]float64 // see products
	scale  []float64   // 1/spread by layer, applied when sums are used
}

func (r *runner) learner(alpha, spread []float64) (*learner, []int, error) {
	q := r.q
	if q.cells == nil {
		return nil, nil, latent.NeedCells(q.in, q.v)
	}
	if len(q.d.Groups) != 2 {
		return nil, nil, fault.Usagef("aqi: layer-pool learned: %d groups, want 2", len(q.d.Groups))
	}
	if r.post.name != "none" {
		return nil, nil, fault.Usagef("aqi: layer-pool learned: post %q, want none", r.post.name)
	}
	var layers []int
	for k, a := range alpha {
		if a != 0 {
			layers = append(layers, k)
		}
	}
	l := &learner{k: len(layers), w: q.v.Width, strata: len(q.d.Strata), form: q.d.Form}
	for _, k := range layers {
		l.scale = append(l.scale, 1/spread[k])
	}
	all := q.cells.Layers()
	for c := range q.cells.Len() {
		in := q.cells.Info(c)
		lab, st, ok := q.d.CellLabel(in)
		if !ok {
			continue
		}
		m := moment{label: lab, stratum: st, block: in.Block, n: in.N, q: make([]float64, l.k*l.k)}
		if len(q.d.Strata) < 2 {
			m.block += (in.Stratum + 1) << 16
		}
		cq := q.cells.Q(c)
		for i, k := range layers {
			m.s = append(m.s, q.cells.Sum(c, k))
			for j, o := range layers {
				m.q[i*l.k+j] = cq[k*all+o] / spread[k] / spread[o]
			}
		}
		l.cells = append(l.cells, m)
	}
	l.products(q.workers)
	return l, layers, nil
}

// build sums the forms over cells for which use is true, labels taken from lab.
func (l *learner) build(lab []int, use func(i int) bool) (forms, bool) {
	f := forms{geom.NewDense(l.k, l.k), geom.NewDense(l.k, l.k)}
	some := false
	for st := range l.strata {
		var idx [2][]int
		for i, c := range l.cells {
			if c.stratum == st && use(i) {
				idx[lab[i]] = append(idx[lab[i]], i)
			}
		}
		if len(idx[0]) == 0 || len(idx[1]) == 0 || l.form != geom.Independent && min(len(idx[0]), len(idx[1])) < 2 {
			continue
		}
		some = true
		d := make([][]float64, l.k)
		for k := range d {
			d[k] = make([]float64, l.w)
		}
		for g, cells := range idx {
			n, s, m := 0.0, make([][]float64, l.k), geom.NewDense(l.k, l.k)
			for k := range s {
				s[k] = make([]float64, l.w)
			}
			for _, i := range cells {
				c := l.cells[i]
				n += float64(c.n)
				for k := range s {
					add(s[k], c.s[k], l.scale[k])
				}
				add(m.Data, c.q, 1)
			}
			sign := float64(1 - 2*g)
			for k := range s {
				for o := range s {
					m.Row(k)[o] -= inner(s[k], s[o]) / n
				}
				add(d[k], s[k], sign/n)
			}
			add(f.v.Data, m.Data, 1/(n-1))
			switch l.form {
			case geom.Independent:
				add(f.a.Data, m.Data, -2/(n*(n-1)))
			case geom.Families:
				l.familyNoise(f.a, cells, s, n)
			}
		}
		if l.form == geom.Pairs {
			l.pairForm(f.a, idx)
			continue
		}
		for k := range d {
			for o := range d {
				f.a.Row(k)[o] += 2 * inner(d[k], d[o])
			}
		}
	}
	return f, some
}

// familyNoise subtracts 2 C/(C-1) sum_c (n_c/n)^2 (m_c-m)(m_c-m)', expanded so that
// only each cell's own products are needed.
func (l *learner) familyNoise(a geom.Dense, cells []int, s [][]float64, n float64) {
	b := make([][]float64, l.k)
	for k := range b {
		b[k] = make([]float64, l.w)
	}
	own, nn := make([]float64, l.k*l.k), 0.0
	for _, i := range cells {
		c := l.cells[i]
		add(own, l.own[i], 1)
		nn += float64(c.n) * float64(c.n)
		for k := range b {
			add(b[k], c.s[k], l.scale[k]*float64(c.n))
		}
	}
	c := float64(len(cells))
	for k := range b {
		for o := range b {
			e := own[k*l.k+o] - (inner(b[k], s[o])+inner(s[k], b[o]))/n + nn/(n*n)*inner(s[k], s[o])
			a.Row(k)[o] -= 2 * c / (c - 1) * e / (n * n)
		}
	}
}

// pairForm adds 2 (sum D sum D' - sum D_c D_c') / (n^2 - sum n_c^2).
func (l *learner) pairForm(a geom.Dense, idx [2][]int) {
	other := map[int]int{}
	for _, i := range idx[1] {
		other[l.cells[i].block] = i
	}
	total := make([][]float64, l.k)
	for k := range total {
		total[k] = make([]float64, l.w)
	}
	sq := make([]float64, l.k*l.k)
	var n, nn float64
	for _, i := range idx[0] {
		j, ok := other[l.cells[i].block]
		if !ok {
			continue
		}
		for k := range total {
			add(total[k], l.cells[i].s[k], l.scale[k])
			add(total[k], l.cells[j].s[k], -l.scale[k])
		}
		add(sq, l.own[min(i, j)], 1)
		c := float64(l.cells[i].n)
		n += c
		nn += c * c
	}
	if n*n == nn {
		return
	}
	for k := range total {
		for o := range total {
			a.Row(k)[o] += 2 * (inner(total[k], total[o]) - sq[k*l.k+o]) / (n*n - nn)
		}
	}
}

// products fills own: in families each cell's S S', in pairs D D' of the block,
// stored at its first cell. Swapping labels changes neither.
func (l *learner) products(workers int) {
	if l.form == geom.Independent {
		return
	}
	l.own = make([][]float64, len(l.cells))
	mate := make([]int, len(l.cells))
	first := map[[2]int]int{}
	for i, c := range l.cells {
		mate[i] = -1
		k := [2]int{c.stratum, c.block}
		if j, ok := first[k]; ok {
			mate[j] = i
		} else {
			first[k] = i
		}
	}
	par.For(len(l.cells), workers, func(i int) {
		e := l.cells[i].s
		if l.form == geom.Pairs {
			if mate[i] < 0 {
				return
			}
			d := make([][]float64, l.k)
			for k := range d {
				d[k] = slices.Clone(e[k])
				add(d[k], l.cells[mate[i]].s[k], -1)
			}
			e = d
		}
		l.own[i] = make([]float64, l.k*l.k)
		for k := range l.k {
			for o := range l.k {
				l.own[i][k*l.k+o] = l.scale[k] * l.scale[o] * inner(e[k], e[o])
			}
		}
	})
}

// fit maximises theta from equal weights by gradient ascent with an adaptive
// step; theta never decreases.
func (f forms) fit(m *mapping) []float64 {
	k := f.a.N
	z := make([]float64, k)
	p := m.weights(z)
	best := f.theta(p)
	step := 1.0
	for range 500 {
		av, vv := times(f.a, p), times(f.v, p)
		den := inner(p, vv)
		g := make([]float64, k)
		for i := range g {
			g[i] = 2 * (av[i] - best*vv[i]) / den
		}
		dz := m.back(p, g)
		norm := math.Sqrt(inner(dz, dz))
		if norm < 1e-12*(1+math.Abs(best)) {
			break
		}
		improved := false
		for range 30 {
			t := slices.Clone(z)
			add(t, dz, step/norm)
			if tp := m.weights(t); f.theta(tp) > best+1e-13*math.Abs(best) {
				z, p, best, improved = t, tp, f.theta(tp), true
				step *= 1.5
				break
			}
			step /= 2
		}
		if !improved {
			break
		}
	}
	return p
}

// crossFit fits on four folds of blocks and evaluates on the fifth; numerator and
// denominator are averaged over folds.
func (l *learner) crossFit(name string, lab []int, folds int) (out Learned, ok bool) {
	m := simplexMap(name)
	out.Map = name
	fold := l.folds(folds)
	var num, den, un, ud float64
	uniform := make([]float64, l.k)
	for k := range uniform {
		uniform[k] = 1 / float64(l.k)
	}
	for f := range folds {
		train, ok1 := l.build(lab, func(i int) bool { return fold[i] != f })
		test, ok2 := l.build(lab, func(i int) bool { return fold[i] == f })
		if !ok1 || !ok2 {
			continue
		}
		p := train.fit(m)
		num += geom.Quad(test.a.Data, p)
		den += geom.Quad(test.v.Data, p)
		un += geom.Quad(test.a.Data, uniform)
		ud += geom.Quad(test.v.Data, uniform)
		out.Weights = append(out.Weights, p)
		h := 0.0
		for _, v := range p {
			if v > 0 {
				h -= v * math.Log(v)
			}
		}
		out.Entropy = append(out.Entropy, h)
	}
	if len(out.Weights) == 0 {
		return out, false
	}
	out.Theta, out.Uniform = num/den, un/ud
	return out, true
}

// folds deals blocks to folds round robin inside a stratum, by block number.
func (l *learner) folds(n int) []int {
	fold := make([]int, len(l.cells))
	for i, c := range l.cells {
		fold[i] = c.block % n
	}
	return fold
}

// permutedLearned is the number of random block swaps whose mean cross-fitted
// theta is printed beside the learned one.
const permutedLearned = 20

func (l *learner) run(name string, folds int, seed uint64, workers int) (Learned, error) {
	lab := make([]int, len(l.cells))
	for i, c := range l.cells {
		lab[i] = c.label
	}
	out, ok := l.crossFit(name, lab, folds)
	if !ok {
		return out, fault.Inputf("too-few-blocks", "aqi: layer-pool learned: too few cells for %d folds, want at least %d blocks of each label in a stratum", folds, 2*folds)
	}
	var null [permutedLearned]float64
	par.For(permutedLearned, workers, func(j int) {
		p, _ := l.crossFit(name, l.swapped(lab, stat.NewRand(seed, "latent.learn", uint64(j))), folds)
		null[j] = p.Theta
	})
	for _, v := range null {
		out.Permuted += v / permutedLearned
	}
	return out, nil
}

// swapped exchanges the labels of randomly chosen blocks.
func (l *learner) swapped(lab []int, g *rand.Rand) []int {
	out := slices.Clone(lab)
	flip := map[[2]int]bool{}
	for i, c := range l.cells {
		k := [2]int{c.stratum, c.block}
		f, ok := flip[k]
		if !ok {
			f = g.Uint64()&1 == 1
			flip[k] = f
		}
		if f {
			out[i] = 1 - lab[i]
		}
	}
	return out
}

func times(m geom.Dense, p []float64) []float64 {
	out := make([]float64, m.N)
	for i := range out {
		out[i] = inner(m.Row(i), p)
	}
	return out
}

func inner(a, b []float64) float64 {
	t := 0.0
	for i, v := range a {
		t += v * b[i]
	}
	return t
}

func add(dst, x []float64, a float64) {
	for i, v := range x {
		dst[i] += a * v
	}
}
