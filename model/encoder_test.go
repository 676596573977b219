package model

import (
	"context"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/weights"
)

// A window of an encoder without Rows would be scored as if it predicted the
// next token; it is refused, and the error says what to do instead.
func TestEncoderIsNotCausal(t *testing.T) {
	m := loadReference(t, "bert", Options{BatchTokens: 64})
	if !m.Info().Encoder || m.Info().Headless {
		t.Fatalf("info %+v, want an encoder with a head", m.Info())
	}
	for _, c := range []struct {
		w    Window
		code string
		says string
	}{
		{Window{IDs: []int32{1, 2}, Targets: []int32{2, 3}}, "encoder", "bert is an encoder"},
		{Window{IDs: []int32{1, 2}, Types: []int32{0}}, "window", "1 token types for 2 inputs"},
		{Window{IDs: []int32{1, 2}, Types: []int32{0, 2}}, "window", "token type 2, the model knows 2"},
		{Window{IDs: []int32{1, 2}, Types: []int32{-1, 0}}, "window", "token type -1"},
	} {
		err := m.Score(context.Background(), each([]Window{c.w}), ScoreOptions{}, func(Window, Scores) error { return nil })
		wantRefused(t, c.says, err, c.code, c.says)
		if f := fault.As(err); c.code == "encoder" && (len(f.Hints) == 0 || !strings.Contains(f.Hints[0], "pll")) {
			t.Errorf("hints %q, want one that names the policy", f.Hints)
		}
	}
	d := loadReference(t, "llama-mha", Options{BatchTokens: 64})
	err := d.Score(context.Background(), each([]Window{{IDs: []int32{1}, Types: []int32{1}}}), ScoreOptions{}, func(Window, Scores) error { return nil })
	wantRefused(t, "types in a decoder", err, "window", "token type 1")
}

// What an encoder says of a token does not depend on padding, batch mates or the
// size of the batch.
func TestEncoderInvariance(t *testing.T) {
	for _, name := range []string{"bert", "roberta", "distilbert"} {
		m := loadReference(t, name, Options{BatchTokens: 512})
		var ws []Window
		for i, w := range randomWindows(40, 150, m.spec.Vocab) {
			w.Rows = nil
			for k := range w.Targets {
				w.Rows = append(w.Rows, int32(k))
			}
			w.Doc = i
			ws = append(ws, w)
		}
		r, err := m.Invariance(context.Background(), ws)
		if err != nil || !r.WithinTol {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		// Alone, in its own bucket's smallest batch.
		all := scoreAll(t, m, ws, ScoreOptions{})
		for _, i := range []int{0, 7, 33} {
			one := scoreAll(t, m, ws[i:i+1], ScoreOptions{})[0]
			if d := largestDifference(one.Logprob, all[i].Logprob); d > InvarianceBound {
				t.Errorf("%s: window %d alone differs by %.1g", name, i, d)
			}
		}
	}
}

// renamed is a checkpoint whose tensors have other names, or are fewer.
type renamed struct {
	*edited
	to func(name string) string // "" leaves a tensor out
}

func (r renamed) Tensors() iter.Seq[weights.Info] {
	return func(yield func(weights.Info) bool) {
		for _, t := range r.infos {
			if t.Name = r.to(t.Name); t.Name != "" && !yield(t) {
				return
			}
		}
	}
}

func (r renamed) F32(name string, dst []float32) error {
	for _, t := range r.infos {
		if r.to(t.Name) == name {
			return r.edited.F32(t.Name, dst)
		}
	}
	return r.edited.F32(name, dst)
}

// An encoder without the head of a masked language model, as sentence encoders
// are published, gives the same states and refuses to score.
func TestEncoderWithoutHead(t *testing.T) {
	for _, architectures := range []any{nil, []string{"BertModel"}} {
		e := edit(t, "bert")
		if e.config["architectures"] = architectures; architectures == nil {
			delete(e.config, "architectures")
		}
		src := renamed{e, func(name string) string {
			if strings.HasPrefix(name, "cls.") {
				return ""
			}
			return strings.TrimPrefix(name, "bert.")
		}}
		m, err := Load(context.Background(), src, Options{BatchTokens: 64})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if !m.Info().Headless {
			t.Error("headless is not said")
		}
		want := readExpected(t, "bert")
		w := Window{IDs: int32s(want.tensors["ids.1"])}
		err = m.States(context.Background(), each([]Window{w}), []Tap{{Name: TapFinalNorm}}, func(_ Window, _ Tap, _ int, x View) error {
			if d, at := relative(x.X, want.tensors["hidden.1.final"].f); !(d <= tolHidden) {
				t.Errorf("final state differs at %d by %.2g of the rms", at, d)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Targets, w.Rows = w.IDs, int32s(golden{i: make([]int64, len(w.IDs))})
		err = m.Score(context.Background(), each([]Window{w}), ScoreOptions{}, func(Window, Scores) error { return nil })
		wantRefused(t, "score", err, "no-head", "no output matrix")
		_, _, _, err = m.Matrix("output")
		wantRefused(t, "matrix", err, "no-head", "no output matrix")
		_, err = m.Lens(context.Background(), make([]float32, 48), 1, []int32{1})
		wantRefused(t, "lens", err, "no-head", "no output matrix")
	}
	// A class that has the head has to store it.
	src := renamed{edit(t, "bert"), func(name string) string {
		if strings.HasPrefix(name, "cls.predictions.transform") {
			return ""
		}
		return name
	}}
	_, err := Describe(src)
	wantRefused(t, "BertForMaskedLM without a head", err, "tensor", "cls.predictions.transform", "missing")
}

// Keys that make another model of an encoder are refused.
func TestEncoderRefuse(t *testing.T) {
	for _, c := range []struct {
		base, key string
		value     any
		code      string
	}{
		{"bert", "is_decoder", true, "unsupported"},
		{"bert", "add_cross_attention", true, "unsupported"},
		{"bert", "position_embedding_type", "relative_key_query", "unsupported"},
		{"bert", "type_vocab_size", 0, "unsupported"},
		{"bert", "type_vocab_size", 1 << 40, "unsupported"},
		{"bert", "max_position_embeddings", 1 << 40, "unsupported"},
		{"bert", "max_position_embeddings", 0, "unsupported"},
		{"bert", "num_hidden_layers", 1 << 40, "tensor"},
		{"bert", "num_attention_heads", 5, "unsupported"},
		{"bert", "sliding_window", 128, "unknown-key"},
		{"bert", "num_key_value_heads", 1, "unknown-key"},
		{"roberta", "pad_token_id", -1, "unsupported"},
		{"roberta", "pad_token_id", 161, "unsupported"},
		{"roberta", "pad_token_id", nil, "malformed"},
		{"distilbert", "n_heads", 5, "unsupported"},
		{"distilbert", "rope_theta", 10000, "unknown-key"},
	} {
		e := edit(t, c.base)
		e.config[c.key] = c.value
		_, err := Describe(e)
		says := c.key
		if c.code == "tensor" {
			says = "missing"
		}
		wantRefused(t, c.base+" "+c.key, err, c.code, says)
	}
}

// A second output bias has to equal the first.
func TestEncoderTwoBiases(t *testing.T) {
	e := edit(t, "bert")
	const second = "cls.predictions.decoder.bias"
	e.infos = append(e.infos, weights.Info{Name: second, DType: weights.F32, Shape: []int{512}})
	shift := float32(0)
	src := renamed{e, func(name string) string { return name }}
	e.values = func(name string, x []float32) {
		if name == second {
			x[3] += shift
		}
	}
	load := func() error {
		m, err := Load(context.Background(), twoBiases{src, second, "cls.predictions.bias"}, Options{BatchTokens: 64})
		if err == nil {
			m.Close()
		}
		return err
	}
	if err := load(); err != nil {
		t.Error(err)
	}
	shift = 1
	wantRefused(t, "another bias", load(), "tie-mismatch", second)
	shift = float32(math.NaN())
	wantRefused(t, "bias that is no number", load(), "tie-mismatch", second)
	if slices.ContainsFunc(e.infos, func(i weights.Info) bool { return i.Name == second && i.Shape[0] != 512 }) {
		t.Fatal("the test changed itself")
	}
}

// twoBiases gives the tensor second the values of first, edited.
type twoBiases struct {
	renamed
	second, first string
}

func (b twoBiases) F32(name string, dst []float32) error {
	if name != b.second {
		return b.renamed.F32(name, dst)
	}
	if err := b.ck.F32(b.first, dst); err != nil {
		return err
	}
	b.values(name, dst)
	return nil
}
