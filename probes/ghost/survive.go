package ghost

import (
	"strings"

	"assay/internal/fault"
)

// Survival forecasts whether one planted copy would outlive usual cleaning.
type Survival struct {
	Planting
	LineDuplicate  bool    // its whole line stands in the corpus elsewhere: exact-line deduplication removes it
	NGramDuplicate bool    // 13 words in a row that touch it stand elsewhere: 13-gram deduplication may remove it
	Perplexity     float64 // rank of the document's nats per byte under the reference, as a share in (0, 1]; 0 = not measured
	Outlier        bool    // that rank is above the filter's limit
}

const gram = 13

// Survive checks the planted corpus. nats holds each document's mean negative
// log-probability per byte under a reference model (nil to skip the filter);
// limit is the share of documents that a perplexity filter keeps, e.g. .9.
func Survive(docs []Doc, record []Planting, nats map[string]float64, limit float64) ([]Survival, error) {
	if nats != nil && !(limit > 0 && limit < 1) {
		return nil, fault.Usagef("ghost: filter limit: found %v, want a share in (0, 1)", limit)
	}
	lines := make(map[string]int)
	grams := make(map[string]int)
	byID := make(map[string]string, len(docs))
	for _, d := range docs {
		byID[d.ID] = d.Text
		for l := range strings.Lines(d.Text) {
			lines[strings.TrimSpace(l)]++
		}
		w := strings.Fields(d.Text)
		for i := 0; i+gram <= len(w); i++ {
			grams[strings.Join(w[i:i+gram], " ")]++
		}
	}
	out := make([]Survival, 0, len(record))
	for _, r := range record {
		text, ok := byID[r.DocID]
		if !ok || r.ByteOff < 0 || r.ByteLen < 0 || r.ByteOff > len(text)-r.ByteLen {
			return nil, fault.Inputf("plants", "ghost: document %q, byte %d: found no planted place", r.DocID, r.ByteOff)
		}
		s := Survival{Planting: r}
		begin := strings.LastIndexByte(text[:r.ByteOff], '\n') + 1
		end := len(text)
		if i := strings.IndexByte(text[r.ByteOff+r.ByteLen:], '\n'); i >= 0 {
			end = r.ByteOff + r.ByteLen + i
		}
		s.LineDuplicate = lines[strings.TrimSpace(text[begin:end])] > 1
		before := len(strings.Fields(text[:r.ByteOff]))
		inside := len(strings.Fields(text[r.ByteOff : r.ByteOff+r.ByteLen]))
		w := strings.Fields(text)
		for i := max(0, before-gram+1); i < before+inside && i+gram <= len(w); i++ {
			if grams[strings.Join(w[i:i+gram], " ")] > 1 {
				s.NGramDuplicate = true
				break
			}
		}
		if x, ok := nats[r.DocID]; ok {
			below := 0
			for _, v := range nats {
				if v <= x {
					below++
				}
			}
			s.Perplexity = float64(below) / float64(len(nats))
			s.Outlier = s.Perplexity > limit
		}
		out = append(out, s)
	}
	return out, nil
}

// Leaks finds candidates that must not be in the corpus: every control, and every
// planted secret in a document that the record does not name. Found controls are
// taken out of the test. One pass over the corpus with a table of 12-byte beginnings.
func Leaks(s *Set, docs []Doc, record []Planting) []Ref {
	key := 12
	for k := range s.Secrets {
		for j := range s.Controls + 1 {
			key = min(key, len(s.Candidate(k, j)))
		}
	}
	type cand struct {
		ref  Ref
		text string
	}
	heads := make(map[string][]cand)
	for k := range s.Secrets {
		for j := range s.Controls + 1 {
			t := s.Candidate(k, j)
			heads[t[:key]] = append(heads[t[:key]], cand{Ref{k, j}, t})
		}
	}
	allowed := make(map[int]map[string]bool)
	for _, r := range record {
		if allowed[r.Secret] == nil {
			allowed[r.Secret] = make(map[string]bool)
		}
		allowed[r.Secret][r.DocID] = true
	}
	var out []Ref
	seen := make(map[Ref]bool)
	for _, d := range docs {
		for i := 0; i+key <= len(d.Text); i++ {
			for _, c := range heads[d.Text[i:i+key]] {
				own := c.ref.Candidate == s.Index(c.ref.Secret) && allowed[c.ref.Secret][d.ID]
				if !own && !seen[c.ref] && strings.HasPrefix(d.Text[i:], c.text) {
					seen[c.ref] = true
					out = append(out, c.ref)
				}
			}
		}
	}
	return out
}
