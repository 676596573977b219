package model

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"assay/weights"
)

const referenceDir = "../testdata/reference"

// Tolerances of testdata/reference/README.md.
const (
	tolLogprob = 5e-5
	tolMoment  = 1e-4
	tolHidden  = 1e-4 // of the root mean square of the tensor
	nearTie    = 1e-4
)

// referenceCheckpoint is an entry of testdata/reference/index.json.
type referenceCheckpoint struct {
	Name      string `json:"name"`
	ModelType string `json:"model_type"`
}

// referenceCheckpoints lists the checkpoints whose family runs.
func referenceCheckpoints(t testing.TB) []referenceCheckpoint {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(referenceDir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Checkpoints []referenceCheckpoint `json:"checkpoints"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(index.Checkpoints, func(c referenceCheckpoint) bool {
		_, ok := familyOf(c.ModelType)
		return !ok
	})
}

func openReference(t testing.TB, name string) *weights.Checkpoint {
	t.Helper()
	ck, err := weights.Open(filepath.Join(referenceDir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ck.Close() })
	return ck
}

func loadReference(t testing.TB, name string, o Options) *Model {
	t.Helper()
	m, err := Load(context.Background(), openReference(t, name), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// expected are the golden values of one checkpoint.
type expected struct{ tensors map[string]golden }

// golden holds one tensor of expected.safetensors: floats or integers.
type golden struct {
	shape []int
	f     []float64
	i     []int64
}

func readExpected(t testing.TB, name string) expected {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(referenceDir, name, "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	e := expected{map[string]golden{}}
	n := int(le64(b))
	var header map[string]json.RawMessage
	if err := json.Unmarshal(b[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	data := b[8+n:]
	for key, raw := range header {
		if key == "__metadata__" {
			continue
		}
		var h struct {
			DType   string `json:"dtype"`
			Shape   []int  `json:"shape"`
			Offsets [2]int `json:"data_offsets"`
		}
		if err := json.Unmarshal(raw, &h); err != nil {
			t.Fatal(err)
		}
		x := data[h.Offsets[0]:h.Offsets[1]]
		g := golden{shape: h.Shape}
		for ; len(x) > 0; x = x[map[string]int{"F32": 4, "F64": 8, "I64": 8}[h.DType]:] {
			switch h.DType {
			case "F32":
				g.f = append(g.f, float64(math.Float32frombits(uint32(x[0])|uint32(x[1])<<8|uint32(x[2])<<16|uint32(x[3])<<24)))
			case "F64":
				g.f = append(g.f, math.Float64frombits(le64(x)))
			case "I64":
				g.i = append(g.i, int64(le64(x)))
			default:
				t.Fatalf("%s: dtype %s", key, h.DType)
			}
		}
		e.tensors[key] = g
	}
	return e
}

func le64(b []byte) uint64 {
	var v uint64
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

// windows are the sequences of e, each scored at every position, in order. Those
// of an encoder predict their labels at their own places; the padded batch comes
// as windows of Doc 3, without their padding.
func (e expected) windows() []Window {
	var ws []Window
	for s := 0; ; s++ {
		g, ok := e.tensors[fmt.Sprintf("ids.%d", s)]
		if !ok {
			return ws
		}
		ids := int32s(g)
		labels, encoder := e.tensors[fmt.Sprintf("labels.%d", s)]
		if !encoder {
			ws = append(ws, Window{Doc: s, IDs: ids[:len(ids)-1], Targets: ids[1:]})
			continue
		}
		T := g.shape[len(g.shape)-1]
		targets, types, mask := int32s(labels), int32s(e.tensors[fmt.Sprintf("token_type_ids.%d", s)]), int32s(e.tensors[fmt.Sprintf("attention_mask.%d", s)])
		for from := 0; from < len(ids); from += T {
			n := T
			for len(mask) > 0 && mask[from+n-1] == 0 {
				n--
			}
			w := Window{Doc: s, Index: from / T, IDs: ids[from : from+n], Targets: targets[from : from+n]}
			if types != nil {
				w.Types = types[from : from+n]
			}
			for t := range n {
				w.Rows = append(w.Rows, int32(t))
			}
			ws = append(ws, w)
		}
	}
}

func int32s(g golden) []int32 {
	var out []int32
	for _, v := range g.i {
		out = append(out, int32(v))
	}
	return out
}

// each yields windows without error.
func each(ws []Window) iter.Seq2[Window, error] {
	return func(yield func(Window, error) bool) {
		for _, w := range ws {
			if !yield(w, nil) {
				return
			}
		}
	}
}

// scoreAll returns the scores of ws by position in ws.
func scoreAll(t testing.TB, m *Model, ws []Window, o ScoreOptions) []Scores {
	t.Helper()
	var out []Scores
	err := m.Score(context.Background(), each(ws), o, func(w Window, s Scores) error {
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != len(ws) {
		t.Fatalf("%d windows emitted, want %d", len(out), len(ws))
	}
	return out
}

// TestReferenceScores compares every token score with transformers 5.23 in
// float64 (testdata/reference/README.md).
func TestReferenceScores(t *testing.T) {
	for _, c := range referenceCheckpoints(t) {
		t.Run(c.Name, func(t *testing.T) {
			e := readExpected(t, c.Name)
			m := loadReference(t, c.Name, Options{BatchTokens: 512})
			ws := e.windows()
			var worst [3]float64
			for k, got := range scoreAll(t, m, ws, ScoreOptions{}) {
				s, first := ws[k].Doc, 0 // the windows of a batch stand row after row
				for _, w := range ws[:k] {
					if w.Doc == s {
						first += len(w.Targets)
					}
				}
				key := func(name string) golden {
					g := e.tensors[fmt.Sprintf("%s.%d", name, s)]
					return golden{f: g.f[min(first, len(g.f)):], i: g.i[min(first, len(g.i)):]}
				}
				lp, ent, sd := key("logprob"), key("entropy"), key("sd")
				rank, arg, margin, am := key("rank"), key("argmax"), key("margin"), key("argmax_margin")
				for i := range got.Logprob {
					for k, d := range []float64{float64(got.Logprob[i]) - lp.f[i], float64(got.Entropy[i]) - ent.f[i], float64(got.SD[i]) - sd.f[i]} {
						worst[k] = max(worst[k], math.Abs(d))
						if tol := []float64{tolLogprob, tolMoment, tolMoment}[k]; !(math.Abs(d) <= tol) {
							t.Fatalf("sequence %d target %d: %s off by %g, want at most %g", s, i, []string{"logprob", "entropy", "sd"}[k], d, tol)
						}
					}
					if int64(got.Rank[i]) != rank.i[i]-1 && margin.f[i] >= nearTie {
						t.Fatalf("sequence %d target %d: rank %d, want %d (margin %g)", s, i, got.Rank[i], rank.i[i]-1, margin.f[i])
					}
					if int64(got.ArgmaxID[i]) != arg.i[i] && am.f[i] >= nearTie {
						t.Fatalf("sequence %d target %d: argmax %d, want %d", s, i, got.ArgmaxID[i], arg.i[i])
					}
					if got.Rank[i] == 0 && got.Logprob[i] != got.ArgmaxLogprob[i] {
						t.Fatalf("sequence %d target %d: rank 0 but logprob %g, argmax logprob %g", s, i, got.Logprob[i], got.ArgmaxLogprob[i])
					}
				}
			}
			t.Logf("largest difference: logprob %.1e, entropy %.1e, sd %.1e", worst[0], worst[1], worst[2])
		})
	}
}

// TestReferenceStates compares the hidden states at every boundary, from the
// front, and names the first tensor that differs.
func TestReferenceStates(t *testing.T) {
	for _, c := range referenceCheckpoints(t) {
		t.Run(c.Name, func(t *testing.T) {
			e := readExpected(t, c.Name)
			m := loadReference(t, c.Name, Options{BatchTokens: 256})
			L := len(m.spec.Layers)
			// The golden states are of whole sequences.
			var ws []Window
			for s := range 2 {
				g := e.tensors[fmt.Sprintf("ids.%d", s)]
				w := Window{Doc: s}
				for _, v := range g.i {
					w.IDs = append(w.IDs, int32(v))
				}
				ws = append(ws, w)
			}
			got := map[string][]float32{}
			err := m.States(context.Background(), each(ws), []Tap{{Name: TapResidPost}, {Name: TapFinalNorm}}, func(w Window, tap Tap, layer int, x View) error {
				name := "embed"
				if layer > 0 {
					name = fmt.Sprintf("block.%d", layer-1)
				}
				if tap.Name == TapFinalNorm {
					name = "final"
				}
				got[fmt.Sprintf("hidden.%d.%s", w.Doc, name)] = slices.Clone(x.X)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			order := []string{"embed"}
			for l := range L {
				order = append(order, fmt.Sprintf("block.%d", l))
			}
			worst := 0.0
			for s := range ws {
				for _, name := range append(order, "final") {
					key := fmt.Sprintf("hidden.%d.%s", s, name)
					want, have := e.tensors[key], got[key]
					if len(have) != len(want.f) {
						t.Fatalf("%s: %d values, want %d", key, len(have), len(want.f))
					}
					d, at := relative(have, want.f)
					worst = max(worst, d)
					if !(d <= tolHidden) {
						t.Fatalf("%s: first tensor that differs: at %d got %v, want %v (difference %.2g of the rms)", key, at, have[at], want.f[at], d)
					}
				}
			}
			t.Logf("largest difference: %.1e of the rms", worst)
		})
	}
}

// relative is the largest difference in units of the rms of want, and where.
func relative(got []float32, want []float64) (worst float64, at int) {
	var ss float64
	for _, v := range want {
		ss += v * v
	}
	rms := math.Sqrt(ss / float64(len(want)))
	for i, v := range want {
		d := math.Abs(float64(got[i])-v) / rms
		if d > worst || d != d {
			worst, at = d, i
		}
	}
	return worst, at
}
