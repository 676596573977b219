package ghost

import (
	"fmt"

	"assay/internal/fault"
)

// table holds the scores of one model by secret, candidate and wrapper.
type table struct {
	m, w int
	all  []Score
	have []bool
}

func (t *table) at(k, j, w int) *Score { return &t.all[(k*t.m+j)*t.w+w] }

// newTable checks that every candidate was scored once after every wrapper.
func newTable(s *Set, sc Scores, role string) (*table, error) {
	t := &table{m: s.Controls + 1, w: len(s.wrappers(0))}
	n := s.Secrets * t.m * t.w
	t.all, t.have = make([]Score, n), make([]bool, n)
	for _, x := range sc.All {
		if s.inRange(x.Secret, x.Candidate) != nil || x.Wrapper < 0 || x.Wrapper >= t.w {
			return nil, fault.Inputf("candidates", "ghost: %s: score of secret %d, candidate %d, wrapper %d: want 0..%d, 0..%d, 0..%d",
				role, x.Secret, x.Candidate, x.Wrapper, s.Secrets-1, s.Controls, t.w-1)
		}
		i := (x.Secret*t.m+x.Candidate)*t.w + x.Wrapper
		if t.have[i] {
			return nil, fault.Inputf("candidates", "ghost: %s: %s appears twice", role, requestID(x.Secret, x.Candidate, x.Wrapper))
		}
		t.all[i], t.have[i] = x, true
	}
	missing, first := 0, ""
	for i, ok := range t.have {
		if !ok {
			if missing == 0 {
				first = requestID(i/t.w/t.m, i/t.w%t.m, i%t.w)
			}
			missing++
		}
	}
	if missing > 0 {
		return nil, fault.Inputf("candidates", "ghost: %s: found %d of %d candidate scores, the first missing is %s", role, n-missing, n, first).
			Hint("score the texts that `assay ghost test` writes as requests and pass that trace")
	}
	return t, nil
}

// score is S_kj: the sum over the secret's tokens per symbol, mean over wrappers.
func (t *table) score(k, j int, symbols float64) float64 {
	s := 0.0
	for w := range t.w {
		s += t.at(k, j, w).LogProb
	}
	return s / float64(t.w) / symbols
}

// lists returns S without the candidates that leaked and the place of the planted
// one in each list.
func lists(s *Set, suspect, reference *table, out map[Ref]bool) (scores [][]float64, index []int, err error) {
	scores, index = make([][]float64, s.Secrets), make([]int, s.Secrets)
	n := s.units()
	for k := range s.Secrets {
		planted := s.Index(k)
		for j := range s.Controls + 1 {
			if out[Ref{k, j}] && j != planted {
				continue
			}
			if j == planted {
				index[k] = len(scores[k])
			}
			v := suspect.score(k, j, n)
			if reference != nil {
				v -= reference.score(k, j, n)
			}
			scores[k] = append(scores[k], v)
		}
		if len(scores[k]) < 2 {
			return nil, nil, fault.Inputf("control-leaked", "ghost: secret %d: every control was found in the corpus, none is left", k)
		}
	}
	return scores, index, nil
}

// units is the number by which sums are divided: words or characters where a
// secret has countable symbols, else 1. Token counts differ between candidates,
// these do not.
func (s *Set) units() float64 {
	if _, _, ok := s.alphabet(); ok {
		return float64(s.Words)
	}
	return 1
}

func (s *Set) unit() string {
	switch s.Kind {
	case Passphrase:
		return "nats/word"
	case Hex, Alnum:
		return "nats/character"
	}
	return "nats/secret"
}

// constantContext reports the first wrapper whose ids before the secret depend on
// the candidate, which would break the e-value's bound.
func (t *table) constantContext(secrets, w int) error {
	for k := range secrets {
		want := t.at(k, 0, w)
		for j := range t.m {
			x := t.at(k, j, w)
			if x.Context != want.Context || x.ContextSHA != want.ContextSHA {
				return fmt.Errorf("wrapper %d: %s has %d ids before it, %s has %d",
					w, requestID(k, j, w), x.Context, requestID(k, 0, w), want.Context)
			}
			for _, sy := range x.Symbols {
				if sy.Straddle {
					return fmt.Errorf("wrapper %d: a token of %s crosses a word's beginning", w, requestID(k, j, w))
				}
			}
		}
	}
	return nil
}
