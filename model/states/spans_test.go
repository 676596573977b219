package states

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model"
	"assay/model/states/items"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/tokenize/chat"
)

// words is an encoder with one id per word, its length; a space belongs to the word
// after it. A first token of no bytes stands for an added word mark.
type words struct{ mark bool }

func (w words) Encode(s string) (ids []int32, ends []int64, err error) {
	if w.mark {
		ids, ends = append(ids, 50), append(ends, 0)
	}
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
func (words) Digest() string                     { return "sha256:" + strings.Repeat("33", 32) }
func (words) Specials() string                   { return "none" }
func (words) Template() (prefix, suffix []int32) { return []int32{60}, nil }
func (words) BOS() (int32, bool)                 { return 60, true }
func (words) EOS() (int32, bool)                 { return 61, true }
func (words) AddBOS() (add, said bool)           { return true, true }
func (words) SpecialIn(string) (string, bool)    { return "", false }

// Spans by hand: BOS, a word mark of no bytes, then the words.
func TestSpans(t *testing.T) {
	text := items.Item{ID: "a", Text: "one two three", Seam: 13}
	seam := items.Item{ID: "b", Text: "one two three four", Seam: 8, HasResponse: true} // "one two " + "three four"
	glued := items.Item{ID: "c", Text: "one twothree", Seam: 7, HasResponse: true}      // the token "twothree" crosses
	for _, c := range []struct {
		it     items.Item
		span   string
		mark   bool
		lo, hi int
	}{
		{text, SpanText, false, 1, 4},
		{text, SpanText, true, 2, 5},
		{text, SpanAll, true, 0, 5},
		{seam, SpanText, true, 2, 6},
		{seam, SpanPrompt, true, 2, 4},
		{seam, SpanResponse, true, 4, 6}, // the space before three belongs to it
		{seam, SpanPrompt, false, 1, 3},
		{glued, SpanPrompt, false, 1, 2},
		{glued, SpanResponse, false, 2, 3},
	} {
		q, err := encode(&c.it, words{c.mark}, []int32{60}, c.span)
		if err != nil || q.lo != c.lo || q.hi != c.hi {
			t.Errorf("%q span %s mark %v: [%d, %d), %v; want [%d, %d)", c.it.Text, c.span, c.mark, q.lo, q.hi, err, c.lo, c.hi)
		}
	}
	if _, err := encode(&text, words{}, nil, SpanResponse); code(err) != "no-response" {
		t.Errorf("response of a text: %v", err)
	}
}

func code(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return ""
}

// Every position belongs to one window, which feeds it.
func TestSplit(t *testing.T) {
	for _, p := range []window.Policy{{Name: "full", Window: 100}, {Name: "hf-stride", Window: 8, Stride: 3}, {Name: "hf-stride", Window: 8, Stride: 8}, {Name: "mimir", Window: 6}} {
		for n := 1; n < 40; n++ {
			s := sequence{ids: make([]int32, n)}
			if ok, err := s.split(p); !ok || err != nil {
				t.Fatalf("%s, %d ids: %v, %v", p.Name, n, ok, err)
			}
			done := 0
			for _, w := range s.pieces {
				if w.lo != done || w.begin > w.lo || w.end < w.hi || w.hi <= w.lo || w.end-w.begin > p.Window {
					t.Fatalf("%s, %d ids: windows %v", p.Name, n, s.pieces)
				}
				done = w.hi
			}
			if done != n {
				t.Fatalf("%s, %d ids: windows %v end at %d", p.Name, n, s.pieces, done)
			}
		}
	}
}

// taps stands for a checkpoint of 32 blocks.
type taps struct{}

func (taps) Encoder() bool { return false }

func (taps) TapLayers(name string) ([]int, int, error) {
	layers := make([]int, 33)
	for l := range layers {
		layers[l] = l
	}
	switch name {
	case model.TapResidPost:
		return layers, 4, nil
	case model.TapFinalNorm:
		return layers[32:], 4, nil
	}
	return nil, 0, fault.Usagef("unknown tap")
}

// Percentages of 32 blocks, rounded half up: 25 % is 8, 1.5625 % is .5, so 1.
func TestLayers(t *testing.T) {
	have, _, _ := taps{}.TapLayers(model.TapResidPost)
	for list, want := range map[string][]int{"0,8,16": {0, 8, 16}, "25%,50%,75%,last": {8, 16, 24, 32}, "1.5625%": {1}, "last,0,100%": {0, 32}, "": have, "all": have} {
		if got, err := parseLayers(list, have); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", list, got, err, want)
		}
	}
	for _, list := range []string{"33", "-1", "x", "101%", "NaN%", "1,,2", "first"} {
		if got, err := parseLayers(list, have); err == nil {
			t.Errorf("%q: %v, want an error", list, got)
		}
	}
}

func plan(in list, o Options) (*Plan, error) {
	o.Of.Checkpoint.Vocab = 100
	return Prepare(in, taps{}, &o)
}

func TestRefusals(t *testing.T) {
	one := func(it items.Item) list {
		it.ID = "a"
		return list{it}
	}
	ids := one(items.Item{IDs: []int32{1, 2, 3}})
	file := func(s string) string {
		path := filepath.Join(t.TempDir(), "w.jsonl")
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pool := func(p string) Options { return Options{Pools: []string{p}} }
	for name, c := range map[string]struct {
		in    list
		o     Options
		class fault.Class
		code  string
		says  string
	}{
		"tap":              {ids, Options{Taps: []string{"x"}}, fault.Usage, "usage", "unknown tap"},
		"layer":            {ids, Options{Layers: "40"}, fault.Usage, "usage", "0 to 32"},
		"pool":             {ids, pool("max"), fault.Usage, "usage", "want one of mean, last"},
		"pool twice":       {ids, Options{Pools: []string{"mean", "mean"}}, fault.Usage, "usage", "twice"},
		"token twice":      {ids, pool("tokens:1,1"), fault.Usage, "usage", "twice"},
		"no pool file":     {ids, pool("weighted:nowhere"), fault.Usage, "usage", "nowhere"},
		"span":             {ids, Options{Span: "x"}, fault.Usage, "usage", "text, prompt, response, template, all"},
		"policy":           {ids, Options{Policy: window.Policy{Name: "oren", Window: 8, Stride: 4}, Positions: 8}, fault.Usage, "usage", "full, hf-stride, mimir"},
		"keep":             {ids, Options{Layers: "1,2", Keep: "3"}, fault.Usage, "usage", "keep"},
		"strata twice":     {ids, Options{Strata: []string{"topic", "topic"}}, fault.Usage, "usage", "each once"},
		"lenbin":           {ids, Options{Strata: []string{"lenbin:1"}}, fault.Usage, "usage", "lenbin:2"},
		"no stratum":       {ids, Options{Strata: []string{"topic"}}, fault.Input, "bad-stratum", `"a"`},
		"empty span":       {one(items.Item{IDs: []int32{}}), Options{}, fault.Input, "empty-span", `"a"`},
		"empty text":       {one(items.Item{Text: ""}), Options{Encoder: words{true}}, fault.Input, "empty-span", `"a"`},
		"no tokenizer":     {one(items.Item{Text: "x"}), Options{}, fault.Input, "no-tokenizer", `"a"`},
		"id":               {one(items.Item{IDs: []int32{100}}), Options{}, fault.Input, "id", "0 to 99"},
		"too long":         {ids, Options{Positions: 2}, fault.Input, "too-long", "3 tokens, the window of policy full holds 2"},
		"position":         {ids, pool("tokens:-4"), fault.Input, "bad-position", "position -4 of a span of 3"},
		"weights missing":  {ids, pool("weighted:" + file(`{"id":"b","weights":[1]}`)), fault.Input, "bad-weights", "no weights"},
		"weights length":   {ids, pool("weighted:" + file(`{"id":"a","weights":[1]}`)), fault.Input, "bad-weights", "1 weights for a span of 3"},
		"weights negative": {ids, pool("weighted:" + file(`{"id":"a","weights":[1,-1,1]}`)), fault.Input, "bad-weights", "weight 1 is -1"},
		"weights zero":     {ids, pool("weighted:" + file(`{"id":"a","weights":[0,0,0]}`)), fault.Input, "bad-weights", "add up to 0"},
		"weights twice":    {ids, pool("weighted:" + file("{\"id\":\"a\",\"weights\":[1]}\n{\"id\":\"a\",\"weights\":[1]}")), fault.Input, "duplicate-id", "lines 1 and 2"},
		"duplicate":        {list{ids[0], ids[0]}, Options{}, fault.Input, "duplicate-id", `"a"`},
		"pair alone":       {one(items.Item{IDs: []int32{1}, Label: "x", Pair: "p"}), Options{}, fault.Input, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "pair alone" { // two labels, one of the pair missing
				c.in = append(c.in, items.Item{ID: "b", IDs: []int32{1}, Label: "y"})
				c.code = "bad-pair"
			}
			_, err := plan(c.in, c.o)
			f := fault.As(err)
			if f == nil || f.Class != c.class || f.Code != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want class %d code %q saying %q", err, c.class, c.code, c.says)
			}
		})
	}
}

// Bins of lengths 1 1 1 5 9: halves end at the third smallest, so 1 | 5 9; the last bin is open.
func TestLengthBins(t *testing.T) {
	var in list
	for i, n := range []int{1, 5, 1, 9, 1} {
		in = append(in, items.Item{ID: fmt.Sprint(i), IDs: make([]int32, n)})
	}
	p, err := plan(in, Options{Strata: []string{"lenbin:2"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range p.States.Docs {
		got = append(got, d.Stratum)
	}
	if want := []string{"len1-1", "len2-", "len1-1", "len2-", "len1-1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Spans in a template by hand. Rendered, the first is
// "[user] one two [/] [assistant]", the second "[system] be kind [/] [user] one two
// [/] [assistant] three four" (what stands behind the response is dropped), and the
// tokens are words with the spaces before them; 60 is BOS.
func TestTemplateSpans(t *testing.T) {
	tmpl, err := chat.New(`{% for m in messages %}{% if not loop.first %} {% endif %}[{{ m.role }}] {{ m.content }} [/]{% endfor %}{% if add_generation_prompt %} [assistant]{% endif %}`)
	if err != nil {
		t.Fatal(err)
	}
	text := items.Item{ID: "a", Text: "one two", Seam: 7, Label: "x", HasLabel: true}
	seam := items.Item{ID: "b", Text: "one twothree four", Seam: 7, HasResponse: true, Label: "x", HasLabel: true}
	for _, c := range []struct {
		it     items.Item
		system string
		span   string
		tokens int
		lo, hi int
	}{
		{text, "", SpanText, 6, 2, 4},
		{text, "", SpanPrompt, 6, 2, 4},
		{text, "", SpanTemplate, 6, 4, 6},
		{text, "", SpanAll, 6, 0, 6},
		{text, "be kind", SpanText, 10, 6, 8},
		{seam, "", SpanPrompt, 8, 2, 4},
		{seam, "", SpanTemplate, 8, 4, 6},
		{seam, "", SpanResponse, 8, 6, 8},
		{seam, "be kind", SpanResponse, 12, 10, 12},
	} {
		in := Templated{Input: list{c.it}, Template: tmpl, System: c.system}
		o := Options{Encoder: words{}, Span: c.span, Pools: []string{"tokens:0,-1"}}
		o.Of.Checkpoint.Vocab = 100
		p, err := Prepare(in, taps{}, &o)
		if err != nil {
			t.Fatal(err)
		}
		d := p.States.Docs[0]
		if int(d.Tokens) != c.tokens || !slices.Equal(d.Positions, []int32{int32(c.lo), int32(c.hi) - 1}) || int(d.Bytes) != len(c.it.Text) {
			t.Errorf("%s %s %q: %d tokens, span %v, %d bytes; want %d, [%d %d)", c.it.ID, c.span, c.system, d.Tokens, d.Positions, d.Bytes, c.tokens, c.lo, c.hi)
		}
	}
	bare := Templated{Input: list{text}, Template: tmpl}
	kind := bare
	kind.System = "be kind"
	a, err1 := bare.Digest()
	b, err2 := kind.Digest()
	if a == b || err1 != nil || err2 != nil {
		t.Errorf("digests %s, %s; want different ones", a, b)
	}
	for span, it := range map[string]items.Item{SpanText: seam, SpanResponse: text} {
		o := Options{Encoder: words{}, Span: span}
		o.Of.Checkpoint.Vocab = 100
		if _, err := Prepare(Templated{Input: list{it}, Template: tmpl}, taps{}, &o); fault.As(err) == nil {
			t.Errorf("%s of %q: %v, want a refusal", span, it.Text, err)
		}
	}
	o := Options{Encoder: words{}, Span: SpanTemplate}
	o.Of.Checkpoint.Vocab = 100
	if _, err := Prepare(list{text}, taps{}, &o); code(err) != "usage" {
		t.Errorf("span template without one: %v", err)
	}
	refuses, err := chat.New(`{{ raise_exception("no") }}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(Templated{Input: list{text}, Template: refuses}, taps{}, &o); code(err) != "messages" || !strings.Contains(err.Error(), `document "a"`) {
		t.Errorf("a template that refuses: %v", err)
	}
}

// Weights from a file: 3:1 of two tokens, and the file's digest in the name.
func TestWeights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.jsonl")
	if err := os.WriteFile(path, []byte(`{"id":"a","weights":[3,1],"text":"let by"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := parsePool("weighted:" + path)
	if err != nil || p.check("a", 2) != nil || len(p.name) != len("weighted:")+16 {
		t.Fatalf("%+v, %v", p, err)
	}
	if f := p.weigh("a", 2); f(0) != .75 || f(1) != .25 {
		t.Errorf("weights %v, %v, want .75, .25", f(0), f(1))
	}
	f := (&pool{kind: poolLinear}).weigh("a", 3)
	if f(0) != 1./6 || f(1) != 2./6 || f(2) != 3./6 {
		t.Errorf("linear weights %v, %v, %v, want 1/6, 2/6, 3/6", f(0), f(1), f(2))
	}
}

// Statistics by hand: the first position apart, |x| >= 6 counted, massive ones above
// 100 and 1000 times the median of their token.
func TestTokenSum(t *testing.T) {
	x := model.View{Rows: 3, Width: 3, X: []float32{
		-6, 1, 0,
		.1, -200, .1,
		7, .5, -300, // median 7: not massive
	}}
	s := newTokenSum([]int{4})
	s.add(4, 0, piece{0, 3, 0, 3}, x)
	s.add(5, 0, piece{0, 3, 0, 3}, x) // not of this tap's layers
	st := s.done()
	if st.Sq[0][0][0] != 36 || st.Sq[1][0][1] != 200*200+.25 || st.Max[1][0][2] != 300 || st.Max[0][0][1] != 1 {
		t.Errorf("sq %v, max %v", st.Sq, st.Max)
	}
	if !slices.Equal(st.N6[0][0], []int32{1, 0, 0}) || !slices.Equal(st.N6[1][0], []int32{1, 1, 1}) {
		t.Errorf("n6 %v", st.N6)
	}
	if st.Peak[0] != 300 || st.Pos[0] != 2 || st.Dim[0] != 2 || st.Massive[0] != 1 {
		t.Errorf("peak %v at %v, %v; massive %v; want 300 at 2, 2; 1", st.Peak, st.Pos, st.Dim, st.Massive)
	}
}

// Sameness by hand: rows (3,4), (0,5) and (4,3) of the span have cosines .8, .96 and .6;
// a zero vector and what is outside the span do not count; one vector has no pairs.
func TestSameness(t *testing.T) {
	x := model.View{Rows: 6, Width: 2, X: []float32{-1, 0, 3, 4, 0, 5, 0, 0, 4, 3, -9, 9}}
	for _, pieces := range [][]piece{{{0, 6, 0, 6}}, {{0, 6, 3, 6}, {0, 6, 0, 3}}} {
		s := newTokenSum([]int{2})
		s.sameness(1, 5)
		for i := range pieces { // the second window first
			w := len(pieces) - 1 - i
			s.add(2, w, pieces[len(pieces)-1-w], x)
		}
		if got := s.done().Same[0]; math.Abs(float64(got)-(.8+.96+.6)/3) > 1e-7 {
			t.Errorf("%v: %v, want %v", pieces, got, (.8+.96+.6)/3)
		}
	}
	s := newTokenSum([]int{2})
	s.sameness(3, 5)
	s.add(2, 0, piece{0, 6, 0, 6}, x)
	if got := s.done().Same[0]; got == got {
		t.Errorf("one vector: %v, want NaN", got)
	}
}

// A state that is not finite names id, layer and position.
func TestNonFinite(t *testing.T) {
	in := list{{ID: "a", IDs: []int32{1, 2, 3}}}
	p, err := plan(in, Options{Layers: "0"})
	if err != nil {
		t.Fatal(err)
	}
	bad := &fault.Fault{Class: fault.Input, Code: "nonfinite", Err: &model.StateError{Doc: 0, Tap: "resid_post", Layer: 7, Row: 2, Value: float32(math.Inf(1))}}
	e := &extraction{ctx: context.Background(), m: failing{bad}, p: p, sink: &memory{docs: map[int]*result{}}, pending: map[int]*pending{}}
	err = e.run(context.Background(), in.Items())
	if code(err) != "nonfinite" || !strings.Contains(err.Error(), `document "a": resid_post layer 7 position 2`) || !errors.Is(err, bad) {
		t.Errorf("%v", err)
	}
}

// Stored positions count the special ids in front.
func TestPositions(t *testing.T) {
	p, err := plan(list{{ID: "a", Text: "one two three", Seam: 13}}, Options{Encoder: words{}, Pools: []string{"tokens:-1,0"}})
	if err != nil {
		t.Fatal(err)
	}
	if d := p.States.Docs[0]; !slices.Equal(d.Positions, []int32{3, 1}) || d.Tokens != 4 || d.Span != 3 || d.Bytes != 13 {
		t.Errorf("%+v, want positions 3 and 1 of 4 tokens", d)
	}
}

// The order in which windows come back does not matter.
func TestArrival(t *testing.T) {
	pieces := []piece{{0, 2, 0, 2}, {1, 4, 2, 4}}
	x := []model.View{{Rows: 2, Width: 1, X: []float32{1, 2}}, {Rows: 3, Width: 1, X: []float32{2, 4, 8}}}
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		for kind, want := range map[poolKind]float32{poolMean: 15. / 4, poolLast: 8, poolLinear: (1 + 2*2 + 3*4 + 4*8) / 10.} {
			p := &pooling{view: trace.View{Layers: []int{7}, Width: 1}, pool: &pool{kind: kind}, hi: 4, pieces: 2}
			s := newTokenSum([]int{7})
			for _, i := range order {
				p.add(7, i, pieces[i], x[i])
				s.add(7, i, pieces[i], x[i])
			}
			got, err := p.vectors()
			if err != nil || got[0][0] != want {
				t.Errorf("order %v pool %d: %v, %v; want %v", order, kind, got, err, want)
			}
			if st := s.done(); st.Sq[1][0][0] != 4+16+64 || st.Sq[0][0][0] != 1 || st.Pos[0] != 3 {
				t.Errorf("order %v: squares %v, peak at %d", order, st.Sq, st.Pos[0])
			}
		}
	}
}
