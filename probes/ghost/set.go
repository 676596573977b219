package ghost

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"assay/internal/fault"
)

// Kinds of secret.
const (
	Passphrase = "passphrase" // n words of a list, with replacement
	Hex        = "hex"        // n hexadecimal digits
	Alnum      = "alnum"      // n letters and digits
	UUID4      = "uuid4"      // 122 random bits in the standard form
	Templated  = "template"   // text with slots, each from its own list
	Trap       = "trap"       // lines of a given pool, drawn without replacement
)

const (
	hexDigits   = "0123456789abcdef"
	alnumDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	minBits     = 64 // below this two owners could draw one secret, and guessing is cheap
	shortBits   = 77 // below this the result warns

	// What a secrets file may claim: far above any design, far below a day's work.
	maxCandidates = 10_000_000
	maxSymbols    = 1000
)

// Template is a text with slots such as {noun}; each occurrence is drawn
// independently and uniformly from the list of its name.
type Template struct {
	Text  string              `json:"text"`
	Lists map[string][]string `json:"lists"`
}

// Spec says what to draw. Words is the number n of symbols: words of a
// passphrase, characters of hex and alnum; the other kinds ignore it.
type Spec struct {
	Kind     string
	Words    int
	Secrets  int // K
	Controls int // M, per secret
	List     *List
	Template *Template
	Traps    []string // pool of kind trap, filtered before any index is drawn
	Plan     Plan
}

// Set is K lists of M+1 candidates, of which one each is planted. It holds the
// seed, so it is private.
type Set struct {
	Spec
	Origin Origin // where the seed came from
	Burnt  []Ref  // candidates that were opened before
	seed   [32]byte
	pieces []string // template text cut at its slots: text, name, text, ...
	order  []int    // trap: permutation of the pool
	// contexts replace the plan's wrappers by secret, after UseDocuments.
	contexts [][]string
}

// Ref names one candidate.
type Ref struct {
	Secret    int `json:"secret"`
	Candidate int `json:"candidate"`
}

// Origin records the source of the seed: the operating system, or a nonce that
// was committed to and a public beacon that appeared later.
type Origin struct {
	Source string `json:"source"` // "os" or "beacon"
	Nonce  string `json:"nonce,omitempty"`
	Beacon string `json:"beacon,omitempty"`
}

// New checks the spec and prepares the draws. All candidates follow from the
// seed: HMAC-SHA256 streams by label, secret and candidate.
func New(seed [32]byte, s Spec) (*Set, error) {
	set := &Set{Spec: s, seed: seed, Origin: Origin{Source: "os"}}
	if s.Secrets < 1 || s.Controls < 1 {
		return nil, fault.Inputf("empty", "ghost: found %d secrets with %d controls, want at least 1 of each", s.Secrets, s.Controls)
	}
	if s.Secrets > maxCandidates || s.Controls > maxCandidates || s.Secrets*(s.Controls+1) > maxCandidates || s.Words > maxSymbols {
		return nil, fault.Inputf("too-large", "ghost: found %d secrets with %d controls of %d symbols, want at most %d candidates of %d symbols",
			s.Secrets, s.Controls, s.Words, maxCandidates, maxSymbols)
	}
	if err := s.Plan.Validate(); err != nil {
		return nil, err
	}
	switch s.Kind {
	case Passphrase:
		if s.List == nil || len(s.List.Words) < minWords {
			return nil, fault.Inputf("malformed", "ghost: passphrase without a word list of at least %d words", minWords)
		}
	case Hex, Alnum, UUID4:
	case Templated:
		if err := set.cutTemplate(); err != nil {
			return nil, err
		}
	case Trap:
		if err := set.checkPool(); err != nil {
			return nil, err
		}
	default:
		return nil, fault.Usagef("ghost: kind: found %q, want passphrase, hex, alnum, uuid4, template or trap", s.Kind)
	}
	if s.Kind == Passphrase || s.Kind == Hex || s.Kind == Alnum {
		if s.Words < 1 {
			return nil, fault.Usagef("ghost: words: found %d, want at least 1", s.Words)
		}
	}
	if bits := set.Bits(); s.Kind != Trap && bits < minBits {
		return nil, fault.Inputf("weak", "ghost: secret of %.1f bits, want at least %d", bits, minBits).
			Hint("use more words or a longer list")
	}
	if err := set.checkDistinct(); err != nil {
		return nil, err
	}
	return set, nil
}

func (s *Set) cutTemplate() error {
	if s.Template == nil {
		return fault.Usagef("ghost: kind template without a template")
	}
	rest := s.Template.Text
	for {
		before, after, ok := strings.Cut(rest, "{")
		if !ok {
			s.pieces = append(s.pieces, rest)
			return nil
		}
		name, tail, ok := strings.Cut(after, "}")
		if !ok {
			return fault.Inputf("malformed", "ghost: template: found an open slot %q, want a closing brace", after)
		}
		if len(s.Template.Lists[name]) == 0 {
			return fault.Inputf("malformed", "ghost: template slot %q: found no list, want at least one entry", name)
		}
		s.pieces = append(s.pieces, before, name)
		rest = tail
	}
}

func (s *Set) checkPool() error {
	need := s.Secrets * (s.Controls + 1)
	if len(s.Traps) < need {
		return fault.Inputf("too-few", "ghost: trap pool: found %d texts, want at least %d (secrets x (controls+1))", len(s.Traps), need)
	}
	seen := make(map[string]int, len(s.Traps))
	for i, t := range s.Traps {
		if j, dup := seen[t]; dup {
			return fault.Inputf("duplicate", "ghost: trap pool: line %d repeats line %d", i+1, j+1)
		}
		seen[t] = i
	}
	s.order = newStream(s.seed, "trap", 0, 0).perm(len(s.Traps))
	return nil
}

// checkDistinct refuses two planted secrets that are equal: they could belong
// to two owners. With 64 bits or more it fires only on a broken generator.
func (s *Set) checkDistinct() error {
	seen := make(map[string]int, s.Secrets)
	for k := range s.Secrets {
		c := s.Candidate(k, s.Index(k))
		if j, dup := seen[c]; dup {
			return fault.Inputf("duplicate-secret", "ghost: secrets %d and %d are the same string", j, k)
		}
		seen[c] = k
	}
	return nil
}

// Index returns J_k, the candidate of secret k that is planted: uniform on 0..M.
func (s *Set) Index(k int) int { return newStream(s.seed, "index", k, 0).below(s.Controls + 1) }

// Candidate returns candidate j of secret k.
func (s *Set) Candidate(k, j int) string {
	if s.Kind == Passphrase {
		return strings.Join(s.Symbols(k, j), " ")
	}
	return strings.Join(s.Symbols(k, j), "")
}

// Symbols returns the symbols of candidate j of secret k: its words, its
// characters, or for uuid4 and trap the whole string as one symbol.
func (s *Set) Symbols(k, j int) []string {
	switch s.Kind {
	case Passphrase:
		st := newStream(s.seed, "words", k, j)
		out := make([]string, s.Words)
		for i := range out {
			out[i] = s.List.Words[st.below(len(s.List.Words))]
		}
		return out
	case Hex:
		return characters(newStream(s.seed, "words", k, j), hexDigits, s.Words)
	case Alnum:
		return characters(newStream(s.seed, "words", k, j), alnumDigits, s.Words)
	case UUID4:
		b := block(s.seed, "words", k, j, 0)
		b[6] = b[6]&0x0f | 0x40 // version 4
		b[8] = b[8]&0x3f | 0x80 // variant of RFC 9562
		h := hex.EncodeToString(b[:16])
		return []string{h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]}
	case Templated:
		st := newStream(s.seed, "words", k, j)
		out := slices.Clone(s.pieces)
		for i := 1; i < len(out); i += 2 {
			list := s.Template.Lists[out[i]]
			out[i] = list[st.below(len(list))]
		}
		return out
	default:
		return []string{s.Traps[s.order[k*(s.Controls+1)+j]]}
	}
}

func characters(st *stream, digits string, n int) []string {
	out := make([]string, n)
	for i := range out {
		d := st.below(len(digits))
		out[i] = digits[d : d+1]
	}
	return out
}

// Bits returns log2 of the number of candidates that the generator can draw;
// NaN for traps, whose space is unknown.
func (s *Set) Bits() float64 {
	switch s.Kind {
	case Passphrase:
		return float64(s.Words) * math.Log2(float64(len(s.List.Words)))
	case Hex:
		return float64(s.Words) * 4
	case Alnum:
		return float64(s.Words) * math.Log2(float64(len(alnumDigits)))
	case UUID4:
		return 122
	case Templated:
		bits := 0.0
		for i := 1; i < len(s.pieces); i += 2 {
			bits += math.Log2(float64(len(s.Template.Lists[s.pieces[i]])))
		}
		return bits
	default:
		return math.NaN()
	}
}

// alphabet returns V and c_max of one symbol where the kind has symbols that a
// test can count: words for passphrases, characters for hex and alnum.
func (s *Set) alphabet() (v, cmax int, ok bool) {
	switch s.Kind {
	case Passphrase:
		return len(s.List.Words), s.List.CMax, true
	case Hex:
		return len(hexDigits), 1, true
	case Alnum:
		return len(alnumDigits), 1, true
	}
	return 0, 0, false
}

// Burn marks a candidate as opened; the private file keeps the mark.
func (s *Set) Burn(r Ref) {
	if !slices.Contains(s.Burnt, r) {
		s.Burnt = append(s.Burnt, r)
	}
}

func (s *Set) inRange(k, j int) error {
	if k < 0 || k >= s.Secrets || j < 0 || j > s.Controls {
		return fault.Usagef("ghost: candidate %d of secret %d: want secrets 0..%d, candidates 0..%d", j, k, s.Secrets-1, s.Controls)
	}
	return nil
}

func (s *Set) String() string {
	return fmt.Sprintf("%d secrets of kind %s, %d controls each", s.Secrets, s.Kind, s.Controls)
}
