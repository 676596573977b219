package states

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"assay/model"
	"assay/model/states/items"
	"assay/model/trace"
	"assay/weights"
)

const referenceDir = "../../testdata/reference"

// list is an Input in memory.
type list []items.Item

func (l list) Len() int { return len(l) }
func (l list) Items() iter.Seq2[items.Item, error] {
	return func(yield func(items.Item, error) bool) {
		for _, it := range l {
			if !yield(it, nil) {
				return
			}
		}
	}
}

// golden reads tensors of a reference checkpoint as float64.
func golden(t *testing.T, name string) func(tensor string) []float64 {
	t.Helper()
	ck, err := weights.Open(filepath.Join(referenceDir, name, "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ck.Close() })
	return func(tensor string) []float64 {
		b, info, err := ck.Raw(tensor)
		if err != nil {
			t.Fatal(err)
		}
		n := 1
		for _, d := range info.Shape {
			n *= int(d)
		}
		out := make([]float64, n)
		for i := range out {
			switch len(b) / n {
			case 4:
				out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
			case 8:
				bits := binary.LittleEndian.Uint64(b[8*i:])
				if out[i] = math.Float64frombits(bits); info.DType == "I64" {
					out[i] = float64(int64(bits))
				}
			}
		}
		return out
	}
}

func load(t *testing.T, name string) *model.Model {
	t.Helper()
	ck, err := weights.Open(filepath.Join(referenceDir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ck.Close() })
	m, err := model.Load(context.Background(), ck, model.Options{BatchTokens: 256})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// options are those of a loaded model for ids.
func options(m *model.Model) Options {
	return Options{Positions: m.Info().Positions, Of: trace.Identity{Checkpoint: trace.Checkpoint{Vocab: m.Info().Vocab}}, Sample: 4}
}

// write runs the two passes and opens the file.
func write(t *testing.T, m *model.Model, in Input, o Options) (*trace.States, *Report) {
	t.Helper()
	p, err := Prepare(in, m.Spec(), &o)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "s.safetensors")
	rep, err := Run(context.Background(), m, in, p, RunOptions{Out: out})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(out); err != nil || info.Size() != rep.Bytes {
		t.Fatalf("%v: the file has %d bytes, forecast %d", err, info.Size(), rep.Bytes)
	}
	s, err := trace.OpenStates(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, rep
}

// near fails when got is farther than tol times the root mean square of want.
func near(t *testing.T, what string, got []float32, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	ss := 0.0
	for _, v := range want {
		ss += v * v
	}
	rms := math.Sqrt(ss / float64(len(want)))
	for c, v := range want {
		if d := math.Abs(float64(got[c])-v) / rms; !(d <= tol) {
			t.Fatalf("%s: dimension %d: got %v, want %v (difference %.2g of the rms)", what, c, got[c], v, d)
		}
	}
}

func checkpoints(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(referenceDir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Checkpoints []struct{ Name string } `json:"checkpoints"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range index.Checkpoints {
		ck, err := weights.Open(filepath.Join(referenceDir, c.Name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := model.Describe(ck); err == nil {
			out = append(out, c.Name)
		}
		ck.Close()
	}
	if len(out) < 20 {
		t.Fatalf("%d reference checkpoints run, want more", len(out))
	}
	return out
}

// Mean, last and token rows against the hidden states of transformers 5.23 in
// float64 (testdata/reference/README.md), pooled here in float64.
func TestReference(t *testing.T) {
	for _, name := range checkpoints(t) {
		t.Run(name, func(t *testing.T) {
			g, m := golden(t, name), load(t, name)
			var in list
			for s := range 2 {
				it := items.Item{ID: fmt.Sprint("s", s), Label: fmt.Sprint(s), HasLabel: true}
				for _, v := range g(fmt.Sprintf("ids.%d", s)) {
					it.IDs = append(it.IDs, int32(v))
				}
				in = append(in, it)
			}
			o := options(m)
			o.Taps, o.Pools = []string{model.TapResidPost, model.TapFinalNorm}, []string{"mean", "last", "weighted:linear"}
			s, rep := write(t, m, in, o)
			if rep.Invariance.MaxRel > invarianceBound || rep.Invariance.N == 0 {
				t.Errorf("invariance %+v, want at most %g", rep.Invariance, invarianceBound)
			}
			for v, view := range s.Header().Of.Views {
				for k, l := range view.Layers {
					rows, ok := s.Rows(v, k)
					if !ok {
						t.Fatalf("no rows of %s layer %d", view.Name(), l)
					}
					for i := range in {
						tensor := fmt.Sprintf("hidden.%d.block.%d", i, l-1)
						if l == 0 {
							tensor = fmt.Sprintf("hidden.%d.embed", i)
						}
						if view.Tap == model.TapFinalNorm {
							tensor = fmt.Sprintf("hidden.%d.final", i)
						}
						near(t, view.Name()+" "+tensor, rows.Row(i), pooled(g(tensor), view.Width, view.Pool), 1e-4)
					}
				}
			}
		})
	}
}

// pooled is the definition of the pools, over all rows.
func pooled(x []float64, width int, pool string) []float64 {
	out := make([]float64, width)
	T := len(x) / width
	for t := range T {
		f := 1 / float64(T)
		switch pool {
		case "last":
			if f = 0; t == T-1 {
				f = 1
			}
		case "weighted:linear":
			f = float64(t+1) / (float64(T) * float64(T+1) / 2)
		}
		for c := range width {
			out[c] += f * x[t*width+c]
		}
	}
	return out
}

// documents of various lengths for the tiny reference model.
func documents(n int) list {
	var in list
	for i := range n {
		it := items.Item{ID: fmt.Sprint("d", i), Label: []string{"a", "b"}[i%2], HasLabel: true, Line: i + 1}
		for j := range 3 + 5*(i%7) {
			it.IDs = append(it.IDs, int32((7*i+3*j)%90))
		}
		in = append(in, it)
	}
	return in
}

const tiny = "gpt_neox-parallel"

// Batch mates change nothing: documents in another order and number.
func TestMates(t *testing.T) {
	m := load(t, tiny)
	in := documents(24)
	all, _ := write(t, m, in, options(m))
	few := slices.Clone(in[5:9])
	slices.Reverse(few)
	some, _ := write(t, m, few, options(m))
	for k := range all.Header().Of.Views[0].Layers {
		x, _ := all.Rows(0, k)
		y, ok := some.Rows(0, k)
		if !ok {
			t.Fatal("no rows")
		}
		for i := range few {
			if d := difference(x.Row(8-i), y.Row(i)); d > 1e-5 {
				t.Errorf("layer %d document %s: %.2g of its size off, want at most 1e-5", k, few[i].ID, d)
			}
		}
	}
}

// Windows: each token takes its vector from one window, the one that scores it.
func TestWindows(t *testing.T) {
	m := load(t, tiny)
	in := documents(7)
	o := options(m)
	o.Pools = []string{"mean", "tokens:0,-1"}
	o.Policy.Name, o.Policy.Window, o.Policy.Stride = "hf-stride", 8, 4
	s, _ := write(t, m, in, o)
	rows, _ := s.Rows(0, 2)
	for i, it := range in {
		// By hand: the model on each window alone, rows where they are scored.
		sum := make([]float64, rows.W)
		done := 0
		for begin := 0; done < len(it.IDs); begin += 4 {
			end := min(begin+8, len(it.IDs))
			one := list{{ID: "w", IDs: it.IDs[begin:end]}}
			q := options(m)
			q.Layers = "2"
			var at []byte
			for p := done - begin; p < end-begin; p++ {
				at = fmt.Appendf(at, "%d,", p)
			}
			q.Pools = []string{"tokens:" + string(at[:len(at)-1])}
			x := captured(t, m, one, q)[0]
			for j, v := range x {
				sum[j%rows.W] += float64(v)
			}
			done = end
		}
		for c := range sum {
			sum[c] /= float64(len(it.IDs))
		}
		near(t, "document "+it.ID, rows.Row(i), sum, 1e-5)
	}
}

// captured returns the first view of the first document, by layer.
func captured(t *testing.T, m *model.Model, in list, o Options) [][]float32 {
	t.Helper()
	p, err := Prepare(in, m.Spec(), &o)
	if err != nil {
		t.Fatal(err)
	}
	some := &memory{docs: map[int]*result{}}
	e := &extraction{ctx: context.Background(), m: m, p: p, sink: some, pending: map[int]*pending{}}
	if err := e.run(context.Background(), in.Items()); err != nil {
		t.Fatal(err)
	}
	return some.docs[0].views[0]
}
