package membership

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"

	"assay/internal/fault"
)

const thresholdsSchema = "assay.thresholds/1"

// Thresholds are a user's own: per score and length, the value that at most a share
// alpha of exchangeable controls reaches. They hold for the weights and tokenizer
// that they were made with and for nothing else; there are no built-in ones.
type Thresholds struct {
	Schema    string      `json:"schema"`
	Weights   string      `json:"weights"`
	Tokenizer string      `json:"tokenizer"`
	Policy    string      `json:"policy"`
	Alpha     float64     `json:"alpha"`
	Buckets   []Threshold `json:"buckets"`
}

// Threshold of one score for texts of Lo..Hi-1 scored tokens.
type Threshold struct {
	Score    string   `json:"score"`
	Lo       int      `json:"tokens_from"`
	Hi       int      `json:"tokens_below"`
	Controls int      `json:"controls"`
	Value    *float64 `json:"value"` // null: too few controls for this alpha
}

// Calibrate makes thresholds from controls by the conformal rule: the smallest value t
// with (1 + #{controls >= t})/(C+1) <= alpha. Lengths are kept apart in powers of two,
// because most scores change with length.
func Calibrate(t Table, alpha float64) (Thresholds, error) {
	if !(alpha > 0 && alpha < 1) {
		return Thresholds{}, fault.Usagef("membership: alpha: found %v, want a number in (0, 1)", alpha)
	}
	out := Thresholds{Schema: thresholdsSchema, Weights: t.Weights, Tokenizer: t.Tokenizer, Policy: t.Policy, Alpha: alpha, Buckets: []Threshold{}}
	for i, name := range t.Names {
		by := make(map[int][]float64)
		for _, r := range t.Rows {
			if r.Tokens > 0 {
				v := r.Score[i]
				if math.IsNaN(v) {
					v = math.Inf(1) // undefined: the worst case for whoever uses the threshold
				}
				by[bucket(r.Tokens)] = append(by[bucket(r.Tokens)], v)
			}
		}
		for lo := 1; lo <= 1<<30; lo *= 2 {
			c := by[lo]
			if c == nil {
				continue
			}
			out.Buckets = append(out.Buckets, Threshold{Score: name, Lo: lo, Hi: 2 * lo, Controls: len(c), Value: conformalThreshold(c, alpha)})
		}
	}
	if len(out.Buckets) == 0 {
		return out, fault.Inputf("empty", "membership: calibrate: found no scored control among %d", len(t.Rows))
	}
	return out, nil
}

func bucket(tokens int) int {
	lo := 1
	for 2*lo <= tokens {
		lo *= 2
	}
	return lo
}

// conformalThreshold: any score strictly above it has p <= alpha.
func conformalThreshold(c []float64, alpha float64) *float64 {
	slices.Sort(c)
	allowed := int(math.Floor(alpha*float64(len(c)+1)+1e-9)) - 1 // controls that may reach it
	if allowed < 0 {
		return nil
	}
	v := c[len(c)-1-allowed]
	v = math.Nextafter(v, math.Inf(1))
	if math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Find returns the threshold of a score for a text of some length.
func (t Thresholds) Find(score string, tokens int) (Threshold, bool) {
	for _, b := range t.Buckets {
		if b.Score == score && tokens >= b.Lo && tokens < b.Hi {
			return b, true
		}
	}
	return Threshold{}, false
}

// ReadThresholds reads thresholds and refuses those of other weights.
func ReadThresholds(r io.Reader, weights string) (Thresholds, error) {
	var t Thresholds
	d := json.NewDecoder(io.LimitReader(r, 16<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return t, fault.Retryf("truncated", "membership: thresholds: the document ends early: %w", err)
		}
		return t, fault.Inputf("malformed", "membership: thresholds: %w", err)
	}
	if t.Schema != thresholdsSchema {
		return t, fault.Inputf("malformed", "membership: thresholds: schema: found %q, want %q", t.Schema, thresholdsSchema)
	}
	if t.Weights != weights {
		return t, fault.Inputf("weights", "membership: thresholds: found weights %.20s, want %.20s: thresholds do not carry over to another checkpoint", t.Weights, weights)
	}
	return t, nil
}
