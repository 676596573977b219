package trace

import (
	"fmt"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
)

// FuzzOpenStates reads everything that a hostile states file offers.
func FuzzOpenStates(f *testing.F) {
	s := testSet(8, PlanOptions{Cells: 4, Sample: 2, Seed: 1})
	d := newMem()
	s.write(f, d, "x", 0, 8, 1, gen.New(1))
	s.write(f, d, "s", 2, 5, 1, gen.New(1))
	f.Add(d.files["x"].b)
	f.Add(d.files["s"].b)
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newMem()
		d.put("x", b)
		class := func(err error) {
			if err != nil && fault.As(err) == nil {
				t.Fatalf("error without a class: %v", err)
			}
		}
		x, err := openStates("x", StatesOptions{disk: d, NoVerify: true})
		class(err)
		if err != nil {
			return
		}
		defer x.Close()
		for v, view := range x.Header().Of.Views {
			_, err := x.Cells(v)
			class(err)
			_, err = x.SqNorm(v)
			class(err)
			_, err = x.Projections(v)
			class(err)
			for k, n := range view.Layers {
				x.Rows(v, k)
				_, _, err := x.Sample(v, k)
				class(err)
				_, err = x.DimSq(v, k)
				class(err)
				_, err = x.TokenSums(view.Tap, n)
				class(err)
				_, err = x.TokenRows(view.Tap, n)
				class(err)
			}
			_, err = x.Peaks(view.Tap)
			class(err)
		}
		_, err = x.Lens()
		class(err)
		class(mergeStates("m", []string{"x", "x"}, StatesOptions{disk: d, NoVerify: true}))
	})
}

// BenchmarkStatesAdd is the cost of the reducers for one document.
func BenchmarkStatesAdd(b *testing.B) {
	for _, c := range []struct{ layers, width int }{{7, 512}, {33, 4096}} {
		b.Run(fmt.Sprintf("%dx%d", c.layers, c.width), func(b *testing.B) {
			var layers []int
			var x [][]float32
			row := g1(1, 2, c.width, 0)[0]
			for l := range c.layers {
				layers = append(layers, l)
				x = append(x, row)
			}
			const n = 2000
			docs := planDocs(n, func(i int, d *DocInfo) { d.Label = half(i, n) })
			p, err := NewStatesPlan(docs, oneView(c.width, layers...), PlanOptions{Keep: []int{}, Cells: 8})
			if err != nil {
				b.Fatal(err)
			}
			w, err := createStates("x", p, StatesHeader{}, StatesOptions{disk: newMem()})
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				clear(w.done[0])
				if err := w.Add(i%n, 0, x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
