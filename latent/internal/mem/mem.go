// Package mem builds states in memory, for tests: the same parts that a states
// file holds, computed plainly from rows. It has no plan of its own beyond
// blocks of equal size and refuses to be used outside tests.
package mem

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"

	"assay/latent"
	"assay/latent/geom"
)

// Set is the input: layers of n rows each and one description per row.
type Set struct {
	Layers  []geom.Dense
	Label   []string // "" = none
	Stratum []string // nil = none
	Unit    []int    // nil = documents
	Units   string   // latent.UnitFamily, latent.UnitPair or ""
	Text    []string // nil = id
	Span    []int    // nil = 10 tokens each
	Block   int      // units per cell; 0 = no cells
	Rows    bool     // keep rows
	Sample  []int    // documents kept as sample; nil = none
	First   int      // number of the first layer (0 = embedding output)
	Name    string   // of the checkpoint
}

// States implements latent.States.
type States struct {
	Inf     latent.Info
	D       latent.Docs
	layers  []geom.Dense
	keep    bool
	sample  []int
	cells   *cells
	PeaksOf map[string]latent.Peaks
	Sums    map[string]latent.TokenSums // key tap.layer
	Toks    map[string]latent.TokenRows
	LensOf  *latent.Lens
}

// New builds states.
func New(set Set) *States {
	s := &States{layers: set.Layers, keep: set.Rows, sample: set.Sample}
	n := set.Layers[0].N
	s.Inf = latent.Info{
		Path: set.Name, Run: "sha256:" + set.Name, Checkpoint: "sha256:" + set.Name, Text: "sha256:texts", Plan: "sha256:plan", Units: set.Units,
		Views: []latent.View{{Tap: "resid_post", Pool: "mean", Span: "text", Width: set.Layers[0].W}},
	}
	for l := range set.Layers {
		s.Inf.Views[0].Layers = append(s.Inf.Views[0].Layers, set.First+l)
	}
	index := func(names *[]string, v string) int32 {
		if v == "" {
			return -1
		}
		i := slices.Index(*names, v)
		if i < 0 {
			i = len(*names)
			*names = append(*names, v)
		}
		return int32(i)
	}
	for i := range n {
		s.D.ID = append(s.D.ID, fmt.Sprintf("d%05d", i))
		s.D.Label = append(s.D.Label, index(&s.Inf.Labels, set.Label[i]))
		st := int32(-1)
		if set.Stratum != nil {
			st = index(&s.Inf.Strata, set.Stratum[i])
		}
		s.D.Stratum = append(s.D.Stratum, st)
		u := i
		if set.Unit != nil {
			u = set.Unit[i]
		}
		s.D.Unit = append(s.D.Unit, int32(u))
		t, sp := s.D.ID[i], 10
		if set.Text != nil {
			t = set.Text[i]
		}
		if set.Span != nil {
			sp = set.Span[i]
		}
		h := sha256.Sum256([]byte(t))
		s.D.TextSHA = append(s.D.TextSHA, [8]byte(h[:8]))
		s.D.Span = append(s.D.Span, int32(sp))
		s.D.Tokens = append(s.D.Tokens, int32(sp+1))
		s.D.Bytes = append(s.D.Bytes, int32(4*sp))
	}
	if set.Block > 0 {
		s.cells = newCells(s, set.Block)
	}
	return s
}

func (s *States) Info() latent.Info           { return s.Inf }
func (s *States) Docs() (*latent.Docs, error) { return &s.D, nil }
func (s *States) Lens() (*latent.Lens, error) { return s.LensOf, nil }
func (s *States) Rows(_, k int) (geom.Rows, bool) {
	if !s.keep {
		return nil, false
	}
	return s.layers[k], true
}

func (s *States) Sample(_, k int) (geom.Rows, []int, error) {
	if s.sample == nil {
		return nil, nil, nil
	}
	return geom.Subset(s.layers[k], s.sample), s.sample, nil
}

func (s *States) Cells(int) (geom.Cells, error) {
	if s.cells == nil {
		return nil, nil
	}
	return s.cells, nil
}

func (s *States) SqNorm(int) ([]float32, error) {
	n, k := s.layers[0].N, len(s.layers)
	out := make([]float32, n*k)
	for i := range n {
		for l, x := range s.layers {
			for _, v := range x.Row(i) {
				out[i*k+l] += float32(v * v)
			}
		}
	}
	return out, nil
}

func (s *States) DimSq(_, k int) (geom.Dense, error) {
	d := geom.NewDense(len(s.Inf.Labels), s.layers[k].W)
	for i, l := range s.D.Label {
		if l >= 0 {
			for j, v := range s.layers[k].Row(i) {
				d.Row(int(l))[j] += v * v
			}
		}
	}
	return d, nil
}

func (s *States) Peaks(tap string) (*latent.Peaks, error) { return find(s.PeaksOf, tap) }

func (s *States) TokenSums(tap string, layer int) (*latent.TokenSums, error) {
	return find(s.Sums, fmt.Sprintf("%s.%d", tap, layer))
}

func (s *States) TokenRows(tap string, layer int) (*latent.TokenRows, error) {
	return find(s.Toks, fmt.Sprintf("%s.%d", tap, layer))
}

func find[T any](m map[string]T, key string) (*T, error) {
	v, ok := m[key]
	if !ok {
		return nil, nil
	}
	return &v, nil
}

type cells struct {
	k, w int
	info []geom.Cell
	sum  [][][]float64 // cell, layer
	usum [][][]float64
	q, v [][]float64
}

func (c *cells) Len() int                { return len(c.info) }
func (c *cells) Layers() int             { return c.k }
func (c *cells) Width() int              { return c.w }
func (c *cells) Info(i int) geom.Cell    { return c.info[i] }
func (c *cells) Sum(i, k int) []float64  { return c.sum[i][k] }
func (c *cells) USum(i, k int) []float64 { return c.usum[i][k] }
func (c *cells) Q(i int) []float64       { return c.q[i] }
func (c *cells) V(i int) []float64       { return c.v[i] }

// newCells cuts the units of every label and stratum, in order of unit number,
// into blocks of m.
func newCells(s *States, m int) *cells {
	c := &cells{k: len(s.layers), w: s.layers[0].W}
	type group struct{ label, stratum int32 }
	units := map[group][]int32{}
	rows := map[group]map[int32][]int{}
	var order []group
	for i, l := range s.D.Label {
		g := group{l, s.D.Stratum[i]}
		if rows[g] == nil {
			rows[g] = map[int32][]int{}
			order = append(order, g)
		}
		u := s.D.Unit[i]
		if rows[g][u] == nil {
			units[g] = append(units[g], u)
		}
		rows[g][u] = append(rows[g][u], i)
	}
	for _, g := range order {
		us := units[g]
		slices.Sort(us)
		for b := 0; b*m < len(us); b++ {
			cell := geom.Cell{Label: int(g.label), Stratum: int(g.stratum), Block: b}
			sum, usum := make([][]float64, c.k), make([][]float64, c.k)
			for k := range c.k {
				sum[k], usum[k] = make([]float64, c.w), make([]float64, c.w)
			}
			q, v := make([]float64, c.k*c.k), make([]float64, c.k*c.k)
			for _, u := range us[b*m : min(len(us), (b+1)*m)] {
				cell.Units++
				for _, i := range rows[g][u] {
					cell.N++
					norm := make([]float64, c.k)
					for k, x := range s.layers {
						for _, e := range x.Row(i) {
							norm[k] += e * e
						}
						norm[k] = math.Sqrt(norm[k])
					}
					for k, x := range s.layers {
						for j, e := range x.Row(i) {
							sum[k][j] += e
							if norm[k] > 0 {
								usum[k][j] += e / norm[k]
							}
						}
						for l, y := range s.layers {
							d := 0.0
							for j, e := range x.Row(i) {
								d += e * y.Row(i)[j]
							}
							q[k*c.k+l] += d
							if norm[k] > 0 && norm[l] > 0 {
								v[k*c.k+l] += d / norm[k] / norm[l]
							}
						}
					}
				}
			}
			c.info = append(c.info, cell)
			c.sum, c.usum = append(c.sum, sum), append(c.usum, usum)
			c.q, c.v = append(c.q, q), append(c.v, v)
		}
	}
	return c
}
