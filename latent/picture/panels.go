package picture

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"image/color"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/aqi"
	"assay/latent/geom"
)

// maxRows is the largest number of rows that are drawn.
const maxRows = 2000

// Note stands under every figure.
const Note = "A picture, not a measurement: indices are computed in the full space."

// Options of Separation.
type Options struct {
	Layer   string // of the scatter; "" = last
	Workers int    // 0 = one per core; changes no byte
}

// Points is what the scatter shows.
type Points struct {
	X, Y   []float64
	Group  []int
	Groups []string
	Share  [2]float64 // of variance
	Title  string
}

// Separation draws three panels from states and their report: principal
// components of one layer, projection on the held-out centroid axis per group,
// and R2 by layer with interval and null band.
func Separation(ctx context.Context, s latent.States, rep *aqi.Report, o Options) (*Figure, error) {
	pts, err := Components(ctx, s, rep, o)
	if err != nil {
		return nil, err
	}
	f := &Figure{Width: 30 * vg.Centimeter, Height: 10.5 * vg.Centimeter, Note: note(rep)}
	f.add(true, func() (*plot.Plot, error) { return scatter(pts) })
	f.add(false, func() (*plot.Plot, error) { return histogram(rep, pts.Groups) })
	f.add(false, func() (*plot.Plot, error) { return curve(rep) })
	return f, nil
}

// Curve draws R2 by layer alone.
func Curve(rep *aqi.Report) *Figure {
	f := &Figure{Width: 16 * vg.Centimeter, Height: 10 * vg.Centimeter, Note: note(rep)}
	f.add(false, func() (*plot.Plot, error) { return curve(rep) })
	return f
}

func note(rep *aqi.Report) string {
	return fmt.Sprintf("%s Tier %s, %d rows.", Note, rep.Verdict.Tier, rep.N["rows"])
}

func (f *Figure) add(square bool, p func() (*plot.Plot, error)) {
	f.panels, f.square = append(f.panels, p), append(f.square, square)
}

// Components projects the rows of one layer on their first two principal axes.
func Components(ctx context.Context, s latent.States, rep *aqi.Report, o Options) (Points, error) {
	in := s.Info()
	name, _ := rep.Settings["view"].(string)
	groups, _ := rep.Settings["groups"].([]string)
	view, err := in.View(name)
	if err != nil {
		return Points{}, err
	}
	v := in.Views[view]
	if o.Layer == "" {
		o.Layer = "last"
	}
	ks, err := v.Pick(o.Layer)
	if err != nil {
		return Points{}, err
	}
	if len(ks) != 1 {
		return Points{}, fault.Usagef("picture: %d layers, want one of %v", len(ks), v.Layers)
	}
	d, err := latent.NewDesign(s, groups, false)
	if err != nil {
		return Points{}, err
	}
	if err := ctx.Err(); err != nil {
		return Points{}, err
	}
	x, docs, err := s.Sample(view, ks[0])
	if err != nil {
		return Points{}, err
	}
	if x == nil {
		var ok bool
		if x, ok = s.Rows(view, ks[0]); !ok {
			return Points{}, latent.NeedRows(in, v, v.Layers[ks[0]])
		}
	}
	use, labels := d.Use(docs)
	if step := (len(use) + maxRows - 1) / maxRows; step > 1 {
		var u, l []int
		for i := 0; i < len(use); i += step {
			u, l = append(u, use[i]), append(l, labels[i])
		}
		use, labels = u, l
	}
	pca, err := geom.Principal(geom.Subset(x, use), 2, o.Workers)
	if err != nil {
		return Points{}, err
	}
	p := Points{Group: labels, Groups: d.Groups, Title: fmt.Sprintf("%s, layer %d", v.Name(), v.Layers[ks[0]])}
	copy(p.Share[:], pca.Share)
	for i := range use {
		row := pca.Scores.Row(i)
		y := 0.0
		if len(row) > 1 {
			y = row[1]
		}
		if math.IsNaN(row[0]) || math.IsNaN(y) {
			return Points{}, fault.Inputf("nonfinite", "picture: layer %d: NaN in the components, want finite rows", v.Layers[ks[0]])
		}
		p.X, p.Y = append(p.X, row[0]), append(p.Y, y)
	}
	return p, nil
}

func scatter(pts Points) (*plot.Plot, error) {
	p := newPlot(pts.Title, fmt.Sprintf("component 1 (%.1f %% of variance)", 100*pts.Share[0]), fmt.Sprintf("component 2 (%.1f %%)", 100*pts.Share[1]))
	for g, name := range pts.Groups {
		var xy plotter.XYs
		for i, l := range pts.Group {
			if l == g {
				xy = append(xy, plotter.XY{X: pts.X[i], Y: pts.Y[i]})
			}
		}
		if len(xy) == 0 {
			continue
		}
		s, err := plotter.NewScatter(xy)
		if err != nil {
			return nil, fmt.Errorf("picture: scatter: %w", err)
		}
		k := inkOf(g)
		s.GlyphStyle = draw.GlyphStyle{Color: k.color, Radius: 1.6, Shape: k.mark}
		p.Add(s)
		p.Legend.Add(name, s)
	}
	p.Y.Max += .15 * (p.Y.Max - p.Y.Min) // room for the legend
	return p, nil
}

// histogram shows each group's projection as an outline over 30 bins.
func histogram(rep *aqi.Report, groups []string) (*plot.Plot, error) {
	p := newPlot("held-out centroid axis", "projection", "share of the group")
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, it := range rep.Items {
		if it.Projection != nil {
			lo, hi = math.Min(lo, *it.Projection), math.Max(hi, *it.Projection)
		}
	}
	if !(hi > lo) {
		p.Title.Text = "held-out centroid axis: two groups and rows needed"
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
		return p, nil
	}
	const bins = 30
	for g, name := range groups {
		var n [bins]float64
		total := 0.0
		for _, it := range rep.Items {
			if it.Label == name && it.Projection != nil {
				n[min(bins-1, int((*it.Projection-lo)/(hi-lo)*bins))]++
				total++
			}
		}
		if total == 0 {
			continue
		}
		at := func(i int) float64 { return lo + (hi-lo)*float64(i)/bins }
		xy := plotter.XYs{{X: lo, Y: 0}}
		for i, c := range n {
			xy = append(xy, plotter.XY{X: at(i), Y: c / total}, plotter.XY{X: at(i + 1), Y: c / total})
		}
		xy = append(xy, plotter.XY{X: hi, Y: 0})
		l, err := plotter.NewLine(xy)
		if err != nil {
			return nil, fmt.Errorf("picture: histogram: %w", err)
		}
		k := inkOf(g)
		l.LineStyle = draw.LineStyle{Color: k.color, Width: 1.4, Dashes: k.dash}
		p.Add(l)
		p.Legend.Add(name, l)
	}
	p.Y.Min = 0
	p.Y.Max *= 1.2 // room for the legend
	return p, nil
}

// point is one layer of the curve.
type point struct{ layer, v, lo, hi, null float64 }

// interval implements plotter.XYer and YErrorer.
type interval []point

func (p interval) Len() int                { return len(p) }
func (p interval) XY(i int) (x, y float64) { return p[i].layer, 100 * p[i].v }
func (p interval) YError(i int) (low, high float64) {
	return 100 * (p[i].v - p[i].lo), 100 * (p[i].hi - p[i].v)
}

func curve(rep *aqi.Report) (*plot.Plot, error) {
	p := newPlot("separation by layer", "layer", "100 R2")
	post, _ := rep.Settings["post"].(string)
	var pts interval
	null := false
	for _, r := range rep.Curve {
		l, err := strconv.Atoi(r.Layer)
		if err != nil || r.Index != "r2" || r.Post != post || r.Value == nil {
			continue
		}
		q := point{layer: float64(l), v: *r.Value, lo: *r.Value, hi: *r.Value}
		if r.Lo != nil && r.Hi != nil {
			q.lo, q.hi = *r.Lo, *r.Hi
		}
		if r.NullQ != nil && r.NullMean != nil {
			// The band is that of the plain value; less its mean it is comparable with the debiased one.
			q.null, null = math.Max(0, *r.NullQ-*r.NullMean), true
		}
		pts = append(pts, q)
	}
	if len(pts) == 0 {
		p.Title.Text = "separation by layer: none defined"
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
		return p, nil
	}
	slices.SortFunc(pts, func(a, b point) int { return int(a.layer - b.layer) })
	if null {
		var band plotter.XYs
		for _, q := range pts {
			band = append(band, plotter.XY{X: q.layer, Y: 100 * q.null})
		}
		band = append(band, plotter.XY{X: pts[len(pts)-1].layer}, plotter.XY{X: pts[0].layer})
		poly, err := plotter.NewPolygon(band)
		if err != nil {
			return nil, fmt.Errorf("picture: curve: %w", err)
		}
		poly.Color, poly.LineStyle.Width = color.Gray{215}, 0
		p.Add(poly)
		p.Legend.Add("below the 95 % point without a difference", poly)
	}
	if err := layerLine(p, pts, "debiased, with interval"); err != nil {
		return nil, err
	}
	p.Y.Min = 0
	p.Y.Max = math.Max(p.Y.Max*1.25, 1e-3)
	return p, nil
}

// Change draws the difference of separation by layer, A minus B, with its interval.
func Change(rep *aqi.Report) *Figure {
	f := &Figure{Width: 16 * vg.Centimeter, Height: 10 * vg.Centimeter, Note: note(rep)}
	f.add(false, func() (*plot.Plot, error) { return change(rep) })
	return f
}

func change(rep *aqi.Report) (*plot.Plot, error) {
	p := newPlot("change of separation by layer", "layer", "theta of A minus theta of B")
	var pts interval
	for _, r := range rep.Curve {
		l, err := strconv.Atoi(r.Layer)
		if err != nil || r.Index != "delta.theta" || r.Value == nil {
			continue
		}
		q := point{layer: float64(l), v: *r.Value / 100, lo: *r.Value / 100, hi: *r.Value / 100}
		if r.Lo != nil && r.Hi != nil {
			q.lo, q.hi = *r.Lo/100, *r.Hi/100
		}
		pts = append(pts, q)
	}
	if len(pts) == 0 {
		p.Title.Text = "change of separation by layer: none defined"
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
		return p, nil
	}
	slices.SortFunc(pts, func(a, b point) int { return int(a.layer - b.layer) })
	zero, err := plotter.NewLine(plotter.XYs{{X: pts[0].layer}, {X: pts[len(pts)-1].layer}})
	if err != nil {
		return nil, fmt.Errorf("picture: change: %w", err)
	}
	zero.LineStyle = draw.LineStyle{Color: color.Gray{128}, Width: .8, Dashes: []vg.Length{vg.Millimeter, vg.Millimeter}}
	p.Add(zero)
	p.Legend.Add("no change", zero)
	if err := layerLine(p, pts, "difference, with interval"); err != nil {
		return nil, err
	}
	p.Y.Max += .2 * (p.Y.Max - p.Y.Min) // room for the legend
	return p, nil
}

// layerLine draws values by layer with intervals.
func layerLine(p *plot.Plot, pts interval, legend string) error {
	line, err := plotter.NewLine(pts)
	if err != nil {
		return fmt.Errorf("picture: layers: %w", err)
	}
	line.LineStyle = draw.LineStyle{Color: inkOf(0).color, Width: 1.4}
	bars, err := plotter.NewYErrorBars(pts)
	if err != nil {
		return fmt.Errorf("picture: layers: %w", err)
	}
	dots, err := plotter.NewScatter(pts)
	if err != nil {
		return fmt.Errorf("picture: layers: %w", err)
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: inkOf(0).color, Radius: 1.8, Shape: draw.CircleGlyph{}}
	p.Add(line, bars, dots)
	var ticks []plot.Tick
	for i := 0; i < len(pts); i += (len(pts) + 11) / 12 {
		ticks = append(ticks, plot.Tick{Value: pts[i].layer, Label: fmt.Sprint(pts[i].layer)})
	}
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
	p.X.Min, p.X.Max = p.X.Min-.02*(p.X.Max-p.X.Min), p.X.Max+.02*(p.X.Max-p.X.Min) // whole bars at the ends
	p.Legend.Add(legend, line, dots)
	return nil
}
