package answer

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"slices"

	"assay/internal/fault"
	"assay/probes/assoc"
)

// Schema identifies a file of answers.
const Schema = "assay.answers/1"

// Header says what answered. Digests are "sha256:<hex>".
type Header struct {
	Schema    string  `json:"schema"`
	Weights   string  `json:"weights"`
	Config    string  `json:"config"`
	Tokenizer string  `json:"tokenizer"`
	PrefixIDs []int32 `json:"prefix_ids"`
	// Template is the digest of the chat template and its variables; "" if no
	// request was put through one.
	Template string `json:"chat_template,omitempty"`
}

// Same reports whether answers of both headers may stand in one file: one
// checkpoint, one tokenizer, one prefix, and one chat template if both have one.
func (h Header) Same(o Header) bool {
	template := h.Template == o.Template || h.Template == "" || o.Template == ""
	return template && h.Weights == o.Weights && h.Config == o.Config && h.Tokenizer == o.Tokenizer && slices.Equal(h.PrefixIDs, o.PrefixIDs)
}

// line is one request's answers in a file.
type line struct {
	ID      string       `json:"id"`
	Answers []lineAnswer `json:"answers"`
}

type lineAnswer struct {
	Straddle bool        `json:"straddle,omitempty"`
	Tokens   []lineToken `json:"tokens"`
}

type lineToken struct {
	ID      int32   `json:"id"`
	Off     int     `json:"off"`
	Len     int     `json:"len"`
	LogProb float64 `json:"logprob"`
}

// Write writes answers as JSON Lines, the header first, then by request id: equal
// answers give equal bytes.
func Write(w io.Writer, h Header, m assoc.Map) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	h.Schema = Schema
	if h.PrefixIDs == nil {
		h.PrefixIDs = []int32{}
	}
	if err := enc.Encode(h); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(m)) {
		l := line{ID: id}
		for _, a := range m[id] {
			out := lineAnswer{Straddle: a.Straddle, Tokens: []lineToken{}}
			for _, t := range a.Tokens {
				out.Tokens = append(out.Tokens, lineToken(t))
			}
			l.Answers = append(l.Answers, out)
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return b.Flush()
}

// maxLine bounds one line of a file: a request of thousands of targets is 1 MiB.
const maxLine = 64 << 20

// Read reads a file of answers. Values are checked where they are asked for.
func Read(r io.Reader, file string) (Header, assoc.Map, error) {
	var h Header
	bad := func(n int, format string, args ...any) (Header, assoc.Map, error) {
		return h, nil, fault.Inputf("malformed", "answer: %s:%d: "+format, append([]any{file, n}, args...)...)
	}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	out := assoc.Map{}
	n := 0
	for sc.Scan() {
		n++
		if n == 1 {
			if err := json.Unmarshal(sc.Bytes(), &h); err != nil || h.Schema != Schema {
				return bad(n, "found schema %q, want %q", h.Schema, Schema)
			}
			continue
		}
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return bad(n, "%w", err)
		}
		if _, again := out[l.ID]; again || l.ID == "" {
			return bad(n, "found request %q twice or without id", l.ID)
		}
		as := make([]assoc.Answer, len(l.Answers))
		for i, a := range l.Answers {
			as[i].Straddle = a.Straddle
			for _, t := range a.Tokens {
				if t.Off < 0 || t.Len < 0 {
					return bad(n, "found offset %d and length %d, want 0 or more", t.Off, t.Len)
				}
				as[i].Tokens = append(as[i].Tokens, assoc.Token(t))
			}
		}
		out[l.ID] = as
	}
	if err := sc.Err(); err != nil {
		return h, nil, fault.Retryf("read", "answer: %s: %w", file, err)
	}
	if n == 0 {
		return bad(1, "found an empty file, want a header of schema %q", Schema)
	}
	return h, out, nil
}
