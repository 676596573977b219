package model

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// scoreLogits runs scoreStage on rows of logits.
func scoreLogits(t *testing.T, x [][]float32, target []int32, want scoreWants) [][]float32 {
	t.Helper()
	b, err := openBackend("go")
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(b)
	defer e.close()
	R, V := len(x), len(x[0])
	in, err := e.f32([]int{R, V / blockOf(V), blockOf(V)}, func(dst []float32) error {
		for i := range x {
			copy(dst[i*V:], x[i])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := e.i32([]int{R, 1}, func(dst []int32) error { copy(dst, target); return nil })
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.run("test", func(in []*node) []*node {
		out := scoreStage(want)([]*node{in[0], graph.ReduceMax(in[0], 2), in[1]})
		for i, n := range out {
			out[i] = graph.ConvertDType(n, in[0].DType())
		}
		return out
	}, in, ids)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]float32
	for _, o := range out {
		v, err := tensors.CopyFlatData[float32](o)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, v)
	}
	return rows
}

// TestToyRows: five next-token distributions over four tokens, values computed
// with numpy 2.4 in float64.
func TestToyRows(t *testing.T) {
	p := [][]float64{{.70, .10, .15, .05}, {.30, .30, .20, .20}, {.02, .90, .05, .03}, {.40, .30, .20, .10}, {.01, .01, .97, .01}}
	ids := []int32{0, 3, 2, 1, 2}
	want := map[string][]float64{
		"logprob": {-.356674944, -1.609437912, -2.995732274, -1.203972804, -.030459207},
		"umean":   {-1.888028074, -1.406705358, -2.629918423, -1.508071635, -3.461492441},
		"usd":     {1.117137889, .234095389, 1.724287421, .601167612, 2.287355489},
		"entropy": {.914285581, 1.366158848, .428048275, 1.279854226, .167700537},
		"sd":      {.878580574, .198636525, .974906637, .425348900, .780387233},
		"rank":    {0, 2, 1, 1, 0}, "argmax": {0, 0, 1, 0, 2},
		"argmax logprob": {-.356674944, -1.203972804, -.105360516, -.916290732, -.030459207},
	}
	for _, shift := range []float64{0, 30, -50} { // a constant on all logits changes nothing
		x := make([][]float32, len(p))
		for i := range p {
			for _, v := range p[i] {
				x[i] = append(x[i], float32(math.Log(v)+shift))
			}
		}
		out := scoreLogits(t, x, ids, scoreWants{stats: true, moments: true, vocab: 4})
		tol := 2e-6 + 1e-7*math.Abs(shift)
		for k, name := range []string{"logprob", "umean", "usd", "entropy", "sd", "rank", "argmax", "argmax logprob"} {
			for i, w := range want[name] {
				if got := float64(out[k][i]); math.Abs(got-w) > tol {
					t.Errorf("shift %g: row %d: %s %v, want %v", shift, i, name, got, w)
				}
			}
		}
	}
}

// TestFlatRows: sd where the one-pass formula cancels. One logit 1e-3 above the
// other 50303: sd = 1e-3 sqrt(p (1-p)) = 4.4609e-6 (mpmath 1.3). All equal, or
// all mass on one entry: 0.
func TestFlatRows(t *testing.T) {
	const V = 50304
	for _, base := range []float32{0, 12, -90} {
		x := [][]float32{make([]float32, V), make([]float32, V), make([]float32, V)}
		for i := range V {
			x[0][i], x[1][i], x[2][i] = base, base, base-200
		}
		x[0][777] = base + 1e-3
		x[2][40000] = base
		out := scoreLogits(t, x, []int32{777, 5, 40000}, scoreWants{stats: true, vocab: V})
		lp, ent, sd, rank, arg := out[0], out[1], out[2], out[3], out[4]
		lnV := math.Log(V)
		for i, want := range [][4]float64{{-(lnV - 1e-3), lnV, 4.4609e-6, 777}, {-lnV, lnV, 0, 0}, {0, 0, 0, 40000}} {
			// float32 logits near 90 are 7.6e-6 apart, so 1e-3 is known to 1 %.
			// Adding 50304 equal numbers in float32 is the worst that a sum can meet.
			if math.Abs(float64(lp[i])-want[0]) > tolLogprob || math.Abs(float64(ent[i])-want[1]) > tolLogprob || !(math.Abs(float64(sd[i])-want[2]) < 1e-6) || sd[i] < 0 {
				t.Errorf("base %g row %d: logprob %v entropy %v sd %v, want %v", base, i, lp[i], ent[i], sd[i], want)
			}
			if float64(arg[i]) != want[3] || rank[i] != 0 {
				t.Errorf("base %g row %d: argmax %v rank %v, want %v and 0", base, i, arg[i], rank[i], want[3])
			}
		}
	}
}

// TestTies: the smallest id of equal maxima, ranks count strictly greater
// entries, in and across the blocks that argmax looks at.
func TestTies(t *testing.T) {
	const V = 1024 // blocks of 32
	x := make([][]float32, 4)
	for i := range x {
		x[i] = make([]float32, V)
	}
	x[0][40], x[0][41], x[0][900] = 3, 3, 3
	x[1][1023], x[1][31] = 2, 2
	// row 2: all equal
	x[3][500], x[3][501], x[3][502] = 5, 4, 4
	out := scoreLogits(t, x, []int32{900, 0, 1000, 502}, scoreWants{stats: true, vocab: V})
	for i, want := range [][2]float32{{0, 40}, {2, 31}, {0, 0}, {1, 500}} {
		if out[3][i] != want[0] || out[4][i] != want[1] {
			t.Errorf("row %d: rank %v argmax %v, want %v", i, out[3][i], out[4][i], want)
		}
	}
	if out[0][0] != out[5][0] {
		t.Errorf("rank 0: logprob %v differs from argmax logprob %v", out[0][0], out[5][0])
	}
}

// TestOptionalColumns: top-k, plain moments and a masked vocabulary against the
// scalar pass.
func TestOptionalColumns(t *testing.T) {
	const name, vocab, k = "llama-linear-bias", 300, 7
	m := loadReference(t, name, Options{BatchTokens: 64})
	ck := openReference(t, name)
	d, err := Describe(ck)
	if err != nil {
		t.Fatal(err)
	}
	ref := newScalar(t, d.family, d.Spec, ck)
	w := randomWindows(1, 20, vocab)[0]
	_, logits := ref.forward(w.IDs)
	for _, masked := range []bool{false, true} {
		o := ScoreOptions{Moments: true, TopK: k}
		n := m.spec.Vocab
		if masked {
			o.Vocab, n = vocab, vocab
		}
		got := scoreAll(t, m, []Window{w}, o)[0]
		for i, id := range w.Targets {
			x := logits[i][:n]
			lp, ent, sd, rank := rowScores(x, id)
			all := make([]float64, n)
			mean := 0.0
			for v := range x {
				all[v], _, _, _ = rowScores(x, int32(v))
				mean += all[v] / float64(n)
			}
			ss := 0.0
			for _, v := range all {
				ss += (v - mean) * (v - mean)
			}
			usd := math.Sqrt(ss / float64(n-1))
			for j, p := range [][2]float64{{float64(got.Logprob[i]), lp}, {float64(got.Entropy[i]), ent}, {float64(got.SD[i]), sd}, {float64(got.UMean[i]), mean}, {float64(got.USD[i]), usd}, {float64(got.Rank[i]), float64(rank)}} {
				if math.Abs(p[0]-p[1]) > 5e-5 {
					t.Fatalf("masked %t target %d: column %d: %v, want %v", masked, i, j, p[0], p[1])
				}
			}
			order := make([]int32, n)
			for v := range order {
				order[v] = int32(v)
			}
			slices.SortStableFunc(order, func(a, b int32) int {
				if x[a] > x[b] {
					return -1
				}
				if x[a] < x[b] {
					return 1
				}
				return 0
			})
			if !slices.Equal(got.TopID[i], order[:k]) {
				t.Fatalf("target %d: top %v, want %v", i, got.TopID[i], order[:k])
			}
			for j, v := range order[:k] {
				if math.Abs(float64(got.TopLogprob[i][j])-all[v]) > 5e-5 {
					t.Fatalf("target %d: top %d: %v, want %v", i, j, got.TopLogprob[i][j], all[v])
				}
			}
			if got.TopID[i][0] != got.ArgmaxID[i] || got.TopLogprob[i][0] != got.ArgmaxLogprob[i] {
				t.Fatalf("target %d: first of the top is not the argmax", i)
			}
		}
	}
	w.Targets[3] = vocab // masked out
	err = m.Score(context.Background(), each([]Window{w}), ScoreOptions{Vocab: vocab}, func(Window, Scores) error { return nil })
	if err == nil {
		t.Error("a masked target: want an error")
	}
}

// TestLargest: the selection of the largest k against sorting, with ties.
func TestLargest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n, k := 1+r.IntN(50), 1+r.IntN(12)
		x := make([]float32, n)
		order := make([]int32, n)
		for i := range x {
			x[i], order[i] = float32(r.IntN(8)), int32(i)
		}
		slices.SortStableFunc(order, func(a, b int32) int { return int(x[b]) - int(x[a]) })
		if got := largest(x, k); !slices.Equal(got, order[:min(k, n)]) {
			t.Fatalf("largest(%v, %d) = %v, want %v", x, k, got, order[:min(k, n)])
		}
	}
}

// TestRowsOption: targets predicted from chosen rows have the scores of the
// same rows in a window that scores all.
func TestRowsOption(t *testing.T) {
	m := loadReference(t, "qwen3", Options{BatchTokens: 64})
	w := randomWindows(1, 12, 320)[0]
	all := scoreAll(t, m, []Window{w}, ScoreOptions{})[0]
	some := Window{IDs: w.IDs, Targets: []int32{w.Targets[9], w.Targets[2]}, Rows: []int32{9, 2}}
	tail := Window{IDs: w.IDs, Targets: w.Targets[7:]}
	none := Window{IDs: w.IDs}
	got := scoreAll(t, m, []Window{some, tail, none}, ScoreOptions{})
	for j, r := range []int{9, 2} {
		if got[0].Logprob[j] != all.Logprob[r] || got[0].Rank[j] != all.Rank[r] {
			t.Errorf("row %d: %v, want %v", r, got[0].Logprob[j], all.Logprob[r])
		}
	}
	if !slices.Equal(got[1].Logprob, all.Logprob[7:]) {
		t.Errorf("tail: %v, want %v", got[1].Logprob, all.Logprob[7:])
	}
	if len(got[2].Logprob) != 0 {
		t.Errorf("no targets: %v", got[2])
	}
}

// TestSlopes: 6 heads, values of transformers 5.23 build_alibi_tensor.
func TestSlopes(t *testing.T) {
	want := []float64{.25, .0625, .015625, .00390625, .5, .125}
	if got := slopes(6); !slices.Equal(got, want) {
		t.Errorf("slopes(6) = %v, want %v", got, want)
	}
	for h, w := range want {
		if got := slope(h, 6); got != w {
			t.Errorf("slope(%d, 6) = %v, want %v", h, got, w)
		}
	}
}
