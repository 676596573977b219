package trace

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
)

func oneView(width int, layers ...int) []View {
	return []View{{"resid_post", "mean", "text", layers, width}}
}

func planDocs(n int, f func(i int, d *DocInfo)) []DocInfo {
	docs := make([]DocInfo, n)
	for i := range docs {
		docs[i] = DocInfo{ID: fmt.Sprintf("d%03d", i), Tokens: 5, Span: 5, TextSHA: [8]byte{byte(i), byte(i >> 8)}}
		f(i, &docs[i])
	}
	return docs
}

func half(i, n int) string { return []string{"a", "b"}[2*i/n] }

// Expected cells and samples: the rules recomputed in Python 3.11 (hashlib), for
// documents with strata, pairs, families, and one group of labels alone.
func TestStatesPlan(t *testing.T) {
	for _, c := range []struct {
		name          string
		docs          []DocInfo
		cells, sample int
		seed          uint64
		m             int
		unit          string
		units         []int64 // of each cell
		cell          []int32 // of each document
		drawn         []int
	}{
		{"strata", planDocs(24, func(i int, d *DocInfo) {
			if i != 5 {
				d.Label = []string{"safe", "unsafe"}[i/12]
			}
			d.Stratum = fmt.Sprintf("t%d", i%2)
		}), 6, 3, 7, 4, "", slices.Repeat([]int64{1}, 23),
			[]int32{5, 10, 0, 9, 2, -1, 1, 8, 4, 7, 3, 6, 16, 17, 11, 18, 13, 20, 15, 22, 12, 21, 14, 19}, []int{3, 8, 11, 15, 16, 19}},
		{"pairs", planDocs(20, func(i int, d *DocInfo) { d.Label, d.Pair = []string{"b", "a"}[i%2], fmt.Sprintf("p%d", i/2) }), 4, 2, 1, 5, "pair", slices.Repeat([]int64{2}, 10),
			[]int32{8, 3, 5, 0, 6, 1, 7, 2, 9, 4, 5, 0, 6, 1, 8, 3, 7, 2, 9, 4}, []int{6, 7, 16, 17}},
		{"families", planDocs(24, func(i int, d *DocInfo) { d.Label, d.Family = half(i, 24), fmt.Sprintf("f%d", i/3) }), 4, 2, 1, 2, "family", slices.Repeat([]int64{1}, 8),
			[]int32{3, 3, 3, 1, 1, 1, 2, 2, 2, 0, 0, 0, 7, 7, 7, 4, 4, 4, 6, 6, 6, 5, 5, 5}, []int{0, 1, 2, 6, 7, 8, 15, 16, 17, 21, 22, 23}},
		{"labels", planDocs(60, func(i int, d *DocInfo) { d.Label = half(i, 60) }), 6, 2, 1, 10, "", []int64{7, 7, 7, 7, 2, 7, 7, 7, 7, 2},
			[]int32{2, 2, 3, 2, 1, 0, 3, 3, 2, 2, 3, 0, 2, 1, 0, 4, 1, 2, 3, 0, 1, 4, 0, 1, 0, 1, 3, 0, 3, 1, 9, 6, 7, 7, 8, 7, 7, 6, 9, 7, 5, 5, 5, 5, 8, 6, 8, 5, 5, 8, 6, 7, 6, 8, 5, 8, 6, 8, 7, 6}, []int{14, 19, 32, 40}},
	} {
		p, err := NewStatesPlan(c.docs, oneView(4, 0), PlanOptions{Cells: c.cells, Sample: c.sample, Seed: c.seed})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var units []int64
		for _, x := range p.Cells {
			units = append(units, x.Units)
		}
		if p.m != c.m || p.Unit != c.unit || !slices.Equal(units, c.units) || !slices.Equal(p.cell, c.cell) || !slices.Equal(p.Sample, c.drawn) {
			t.Errorf("%s: m %d, units %v of %q, cells %v, sample %v\nwant %d, %v, %v, %v", c.name, p.m, units, p.Unit, p.cell, p.Sample, c.m, c.units, c.cell, c.drawn)
		}
		// Another order of the documents: the same units in the same cells.
		back := slices.Clone(c.docs)
		slices.Reverse(back)
		q, err := NewStatesPlan(back, oneView(4, 0), PlanOptions{Cells: c.cells, Sample: c.sample, Seed: c.seed})
		if err != nil {
			t.Fatal(err)
		}
		for i := range back {
			if j := len(back) - 1 - i; q.cell[i] != p.cell[j] || slices.Contains(q.Sample, i) != slices.Contains(p.Sample, j) {
				t.Errorf("%s: document %s is in another cell or sample when the order changes", c.name, back[i].ID)
			}
		}
	}
}

func TestStatesPlanRefuses(t *testing.T) {
	two := func(f func(d []DocInfo)) []DocInfo {
		d := planDocs(8, func(i int, d *DocInfo) { d.Label = half(i, 8) })
		f(d)
		return d
	}
	for _, c := range []struct {
		name, code, says string
		docs             []DocInfo
		views            []View
		o                PlanOptions
	}{
		{"no documents", "empty", "no documents", nil, oneView(4, 0), PlanOptions{}},
		{"duplicate id", "duplicate-id", "documents 2 and 5", two(func(d []DocInfo) { d[5].ID = d[2].ID }), oneView(4, 0), PlanOptions{}},
		{"empty span", "empty-span", `"d003"`, two(func(d []DocInfo) { d[3].Span = 0 }), oneView(4, 0), PlanOptions{}},
		{"half a pair", "bad-pair", `pair "p"`, two(func(d []DocInfo) { d[0].Pair = "p" }), oneView(4, 0), PlanOptions{}},
		{"pair of one label", "bad-pair", `pair "p"`, two(func(d []DocInfo) { d[0].Pair, d[1].Pair = "p", "p" }), oneView(4, 0), PlanOptions{}},
		{"pair and family", "bad-pair", "and family", two(func(d []DocInfo) { d[0].Pair, d[0].Family = "p", "f" }), oneView(4, 0), PlanOptions{}},
		{"pair in two strata", "bad-pair", "strata", two(func(d []DocInfo) {
			for i := range d {
				d[i].Pair = fmt.Sprint(i % 4)
			}
			d[0].Stratum = "s"
		}), oneView(4, 0), PlanOptions{}},
		{"family of two labels", "family-spans-labels", `family "f"`, two(func(d []DocInfo) { d[0].Family, d[7].Family = "f", "f" }), oneView(4, 0), PlanOptions{}},
		{"too many cells", "too-many-cells", "1024", planDocs(3000, func(i int, d *DocInfo) { d.Label, d.Stratum = half(i, 3000), fmt.Sprint(i%1400) }), oneView(4, 0), PlanOptions{}},
		{"no view", "usage", "no view", two(func([]DocInfo) {}), nil, PlanOptions{}},
		{"layers", "usage", "ascending", two(func([]DocInfo) {}), oneView(4, 3, 1), PlanOptions{}},
		{"width", "usage", "width 0", two(func([]DocInfo) {}), oneView(0, 1), PlanOptions{}},
		{"view twice", "usage", "twice", two(func([]DocInfo) {}), append(oneView(4, 1), oneView(4, 2)...), PlanOptions{}},
		{"statistics", "usage", `tap "mlp_out"`, two(func([]DocInfo) {}), oneView(4, 1), PlanOptions{Stats: []string{"mlp_out"}}},
		{"range", "usage", "[3, 9) of 8", two(func([]DocInfo) {}), oneView(4, 1), PlanOptions{From: 3, To: 9}},
		{"positions", "empty-span", "positions", two(func([]DocInfo) {}), []View{{"resid_post", "tokens:-1", "text", []int{1}, 4}}, PlanOptions{}},
		{"position", "bad-position", "position 5", two(func(d []DocInfo) { d[1].Positions = []int32{5} }), oneView(4, 1), PlanOptions{}},
	} {
		_, err := NewStatesPlan(c.docs, c.views, c.o)
		if f := fault.As(err); f == nil || f.Code != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want code %s and %q", c.name, err, c.code, c.says)
		}
	}
}

// Rows are kept by default up to 4 GiB, and the forecast of the format's big case
// stays within its bounds: 100,000 documents, 33 layers of 4096, 128 cells.
func TestStatesForecast(t *testing.T) {
	docs := planDocs(100000, func(i int, d *DocInfo) { d.ID, d.Label = fmt.Sprintf("d%06d", i), half(i, 100000) })
	var layers []int
	for l := range 33 {
		layers = append(layers, l)
	}
	p, err := NewStatesPlan(docs, oneView(4096, layers...), PlanOptions{Sample: 512, Stats: []string{"resid_post"}})
	if err != nil {
		t.Fatal(err)
	}
	file, memory := p.Bytes()
	if len(p.Keep) != 0 || len(p.Cells) != 128 || len(p.Sample) != 1024 || file > 1e9 || file < 8e8 || memory > 1e9 {
		t.Errorf("%d cells, sample %d, keep %v: file %d, memory %d; want at most 1e9 each", len(p.Cells), len(p.Sample), p.Keep, file, memory)
	}
	// cell sums 2*8 C K w, sample 4*1024 K w: the table of the format page.
	if want := int64(2*8*128*33*4096 + 4*1024*33*4096); file < want {
		t.Errorf("file %d is less than sums and sample, %d", file, want)
	}
	if p, err = NewStatesPlan(docs[:100], oneView(4096, layers...), PlanOptions{}); err != nil || len(p.Keep) != 33 {
		t.Errorf("100 documents: keep %v, %v", p.Keep, err)
	}
}

// theta recomputes the debiased separation from cells alone.
func theta(c *Cells, layer int) float64 {
	type group struct {
		n, sq float64
		sum   []float64
	}
	g := [2]group{}
	k := c.Layers()
	for i := range c.Len() {
		l := c.Info[i].Label
		if g[l].sum == nil {
			g[l].sum = make([]float64, c.Width())
		}
		g[l].n += float64(c.N(i))
		g[l].sq += c.Q(i)[layer*k+layer]
		for j, v := range c.Sum(i, layer) {
			g[l].sum[j] += v
		}
	}
	var w [2]float64
	d2 := 0.0
	for l := range g {
		s2 := 0.0
		for _, v := range g[l].sum {
			s2 += v * v
		}
		w[l] = g[l].sq - s2/g[l].n
	}
	for j := range g[0].sum {
		d := g[0].sum[j]/g[0].n - g[1].sum[j]/g[1].n
		d2 += d * d
	}
	d2 -= w[0]/(g[0].n*(g[0].n-1)) + w[1]/(g[1].n*(g[1].n-1))
	return 2 * d2 / (w[0]/(g[0].n-1) + w[1]/(g[1].n-1))
}

// Separation from cells, values of the latent vectors (numpy 2.4.6 on the rows): G1,
// and T10 moved by 2048 in every coordinate, where float64 sums keep 1e-9.
func TestStatesTheta(t *testing.T) {
	run := func(x [][]float32) float64 {
		docs := planDocs(len(x), func(i int, d *DocInfo) { d.Label = half(i, len(x)) })
		p, err := NewStatesPlan(docs, oneView(len(x[0]), 3), PlanOptions{Cells: 4})
		if err != nil {
			t.Fatal(err)
		}
		d := newMem()
		w, err := createStates("x", p, StatesHeader{}, StatesOptions{disk: d})
		if err != nil {
			t.Fatal(err)
		}
		for i := range x {
			if err := w.Add(i, 0, x[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		s := openTest(t, d, "x")
		defer s.Close()
		c, err := s.Cells(0)
		if err != nil {
			t.Fatal(err)
		}
		return theta(c, 0)
	}
	var t10 [][]float32
	for i := range 10 {
		t10 = append(t10, []float32{float32(7*i%11 + 2048), float32(3*i%5 + 2048), float32(5*i%7 + 2048)})
	}
	for i := range 10 {
		t10 = append(t10, []float32{float32(4*i%9 + 6 + 2048), float32(2*i%7 + 2 + 2048), float32(6*i%11 + 2048)})
	}
	for name, c := range map[string]struct{ got, want float64 }{
		"G1":         {run(g1(1, 200, 64, .75)), 0.10036124314225639},
		"T10 + 2048": {run(t10), 1.2659699209788426},
	} {
		if math.Abs(c.got-c.want) > 1e-9*c.want {
			t.Errorf("%s: theta %v, want %v", name, c.got, c.want)
		}
	}
}

// What a writer refuses.
func TestStatesAddRefuses(t *testing.T) {
	docs := planDocs(4, func(i int, d *DocInfo) { d.Label = half(i, 4) })
	p, err := NewStatesPlan(docs, oneView(2, 0, 1), PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d := newMem()
	w, err := createStates("x", p, StatesHeader{}, StatesOptions{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	ok := [][]float32{{1, 2}, {3, 4}}
	for _, c := range []struct {
		name, says string
		err        error
	}{
		{"nan", `nonfinite: document "d001": NaN at layer 1 of view resid_post.mean, row 0, dimension 0`, w.Add(1, 0, [][]float32{{1, 2}, {float32(math.NaN()), 1}})},
		{"inf", "+Inf at layer 0", w.Add(1, 0, [][]float32{{1, float32(math.Inf(1))}, {1, 1}})},
		{"layers", "1 layers of view", w.Add(1, 0, ok[:1])},
		{"width", "1 values at layer 1", w.Add(1, 0, [][]float32{{1, 2}, {3}})},
		{"document", "document 4", w.Add(4, 0, ok)},
		{"view", "view 1", w.Add(1, 1, ok)},
		{"statistics", "no statistics", w.AddStats(1, "resid_post", TokenStats{})},
		{"projections", "no projections", w.AddProjections(1, 0, nil)},
		{"lens", "lens readings", w.AddLens(1, make([]LensReading, 1))},
	} {
		want := strings.TrimPrefix(c.says, "nonfinite: ")
		if f := fault.As(c.err); f == nil || !strings.Contains(c.err.Error(), want) || want != c.says && f.Code != "nonfinite" {
			t.Errorf("%s: %v, want %q", c.name, c.err, c.says)
		}
	}
	if err := w.Add(1, 0, ok); err != nil {
		t.Error(err)
	}
	if err := w.Add(1, 0, ok); err == nil || !strings.Contains(err.Error(), "stored already") {
		t.Errorf("twice: %v", err)
	}
	err = w.Close()
	if f := fault.As(err); f == nil || f.Class != fault.Retry || !strings.Contains(err.Error(), `1 of 4 documents stored, the first missing is 0 "d000"`) {
		t.Errorf("Close: %v", err)
	}
	if _, err := createStates("x", p, StatesHeader{}, StatesOptions{disk: d}); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("over unfinished work: %v", err)
	}
	h := StatesHeader{}
	h.Of.Precision = "other"
	if _, err := resumeStates("x", p, h, StatesOptions{disk: d}); fault.As(err) == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), "belongs to run") {
		t.Errorf("resume of another run: %v", err)
	}
}

// What a merge refuses, with the field and both values.
func TestStatesMergeRefuses(t *testing.T) {
	s := testSet(20, PlanOptions{Cells: 4, Sample: 3, Seed: 1})
	d := newMem()
	for i, r := range [][2]int{{0, 8}, {8, 14}, {14, 20}, {7, 14}} {
		s.write(t, d, fmt.Sprint(i), r[0], r[1], 1, gen.New(1))
	}
	other := s
	other.o.Seed = 2
	other.write(t, d, "seed", 8, 14, 1, gen.New(1))
	for _, c := range []struct {
		parts []string
		says  string
	}{
		{[]string{"0", "2"}, "no shard holds documents [8, 14)"},
		{[]string{"0", "1"}, "no shard holds documents [14, 20)"},
		{[]string{"1", "2"}, "no shard holds documents [0, 8)"},
		{[]string{"0", "1", "1", "2"}, "1 holds documents [8, 14), which another shard holds to 14"},
		{[]string{"0", "3", "2"}, "3 holds documents [7, 14)"},
		{[]string{"0", "seed", "2"}, "of.plan."},
		{nil, "no shards"},
	} {
		err := mergeStates("m", c.parts, StatesOptions{disk: d})
		if f := fault.As(err); f == nil || c.parts != nil && f.Code != "merge-mismatch" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", c.parts, err, c.says)
		}
	}
	if d.files["m"] != nil || d.files["m.partial"] != nil {
		t.Error("a failed merge leaves a file")
	}
}

// Pairs lose nothing: 2^60 + 1 and 2^60 + 3 in two shards, less 2^61, is 4, and the
// sum of values of very different size does not depend on order or shards.
func TestStatesPairs(t *testing.T) {
	a, b := newPairs(1), newPairs(1)
	for _, x := range []float32{1 << 60, 1} {
		a.addVector([]float32{x})
	}
	for _, x := range []float32{1 << 60, 3} {
		b.addVector([]float32{x})
	}
	a.merge(b)
	a.addVector([]float32{-1 << 61})
	if got := a.round(nil)[0]; got != 4 {
		t.Errorf("sum %v, want 4", got)
	}
	g := gen.New(6)
	var x []float32
	for range 3000 {
		x = append(x, float32(g.Z()*math.Pow(2, float64(g.Below(40)))))
	}
	var want float64
	for round := range 20 {
		shards := []pairs{newPairs(1), newPairs(1), newPairs(1)}
		for i := range x {
			j := g.Below(i + 1)
			x[i], x[j] = x[j], x[i]
		}
		for _, v := range x {
			shards[g.Below(3)].addVector([]float32{v})
		}
		shards[2].merge(shards[0])
		shards[2].merge(shards[1])
		got := shards[2].round(nil)[0]
		if round == 0 {
			want = got
		}
		if got != want {
			t.Fatalf("another order gives %v, want %v", got, want)
		}
	}
}
