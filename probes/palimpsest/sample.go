package palimpsest

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Unit is one shuffled thing with its score.
type Unit struct {
	Seq, Pos int64
	Stratum  int32
	D        float64
}

// Sample is a transcript joined with scores: units with their positions and the
// mean log-probability under each model. Columns have one length and are sorted
// by Seq, so that nothing depends on the order of the files.
type Sample struct {
	Meta     Meta
	Measure  string // unit of the scores: nats/token or nats/byte
	Models   []Model
	Seq, Pos []int64
	Step     []int64     // nil without steps
	Wrong    []int64     // position under another seed of the generator; nil without
	Stratum  []int32     // index of StrataNames; nil for one stratum
	L        [][]float64 // by model: suspect first, then references

	Covariates []Covariate
	Categories []Category
	Strata     []string // names
	Stored     []int32  // Stored[k] is the unit of the k-th stored row
	GroupedBy  string   // column whose groups are the units; "" = rows
	Dropped    Dropped
	Partial    bool // traces lack rows
	Settings   map[string]any
	Warnings   []probes.Warning
}

// Model names one column of scores.
type Model struct{ Name, Digest, Weights string }

// Covariate is a number known from a row's content alone.
type Covariate struct {
	Name string
	X    []float64
}

// Category is a label of each unit, as codes of Names.
type Category struct {
	Name  string
	Code  []int32
	Names []string
}

// Dropped counts rows that the test leaves out, by reason.
type Dropped struct {
	Nonfinite     int `json:"nonfinite"`
	Duplicate     int `json:"duplicate"`
	OutsideWindow int `json:"outside_window"`
	SmallStratum  int `json:"small_stratum"`
	Unscored      int `json:"unscored"` // missing from a partial trace
}

// minStratum is the smallest stratum that enters a test.
const minStratum = 8

// FromUnits makes a sample of bare units: one score, no references, no covariates,
// an order that is only declared. It works on a copy sorted by Seq.
func FromUnits(u []Unit) *Sample {
	u = slices.Clone(u)
	slices.SortFunc(u, func(a, b Unit) int { return cmp.Compare(a.Seq, b.Seq) })
	s := &Sample{Measure: "nats/token", Models: []Model{{Name: "suspect"}}, L: [][]float64{make([]float64, len(u))}}
	codes := map[int32]int32{}
	for _, e := range u {
		codes[e.Stratum] = 0
	}
	order := make([]int32, 0, len(codes))
	for c := range codes {
		order = append(order, c)
	}
	slices.Sort(order)
	for i, c := range order {
		codes[c] = int32(i)
		s.Strata = append(s.Strata, fmt.Sprint(c))
	}
	for i, e := range u {
		s.Seq = append(s.Seq, e.Seq)
		s.Pos = append(s.Pos, e.Pos)
		s.Stratum = append(s.Stratum, codes[e.Stratum])
		s.L[0][i] = e.D
	}
	if len(order) < 2 {
		s.Stratum, s.Strata = nil, nil
	}
	return s
}

// Units returns the sample with the scores d, in the form of the exact formulas.
func (s *Sample) Units(d []float64) []Unit {
	u := make([]Unit, len(s.Seq))
	for i := range u {
		u[i] = Unit{Seq: s.Seq[i], Pos: s.Pos[i], D: d[i]}
		if s.Stratum != nil {
			u[i].Stratum = s.Stratum[i]
		}
	}
	return u
}

// Len returns the number of units.
func (s *Sample) Len() int { return len(s.Seq) }

// finish drops non-finite rows and small strata and refuses what no test can
// use.
func (s *Sample) finish() error {
	before := s.Len()
	s.keep(func(i int) bool {
		for _, l := range s.L {
			if math.IsNaN(l[i]) || math.IsInf(l[i], 0) {
				return false
			}
		}
		return true
	})
	s.Dropped.Nonfinite += before - s.Len()
	if s.Stratum != nil {
		count := make([]int, len(s.Strata))
		for _, g := range s.Stratum {
			count[g]++
		}
		before = s.Len()
		s.keep(func(i int) bool { return count[s.Stratum[i]] >= minStratum })
		s.Dropped.SmallStratum += before - s.Len()
	}
	if n := s.Len(); n < 5 {
		return tooFew(n, fmt.Sprintf(" (dropped: %s)", s.Dropped))
	}
	return nil
}

func (d Dropped) String() string {
	return fmt.Sprintf("%d non-finite, %d duplicate, %d outside the window, %d in small strata, %d unscored",
		d.Nonfinite, d.Duplicate, d.OutsideWindow, d.SmallStratum, d.Unscored)
}

// sortBySeq orders all columns by key.
func (s *Sample) sortBySeq() {
	idx := make([]int32, s.Len())
	for i := range idx {
		idx[i] = int32(i)
	}
	slices.SortFunc(idx, func(a, b int32) int { return cmp.Compare(s.Seq[a], s.Seq[b]) })
	at := make([]int32, len(idx))
	for k, i := range idx {
		at[i] = int32(k)
	}
	for k, i := range s.Stored {
		s.Stored[k] = at[i]
	}
	s.take(idx)
}

// keep filters all columns by index.
func (s *Sample) keep(ok func(int) bool) {
	idx := make([]int32, 0, s.Len())
	for i := range s.Seq {
		if ok(i) {
			idx = append(idx, int32(i))
		}
	}
	if len(idx) == s.Len() {
		return
	}
	if s.Stored != nil {
		at := make([]int32, s.Len())
		for i := range at {
			at[i] = -1
		}
		for k, i := range idx {
			at[i] = int32(k)
		}
		stored := s.Stored[:0]
		for _, i := range s.Stored {
			if at[i] >= 0 {
				stored = append(stored, at[i])
			}
		}
		s.Stored = stored
	}
	s.take(idx)
}

// take rearranges every column but Stored.
func (s *Sample) take(idx []int32) {
	s.Seq, s.Pos = take(s.Seq, idx), take(s.Pos, idx)
	s.Step, s.Stratum, s.Wrong = take(s.Step, idx), take(s.Stratum, idx), take(s.Wrong, idx)
	for m := range s.L {
		s.L[m] = take(s.L[m], idx)
	}
	for c := range s.Covariates {
		s.Covariates[c].X = take(s.Covariates[c].X, idx)
	}
	for c := range s.Categories {
		s.Categories[c].Code = take(s.Categories[c].Code, idx)
	}
}

func take[T any](x []T, idx []int32) []T {
	if x == nil {
		return nil
	}
	out := make([]T, len(idx))
	for k, i := range idx {
		out[k] = x[i]
	}
	return out
}

// layout groups units by stratum.
type layout struct {
	groups [][]int32 // units of each stratum, ascending; one group without strata
	n      int
}

func (s *Sample) layout() layout {
	l := layout{n: s.Len()}
	if s.Stratum == nil {
		all := make([]int32, s.Len())
		for i := range all {
			all[i] = int32(i)
		}
		l.groups = [][]int32{all}
		return l
	}
	by := make([][]int32, len(s.Strata))
	for i, g := range s.Stratum {
		by[g] = append(by[g], int32(i))
	}
	for _, g := range by {
		if len(g) > 0 {
			l.groups = append(l.groups, g)
		}
	}
	return l
}

// ranks returns x's ranks within each stratum.
func (l layout) ranks(x []float64) []stat.Ranks {
	out := make([]stat.Ranks, len(l.groups))
	for g, idx := range l.groups {
		out[g] = stat.NewRanks(take(x, idx))
	}
	return out
}

func (l layout) intRanks(x []int64) []stat.Ranks {
	out := make([]stat.Ranks, len(l.groups))
	for g, idx := range l.groups {
		out[g] = stat.NewIntRanks(take(x, idx))
	}
	return out
}

// pairs joins two rankings, leaving out strata in which either is constant.
func pairs(r, s []stat.Ranks) []stat.RankPair {
	out := make([]stat.RankPair, 0, len(r))
	for g := range r {
		if n := len(r[g].C); r[g].Ties < n && s[g].Ties < n {
			out = append(out, stat.RankPair{R: r[g], S: s[g]})
		}
	}
	return out
}

// rhoOf is the mean rank correlation of strata with weights n_g - 1, and its Z.
func rhoOf(p []stat.RankPair) (rho, z float64) {
	if len(p) == 1 {
		rho = p[0].R.Rho(p[0].S)
		return rho, rho * math.Sqrt(float64(len(p[0].R.C)-1))
	}
	total := 0.0
	for _, e := range p {
		w := float64(len(e.R.C) - 1)
		total += w
		rho += w * e.R.Rho(e.S)
	}
	if total == 0 {
		return math.NaN(), math.NaN()
	}
	return rho / total, rho / math.Sqrt(total)
}

// logTwo is the two-sided log p of a rank correlation: Student's tail for one
// stratum, the normal tail of Z for several.
func logTwo(p []stat.RankPair) float64 {
	switch len(p) {
	case 0:
		return math.NaN()
	case 1:
		rho, _ := rhoOf(p)
		_, two := stat.LogTailT(rho, len(p[0].R.C))
		return two
	}
	_, z := rhoOf(p)
	return min(0, stat.LogTailNormal(math.Abs(z))+math.Ln2)
}

// tooFew refuses a sample and says what a test needs: five units for a statistic to
// exist, thousands to find what runs leave.
func tooFew(n int, why string) error {
	p, err := Power(0.05, 1e-3, 0.9, 1)
	if err != nil {
		return err
	}
	return fault.Inputf("too-few", "palimpsest: %d units left to test, want at least 5%s", n, why).
		Hint("a rank correlation of 0.05 needs %d units for 90 %% power at 1e-3; assay palimpsest power plans others", p.N)
}
