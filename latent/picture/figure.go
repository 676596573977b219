package picture

import (
	"fmt"
	"image/color"
	"io"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figure is a drawing of fixed size.
type Figure struct {
	Width, Height vg.Length
	Note          string // one line under the panels
	panels        []func() (*plot.Plot, error)
	square        []bool // equal scales on both axes
}

// WriteSVG writes the figure as SVG.
func (f *Figure) WriteSVG(w io.Writer) error {
	c := vgsvg.New(f.Width, f.Height)
	if err := f.draw(draw.New(c)); err != nil {
		return err
	}
	_, err := c.WriteTo(w)
	return err
}

// WritePNG writes the figure at the given resolution, dots per inch.
func (f *Figure) WritePNG(w io.Writer, dpi int) error {
	if dpi < 20 || dpi > 600 {
		return fmt.Errorf("picture: png: %d dots per inch, want 20 to 600", dpi)
	}
	c := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(f.Width, f.Height), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))}
	if err := f.draw(draw.New(c)); err != nil {
		return err
	}
	_, err := c.WriteTo(w)
	return err
}

const noteHeight = 16 * vg.Millimeter / 3

func (f *Figure) draw(c draw.Canvas) error {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	n := vg.Length(len(f.panels))
	step := (c.Max.X - c.Min.X) / n
	for i, mk := range f.panels {
		p, err := mk()
		if err != nil {
			return err
		}
		x := vg.Length(i)
		box := draw.Crop(c, x*step+vg.Millimeter, -(n-1-x)*step-vg.Millimeter, noteHeight, -vg.Millimeter)
		if f.square[i] {
			equal(p, box)
		}
		p.Draw(box)
	}
	style := draw.TextStyle{Color: color.Gray{80}, Font: font.From(plot.DefaultFont, 8), Handler: plot.DefaultTextHandler}
	c.FillText(style, vg.Point{X: c.Min.X + 2*vg.Millimeter, Y: c.Min.Y + vg.Millimeter}, f.Note)
	return nil
}

// equal widens one axis so that a unit is as long on both.
func equal(p *plot.Plot, c draw.Canvas) {
	d := p.DataCanvas(c)
	w, h := float64(d.Max.X-d.Min.X), float64(d.Max.Y-d.Min.Y)
	x, y := p.X.Max-p.X.Min, p.Y.Max-p.Y.Min
	if !(w > 0 && h > 0 && x > 0 && y > 0) {
		return
	}
	scale := max(x/w, y/h)
	cx, cy := (p.X.Max+p.X.Min)/2, (p.Y.Max+p.Y.Min)/2
	p.X.Min, p.X.Max = cx-scale*w/2, cx+scale*w/2
	p.Y.Min, p.Y.Max = cy-scale*h/2, cy+scale*h/2
}

// ink is the look of a group.
type ink struct {
	color color.Color
	mark  draw.GlyphDrawer
	dash  []vg.Length
}

// inkOf returns the look of group i: Okabe-Ito colours from dark to light, each
// with its own mark and dash; it repeats after six.
func inkOf(i int) ink {
	mm := vg.Millimeter
	return []ink{
		{color.NRGBA{0, 114, 178, 255}, draw.CircleGlyph{}, nil},                          // blue
		{color.NRGBA{230, 159, 0, 255}, draw.PyramidGlyph{}, []vg.Length{2 * mm, mm}},     // orange
		{color.NRGBA{0, 0, 0, 255}, draw.CrossGlyph{}, []vg.Length{mm, mm}},               // black
		{color.NRGBA{0, 158, 115, 255}, draw.BoxGlyph{}, []vg.Length{3 * mm, mm, mm, mm}}, // green
		{color.NRGBA{204, 121, 167, 255}, draw.RingGlyph{}, []vg.Length{4 * mm, mm}},      // purple
		{color.NRGBA{86, 180, 233, 255}, draw.PlusGlyph{}, []vg.Length{mm / 2, mm}},       // sky blue
	}[i%6]
}

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font.Size = 10
	p.X.Label.TextStyle.Font.Size, p.Y.Label.TextStyle.Font.Size = 9, 9
	p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = 8, 8
	p.Legend.TextStyle.Font.Size = 8
	p.Legend.Top = true
	p.Legend.Padding, p.Legend.XOffs = vg.Millimeter/2, -vg.Millimeter
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{}, ticks{}
	return p
}

// ticks are gonum's with the shortest labels: 25, not 25.00.
type ticks struct{}

// Ticks implements plot.Ticker.
func (ticks) Ticks(lo, hi float64) []plot.Tick {
	ts := plot.DefaultTicks{}.Ticks(lo, hi)
	for i, t := range ts {
		if t.Label != "" {
			ts[i].Label = strconv.FormatFloat(t.Value, 'g', 4, 64)
		}
	}
	return ts
}
