package report

import (
	"bytes"
	"image/color"
	"math"
	"slices"

	"assay/internal/visible"
	"assay/probes"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// maxIntervals bounds a figure's lines.
const maxIntervals = 24

// Figures draws a result for which its own test draws nothing: every estimate that
// has an interval and the unit of the first such estimate, as point and interval.
// A result without intervals gets no figure: never a bar without its interval.
func Figures(r probes.Result) [][]byte {
	var es []probes.Estimate
	for _, e := range r.Estimates {
		if e.Value == nil || e.CI == nil || !finite(*e.Value, e.CI.Lo, e.CI.Hi) {
			continue
		}
		if (len(es) == 0 || e.Unit == es[0].Unit) && len(es) < maxIntervals {
			es = append(es, e)
		}
	}
	if len(es) == 0 {
		return nil
	}
	slices.Reverse(es) // the first estimate on top
	p := plot.New()
	p.X.Label.Text = visible.Text(es[0].Unit, maxShown)
	if es[0].Unit == "1" {
		p.X.Label.Text = "(no unit)"
	}
	p.X.Label.TextStyle.Font.Size = 11
	var names []string
	for i, e := range es {
		names = append(names, visible.Text(e.Name, 40))
		p.Add(interval{float64(i), e})
	}
	p.NominalY(names...)
	p.Y.Tick.Label.Font.Size, p.X.Tick.Label.Font.Size = 11, 11
	p.Y.Min, p.Y.Max = -0.6, float64(len(es))-0.4
	lo, hi := es[0].CI.Lo, es[0].CI.Hi
	for _, e := range es {
		lo, hi = min(lo, e.CI.Lo, *e.Value), max(hi, e.CI.Hi, *e.Value)
	}
	if lo <= 0 && hi >= 0 {
		zero, err := plotter.NewLine(plotter.XYs{{X: 0, Y: p.Y.Min}, {X: 0, Y: p.Y.Max}})
		if err != nil {
			return nil
		}
		zero.Color, zero.Dashes = color.Gray{Y: 150}, []vg.Length{vg.Points(3), vg.Points(3)}
		p.Add(zero)
	}
	pad := 0.04 * max(hi-lo, 1e-9*max(1, math.Abs(hi)))
	p.X.Min, p.X.Max = lo-pad, hi+pad
	c := vgsvg.New(17*vg.Centimeter, vg.Length(1.6+0.65*float64(len(es)))*vg.Centimeter)
	p.Draw(draw.Crop(draw.New(c), 0, -5*vg.Millimeter, 0, 0)) // room for half of the last tick's label
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil
	}
	return [][]byte{b.Bytes()}
}

func finite(xs ...float64) bool {
	return !slices.ContainsFunc(xs, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
}

// interval is a point with its interval on one line of the figure.
type interval struct {
	y float64
	e probes.Estimate
}

// Plot draws it.
func (iv interval) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	y := ty(iv.y)
	blue := color.RGBA{0, 114, 178, 255}
	line := draw.LineStyle{Color: blue, Width: vg.Points(1.5)}
	lo, hi := tx(iv.e.CI.Lo), tx(iv.e.CI.Hi)
	c.StrokeLine2(line, lo, y, hi, y)
	for _, x := range []vg.Length{lo, hi} {
		c.StrokeLine2(line, x, y-vg.Points(4), x, y+vg.Points(4))
	}
	c.DrawGlyph(draw.GlyphStyle{Color: blue, Radius: vg.Points(3.2), Shape: draw.CircleGlyph{}}, vg.Point{X: tx(*iv.e.Value), Y: y})
}
