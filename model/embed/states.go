package embed

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/model"
)

// Layer is one place where states are read.
type Layer struct {
	Tap   string // model.TapResidPost or model.TapFinalNorm
	Index int
}

// ParseLayer reads a layer of L: a number from 0, a percentage of L (rounded
// half up), last, or final, the output of the final norm, which transformers
// returns as the last hidden state.
func ParseLayer(s string, layers int) (Layer, error) {
	bad := func() (Layer, error) {
		return Layer{}, fault.Usagef("embed: layer %q: want 0 to %d, a percentage such as 50%%, last or final", s, layers)
	}
	switch s {
	case "final":
		return Layer{model.TapFinalNorm, layers}, nil
	case "last":
		return Layer{model.TapResidPost, layers}, nil
	}
	if p, ok := strings.CutSuffix(s, "%"); ok {
		x, err := strconv.ParseFloat(p, 64)
		if err != nil || !(x >= 0 && x <= 100) {
			return bad()
		}
		return Layer{model.TapResidPost, int(math.Floor(x/100*float64(layers) + .5))}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > layers {
		return bad()
	}
	return Layer{model.TapResidPost, n}, nil
}

// String names the layer as ParseLayer reads it.
func (l Layer) String() string {
	if l.Tap == model.TapFinalNorm {
		return "final"
	}
	return strconv.Itoa(l.Index)
}

// Runner is what States needs of a model; *model.Model satisfies it.
type Runner interface {
	Run(ctx context.Context, ws iter.Seq2[model.Window, error], job model.Job) error
}

// Read says what is read of every context.
type Read struct {
	Layers   []Layer
	Pool     weat.Pool // over the tokens that are read
	Sentence bool      // the whole text; false: the word alone
	Prefix   []int32   // ids in front of every text
	Suffix   []int32   // ids behind every text (encoders)
	Limit    int       // longest window; 0 = no limit
	Vocab    int       // ids must be below it
}

// Lost is a word whose pieces do not decode to it in some context.
type Lost struct{ Word, Decoded string }

// span is one context as it is fed.
type span struct {
	word   string
	ids    []int32
	lo, hi int
}

// States reads the contexts in one forward pass and returns the states of the
// words for each layer, in the order of the contexts. Words that do not decode
// to themselves in some context have no state and are named.
func States(ctx context.Context, m Runner, tok Tokenizer, contexts []weat.Context, r Read) (map[Layer]*weat.States, []Lost, error) {
	if len(r.Layers) == 0 || len(contexts) == 0 {
		return nil, nil, fault.Usagef("embed: states: found %d layers and %d contexts, want at least one of each", len(r.Layers), len(contexts))
	}
	spans, lost, err := plan(tok, contexts, r)
	if err != nil {
		return nil, nil, err
	}
	got := map[Layer][][]float64{}
	taps := map[string][]int{}
	for _, l := range r.Layers {
		if got[l] == nil {
			got[l] = make([][]float64, len(spans))
			taps[l.Tap] = append(taps[l.Tap], l.Index)
		}
	}
	job := model.Job{Reduce: func(w model.Window, t model.Tap, layer int, x model.View) error {
		rows, ok := got[Layer{t.Name, layer}]
		if !ok {
			return nil
		}
		v, err := pool(r.Pool, x, spans[w.Doc])
		rows[w.Doc] = v
		return err
	}}
	for _, name := range []string{model.TapResidPost, model.TapFinalNorm} {
		if len(taps[name]) > 0 {
			slices.Sort(taps[name])
			job.Taps = append(job.Taps, model.Tap{Name: name, Layers: taps[name]})
		}
	}
	if err := m.Run(ctx, windows(spans), job); err != nil {
		return nil, nil, err
	}
	out := map[Layer]*weat.States{}
	for l, rows := range got {
		for i, v := range rows {
			if out[l] == nil {
				out[l] = weat.NewStates(len(v))
			}
			if err := out[l].Add(spans[i].word, v, spans[i].hi-spans[i].lo); err != nil {
				return nil, nil, err
			}
		}
	}
	return out, lost, nil
}

func windows(spans []span) iter.Seq2[model.Window, error] {
	return func(yield func(model.Window, error) bool) {
		for i, s := range spans {
			if !yield(model.Window{Doc: i, IDs: s.ids}, nil) {
				return
			}
		}
	}
}

func pool(p weat.Pool, x model.View, s span) ([]float64, error) {
	rows := make([][]float64, 0, s.hi-s.lo)
	for t := s.lo; t < s.hi; t++ {
		row := make([]float64, x.Width)
		for k, v := range x.Row(t) {
			row[k] = float64(v)
		}
		rows = append(rows, row)
	}
	v, why := p.Join(rows)
	if why != "" {
		return nil, fault.Inputf("zero-vector", "embed: states of %q: %s state", s.word, why)
	}
	return v, nil
}

// plan tokenizes the contexts and finds the words in them by byte offsets.
func plan(tok Tokenizer, contexts []weat.Context, r Read) (spans []span, lost []Lost, err error) {
	bad := map[string]bool{}
	for _, c := range contexts {
		s, decoded, err := locate(tok, c, r)
		if err != nil {
			return nil, nil, err
		}
		if decoded != "" && !bad[c.Word] {
			bad[c.Word] = true
			lost = append(lost, Lost{c.Word, decoded})
		}
		spans = append(spans, s)
	}
	spans = slices.DeleteFunc(spans, func(s span) bool { return bad[s.word] })
	if len(spans) == 0 {
		return nil, nil, fault.Inputf("piece-mismatch", "embed: found no word whose pieces decode to it, such as %q for %q", lost[0].Decoded, lost[0].Word)
	}
	return spans, lost, nil
}

// locate returns the window of a context. decoded is what the word's tokens read
// as where that is not the word.
func locate(tok Tokenizer, c weat.Context, r Read) (s span, decoded string, err error) {
	fail := func(format string, args ...any) (span, string, error) {
		return s, "", fault.Inputf("bad-template", "embed: context %q of %q: "+format, append([]any{c.Prompt + c.Response, c.Word}, args...)...)
	}
	text := c.Prompt + c.Response
	ids, ends, err := tok.Encode(text)
	if err != nil {
		return s, "", fmt.Errorf("embed: context %q: %w", text, err)
	}
	p := len(r.Prefix)
	s = span{word: c.Word, ids: slices.Concat(r.Prefix, ids, r.Suffix)}
	if r.Limit > 0 && len(s.ids) > r.Limit {
		return fail("found %d tokens, want at most %d (the model's positions)", len(s.ids), r.Limit)
	}
	for i, id := range s.ids {
		if id < 0 || int(id) >= r.Vocab {
			return fail("found id %d at position %d, want below %d", id, i, r.Vocab)
		}
	}
	start := int64(len(c.Prompt)) // the token that follows may bring its space
	stop := start + int64(strings.Index(c.Response, c.Word)+len(c.Word))
	lo := 0
	for lo < len(ends) && ends[lo] <= start {
		lo++
	}
	hi := lo
	for hi < len(ends) && (hi == lo || ends[hi-1] < stop) {
		hi++
	}
	if hi == lo {
		return fail("found no token of the word")
	}
	if got, derr := tok.Decode(ids[lo:hi]); derr != nil || weat.CheckPieces(c.Word, got) != "" {
		return s, strconv.Quote(got), nil
	}
	if r.Sentence {
		lo = 0
		for lo < len(ends)-1 && ends[lo] == 0 {
			lo++
		}
		hi = len(ids)
		if p+lo == 0 && hi > 1 {
			lo = 1 // position 0 attracts attention whatever it says
		}
	}
	s.lo, s.hi = p+lo, p+hi
	if s.lo == 0 {
		return fail("found the word at position 0, want words before it")
	}
	return s, "", nil
}
