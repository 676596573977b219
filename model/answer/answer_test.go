package answer_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model"
	"assay/model/answer"
	"assay/probes/assoc"
)

// letters is a tokenizer of single bytes, where a space joins the letter behind it.
type letters struct{}

func (letters) Encode(text string) (ids []int32, ends []int64, err error) {
	for i := 0; i < len(text); i++ {
		id := int32(text[i])
		if text[i] == ' ' && i+1 < len(text) {
			i++
			id = 256 + int32(text[i])
		}
		ids, ends = append(ids, id), append(ends, int64(i+1))
	}
	return ids, ends, nil
}

// counting gives every target the log-probability -(position + id/1000).
type counting struct{ windows []model.Window }

func (c *counting) Score(_ context.Context, ws iter.Seq2[model.Window, error], _ model.ScoreOptions, emit func(model.Window, model.Scores) error) error {
	for w := range ws {
		c.windows = append(c.windows, w)
		var s model.Scores
		for j, id := range w.Targets {
			s.Logprob = append(s.Logprob, -(float32(w.Rows[j]) + float32(id)/1000))
		}
		if err := emit(w, s); err != nil {
			return err
		}
	}
	return nil
}

func TestTargetsOfOnePromptShareAPass(t *testing.T) {
	m := &counting{}
	r := assoc.Request{Prompt: "w - ", Targets: []string{"he", "ha", "x", "hex"}}
	got, err := answer.Score(context.Background(), m, letters{}, []assoc.Request{r, r}, answer.Options{Prefix: []int32{1}})
	if err != nil {
		t.Fatal(err)
	}
	// [1 w " -" " h" e] holds hex, he and x; ha begins alike too: one pass.
	if len(m.windows) != 1 || len(m.windows[0].IDs) != 5 {
		t.Fatalf("windows %v", m.windows)
	}
	as, err := assoc.Ask(got, r)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int][]float64{0: {2.360, 3.101}, 1: {2.360, 3.097}, 2: {2.376}, 3: {2.360, 3.101, 4.120}}
	for i, ps := range want {
		if len(as[i].Tokens) != len(ps) || as[i].Straddle {
			t.Fatalf("target %d: %+v", i, as[i])
		}
		for k, p := range ps {
			if math.Abs(as[i].Tokens[k].LogProb+p) > 1e-5 {
				t.Errorf("target %d token %d: %v, want -%v", i, k, as[i].Tokens[k].LogProb, p)
			}
		}
	}
	if tk := as[3].Tokens; tk[0].Off != 0 || tk[0].Len != 1 || tk[2].Off != 2 || tk[2].Len != 1 {
		t.Errorf("tiles %+v", tk)
	}
}

func TestWithoutPrefixTheFirstTokenIsUnscored(t *testing.T) {
	r := assoc.Request{Targets: []string{"abc"}}
	got, err := answer.Score(context.Background(), &counting{}, letters{}, []assoc.Request{r}, answer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if tk := got[r.ID()][0].Tokens; len(tk) != 2 || tk[0].Off != 1 || tk[0].ID != 'b' {
		t.Errorf("tokens %+v", tk)
	}
}

func TestRefusals(t *testing.T) {
	for name, r := range map[string]assoc.Request{
		"chat":    {Prompt: "a", Chat: true, Targets: []string{"b"}},
		"masked":  {Masked: true, Targets: []string{"b"}},
		"nothing": {Prompt: "a", Targets: []string{""}},
		"long":    {Prompt: "abcdefgh", Targets: []string{"b"}},
	} {
		if _, err := answer.Score(context.Background(), &counting{}, letters{}, []assoc.Request{r}, answer.Options{Limit: 4}); fault.As(err) == nil {
			t.Errorf("%s: %v, want a fault", name, err)
		}
	}
}

func TestFile(t *testing.T) {
	m := assoc.Map{"b": {{Tokens: []assoc.Token{{ID: 3, Off: 0, Len: 2, LogProb: -.1}}}}, "a": {{Straddle: true, Tokens: []assoc.Token{{ID: 1, LogProb: -1.5}}}}}
	var one, two bytes.Buffer
	h := answer.Header{Weights: "sha256:w", PrefixIDs: []int32{5}}
	if err := answer.Write(&one, h, m); err != nil {
		t.Fatal(err)
	}
	got, back, err := answer.Read(bytes.NewReader(one.Bytes()), "f")
	if err != nil || got.Weights != h.Weights || fmt.Sprint(back) != fmt.Sprint(m) {
		t.Fatalf("%v %v %v", got, back, err)
	}
	if err := answer.Write(&two, got, back); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Fatalf("second writing differs: %v", err)
	}
	head := strings.SplitAfter(one.String(), "\n")[0]
	for _, bad := range []string{"", "{}", head + "{", head + `{"id":""}`, head + `{"id":"a","answers":[{"tokens":[{"off":-1}]}]}`, one.String() + `{"id":"a","answers":[]}`} {
		if _, _, err := answer.Read(strings.NewReader(bad), "f"); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"schema":"assay.answers/1"}` + "\n" + `{"id":"a","answers":[{"tokens":[{"id":1,"logprob":-1}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, m, err := answer.Read(bytes.NewReader(b), "f")
		if err != nil {
			return
		}
		var w bytes.Buffer
		if err := answer.Write(&w, h, m); err != nil {
			t.Fatal(err)
		}
	})
}

func ExampleScore() {
	r := assoc.Request{Prompt: "yes or no? ", Targets: []string{"y", "n"}}
	m, _ := answer.Score(context.Background(), &counting{}, letters{}, []assoc.Request{r}, answer.Options{})
	fmt.Println(len(m[r.ID()]), "answers")
	// Output: 2 answers
}

// echo answers every prompt with its own first ids and the end.
type echo struct{ ids [][]int32 }

func (e *echo) Generate(_ context.Context, ps []model.Prompt, o model.GenOptions, emit func(model.Generation) error) error {
	for _, p := range ps {
		e.ids = append(e.ids, p.IDs)
		if err := emit(model.Generation{ID: p.ID, IDs: append(append([]int32{}, p.IDs[:2]...), o.EOS[0]), Stop: model.StopEOS}); err != nil {
			return err
		}
	}
	return nil
}

func (letters) Decode(ids []int32) (string, error) {
	var b strings.Builder
	for _, id := range ids {
		b.WriteByte(byte(id))
	}
	return b.String(), nil
}

func TestGenerate(t *testing.T) {
	m := &echo{}
	q := assoc.Open{Prompt: "ab", Draw: 1}
	in := q
	in.Voice, in.Draw = assoc.Voice{Chat: true, System: "s"}, 2
	o := answer.Options{Prefix: []int32{7}, Limit: 20, ChatEncoder: letters{}, Chat: func(system, user string) (string, error) { return "[" + system + "|" + user + "]", nil }}
	got, err := answer.Generate(context.Background(), m, letters{}, []assoc.Open{q, q, in}, o, model.GenOptions{MaxTokens: 3, EOS: []int32{0}})
	if err != nil {
		t.Fatal(err)
	}
	// Plain text behind the prefix with a line of its own; a chat as rendered, without.
	if len(m.ids) != 2 || fmt.Sprint(m.ids[0]) != "[7 97 98 10]" || len(m.ids[1]) != 6 {
		t.Errorf("prompts %v", m.ids)
	}
	if got[q.ID()] != "\aa" || got[in.ID()] != "[s" || len(got) != 2 {
		t.Errorf("answers %q", got)
	}
	var b bytes.Buffer
	h := answer.TextsHeader{Header: answer.Header{Weights: "sha256:w"}, Sampling: answer.Sampling{Temperature: .7, TopP: 1, MaxTokens: 3, Seed: 1}}
	if err := answer.WriteTexts(&b, h, got); err != nil {
		t.Fatal(err)
	}
	back, texts, err := answer.ReadTexts(bytes.NewReader(b.Bytes()), "f")
	if err != nil || back.Sampling != h.Sampling || fmt.Sprint(texts) != fmt.Sprint(got) {
		t.Errorf("%v %v %v", back, texts, err)
	}
	head := strings.SplitAfter(b.String(), "\n")[0]
	for _, bad := range []string{"", "{}", head + "{", head + `{"text":"a"}`, head + `{"id":"a"}` + "\n" + `{"id":"a"}`} {
		if _, _, err := answer.ReadTexts(strings.NewReader(bad), "f"); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%q: %v", bad, err)
		}
	}
	o.Limit = 4
	if _, err := answer.Generate(context.Background(), m, letters{}, []assoc.Open{q}, o, model.GenOptions{EOS: []int32{0}}); err == nil {
		t.Error("a prompt that fills the positions passed")
	}
	o.Chat = nil
	if _, err := answer.Generate(context.Background(), m, letters{}, []assoc.Open{in}, o, model.GenOptions{EOS: []int32{0}}); err == nil {
		t.Error("a chat without a template passed")
	}
}
