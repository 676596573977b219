package score

import (
	"strings"

	"assay/internal/fault"
	"assay/tokenize/text"
)

// Encoder is what this package needs of a tokenizer; *tokenize.Tokenizer satisfies it.
type Encoder interface {
	// Encode returns ids without specials and the byte offset at which each ends.
	Encode(text string) (ids []int32, ends []int64, err error)
	Digest() string
	Specials() string
	Template() (prefix, suffix []int32)
	BOS() (int32, bool)
	EOS() (int32, bool)
	AddBOS() (add, said bool)
	SpecialIn(text string) (token string, ok bool)
}

// Seams: how a context and a text meet.
const (
	// SeamJoint tokenizes context and text as one string, the way a model meets
	// them; trailing spaces of the context move to the text first.
	SeamJoint = "joint"
	// SeamSeparate tokenizes both alone (ReCaLL).
	SeamSeparate = "separate"
)

// encoded is one document as ids.
type encoded struct {
	ids      []int32
	context  []int32
	text     string
	off      []int64 // tiles, nil for ids input
	len      []int32
	dropped  int  // bytes that the tokenizer dropped
	straddle bool // a token crossed the seam
}

// encode turns a document into ids and byte tiles.
func encode(enc Encoder, d *text.Doc, seam string) (encoded, error) {
	if !d.HasText {
		return encoded{ids: d.IDs, context: d.ContextIDs}, nil
	}
	if enc == nil {
		return encoded{}, fault.Inputf("no-tokenizer", "score: document %q is text, and there is no tokenizer", d.ID).
			Hint("give token ids instead (--ids), or a tokenizer.json (--tokenizer)")
	}
	if d.Context == "" {
		ids, ends, err := enc.Encode(d.Text)
		if err != nil {
			return encoded{}, wrap(d.ID, err)
		}
		return tiled(encoded{ids: ids, text: d.Text}, ends), nil
	}
	if seam == SeamSeparate {
		ctx, _, err := enc.Encode(d.Context)
		if err != nil {
			return encoded{}, wrap(d.ID, err)
		}
		ids, ends, err := enc.Encode(d.Text)
		if err != nil {
			return encoded{}, wrap(d.ID, err)
		}
		return tiled(encoded{ids: ids, context: ctx, text: d.Text}, ends), nil
	}
	context := strings.TrimRight(d.Context, " ")
	ids, ends, err := enc.Encode(d.Context + d.Text)
	if err != nil {
		return encoded{}, wrap(d.ID, err)
	}
	// Rows are the tokens that end after the seam, which stands before the
	// context's trailing spaces. Tiles count from the document's own first byte.
	cut, seamAt := 0, int64(len(context))
	for cut < len(ends) && ends[cut] <= seamAt {
		cut++
	}
	var before int64
	if cut > 0 {
		before = ends[cut-1]
	}
	e := encoded{context: ids[:cut], ids: ids[cut:], text: d.Text, straddle: cut < len(ids) && before < seamAt}
	rest := make([]int64, len(ids)-cut)
	for i := range rest {
		rest[i] = max(0, ends[cut+i]-int64(len(d.Context)))
	}
	return tiled(e, rest), nil
}

func tiled(e encoded, ends []int64) encoded {
	e.off, e.len, e.dropped = text.Tiles(ends, e.text)
	return e
}

func wrap(id string, err error) error {
	f := fault.As(err)
	if f == nil {
		return fault.Inputf("text", "score: document %q: %w", id, err)
	}
	return &fault.Fault{Class: f.Class, Code: f.Code, Hints: f.Hints, Err: fault.New(f.Class, f.Code, "score: document %q: %w", id, err)}
}
