package ghost

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
)

// Score is what a model said about one candidate after one wrapper.
type Score struct {
	Secret, Candidate, Wrapper int
	LogProb                    float64 // sum over scored tokens, nats
	Tokens, Scored, Context    int     // Context: ids before the text
	ContextSHA                 string
	TextSHA                    string
	Symbols                    []Symbol // of the planted secret, when token rows were at hand
}

// Symbol is one word of the planted secret as the trace's rows cover it.
type Symbol struct {
	LogProb  float64 // sum over its tokens, nats
	Whole    bool    // every token of it was scored
	Greedy   bool    // every token of it was the model's first choice
	Straddle bool    // a token crosses its beginning
}

// Scores are the scores of one model.
type Scores struct {
	Weights string // digest
	Run     string // run identity of the trace
	Policy  string
	BOS     string
	All     []Score
}

// FromTrace reads the scores of every candidate from a trace whose documents are
// those of Requests. The document table is enough for the rank test; the token
// table, when present, adds the symbols of the planted secrets.
func FromTrace(r *trace.Reader, s *Set) (Scores, error) {
	h := r.Header()
	out := Scores{Weights: h.Of.Checkpoint.Weights, Run: h.Run, Policy: h.Of.Policy.Name, BOS: h.Of.Policy.BOS}
	rows := r.Need("logprob", "argmax_id", "id", "byte_off") == nil
	for d, err := range r.Docs() {
		if err != nil {
			return out, err
		}
		id, ok := parseID('g', d.ID)
		if !ok {
			continue // a trace may hold other requests too
		}
		sc, err := scoreOf(d, s, id)
		if err != nil {
			return out, err
		}
		if rows && sc.Candidate == s.Index(sc.Secret) {
			t, err := r.Tokens(d.Doc)
			if err != nil {
				return out, fmt.Errorf("ghost: %s: %w", d.ID, err)
			}
			_, sep := seam(s.wrappers(sc.Secret)[sc.Wrapper])
			if sc.Symbols, err = symbols(t, sep, s.Symbols(sc.Secret, sc.Candidate), s.Kind == Passphrase); err != nil {
				return out, fmt.Errorf("ghost: %s: %w", d.ID, err)
			}
		}
		out.All = append(out.All, sc)
	}
	return out, nil
}

func scoreOf(d trace.Doc, s *Set, id [3]int) (Score, error) {
	sc := Score{
		Secret: id[0], Candidate: id[1], Wrapper: id[2], LogProb: d.SumLogprob,
		Tokens: int(d.Tokens), Scored: int(d.Scored), Context: int(d.Context), TextSHA: hex.EncodeToString(d.SHA256[:]),
	}
	if d.ContextSHA256 != nil {
		sc.ContextSHA = hex.EncodeToString(d.ContextSHA256[:])
	}
	if err := s.inRange(sc.Secret, sc.Candidate); err != nil {
		return sc, fault.Inputf("candidates", "ghost: document %q: found secret %d, candidate %d: want 0..%d, 0..%d", d.ID, sc.Secret, sc.Candidate, s.Secrets-1, s.Controls)
	}
	if sc.Wrapper >= len(s.wrappers(sc.Secret)) {
		return sc, fault.Inputf("candidates", "ghost: document %q: found wrapper %d, want one of the plan's %d", d.ID, sc.Wrapper, len(s.wrappers(sc.Secret)))
	}
	if d.Status != trace.StatusOK {
		return sc, fault.Inputf("unscored", "ghost: document %q: found status %q, want every candidate scored", d.ID, d.Status)
	}
	ctx, sep := seam(s.wrappers(sc.Secret)[sc.Wrapper])
	if got, want := sc.TextSHA, sum(sep+s.Candidate(sc.Secret, sc.Candidate)); got != want {
		return sc, fault.Inputf("candidates", "ghost: document %q: found text sha256 %.12s, want %.12s (candidate %d of secret %d)", d.ID, got, want, sc.Candidate, sc.Secret)
	}
	want := ""
	if ctx != "" {
		want = sum(ctx)
	}
	if sc.ContextSHA != want {
		return sc, fault.Inputf("candidates", "ghost: document %q: found context sha256 %.12q, want %.12q (wrapper %d)", d.ID, sc.ContextSHA, want, sc.Wrapper)
	}
	if math.IsNaN(sc.LogProb) || math.IsInf(sc.LogProb, 0) || sc.LogProb > 0 {
		return sc, fault.Inputf("nonfinite", "ghost: document %q: found log-probability %v, want a finite number at most 0", d.ID, sc.LogProb)
	}
	return sc, nil
}

// symbols sums the rows of each word. A word owns the space before it, so that
// " word" tokens belong to it whole.
func symbols(t trace.Tokens, sep string, words []string, spaced bool) ([]Symbol, error) {
	if !spaced { // characters merge into tokens: only the whole secret can be summed
		words = []string{strings.Join(words, "")}
	}
	out := make([]Symbol, len(words))
	at := int64(0)
	for i, w := range words {
		end := at + int64(len(w))
		if i == 0 {
			end += int64(len(sep))
		} else {
			end++
		}
		lo, hi, straddle := t.Span(at, end)
		sy := Symbol{Whole: hi > lo, Greedy: hi > lo, Straddle: straddle}
		for r := lo; r < hi; r++ {
			if !t.Scored[r] {
				sy.Whole, sy.Greedy = false, false
				continue
			}
			if math.IsNaN(float64(t.Logprob[r])) {
				return nil, fault.Inputf("nonfinite", "pos %d: found NaN, want a log-probability", t.Pos[r])
			}
			sy.LogProb += float64(t.Logprob[r])
			sy.Greedy = sy.Greedy && t.ArgmaxID[r] == t.ID[r]
		}
		out[i] = sy
		at = end
	}
	return out, nil
}

// WordRanks reads the word-rank documents of WordRequests and returns, per
// secret and position, 1 + the number of other words that score at least as
// high as the planted one. Only complete positions are allowed.
func WordRanks(r *trace.Reader, s *Set) ([][]int, error) {
	if s.Kind != Passphrase {
		return nil, fault.Usagef("ghost: word ranks need kind %s, found %s", Passphrase, s.Kind)
	}
	v := len(s.List.Words)
	scores := make([][]float64, s.Secrets*s.Words)
	count := make([]int, len(scores))
	for d, err := range r.Docs() {
		if err != nil {
			return nil, err
		}
		id, ok := parseID('w', d.ID)
		if !ok {
			continue
		}
		if id[0] >= s.Secrets || id[1] >= s.Words || id[2] >= v {
			return nil, fault.Inputf("candidates", "ghost: document %q: want secrets 0..%d, positions 0..%d, words 0..%d", d.ID, s.Secrets-1, s.Words-1, v-1)
		}
		i := id[0]*s.Words + id[1]
		if scores[i] == nil {
			scores[i] = make([]float64, v)
			for j := range scores[i] {
				scores[i][j] = math.NaN()
			}
		}
		if d.Status != trace.StatusOK || math.IsNaN(d.SumLogprob) {
			return nil, fault.Inputf("unscored", "ghost: document %q: found status %q, want it scored", d.ID, d.Status)
		}
		if math.IsNaN(scores[i][id[2]]) {
			count[i]++
		}
		scores[i][id[2]] = d.SumLogprob
	}
	at := make(map[string]int, v)
	for i, w := range s.List.Words {
		at[w] = i
	}
	out := make([][]int, s.Secrets)
	for k := range out {
		words := s.Symbols(k, s.Index(k))
		for i, w := range words {
			if n := count[k*s.Words+i]; n != v {
				return nil, fault.Inputf("candidates", "ghost: secret %d, position %d: found %d of %d words scored", k, i, n, v)
			}
			out[k] = append(out[k], rank(scores[k*s.Words+i], at[w]))
		}
	}
	return out, nil
}
