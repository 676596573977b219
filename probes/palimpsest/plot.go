package palimpsest

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"assay/internal/fault"
	"assay/probes"
)

// Figures lists what Plot can draw.
func Figures() []string { return []string{"bins", "path", "controls"} }

// The figures use black, greys and dashes only, so that they survive a copier.
const (
	black uint8 = 0
	grey  uint8 = 150
	band  uint8 = 220
)

// Plot draws one figure of a query's result as svg or png. It uses nothing but the
// series, estimates and p-values of the result, so that the figure, its CSV and the
// JSON show the same numbers.
//
//	bins      mean score by position, with its 95 % band, the fitted trend and the controls
//	path      log10 p against the number of rows, with Student's law (needs Options.Series)
//	controls  p-values of random orders against a uniform law
func Plot(w io.Writer, r probes.Result, figure, format string) error {
	p := plot.New()
	p.Title.TextStyle.Font.Size = 11
	p.Title.Padding = 6
	p.Legend.TextStyle.Font.Size = 9
	p.Legend.Left, p.Legend.Padding = true, 2
	p.Legend.XOffs, p.Legend.YOffs = 4, 4
	var err error
	switch figure {
	case "bins":
		err = plotBins(p, r)
	case "path":
		err = plotPath(p, r)
	case "controls":
		err = plotControls(p, r)
	default:
		return fault.Usagef("palimpsest: figure %q, want one of %v", figure, Figures())
	}
	if err != nil {
		return err
	}
	return save(w, p, 17*vg.Centimeter, 10*vg.Centimeter, format)
}

// save renders through a fixed canvas size; png has 150 dots per inch.
func save(w io.Writer, p *plot.Plot, width, height font.Length, format string) error {
	var c interface {
		vg.CanvasSizer
		io.WriterTo
	}
	switch format {
	case "svg":
		c = vgsvg.New(width, height)
	case "png":
		c = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(150), vgimg.UseBackgroundColor(color.White))}
	default:
		return fault.Usagef("palimpsest: figure format %q, want svg or png", format)
	}
	p.Draw(draw.New(c))
	if _, err := c.WriteTo(w); err != nil {
		return fault.Retryf("io", "palimpsest: figure: %w", err)
	}
	return nil
}

// table is a series with its columns by name.
type table struct {
	s   probes.Series
	col map[string]int
}

func seriesOf(r probes.Result, name string) (table, error) {
	for _, s := range r.Series {
		if s.Name == name && len(s.Rows) > 0 {
			t := table{s, map[string]int{}}
			for i, c := range s.Columns {
				t.col[c] = i
			}
			for _, row := range s.Rows {
				if len(row) != len(s.Columns) {
					return table{}, fault.Inputf("malformed", "palimpsest: series %s: a row of %d values, want %d", name, len(row), len(s.Columns))
				}
			}
			return t, nil
		}
	}
	return table{}, fault.Inputf("malformed", "palimpsest: result has no series %q to draw", name)
}

// points takes two columns; a missing one is an error.
func (t table) points(x, y string) (plotter.XYs, error) {
	i, ok := t.col[x]
	j, ok2 := t.col[y]
	if !ok || !ok2 {
		return nil, fault.Inputf("malformed", "palimpsest: series %s: no columns %s and %s", t.s.Name, x, y)
	}
	out := make(plotter.XYs, len(t.s.Rows))
	for k, row := range t.s.Rows {
		out[k].X, out[k].Y = row[i], row[j]
	}
	return out, nil
}

func (t table) unit(column string) string { return t.s.Units[t.col[column]] }

func line2(xy plotter.XYs, c uint8, width float64, dashes ...vg.Length) (*plotter.Line, error) {
	l, err := plotter.NewLine(xy)
	if err != nil {
		return nil, fault.Inputf("malformed", "palimpsest: figure: %w", err)
	}
	l.LineStyle = draw.LineStyle{Color: color.Gray{Y: c}, Width: vg.Points(width), Dashes: dashes}
	return l, nil
}

// headline is rho with its interval, the verdict's p, n and the design.
func headline(r probes.Result) string {
	var b strings.Builder
	for _, e := range r.Estimates {
		if e.Name == "rho" && e.Value != nil {
			fmt.Fprintf(&b, "rho %.4f", *e.Value)
			if e.CI != nil {
				fmt.Fprintf(&b, " [%.4f, %.4f]", e.CI.Lo, e.CI.Hi)
			}
		}
	}
	for _, p := range r.P {
		if p.Name == "verdict" {
			fmt.Fprintf(&b, ", verdict p %s", pText(p.Log10P*math.Ln10))
		}
	}
	if r.Verdict.Tier == probes.TierC {
		b.WriteString(", no valid p")
	}
	fmt.Fprintf(&b, ", n %d", r.N["units"])
	if d, ok := r.Settings["design"].(string); ok && d != "" {
		fmt.Fprintf(&b, ", design %s", d)
	}
	return b.String()
}

func plotBins(p *plot.Plot, r probes.Result) error {
	t, err := seriesOf(r, "bins")
	if err != nil {
		return err
	}
	mean, err := t.points("pos_mid", "mean_d")
	if err != nil {
		return err
	}
	se, err := t.points("pos_mid", "se")
	if err != nil {
		return err
	}
	p.Title.Text = headline(r)
	p.X.Label.Text = "position (" + t.unit("pos_mid") + ")"
	p.Y.Label.Text = "score minus its mean (" + t.unit("mean_d") + ")"
	hi, lo := slices.Clone(mean), slices.Clone(mean)
	for i := range mean {
		hi[i].Y += 1.96 * se[i].Y
		lo[i].Y -= 1.96 * se[i].Y
	}
	slices.Reverse(lo)
	poly, err := plotter.NewPolygon(append(hi, lo...))
	if err != nil {
		return fault.Inputf("malformed", "palimpsest: figure: %w", err)
	}
	poly.Color = color.Gray{Y: band}
	poly.LineStyle.Width = 0
	p.Add(poly)
	if err := addControls(p, r, meanOf(se)); err != nil {
		return err
	}
	zero, err := line2(plotter.XYs{mean[0], mean[len(mean)-1]}, black, 0.4)
	if err != nil {
		return err
	}
	zero.XYs[0].Y, zero.XYs[1].Y = 0, 0
	l, err := line2(mean, black, 1.4)
	if err != nil {
		return err
	}
	dots, err := plotter.NewScatter(mean)
	if err != nil {
		return fault.Inputf("malformed", "palimpsest: figure: %w", err)
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: color.Gray{Y: black}, Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
	p.Add(zero, l, dots)
	p.Legend.Add("suspect, 95 % band", l, dots)
	if tr, err := seriesOf(r, "trend"); err == nil {
		xy, err := tr.points("pos", "mean_d")
		if err != nil {
			return err
		}
		fit, err := line2(xy, black, 0.9, vg.Points(5), vg.Points(3))
		if err != nil {
			return err
		}
		p.Add(fit)
		p.Legend.Add("fitted trend", fit)
	}
	room := p.Y.Max - p.Y.Min // for step labels above and the legend below
	p.Y.Max += 0.1 * room
	p.Y.Min -= 0.3 * room
	return addMarks(p, r, t, mean)
}

func meanOf(xy plotter.XYs) float64 {
	s := 0.0
	for _, e := range xy {
		s += e.Y
	}
	return s / float64(len(xy))
}

// addControls draws the controls' bins in grey. A lone reference carries the whole
// difficulty of the text and would set the scale: controls with more than three
// times the suspect's standard error are left to the CSV.
func addControls(p *plot.Plot, r probes.Result, se float64) error {
	dash := [][]vg.Length{{vg.Points(2), vg.Points(2)}, {vg.Points(6), vg.Points(2)}, {vg.Points(6), vg.Points(2), vg.Points(1), vg.Points(2)}}
	k := 0
	for _, s := range r.Series {
		name, ok := strings.CutPrefix(s.Name, "bins control ")
		if !ok {
			continue
		}
		t, err := seriesOf(r, s.Name)
		if err != nil {
			return err
		}
		xy, err := t.points("pos_mid", "mean_d")
		if err != nil {
			return err
		}
		own, err := t.points("pos_mid", "se")
		if err != nil {
			return err
		}
		if meanOf(own) > 3*se {
			continue
		}
		l, err := line2(xy, grey, 1, dash[k%len(dash)]...)
		if err != nil {
			return err
		}
		k++
		p.Add(l)
		p.Legend.Add("control: "+name, l)
	}
	return nil
}

// addMarks writes the training step above some bins and marks the checkpoints that
// serve as references.
func addMarks(p *plot.Plot, r probes.Result, t table, mean plotter.XYs) error {
	if s, ok := t.col["step"]; ok {
		var lab plotter.XYLabels
		for k := 0; k < len(mean); k += max(1, (len(mean)-1)/4) {
			lab.XYs = append(lab.XYs, plotter.XY{X: mean[k].X, Y: p.Y.Max})
			lab.Labels = append(lab.Labels, fmt.Sprintf("step %.0f", t.s.Rows[k][s]))
		}
		top, err := plotter.NewLabels(lab)
		if err != nil {
			return fault.Inputf("malformed", "palimpsest: figure: %w", err)
		}
		for i := range top.TextStyle {
			top.TextStyle[i].Font.Size = 8
			top.TextStyle[i].YAlign = draw.YTop
			top.TextStyle[i].XAlign = draw.XCenter
		}
		p.Add(top)
	}
	m, err := seriesOf(r, "marks")
	if err != nil {
		return nil // none
	}
	for _, row := range m.s.Rows {
		l, err := line2(plotter.XYs{{X: row[0], Y: p.Y.Min}, {X: row[0], Y: p.Y.Max}}, grey, 0.8, vg.Points(1), vg.Points(2))
		if err != nil {
			return err
		}
		p.Add(l)
	}
	return nil
}

func plotPath(p *plot.Plot, r probes.Result) error {
	t, err := seriesOf(r, "path")
	if err != nil {
		return err
	}
	got, err := t.points("units", "log10_p")
	if err != nil {
		return err
	}
	want, err := t.points("units", "log10_p_expected")
	if err != nil {
		return err
	}
	p.Title.Text = headline(r)
	p.X.Label.Text, p.Y.Label.Text = "rows in stored random order", "log10 p (Student, one-sided)"
	a, err := line2(got, black, 1.4)
	if err != nil {
		return err
	}
	b, err := line2(want, grey, 1, vg.Points(5), vg.Points(3))
	if err != nil {
		return err
	}
	p.Add(a, b)
	p.Legend.Add("observed", a)
	p.Legend.Add("Student's law at the final rho", b)
	if alpha, ok := r.Settings["alpha"].(float64); ok && alpha > 0 {
		y := math.Log10(alpha)
		c, err := line2(plotter.XYs{{X: got[0].X, Y: y}, {X: got[len(got)-1].X, Y: y}}, black, 0.5, vg.Points(1), vg.Points(2))
		if err != nil {
			return err
		}
		p.Add(c)
		p.Legend.Add(fmt.Sprintf("alpha %g", alpha), c)
	}
	return nil
}

func plotControls(p *plot.Plot, r probes.Result) error {
	t, err := seriesOf(r, "control orders")
	if err != nil {
		return err
	}
	xy, err := t.points("expected", "observed")
	if err != nil {
		return err
	}
	p.Title.Text = fmt.Sprintf("%d random orders", len(xy))
	p.X.Label.Text, p.Y.Label.Text = "log10 p of a uniform law", "log10 p observed"
	s, err := plotter.NewScatter(xy)
	if err != nil {
		return fault.Inputf("malformed", "palimpsest: figure: %w", err)
	}
	s.GlyphStyle = draw.GlyphStyle{Color: color.Gray{Y: black}, Radius: vg.Points(1.5), Shape: draw.RingGlyph{}}
	lo := min(xy[0].X, xy[0].Y)
	d, err := line2(plotter.XYs{{X: lo, Y: lo}, {X: 0, Y: 0}}, grey, 1)
	if err != nil {
		return err
	}
	p.Add(d, s)
	return nil
}

// Forest draws rho with its interval for several results, the first on top, as svg
// or png. Names come from the suspects; tier C is drawn hollow.
func Forest(w io.Writer, rs []probes.Result, format string) error {
	if len(rs) == 0 {
		return fault.Usagef("palimpsest: forest: no result")
	}
	p := plot.New()
	p.X.Label.Text = "rank correlation of position and score"
	names := make([]string, len(rs))
	for i, r := range rs {
		y := float64(len(rs) - 1 - i)
		for _, in := range r.Inputs {
			if in.Role == "suspect" {
				names[len(rs)-1-i] = in.Path
			}
		}
		for _, e := range r.Estimates {
			if e.Name != "rho" || e.Value == nil {
				continue
			}
			if e.CI != nil {
				l, err := line2(plotter.XYs{{X: e.CI.Lo, Y: y}, {X: e.CI.Hi, Y: y}}, black, 1)
				if err != nil {
					return err
				}
				p.Add(l)
			}
			s, err := plotter.NewScatter(plotter.XYs{{X: *e.Value, Y: y}})
			if err != nil {
				return fault.Inputf("malformed", "palimpsest: figure: %w", err)
			}
			s.GlyphStyle = draw.GlyphStyle{Color: color.Gray{Y: black}, Radius: vg.Points(3), Shape: draw.CircleGlyph{}}
			if r.Verdict.Tier == probes.TierC {
				s.GlyphStyle.Shape = draw.RingGlyph{}
			}
			p.Add(s)
		}
	}
	zero, err := line2(plotter.XYs{{X: 0, Y: -0.5}, {X: 0, Y: float64(len(rs)) - 0.5}}, grey, 0.8, vg.Points(3), vg.Points(3))
	if err != nil {
		return err
	}
	p.Add(zero)
	p.NominalY(names...)
	return save(w, p, 17*vg.Centimeter, font.Length(3+float64(len(rs)))*vg.Centimeter, format)
}
