package membership

import (
	"fmt"
	"io"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"assay/internal/fault"
)

// Dated returns the rows of a table that carry a date, with one of its scores and
// their distance from the cutoff in days, and how many carry none.
func (t Table) Dated(score string, cutoff time.Time) (out []Dated, undated int, err error) {
	at := -1
	for i, n := range t.Names {
		if n == score {
			at = i
		}
	}
	if at < 0 {
		return nil, 0, fault.Usagef("membership: cutoff: score: found %q, want one of %q", score, t.Names)
	}
	for _, r := range t.Rows {
		if r.Date.IsZero() {
			undated++
			continue
		}
		d := Dated{ID: r.ID, Days: math.Round(r.Date.Sub(cutoff).Hours() / 24), Score: r.Score[at], Bytes: float64(r.Bytes), Blind: math.NaN()}
		if r.Bytes < 0 {
			d.Bytes = math.NaN()
		}
		out = append(out, d)
	}
	if len(out) == 0 {
		return nil, undated, fault.Inputf("dates", "membership: cutoff: found no date in %d documents", len(t.Rows)).Hint("give the texts a field date, YYYY-MM-DD")
	}
	return out, undated, nil
}

// BlindByDate returns for every text inside the bandwidth the out-of-fold score of a
// classifier that tells texts from before the cutoff from those after it without
// the model; NaN outside. It is a function of the text alone, so it must not jump.
func BlindByDate(texts []Dated, words map[string]string, ids map[string][]int32, o CutoffOptions) ([]float64, error) {
	out := make([]float64, len(texts))
	var in []Text
	var at []int
	for i, d := range texts {
		out[i] = math.NaN()
		if math.Abs(d.Days) > o.Bandwidth {
			continue
		}
		x := Text{ID: d.ID, Text: words[d.ID], IDs: ids[d.ID]}
		if d.Days < 0 {
			x.Label = 1
		}
		in, at = append(in, x), append(at, i)
	}
	g, err := Gate(in, GateOptions{Seed: fmt.Sprint(o.Seed), Permutations: 2})
	if err != nil {
		return nil, fmt.Errorf("membership: cutoff: covariate without the model: %w", err)
	}
	for k, i := range at {
		out[i] = g.Blind[k]
	}
	return out, nil
}

// WriteCutoff draws the score of every text inside the bandwidth against the days from
// the cutoff, with the two fitted lines. format is svg or png.
func WriteCutoff(w io.Writer, format, score string, texts []Dated, o CutoffOptions) error {
	p := plot.New()
	p.Title.Text = "Score around the cutoff"
	p.X.Label.Text, p.Y.Label.Text = "days from the cutoff", score
	var all plotter.XYs
	for _, d := range texts {
		if math.Abs(d.Days) <= o.Bandwidth && !math.IsNaN(d.Score) {
			all = append(all, plotter.XY{X: d.Days, Y: d.Score})
		}
	}
	if len(all) == 0 {
		return fault.Inputf("empty", "membership: plot: found no score within %g days of the cutoff", o.Bandwidth)
	}
	dots, err := plotter.NewScatter(all)
	if err != nil {
		return fmt.Errorf("membership: plot: %w", err)
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: palette(4), Radius: vg.Points(1.5), Shape: draw.CircleGlyph{}}
	p.Add(dots)
	for _, side := range []float64{-1, 1} {
		var x, y, wt []float64
		for _, d := range all {
			if (d.X >= 0) == (side > 0) {
				x, y, wt = append(x, d.X), append(y, d.Y), append(wt, 1-math.Abs(d.X)/o.Bandwidth)
			}
		}
		a, b, ok := weightedLine(x, y, wt)
		if !ok {
			continue
		}
		end := side * o.Bandwidth
		l, err := plotter.NewLine(plotter.XYs{{X: 0, Y: a}, {X: end, Y: a + b*end}})
		if err != nil {
			return fmt.Errorf("membership: plot: %w", err)
		}
		l.Color, l.Width = palette(1), vg.Points(1.5)
		p.Add(l)
	}
	return render(w, format, p)
}

func weightedLine(x, y, w []float64) (a, b float64, ok bool) {
	var s0, s1, s2, t0, t1 float64
	for i := range x {
		s0, s1, s2 = s0+w[i], s1+w[i]*x[i], s2+w[i]*x[i]*x[i]
		t0, t1 = t0+w[i]*y[i], t1+w[i]*x[i]*y[i]
	}
	det := s0*s2 - s1*s1
	return (s2*t0 - s1*t1) / det, (s0*t1 - s1*t0) / det, det > 0
}
