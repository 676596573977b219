package membership

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"assay/internal/fault"
	"assay/probes/stat"
)

// Curve is one score on labelled texts, for a plot.
type Curve struct {
	Name  string
	Score []float64 // NaN = undefined
	Label []int
}

// Curves cuts the table the way Eval does.
func (o EvalOptions) Curves(t Table) ([]Curve, error) {
	e, err := o.cut(t)
	if err != nil {
		return nil, err
	}
	var out []Curve
	for i, n := range t.Names {
		out = append(out, Curve{n, e.column(i), e.label})
	}
	return out, nil
}

// WriteROC draws the curves of true against false positives, with the diagonal.
// format is svg or png.
func WriteROC(w io.Writer, format string, curves []Curve) error {
	p := plot.New()
	p.Title.Text = "True against false positives"
	p.X.Label.Text, p.Y.Label.Text = "share of label 0 at or above the threshold", "share of label 1"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	p.Legend.Top = false
	p.Legend.Left = false
	diagonal, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 1}})
	if err != nil {
		return fmt.Errorf("membership: plot: %w", err)
	}
	diagonal.Color, diagonal.Dashes = color.Gray{160}, []vg.Length{vg.Points(3), vg.Points(3)}
	p.Add(diagonal)
	for i, c := range curves {
		l, _, err := newLabelled(c.Score, c.Label, nil)
		if err != nil {
			return err
		}
		line, err := plotter.NewLine(l.curve())
		if err != nil {
			return fmt.Errorf("membership: plot: %s: %w", c.Name, err)
		}
		line.Color, line.Width = palette(i), vg.Points(1.5)
		p.Add(line)
		m, n := l.split()
		auc, _, err := stat.AUC(m, n)
		if err != nil {
			return fmt.Errorf("membership: plot: %s: %w", c.Name, err)
		}
		p.Legend.Add(fmt.Sprintf("%s (AUC %.3f)", c.Name, auc), line)
	}
	return render(w, format, p)
}

// curve is the ROC polygon from (0,0) to (1,1), ties as one step.
func (l *labelled) curve() plotter.XYs {
	out := plotter.XYs{{X: 0, Y: 0}}
	var tp, fp float64
	non := float64(len(l.label) - l.member)
	for i := 0; i < len(l.order); {
		j := i
		for j < len(l.order) && l.score[l.order[j]] == l.score[l.order[i]] {
			tp += float64(l.label[l.order[j]])
			fp += float64(1 - l.label[l.order[j]])
			j++
		}
		out = append(out, plotter.XY{X: fp / non, Y: tp / float64(l.member)})
		i = j
	}
	return out
}

// WriteScores draws the distribution of one score by label as two step histograms of
// shares. Undefined scores are left out and counted in the title.
func WriteScores(w io.Writer, format string, c Curve) error {
	lo, hi, undefined := math.Inf(1), math.Inf(-1), 0
	for _, v := range c.Score {
		if math.IsNaN(v) {
			undefined++
			continue
		}
		lo, hi = min(lo, v), max(hi, v)
	}
	if lo > hi {
		return fault.Inputf("empty", "membership: plot: %s has no value", c.Name)
	}
	if lo == hi {
		lo, hi = lo-.5, hi+.5
	}
	const bins = 30
	p := plot.New()
	p.Title.Text = c.Name
	if undefined > 0 {
		p.Title.Text += fmt.Sprintf(" (%d undefined left out)", undefined)
	}
	p.X.Label.Text, p.Y.Label.Text = "score", "share of texts"
	p.Legend.Top = true
	for _, l := range []int{1, 0} {
		h := make([]float64, bins)
		n := 0.0
		for i, v := range c.Score {
			if c.Label[i] == l && !math.IsNaN(v) {
				h[min(bins-1, int((v-lo)/(hi-lo)*bins))]++
				n++
			}
		}
		if n == 0 {
			continue
		}
		steps := plotter.XYs{{X: lo, Y: 0}}
		width := (hi - lo) / bins
		for b, v := range h {
			steps = append(steps, plotter.XY{X: lo + float64(b)*width, Y: v / n}, plotter.XY{X: lo + float64(b+1)*width, Y: v / n})
		}
		steps = append(steps, plotter.XY{X: hi, Y: 0})
		line, err := plotter.NewLine(steps)
		if err != nil {
			return fmt.Errorf("membership: plot: %s: %w", c.Name, err)
		}
		line.Color, line.Width = palette(1-l), vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(fmt.Sprintf("label %d (n = %.0f)", l, n), line)
	}
	return render(w, format, p)
}

// palette repeats eight colours that people with colour blindness tell apart
// (Okabe and Ito 2008).
func palette(i int) color.Color {
	c := []color.RGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255},
		{86, 180, 233, 255}, {230, 159, 0, 255}, {0, 0, 0, 255}, {240, 228, 66, 255}}
	return c[i%len(c)]
}

func render(w io.Writer, format string, p *plot.Plot) error {
	const width, height = 14 * vg.Centimeter, 11 * vg.Centimeter
	var out io.WriterTo
	switch format {
	case "svg":
		c := vgsvg.New(width, height)
		p.Draw(draw.New(c))
		out = c
	case "png":
		c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(150))
		p.Draw(draw.New(c))
		out = vgimg.PngCanvas{Canvas: c}
	default:
		return fault.Usagef("membership: plot: format: found %q, want svg or png", format)
	}
	if _, err := out.WriteTo(w); err != nil {
		return fault.Retryf("io", "membership: plot: %w", err)
	}
	return nil
}
