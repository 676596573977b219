package embed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/model"
	"assay/model/embed"
	"assay/weights"
)

// golden is testdata/weat/context.json (torch 2.15, transformers 5.23, numpy 2.4).
type golden struct {
	Sets      map[string][]string
	Templates []string
	Models    map[string]struct {
		Layers int
		Words  map[string]struct {
			Pieces   []int32
			Contexts []struct {
				IDs  []int32
				Last int
			}
		}
		Input  map[string]struct{ D float64 }
		Output map[string]struct{ D float64 }
		Ctx    map[string]map[string]struct{ D float64 }
	}
}

// scripted is a tokenizer that knows the texts of the golden.
type scripted struct {
	ids  map[string][]int32
	ends map[string][]int64
	text map[string]string
}

func (s scripted) Encode(text string) ([]int32, []int64, error) {
	ids, ok := s.ids[text]
	if !ok {
		return nil, nil, fmt.Errorf("no ids for %q", text)
	}
	return ids, s.ends[text], nil
}
func (s scripted) Decode(ids []int32) (string, error) { return s.text[fmt.Sprint(ids)], nil }
func (s scripted) Token(int32) (string, bool)         { return "", false }

func load(t *testing.T) (g golden, m *model.Model, tok scripted) {
	t.Helper()
	g, m, tok, _ = loadOne(t, "gpt2")
	return g, m, tok
}

// around are the ids that a tokenizer's template puts in front and behind.
type around struct{ prefix, suffix []int32 }

// loadOne loads a checkpoint of the golden; an encoder's ids there have one special
// token in front and one behind.
func loadOne(t *testing.T, name string) (g golden, m *model.Model, tok scripted, a around) {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/weat/context.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	tok = scripted{map[string][]int32{}, map[string][]int64{}, map[string]string{}}
	for w, e := range g.Models[name].Words {
		tok.ids[" "+w], tok.ids[w] = e.Pieces, []int32{}
		tok.text[fmt.Sprint(e.Pieces)] = " " + w
		for i, c := range e.Contexts {
			switch name {
			case "bert": // [CLS] and [SEP]
				last := len(c.IDs) - 1
				a = around{c.IDs[:1], c.IDs[last:]}
				c.IDs = c.IDs[1:last]
			case "llama-mha": // BOS
				a = around{prefix: c.IDs[:1]}
				c.IDs = c.IDs[1:]
			}
			text := strings.Replace(g.Templates[i], "{w}", w, 1)
			before := int64(len(text) - len(w) - 1)
			ends := make([]int64, len(c.IDs))
			for k := range ends {
				if ends[k] = min(int64(k+1), before); k >= len(ends)-len(e.Pieces) {
					ends[k] = before + 1 + int64(len(w)*(k+1-len(ends)+len(e.Pieces))/len(e.Pieces))
				}
			}
			tok.ids[text], tok.ends[text] = c.IDs, ends
		}
	}
	ck, err := weights.Open("../../testdata/reference/" + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ck.Close() })
	if m, err = model.Load(context.Background(), ck, model.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return g, m, tok, a
}

func (g golden) test() (weat.Test, []string) {
	set := func(k string) weat.Set { return weat.Set{Words: g.Sets[k]} }
	return weat.Test{ID: "golden", X: set("X"), Y: set("Y"), A: set("A"), B: set("B")},
		slices.Concat(g.Sets["X"], g.Sets["Y"], g.Sets["A"], g.Sets["B"])
}

func effect(t *testing.T, sc weat.Scores, err error) float64 {
	t.Helper()
	if err != nil || sc.Undefined != "" {
		t.Fatal(err, sc.Undefined)
	}
	var x, y []float64
	for _, w := range sc.X {
		x = append(x, w.S)
	}
	for _, w := range sc.Y {
		y = append(y, w.S)
	}
	return weat.Sizes(x, y).D
}

// d in the token matrices and at every layer of decoders and an encoder, in three
// variants, is that of transformers to 1e-5.
func TestAgainstTransformers(t *testing.T) {
	for _, name := range []string{"gpt2", "bert", "llama-mha", "gpt_neox-parallel", "qwen2"} {
		t.Run(name, func(t *testing.T) { against(t, name) })
	}
}

func against(t *testing.T, name string) {
	g, m, tok, a := loadOne(t, name)
	test, words := g.test()
	want := g.Models[name]
	src, err := embed.NewWords(m, "input", tok, embed.Spaced)
	if err != nil {
		t.Fatal(err)
	}
	read := embed.Read{Pool: weat.PoolLast, Vocab: src.Rows(), Prefix: a.prefix, Suffix: a.suffix}
	for l := 1; l <= want.Layers; l++ {
		read.Layers = append(read.Layers, embed.Layer{Tap: model.TapResidPost, Index: l})
	}
	states, lost, err := embed.States(context.Background(), m, tok, weat.Plan(g.Templates, words), read)
	if err != nil || len(lost) > 0 {
		t.Fatal(err, lost)
	}
	for _, v := range weat.Variants() {
		shift, err := weat.ShiftOf(src, v)
		if err != nil {
			t.Fatal(err)
		}
		sp, err := weat.NewEmbedding(src, weat.PoolMean, shift)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := weat.Score(test, sp, weat.DefaultLoss())
		if d := effect(t, sc, err); math.Abs(d-want.Input[string(v)].D) > 1e-9 {
			t.Errorf("input %s: d %.12f, want %.12f", v, d, want.Input[string(v)].D)
		}
		if w, ok := want.Output[string(v)]; ok {
			if d := matrix(t, m, "output", tok, test, v); math.Abs(d-w.D) > 1e-9 {
				t.Errorf("output %s: d %.12f, want %.12f", v, d, w.D)
			}
		}
		for _, l := range read.Layers {
			st := states[l]
			if shift, err = weat.WordShift(st, words, v); err != nil {
				t.Fatal(err)
			}
			sc, err := weat.ScoreStates(test, st, shift, weat.DefaultLoss())
			g := want.Ctx[fmt.Sprint(l.Index-1)][string(v)].D
			if d := effect(t, sc, err); math.Abs(d-g) > 1e-5 {
				t.Errorf("ctx:%v %s: d %.9f, want %.9f", l, v, d, g)
			}
		}
	}
}

// matrix returns d in a token matrix.
func matrix(t *testing.T, m *model.Model, kind string, tok scripted, test weat.Test, v weat.Variant) float64 {
	t.Helper()
	src, err := embed.NewWords(m, kind, tok, embed.Spaced)
	if err != nil {
		t.Fatal(err)
	}
	shift, err := weat.ShiftOf(src, v)
	if err != nil {
		t.Fatal(err)
	}
	sp, err := weat.NewEmbedding(src, weat.PoolMean, shift)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := weat.Score(test, sp, weat.DefaultLoss())
	return effect(t, sc, err)
}

func TestRefusals(t *testing.T) {
	g, m, tok := load(t)
	_, words := g.test()
	all := weat.Plan(g.Templates, words)
	read := embed.Read{Layers: []embed.Layer{{Tap: model.TapResidPost, Index: 1}}, Pool: weat.PoolLast, Vocab: 1 << 20}
	broken := scripted{tok.ids, tok.ends, map[string]string{}}
	if _, _, err := embed.States(context.Background(), m, broken, all, read); fault.As(err) == nil || fault.As(err).Code != "piece-mismatch" {
		t.Errorf("words that decode to nothing: %v", err)
	}
	short := read
	short.Limit = 2
	if _, _, err := embed.States(context.Background(), m, tok, all, short); fault.As(err) == nil || fault.As(err).Code != "bad-template" {
		t.Errorf("a window over the limit: %v", err)
	}
	narrow := read
	narrow.Vocab = 1
	if _, _, err := embed.States(context.Background(), m, tok, all, narrow); err == nil {
		t.Error("ids outside the vocabulary passed")
	}
	tok.ids["rose"], tok.ends["rose"] = []int32{7}, []int64{4}
	tok.text["[7]"] = "rose"
	if _, _, err := embed.States(context.Background(), m, tok, []weat.Context{{Word: "rose", Response: "rose"}}, read); err == nil || !strings.Contains(err.Error(), "position 0") {
		t.Errorf("the word at position 0: %v", err)
	}
	if _, err := embed.NewWords(m, "neither", tok, embed.Spaced); err == nil {
		t.Error("a matrix that does not exist passed")
	}
}

func TestParseLayer(t *testing.T) {
	for in, want := range map[string]string{"0": "0", "3": "3", "50%": "2", "25%": "1", "last": "3", "final": "final", "100%": "3"} {
		if l, err := embed.ParseLayer(in, 3); err != nil || l.String() != want {
			t.Errorf("%s: %v, %v; want %s", in, l, err, want)
		}
	}
	for _, in := range []string{"", "4", "-1", "101%", "x", "1.5", "NaN%"} {
		if l, err := embed.ParseLayer(in, 3); err == nil {
			t.Errorf("%q: %v, want an error", in, l)
		}
	}
}
