package units

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"assay/internal/fault"
	"assay/latent/geom"
	"assay/latent/internal/mem"
)

// By hand: z 1.5, l 1, gamma 3: (1.5-1)/(1-1/3) = .75.
func TestMCP(t *testing.T) {
	for _, c := range []struct{ z, l, g, want float64 }{
		{1.5, 1, 3, .75}, {-1.5, 1, 3, -.75}, {1, 1, 3, 0}, {.2, 1, 3, 0}, {3, 1, 3, 3}, {-4, 1, 3, -4},
	} {
		if got := MCP(c.z, c.l, c.g); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("MCP(%v, %v, %v) = %v, want %v", c.z, c.l, c.g, got, c.want)
		}
	}
}

// planted has two units of 40 that carry the label, and noise.
func planted(shift float64, seed uint64) mem.Set {
	r := rand.New(rand.NewPCG(seed, 7))
	s := mem.Set{Name: "planted", Layers: []geom.Dense{geom.NewDense(120, 40)}, Rows: true, First: 1}
	for i := range 120 {
		s.Label = append(s.Label, []string{"a", "b"}[i%2])
		row := s.Layers[0].Row(i)
		for j := range row {
			row[j] = r.NormFloat64()
		}
		row[3] += shift * float64(i%2)
		row[17] -= shift * float64(i%2)
	}
	return s
}

func TestSparseFindsPlantedUnits(t *testing.T) {
	s := mem.New(planted(2, 1))
	o := DefaultSparse()
	sc, err := newScreen(s, ScreenOptions{Layers: "all", Folds: o.Folds, Seed: o.Seed})
	if err != nil {
		t.Fatal(err)
	}
	p, err := sc.sparse(0, o)
	if err != nil {
		t.Fatal(err)
	}
	// Two normals 2 sd apart in two units: the best AUROC is Phi(2 sqrt 2 / sqrt 2) = .977.
	if p.cv.AUROC < .93 || p.cv.AUROC > 1 {
		t.Errorf("AUROC %v, want near .977", p.cv.AUROC)
	}
	if p.picked[3] < 4 || p.picked[17] < 4 || p.mean > 6 {
		t.Errorf("picked in folds %v, %v on average; want units 3 and 17 and few others", p.picked, p.mean)
	}
	r, err := Sparse(context.Background(), s, o)
	if err != nil || *r.Estimates[0].Value != p.cv.AUROC || r.Verdict.Tier != "C" || len(r.P) > 0 {
		t.Errorf("result %+v, %v; want the same AUROC, tier C, no p-value", r.Estimates, err)
	}
}

// Screening and fitting inside folds leaves nothing where there is nothing: the
// mean over 20 data sets is .5 within three standard errors. Screening outside
// the folds would give .7 and more.
func TestSparseWithoutSignal(t *testing.T) {
	mean, sq := 0.0, 0.0
	const runs = 20
	o := DefaultSparse()
	o.Screen = 10
	for s := range uint64(runs) {
		r, err := Sparse(context.Background(), mem.New(planted(0, 100+s)), o)
		if err != nil {
			t.Fatal(err)
		}
		v := *r.Estimates[0].Value
		mean += v / runs
		sq += v * v / runs
	}
	se := math.Sqrt((sq - mean*mean) / (runs - 1))
	if math.Abs(mean-.5) > 3*se+.005 {
		t.Errorf("mean AUROC %.3f (se %.3f), want .5", mean, se)
	}
}

func TestSparseRefuses(t *testing.T) {
	s := mem.New(planted(2, 1))
	for name, edit := range map[string]func(*SparseOptions){
		"screen": func(o *SparseOptions) { o.Screen = 0 }, "gamma": func(o *SparseOptions) { o.Gamma = 1 },
		"folds": func(o *SparseOptions) { o.Folds = 1 }, "level": func(o *SparseOptions) { o.Level = 1 }, "group": func(o *SparseOptions) { o.Groups = []string{"a", "z"} },
	} {
		o := DefaultSparse()
		edit(&o)
		if _, err := Sparse(context.Background(), s, o); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
			t.Errorf("%s: %v, want a usage error", name, err)
		}
	}
	set := planted(2, 1)
	set.Layers[0].Row(5)[2] = math.NaN()
	if _, err := Sparse(context.Background(), mem.New(set), DefaultSparse()); fault.As(err) == nil || fault.As(err).Class != fault.Input {
		t.Errorf("NaN: %v, want an input error", err)
	}
}

func TestDirectionFile(t *testing.T) {
	d := Direction{Vector: []float64{.6, -.8}, View: "resid_post.mean", Layer: 3, Groups: []string{"a", "b"}, Method: "means", Run: "r", Text: "t", Checkpoint: "c", Rows: 9}
	var b bytes.Buffer
	if err := WriteDirection(&b, d); err != nil {
		t.Fatal(err)
	}
	good := b.Bytes()
	got, err := ReadDirection(bytes.NewReader(good))
	if err != nil || got.Layer != 3 || got.Rows != 9 || !slices.Equal(got.Groups, d.Groups) || math.Abs(got.Vector[1]+.8) > 1e-7 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "cut": good[:len(good)-1], "longer": append(slices.Clone(good), 0), "header": good[:20],
		"length": append(bytes.Repeat([]byte{0xff}, 8), good[8:]...), "schema": bytes.Replace(good, []byte("assay.direction/1"), []byte("assay.direction/2"), 1),
		"zero": append(slices.Clone(good[:len(good)-8]), make([]byte, 8)...),
	} {
		if _, err := ReadDirection(bytes.NewReader(bad)); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: %v, want an input error", name, err)
		}
	}
}

// Any bytes: a direction of unit length or an error.
func FuzzReadDirection(f *testing.F) {
	var b bytes.Buffer
	if err := WriteDirection(&b, Direction{Vector: []float64{3, 4}, Groups: []string{"a", "b"}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, x []byte) {
		d, err := ReadDirection(bytes.NewReader(x))
		if err != nil {
			return
		}
		n := 0.0
		for _, v := range d.Vector {
			n += v * v
		}
		if math.Abs(n-1) > 1e-6 {
			t.Errorf("squared length %v", n)
		}
	})
}
