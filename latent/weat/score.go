package weat

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"assay/internal/fault"
)

// LossOptions say what happens to words that the space does not hold.
type LossOptions struct {
	Map          map[string]string // listed word to the key to look up
	Fallback     []string          // forms to try in order: lower, title, accents
	MaxMissing   float64           // share of a set that may be lost, default .2
	MinWords     int               // that each set must keep, default 4
	AllowOverlap bool              // a word in both X and Y, in both A and B, or twice
	Unequal      string            // UnequalKeep (or "") or UnequalTrim
}

const (
	// UnequalKeep keeps sets of unequal size as they are found.
	UnequalKeep = "keep"
	// UnequalTrim cuts the longer of X and Y, and of A and B, at the end of its
	// list, as published lists were cut; the words are named. Never at random.
	UnequalTrim = "trim-list"
)

// DefaultLoss returns exact lookup, at most a fifth of a set lost, at least 4
// words kept.
func DefaultLoss() LossOptions { return LossOptions{MaxMissing: .2, MinWords: 4} }

// Validate refuses values out of range and unknown fallbacks.
func (o LossOptions) Validate() error {
	if !(o.MaxMissing >= 0 && o.MaxMissing < 1) {
		return fault.Usagef("weat: max-missing: found %v, want 0 to below 1", o.MaxMissing)
	}
	if o.MinWords < 1 {
		return fault.Usagef("weat: min-words: found %d, want 1 or more", o.MinWords)
	}
	for _, f := range o.Fallback {
		if _, err := form(f, ""); err != nil {
			return err
		}
	}
	if o.Unequal != "" && o.Unequal != UnequalKeep && o.Unequal != UnequalTrim {
		return fault.Usagef("weat: unequal: found %q, want keep or trim-list", o.Unequal)
	}
	return nil
}

// form returns another spelling of a word.
func form(name, w string) (string, error) {
	switch name {
	case "lower":
		return strings.ToLower(w), nil
	case "title":
		r, n := utf8.DecodeRuneInString(w)
		return string(unicode.ToTitle(r)) + w[n:], nil
	case "accents":
		var b strings.Builder
		for _, r := range norm.NFD.String(w) {
			if !unicode.Is(unicode.Mn, r) {
				b.WriteRune(r)
			}
		}
		return b.String(), nil
	}
	return "", fault.Usagef("weat: fallback: found %q, want lower, title or accents", name)
}

// Keys returns the keys to look a word up by, the listed one first, with how
// each came about.
func (o LossOptions) Keys(w string) (keys, how []string) {
	keys, how = []string{w}, []string{""}
	add := func(k, h string) {
		if k != "" && !slices.Contains(keys, k) {
			keys, how = append(keys, k), append(how, h)
		}
	}
	add(o.Map[w], "map")
	for _, f := range o.Fallback {
		if k, err := form(f, w); err == nil {
			add(k, f)
		}
	}
	return keys, how
}

// Wanted returns every key that the tests and the extra words may look up:
// what a vector file has to be read for.
func Wanted(tests []Test, o LossOptions, extra ...string) map[string]struct{} {
	out := map[string]struct{}{}
	add := func(words []string) {
		for _, w := range words {
			keys, _ := o.Keys(w)
			for _, k := range keys {
				out[k] = struct{}{}
			}
		}
	}
	for _, t := range tests {
		for _, s := range t.sets() {
			add(s.Words)
		}
	}
	add(extra)
	return out
}

// vector is a word that was found.
type vector struct {
	scored Scored
	unit   []float64
	raw    []float64
}

// lookup finds the words of one set.
func (o LossOptions) lookup(set string, words []string, sp Space) (found []vector, lost []Lost, mapped []Mapped) {
	for _, w := range words {
		keys, how := o.Keys(w)
		why := Absent
		for i, k := range keys {
			v, no := sp.Vector(k)
			if no == Absent {
				continue
			}
			why = no
			if no != "" {
				break
			}
			u, no := unit(v)
			if why = no; no != "" {
				break
			}
			found = append(found, vector{Scored{Word: w, Used: k, LogNorm: logNormOf(sp, k, v), Pieces: piecesOf(sp, k)}, u, v})
			if i > 0 {
				mapped = append(mapped, Mapped{set, w, k, how[i]})
			}
			break
		}
		if why != "" {
			lost = append(lost, Lost{set, w, why})
		}
	}
	return found, lost, mapped
}

// gather looks up all four sets and applies the rules about losses. A reason
// in the second result means that the test is undefined in this space.
func gather(t Test, sp Space, o LossOptions) (sets [4][]vector, sc Scores, err error) {
	if err := o.Validate(); err != nil {
		return sets, sc, err
	}
	if err := t.Validate(o.AllowOverlap); err != nil {
		return sets, sc, err
	}
	sc = Scores{Test: t, Overlap: t.shared()}
	var reasons []string
	for k, s := range t.sets() {
		found, lost, mapped := o.lookup(letters[k], s.Words, sp)
		sets[k] = found
		sc.Lost, sc.Mapped = append(sc.Lost, lost...), append(sc.Mapped, mapped...)
		share := float64(len(lost)) / float64(len(s.Words))
		if share > o.MaxMissing || len(found) < o.MinWords {
			reasons = append(reasons, fmt.Sprintf("set %s keeps %d of %d words, want %d or more and at most %g %% lost; lost: %s",
				letters[k], len(found), len(s.Words), o.MinWords, 100*o.MaxMissing, names(lost)))
		}
	}
	if err := o.clash(t, sets); err != nil {
		return sets, sc, err
	}
	sc.Undefined = strings.Join(reasons, "; ")
	if o.Unequal == UnequalTrim {
		sc.Trimmed = trim(&sets)
	}
	sc.X, sc.Y, sc.A, sc.B = scoredOf(sets[0]), scoredOf(sets[1]), scoredOf(sets[2]), scoredOf(sets[3])
	return sets, sc, nil
}

// trim makes X and Y, and A and B, equal in size.
func trim(sets *[4][]vector) (cut []Lost) {
	for _, pair := range [][2]int{{0, 1}, {2, 3}} {
		n := min(len(sets[pair[0]]), len(sets[pair[1]]))
		for _, k := range pair {
			for _, v := range sets[k][n:] {
				cut = append(cut, Lost{letters[k], v.scored.Word, Cut})
			}
			sets[k] = sets[k][:n]
		}
	}
	return cut
}

func names(lost []Lost) string {
	out := make([]string, len(lost))
	for i, l := range lost {
		out[i] = l.Word
		if l.Why != Absent {
			out[i] += " (" + string(l.Why) + ")"
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// clash refuses a substitution that makes one vector stand for two words.
func (o LossOptions) clash(t Test, sets [4][]vector) error {
	if o.AllowOverlap {
		return nil
	}
	p := setsParser{file: fmt.Sprintf("test %q", t.ID)}
	for _, pair := range [][2]int{{0, 1}, {2, 3}} {
		seen := map[string]string{}
		for _, k := range pair {
			for _, v := range sets[k] {
				if other, ok := seen[v.scored.Used]; ok {
					return p.overlap("set %s: found %q read as %q, which %q is read as too", letters[k], v.scored.Word, v.scored.Used, other)
				}
				seen[v.scored.Used] = v.scored.Word
			}
		}
	}
	return nil
}

func scoredOf(v []vector) []Scored {
	out := make([]Scored, len(v))
	for i := range v {
		out[i] = v[i].scored
	}
	return out
}

// Score finds the words of a test in a space and computes their cosines.
func Score(t Test, sp Space, o LossOptions) (Scores, error) {
	sets, sc, err := gather(t, sp, o)
	if err != nil || sc.Undefined != "" {
		return sc, err
	}
	units := func(vs ...[]vector) (out [][]float64) {
		for _, v := range slices.Concat(vs...) {
			out = append(out, v.unit)
		}
		return out
	}
	return sc.withCosines(units(sets[0], sets[1]), units(sets[2], sets[3])), nil
}

// withCosines fills K and every S from unit vectors (or means of them).
func (sc Scores) withCosines(targets, attributes [][]float64) Scores {
	sc.K = make([]float64, 0, len(targets)*len(attributes))
	for _, u := range targets {
		for _, a := range attributes {
			sc.K = append(sc.K, min(1, max(-1, dot(u, a))))
		}
	}
	return sc.withS()
}

func (sc Scores) withS() Scores {
	s, h := sc.rowDifferences(), sc.columnDifferences()
	for i := range sc.X {
		sc.X[i].S = s[i]
	}
	for i := range sc.Y {
		sc.Y[i].S = s[len(sc.X)+i]
	}
	for i := range sc.A {
		sc.A[i].S = h[i]
	}
	for i := range sc.B {
		sc.B[i].S = h[len(sc.A)+i]
	}
	return sc
}

// rowDifferences returns s of every target: mean over A less mean over B.
func (sc Scores) rowDifferences() []float64 {
	na, nb := len(sc.A), len(sc.B)
	out := make([]float64, len(sc.X)+len(sc.Y))
	for i := range out {
		row := sc.K[i*(na+nb) : (i+1)*(na+nb)]
		out[i] = mean(row[:na]) - mean(row[na:])
	}
	return out
}

// columnDifferences returns h of every attribute: mean over X less mean over Y.
func (sc Scores) columnDifferences() []float64 {
	nx, ny, w := len(sc.X), len(sc.Y), len(sc.A)+len(sc.B)
	out := make([]float64, w)
	for j := range out {
		var x, y float64
		for i := range nx {
			x += sc.K[i*w+j]
		}
		for i := nx; i < nx+ny; i++ {
			y += sc.K[i*w+j]
		}
		out[j] = x/float64(nx) - y/float64(ny)
	}
	return out
}

func mean(v []float64) float64 {
	var s float64
	for _, x := range v {
		s += x
	}
	return s / float64(len(v))
}

func logNorms(s []Scored) []float64 {
	out := make([]float64, len(s))
	for i, w := range s {
		out[i] = w.LogNorm
	}
	return out
}

func values(s []Scored) []float64 {
	out := make([]float64, len(s))
	for i, w := range s {
		out[i] = w.S
	}
	return out
}

// finite reports whether x is a number.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
