// Package figure draws what a WEAT result is made of, as self-contained SVG:
// the scores of every word of a test, the effect sizes of many tests with
// their intervals and bounds, and d by layer. It answers "which words make
// this number" and "where in the model does it arise"; it refuses scores that
// are undefined and draws no p-value. Equal input gives equal bytes.
package figure

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"assay/internal/fault"
	"assay/latent/weat"
)

// Colours that keep apart in the common colour blindnesses (Okabe and Ito).
func blue() color.Color   { return color.RGBA{0, 114, 178, 255} }
func orange() color.Color { return color.RGBA{213, 94, 0, 255} }
func grey() color.Color   { return color.RGBA{120, 120, 120, 255} }

const (
	width  = 7 * vg.Inch
	height = 4 * vg.Inch
)

// write renders a plot as SVG.
func write(w io.Writer, p *plot.Plot, wide, high vg.Length) error {
	c := vgsvg.New(wide, high)
	p.Draw(draw.New(c))
	if _, err := c.WriteTo(w); err != nil {
		return fault.Retryf("write", "figure: %w", err)
	}
	return nil
}

// Association draws s of every target word, X in blue above Y in orange, with
// the words, the means of both sets and the line of no association.
func Association(w io.Writer, sc weat.Scores) error {
	if sc.Undefined != "" || len(sc.X) == 0 || len(sc.Y) == 0 {
		return fault.Inputf("undefined", "figure: test %q: found no scores: %s", sc.Test.ID, sc.Undefined)
	}
	p := plot.New()
	p.Title.Text = sc.Test.Name
	p.X.Label.Text = fmt.Sprintf("s: nearer %s (right) or %s (left), cosine", name(sc.Test.A, "A"), name(sc.Test.B, "B"))
	p.Add(vertical(0, grey()))
	for k, set := range []struct {
		label  string
		words  []weat.Scored
		colour color.Color
	}{{name(sc.Test.X, "X"), sc.X, blue()}, {name(sc.Test.Y, "Y"), sc.Y, orange()}} {
		base := float64(1 - k)
		if err := addWords(p, set.words, base, set.colour); err != nil {
			return err
		}
		p.Legend.Add(fmt.Sprintf("%s (%d)", set.label, len(set.words)), glyph{set.colour})
	}
	p.Legend.Top, p.Legend.Left = true, true
	span := p.X.Max - p.X.Min
	p.X.Min, p.X.Max = p.X.Min-.05*span, p.X.Max+.15*span // labels stand right of their points
	p.Y.Min, p.Y.Max = -.15, 2
	p.HideY()
	return write(w, p, width, height+vg.Length(max(len(sc.X), len(sc.Y)))*3)
}

func name(s weat.Set, letter string) string {
	if s.Name == "" {
		return letter
	}
	return s.Name
}

// addWords spreads the words of a set upwards from base in order of s, so that
// labels do not cover each other, and marks their mean.
func addWords(p *plot.Plot, words []weat.Scored, base float64, c color.Color) error {
	sorted := slices.Clone(words)
	slices.SortStableFunc(sorted, func(a, b weat.Scored) int {
		switch {
		case a.S < b.S:
			return -1
		case a.S > b.S:
			return 1
		}
		return 0
	})
	xy := make(plotter.XYs, len(sorted))
	labels := make([]string, len(sorted))
	var mean float64
	for i, s := range sorted {
		xy[i] = plotter.XY{X: s.S, Y: base + .85*float64(i)/float64(max(1, len(sorted)-1))}
		labels[i] = "  " + s.Word
		mean += s.S / float64(len(sorted))
	}
	points, err := plotter.NewScatter(xy)
	if err != nil {
		return fmt.Errorf("figure: %w", err)
	}
	points.GlyphStyle = draw.GlyphStyle{Color: c, Radius: vg.Points(2.5), Shape: draw.CircleGlyph{}}
	text, err := plotter.NewLabels(plotter.XYLabels{XYs: xy, Labels: labels})
	if err != nil {
		return fmt.Errorf("figure: %w", err)
	}
	for i := range text.TextStyle {
		text.TextStyle[i].Font.Size = vg.Points(7)
		text.TextStyle[i].YAlign = -.4
	}
	line, err := plotter.NewLine(plotter.XYs{{X: mean, Y: base - .08}, {X: mean, Y: base + .9}})
	if err != nil {
		return fmt.Errorf("figure: %w", err)
	}
	line.Color, line.Dashes = c, []vg.Length{vg.Points(4), vg.Points(2)}
	p.Add(line, points, text)
	return nil
}

// glyph is a legend entry.
type glyph struct{ c color.Color }

// Thumbnail draws the glyph in the middle of the entry.
func (g glyph) Thumbnail(c *draw.Canvas) {
	c.DrawGlyph(draw.GlyphStyle{Color: g.c, Radius: vg.Points(3), Shape: draw.CircleGlyph{}}, c.Center())
}

// rule is a line over the whole height at x.
type rule struct {
	x float64
	c color.Color
}

func vertical(x float64, c color.Color) rule { return rule{x, c} }

// Plot draws the line.
func (r rule) Plot(c draw.Canvas, p *plot.Plot) {
	tx, _ := p.Transforms(&c)
	c.StrokeLine2(draw.LineStyle{Color: r.c, Width: vg.Points(.75)}, tx(r.x), c.Min.Y, tx(r.x), c.Max.Y)
}

// DataRange keeps the line in view.
func (r rule) DataRange() (xmin, xmax, ymin, ymax float64) {
	return r.x, r.x, math.Inf(1), math.Inf(-1)
}

// Effect is one row of a forest plot.
type Effect struct {
	Label  string
	D      float64
	Lo, Hi float64 // interval; NaN leaves it out
	Bound  float64 // largest |d| these set sizes allow; NaN leaves it out
	Hollow bool    // tier C: drawn hollow
}

// Forest draws effect sizes of several tests, first on top, with intervals and
// the bounds as grey ticks.
func Forest(w io.Writer, title string, rows []Effect) error {
	if len(rows) == 0 {
		return fault.Inputf("undefined", "figure: effects: found none, want one or more")
	}
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text = "d; grey: largest possible; hollow: descriptive"
	p.Add(vertical(0, grey()))
	ticks := make(plot.ConstantTicks, len(rows))
	for i, r := range rows {
		if math.IsNaN(r.D) || math.IsInf(r.D, 0) {
			return fault.Inputf("undefined", "figure: %s: found d %v, want a number", r.Label, r.D)
		}
		y := float64(len(rows) - i)
		ticks[i] = plot.Tick{Value: y, Label: clip(r.Label)}
		p.Add(effectRow{r, y})
	}
	p.Y.Tick.Marker = ticks
	p.Y.Tick.Label.Font.Size = vg.Points(8)
	p.Y.Min, p.Y.Max = .4, float64(len(rows))+.6
	return write(w, p, width, vg.Inch+vg.Length(len(rows))*.28*vg.Inch)
}

// clip keeps a label from pushing the drawing off the page.
func clip(s string) string {
	const most = 34
	if r := []rune(s); len(r) > most {
		return string(r[:most-3]) + "..."
	}
	return s
}

type effectRow struct {
	Effect
	y float64
}

// Plot draws interval, bounds and point.
func (r effectRow) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	y := ty(r.y)
	if !math.IsNaN(r.Bound) {
		for _, b := range []float64{-r.Bound, r.Bound} {
			c.StrokeLine2(draw.LineStyle{Color: grey(), Width: vg.Points(1)}, tx(b), y-4, tx(b), y+4)
		}
	}
	if !math.IsNaN(r.Lo) && !math.IsNaN(r.Hi) {
		c.StrokeLine2(draw.LineStyle{Color: blue(), Width: vg.Points(1.25)}, tx(r.Lo), y, tx(r.Hi), y)
	}
	var shape draw.GlyphDrawer = draw.CircleGlyph{}
	if r.Hollow {
		shape = draw.RingGlyph{}
	}
	c.DrawGlyph(draw.GlyphStyle{Color: blue(), Radius: vg.Points(3), Shape: shape}, vg.Point{X: tx(r.D), Y: y})
}

// DataRange spans point, interval and bounds.
func (r effectRow) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, xmax = r.D, r.D
	for _, x := range []float64{r.Lo, r.Hi, r.Bound, -r.Bound} {
		if !math.IsNaN(x) {
			xmin, xmax = min(xmin, x), max(xmax, x)
		}
	}
	return xmin, xmax, r.y - .5, r.y + .5
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
		zero.Color = grey()
		p.Add(zero)
	}
	palette := []color.Color{blue(), orange(), color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255}, color.RGBA{86, 180, 233, 255}}
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
		p.Legend.Add(names[k], glyph{c})
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
	return write(w, p, width, height)
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
