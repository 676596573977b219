package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"assay/latent/weat"
)

func scores() weat.Scores {
	w := func(word string, s float64) weat.Scored { return weat.Scored{Word: word, S: s} }
	return weat.Scores{Test: weat.Test{ID: "1", Name: "flowers & insects", X: weat.Set{Name: "Flowers"}, Y: weat.Set{Name: "Insects"}, A: weat.Set{Name: "Pleasant"}},
		X: []weat.Scored{w("rose", .2), w("lily", .1)}, Y: []weat.Scored{w("wasp", -.1), w("fly", 0)}}
}

// svg checks that the drawing is XML, points to nothing outside, and holds texts.
func svg(t *testing.T, b []byte, texts ...string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(b))
	all, tags := "", 0
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		switch x := tok.(type) {
		case xml.CharData:
			all += string(x)
		case xml.StartElement:
			tags++
			for _, a := range x.Attr {
				if a.Name.Local == "href" || a.Name.Local == "src" {
					t.Errorf("found a reference to %s", a.Value)
				}
			}
		}
	}
	for _, s := range texts {
		if !strings.Contains(all, s) {
			t.Errorf("the drawing lacks %q", s)
		}
	}
	if tags < 10 {
		t.Errorf("only %d elements", tags)
	}
}

func TestAssociation(t *testing.T) {
	var a, b bytes.Buffer
	if err := Association(&a, scores()); err != nil {
		t.Fatal(err)
	}
	if err := Association(&b, scores()); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("two drawings of one test differ, %v", err)
	}
	svg(t, a.Bytes(), "flowers & insects", "rose", "lily", "wasp", "fly", "Flowers (2)", "Insects (2)", "Pleasant")
	sc := scores()
	sc.Undefined = "too few"
	if err := Association(&a, sc); err == nil {
		t.Error("an undefined test: no error")
	}
}

func TestForest(t *testing.T) {
	nan := math.NaN()
	rows := []Effect{{Label: "test 1", D: 1.5, Lo: 1.2, Hi: 1.7, Bound: 1.98}, {Label: "test 2", D: -.3, Lo: nan, Hi: nan, Bound: nan, Hollow: true}}
	var b bytes.Buffer
	if err := Forest(&b, "effects", rows); err != nil {
		t.Fatal(err)
	}
	svg(t, b.Bytes(), "effects", "test 1", "test 2")
	if err := Forest(&b, "", nil); err == nil {
		t.Error("no effects: no error")
	}
	if err := Forest(&b, "", []Effect{{D: nan}}); err == nil {
		t.Error("d NaN: no error")
	}
}

func TestLayers(t *testing.T) {
	nan := math.NaN()
	s := []LayerPoint{{0, .1, nan, nan}, {1, .4, .2, .6}, {2, nan, nan, nan}, {3, 1.1, .9, 1.3}}
	var b bytes.Buffer
	if err := Layers(&b, "test 6 by layer", []string{"raw", "centred"}, [][]LayerPoint{s, s[:2]}, 1.94); err != nil {
		t.Fatal(err)
	}
	svg(t, b.Bytes(), "test 6 by layer", "raw", "centred", "layer")
	if got := runs(s); len(got) != 2 || len(got[0]) != 2 || len(got[1]) != 1 {
		t.Errorf("runs %v, want two, split at layer 2", got)
	}
	if err := Layers(&b, "", []string{"raw"}, [][]LayerPoint{{{0, nan, nan, nan}}}, 0); err == nil {
		t.Error("nothing defined: no error")
	}
	if err := Layers(&b, "", nil, nil, 0); err == nil {
		t.Error("no series: no error")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestFailingWriter(t *testing.T) {
	if err := Association(full{}, scores()); err == nil {
		t.Error("a failing writer: no error")
	}
}
