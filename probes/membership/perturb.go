package membership

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes/stat"
)

// Edit names one way to disturb a text; Perturb applies it at its share.
type Edit struct {
	Name  string
	Share float64 // of words (synonym) or characters
}

// Edits are the six of dataset inference, in order: copy n of a text has edit n.
func Edits() []Edit {
	return []Edit{{"synonym", .2}, {"keyboard", .1}, {"deletion", .25}, {"case", .25}, {"space", .25}, {"underscore", .25}}
}

// Perturb returns an edited copy, a function of (text, edit, seed) alone. synonyms maps a
// lower-case word to its replacements; words without an entry stay. The result
// is never empty.
func Perturb(text string, e Edit, seed uint64, synonyms map[string][]string) (string, error) {
	rng := stat.NewRand(seed, "perturb:"+e.Name+":"+text, 0)
	var out string
	switch e.Name {
	case "synonym":
		if synonyms == nil {
			return "", fault.Usagef("membership: edit synonym: found no synonym file")
		}
		out = eachWord(text, rng, e.Share, func(w string) string {
			if s := synonyms[strings.ToLower(w)]; len(s) > 0 {
				return s[rng.IntN(len(s))]
			}
			return w
		})
	case "keyboard":
		out = eachRune(text, rng, e.Share, func(r rune) string { return nearKey(r, rng) })
	case "deletion":
		out = eachRune(text, rng, e.Share, func(rune) string { return "" })
	case "case":
		out = eachRune(text, rng, e.Share, func(r rune) string {
			if unicode.IsUpper(r) {
				return string(unicode.ToLower(r))
			}
			return string(unicode.ToUpper(r))
		})
	case "space":
		out = eachRune(text, rng, e.Share, func(r rune) string {
			if unicode.IsSpace(r) {
				return ""
			}
			return string(r) + " "
		})
	case "underscore":
		out = eachRune(text, rng, e.Share, func(r rune) string {
			if unicode.IsSpace(r) {
				return "_"
			}
			return string(r)
		})
	default:
		return "", fault.Usagef("membership: edit: found %q, want synonym, keyboard, deletion, case, space or underscore", e.Name)
	}
	if out == "" {
		return text, nil
	}
	return out, nil
}

func eachRune(text string, rng *rand.Rand, share float64, f func(rune) string) string {
	var b strings.Builder
	for _, r := range text {
		if rng.Float64() < share {
			b.WriteString(f(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// eachWord keeps the white space of the text.
func eachWord(text string, rng *rand.Rand, share float64, f func(string) string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if !unicode.IsLetter(r) {
			b.WriteString(text[i : i+n])
			i += n
			continue
		}
		j := i
		for j < len(text) {
			r, n := utf8.DecodeRuneInString(text[j:])
			if !unicode.IsLetter(r) {
				break
			}
			j += n
		}
		w := text[i:j]
		if rng.Float64() < share {
			w = f(w)
		}
		b.WriteString(w)
		i = j
	}
	return b.String()
}

// nearKey returns a neighbour on a QWERTY keyboard, the case kept.
func nearKey(r rune, rng *rand.Rand) string {
	const rows = "qwertyuiop asdfghjkl zxcvbnm"
	i := strings.IndexRune(rows, unicode.ToLower(r))
	if i < 0 || r == ' ' {
		return string(r)
	}
	var near []byte
	for _, j := range []int{i - 1, i + 1} {
		if j >= 0 && j < len(rows) && rows[j] != ' ' {
			near = append(near, rows[j])
		}
	}
	out := string(near[rng.IntN(len(near))])
	if unicode.IsUpper(r) {
		return strings.ToUpper(out)
	}
	return out
}

// Swap returns a copy with max(1, floor(share words)) random pairs of words exchanged,
// for the score pac. White space becomes one blank.
func Swap(text string, share float64, seed uint64, n uint64) string {
	w := strings.Fields(text)
	if len(w) < 2 {
		return text
	}
	rng := stat.NewRand(seed, "swap:"+text, n)
	for range max(1, int(share*float64(len(w)))) {
		i, j := rng.IntN(len(w)), rng.IntN(len(w))
		w[i], w[j] = w[j], w[i]
	}
	return strings.Join(w, " ")
}

// CheckSynonyms refuses a word without a replacement.
func CheckSynonyms(s map[string][]string) error {
	for w, to := range s {
		if len(to) == 0 || slices.Contains(to, "") {
			return fault.Inputf("malformed", "membership: synonyms: word %q: found %q, want at least one replacement and none empty", w, to)
		}
	}
	return nil
}

// MeanLoss reads the mean log-probability of every scored document of a trace.
func MeanLoss(r *trace.Reader) (map[string]float64, error) {
	out := make(map[string]float64)
	for d, err := range r.Docs() {
		if err != nil {
			return nil, err
		}
		if d.Scored > 0 {
			out[d.ID] = -meanLogProb(d)
		}
	}
	return out, nil
}

// CopyLoss is MeanLoss of edited copies named <id>/<n>, by text and copy.
func CopyLoss(r *trace.Reader) (map[string]map[int]float64, error) {
	flat, err := MeanLoss(r)
	if err != nil {
		return nil, err
	}
	out := make(map[string]map[int]float64)
	for id, v := range flat {
		base, err := copyOf(id)
		if err != nil {
			return nil, err
		}
		n, _ := strconv.Atoi(id[len(base)+1:])
		if out[base] == nil {
			out[base] = make(map[int]float64)
		}
		out[base][n] = v
	}
	return out, nil
}

// PerturbedFeatures adds to every row the ratio and the difference of its mean loss
// under each edited copy; loss holds the mean loss of the text, edited that of copy
// n by document id. A missing copy is an undefined feature.
func (f Features) PerturbedFeatures(loss map[string]float64, edited map[string]map[int]float64) Features {
	out := Features{Names: append([]string(nil), f.Names...)}
	for _, e := range Edits() {
		out.Names = append(out.Names, "ratio:"+e.Name, "diff:"+e.Name)
	}
	for _, r := range f.Rows {
		r.X = append([]float64(nil), r.X...)
		for n := range Edits() {
			y, ok := edited[r.ID][n]
			base, has := loss[r.ID]
			if !ok || !has {
				y = math.NaN()
			}
			r.X = append(r.X, y/base, y-base)
		}
		out.Rows = append(out.Rows, r)
	}
	return out
}
