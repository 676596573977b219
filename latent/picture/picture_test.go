package picture

import (
	"bytes"
	"context"
	"encoding/xml"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot"

	"assay/internal/fault"
	"assay/latent/aqi"
	"assay/latent/compare"
	"assay/latent/geom"
	"assay/latent/internal/mem"
	"assay/latent/internal/vectors"
)

func states(copies int) *mem.States {
	s := mem.Set{Name: "g1", First: 0, Rows: true}
	var a, b []float64
	for range copies {
		a, b = append(a, vectors.G1(1, .75)...), append(b, vectors.Y()...)
		for i := range 200 {
			s.Label = append(s.Label, []string{"plain", "tinted"}[i/100])
		}
	}
	s.Layers = []geom.Dense{{N: 200 * copies, W: 64, Data: a}, {N: 200 * copies, W: 64, Data: b}}
	return mem.New(s)
}

func report(t *testing.T, s *mem.States) *aqi.Report {
	t.Helper()
	o := aqi.Default()
	o.Infer.Draws, o.Indices, o.Space.Layers = 99, []string{"r2", "probe"}, "0,1"
	r, err := aqi.Analyse(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// texts parses the SVG and returns its text; any attribute that could load
// something from outside fails the test.
func texts(t *testing.T, svg []byte) string {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	var out strings.Builder
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return out.String()
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		switch x := tok.(type) {
		case xml.StartElement:
			for _, a := range x.Attr {
				if a.Name.Local == "href" || a.Name.Local == "src" || strings.Contains(a.Value, "url(") {
					t.Errorf("outside reference in <%s %s=%q>", x.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			out.Write(x)
			out.WriteByte('\n')
		}
	}
}

func TestSeparation(t *testing.T) {
	s := states(1)
	r := report(t, s)
	var svg [2]bytes.Buffer
	for i := range svg {
		f, err := Separation(context.Background(), s, r, Options{Layer: "0", Workers: 1 + 7*i})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.WriteSVG(&svg[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(svg[0].Bytes(), svg[1].Bytes()) {
		t.Error("the same input gives different bytes")
	}
	// 7.6 and 6.8 %: numpy 2.4, shares .0755502 and .0684250 of the vectors.
	got := texts(t, svg[0].Bytes())
	for _, want := range []string{"component 1 (7.6 % of variance)", "component 2 (6.8 %)", "plain", "tinted", "separation by layer", "A picture, not a measurement"} {
		if !strings.Contains(got, want) {
			t.Errorf("no text %q", want)
		}
	}
	f, _ := Separation(context.Background(), s, r, Options{})
	var img bytes.Buffer
	if err := f.WritePNG(&img, 60); err != nil {
		t.Fatal(err)
	}
	if p, err := png.Decode(&img); err != nil || p.Bounds().Dx() < 600 {
		t.Errorf("png: %v", err)
	}
	if err := f.WritePNG(&img, 5000); err == nil {
		t.Error("5000 dots per inch: no error")
	}
}

func TestSize(t *testing.T) {
	s := states(12) // 2400 rows: 1200 are drawn
	r := report(t, states(1))
	pts, err := Components(context.Background(), s, r, Options{Layer: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if len(pts.X) > maxRows || len(pts.X) < 1000 {
		t.Errorf("%d points", len(pts.X))
	}
	// The full 2000 points stay under 500 KB.
	for len(pts.X) < maxRows {
		pts.X, pts.Y, pts.Group = append(pts.X, pts.X[0]), append(pts.Y, pts.Y[0]), append(pts.Group, 1)
	}
	f := &Figure{Width: 850, Height: 300, Note: note(r)}
	f.add(true, func() (*plot.Plot, error) { return scatter(pts) })
	var b bytes.Buffer
	if err := f.WriteSVG(&b); err != nil || b.Len() > 500<<10 {
		t.Errorf("2000 points: %d bytes, %v; want at most 500 KB", b.Len(), err)
	}
	t.Logf("2000 points: %d bytes", b.Len())
}

func TestMap(t *testing.T) {
	r := &compare.Report{Layers: []int{0, 4}, Map: [][]float64{{1, .25}, {math.NaN(), .875}}}
	f, err := Map(r)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	got := texts(t, b.Bytes())
	for _, want := range []string{"1.00", "0.25", "0.88", "layer of A", "layer of B", "\n4\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no text %q", want)
		}
	}
	if strings.Contains(got, "NaN") {
		t.Error("an undefined cell carries a number")
	}
	if _, err := Map(&compare.Report{}); fault.As(err) == nil {
		t.Error("empty map: no error")
	}
}

func TestBadInput(t *testing.T) {
	s := states(1)
	r := report(t, s)
	if _, err := Separation(context.Background(), s, r, Options{Layer: "0,1"}); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("two layers: %v", err)
	}
	none := mem.Set{Name: "none", Layers: []geom.Dense{{N: 200, W: 64, Data: vectors.G1(1, 0)}}, Block: 10}
	for i := range 200 {
		none.Label = append(none.Label, []string{"plain", "tinted"}[i/100])
	}
	if _, err := Separation(context.Background(), mem.New(none), r, Options{}); fault.As(err) == nil || fault.As(err).Class != fault.Input {
		t.Errorf("no rows: %v", err)
	}
}
