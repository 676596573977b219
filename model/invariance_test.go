package model

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"assay/weights"
)

// mixedWindows are windows of every bucket up to the model's positions.
func mixedWindows(n, positions, V int) []Window {
	r := rand.New(rand.NewPCG(11, 4))
	ws := make([]Window, n)
	for i := range ws {
		T := 1 + r.IntN(positions)
		if i%3 == 0 {
			T = min(positions, []int{32, 40, 64, 112, 128, 224, 256}[i/3%7]) // full buckets, no padding
		}
		w := Window{Doc: i}
		for range T {
			w.IDs = append(w.IDs, int32(r.IntN(V)))
			w.Targets = append(w.Targets, int32(r.IntN(V)))
		}
		ws[i] = w
	}
	return ws
}

// TestInvariance: a window's scores do not depend on how many windows there
// are, on its mates, its place, the size of the batch or the number of threads.
// With the vector kernels (AVX-512, AVX2) the bits are equal throughout; without
// them the place of a row in a product matters in the last bit.
func TestInvariance(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	ctx := context.Background()
	dirs := []string{"../testdata/demo/alice"} // width 128, 256 positions: the blocks of queries too
	for _, name := range []string{"gpt_neox-parallel", "llama-llama3", "mistral-sliding", "qwen3"} {
		dirs = append(dirs, filepath.Join(referenceDir, name))
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ck, err := weights.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer ck.Close()
			open := func(threads int) *Model {
				m, err := Load(ctx, ck, Options{BatchTokens: 512, Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(m.Close)
				return m
			}
			m := open(2)
			n := 20
			if dir == dirs[0] {
				n = 64
			}
			ws := mixedWindows(n, m.spec.Positions, m.spec.Vocab)
			base := scoreAll(t, m, ws, ScoreOptions{})
			equal := func(what string, i int, got Scores) {
				t.Helper()
				want := base[i]
				if SIMD {
					if !slices.Equal(got.Logprob, want.Logprob) || !slices.Equal(got.Entropy, want.Entropy) || !slices.Equal(got.SD, want.SD) || !slices.Equal(got.Rank, want.Rank) {
						t.Fatalf("%s: window %d of %d inputs differs", what, i, len(ws[i].IDs))
					}
					return
				}
				for j := range want.Logprob {
					if d := math.Abs(float64(got.Logprob[j]) - float64(want.Logprob[j])); !(d <= InvarianceBound) {
						t.Fatalf("%s: window %d target %d differs by %g", what, i, j, d)
					}
				}
			}
			for i := 0; i < len(ws); i += 13 {
				equal("batch of 1", i, scoreAll(t, m, ws[i:i+1], ScoreOptions{})[0])
			}
			for i := 0; i+7 <= len(ws); i += 21 {
				for j, s := range scoreAll(t, m, ws[i:i+7], ScoreOptions{}) {
					equal("batch of 7", i+j, s)
				}
			}
			shuffled := slices.Clone(ws)
			rand.New(rand.NewPCG(1, 9)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			for i, s := range scoreAll(t, m, shuffled, ScoreOptions{}) {
				equal("shuffled", shuffled[i].Doc, s)
			}
			one := open(1)
			for i, s := range scoreAll(t, one, ws, ScoreOptions{}) {
				equal("one thread", i, s)
			}
			worst := 0.0
			for i, s := range scoreAll(t, one, ws[:16], ScoreOptions{BatchTokens: 2}) {
				for j := range s.Logprob {
					worst = max(worst, math.Abs(float64(s.Logprob[j])-float64(base[i].Logprob[j])))
				}
			}
			if !(worst <= InvarianceBound) {
				t.Errorf("batches of two rows: largest difference %g", worst)
			}
			r, err := one.Invariance(ctx, ws[:12])
			if err != nil || !r.WithinTol || r.N == 0 {
				t.Errorf("Invariance: %+v, %v", r, err)
			}
			t.Logf("two rows: %.1e; sample %.1e", worst, r.MaxAbs)
		})
	}
}

// TestInvarianceSees: the report is of the windows it was given.
func TestInvarianceSees(t *testing.T) {
	m := loadReference(t, "llama-mha", Options{BatchTokens: 64})
	if _, err := m.Invariance(context.Background(), []Window{{IDs: []int32{1, 2}}}); err == nil {
		t.Error("no targets: want an error")
	}
	r, err := m.Invariance(context.Background(), randomWindows(3, 10, 608))
	if err != nil || r.N != 30 {
		t.Errorf("%+v, %v, want 30 targets", r, err)
	}
}

// TestEmissionOrder: windows come out in input order whatever their lengths,
// and each once, also beyond one group of batches.
func TestEmissionOrder(t *testing.T) {
	m := loadReference(t, "llama-mha", Options{BatchTokens: 64})
	n := groupBatches*2 + 37
	ws := mixedWindows(n, 60, 608)
	next, tokens, total := 0, 0, 0
	for _, w := range ws {
		total += len(w.IDs)
	}
	err := m.Score(context.Background(), each(ws), ScoreOptions{LogprobOnly: true, Progress: func(n int) { tokens += n }}, func(w Window, s Scores) error {
		if w.Doc != next || len(s.Logprob) != len(ws[next].Targets) {
			t.Fatalf("window %d emitted as number %d", w.Doc, next)
		}
		next++
		return nil
	})
	if err != nil || next != n || tokens != total {
		t.Fatalf("%d of %d windows, %d of %d tokens, %v", next, n, tokens, total, err)
	}
}

// TestBucket: the smallest of 2^k, 1.25, 1.5 and 1.75 times 2^k that fits.
func TestBucket(t *testing.T) {
	for n, want := range map[int]int{1: 32, 32: 32, 33: 40, 41: 48, 48: 48, 49: 56, 57: 64, 65: 80, 97: 112, 113: 128, 129: 160, 449: 512, 511: 512, 513: 640, 2048: 2048, 2049: 2560} {
		if got := bucket(n); got != want {
			t.Errorf("bucket(%d) = %d, want %d", n, got, want)
		}
	}
}
