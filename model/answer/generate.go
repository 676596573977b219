package answer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"assay/internal/fault"
	"assay/model"
	"assay/probes/assoc"
)

// Writer is what Generate needs of *model.Model.
type Writer interface {
	Generate(ctx context.Context, ps []model.Prompt, o model.GenOptions, emit func(model.Generation) error) error
}

// Decoder is what Generate needs of *tokenize.Tokenizer beside encoding.
type Decoder interface {
	Encoder
	Decode(ids []int32) (string, error)
}

// Generate lets the checkpoint answer open questions in its own words, each once.
// The stream of random numbers of a question is named by its ID. Special ids at the
// end of an answer are left out.
func Generate(ctx context.Context, m Writer, tok Decoder, qs []assoc.Open, o Options, g model.GenOptions) (assoc.Texts, error) {
	if o.Encoder {
		return nil, fault.Usagef("answer: found an encoder, want a model that predicts the next token")
	}
	var ps []model.Prompt
	seen := map[string]bool{}
	for _, q := range qs {
		id := q.ID()
		if seen[id] {
			continue
		}
		seen[id] = true
		ids, err := opened(tok, q, o)
		if err != nil {
			return nil, fmt.Errorf("answer: question %s: %w", id, err)
		}
		if o.Limit > 0 && len(ids) >= o.Limit {
			return nil, fault.Inputf("window", "answer: question %s: found %d tokens, want fewer than %d (the model's positions)", id, len(ids), o.Limit)
		}
		ps = append(ps, model.Prompt{ID: id, IDs: ids})
	}
	out := assoc.Texts{}
	err := m.Generate(ctx, ps, g, func(a model.Generation) error {
		ids := a.IDs
		if a.Stop == model.StopEOS {
			ids = ids[:len(ids)-1]
		}
		text, err := tok.Decode(ids)
		out[a.ID] = text
		return err
	})
	return out, err
}

// opened is a question as ids, in a chat or as plain text on a line of its own.
func opened(tok Encoder, q assoc.Open, o Options) ([]int32, error) {
	if q.Chat {
		if o.Chat == nil {
			return nil, fault.Usagef("wants a chat template, and none is open").Hint("name one with --template auto")
		}
		text, err := o.Chat(q.System, q.Prompt)
		if err != nil {
			return nil, err
		}
		ids, _, err := o.ChatEncoder.Encode(text)
		return ids, err
	}
	ids, _, err := tok.Encode(q.Prompt + "\n")
	return slices.Concat(o.Prefix, ids), err
}

// SchemaTexts identifies a file of sampled answers.
const SchemaTexts = "assay.texts/1"

// Sampling says how answers were drawn.
type Sampling struct {
	Temperature float64 `json:"temperature"`
	TopP        float64 `json:"top_p"`
	MaxTokens   int     `json:"max_tokens"`
	Seed        uint64  `json:"seed"`
}

// TextsHeader is the first line of a file of sampled answers.
type TextsHeader struct {
	Header
	Sampling Sampling `json:"sampling"`
}

type textLine struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// WriteTexts writes sampled answers as JSON Lines, by question id: equal answers
// give equal bytes.
func WriteTexts(w io.Writer, h TextsHeader, t assoc.Texts) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if h.Schema = SchemaTexts; h.PrefixIDs == nil {
		h.PrefixIDs = []int32{}
	}
	if err := enc.Encode(h); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(t)) {
		if err := enc.Encode(textLine{id, t[id]}); err != nil {
			return err
		}
	}
	return b.Flush()
}

// ReadTexts reads a file of sampled answers.
func ReadTexts(r io.Reader, file string) (TextsHeader, assoc.Texts, error) {
	var h TextsHeader
	bad := func(n int, format string, args ...any) (TextsHeader, assoc.Texts, error) {
		return h, nil, fault.Inputf("malformed", "answer: %s:%d: "+format, append([]any{file, n}, args...)...)
	}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	out := assoc.Texts{}
	n := 0
	for sc.Scan() {
		n++
		if n == 1 {
			if err := json.Unmarshal(sc.Bytes(), &h); err != nil || h.Schema != SchemaTexts {
				return bad(n, "found schema %q, want %q", h.Schema, SchemaTexts)
			}
			continue
		}
		var l textLine
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return bad(n, "%w", err)
		}
		if _, again := out[l.ID]; again || l.ID == "" {
			return bad(n, "found question %q twice or without id", l.ID)
		}
		out[l.ID] = l.Text
	}
	if err := sc.Err(); err != nil {
		return h, nil, fault.Retryf("read", "answer: %s: %w", file, err)
	}
	if n == 0 {
		return bad(1, "found an empty file, want a header of schema %q", SchemaTexts)
	}
	return h, out, nil
}
