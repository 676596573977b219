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
// (horizontal): white = 0 or less, black = 1; undefined cells carry a cross. Maps of
// up to 12 layers carry their values.
func Map(rep *compare.Report) (*Figure, error) {
	n := len(rep.Map)
	if n == 0 || len(rep.Layers) != n {
		return nil, fault.Usagef("picture: map of %d layers with %d names, want at least one", n, len(rep.Layers))
	}
	f := &Figure{Width: 14 * vg.Centimeter, Height: 14 * vg.Centimeter, Note: fmt.Sprintf("Debiased linear CKA, white 0 to black 1, %d documents. Tier %s.", rep.N["documents"], rep.Verdict.Tier)}
	f.add(true, func() (*plot.Plot, error) {
		p := newPlot("alignment of layers", "layer of B", "layer of A")
		p.Add(cells{rep.Map})
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -.5, float64(n)-.5, -.5, float64(n)-.5
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

// cells draws the map itself.
type cells struct{ v [][]float64 }

// Plot implements plot.Plotter.
func (m cells) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	style := p.X.Tick.Label
	style.XAlign, style.YAlign = draw.XCenter, draw.YCenter
	for i, row := range m.v {
		for j, v := range row {
			x0, x1, y0, y1 := tx(float64(j)-.5), tx(float64(j)+.5), ty(float64(i)-.5), ty(float64(i)+.5)
			if math.IsNaN(v) {
				c.StrokeLines(draw.LineStyle{Color: color.Gray{128}, Width: .5}, []vg.Point{{X: x0, Y: y0}, {X: x1, Y: y1}}, []vg.Point{{X: x0, Y: y1}, {X: x1, Y: y0}})
				continue
			}
			g := uint8(math.Round(255 * (1 - math.Min(1, math.Max(0, v)))))
			c.FillPolygon(color.Gray{g}, []vg.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}})
			if len(m.v) <= 12 {
				style.Color = color.Black
				if g < 128 {
					style.Color = color.White
				}
				c.FillText(style, vg.Point{X: (x0 + x1) / 2, Y: (y0 + y1) / 2}, fmt.Sprintf("%.2f", v))
			}
		}
	}
}

// DataRange implements plot.DataRanger.
func (m cells) DataRange() (xmin, xmax, ymin, ymax float64) {
	n := float64(len(m.v))
	return -.5, n - .5, -.5, n - .5
}
