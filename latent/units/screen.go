package units

import (
	"context"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/aqi"
	"assay/latent/geom"
	"assay/latent/internal/par"
	"assay/probes"
	"assay/probes/stat"
)

// Version is raised whenever any number of these tests can change.
const Version = 1

// ScreenOptions of Screen.
type ScreenOptions struct {
	Groups   []string `json:"groups"`
	NoStrata bool     `json:"no_strata"`
	View     string   `json:"view"` // "" = resid_post.mean
	Layers   string   `json:"layers"`
	Bins     int      `json:"bins"`  // 8
	Draws    int      `json:"perm"`  // 999
	Top      int      `json:"top"`   // 20: units printed, and picked in a fold
	Folds    int      `json:"folds"` // 5
	Side     aqi.Side `json:"-"`
	Seed     uint64   `json:"seed"`
	Workers  int      `json:"-"` // 0 = one per core; changes no number

	Progress func(layers int64) `json:"-"` // if not nil, called after every layer
}

// DefaultScreen returns the standard screening.
func DefaultScreen() ScreenOptions {
	return ScreenOptions{Layers: "all", Bins: 8, Draws: 999, Top: 20, Folds: 5, Seed: 1}
}

// Validate reports the first option out of range.
func (o ScreenOptions) Validate() error {
	switch {
	case o.Bins < 2 || o.Bins > 64:
		return fault.Usagef("units: bins: %d, want 2 to 64", o.Bins)
	case o.Draws < 99:
		return fault.Usagef("units: perm: %d, want at least 99", o.Draws)
	case o.Top < 1:
		return fault.Usagef("units: top: %d, want at least 1", o.Top)
	case o.Folds < 2:
		return fault.Usagef("units: folds: %d, want at least 2", o.Folds)
	}
	return nil
}

// Pick is one unit of the screening.
type Pick struct {
	Layer, Unit int
	Plug, Info  float64 // nats
	Log10P      float64 // family-wise, over all units and layers
	Folds       float64 // share of folds in which it is among the top
}

// ScreenReport is a result with the picked units, best first.
type ScreenReport struct {
	probes.Result
	Picks []Pick
}

// Screen ranks every unit of every layer by mutual information with the label.
// Null: labels are exchangeable between units (documents, families) inside a
// stratum; the statistic is the maximum over all units and layers.
func Screen(ctx context.Context, s latent.States, o ScreenOptions) (*ScreenReport, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	ao := aqi.Default()
	ao.Groups, ao.NoStrata, ao.Side, ao.Seed, ao.Workers = o.Groups, o.NoStrata, o.Side, o.Seed, o.Workers
	ao.Space.View, ao.Space.Layers, ao.Folds = o.View, o.Layers, o.Folds
	gate, err := aqi.Judge(ctx, s, ao)
	if err != nil {
		return nil, err
	}
	sc, err := newScreen(s, o)
	if err != nil {
		return nil, err
	}
	top := make([]float64, o.Draws)
	for i := range top {
		top[i] = math.Inf(-1)
	}
	var all []Pick
	folds := make([][]Pick, o.Folds)
	for _, k := range sc.layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		picks, err := sc.layer(k, top, folds)
		if err != nil {
			return nil, err
		}
		all = append(all, picks...)
		if o.Progress != nil {
			o.Progress(1)
		}
	}
	byInfo := func(a, b Pick) int {
		switch {
		case a.Info > b.Info:
			return -1
		case a.Info < b.Info:
			return 1
		case a.Layer != b.Layer:
			return a.Layer - b.Layer
		}
		return a.Unit - b.Unit
	}
	slices.SortFunc(all, byInfo)
	all = all[:min(o.Top, len(all))]
	for i := range all {
		hits := 0
		for _, v := range top {
			if v >= all[i].Info-1e-12 {
				hits++
			}
		}
		all[i].Log10P = math.Log10(float64(1+hits)) - math.Log10(float64(1+o.Draws))
		for _, f := range folds {
			if slices.ContainsFunc(f, func(p Pick) bool { return p.Layer == all[i].Layer && p.Unit == all[i].Unit }) {
				all[i].Folds += 1 / float64(o.Folds)
			}
		}
	}
	return sc.report(gate, all), nil
}

// screen is the fixed part of a screening.
type screen struct {
	s      latent.States
	o      ScreenOptions
	in     latent.Info
	v      latent.View
	view   int
	layers []int
	d      *latent.Design
	docs   []int // of the rows in use
	label  []uint8
	fold   []int
	draws  [][]uint8 // permuted labels
	sample bool
}

const maxRows = 4096

func newScreen(s latent.States, o ScreenOptions) (*screen, error) {
	sc := &screen{s: s, o: o, in: s.Info()}
	var err error
	if sc.view, err = sc.in.View(o.View); err != nil {
		return nil, err
	}
	sc.v = sc.in.Views[sc.view]
	if sc.layers, err = sc.v.Pick(o.Layers); err != nil {
		return nil, err
	}
	if sc.d, err = latent.NewDesign(s, o.Groups, !o.NoStrata); err != nil {
		return nil, err
	}
	if len(sc.d.Groups) > 200 {
		return nil, fault.Usagef("units: %d groups, want at most 200", len(sc.d.Groups))
	}
	_, docs, err := sc.rows(sc.layers[0])
	if err != nil {
		return nil, err
	}
	sc.docs = docs
	for _, d := range docs {
		l, _, _ := sc.d.Of(d)
		sc.label = append(sc.label, uint8(l))
	}
	sc.fold = foldsOf(sc.d, docs, o.Folds, o.Seed)
	sc.draws = make([][]uint8, o.Draws)
	par.For(o.Draws, o.Workers, func(j int) { sc.draws[j] = sc.permuted(j) })
	return sc, nil
}

// rows returns the used rows of a layer and their documents: all if few enough,
// else the sample.
func (sc *screen) rows(k int) (geom.Rows, []int, error) {
	x, ok := sc.s.Rows(sc.view, k)
	var docs []int
	if !ok || x.Len() > maxRows {
		var err error
		if x, docs, err = sc.s.Sample(sc.view, k); err != nil {
			return nil, nil, err
		}
		if x == nil {
			return nil, nil, latent.NeedRows(sc.in, sc.v, sc.v.Layers[k])
		}
		sc.sample = true
	}
	use, _ := sc.d.Use(docs)
	out := use
	if docs != nil {
		out = make([]int, len(use))
		for i, u := range use {
			out[i] = docs[u]
		}
	}
	return geom.Subset(x, use), out, nil
}

// permuted exchanges labels between units inside strata: in paired data the
// sides of a pair, else whole units.
func (sc *screen) permuted(j int) []uint8 {
	g := stat.NewRand(sc.o.Seed, "latent.screen", uint64(j))
	out := slices.Clone(sc.label)
	if sc.d.Form == geom.Pairs {
		flip := map[int]bool{}
		for i, d := range sc.docs {
			u := sc.d.Unit(d)
			f, ok := flip[u]
			if !ok {
				f = g.Uint64()&1 == 1
				flip[u] = f
			}
			if f && len(sc.d.Groups) == 2 {
				out[i] = 1 - out[i]
			}
		}
		return out
	}
	type key struct{ unit, label int }
	byStratum := make([][][]int, len(sc.d.Strata)) // units as lists of rows
	at := map[key][2]int{}
	for i, d := range sc.docs {
		l, s, _ := sc.d.Of(d)
		k := key{sc.d.Unit(d), l}
		if p, ok := at[k]; ok {
			byStratum[p[0]][p[1]] = append(byStratum[p[0]][p[1]], i)
			continue
		}
		at[k] = [2]int{s, len(byStratum[s])}
		byStratum[s] = append(byStratum[s], []int{i})
	}
	for _, us := range byStratum {
		lab := make([]uint8, len(us))
		for i, u := range us {
			lab[i] = sc.label[u[0]]
		}
		g.Shuffle(len(lab), func(a, b int) { lab[a], lab[b] = lab[b], lab[a] })
		for i, u := range us {
			for _, r := range u {
				out[r] = lab[i]
			}
		}
	}
	return out
}

// layer screens one layer: observed information, the maximum of every draw, and
// the best units of each fold's training rows.
func (sc *screen) layer(k int, top []float64, folds [][]Pick) ([]Pick, error) {
	x, docs, err := sc.rows(k)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(docs, sc.docs) {
		return nil, fault.Inputf("bad-states-file", "units: layer %d: other documents than layer %d, want the same", sc.v.Layers[k], sc.v.Layers[sc.layers[0]])
	}
	n, w := x.Len(), x.Width()
	col := make([][]float64, w)
	for j := range col {
		col[j] = make([]float64, n)
	}
	buf := make([]float64, w)
	for i := range n {
		x.At(i, buf)
		for j, v := range buf {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fault.Inputf("nonfinite", "units: layer %d row %d unit %d: %v, want a finite value", sc.v.Layers[k], i, j, v)
			}
			col[j][i] = v
		}
	}
	labels := len(sc.d.Groups)
	picks := make([]Pick, w)
	train := make([][]Pick, len(folds)) // by fold, all units
	for f := range train {
		train[f] = make([]Pick, w)
	}
	const block = 16
	best := make([][]float64, (w+block-1)/block)
	par.For(len(best), sc.o.Workers, func(b int) {
		t := newTable(sc.o.Bins, labels, n)
		best[b] = make([]float64, len(top))
		for i := range best[b] {
			best[b][i] = math.Inf(-1)
		}
		for j := b * block; j < min(w, (b+1)*block); j++ {
			bin := Bins(col[j], sc.o.Bins)
			p := Pick{Layer: sc.v.Layers[k], Unit: j}
			p.Plug, p.Info = t.information(bin, sc.label)
			picks[j] = p
			for d, lab := range sc.draws {
				_, v := t.information(bin, lab)
				best[b][d] = math.Max(best[b][d], v)
			}
			for f := range train {
				train[f][j] = sc.trainPick(col[j], f, p)
			}
		}
	})
	for _, b := range best {
		for d, v := range b {
			top[d] = math.Max(top[d], v)
		}
	}
	for f := range folds {
		folds[f] = append(folds[f], train[f]...)
		slices.SortStableFunc(folds[f], func(a, b Pick) int {
			switch {
			case a.Info > b.Info:
				return -1
			case a.Info < b.Info:
				return 1
			}
			return 0
		})
		folds[f] = folds[f][:min(sc.o.Top, len(folds[f]))]
	}
	slices.SortStableFunc(picks, func(a, b Pick) int {
		switch {
		case a.Info > b.Info:
			return -1
		case a.Info < b.Info:
			return 1
		}
		return 0
	})
	return picks[:min(sc.o.Top, len(picks))], nil
}

func (sc *screen) trainPick(col []float64, f int, p Pick) Pick {
	var v []float64
	var lab []uint8
	for i, x := range col {
		if sc.fold[i] != f {
			v, lab = append(v, x), append(lab, sc.label[i])
		}
	}
	p.Plug, p.Info = Information(Bins(v, sc.o.Bins), lab, sc.o.Bins, len(sc.d.Groups))
	return p
}

// foldsOf deals units to folds: a random order by seed inside label and stratum.
func foldsOf(d *latent.Design, docs []int, folds int, seed uint64) []int {
	type key struct{ unit, label int }
	type group struct{ label, stratum int }
	at := map[key]int{}
	groups := map[group][]key{}
	var gs []group
	for _, doc := range docs {
		l, s, _ := d.Of(doc)
		if d.Form == geom.Pairs {
			l = 0
		}
		k := key{d.Unit(doc), l}
		if _, ok := at[k]; ok {
			continue
		}
		at[k] = 0
		g := group{l, s}
		if groups[g] == nil {
			gs = append(gs, g)
		}
		groups[g] = append(groups[g], k)
	}
	r := stat.NewRand(seed, "latent.folds", 0)
	next := 0
	for _, g := range gs {
		ks := groups[g]
		r.Shuffle(len(ks), func(a, b int) { ks[a], ks[b] = ks[b], ks[a] })
		for _, k := range ks {
			at[k] = next % folds
			next++
		}
	}
	out := make([]int, len(docs))
	for i, doc := range docs {
		l, _, _ := d.Of(doc)
		if d.Form == geom.Pairs {
			l = 0
		}
		out[i] = at[key{d.Unit(doc), l}]
	}
	return out
}
