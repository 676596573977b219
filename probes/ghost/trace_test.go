package ghost

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/model/trace"
	"assay/model/trace/window"
	"assay/probes"
)

// small is a set over 300 words whose tokens are the words themselves.
func small(t *testing.T, k, m int, edit func(*Plan)) *Set {
	t.Helper()
	l, err := ReadList(strings.NewReader(strings.Join(syllables(t).Words[:300], "\n")))
	if err != nil {
		t.Fatal(err)
	}
	p := DefaultPlan()
	p.Wrappers = []string{"Note: "}
	if edit != nil {
		edit(&p)
	}
	s, err := New(seq(9), Spec{Kind: Passphrase, Words: 10, Secrets: k, Controls: m, List: l, Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wordTokens scores a text of words with cost nats for each, greedy on the last n.
func wordTokens(s *Set, text string, cost func(i int) float64, greedy int) trace.Tokens {
	var t trace.Tokens
	at := int64(0)
	words := strings.Fields(text)
	for i, w := range words {
		n := int64(strings.Index(text[at:], w) + len(w))
		id := int32(slices.Index(s.List.Words, w))
		t.ID, t.ByteOff, t.ByteLen = append(t.ID, id), append(t.ByteOff, at), append(t.ByteLen, int32(n))
		at += n
		l := float32(-cost(i))
		rank, top, arg := int32(1), float32(max(float64(l), -.5)), (id+1)%300
		if i >= len(words)-greedy {
			rank, top, arg = 0, l, id
		}
		t.Logprob, t.Rank, t.ArgmaxLogprob, t.ArgmaxID = append(t.Logprob, l), append(t.Rank, rank), append(t.ArgmaxLogprob, top), append(t.ArgmaxID, arg)
		t.Entropy, t.SD = append(t.Entropy, 5), append(t.SD, 1)
	}
	return t
}

func ghostTrace(t *testing.T, s *Set, o trace.Options, requests []Request, rows func(Request) trace.Tokens) *trace.Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "g.parquet")
	of := trace.Identity{Checkpoint: trace.Checkpoint{Weights: "sha256:" + strings.Repeat("11", 32), Vocab: 300},
		Tokenizer: trace.Tokenizer{Digest: "sha256:" + strings.Repeat("33", 32)}, Policy: window.Policy{Name: "full", Window: 64, BOS: "none", Seam: "joint"}, Precision: "f32"}
	w, err := trace.Create(path, of, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range requests {
		d := trace.TextDoc(int32(i), q.ID, []byte(q.Text))
		if q.Context != "" {
			d = d.WithContext([]byte(q.Context), 3)
		}
		if err := w.Append(d, rows(q)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := trace.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestFromTrace(t *testing.T) {
	s := small(t, 3, 19, nil)
	c, err := s.Commit()
	if err != nil {
		t.Fatal(err)
	}
	g := gen.New(1)
	planted := func(q Request) bool {
		id, _ := parseID('g', q.ID)
		return id[1] == s.Index(id[0])
	}
	requests := slices.Collect(Requests(s))
	if len(requests) != 60 || requests[0].Context != "Note:" || !strings.HasPrefix(requests[0].Text, " ") {
		t.Fatalf("%d requests, first %+v", len(requests), requests[0])
	}
	score := func(q Request) trace.Tokens {
		if planted(q) {
			return wordTokens(s, q.Text, func(int) float64 { return .8 }, 2)
		}
		return wordTokens(s, q.Text, func(int) float64 { return 5 + .3*g.Z() }, 0)
	}
	full := ghostTrace(t, s, trace.Options{}, requests, score)
	sc, err := FromTrace(full, s)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Test(s, &c, Evidence{Suspect: sc}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := out.Result
	if r.Verdict.Tier != probes.TierA || r.Verdict.Finding != FindingDepends {
		t.Errorf("verdict %+v, checks %v", r.Verdict, out.Checks)
	}
	near(t, "rank", pOf(r, ByRank), -3*math.Log10(20), 1e-9)
	near(t, "recall", pOf(r, ByRecall), -3*math.Log10(300), 1e-9)
	word := make([]float64, 10)
	for i := range word {
		word[i] = -float64(float32(.8))
	}
	_, mix := EValue(word, 300, 1)
	near(t, "e-value of a row", *out.Rows[0].Log10E, mix, 1e-6)
	near(t, "effect", *r.Estimates[0].Value, 4.2, .2)

	// The document table alone serves the rank test.
	compact := ghostTrace(t, s, trace.Options{PerDocument: true}, requests, score)
	sc, err = FromTrace(compact, s)
	if err != nil {
		t.Fatal(err)
	}
	out, err = Test(s, &c, Evidence{Suspect: sc}, Options{})
	if err != nil || math.IsNaN(pOf(out.Result, ByRank)) || !math.IsNaN(pOf(out.Result, ByEValue)) {
		t.Errorf("document table: %v, p %v", err, out.Result.P)
	}
}

func TestFromTraceRefuses(t *testing.T) {
	s := small(t, 2, 4, nil)
	cost := func(q Request) trace.Tokens { return wordTokens(s, q.Text, func(int) float64 { return 2 }, 0) }
	for name, c := range map[string]struct {
		edit func([]Request)
		says string
	}{
		"another text":    {func(r []Request) { r[3].Text = " " + s.Candidate(1, 1) }, "text sha256"},
		"another wrapper": {func(r []Request) { r[3].Context = "Memo:" }, "context sha256"},
		"no wrapper":      {func(r []Request) { r[3].Context = "" }, "context sha256"},
		"extra wrapper":   {func(r []Request) { r[3].ID = "g0/3/1" }, "wrapper 1"},
		"extra candidate": {func(r []Request) { r[3].ID = "g0/9/0" }, "candidate 9"},
	} {
		q := slices.Collect(Requests(s))
		c.edit(q)
		if _, err := FromTrace(ghostTrace(t, s, trace.Options{}, q, cost), s); fault.As(err) == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestWordRanksFromTrace(t *testing.T) {
	s := small(t, 1, 4, nil)
	seq, err := WordRequests(s)
	if err != nil {
		t.Fatal(err)
	}
	requests := slices.Collect(seq)
	if len(requests) != 3000 || requests[300].Context != "Note: "+strings.Fields(s.Candidate(0, s.Index(0)))[0] {
		t.Fatalf("%d requests; second position begins %+v", len(requests), requests[300])
	}
	words := s.Symbols(0, s.Index(0))
	score := func(q Request) trace.Tokens {
		id, _ := parseID('w', q.ID)
		w := strings.TrimSpace(q.Text)
		x := 4 + float64(id[2])/1000
		if w == words[id[1]] {
			x = 3 // the model prefers the planted word everywhere
			if id[1] == 4 {
				x = 4.0105 // and ranks it twelfth here: words 0..10 are likelier
			}
		}
		return wordTokens(s, q.Text, func(int) float64 { return x }, 0)
	}
	r := ghostTrace(t, s, trace.Options{PerDocument: true}, requests, score)
	got, err := WordRanks(r, s)
	if err != nil {
		t.Fatal(err)
	}
	want := []int{1, 1, 1, 1, 12, 1, 1, 1, 1, 1}
	if slices.Index(s.List.Words, words[4]) < 11 {
		want[4] = 11
	}
	if !slices.Equal(got[0], want) {
		t.Errorf("word ranks %v, want %v", got[0], want)
	}
	if _, err := WordRanks(ghostTrace(t, s, trace.Options{PerDocument: true}, requests[:2999], score), s); fault.As(err) == nil || !strings.Contains(err.Error(), "299 of 300") {
		t.Errorf("a word is missing: %v", err)
	}
}

func TestExternalFromTrace(t *testing.T) {
	s := small(t, 1, 1, nil)
	e := External{Prefix: "baba ", Planted: []ExternalPlant{{ID: "p", Text: "babe babi", Times: 3}}, Controls: []ExternalPlant{{ID: "c", Text: "babo babu"}}}
	score := func(q Request) trace.Tokens {
		x := 2.0
		if q.ID == "p" {
			x = 1
		}
		return wordTokens(s, q.Text, func(int) float64 { return x }, 0)
	}
	got, err := e.FromTrace(ghostTrace(t, s, trace.Options{}, slices.Collect(e.Requests()), score))
	if err != nil || got["p"] != -1 || got["c"] != -2 {
		t.Errorf("%v, %v", got, err)
	}
	e.Planted[0].Text = "babe babo"
	if _, err := e.FromTrace(ghostTrace(t, s, trace.Options{}, []Request{{ID: "p", Text: "baba babe babi"}}, score)); fault.As(err) == nil {
		t.Errorf("another text: %v", err)
	}
}
