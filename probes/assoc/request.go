package assoc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"assay/internal/fault"
)

// Request asks for the log-probability of each target after a prompt. With a
// trailing space in Prompt the scorer moves the space to the target: one text
// is tokenised, and a target's tokens end after the seam.
type Request struct {
	Role    string // "a": the checkpoint under test
	System  string
	Prompt  string
	Chat    bool   // wrap in the chat template; needed when System is set
	Prefix  string // with Chat: how the answer begins, before the target
	Targets []string
	Masked  bool // pseudo-log-likelihood: each token of the target masked in turn (encoders)
}

// ID returns the first 32 hex digits of the SHA-256 of the canonical JSON: keys
// sorted, no spaces, empty fields out, nothing escaped but quotes, backslashes
// and control characters.
func (r Request) ID() string {
	sum := sha256.Sum256([]byte(r.canonical()))
	return hex.EncodeToString(sum[:16])
}

func (r Request) canonical() string {
	var b strings.Builder
	b.WriteByte('{')
	field := func(key, value string) {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + key + `":` + value)
	}
	if r.Chat {
		field("chat", "true")
	}
	field("kind", `"score"`)
	if r.Masked {
		field("masked", "true")
	}
	for _, f := range [][2]string{{"prefix", r.Prefix}, {"prompt", r.Prompt}, {"role", r.role()}, {"system", r.System}} {
		if f[1] != "" {
			field(f[0], quote(f[1]))
		}
	}
	if len(r.Targets) > 0 {
		q := make([]string, len(r.Targets))
		for i, t := range r.Targets {
			q[i] = quote(t)
		}
		field("targets", "["+strings.Join(q, ",")+"]")
	}
	b.WriteByte('}')
	return b.String()
}

func (r Request) role() string {
	if r.Role == "" {
		return "a"
	}
	return r.Role
}

// quote writes a JSON string with the fewest escapes; encoding/json would also
// escape U+2028, and others do not.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\b':
			b.WriteString(`\b`)
		case c == '\f':
			b.WriteString(`\f`)
		case c < 0x20:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Token is one scored token of a target.
type Token struct {
	ID       int32
	Off, Len int // bytes of the target's text (of the prompt's last space if it was moved)
	LogProb  float64
}

// Answer is the scored target of a request.
type Answer struct {
	Tokens   []Token
	Straddle bool // a token crosses the seam between prompt and target
}

// LL returns the log-probability of the whole target, nats.
func (a Answer) LL() float64 {
	var s float64
	for _, t := range a.Tokens {
		s += t.LogProb
	}
	return s
}

// Evidence holds answers by request ID, one per target in the order asked.
type Evidence interface {
	Score(id string) (answers []Answer, ok bool)
}

// Map is Evidence in memory.
type Map map[string][]Answer

// Score returns the answers to a request.
func (m Map) Score(id string) ([]Answer, bool) {
	a, ok := m[id]
	return a, ok
}

// Ask returns the answers to a request, checked.
func Ask(ev Evidence, r Request) ([]Answer, error) {
	id := r.ID()
	answers, ok := ev.Score(id)
	if !ok {
		return nil, fault.Inputf("unanswered", "assoc: request %s: found no answer for prompt %q", id, clip(r.Prompt)).
			Hint("score the requests of this probe first; evidence made with other options has other requests")
	}
	if len(answers) != len(r.Targets) {
		return nil, fault.Inputf("malformed", "assoc: request %s: found %d answers, want %d", id, len(answers), len(r.Targets))
	}
	for i, a := range answers {
		if len(a.Tokens) == 0 {
			return nil, fault.Inputf("malformed", "assoc: request %s: target %q: found no tokens", id, r.Targets[i])
		}
		for _, t := range a.Tokens {
			if !(t.LogProb <= 1e-6) || t.LogProb < -1e9 {
				return nil, fault.Inputf("nonfinite", "assoc: request %s: target %q: found log-probability %v, want a finite number up to 0", id, r.Targets[i], t.LogProb)
			}
		}
	}
	return answers, nil
}

// Missing returns the requests without an answer, each once.
func Missing(ev Evidence, rs []Request) []Request {
	var out []Request
	seen := map[string]bool{}
	for _, r := range rs {
		id := r.ID()
		if _, ok := ev.Score(id); !ok && !seen[id] {
			out = append(out, r)
		}
		seen[id] = true
	}
	return out
}

func clip(s string) string {
	if len(s) <= 60 {
		return s
	}
	n := 60
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
