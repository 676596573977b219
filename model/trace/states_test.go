package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/model/trace/window"
)

// g1 is data set G1 of the latent vectors: n rows of width w, exact in float32.
func g1(seed uint64, n, w int, shift float64) [][]float32 {
	g := gen.New(seed)
	u := func() float64 { return float64(g.Uint64() >> 44) }
	x := make([][]float32, n)
	for i := range x {
		x[i] = make([]float32, w)
		for j := range x[i] {
			h := (u()+u()+u()+u())/(1<<20) - 2
			v := h * math.Pow(2, -float64(j%4))
			if i >= n/2 && j == 5 {
				v += shift
			}
			x[i][j] = float32(v)
		}
	}
	return x
}

// set is the input of a states file in tests.
type set struct {
	docs   []DocInfo
	views  []View
	o      PlanOptions
	layers [][][]float32 // layer, document, dimension
}

// testSet makes n documents of three layers under two views, token rows, statistics,
// lens and projections.
func testSet(n int, o PlanOptions) set {
	s := set{o: o}
	for l := range 3 {
		x := g1(uint64(l+1), n, 16, .75)
		for i := range x {
			for j := range x[i] {
				x[i][j] *= float32(int(1) << l)
			}
		}
		s.layers = append(s.layers, x)
	}
	clear(s.layers[1][3]) // a zero vector
	for i := range n {
		d := DocInfo{ID: fmt.Sprintf("d%03d", i), Label: []string{"safe", "unsafe"}[2*i/n], Stratum: fmt.Sprintf("topic %d", i%3), Tokens: int32(5 + i%7), Span: int32(3 + i%3), Bytes: int32(20 + i)}
		d.TextSHA[0], d.TextSHA[1] = byte(i), byte(i>>8)
		for p := range i % 3 {
			d.Positions = append(d.Positions, int32(p))
		}
		d.Positions = append(d.Positions, d.Tokens-1)
		if i%11 == 10 {
			d.Label = ""
		}
		s.docs = append(s.docs, d)
		for k := range i % 2 {
			s.o.Lens = append(s.o.Lens, LensPosition{i, int32(k), int32(i) - 1})
		}
	}
	s.views = []View{
		{"resid_post", "mean", "text", []int{0, 4, 9}, 16},
		{"resid_post", "last", "text", []int{4, 9}, 16},
		{"resid_post", "tokens:-1", "text", []int{9}, 16},
	}
	s.o.Stats, s.o.LensLayers, s.o.Directions = []string{"resid_post"}, []int{0, 9}, 0
	return s
}

func (s set) header() StatesHeader {
	return StatesHeader{Of: StatesIdentity{Checkpoint: Checkpoint{Weights: "sha256:aa"}, Text: "sha256:bb", Policy: window.Policy{Name: "full", Window: 32}, Precision: "f32"}}
}

// add stores what is missing of document i.
func (s set) add(w *StatesWriter, i int) error {
	x := func(l ...int) (out [][]float32) {
		for _, k := range l {
			out = append(out, s.layers[k][i])
		}
		return out
	}
	rows := slices.Repeat(s.layers[2][i], len(s.docs[i].Positions))
	for v, y := range [][][]float32{x(0, 1, 2), x(1, 2), {rows}} {
		if err := w.Add(i, v, y); err != nil {
			return err
		}
	}
	if err := w.AddStats(i, "resid_post", s.stats(i)); err != nil {
		return err
	}
	var r []LensReading
	for _, p := range s.o.Lens {
		if p.Doc == i {
			f := slices.Repeat([]float32{-float32(i) / 7}, 2)
			r = append(r, LensReading{f, f, f, []int32{1, int32(i)}, make([]int32, 10), make([]float32, 10)})
		}
	}
	if len(r) > 0 {
		return w.AddLens(i, r)
	}
	return nil
}

func (s set) stats(i int) TokenStats {
	var t TokenStats
	for r := range 2 {
		for l := range 3 {
			sq, top, n6 := make([]float64, 16), make([]float32, 16), make([]int32, 16)
			for j, v := range s.layers[l][i] {
				sq[j] = float64(v) * float64(v) * float64(r+1)
				top[j] = float32(math.Abs(float64(v)))
				if top[j] >= 6 {
					n6[j] = 1
				}
			}
			t.Sq[r], t.Max[r], t.N6[r] = append(t.Sq[r], sq), append(t.Max[r], top), append(t.N6[r], n6)
		}
	}
	t.Peak, t.Pos, t.Dim, t.Massive = []float32{1, 2, float32(i)}, []int32{0, 0, 1}, []int32{3, 4, 5}, []int32{0, 0, 0}
	return t
}

func (s set) plan(t testing.TB, from, to int) *StatesPlan {
	t.Helper()
	o := s.o
	o.From, o.To = from, to
	p, err := NewStatesPlan(s.docs, s.views, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// write makes a file of the documents [from, to) in an order, on some goroutines.
func (s set) write(t testing.TB, d *mem, path string, from, to, threads int, g *gen.Stream) {
	t.Helper()
	w, err := createStates(path, s.plan(t, from, to), s.header(), StatesOptions{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	order := make([]int, to-from)
	for i := range order {
		j := g.Below(i + 1)
		order[i], order[j] = order[j], from+i
	}
	var wg sync.WaitGroup
	errs := make([]error, threads)
	for k := range threads {
		wg.Go(func() {
			for i := k; i < len(order) && errs[k] == nil; i += threads {
				errs[k] = s.add(w, order[i])
			}
		})
	}
	wg.Wait()
	for _, err := range append(errs, w.Close()) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func openTest(t testing.TB, d disk, path string) *States {
	t.Helper()
	s, err := OpenStatesWith(path, StatesOptions{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Any number of shards, threads, and orders of documents and shards give the same
// bytes, and the plan forecasts their number.
func TestStatesSameBytes(t *testing.T) {
	for _, o := range []PlanOptions{{Cells: 12, Sample: 5, Keep: []int{4}, Seed: 1}, {Cells: 4, Sample: 3, Keep: []int{}, BF16: true, Seed: 2}} {
		s := testSet(70, o)
		var want []byte
		for _, cuts := range [][]int{{70}, {20, 70}, {1, 9, 30, 31, 44, 60, 70}} {
			for _, threads := range []int{1, 8} {
				d := newMem()
				g := gen.New(uint64(len(cuts) + threads))
				var shards []string
				from := 0
				for i, to := range cuts {
					path := fmt.Sprintf("s%d", i)
					s.write(t, d, path, from, to, threads, g)
					f, _ := s.plan(t, from, to).Bytes()
					if n := int64(len(d.files[path].b)); n != f {
						t.Fatalf("shard [%d, %d): %d bytes, forecast %d", from, to, n, f)
					}
					shards, from = append([]string{path}, shards...), to
				}
				path := "s0"
				if len(cuts) > 1 {
					path = "m"
					if err := mergeStates(path, shards, StatesOptions{disk: d}); err != nil {
						t.Fatal(err)
					}
				}
				got := d.files[path].b
				if want == nil {
					want = got
				}
				if !bytes.Equal(got, want) {
					i := 0
					for got[i] == want[i] {
						i++
					}
					t.Fatalf("%d shards, %d threads: %d bytes, want %d; the first difference is at %d", len(cuts), threads, len(got), len(want), i)
				}
				openTest(t, d, path).Close()
			}
		}
	}
}

// The file holds what the vectors give: sums, products, norms and rows recomputed
// plainly, to 1e-9 relative.
func TestStatesContent(t *testing.T) {
	s := testSet(70, PlanOptions{Cells: 12, Sample: 5, Keep: []int{4}, Seed: 1})
	d := newMem()
	s.write(t, d, "x", 0, 70, 1, gen.New(1))
	f := openTest(t, d, "x")
	defer f.Close()
	docs := f.Docs()
	h := f.Header()
	if len(docs.ID) != 70 || docs.ID[69] != "d069" || docs.Tokens[8] != 6 || docs.Bytes[3] != 23 || docs.TextSHA[7][0] != 7 || docs.Label[10] != -1 || docs.Cell[10] != -1 ||
		!slices.Equal(h.Labels, []string{"safe", "unsafe"}) || len(h.Strata) != 3 || !h.Complete || h.Counts.Docs != 70 || h.Counts.Used != 64 || h.Counts.Zero != 2 {
		t.Errorf("documents %+v, header %+v", docs.Label, h)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*(1+math.Abs(want)) {
			t.Fatalf("%s = %v, want %v", what, got, want)
		}
	}
	for view, layers := range [][]int{{0, 1, 2}, {1, 2}} {
		c, err := f.Cells(view)
		if err != nil {
			t.Fatal(err)
		}
		norms, err := f.SqNorm(view)
		if err != nil {
			t.Fatal(err)
		}
		for cell := range c.Len() {
			n := int64(0)
			sum, usum := make([]float64, 16), make([]float64, 16)
			q, u := 0.0, 0.0
			last := len(layers) - 1
			for i := range 70 {
				if docs.Cell[i] != int32(cell) {
					continue
				}
				n++
				a, b := s.layers[layers[0]][i], s.layers[layers[last]][i]
				na, nb := norm(a), norm(b)
				for j := range a {
					sum[j] += float64(a[j])
					if na > 0 {
						usum[j] += float64(a[j]) / na
					}
					q += float64(a[j]) * float64(b[j])
					if na > 0 && nb > 0 {
						u += float64(a[j]) * float64(b[j]) / (na * nb)
					}
				}
			}
			if n != c.N(cell) || docsOf(docs, cell, c.Info[cell]) != n {
				t.Fatalf("cell %d: %d documents, want %d", cell, c.N(cell), n)
			}
			for j := range sum {
				near("sum", c.Sum(cell, 0)[j], sum[j])
				near("usum", c.USum(cell, 0)[j], usum[j])
			}
			near("q", c.Q(cell)[last], q)
			near("v", c.V(cell)[last*len(layers)], u)
			near("v diagonal", c.V(cell)[0], float64(n-c.Zero(cell, 0)))
		}
		for i := range 70 {
			near("squared norm", float64(norms[i*len(layers)]), float64(float32(norm(s.layers[layers[0]][i])*norm(s.layers[layers[0]][i]))))
		}
	}
	s.checkRows(t, f)
	dim, err := f.DimSq(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	for i, l := range docs.Label {
		if l == 1 {
			want += float64(s.layers[2][i][7]) * float64(s.layers[2][i][7])
		}
	}
	near("dim.sq", dim[16+7], want)
}

func docsOf(d Docs, cell int, info CellInfo) int64 {
	n := int64(0)
	for i, c := range d.Cell {
		if int(c) == cell && d.Label[i] == info.Label && d.Stratum[i] == info.Stratum {
			n++
		}
	}
	return n
}

func norm(x []float32) float64 {
	s := 0.0
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return math.Sqrt(s)
}

// checkRows compares rows, sample, token rows, statistics and lens.
func (s set) checkRows(t *testing.T, f *States) {
	t.Helper()
	m, ok := f.Rows(1, 0)
	if !ok || m.N != 70 || !slices.Equal(m.Row(33), s.layers[1][33]) {
		t.Errorf("rows: %v, %d", ok, m.N)
	}
	if _, ok := f.Rows(0, 0); ok {
		t.Error("rows of a layer that was not kept")
	}
	x, of, err := f.Sample(0, 2)
	if err != nil || len(of) != 10 {
		t.Fatalf("sample of %d, %v; want 5 units of 2 labels", len(of), err)
	}
	for i, doc := range of {
		if !slices.Equal(x.Row(i), s.layers[2][doc]) {
			t.Errorf("sample row %d is not document %d", i, doc)
		}
	}
	tok, err := f.TokenRows("resid_post", 9)
	if err != nil || tok.Offsets[70] != int64(len(tok.Pos)) || !slices.Equal(tok.X.Row(int(tok.Offsets[14])+1), s.layers[2][14]) || tok.Pos[tok.Offsets[14]+2] != s.docs[14].Tokens-1 {
		t.Errorf("token rows: %v", err)
	}
	sums, err := f.TokenSums("resid_post", 4)
	sq, top := 0.0, float32(0)
	for i := range 70 {
		st := s.stats(i)
		sq += st.Sq[1][1][2]
		top = max(top, st.Max[0][1][2])
	}
	if err != nil || math.Abs(sums.Sq[1][2]-sq) > 1e-9*sq || sums.Max[0][2] != top {
		t.Errorf("token sums %v, %v; want %v, %v", sums.Sq[1][2], sums.Max[0][2], sq, top)
	}
	peaks, err := f.Peaks("resid_post")
	if err != nil || peaks.Max[3*41+2] != 41 || peaks.Dim[1] != 4 {
		t.Errorf("peaks: %v", err)
	}
	lens, err := f.Lens()
	if err != nil || len(lens.Doc) != 35 || lens.Doc[3] != 7 || lens.Target[3] != 6 || lens.Rank[2*3+1] != 7 || lens.KL[2*3] != -1 {
		t.Errorf("lens: %v", err)
	}
}

// Killed at every operation of a run that saves after every few documents, and
// resumed: the same bytes as without a kill.
func TestStatesKilled(t *testing.T) {
	s := testSet(20, PlanOptions{Cells: 4, Sample: 3, Keep: []int{4}, Seed: 1})
	run := func(w *StatesWriter) error {
		for i := range 20 {
			if !w.Has(i, 2) {
				if err := s.add(w, i); err != nil {
					return err
				}
			}
			if i%6 == 5 {
				if err := w.Save(); err != nil {
					return err
				}
			}
		}
		return w.Close()
	}
	whole := newMem()
	w, err := createStates("x", s.plan(t, 0, 20), s.header(), StatesOptions{disk: whole})
	if err == nil {
		err = run(w)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := whole.files["x"].b
	for k := 1; k < whole.ops; k += 7 {
		d := newMem()
		d.left = k
		for attempt := range 3 {
			w, err := resumeStates("x", s.plan(t, 0, 20), s.header(), StatesOptions{disk: d})
			if err == nil {
				err = run(w)
			}
			if err == nil {
				break
			}
			if f := fault.As(err); f == nil || f.Class != fault.Retry || attempt == 2 {
				t.Fatalf("operation %d: %v", k, err)
			}
			if b := d.files["x"]; b != nil && !bytes.Equal(b.b, want) {
				t.Fatalf("operation %d: a wrong file under the final name", k)
			}
			d.left = -1
		}
		if b := d.files["x"]; b == nil || !bytes.Equal(b.b, want) {
			t.Fatalf("operation %d: the resumed file differs", k)
		}
	}
}

// One flipped bit anywhere is reported on opening; a shard or unfinished file is
// refused with what to do.
func TestStatesDamage(t *testing.T) {
	s := testSet(20, PlanOptions{Cells: 4, Sample: 3, Seed: 1})
	d := newMem()
	s.write(t, d, "x", 0, 20, 1, gen.New(1))
	whole := d.files["x"].b
	want, err := json.Marshal(openTest(t, d, "x").Header())
	if err != nil {
		t.Fatal(err)
	}
	g := gen.New(5)
	for range 1000 {
		b := slices.Clone(whole)
		pos := g.Below(len(b))
		b[pos] ^= 1 << g.Below(8)
		d.put("y", b)
		f, err := OpenStatesWith("y", StatesOptions{disk: d})
		if err == nil {
			// Only padding and made are not hashed.
			h := f.Header()
			h.Made = StatesMade{}
			got, err := json.Marshal(h)
			if err != nil || string(got) != string(want) || pos >= int(f.s.data) {
				t.Fatalf("flip at %d of %d is not noticed", pos, len(b))
			}
		} else if fault.As(err) == nil {
			t.Fatalf("flip at %d: error without a class: %v", pos, err)
		}
	}
	for n := 0; n < len(whole); n += 97 {
		d.put("y", whole[:n])
		if _, err := OpenStatesWith("y", StatesOptions{disk: d}); fault.As(err) == nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	s.write(t, d, "s", 3, 9, 1, gen.New(1))
	_, err = OpenStatesWith("s", StatesOptions{disk: d})
	if f := fault.As(err); f == nil || f.Code != "incomplete" || !strings.Contains(f.Hints[0], "merge") {
		t.Errorf("a shard: %v", err)
	}
	if _, err := createStates("p", s.plan(t, 0, 20), s.header(), StatesOptions{disk: d}); err != nil {
		t.Fatal(err)
	}
	if _, err = OpenStatesWith("p.partial", StatesOptions{disk: d, NoVerify: true}); fault.As(err) == nil || !strings.Contains(fault.As(err).Hints[0], "--resume") {
		t.Errorf("an unfinished file: %v", err)
	}
}

// Expected bits: torch 2.15, float32 to bfloat16.
func TestStatesBFloat(t *testing.T) {
	in := []float32{1, 1.00390625, 1.01171875, -3.14159, 65504, 1e-40, 3.4e38, .1}
	var got []uint16
	for _, v := range in {
		got = append(got, bfloat(v))
	}
	if want := ([]uint16{0x3f80, 0x3f80, 0x3f82, 0xc049, 0x4780, 0x1, 0x7f80, 0x3dcd}); !slices.Equal(got, want) {
		t.Errorf("%#x, want %#x", got, want)
	}
	s := testSet(12, PlanOptions{Cells: 2, Sample: 2, Keep: []int{9}, BF16: true, Seed: 1})
	d := newMem()
	s.write(t, d, "x", 0, 12, 1, gen.New(1))
	f := openTest(t, d, "x")
	defer f.Close()
	m, ok := f.Rows(0, 2)
	if !ok || math.Float32bits(m.Row(7)[3])>>16 != uint32(bfloat(s.layers[2][7][3])) || math.Float32bits(m.Row(7)[3])&0xffff != 0 {
		t.Errorf("row %v of %v", m.Row(7)[3], s.layers[2][7][3])
	}
	x, of, err := f.Sample(0, 2)
	if err != nil || !slices.Equal(x.Row(0), m.Row(of[0])) {
		t.Errorf("sample and rows differ: %v", err)
	}
}

func TestStatesProjections(t *testing.T) {
	docs := planDocs(6, func(i int, d *DocInfo) { d.Label = half(i, 6) })
	d := newMem()
	for _, r := range [][2]int{{0, 6}, {0, 2}, {2, 6}} {
		p, err := NewStatesPlan(docs, oneView(3, 1, 2), PlanOptions{Directions: 2, From: r[0], To: r[1]})
		if err != nil {
			t.Fatal(err)
		}
		w, err := createStates(fmt.Sprint(r), p, StatesHeader{}, StatesOptions{disk: d})
		if err != nil {
			t.Fatal(err)
		}
		for i := r[0]; i < r[1]; i++ {
			v := float32(i)
			if err := w.Add(i, 0, [][]float32{{v, 0, 1}, {v, 1, 0}}); err != nil {
				t.Fatal(err)
			}
			if err := w.AddProjections(i, 0, []float32{v, 2 * v, 3 * v, 4 * v}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := mergeStates("m", []string{"[2 6]", "[0 2]"}, StatesOptions{disk: d}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(d.files["m"].b, d.files["[0 6]"].b) {
		t.Error("the merged file differs")
	}
	f := openTest(t, d, "m")
	defer f.Close()
	x, err := f.Projections(0)
	if err != nil || len(x) != 24 || x[4*4+3] != 16 {
		t.Errorf("projections %v, %v", x, err)
	}
	if _, ok := f.Rows(0, 0); ok {
		t.Error("rows are kept beside projections")
	}
}
