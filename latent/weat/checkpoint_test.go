package weat_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"assay/latent/weat"
	"assay/probes/assoc/perm"
)

// matrix is an embedding matrix of a reference checkpoint with its pieces.
type matrix struct {
	rows, dim int
	data      []float32
	pieces    map[string][]int
}

func (m *matrix) Rows() int      { return m.rows }
func (m *matrix) Dim() int       { return m.dim }
func (m *matrix) Policy() string { return "after a space, no special tokens" }
func (m *matrix) Row(i int, dst []float64) {
	for k := range dst {
		dst[k] = float64(m.data[i*m.dim+k])
	}
}
func (m *matrix) Pieces(w string) ([]int, weat.Why) {
	if p, ok := m.pieces[w]; ok {
		return p, ""
	}
	return nil, weat.PieceMismatch
}

// tensor reads a float32 tensor of a safetensors file.
func tensor(t *testing.T, path, name string) (shape [2]int, data []float32) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(raw)
	var head map[string]json.RawMessage
	if err := json.Unmarshal(raw[8:8+n], &head); err != nil {
		t.Fatal(err)
	}
	var h struct {
		Dtype   string
		Shape   [2]int
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(head[name], &h); err != nil || h.Dtype != "F32" {
		t.Fatalf("%s: %s %v", name, h.Dtype, err)
	}
	body := raw[8+n:][h.Offsets[0]:h.Offsets[1]]
	for i := 0; i < len(body); i += 4 {
		data = append(data, math.Float32frombits(binary.LittleEndian.Uint32(body[i:])))
	}
	return h.Shape, data
}

// TestCheckpoints holds WEAT inside an encoder and a decoder against an
// independent computation (context.json: torch 2.15, transformers 5.23, numpy 2.4).
func TestCheckpoints(t *testing.T) {
	type numbers struct {
		D  float64
		S  []float64
		GE int64
	}
	var doc struct {
		Sets   map[string][]string
		Models map[string]struct {
			Width, Rows int
			Words       map[string]struct {
				Pieces []int
				States [][]float64 `json:"states0"`
			}
			Input map[string]numbers
			Ctx   map[string]map[string]numbers
		}
	}
	raw, err := os.ReadFile(data + "context.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	test := weat.Test{ID: "checkpoint", X: weat.Set{Words: doc.Sets["X"]}, Y: weat.Set{Words: doc.Sets["Y"]}, A: weat.Set{Words: doc.Sets["A"]}, B: weat.Set{Words: doc.Sets["B"]}}
	var words []string
	for _, k := range []string{"X", "Y", "A", "B"} {
		words = append(words, doc.Sets[k]...)
	}
	check := func(what string, sc weat.Scores, want numbers, tol float64) {
		t.Helper()
		x, y := scores(sc.X), scores(sc.Y)
		near(t, what+" d", weat.Sizes(x, y).D, want.D, tol)
		for i, s := range append(x, y...) {
			near(t, fmt.Sprintf("%s s[%d]", what, i), s, want.S[i], tol)
		}
		p, err := perm.TwoSample(scores(sc.X), scores(sc.Y), perm.Greater, perm.Options{})
		if err != nil || p.GE.Int64() != want.GE {
			t.Errorf("%s: GE %v, %v; want %d", what, p.GE, err, want.GE)
		}
	}
	for name, tensorName := range map[string]string{"gpt2": "wte.weight", "bert": "bert.embeddings.word_embeddings.weight"} {
		g, ok := doc.Models[name]
		if !ok {
			t.Fatalf("no golden for %s", name)
		}
		shape, rows := tensor(t, "../../testdata/reference/"+name+"/model.safetensors", tensorName)
		if shape != [2]int{g.Rows, g.Width} {
			t.Fatalf("%s: shape %v", name, shape)
		}
		m, st := &matrix{g.Rows, g.Width, rows, map[string][]int{}}, weat.NewStates(g.Width)
		for _, w := range words {
			m.pieces[w] = g.Words[w].Pieces
			for _, v := range g.Words[w].States {
				if err := st.Add(w, v, len(m.pieces[w])); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, v := range weat.Variants() {
			shift, err := weat.ShiftOf(m, v)
			if err != nil {
				t.Fatal(err)
			}
			sp, err := weat.NewEmbedding(m, weat.PoolMean, shift)
			if err != nil {
				t.Fatal(err)
			}
			sc, err := weat.Score(test, sp, loss())
			if err != nil {
				t.Fatal(err)
			}
			check(name+" input "+string(v), sc, g.Input[string(v)], 1e-9)
			if shift, err = weat.WordShift(st, words, v); err != nil {
				t.Fatal(err)
			}
			if sc, err = weat.ScoreStates(test, st, shift, loss()); err != nil {
				t.Fatal(err)
			}
			check(name+" ctx:0 "+string(v), sc, g.Ctx["0"][string(v)], 1e-6)
		}
	}
}
