package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"assay/internal/fault"
	"assay/weights"
)

// everything runs a model on ws and returns all scores and all hidden states.
func everything(t *testing.T, m *Model, ws []Window) ([]Scores, map[string][]float32) {
	t.Helper()
	var scores []Scores
	states := map[string][]float32{}
	var taps []Tap
	for _, name := range Taps() {
		if _, _, err := m.TapLayers(name); err == nil { // mixtures of experts lack one
			taps = append(taps, Tap{Name: name})
		}
	}
	err := m.Run(context.Background(), each(ws), Job{Score: &ScoreOptions{Moments: true, TopK: 3}, Taps: taps,
		Emit: func(w Window, s Scores) error {
			if w.Doc != len(scores) {
				t.Errorf("window %d emitted, want %d", w.Doc, len(scores))
			}
			scores = append(scores, s)
			return nil
		},
		Reduce: func(w Window, tap Tap, layer int, x View) error {
			states[fmt.Sprintf("%d %s %d", w.Doc, tap.Name, layer)] = slices.Clone(x.X)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return scores, states
}

// same compares two scores bit for bit.
func same(a, b Scores) bool {
	f := func(a, b []float32) bool {
		return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
	}
	return f(a.Logprob, b.Logprob) && f(a.Entropy, b.Entropy) && f(a.SD, b.SD) && f(a.ArgmaxLogprob, b.ArgmaxLogprob) &&
		f(a.UMean, b.UMean) && f(a.USD, b.USD) && slices.Equal(a.Rank, b.Rank) && slices.Equal(a.ArgmaxID, b.ArgmaxID) &&
		slices.EqualFunc(a.TopID, b.TopID, slices.Equal) && slices.EqualFunc(a.TopLogprob, b.TopLogprob, f)
}

// TestStreamEqualsArgs: layer by layer, with groups of a few windows, hidden states
// in a scratch file and layers read ahead or not, every score and every hidden
// state is that of weights in memory, bit for bit, for every family.
func TestStreamEqualsArgs(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for i, c := range referenceCheckpoints(t) {
		t.Run(c.Name, func(t *testing.T) {
			ws := readExpected(t, c.Name).windows()[:2] // two buckets: two groups
			want, wantStates := everything(t, loadReference(t, c.Name, Options{BatchTokens: 64, Weights: WeightsArgs}), ws)
			m := loadReference(t, c.Name, Options{BatchTokens: 64, Weights: WeightsStream, Memory: 4 << 30})
			m.streamGroup, m.streamKeep, m.streamAhead = 32, new(int64), i%2 == 0
			if m.Weights() != WeightsStream || m.layers != nil || m.headMatrix != nil {
				t.Fatalf("weights %s, %d layers in memory", m.Weights(), len(m.layers))
			}
			got, states := everything(t, m, ws)
			for s := range want {
				if !same(got[s], want[s]) {
					t.Errorf("window %d: scores differ", s)
				}
			}
			if len(states) != len(wantStates) {
				t.Errorf("%d states, want %d", len(states), len(wantStates))
			}
			for k, x := range wantStates {
				if !slices.Equal(states[k], x) {
					t.Errorf("state %s differs", k)
				}
			}
			if m.headMatrix != nil || m.eng.execs["logits"] != nil {
				t.Error("the output matrix stays in memory")
			}
		})
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("scratch files are left: %v, %v", left, err)
	}
}

// TestStreamFromOtherSources: a checkpoint that cannot give its matrices in place
// (here: random weights that are made on demand) runs layer by layer all the same.
func TestStreamFromOtherSources(t *testing.T) {
	src, err := Synthetic([]byte(strings.NewReplacer(`:50304`, `:300`, `:512`, `:64`, `:2048`, `:128`).Replace(Shapes()["gpt_neox-70m"])), 1)
	if err != nil {
		t.Fatal(err)
	}
	ws := randomWindows(3, 20, 300)
	var all [2][]Scores
	for i, mode := range []string{WeightsArgs, WeightsStream} {
		m, err := Load(context.Background(), src, Options{BatchTokens: 64, Weights: mode})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		all[i] = scoreAll(t, m, ws, ScoreOptions{})
	}
	if !slices.EqualFunc(all[0], all[1], same) {
		t.Error("scores differ")
	}
}

// TestStreamLens: the lens reads states while layers run one after the other.
func TestStreamLens(t *testing.T) {
	var all [2][]LensReading
	for i, mode := range []string{WeightsArgs, WeightsStream} {
		m := loadReference(t, "gemma2", Options{BatchTokens: 64, Weights: mode})
		L := len(m.spec.Layers)
		x := map[int][]float32{}
		err := m.States(context.Background(), each(readExpected(t, "gemma2").windows()), []Tap{{Name: TapResidPost}}, func(w Window, _ Tap, layer int, v View) error {
			if x[w.Doc] = append(x[w.Doc], v.Row(v.Rows-1)...); layer < L {
				return nil
			}
			rs, err := m.Lens(context.Background(), x[w.Doc], L+1, []int32{5})
			if w.Doc == 1 {
				all[i] = rs
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all[1]) < 3 || fmt.Sprint(all[0]) != fmt.Sprint(all[1]) {
		t.Errorf("readings %v, want %v", all[1], all[0])
	}
}

// TestStreamProgress: every token is counted once, in parts.
func TestStreamProgress(t *testing.T) {
	m := loadReference(t, "qwen3", Options{BatchTokens: 64, Weights: WeightsStream})
	ws := readExpected(t, "qwen3").windows()
	want, got, calls := 0, 0, 0
	for _, w := range ws {
		want += len(w.IDs)
	}
	scoreAll(t, m, ws, ScoreOptions{Progress: func(n int) { got += n; calls++ }})
	if got != want || calls < 2*len(m.spec.Layers) {
		t.Errorf("%d tokens in %d calls, want %d in one for each batch and layer", got, calls, want)
	}
}

// TestStreamCancel: an interruption between two layers ends the run with the
// cause, and nothing is left running.
func TestStreamCancel(t *testing.T) {
	m := loadReference(t, "qwen3", Options{BatchTokens: 64, Weights: WeightsStream})
	ctx, cancel := context.WithCancel(context.Background())
	var once sync.Once
	err := m.States(ctx, each(readExpected(t, "qwen3").windows()), []Tap{{Name: TapResidPost}}, func(_ Window, _ Tap, layer int, _ View) error {
		if layer == 1 {
			once.Do(cancel)
		}
		if layer > 2 {
			t.Errorf("layer %d ran after the interruption", layer)
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	stop := errors.New("stop")
	err = m.States(context.Background(), each(readExpected(t, "qwen3").windows()), []Tap{{Name: TapResidPost}}, func(Window, Tap, int, View) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want the reducer's", err)
	}
}

// TestStreamChosen: auto takes the first of args, wide16 and stream that fits; what
// does not fit in any way is refused; a file that changes is noticed.
func TestStreamChosen(t *testing.T) {
	m := loadReference(t, "llama-llama3", Options{BatchTokens: 64})
	need := map[string]int64{}
	m.inflight, m.limit = 1, 0
	for _, mode := range []string{WeightsArgs, WeightsWide16, WeightsStream} {
		m.half, m.stream, m.streamAhead = mode == WeightsWide16, mode == WeightsStream, false
		f := m.Forecast(m.usual())
		need[mode] = f.Total() - f.States*(100+gcPercent)/100
	}
	if !(need[WeightsArgs] > need[WeightsWide16] && need[WeightsWide16] > need[WeightsStream]) {
		t.Fatalf("forecasts %v", need)
	}
	for _, mode := range []string{WeightsArgs, WeightsWide16, WeightsStream} {
		m.half, m.stream, m.limit, m.inflight = false, false, need[mode], 1
		if err := m.admit(); err != nil || m.Weights() != mode {
			t.Errorf("%d bytes: %s, %v; want %s", need[mode], m.Weights(), err, mode)
		}
	}
	m.half, m.stream, m.limit = false, false, need[WeightsStream]-1
	if f := fault.As(m.admit()); f == nil || f.Code != "memory" {
		t.Error("a byte less than stream needs: want an error")
	}
}

func TestStreamChanged(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(referenceDir, "qwen3"))); err != nil {
		t.Fatal(err)
	}
	ck, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	m, err := Load(context.Background(), ck, Options{BatchTokens: 64, Weights: WeightsStream})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Chtimes(f, time.Now(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	err = m.Score(context.Background(), each(randomWindows(1, 8, 50)), ScoreOptions{}, func(Window, Scores) error { return nil })
	if f := fault.As(err); f == nil || f.Class != fault.Retry || f.Code != "changed" {
		t.Errorf("error %v, want class Retry, code changed", err)
	}
}

// TestStreamForecast: a model of 7 billion weights in 16 bits needs less than 8 GiB layer
// by layer, on up to 8 cores.
func TestStreamForecast(t *testing.T) {
	src, err := Synthetic([]byte(Shapes()["llama-7b"]), 1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Describe(half{src})
	if err != nil {
		t.Fatal(err)
	}
	for _, inflight := range []int{1, 2, 4, 8} {
		m := &Model{spec: d.Spec, opts: Options{BatchTokens: DefaultBatchTokens}, stream: true, limit: 8 << 30, inflight: inflight,
			source: &reader{ctx: context.Background(), src: half{src}, inv: d.inventory}}
		if err := m.admit(); err != nil || m.Forecast(512).Total() > 8<<30 || m.Weights() != WeightsStream {
			t.Errorf("%d batches at once: %v, %+v", inflight, err, m.Forecast(512))
		}
		if inflight == 2 && (!m.streamAhead || m.inflight != 2 || m.Forecast(512).States < 4*int64(minStreamTokens)*4096) {
			t.Errorf("two cores: ahead %t, %d batches, %+v; want all of it to fit", m.streamAhead, m.inflight, m.Forecast(512))
		}
	}
}

// half gives a source's matrices in place, as a file in 16 bits does; their values are
// never read.
type half struct{ Source }

func (h half) Raw(name string) ([]byte, weights.Info, error) {
	all := slices.Collect(h.Tensors())
	i := slices.IndexFunc(all, func(t weights.Info) bool { return t.Name == name })
	info := all[i]
	info.DType = weights.BF16
	return []byte{0, 0}, info, nil
}

// TestStreamGGUF: blocks of quantised values, rows in another order and transposed
// matrices are read as where the weights are in memory.
func TestStreamGGUF(t *testing.T) {
	for _, name := range []string{"llama-q8_0", "llama", "gpt2", "mixtral", "falcon-gqa"} {
		ck, err := weights.Open(filepath.Join(ggufDir, name+".gguf"))
		if err != nil {
			t.Fatal(err)
		}
		defer ck.Close()
		var all [2][]Scores
		for i, mode := range []string{WeightsArgs, WeightsStream} {
			m, err := Load(context.Background(), ck, Options{BatchTokens: 64, Weights: mode})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			all[i] = scoreAll(t, m, randomWindows(2, 20, m.spec.Vocab), ScoreOptions{})
		}
		if !slices.EqualFunc(all[0], all[1], same) {
			t.Errorf("%s: scores differ", name)
		}
	}
}
