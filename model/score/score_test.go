package score

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/tokenize/text"
)

// fakeModel reports, instead of scores, what it was shown: the log-probability
// is minus the number of ids that the prediction could see, the standard
// deviation the target id. The rest satisfies the laws that a trace is held to.
type fakeModel struct {
	stopAfter int // windows; 0 = never
	cancel    context.CancelFunc
}

func (f *fakeModel) Score(ctx context.Context, ws iter.Seq2[model.Window, error], _ model.ScoreOptions, emit func(model.Window, model.Scores) error) error {
	n := 0
	for w, err := range ws {
		if err != nil {
			return err
		}
		if n++; f.stopAfter > 0 && n > f.stopAfter {
			f.cancel()
			return ctx.Err()
		}
		var s model.Scores
		for j, id := range w.Targets {
			saw := len(w.IDs) - len(w.Targets) + j + 1
			if w.Rows != nil { // a masked token, seen from both sides
				saw = len(w.IDs) - 1
			}
			s.Logprob = append(s.Logprob, -float32(saw))
			s.Entropy = append(s.Entropy, 1)
			s.SD = append(s.SD, float32(id))
			s.Rank = append(s.Rank, 1)
			s.ArgmaxID = append(s.ArgmaxID, 0)
			s.ArgmaxLogprob = append(s.ArgmaxLogprob, -.5)
		}
		if err := emit(w, s); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeModel) Invariance(context.Context, []model.Window) (model.Report, error) {
	return model.Report{N: 1}, nil
}

// words is an encoder with one id per word of lower-case letters: the id is the
// word's length, a space belongs to the word after it, and a trailing space is
// a token of its own (id 1).
type words struct{ bos, eos bool }

func (words) Encode(s string) (ids []int32, ends []int64, err error) {
	for at := 0; at < len(s); {
		end := at
		for end < len(s) && s[end] == ' ' {
			end++
		}
		for end < len(s) && s[end] != ' ' {
			end++
		}
		ids, ends = append(ids, int32(end-at)), append(ends, int64(end))
		at = end
	}
	return ids, ends, nil
}
func (words) Digest() string   { return "sha256:" + strings.Repeat("33", 32) }
func (words) Specials() string { return "none" }
func (w words) Template() (prefix, suffix []int32) {
	if w.bos {
		return []int32{90}, nil
	}
	return nil, nil
}
func (w words) BOS() (int32, bool)                       { return 90, w.bos }
func (w words) EOS() (int32, bool)                       { return 91, w.eos }
func (w words) AddBOS() (add, said bool)                 { return w.bos, true }
func (words) SpecialIn(s string) (token string, ok bool) { return "<s>", strings.Contains(s, "<s>") }

// docs is an Input in memory.
type docs []text.Doc

func (d docs) Len() int { return len(d) }
func (d docs) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		for _, x := range d {
			if !yield(x, nil) {
				return
			}
		}
	}
}

func textDoc(id, s string) text.Doc { return text.Doc{ID: id, HasText: true, Text: s} }

func identity(vocab int) trace.Identity {
	return trace.Identity{Checkpoint: trace.Checkpoint{Weights: "sha256:" + strings.Repeat("11", 32), Config: "sha256:" + strings.Repeat("22", 32), Vocab: vocab, DType: "F32"}}
}

// run plans and runs, and returns the report and the documents with their rows.
func run(t *testing.T, in Input, o Options) (*Report, []trace.DocTokens) {
	t.Helper()
	if o.Out == "" {
		o.Out = filepath.Join(t.TempDir(), "x.parquet")
	}
	if o.Of.Checkpoint.Vocab == 0 {
		o.Of = identity(100)
	}
	s, err := Plan(in, &o)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(context.Background(), &fakeModel{}, in, s, o)
	if err != nil {
		t.Fatal(err)
	}
	return rep, read(t, o.Out)
}

func read(t *testing.T, path string) []trace.DocTokens {
	t.Helper()
	r, err := trace.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []trace.DocTokens
	for d, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

// Under every policy each scored row holds the score of its own id, predicted
// from as many ids as column ctx says.
func TestPoliciesScoreTheirOwnRows(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("aa bbb c dddd ", 20))
	for _, p := range window.Policies() {
		t.Run(p.Name, func(t *testing.T) {
			o := Options{Policy: window.Policy{Name: p.Name, Window: 16}, Encoder: words{bos: true}}
			switch p.Name {
			case "full":
				o.Policy.Window = 128
			case "hf-stride", "hf-stride-doc", "oren", "llamacpp-stride":
				o.Policy.Stride = 4
			case window.Masked:
				mask := int32(99)
				o.Policy.Window, o.Policy.MaskID, o.TwoSided = 128, &mask, true
			}
			_, ds := run(t, docs{textDoc("long", long), textDoc("short", "aa bbb")}, o)
			scored := 0
			for _, d := range ds {
				for i, ok := range d.Tokens.Scored {
					if !ok {
						continue
					}
					scored++
					if got, want := d.Tokens.SD[i], float32(d.Tokens.ID[i]); got != want {
						t.Fatalf("%s pos %d: score of id %g, want of %g", d.Doc.ID, i, got, want)
					}
					if got, want := d.Tokens.Ctx[i], -int32(d.Tokens.Logprob[i]); got != want {
						t.Fatalf("%s pos %d: ctx %d, the model saw %d ids", d.Doc.ID, i, got, want)
					}
				}
			}
			if scored == 0 {
				t.Fatal("no row was scored")
			}
		})
	}
}

// What each tool puts in front (the rules of the window policies).
func TestBOS(t *testing.T) {
	for _, c := range []struct {
		name, policy, bos string
		enc               words
		ids               bool
		want              []int32
		err               string
	}{
		{"template", "full", "", words{bos: true}, false, []int32{90}, ""},
		{"no template", "full", "", words{}, false, []int32{}, ""},
		{"never", "full", "never", words{bos: true}, false, []int32{}, ""},
		{"always without BOS", "full", "always", words{}, false, nil, "no BOS"},
		{"by id", "full", "id:7", words{}, false, []int32{7}, ""},
		{"id beyond the vocabulary", "full", "id:100", words{}, false, nil, "0 to 99"},
		{"lm-eval takes EOS", "lmeval-rolling", "", words{eos: true}, false, []int32{91}, ""},
		{"lm-eval without either", "lmeval-rolling", "", words{}, false, nil, "id:N"},
		{"ids stay as they are", "full", "", words{bos: true}, true, []int32{}, ""},
		{"unknown", "full", "sometimes", words{}, false, nil, "want auto"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := window.Policy{Name: c.policy, BOS: c.bos}.WithDefaults(16)
			got, _, err := Settle(p, c.enc, c.ids, 100)
			if c.err != "" {
				if f := fault.As(err); f == nil || f.Class != fault.Usage || !strings.Contains(err.Error()+strings.Join(f.Hints, " "), c.err) {
					t.Fatalf("error %v, want usage with %q", err, c.err)
				}
				return
			}
			if err != nil || !slices.Equal(got.PrefixIDs, c.want) {
				t.Fatalf("prefix %v, %v; want %v", got.PrefixIDs, err, c.want)
			}
		})
	}
}

// A context is conditioned on and never a row; tiles count from the document's
// own first byte.
func TestContext(t *testing.T) {
	d := text.Doc{ID: "a", HasText: true, HasContext: true, Context: "aa bbb ", Text: "cccc d"}
	for seam, want := range map[string]struct {
		ids []int32
		ctx int32
	}{
		// Jointly the context's last space belongs to " cccc": id 5.
		SeamJoint:    {[]int32{5, 2}, 2},
		SeamSeparate: {[]int32{4, 2}, 3}, // the context alone ends in a token for its space
	} {
		t.Run(seam, func(t *testing.T) {
			_, ds := run(t, docs{d}, Options{Policy: window.Policy{Name: "full", Window: 32, Seam: seam}, Encoder: words{}})
			got := ds[0]
			if !slices.Equal(got.Tokens.ID, want.ids) || got.Doc.Context != want.ctx {
				t.Fatalf("ids %v after %d context ids, want %v after %d", got.Tokens.ID, got.Doc.Context, want.ids, want.ctx)
			}
			if got.Tokens.ByteOff[0] != 0 || got.Tokens.ByteLen[0] != 4 || got.Tokens.ByteOff[1] != 4 || got.Tokens.ByteLen[1] != 2 {
				t.Fatalf("tiles %v %v, want [0 4] [4 2]", got.Tokens.ByteOff, got.Tokens.ByteLen)
			}
			if got.Tokens.Ctx[0] != want.ctx {
				t.Fatalf("ctx %d, want %d", got.Tokens.Ctx[0], want.ctx)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	rep, ds := run(t, docs{textDoc("a", "aa bb"), textDoc("b", "aa bb"), textDoc("c", ""), textDoc("d", "<s> x y"), textDoc("e", strings.Repeat("aa ", 40))},
		Options{Policy: window.Policy{Name: "full", Window: 16}, Encoder: words{}})
	var codes []string
	for _, w := range rep.Warnings {
		codes = append(codes, w.Code)
	}
	if want := []string{"specials-in-text", "duplicate-text", "docs-unscored"}; !slices.Equal(codes, want) {
		t.Errorf("warnings %v, want %v", codes, want)
	}
	for i, want := range []string{trace.StatusOK, trace.StatusOK, trace.StatusNoTokens, trace.StatusOK, trace.StatusOverContext} {
		if ds[i].Doc.Status != want {
			t.Errorf("document %d: status %q, want %q", i, ds[i].Doc.Status, want)
		}
	}
	if n := len(rep.Header.Made.Warnings); n != len(codes) {
		t.Errorf("the header holds %d warnings, want %d", n, len(codes))
	}
}

// A run that is stopped leaves no file under the final name, and a run resumed
// from what it left has the content of one that was never stopped.
func TestResume(t *testing.T) {
	var in docs
	for i := range 40 {
		in = append(in, textDoc(fmt.Sprint("d", i), strings.Repeat("aa bbb ", i%7+1)))
	}
	o := Options{Policy: window.Policy{Name: "full", Window: 64}, Encoder: words{}, Out: filepath.Join(t.TempDir(), "x.parquet"), Of: identity(100)}
	whole, _ := run(t, in, Options{Policy: o.Policy, Encoder: o.Encoder})
	s, err := Plan(in, &o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err = Run(ctx, &fakeModel{stopAfter: 17, cancel: cancel}, in, s, o)
	if f := fault.As(err); f == nil || f.Class != fault.Interrupted || len(f.Hints) == 0 {
		t.Fatalf("error %v, want interrupted with a hint", err)
	}
	if _, err := os.Stat(o.Out); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a file under the final name after an interruption: %v", err)
	}
	o.Resume = true
	rep, err := Run(context.Background(), &fakeModel{}, in, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Resumed != 17 {
		t.Errorf("resumed %d documents, want 17", rep.Resumed)
	}
	if got, want := rep.Header.Content.Tokens, whole.Header.Content.Tokens; got != want {
		t.Errorf("content %s, want %s", got, want)
	}
	if rep.Header.Run != whole.Header.Run {
		t.Errorf("run %s, want %s", rep.Header.Run, whole.Header.Run)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		in   docs
		enc  Encoder
		want string
	}{
		{"id beyond the vocabulary", docs{{ID: "a", IDs: []int32{1, 100}}}, nil, `document "a": ids[1] is 100, want 0 to 99`},
		{"text without a tokenizer", docs{textDoc("a", "aa")}, nil, "there is no tokenizer"},
		{"nothing", docs{}, nil, "no documents"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Of: identity(100), Policy: window.Policy{Name: "full", Window: 16}, Encoder: c.enc}
			_, err := Plan(c.in, &o)
			if f := fault.As(err); f == nil || f.Class != fault.Input || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want input with %q", err, c.want)
			}
		})
	}
	t.Run("single tokens", func(t *testing.T) {
		o := Options{Of: identity(100), Policy: window.Policy{Name: "full", Window: 16}, Encoder: words{}, Out: filepath.Join(t.TempDir(), "x.parquet")}
		in := docs{textDoc("a", "aa")}
		s, err := Plan(in, &o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Run(context.Background(), &fakeModel{}, in, s, o); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Fatalf("error %v, want input: a single token has nothing before it", err)
		}
	})
}
