package states

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/internal/fault"
	"assay/model"
	"assay/model/score"
	"assay/model/states/items"
	"assay/model/trace"
	"assay/model/trace/window"
)

// failing reads all windows, then fails.
type failing struct{ err error }

func (f failing) Run(_ context.Context, ws iter.Seq2[model.Window, error], _ model.Job) error {
	for _, err := range ws {
		if err != nil {
			return err
		}
	}
	return f.err
}

func (failing) Lens(context.Context, []float32, int, []int32) ([]model.LensReading, error) {
	return nil, nil
}

// stopping cancels the run after some reductions.
type stopping struct {
	*model.Model
	left   int // vectors of the last layer still to come: documents complete in its order, whatever batches run side by side
	cancel context.CancelFunc
}

func (s *stopping) Run(ctx context.Context, ws iter.Seq2[model.Window, error], job model.Job) error {
	reduce := job.Reduce
	job.Reduce = func(w model.Window, t model.Tap, layer int, x model.View) error {
		if layer == len(s.Spec().Layers) {
			s.left--
		}
		if s.left == 0 {
			s.cancel()
			return context.Canceled
		}
		return reduce(w, t, layer, x)
	}
	return s.Model.Run(ctx, ws, job)
}

// An interrupted run resumes; the file is the uninterrupted one but for made.
func TestResume(t *testing.T) {
	m := load(t, tiny)
	in := documents(30)
	o := options(m)
	o.Pools, o.Lens, o.Seed = []string{"mean", "tokens:-1,0"}, 10, 3
	p, err := Prepare(in, m.Spec(), &o)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	whole, broken := filepath.Join(dir, "whole.safetensors"), filepath.Join(dir, "broken.safetensors")
	clock := func() time.Time { return time.Unix(0, 0) }
	if _, err := Run(context.Background(), m, in, p, RunOptions{Out: whole, Now: clock}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err = Run(ctx, &stopping{m, 18, cancel}, in, p, RunOptions{Out: broken, Now: clock})
	if f := fault.As(err); f == nil || f.Class != fault.Interrupted || len(f.Hints) == 0 {
		t.Fatalf("%v, want an interruption with a hint", err)
	}
	if _, err := os.Stat(broken); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("an unfinished file has its final name: %v", err)
	}
	if _, err := Run(context.Background(), m, in, p, RunOptions{Out: broken, Now: clock}); code(err) != "usage" {
		t.Fatalf("started over unfinished work: %v", err)
	}
	rep, err := Run(context.Background(), m, in, p, RunOptions{Out: broken, Now: clock, Resume: true})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Resumed == 0 || rep.Resumed == len(in) {
		t.Errorf("%d documents resumed, want some of %d", rep.Resumed, len(in))
	}
	a, b := read(t, whole), read(t, broken)
	if !bytes.Equal(a, b) {
		t.Error("the resumed file differs from the uninterrupted one")
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The lens at the last layer is what the head says, at the last of the span and up
// to three positions before it.
func TestLens(t *testing.T) {
	m := load(t, tiny)
	in := documents(3)
	o := options(m)
	o.Taps, o.Lens = []string{model.TapMLPOut}, 100
	s, _ := write(t, m, in, o)
	l, err := s.Lens()
	if err != nil {
		t.Fatal(err)
	}
	K := len(l.Layers)
	if K != m.Info().Layers+1 || len(l.Doc) != 3+4+4 {
		t.Fatalf("%d layers, %d positions, want %d and 11", K, len(l.Doc), m.Info().Layers+1)
	}
	scores := make([]model.Scores, len(in))
	ws := func(yield func(model.Window, error) bool) {
		for i, it := range in {
			if !yield(model.Window{Doc: i, IDs: it.IDs[:len(it.IDs)-1], Targets: it.IDs[1:]}, nil) {
				return
			}
		}
	}
	if err := m.Score(context.Background(), ws, model.ScoreOptions{}, func(w model.Window, s model.Scores) error {
		scores[w.Doc] = s
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i, doc := range l.Doc {
		at, last := l.Pos[i], i*K+K-1
		ids := in[doc].IDs
		if int(at) == len(ids)-1 {
			if l.Target[i] != -1 || !math.IsNaN(float64(l.LogProb[last])) || l.Rank[last] != -1 {
				t.Errorf("document %d: end of the text: target %d, logprob %v", doc, l.Target[i], l.LogProb[last])
			}
			continue
		}
		want := scores[doc]
		if d := math.Abs(float64(l.LogProb[last] - want.Logprob[at])); l.Target[i] != ids[at+1] || !(d <= 5e-5) || l.Rank[last] != want.Rank[at] {
			t.Errorf("document %d position %d: logprob off by %g, rank %d, want %d", doc, at, d, l.Rank[last], want.Rank[at])
		}
		if math.Abs(float64(l.Entropy[last]-want.Entropy[at])) > 1e-4 || l.KL[last] != 0 || l.TopID[5*last] != want.ArgmaxID[at] {
			t.Errorf("document %d position %d: entropy %v, kl %v, top %d", doc, at, l.Entropy[last], l.KL[last], l.TopID[5*last])
		}
	}
}

// Cells and statistics reach the file: sums over the cells are sums over the rows.
func TestFile(t *testing.T) {
	m := load(t, tiny)
	in := documents(20)
	o := options(m)
	o.Pools = []string{"mean", "tokens:0"}
	s, _ := write(t, m, in, o)
	c, err := s.Cells(0)
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := s.Rows(0, 1)
	for dim := range rows.W {
		var a, b float64
		for i := range rows.N {
			a += float64(rows.Row(i)[dim])
		}
		for i := range c.Len() {
			b += c.Sum(i, 1)[dim]
		}
		if math.Abs(a-b) > 1e-9*math.Max(1, math.Abs(a)) {
			t.Fatalf("dimension %d: cells add up to %v, rows to %v", dim, b, a)
		}
	}
	ts, err := s.TokenSums(model.TapResidPost, 1)
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.TokenRows(model.TapResidPost, 1)
	if err != nil {
		t.Fatal(err)
	}
	for dim := range rows.W {
		sum := 0.0
		for i := range first.X.N {
			v := float64(first.X.Row(i)[dim])
			sum += v * v
		}
		if math.Abs(sum-ts.Sq[0][dim]) > 1e-9*sum {
			t.Fatalf("dimension %d: squares at first positions %v, want %v", dim, ts.Sq[0][dim], sum)
		}
	}
	b, err := json.Marshal(s.Header().Of)
	if err != nil || !bytes.Contains(b, []byte(`"stats":["resid_post"]`)) {
		t.Errorf("identity %s, %v", b, err)
	}
}

// Mean cosines inside documents are those of the positions' own vectors, also where
// shards are joined.
func TestSamenessFile(t *testing.T) {
	m := load(t, tiny)
	in := documents(8)
	o := options(m)
	o.Sameness, o.Layers = true, "0,last"
	got, _ := write(t, m, in, o)
	same, err := got.Sameness("resid_post")
	if err != nil || len(same) != 8*2 {
		t.Fatalf("%v, %v", same, err)
	}
	o.Sameness, o.Pools = false, []string{"tokens:0,1,2"}
	for i := range in {
		in[i].IDs = in[i].IDs[:min(3, len(in[i].IDs))]
	}
	short := slices.DeleteFunc(slices.Clone(in), func(it items.Item) bool { return len(it.IDs) < 3 })
	rows, _ := write(t, m, short, o)
	o.Sameness, o.Pools = true, []string{"mean"}
	again, _ := write(t, m, short, o)
	if same, err = again.Sameness("resid_post"); err != nil {
		t.Fatal(err)
	}
	for k, l := range again.Header().Of.Views[0].Layers {
		tr, err := rows.TokenRows("resid_post", l)
		if err != nil {
			t.Fatal(err)
		}
		for d := range short {
			want := 0.0
			for _, p := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
				a, b := tr.X.Row(3*d+p[0]), tr.X.Row(3*d+p[1])
				var ab, aa, bb float64
				for c := range a {
					ab += float64(a[c]) * float64(b[c])
					aa += float64(a[c]) * float64(a[c])
					bb += float64(b[c]) * float64(b[c])
				}
				want += ab / math.Sqrt(aa*bb) / 3
			}
			if g := float64(same[d*2+k]); math.Abs(g-want) > 1e-6 {
				t.Fatalf("document %d layer %d: %v, want %v", d, l, g, want)
			}
		}
	}
	if x, err := rows.Sameness("resid_post"); x != nil || err != nil {
		t.Errorf("a file without: %v, %v", x, err)
	}
	o.NoStats = true
	if _, err := Prepare(short, m.Spec(), &o); code(err) != "usage" {
		t.Errorf("without statistics: %v", err)
	}
}

// Vectors of another program: [2, 2, 3] float64 by numpy 2.4
// (np.save of np.arange(12, dtype=float).reshape(2, 2, 3)).
func TestVectors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.npy")
	header := "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2, 3), }"
	for len(header)+11 < 128 {
		header += " "
	}
	b := append([]byte("\x93NUMPY\x01\x00\x76\x00"), header+"\n"...)
	for i := range 12 {
		bits := math.Float64bits(float64(i))
		for k := range 8 {
			b = append(b, byte(bits>>(8*k)))
		}
	}
	put := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(b)
	x, err := OpenVectors(path)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	in := list{{ID: "a", Label: "u", HasLabel: true}, {ID: "b", Label: "v", HasLabel: true}}
	p, err := PrepareVectors(in, x, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "s.safetensors")
	if _, err := RunVectors(context.Background(), x, p, RunOptions{Out: out}); err != nil {
		t.Fatal(err)
	}
	s, err := trace.OpenStates(out)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows, ok := s.Rows(0, 1)
	if want := []float32{3, 4, 5, 9, 10, 11}; !ok || !slices.Equal(rows.Data, want) {
		t.Errorf("layer 1: %v, want %v", rows.Data, want)
	}
	if _, err := PrepareVectors(in[:1], x, &Options{}); code(err) != "labels" {
		t.Errorf("one label for two rows: %v", err)
	}
	for name, bad := range map[string][]byte{
		"short":    b[:len(b)-1],
		"magic":    append([]byte("NUMPYx"), b[6:]...),
		"integers": bytes.Replace(b, []byte("<f8"), []byte("<i8"), 1),
		"fortran":  bytes.Replace(b, []byte("False"), []byte("True "), 1),
		"shape":    bytes.Replace(b, []byte("(2, 2, 3)"), []byte("(12,)    "), 1),
		"huge":     bytes.Replace(b, []byte("(2, 2, 3)"), []byte("(2, 2999)"), 1),
	} {
		put(bad)
		if x, err := OpenVectors(path); code(err) != "malformed" {
			t.Errorf("%s: %v, %v, want malformed", name, x, err)
		}
	}
}

// The trace from the same pass is the trace that scoring alone writes, and the states
// are those without it, also under several windows and after an interruption.
func TestTraced(t *testing.T) {
	m := load(t, tiny)
	in := documents(20)
	in = append(in, items.Item{ID: "single", Label: "a", HasLabel: true, IDs: []int32{5}})
	for _, policy := range []window.Policy{{Name: "full"}, {Name: "hf-stride", Window: 8, Stride: 3}} {
		t.Run(policy.Name, func(t *testing.T) {
			o := options(m)
			o.Policy = policy
			asked := o
			p, err := Prepare(in, m.Spec(), &o)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			clock := func() time.Time { return time.Unix(0, 0) }
			so := score.Options{Positions: o.Positions, Of: o.Of, Out: filepath.Join(dir, "t.jsonl"), Now: clock}
			ro := RunOptions{Out: filepath.Join(dir, "s.safetensors"), Now: clock}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if _, _, err := RunTraced(ctx, &stopping{m, 10, cancel}, in, p, ro, so); fault.As(err) == nil || fault.As(err).Class != fault.Interrupted {
				t.Fatalf("%v, want an interruption", err)
			}
			ro.Resume = true
			if _, _, err := RunTraced(context.Background(), m, in, p, ro, so); err != nil {
				t.Fatal(err)
			}
			alone := RunOptions{Out: filepath.Join(dir, "alone.safetensors"), Now: clock}
			if _, err := Run(context.Background(), m, in, p, alone); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(read(t, ro.Out), read(t, alone.Out)) {
				t.Error("states with a trace differ from states alone")
			}
			want := score.Options{Positions: o.Positions, Of: o.Of, Policy: asked.Policy, Out: filepath.Join(dir, "want.jsonl"), Now: clock}
			survey, err := score.Plan(texts{in}, &want)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := score.Run(context.Background(), m, texts{in}, survey, want); err != nil {
				t.Fatal(err)
			}
			if got, want := lines(t, so.Out), lines(t, want.Out); !slices.Equal(got, want) {
				t.Errorf("the traces differ:\n%.400s\n%.400s", got, want)
			}
		})
	}
}

// lines are those of a trace without the header.
func lines(t *testing.T, path string) []string {
	t.Helper()
	ls := strings.Split(string(read(t, path)), "\n")
	return ls[1:]
}
