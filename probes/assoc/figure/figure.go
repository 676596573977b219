// Package figure draws what the probes of association are made of, as
// self-contained SVG: the value of every word or item in two or more groups, and
// effects with their intervals in one column. It answers "which items make this
// number"; it draws no p-value. Equal input gives equal bytes.
package figure

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"assay/internal/fault"
)

// Palette is colours that keep apart in the common colour blindnesses (Okabe and
// Ito).
func Palette() []color.Color {
	return []color.Color{color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255}, color.RGBA{86, 180, 233, 255}}
}

// Grey is the colour of lines of reference.
func Grey() color.Color { return color.RGBA{120, 120, 120, 255} }

func blue() color.Color { return Palette()[0] }
func grey() color.Color { return Grey() }

const (
	// Width of a figure.
	Width = 7 * vg.Inch
	// Height of one that does not grow with its rows.
	Height = 4 * vg.Inch
)

// Write renders a plot as SVG.
func Write(w io.Writer, p *plot.Plot, wide, high vg.Length) error {
	c := vgsvg.New(wide, high)
	p.Draw(draw.New(c))
	if _, err := c.WriteTo(w); err != nil {
		return fault.Retryf("write", "figure: %w", err)
	}
	return nil
}

// Point is one word or item.
type Point struct {
	Label string
	X     float64
}

// Group is a set of points.
type Group struct {
	Label  string
	Points []Point
}

// Groups draws every point of each group with its label, the first group on top,
// with the means of the groups and a line at neutral.
func Groups(w io.Writer, title, axis string, neutral float64, groups []Group) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text = title, axis
	p.Add(rule{neutral, grey()})
	most := 0
	for k, g := range groups {
		if len(g.Points) == 0 || slices.ContainsFunc(g.Points, func(q Point) bool { return math.IsNaN(q.X) || math.IsInf(q.X, 0) }) {
			return fault.Inputf("undefined", "figure: group %q: found %d points, want one or more, all finite", g.Label, len(g.Points))
		}
		c := Palette()[k%len(Palette())]
		if err := addPoints(p, g.Points, float64(len(groups)-1-k), c); err != nil {
			return err
		}
		p.Legend.Add(fmt.Sprintf("%s (%d)", g.Label, len(g.Points)), Glyph{c})
		most = max(most, len(g.Points))
	}
	p.Legend.Top, p.Legend.Left = true, true
	span := p.X.Max - p.X.Min
	p.X.Min, p.X.Max = p.X.Min-.05*span, p.X.Max+.15*span // labels stand right of their points
	p.Y.Min, p.Y.Max = -.15, float64(len(groups))
	p.HideY()
	return Write(w, p, Width, Height*vg.Length(len(groups))/2+vg.Length(most)*3)
}

// addPoints spreads the points of a group upwards from base in order of X, so that
// labels do not cover each other, and marks their mean.
func addPoints(p *plot.Plot, points []Point, base float64, c color.Color) error {
	sorted := slices.Clone(points)
	slices.SortStableFunc(sorted, func(a, b Point) int {
		switch {
		case a.X < b.X:
			return -1
		case a.X > b.X:
			return 1
		}
		return 0
	})
	xy := make(plotter.XYs, len(sorted))
	labels := make([]string, len(sorted))
	var mean float64
	for i, s := range sorted {
		xy[i] = plotter.XY{X: s.X, Y: base + .85*float64(i)/float64(max(1, len(sorted)-1))}
		labels[i] = "  " + s.Label
		mean += s.X / float64(len(sorted))
	}
	dots, err := plotter.NewScatter(xy)
	if err != nil {
		return fmt.Errorf("figure: %w", err)
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: c, Radius: vg.Points(2.5), Shape: draw.CircleGlyph{}}
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
	p.Add(line, dots, text)
	return nil
}

// Glyph is a legend entry.
type Glyph struct{ C color.Color }

// Thumbnail draws the glyph in the middle of the entry.
func (g Glyph) Thumbnail(c *draw.Canvas) {
	c.DrawGlyph(draw.GlyphStyle{Color: g.C, Radius: vg.Points(3), Shape: draw.CircleGlyph{}}, c.Center())
}

// rule is a line over the whole height at x.
type rule struct {
	x float64
	c color.Color
}

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
	Bound  float64 // largest |D| that is possible; NaN leaves it out
	Hollow bool    // tier C: drawn hollow
}

// Forest draws effects, first on top, with intervals, a line at neutral and the
// bounds as grey ticks.
func Forest(w io.Writer, title, axis string, neutral float64, rows []Effect) error {
	if len(rows) == 0 {
		return fault.Inputf("undefined", "figure: effects: found none, want one or more")
	}
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text = axis
	p.Add(rule{neutral, grey()})
	ticks := make(plot.ConstantTicks, len(rows))
	for i, r := range rows {
		if math.IsNaN(r.D) || math.IsInf(r.D, 0) {
			return fault.Inputf("undefined", "figure: %s: found %v, want a number", r.Label, r.D)
		}
		y := float64(len(rows) - i)
		ticks[i] = plot.Tick{Value: y, Label: clip(r.Label)}
		p.Add(effectRow{r, y})
	}
	p.Y.Tick.Marker = ticks
	p.Y.Tick.Label.Font.Size = vg.Points(8)
	p.Y.Min, p.Y.Max = .4, float64(len(rows))+.6
	return Write(w, p, Width, vg.Inch+vg.Length(len(rows))*.28*vg.Inch)
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
