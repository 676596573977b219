// Package figure draws what a WEAT result is made of, as self-contained SVG:
// the scores of every word of a test, the effect sizes of many tests with
// their intervals and bounds, and d by layer. It answers "which words make
// this number" and "where in the model does it arise"; it refuses scores that
// are undefined and draws no p-value. Equal input gives equal bytes.
package figure

import (
	"fmt"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/probes/assoc/figure"
)

// Association draws s of every target word, X in blue above Y in orange, with
// the words, the means of both sets and the line of no association.
func Association(w io.Writer, sc weat.Scores) error {
	if sc.Undefined != "" || len(sc.X) == 0 || len(sc.Y) == 0 {
		return fault.Inputf("undefined", "figure: test %q: found no scores: %s", sc.Test.ID, sc.Undefined)
	}
	group := func(s weat.Set, letter string, words []weat.Scored) figure.Group {
		g := figure.Group{Label: name(s, letter)}
		for _, v := range words {
			g.Points = append(g.Points, figure.Point{Label: v.Word, X: v.S})
		}
		return g
	}
	axis := fmt.Sprintf("s: nearer %s (right) or %s (left), cosine", name(sc.Test.A, "A"), name(sc.Test.B, "B"))
	return figure.Groups(w, sc.Test.Name, axis, 0, []figure.Group{group(sc.Test.X, "X", sc.X), group(sc.Test.Y, "Y", sc.Y)})
}

func name(s weat.Set, letter string) string {
	if s.Name == "" {
		return letter
	}
	return s.Name
}

// Effect is one row of a forest plot.
type Effect = figure.Effect

// Forest draws effect sizes of several tests, first on top, with intervals and
// the bounds as grey ticks.
func Forest(w io.Writer, title string, rows []Effect) error {
	return figure.Forest(w, title, "d; grey: largest possible; hollow: descriptive", 0, rows)
}

// LayerPoint is d at one layer.
type LayerPoint struct {
	Layer  int
	D      float64 // NaN where undefined: a gap
	Lo, Hi float64 // pointwise interval; NaN leaves it out
}

// Layers draws d by layer: one curve for each named series, in the order
// given, with pointwise intervals as bars.
func Layers(w io.Writer, title string, names []string, series [][]LayerPoint, bound float64) error {
	if len(names) != len(series) || len(series) == 0 {
		return fault.Usagef("figure: layers: found %d names and %d series, want as many of each", len(names), len(series))
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "layer", "d"
	if zero, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: lastLayer(series), Y: 0}}); err == nil {
		zero.Color = figure.Grey()
		p.Add(zero)
	}
	palette := figure.Palette()
	drawn := 0
	for k, s := range series {
		c := palette[k%len(palette)]
		for _, run := range runs(s) {
			drawn += len(run)
			xy := make(plotter.XYs, len(run))
			for i, q := range run {
				xy[i] = plotter.XY{X: float64(q.Layer), Y: q.D}
				if !math.IsNaN(q.Lo) && !math.IsNaN(q.Hi) {
					bar, err := plotter.NewLine(plotter.XYs{{X: xy[i].X, Y: q.Lo}, {X: xy[i].X, Y: q.Hi}})
					if err != nil {
						return fmt.Errorf("figure: %w", err)
					}
					bar.Color = c
					p.Add(bar)
				}
			}
			line, points, err := plotter.NewLinePoints(xy)
			if err != nil {
				return fmt.Errorf("figure: %w", err)
			}
			line.Color, points.Color, points.Shape = c, c, draw.CircleGlyph{}
			p.Add(line, points)
		}
		p.Legend.Add(names[k], figure.Glyph{C: c})
	}
	if drawn == 0 {
		return fault.Inputf("undefined", "figure: layers: found no defined d")
	}
	p.Legend.Top, p.Legend.Left = true, true
	last := lastLayer(series)
	p.X.Min, p.X.Max = -.03*last-.05, 1.03*last+.05
	p.X.Tick.Marker = wholeLayers(int(last))
	if bound > 0 {
		p.Y.Min, p.Y.Max = min(p.Y.Min, -bound), max(p.Y.Max, bound)
	}
	return figure.Write(w, p, figure.Width, figure.Height)
}

// wholeLayers ticks layers, at most about a dozen.
func wholeLayers(last int) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for i := 0; i <= last; i += 1 + last/12 {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: strconv.Itoa(i)})
	}
	return ticks
}

func lastLayer(series [][]LayerPoint) float64 {
	last := 0
	for _, s := range series {
		for _, q := range s {
			last = max(last, q.Layer)
		}
	}
	return float64(last)
}

// runs splits a series at its gaps.
func runs(s []LayerPoint) (out [][]LayerPoint) {
	var run []LayerPoint
	for _, q := range s {
		if math.IsNaN(q.D) {
			if run != nil {
				out = append(out, run)
			}
			run = nil
			continue
		}
		run = append(run, q)
	}
	if run != nil {
		out = append(out, run)
	}
	return out
}
