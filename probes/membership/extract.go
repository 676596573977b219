package membership

import (
	"math"

	"assay/internal/fault"
	"assay/model/trace"
)

// Sampler is a decoding rule: temperature, then top-k, then top-p, renormalised.
// The zero value samples from the model's own distribution.
type Sampler struct {
	Temperature float64 `json:"temperature"` // 0 = 1
	TopK        int     `json:"top_k"`       // 0 = no cut
	TopP        float64 `json:"top_p"`       // 0 = no cut
}

// Extraction says how well a suffix comes back.
type Extraction struct {
	Greedy  bool    // greedy decoding gives the whole suffix
	LogProb float64 // ln p_z of the suffix under the sampler; -Inf if a token falls outside the kept set
	Tokens  int
}

// Extract evaluates rows [from, end) of one document as a suffix after the rows
// before it. Samplers other than the plain one need --topk columns; one whose
// cut is not reached by the stored entries is an error.
func Extract(t trace.Tokens, from int, s Sampler) (Extraction, error) {
	e := Extraction{Greedy: true, Tokens: t.Len() - from}
	if s.Temperature == 0 {
		s.Temperature = 1
	}
	if !(s.Temperature > 0) || s.TopK < 0 || s.TopP < 0 || s.TopP > 1 {
		return e, fault.Usagef("membership: sampler: found temperature %v, top-k %d, top-p %v, want positive, >= 0, in [0, 1]", s.Temperature, s.TopK, s.TopP)
	}
	if from < 0 || from >= t.Len() {
		return e, fault.Inputf("too-short", "membership: extract: found %d tokens, want more than the prefix of %d", t.Len(), from)
	}
	if t.ID == nil || t.ArgmaxID == nil {
		return e, fault.Inputf("columns", "membership: extract: found no token ids, want a trace that is not redacted")
	}
	for i := from; i < t.Len(); i++ {
		if !t.Scored[i] {
			return e, fault.Inputf("unscored", "membership: extract: pos %d is not scored, want the whole suffix", t.Pos[i])
		}
		e.Greedy = e.Greedy && t.ArgmaxID[i] == t.ID[i]
		q, err := s.logProb(t, i)
		if err != nil {
			return e, err
		}
		e.LogProb += q
	}
	return e, nil
}

// logProb is ln q(id) of one row.
func (s Sampler) logProb(t trace.Tokens, i int) (float64, error) {
	if s.Temperature == 1 && s.TopK == 0 && (s.TopP == 0 || s.TopP == 1) {
		return float64(t.Logprob[i]), nil
	}
	if t.TopID == nil {
		return 0, fault.Inputf("columns", "membership: extract: found no columns top_id and top_logprob").Hint("score with --topk %d or more", max(s.TopK, 1))
	}
	ids, lps := t.TopID[i], t.TopLogprob[i]
	kept := 0.0
	for _, l := range lps {
		kept += math.Exp(float64(l))
	}
	whole := kept >= 1-1e-6 // the stored entries are the distribution
	if s.TopK > len(lps) && !whole || s.TopK == 0 && s.Temperature != 1 && !whole {
		return 0, fault.Inputf("columns", "membership: extract: pos %d: found the %d largest entries, want more for this sampler", t.Pos[i], len(lps)).
			Hint("score with a larger --topk")
	}
	n := len(lps)
	if s.TopK > 0 {
		n = min(n, s.TopK)
	}
	q := make([]float64, n) // unnormalised, descending
	total, place := 0.0, -1
	for k := range q {
		q[k] = math.Exp(float64(lps[k]) / s.Temperature)
		total += q[k]
		if ids[k] == t.ID[i] {
			place = k
		}
	}
	if s.TopK == 0 && s.Temperature == 1 {
		total = 1 // the stored entries may miss the tail; their probabilities are known
	}
	if s.TopP > 0 && s.TopP < 1 {
		cum, stop := 0.0, -1
		for k := range q {
			if cum += q[k] / total; cum >= s.TopP {
				stop = k
				break
			}
		}
		if stop < 0 && !whole && s.TopK == 0 {
			return 0, fault.Inputf("columns", "membership: extract: pos %d: the %d largest entries hold %.3f of the probability, want top-p %.3f", t.Pos[i], len(lps), cum, s.TopP).
				Hint("score with a larger --topk")
		}
		if stop >= 0 {
			q = q[:stop+1]
			total = 0
			for _, v := range q {
				total += v
			}
		}
	}
	if place < 0 || place >= len(q) {
		return math.Inf(-1), nil
	}
	return math.Log(q[place] / total), nil
}

// Log10Queries returns log10 of the number of samples after which the suffix has
// come back with probability p: ln(1-p)/ln(1-p_z), also where p_z underflows.
func Log10Queries(logPz, p float64) float64 {
	switch {
	case !(p > 0 && p < 1) || math.IsNaN(logPz) || logPz > 0:
		return math.NaN()
	case logPz == 0:
		return 0
	case logPz < -690:
		return (math.Log(-math.Log1p(-p)) - logPz) / math.Ln10
	}
	return math.Log10(math.Log1p(-p) / math.Log1p(-math.Exp(logPz)))
}

// HitChance returns the probability that n samples contain the suffix.
func HitChance(logPz float64, n float64) float64 {
	return -math.Expm1(n * math.Log1p(-math.Exp(logPz)))
}

// LowEntropy reports suffixes that a model completes without having seen them: fewer
// than 20 bits under the reference (NaN = unknown), or text that zlib shrinks below .35.
func LowEntropy(referenceBits float64, zlibBytes, bytes int64) bool {
	return referenceBits < 20 || bytes > 0 && float64(zlibBytes)/float64(bytes) < .35
}
