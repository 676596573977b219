package picture

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"assay/internal/fault"
	"assay/latent/compare"
)

// Map draws the debiased CKA between the layers of A (vertical) and B
// (horizontal) in grey from the lowest value, cut at 0 and rounded down to a tenth,
// in white to 1 in dark grey; a key stands beside it and undefined cells carry a
// cross. Maps of up to 12 layers carry their values.
func Map(rep *compare.Report) (*Figure, error) {
	n := len(rep.Map)
	if n == 0 || len(rep.Layers) != n {
		return nil, fault.Usagef("picture: map of %d layers with %d names, want at least one", n, len(rep.Layers))
	}
	m := cells{v: rep.Map, lo: lowest(rep.Map)}
	f := &Figure{Width: 15.5 * vg.Centimeter, Height: 14 * vg.Centimeter, Note: fmt.Sprintf("Debiased linear CKA, white %g or less to dark 1, %d documents. Tier %s.", m.lo, rep.N["documents"], rep.Verdict.Tier)}
	f.add(false, func() (*plot.Plot, error) {
		p := newPlot("alignment of layers", "layer of B", "layer of A")
		p.Add(m)
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -.5, m.right(), -.5, float64(n)-.5
		step := (n + 11) / 12
		var ticks []plot.Tick
		for i := 0; i < n; i += step {
			ticks = append(ticks, plot.Tick{Value: float64(i), Label: fmt.Sprint(rep.Layers[i])})
		}
		p.X.Tick.Marker, p.Y.Tick.Marker = plot.ConstantTicks(ticks), plot.ConstantTicks(ticks)
		return p, nil
	})
	return f, nil
}

// lowest is the least value of a map, from 0 to .9 in tenths.
func lowest(v [][]float64) float64 {
	lo := 1.0
	for _, row := range v {
		for _, x := range row {
			if x < lo { // false for NaN
				lo = x
			}
		}
	}
	return math.Min(.9, math.Max(0, math.Floor(10*lo)/10))
}

// cells draws the map itself; lo is white.
type cells struct {
	v  [][]float64
	lo float64
}

// right is where the key ends: beside the map, a fourteenth of it wide.
func (m cells) right() float64 { return float64(len(m.v))*1.12 - .5 }

// darkest leaves black to text and axes.
const darkest = 60

func (m cells) shade(v float64) uint8 {
	t := math.Min(1, math.Max(0, (v-m.lo)/(1-m.lo)))
	return uint8(math.Round(255 - (255-darkest)*t))
}

// Plot implements plot.Plotter.
func (m cells) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	style := p.X.Tick.Label
	style.XAlign, style.YAlign = draw.XCenter, draw.YCenter
	edge := draw.LineStyle{Color: color.Gray{160}, Width: .4}
	fill := func(x0, x1, y0, y1 float64, v float64, line bool) {
		pts := []vg.Point{{X: tx(x0), Y: ty(y0)}, {X: tx(x1), Y: ty(y0)}, {X: tx(x1), Y: ty(y1)}, {X: tx(x0), Y: ty(y1)}}
		if math.IsNaN(v) {
			c.StrokeLines(edge, []vg.Point{pts[0], pts[2]}, []vg.Point{pts[1], pts[3]})
		} else {
			c.FillPolygon(color.Gray{m.shade(v)}, pts)
		}
		if line {
			c.StrokeLines(edge, append(pts, pts[0]))
		}
	}
	label := func(x, y, v float64, on uint8) {
		style.Color = color.Black
		if on < 128 {
			style.Color = color.White
		}
		c.FillText(style, vg.Point{X: tx(x), Y: ty(y)}, fmt.Sprintf("%.2f", v))
	}
	for i, row := range m.v {
		for j, v := range row {
			x, y := float64(j), float64(i)
			fill(x-.5, x+.5, y-.5, y+.5, v, true)
			if len(m.v) <= 12 && !math.IsNaN(v) {
				label(x, y, v, m.shade(v))
			}
		}
	}
	// The key: steps from white to dark with the values at its ends and middle.
	n := float64(len(m.v))
	const steps = 20
	for s := range steps {
		v := m.lo + (1-m.lo)*(float64(s)+.5)/steps
		fill(n*1.05-.5, m.right(), n*float64(s)/steps-.5, n*float64(s+1)/steps-.5, v, false)
	}
	for _, t := range []float64{.03, .5, .97} {
		v := m.lo + (1-m.lo)*math.Round(2*t)/2
		label(n*1.085-.5, n*t-.5, v, m.shade(v))
	}
}

// DataRange implements plot.DataRanger.
func (m cells) DataRange() (xmin, xmax, ymin, ymax float64) {
	return -.5, m.right(), -.5, float64(len(m.v)) - .5
}
