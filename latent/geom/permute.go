package geom

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"assay/internal/fault"
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
