package weat

import (
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// WordScore is the association of one word with A against B.
type WordScore struct {
	Word     string
	Score    float64   // mean cosine to A less mean to B, over the SD (ddof 1) of all na+nb cosines
	MeanDiff float64   // numerator of Score
	Tail     perm.Tail // attributes relabelled, upper tail
}

// Words scores single words against two attribute sets. o.Alt does not apply:
// the tail is the upper one, exact where the counts allow.
func Words(words []string, a, b Set, sp Space, o LossOptions) ([]WordScore, []Lost, error) {
	t := Test{ID: "words", X: Set{Words: words}, Y: Set{Words: []string{"\x00"}}, A: a, B: b}
	if err := o.Validate(); err != nil {
		return nil, nil, err
	}
	if err := t.Validate(o.AllowOverlap); err != nil {
		return nil, nil, err
	}
	found, lost, _ := o.lookup("X", words, sp)
	var attr [2][]vector
	for k, s := range []Set{a, b} {
		v, l, _ := o.lookup(letters[2+k], s.Words, sp)
		lost = append(lost, l...)
		if len(v) < o.MinWords || float64(len(l)) > o.MaxMissing*float64(len(s.Words)) {
			return nil, lost, fault.Inputf("bad-wordsets", "weat: words: set %s keeps %d of %d words, want %d or more; lost: %s",
				letters[2+k], len(v), len(s.Words), o.MinWords, names(l))
		}
		attr[k] = v
	}
	out := make([]WordScore, len(found))
	for i, w := range found {
		ca, cb := cosines(w, attr[0]), cosines(w, attr[1])
		tail, err := perm.TwoSample(ca, cb, perm.Greater, perm.Options{})
		if err != nil {
			return nil, lost, err
		}
		out[i] = WordScore{Word: w.scored.Word, Score: effectD(ca, cb), MeanDiff: mean(ca) - mean(cb), Tail: tail}
	}
	return out, lost, nil
}

func cosines(w vector, to []vector) []float64 {
	out := make([]float64, len(to))
	for i, v := range to {
		out[i] = dot(w.unit, v.unit)
	}
	return out
}

// Correlation is the agreement of word scores with a property of the world.
type Correlation struct {
	N                int
	R, T             float64
	FisherLo, Fisher float64 // 95 % limits of R
	LogPTwo          float64 // ln, Student with N-2 df
	Spearman         float64
	Scores           []WordScore
	Values           []float64
	Lost             []Lost
}

// Holm returns the words' log10 tails adjusted over the list, in their order.
func (c Correlation) Holm() []float64 {
	logs := make([]float64, len(c.Scores))
	for i, s := range c.Scores {
		logs[i] = s.Tail.Log10P * math.Ln10
	}
	out := stat.Holm(logs)
	for i := range out {
		out[i] /= math.Ln10
	}
	return out
}

// WEFAT correlates the association of each word with the value of a property.
// Words without a vector are named and left out; fewer than 4 words, repeated
// words and a constant property are faults of code bad-property.
func WEFAT(l WEFATList, sp Space, o LossOptions) (Correlation, error) {
	bad := func(format string, args ...any) error {
		return fault.Inputf("bad-property", "weat: property of %q: "+format, append([]any{l.Name}, args...)...)
	}
	if len(l.Words) != len(l.Values) {
		return Correlation{}, bad("found %d words and %d values, want as many of each", len(l.Words), len(l.Values))
	}
	value := map[string]float64{}
	for i, w := range l.Words {
		if _, ok := value[w]; ok {
			return Correlation{}, bad("found the word %q twice", w)
		}
		if !finite(l.Values[i]) {
			return Correlation{}, bad("word %q: found %v, want a finite number", w, l.Values[i])
		}
		value[w] = l.Values[i]
	}
	o.AllowOverlap = true // a word scored against itself as an attribute is the list's business
	scores, lost, err := Words(l.Words, l.A, l.B, sp, o)
	if err != nil {
		return Correlation{Lost: lost}, err
	}
	c := Correlation{N: len(scores), Scores: scores, Lost: lost}
	var s []float64
	for _, w := range scores {
		if !finite(w.Score) {
			return c, bad("word %q: found equal cosines to all attributes, no score", w.Word)
		}
		s, c.Values = append(s, w.Score), append(c.Values, value[w.Word])
	}
	if c.N < 4 {
		return c, bad("found %d words with a vector, want 4 or more; lost: %s", c.N, names(lost))
	}
	if slices.Max(c.Values) == slices.Min(c.Values) {
		return c, bad("found the value %v for every word, want two or more values", c.Values[0])
	}
	if c.R, err = stat.Pearson(s, c.Values); err != nil {
		return c, bad("%w", err)
	}
	if c.Spearman, err = stat.Spearman(s, c.Values); err != nil {
		return c, bad("%w", err)
	}
	df := float64(c.N - 2)
	c.T = c.R * math.Sqrt(df/(1-c.R*c.R))
	_, c.LogPTwo = stat.LogTailT(c.R, c.N)
	half := stat.NormalQuantile(.975) / math.Sqrt(float64(c.N-3))
	c.FisherLo, c.Fisher = math.Tanh(math.Atanh(c.R)-half), math.Tanh(math.Atanh(c.R)+half)
	return c, nil
}

// Single is one target set alone against the attributes.
type Single struct {
	D    float64 // of h(a) = mean over the set of cos(t, a), A against B
	Tail perm.Tail
}

// Single splits d in its halves: X alone and Y alone.
func (sc Scores) Single(o perm.Options) (x, y Single, err error) {
	nx, na, w := len(sc.X), len(sc.A), len(sc.A)+len(sc.B)
	half := func(from, to int) (Single, error) {
		h := make([]float64, w)
		for j := range h {
			for i := from; i < to; i++ {
				h[j] += sc.K[i*w+j]
			}
			h[j] /= float64(to - from)
		}
		t, err := perm.TwoSample(h[:na], h[na:], perm.Greater, o)
		return Single{effectD(h[:na], h[na:]), t}, err
	}
	if x, err = half(0, nx); err != nil {
		return x, y, err
	}
	y, err = half(nx, nx+len(sc.Y))
	return x, y, err
}
