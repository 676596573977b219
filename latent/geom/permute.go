package geom

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"

	"assay/internal/fault"
	"assay/latent/internal/par"
	"assay/probes/stat"
)

// ExactLimit is the largest number of arrangements that are all counted.
const ExactLimit = 1 << 20

// tieTol is the relative difference below which two statistics are equal; a
// tie is a hit, so the tolerance can only make p larger.
const tieTol = 1e-12

// Scheme is a randomisation of labels under the null hypothesis that labels
// are exchangeable between units inside a stratum. The same arrangements are
// used for every table (layer) that it is evaluated on.
type Scheme struct {
	Kind  string // labels, swaps or signs
	Exact bool   // every arrangement is counted once, the observed one included
	Count int    // arrangements: all of them, or the number of draws
	Units int    // units moved (labels) or block pairs (swaps, signs)

	seed   uint64
	labels int
	strata [][]int   // labels: units by stratum
	blocks [][]block // swaps, signs: by stratum
}

// Draws are the statistics of one table under a scheme.
type Draws struct {
	Scheme   *Scheme
	Observed float64
	Stat     []float64 // one per arrangement
	NullMean float64   // mean of plain R2 over the arrangements
	NullQ95  float64   // its 95 % point
	tol      float64
}

// NewLabels permutes labels over units inside strata: all arrangements up to
// ExactLimit, else draws of them. Statistic: sum over strata and pairs of
// labels of the squared distance of group means.
func NewLabels(t *Table, draws int, seed uint64) (*Scheme, error) {
	s := &Scheme{Kind: "labels", seed: seed, labels: t.Labels, Units: len(t.Unit)}
	used, _ := t.usable()
	s.strata = make([][]int, 0, len(used))
	count := 1.0
	for _, st := range used {
		var idx []int
		for u, x := range t.Unit {
			if x.Stratum == st {
				idx = append(idx, u)
			}
		}
		s.strata = append(s.strata, idx)
		n := 0
		for l := range t.Labels {
			g := t.group(l, st).units
			n += g
			count *= binomial(n, g)
		}
	}
	return s.finish(count, draws)
}

// NewSwaps swaps the two labels of full blocks with equal number, for cells;
// NewSigns does the same for every pair of paired data. Statistic:
// sum over strata of |sum_g e_g D_g|^2 / n_s^2 with D_g the difference of the
// two sums and n_s the rows of one label.
func NewSwaps(t *Table, draws int, seed uint64) (*Scheme, error) {
	return newSwaps(t, "swaps", draws, seed)
}

// NewSigns is NewSwaps for paired data: every pair counts, whatever its rows.
func NewSigns(t *Table, draws int, seed uint64) (*Scheme, error) {
	return newSwaps(t, "signs", draws, seed)
}

func newSwaps(t *Table, kind string, draws int, seed uint64) (*Scheme, error) {
	if t.Labels != 2 {
		return nil, fault.Usagef("geom: %s: %d labels, want 2", kind, t.Labels)
	}
	s := &Scheme{Kind: kind, seed: seed, labels: 2}
	by := make([][]block, t.Strata)
	for _, b := range t.blocks() {
		if b.double || slices.Contains(b.unit, -1) || t.Unit[b.unit[0]].N != t.Unit[b.unit[1]].N {
			continue
		}
		by[b.stratum] = append(by[b.stratum], b)
	}
	for _, bs := range by {
		if kind == "swaps" {
			full := 0
			for _, b := range bs {
				full = max(full, b.n)
			}
			bs = slices.DeleteFunc(bs, func(b block) bool { return b.n != full })
		}
		if len(bs) > 0 {
			s.blocks = append(s.blocks, bs)
			s.Units += len(bs)
		}
	}
	return s.finish(math.Exp2(float64(s.Units)), draws)
}

func (s *Scheme) finish(count float64, draws int) (*Scheme, error) {
	if count < 2 {
		return nil, fault.Inputf("too-few-units", "geom: %s: one arrangement only, want units of two labels in one stratum", s.Kind)
	}
	if count <= ExactLimit {
		s.Exact, s.Count = true, int(math.Round(count))
		return s, nil
	}
	if draws < 1 {
		return nil, fault.Usagef("geom: %s: %d draws, want at least 1", s.Kind, draws)
	}
	s.Count = draws
	return s, nil
}

// binomial is C(n, k) in float64; beyond 2^53 only its size matters.
func binomial(n, k int) float64 {
	c := 1.0
	for i := 1; i <= min(k, n-k); i++ {
		c = c * float64(n-min(k, n-k)+i) / float64(i)
	}
	return c
}

// rng is the random stream of draw j: a function of seed, kind and j alone.
func (s *Scheme) rng(j int) *rand.Rand {
	return stat.NewRand(s.seed, "latent."+s.Kind, uint64(j))
}

// Evaluate computes the statistic of every arrangement for a table with the
// units that the scheme was made from.
func (s *Scheme) Evaluate(t *Table) (Draws, error) {
	var d Draws
	var plain []float64
	if s.Kind == "labels" {
		d, plain = s.permute(t)
	} else {
		d, plain = s.swap(t)
	}
	d.Scheme = s
	for _, v := range d.Stat {
		if math.IsNaN(v) {
			return d, fault.Inputf("nonfinite", "geom: %s: a statistic is NaN, want finite vectors", s.Kind)
		}
	}
	for _, v := range plain {
		d.NullMean += v / float64(len(plain))
	}
	sort.Float64s(plain)
	d.NullQ95 = Quantile(plain, .95)
	return d, nil
}

// Log10P is log10 of hits/all (exact) or (1+hits)/(1+draws); never -Inf.
func (d Draws) Log10P() float64 { return s10(d.Hits(), d.Scheme) }

// Hits is the number of arrangements that reach the observed statistic; ties count.
func (d Draws) Hits() int {
	h := 0
	for _, v := range d.Stat {
		if v >= d.Observed-d.tol {
			h++
		}
	}
	return h
}

func s10(hits int, s *Scheme) float64 {
	if s.Exact {
		return math.Log10(float64(hits)) - math.Log10(float64(s.Count))
	}
	return math.Log10(float64(1+hits)) - math.Log10(float64(1+s.Count))
}

// Family is the outcome of the maximum over layers of the standardised statistic.
type Family struct {
	Z      []float64 // observed, by layer
	Log10P []float64 // adjusted, by layer: share of arrangements whose maximum reaches Z
	Best   int       // layer with the largest Z
	Hits   int       // of Best
}

// Familywise adjusts for looking at several layers: each layer's statistic is
// standardised by its own mean and standard deviation over the arrangements,
// the observed one included, and compared with the maximum over layers. A
// layer without spread has Z = 0.
func Familywise(ds []Draws) Family {
	f := Family{Z: make([]float64, len(ds)), Log10P: make([]float64, len(ds))}
	s := ds[0].Scheme
	top := make([]float64, s.Count)
	for i := range top {
		top[i] = math.Inf(-1)
	}
	best := math.Inf(-1)
	for l, d := range ds {
		mean, sd := d.moments()
		if sd > 0 {
			f.Z[l] = (d.Observed - mean) / sd
		}
		if f.Z[l] > best {
			best, f.Best = f.Z[l], l
		}
		for i, v := range d.Stat {
			z := 0.0
			if sd > 0 {
				z = (v - mean) / sd
			}
			top[i] = math.Max(top[i], z)
		}
	}
	for l, z := range f.Z {
		hits := 0
		for _, m := range top {
			// 1e-9: a standardised value carries the rounding of mean and sd.
			if m >= z-1e-9*math.Max(1, math.Abs(z)) {
				hits++
			}
		}
		f.Log10P[l] = s10(hits, s)
		if l == f.Best {
			f.Hits = hits
		}
	}
	return f
}

func (d Draws) moments() (mean, sd float64) {
	n := float64(len(d.Stat))
	extra := 0.0
	if !d.Scheme.Exact {
		n, extra = n+1, 1
	}
	for _, v := range d.Stat {
		mean += v
	}
	mean = (mean + extra*d.Observed) / n
	ss := extra * (d.Observed - mean) * (d.Observed - mean)
	for _, v := range d.Stat {
		ss += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(ss / n)
}

// quadBatch computes the rows of P G for a batch of indicator or sign vectors.
func quadBatch(p blas64.General, g Dense, u blas64.General) {
	blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, p, blas64.General{Rows: g.N, Cols: g.W, Stride: g.W, Data: g.Data}, 0, u)
}

const batch = 128

// permute evaluates label permutations by k-1 indicator vectors per stratum.
func (s *Scheme) permute(t *Table) (Draws, []float64) {
	k := s.labels
	type str struct {
		idx   []int
		lab   []uint8 // observed
		n     []float64
		g     Dense // Gram matrix of unit sums about the stratum mean
		total float64
	}
	strs := make([]str, len(s.strata))
	var scale, total float64
	for i, idx := range s.strata {
		x := &strs[i]
		x.idx = idx
		rows, q := 0.0, 0.0
		mean := make([]float64, t.Width())
		st := t.Unit[idx[0]].Stratum
		for l := range k {
			g := t.group(l, st)
			rows += float64(g.n)
			q += g.q
			for j, v := range g.s {
				mean[j] += v
			}
		}
		x.total = q - dot(mean, mean)/rows
		for j := range mean {
			mean[j] /= rows
		}
		for _, u := range idx {
			x.lab = append(x.lab, uint8(t.Unit[u].Label))
			x.n = append(x.n, float64(t.Unit[u].N))
		}
		x.g = Gram(unitRows{t, idx, mean}, nil, t.Workers)
		for u := range idx {
			scale += x.g.Row(u)[u] / (rows * rows) * float64(k*k)
		}
		total += x.total
	}
	out := Draws{Stat: make([]float64, s.Count), tol: 0}
	plain := make([]float64, s.Count)

	// eval computes statistic and plain R2 of one batch of arrangements, labs[stratum][draw].
	eval := func(labs [][][]uint8, stat, pl []float64) {
		for i := range strs {
			x := &strs[i]
			n := len(x.idx)
			rows := len(stat) * (k - 1)
			p := blas64.General{Rows: rows, Cols: n, Stride: n, Data: make([]float64, rows*n)}
			u := blas64.General{Rows: rows, Cols: n, Stride: n, Data: make([]float64, rows*n)}
			for d, lab := range labs[i] {
				for c, l := range lab {
					if int(l) < k-1 {
						p.Data[(d*(k-1)+int(l))*n+c] = 1
					}
				}
			}
			quadBatch(p, x.g, u)
			h := make([]float64, k*k)
			cnt := make([]float64, k)
			for d, lab := range labs[i] {
				clear(cnt)
				for c, l := range lab {
					cnt[l] += x.n[c]
				}
				// H = P G P'; the last label's row follows because rows of G sum to 0.
				clear(h)
				for a := range k - 1 {
					for b := range k - 1 {
						h[a*k+b] = dot(u.Data[(d*(k-1)+a)*n:(d*(k-1)+a+1)*n], p.Data[(d*(k-1)+b)*n:(d*(k-1)+b+1)*n])
						h[a*k+k-1] -= h[a*k+b]
					}
					h[(k-1)*k+a] = h[a*k+k-1]
					h[k*k-1] -= h[a*k+k-1]
				}
				for a := range k {
					pl[d] += h[a*k+a] / cnt[a]
					for b := a + 1; b < k; b++ {
						stat[d] += h[a*k+a]/(cnt[a]*cnt[a]) + h[b*k+b]/(cnt[b]*cnt[b]) - 2*h[a*k+b]/(cnt[a]*cnt[b])
					}
				}
			}
		}
		for d := range pl {
			pl[d] = ratio(pl[d], total)
		}
	}
	obs := make([][][]uint8, len(strs))
	for i, x := range strs {
		obs[i] = [][]uint8{x.lab}
	}
	one, one2 := make([]float64, 1), make([]float64, 1)
	eval(obs, one, one2)
	out.Observed = one[0]
	out.tol = tieTol * (math.Abs(out.Observed) + scale)

	if s.Exact {
		seq := make([][]uint8, len(strs))
		for i, x := range strs {
			seq[i] = slices.Clone(x.lab)
			slices.Sort(seq[i])
		}
		for lo := 0; lo < s.Count; lo += batch {
			n := min(batch, s.Count-lo)
			labs := make([][][]uint8, len(strs))
			for range n {
				for i := range seq {
					labs[i] = append(labs[i], slices.Clone(seq[i]))
				}
				for i := range seq { // odometer
					if nextPermutation(seq[i]) {
						break
					}
					slices.Sort(seq[i])
				}
			}
			eval(labs, out.Stat[lo:lo+n], plain[lo:lo+n])
		}
		return out, plain
	}
	par.For((s.Count+batch-1)/batch, t.Workers, func(b int) {
		lo, hi := b*batch, min(s.Count, (b+1)*batch)
		labs := make([][][]uint8, len(strs))
		for j := lo; j < hi; j++ {
			r := s.rng(j)
			for i, x := range strs {
				l := slices.Clone(x.lab)
				r.Shuffle(len(l), func(a, b int) { l[a], l[b] = l[b], l[a] })
				labs[i] = append(labs[i], l)
			}
		}
		eval(labs, out.Stat[lo:hi], plain[lo:hi])
	})
	return out, plain
}

// unitRows are units' sums about a stratum mean (relative to the table's centre).
type unitRows struct {
	t    *Table
	idx  []int
	mean []float64
}

func (r unitRows) Len() int   { return len(r.idx) }
func (r unitRows) Width() int { return r.t.Width() }
func (r unitRows) At(i int, dst []float64) {
	u := r.idx[i]
	r.t.At(u, dst)
	n := float64(r.t.Unit[u].N)
	for j, m := range r.mean {
		dst[j] -= n * m
	}
}

// nextPermutation steps a multiset to its next order; false after the last.
func nextPermutation(a []uint8) bool {
	i := len(a) - 2
	for i >= 0 && a[i] >= a[i+1] {
		i--
	}
	if i < 0 {
		return false
	}
	j := len(a) - 1
	for a[j] <= a[i] {
		j--
	}
	a[i], a[j] = a[j], a[i]
	slices.Reverse(a[i+1:])
	return true
}
