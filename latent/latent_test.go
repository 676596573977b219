package latent_test

import (
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/mem"
)

func TestPick(t *testing.T) {
	v := latent.View{Tap: "resid_post", Pool: "mean", Layers: []int{0, 4, 8, 16}}
	for list, want := range map[string][]int{
		"": {0, 1, 2, 3}, "all": {0, 1, 2, 3}, "8": {2}, "16, 0": {0, 3}, "last": {3}, "4,4": {1},
		"25%": {1}, "50%,last": {2, 3}, "100%": {3},
	} {
		if got, err := v.Pick(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("Pick(%q) = %v, %v; want %v", list, got, err, want)
		}
	}
	for _, list := range []string{"5", "30%", "first", "-1", "1e3", ","} {
		if _, err := v.Pick(list); fault.As(err) == nil || fault.As(err).Class != fault.Usage || !strings.Contains(err.Error(), "[0 4 8 16]") {
			t.Errorf("Pick(%q): %v, want a usage error that lists the layers", list, err)
		}
	}
}

func TestView(t *testing.T) {
	in := latent.Info{Path: "s", Views: []latent.View{{Tap: "final_norm", Pool: "last"}, {Tap: "resid_post", Pool: "mean"}}}
	for name, want := range map[string]int{"": 1, "final_norm.last": 0, "resid_post.mean": 1} {
		if got, err := in.View(name); err != nil || got != want {
			t.Errorf("View(%q) = %d, %v; want %d", name, got, err, want)
		}
	}
	if got, err := (latent.Info{Views: in.Views[:1]}).View(""); err != nil || got != 0 {
		t.Errorf("the only view: %d, %v", got, err)
	}
	if _, err := (latent.Info{}).View(""); fault.As(err) == nil || fault.As(err).Class != fault.Input {
		t.Errorf("no view: %v, want an input error", err)
	}
}

func set() mem.Set {
	s := mem.Set{Name: "s", Layers: []geom.Dense{geom.NewDense(12, 2)}, Rows: true, Block: 2}
	for i := range 12 {
		s.Label = append(s.Label, []string{"a", "b", ""}[i%3])
		s.Stratum = append(s.Stratum, []string{"x", "y"}[i/6])
		s.Layers[0].Row(i)[0] = float64(i)
	}
	return s
}

func TestDesign(t *testing.T) {
	s := mem.New(set())
	d, err := latent.NewDesign(s, []string{"b", "a"}, true)
	if err != nil {
		t.Fatal(err)
	}
	// Order of groups is the caller's; documents without a label are in no group.
	if l, st, ok := d.Of(1); !ok || l != 0 || st != 0 {
		t.Errorf("document 1: label %d, stratum %d, %v; want 0, 0, true", l, st, ok)
	}
	if _, _, ok := d.Of(2); ok {
		t.Error("a document without a label is in the design")
	}
	if _, st, _ := d.Of(9); st != 1 || len(d.Strata) != 2 {
		t.Errorf("document 9: stratum %d of %v", st, d.Strata)
	}
	units, rows := d.Counts()
	if !slices.Equal(units, []int{4, 4}) || !slices.Equal(rows, []int{4, 4}) {
		t.Errorf("%v units, %v rows, want 4 and 4", units, rows)
	}
	x, _ := s.Rows(0, 0)
	tab, err := d.RowTable(x, nil, 1)
	if err != nil || len(tab.Unit) != 8 || tab.Labels != 2 || tab.Strata != 2 {
		t.Errorf("table %+v, %v", tab, err)
	}
	c, _ := s.Cells(0)
	ct, err := d.CellTable(c, []float64{1}, false, 1)
	if err != nil || len(ct.Unit) != 4 {
		t.Errorf("cell table: %d units, %v; want one cell per label and stratum", len(ct.Unit), err)
	}
	if p := d.Pooled(); p.Stratified() || !d.Stratified() {
		t.Error("Pooled changed the wrong design")
	}
}

func TestDesignRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		edit   func(*mem.Set)
		groups []string
		strata bool
		class  fault.Class
		says   string
	}{
		{"unknown group", nil, []string{"a", "z"}, false, fault.Usage, "a, b"},
		{"twice", nil, []string{"a", "a"}, false, fault.Usage, "twice"},
		{"one group", nil, []string{"a"}, false, fault.Input, "at least 2"},
		{"one document", func(s *mem.Set) { s.Label = strings.Split("a b a a a a a a a a a a", " ") }, nil, false, fault.Input, "a 11, b 1"},
		{"no labels", func(s *mem.Set) { s.Label = make([]string, 12) }, nil, false, fault.Input, "at least 2"},
		{"one stratum each", func(s *mem.Set) { s.Label = strings.Split("a a a a a a b b b b b b", " ") }, nil, true, fault.Input, "x: a 6, b 0; y: a 0, b 6"},
		{"pair over strata", func(s *mem.Set) {
			s.Label = strings.Split("a a a a a a b b b b b b", " ")
			s.Units = latent.UnitPair
			for i := range 12 {
				s.Unit = append(s.Unit, i%6)
			}
			s.Stratum = strings.Split("x x x y y y x x y y y y", " ")
		}, nil, true, fault.Input, `strata "x" and "y"`},
	} {
		s := set()
		if c.edit != nil {
			c.edit(&s)
		}
		_, err := latent.NewDesign(mem.New(s), c.groups, c.strata)
		if f := fault.As(err); f == nil || f.Class != c.class || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want class %d and %q", c.name, err, c.class, c.says)
		}
	}
}

func TestSame(t *testing.T) {
	a := mem.New(set())
	if err := latent.Same(a, mem.New(set())); err != nil {
		t.Errorf("equal sets: %v", err)
	}
	for name, edit := range map[string]func(*mem.States){
		"text":   func(s *mem.States) { s.Inf.Text = "other" },
		"plan":   func(s *mem.States) { s.Inf.Plan = "other" },
		"strata": func(s *mem.States) { s.Inf.Strata = []string{"x", "z"} },
		"units":  func(s *mem.States) { s.Inf.Units = latent.UnitFamily },
		"id":     func(s *mem.States) { s.D.ID[1] = "z" },
		"label":  func(s *mem.States) { s.D.Label[1] = 0 },
		"fewer":  func(s *mem.States) { s.D.ID = s.D.ID[:11] },
	} {
		b := mem.New(set())
		edit(b)
		if err := latent.Same(a, b); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s differs: %v, want an input error", name, err)
		}
	}
}
