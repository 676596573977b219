package palimpsest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/probes"
)

// figures of a result whose rows carry steps and whose reference is a checkpoint.
func plotted(t *testing.T) probes.Result {
	pos, s, r := generate(2000, 3, .05)
	a := sampleOf(pos, s, r)
	for _, p := range pos {
		a.Step = append(a.Step, 1+p/16)
	}
	return mustQuery(t, a, Options{RefBasis: []string{"checkpoint:0"}, Perm: 99, Series: true})
}

func TestPlot(t *testing.T) {
	r := plotted(t)
	// From its JSON the figure must come out the same: it uses nothing else.
	j, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var back probes.Result
	if err := json.Unmarshal(j, &back); err != nil {
		t.Fatal(err)
	}
	for _, f := range Figures() {
		var a, b, img bytes.Buffer
		for _, e := range []error{Plot(&a, r, f, "svg"), Plot(&b, back, f, "svg"), Plot(&img, r, f, "png")} {
			if e != nil {
				t.Fatal(e)
			}
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s: the figure of the JSON differs", f)
		}
		if strings.Contains(a.String(), "NaN") || !strings.Contains(a.String(), "<svg") {
			t.Errorf("%s: not a clean SVG", f)
		}
		im, err := png.Decode(&img)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for y := im.Bounds().Min.Y; y < im.Bounds().Max.Y; y += 3 {
			for x := im.Bounds().Min.X; x < im.Bounds().Max.X; x += 3 {
				if r, g, b, _ := im.At(x, y).RGBA(); r != g || g != b {
					t.Fatalf("%s: colour at %d,%d: figures must be readable in grey", f, x, y)
				}
			}
		}
		if dir := os.Getenv("ASSAY_PLOTS"); dir != "" {
			var p bytes.Buffer
			if err := Plot(&p, r, f, "png"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(fmt.Sprintf("%s/%s.png", dir, f), p.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var forest bytes.Buffer
	if err := Forest(&forest, []probes.Result{r, back}, "svg"); err != nil || !strings.Contains(forest.String(), "suspect") {
		t.Errorf("forest: %v", err)
	}
	for _, bad := range [][2]string{{"bins", "gif"}, {"pie", "svg"}} {
		if err := Plot(&forest, r, bad[0], bad[1]); err == nil || fault.As(err).Class != fault.Usage {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := Plot(&forest, probes.Result{}, "bins", "svg"); err == nil {
		t.Error("a result without series was drawn")
	}
}

// Every number of the CSV is the number of the JSON, digit by digit.
func TestCSVEqualsJSON(t *testing.T) {
	r := plotted(t)
	for _, s := range r.Series {
		var b bytes.Buffer
		if err := WriteCSV(&b, s); err != nil {
			t.Fatal(err)
		}
		rec, err := csv.NewReader(&b).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range s.Rows {
			off := 0
			if s.Labels != nil {
				off = 1
			}
			for k, v := range row {
				j, _ := json.Marshal(v)
				if rec[i+1][k+off] != string(j) {
					t.Fatalf("%s row %d column %s: CSV %s, JSON %s", s.Name, i, s.Columns[k], rec[i+1][k+off], j)
				}
			}
		}
		if len(rec) != len(s.Rows)+1 || !strings.Contains(rec[0][len(rec[0])-1], "["+s.Units[len(s.Units)-1]+"]") {
			t.Errorf("%s: header %v, %d rows", s.Name, rec[0], len(rec)-1)
		}
	}
}
