package weat

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/probes/assoc/perm"
	"assay/probes/stat"
)

// Context is one prompt for one word: the state is read over the span of
// Response, which follows Prompt. In a causal model nothing after the word
// matters, so prompts end where the word begins.
type Context struct{ Word, Prompt, Response string }

// Mention8 are templates that fit any class of word. The first token of a text
// is never the word's: position 0 attracts attention whatever it says.
func Mention8() []string {
	return []string{
		"The next word on the list is {w}",
		"Someone wrote down {w}",
		"The sign on the door reads {w}",
		"One entry in the dictionary is {w}",
		"The last word of the line was {w}",
		"In the corner of the page it says {w}",
		"Please repeat after me: {w}",
		"The search returned a page about {w}",
	}
}

// CheckTemplates refuses templates that lack {w}, hold it twice, do not end
// with it where the model is causal, or hold one of the words under test.
func CheckTemplates(templates, words []string, causal bool) error {
	if len(templates) == 0 {
		return fault.Inputf("bad-template", "weat: templates: found none, want at least one line with {w}")
	}
	for i, t := range templates {
		bad := func(format string, args ...any) error {
			return fault.Inputf("bad-template", "weat: template %d %q: "+format, append([]any{i + 1, t}, args...)...)
		}
		if n := strings.Count(t, "{w}"); n != 1 {
			return bad("found {w} %d times, want once", n)
		}
		if causal && !strings.HasSuffix(t, "{w}") {
			return bad("found text after {w}, want {w} at the end: a causal model reads the word before it")
		}
		if strings.HasPrefix(t, "{w}") {
			return bad("found {w} at the start, want words before it: the first position is an attention sink")
		}
		for _, w := range words {
			if containsWord(strings.Replace(t, "{w}", " ", 1), w) {
				return bad("found the word %q of the test", w)
			}
		}
	}
	return nil
}

// containsWord looks for w on word borders, case folded.
func containsWord(text, w string) bool {
	letters := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
			return strings.ContainsRune(" \t.,:;!?\"()[]{}", r)
		})
	}
	t, f := letters(text), letters(w)
	if len(f) == 0 {
		return false
	}
	for i := 0; i+len(f) <= len(t); i++ {
		if slices.Equal(t[i:i+len(f)], f) {
			return true
		}
	}
	return false
}

// Plan expands templates for words, word by word in the order given: context i
// of a word comes from template i, which CEAT and SDContexts rely on.
func Plan(templates, words []string) []Context {
	var out []Context
	seen := map[string]bool{}
	for _, w := range words {
		if seen[w] {
			continue
		}
		seen[w] = true
		for _, t := range templates {
			before, after, _ := strings.Cut(t, "{w}")
			out = append(out, Context{Word: w, Prompt: strings.TrimSuffix(before, " "), Response: sep(before) + w + after})
		}
	}
	return out
}

func sep(before string) string {
	if strings.HasSuffix(before, " ") {
		return " "
	}
	return ""
}

// States holds the vectors of words in their contexts, in the order planned.
// As a Space it gives each word the mean of its raw vectors.
type States struct {
	dim    int
	vec    map[string][][]float64
	pieces map[string]int
}

// NewStates prepares for states of the given width.
func NewStates(dim int) *States {
	return &States{dim: dim, vec: map[string][][]float64{}, pieces: map[string]int{}}
}

// Add appends the state of a word in its next context. tokens is the number of
// tokens of the word, 0 if unknown.
func (s *States) Add(word string, state []float64, tokens int) error {
	if len(state) != s.dim {
		return fault.Inputf("missing-states", "weat: states: word %q: found %d numbers, want %d", word, len(state), s.dim)
	}
	s.vec[word] = append(s.vec[word], slices.Clone(state))
	s.pieces[word] = tokens
	return nil
}

// Dim returns the width.
func (s *States) Dim() int { return s.dim }

// Pieces returns the number of tokens of a word.
func (s *States) Pieces(word string) int { return s.pieces[word] }

// Vector returns the mean over contexts.
func (s *States) Vector(word string) ([]float64, Why) {
	v := s.vec[word]
	if len(v) == 0 {
		return nil, Absent
	}
	return PoolMean.Join(v)
}

// contexts returns the number of contexts of the words, which must agree for
// statistics that pair them; 0 if they differ.
func (s *States) contexts(words []Scored) int {
	n := -1
	for _, w := range words {
		k := len(s.vec[w.Used])
		if n >= 0 && k != n {
			return 0
		}
		n = k
	}
	return max(n, 0)
}

func (s *States) fewest(words []Scored) int {
	n := math.MaxInt
	for _, w := range words {
		n = min(n, len(s.vec[w.Used]))
	}
	return n
}

// ScoreStates scores words by the mean of their raw vectors over contexts, and
// adds how far d moves between single contexts.
func ScoreStates(t Test, s *States, shift Shift, o LossOptions) (Scores, error) {
	sc, err := Score(t, Shifted{s, shift}, o)
	if err != nil || sc.Undefined != "" {
		return sc, err
	}
	all := slices.Concat(sc.X, sc.Y, sc.A, sc.B)
	sc.Contexts = s.fewest(all)
	n := s.contexts(all)
	if n < 2 {
		return sc, nil
	}
	units, err := s.units(all, shift)
	if err != nil {
		return sc, err
	}
	ds := make([]float64, 0, n)
	for c := range n {
		pick := make([][]float64, len(all))
		for i := range all {
			pick[i] = units[i][c]
		}
		x, y := sc.onePick(pick)
		if d := effectD(x, y); finite(d) {
			ds = append(ds, d)
		}
	}
	if len(ds) > 1 {
		_, v := stat.MeanVar(ds)
		sd := math.Sqrt(v)
		sc.SDContexts = &sd
	}
	return sc, nil
}

// units returns every state at length 1, by word and context.
func (s *States) units(words []Scored, shift Shift) ([][][]float64, error) {
	out := make([][][]float64, len(words))
	for i, w := range words {
		for c, v := range s.vec[w.Used] {
			u, why := unit(shift.Apply(v))
			if why != "" {
				return nil, fault.Inputf("missing-states", "weat: states: word %q, context %d: found a %s state", w.Used, c+1, why)
			}
			out[i] = append(out[i], u)
		}
	}
	return out, nil
}

// onePick returns s of X and Y when every word has one vector, in set order.
func (sc Scores) onePick(pick [][]float64) (x, y []float64) {
	nx, ny, na := len(sc.X), len(sc.Y), len(sc.A)
	g := make([]float64, len(pick[0]))
	for j, u := range pick[nx+ny:] {
		w := 1 / float64(na)
		if j >= na {
			w = -1 / float64(len(sc.B))
		}
		for k, q := range u {
			g[k] += w * q
		}
	}
	s := make([]float64, nx+ny)
	for i := range s {
		s[i] = dot(pick[i], g)
	}
	return s[:nx], s[nx:]
}

// ScoreSentences scores states of sentences with the word as the unit (SEAT by
// words): every cosine of two words is the mean over their pairs of sentences,
// so whole words are permuted. The tail with sentences as units is kept as a
// number, never as a p-value: repeating a sentence shrinks it without bound.
func ScoreSentences(t Test, s *States, shift Shift, o LossOptions) (Scores, error) {
	_, sc, err := gather(t, Shifted{s, shift}, o)
	if err != nil || sc.Undefined != "" {
		return sc, err
	}
	all := slices.Concat(sc.X, sc.Y, sc.A, sc.B)
	units, err := s.units(all, shift)
	if err != nil {
		return sc, err
	}
	means := make([][]float64, len(all))
	for i, u := range units {
		means[i], _ = PoolMean.Join(u)
	}
	sc.Contexts, sc.Sentences = s.fewest(all), true
	nt := len(sc.X) + len(sc.Y)
	sc = sc.withCosines(means[:nt], means[nt:])
	e := sc.sentenceEffect(units)
	tail := e.LogPNorm / math.Ln10
	sc.SentenceTail = &tail
	return sc, nil
}

// sentenceEffect treats every sentence of X and Y as a unit.
func (sc Scores) sentenceEffect(units [][][]float64) Effect {
	nx, ny, na := len(sc.X), len(sc.Y), len(sc.A)
	flat := func(us [][][]float64) []float64 { m, _ := PoolMean.Join(slices.Concat(us...)); return m }
	g := flat(units[nx+ny : nx+ny+na])
	for i, b := range flat(units[nx+ny+na:]) {
		g[i] -= b
	}
	each := func(us [][][]float64) (out []float64) {
		for _, u := range slices.Concat(us...) {
			out = append(out, dot(u, g))
		}
		return out
	}
	return Sizes(each(units[:nx]), each(units[nx:nx+ny]))
}

// Combined is a random-effects combination of effect sizes.
type Combined struct {
	Q, C, Tau2, I2 float64
	D, V, Z        float64 // combined effect, its variance, D/sqrt V
	Log10P         float64 // upper normal tail of Z; descriptive only
}

// Combine pools effects d with variances v (DerSimonian and Laird 1986), as
// CEAT does. v there is not the sampling variance of d and draws reuse words,
// so Log10P falls without bound as draws are added: it is no p-value.
func Combine(d, v []float64) (Combined, error) {
	if len(d) == 0 || len(d) != len(v) {
		return Combined{}, fault.Inputf("too-few", "weat: combine: found %d effects and %d variances, want as many of each, 1 or more", len(d), len(v))
	}
	var sw, sw2, swd float64
	for i, x := range v {
		if !(x > 0) || !finite(d[i]) || !finite(x) {
			return Combined{}, fault.Inputf("nonfinite", "weat: combine: effect %d: found %v with variance %v, want finite and positive", i+1, d[i], x)
		}
		sw, sw2, swd = sw+1/x, sw2+1/(x*x), swd+d[i]/x
	}
	var c Combined
	for i, x := range v {
		c.Q += (d[i] - swd/sw) * (d[i] - swd/sw) / x
	}
	df := float64(len(d) - 1)
	if c.C = sw - sw2/sw; c.C > 0 {
		c.Tau2 = max(0, (c.Q-df)/c.C)
	}
	if c.Q > 0 {
		c.I2 = max(0, (c.Q-df)/c.Q)
	}
	var ws, wsd float64
	for i, x := range v {
		w := 1 / (x + c.Tau2)
		ws, wsd = ws+w, wsd+w*d[i]
	}
	c.D, c.V = wsd/ws, 1/ws
	c.Z = c.D / math.Sqrt(c.V)
	c.Log10P = log10Normal(c.Z)
	return c, nil
}

// Draws are the effects of CEAT's draws and their spreads.
type Draws struct {
	D, V    []float64
	Dropped int // draws whose s were all equal
}

// Draw takes one context a word, r = 1..draws, words in the order X, Y, A, B.
func Draw(t Test, s *States, shift Shift, draws int, seed uint64, o LossOptions) (Draws, Scores, error) {
	sc, err := ScoreStates(t, s, shift, o)
	if err != nil || sc.Undefined != "" {
		return Draws{}, sc, err
	}
	if draws < 1 {
		return Draws{}, sc, fault.Usagef("weat: draws: found %d, want 1 or more", draws)
	}
	all := slices.Concat(sc.X, sc.Y, sc.A, sc.B)
	units, err := s.units(all, shift)
	if err != nil {
		return Draws{}, sc, err
	}
	var out Draws
	pick := make([][]float64, len(all))
	for r := 1; r <= draws; r++ {
		g := perm.Replicate(seed, r)
		for i := range all {
			pick[i] = units[i][g.Index(len(units[i]))]
		}
		x, y := sc.onePick(pick)
		d := effectD(x, y)
		if !finite(d) {
			out.Dropped++
			continue
		}
		_, v := stat.MeanVar(slices.Concat(x, y))
		out.D, out.V = append(out.D, d), append(out.V, v)
	}
	if len(out.D) == 0 {
		return out, sc, fault.Inputf("too-few", "weat: test %q: found equal scores in all %d draws", t.ID, draws)
	}
	return out, sc, nil
}

func (d Draws) String() string { return fmt.Sprintf("%d draws, %d dropped", len(d.D), d.Dropped) }

// Quantiles returns the type-7 quantiles of the drawn effects.
func (d Draws) Quantiles(at ...float64) []float64 {
	sorted := slices.Sorted(slices.Values(d.D))
	out := make([]float64, len(at))
	for i, q := range at {
		out[i] = stat.Quantile(sorted, q)
	}
	return out
}
