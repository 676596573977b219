// Package tokenize turns text into token ids and back, with the byte offset of
// every token, as the checkpoint's own tokenizer.json says.
//
// It answers: which ids does this checkpoint see for these bytes, where in the
// bytes does each token end, which ids does its template put around a text, and
// is this tokenizer the one that the embedding was made for?
//
// It refuses instead of guessing: text with a NUL or bad UTF-8 (the library
// would cut it or change it), text over 16 MiB, a tokenizer with ids past the
// embedding, a template that does not simply wrap the text, a tokenizer.json
// that is malformed or missing. Truncation and padding that a tokenizer.json
// asks for are switched off: a score of a silently cut text is worthless.
//
// The work is done by the Rust library behind github.com/daulet/tokenizers,
// linked by cgo under the build tag `tokenizers` from the archive that
// scripts/tokenizers-lib.sh makes. Without the tag [Open] returns an error that
// names it; [Read] needs no library and answers what the files alone can say.
//
// Document readers are in tokenize/text, stores of integer ids and training
// orders in tokenize/store; both are plain Go.
package tokenize

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"assay/internal/fault"
)

// MaxText is the most bytes of text that one call encodes.
const MaxText = 16 << 20

// How a special token's string inside a text is read.
const (
	// SpecialsNone encodes "<|endoftext|>" in a text as the plain characters.
	SpecialsNone = "none"
	// SpecialsParse lets it become the special token, as most programs do.
	SpecialsParse = "parse"
)

// Options says how to open a tokenizer. The zero value works.
type Options struct {
	// Specials is SpecialsNone (also "") or SpecialsParse.
	Specials string
	// Vocab is the number of rows of the checkpoint's embedding. Ids at or past
	// it are refused; 0 means that nothing is known and nothing is checked.
	Vocab int
}

// Validate reports an option that has no meaning.
func (o Options) Validate() error {
	switch o.Specials {
	case "", SpecialsNone, SpecialsParse:
	default:
		return fault.Usagef("tokenize: specials: found %q, want %q or %q", o.Specials, SpecialsNone, SpecialsParse)
	}
	if o.Vocab < 0 {
		return fault.Usagef("tokenize: vocab: found %d, want 0 or more", o.Vocab)
	}
	return nil
}

// Warning is something a reader of the results has to know.
type Warning struct{ Code, Text string }

// Encoding is everything known about the tokens of one text. The slices have
// equal lengths. Start and End are byte offsets into the text as the library
// reports them; tiles that cover the text without overlap are text.Tiles of End.
type Encoding struct {
	IDs        []int32
	Tokens     []string // as written in the vocabulary; a NUL shows as U+FFFD
	Start, End []int64
	Special    []bool // put there by the template
}

// engine is the library; the untagged build has none.
type engine interface {
	encode(text string, template, details bool) (Encoding, error)
	decode(ids []uint32) (string, error)
	close() error
}

// Tokenizer is an open tokenizer. All methods may be called from many
// goroutines at once; Close waits for the calls under way.
type Tokenizer struct {
	*File
	specials       string
	prefix, suffix []int32
	warnings       []Warning
	engine         engine
}

// Open loads the tokenizer of a checkpoint folder, or a tokenizer.json by its
// path, with tokenizer_config.json and special_tokens_map.json beside it. It
// takes about .7 s for a vocabulary of 128,000 entries, half of it in the library.
func Open(path string, o Options) (*Tokenizer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if !Available {
		return nil, errNoLibrary()
	}
	f, err := Read(path)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{File: f, specials: o.Specials, warnings: slices.Clone(f.warnings)}
	if t.specials == "" {
		t.specials = SpecialsNone
	}
	if err := t.checkVocab(o.Vocab); err != nil {
		return nil, err
	}
	if t.engine, err = newEngine(f.definition, t.specials == SpecialsNone); err != nil {
		return nil, fault.Inputf("malformed", "tokenize: %s: %w", f.path, err)
	}
	f.definition = nil
	if err := t.findTemplate(); err != nil {
		return nil, errors.Join(err, t.engine.close())
	}
	return t, nil
}

func (t *Tokenizer) checkVocab(rows int) error {
	switch {
	case rows == 0:
	case t.VocabSize() > rows:
		token, _ := t.Token(int32(t.VocabSize() - 1))
		return fault.Inputf("tensor", "tokenize: %s: found id %d (%q), want every id below the %d rows of the embedding",
			t.path, t.VocabSize()-1, token, rows).
			Hint("the tokenizer belongs to another checkpoint, or the embedding was not resized after tokens were added")
	case t.VocabSize() < rows:
		t.warn("padding-vocab", "the embedding has %d rows, the tokenizer's largest id is %d: %d rows stand for no token and stay in every softmax",
			rows, t.VocabSize()-1, rows-t.VocabSize())
	}
	return nil
}

// findTemplate encodes one letter with and without the template.
func (t *Tokenizer) findTemplate() error {
	plain, err := t.engine.encode("a", false, true)
	if err != nil {
		return fault.Inputf("template", "tokenize: %s: the letter a: %w", t.path, err)
	}
	if len(plain.IDs) == 0 {
		return fault.Inputf("template", "tokenize: %s: the letter a gives no ids", t.path)
	}
	full, err := t.engine.encode("a", true, true)
	if err != nil {
		return fault.Inputf("template", "tokenize: %s: the letter a with its template: %w", t.path, err)
	}
	n := len(full.IDs)
	lead := 0
	for lead < n && full.Special[lead] {
		lead++
	}
	trail := n
	for trail > lead && full.Special[trail-1] {
		trail--
	}
	if !slices.Equal(full.IDs[lead:trail], plain.IDs) {
		return fault.Inputf("template", "tokenize: %s: the template turns the letter a into %v, want special tokens around %v", t.path, full.IDs, plain.IDs)
	}
	t.prefix, t.suffix = full.IDs[:lead:lead], full.IDs[trail:]
	bos, ok := t.BOS()
	if !ok {
		return nil
	}
	if add, said := t.config.addBOS(); said && add != slices.Contains(t.prefix, bos) {
		t.warn("bos-differs", "tokenizer_config.json says add_bos_token %v, the template of tokenizer.json puts %v before a text; the template is used", add, t.prefix)
	}
	return nil
}

// Close frees the library's memory. Calls after it return an error.
func (t *Tokenizer) Close() error { return t.engine.close() }

// Specials says how special tokens' strings inside a text are read.
func (t *Tokenizer) Specials() string { return t.specials }

// Warnings are those of opening: padding-vocab, bos-differs, special-unknown.
func (t *Tokenizer) Warnings() []Warning { return slices.Clone(t.warnings) }

// Template returns the ids that the tokenizer puts before and after a single
// text: often a beginning-of-text token and nothing. Both may be empty. Encode
// never adds them; encoders (BERT) need both, decoders the prefix.
func (t *Tokenizer) Template() (prefix, suffix []int32) {
	return slices.Clone(t.prefix), slices.Clone(t.suffix)
}

// Encode returns the ids of a text without any template, and for each token the
// byte offset of its end in the text. Ends need not rise: see text.Tiles. Empty
// text has no ids, and so may other text (white space, under some tokenizers).
func (t *Tokenizer) Encode(text string) (ids []int32, ends []int64, err error) {
	e, err := t.run(text, false, false)
	return e.IDs, e.End, err
}

// EncodeAll returns all the library says about a text's tokens, with the
// template's tokens if asked for.
func (t *Tokenizer) EncodeAll(text string, template bool) (Encoding, error) {
	return t.run(text, template, true)
}

func (t *Tokenizer) run(text string, template, details bool) (Encoding, error) {
	if err := Check(text); err != nil {
		return Encoding{}, err
	}
	e, err := t.engine.encode(text, template, details)
	if err != nil {
		return Encoding{}, err
	}
	for i, id := range e.IDs {
		if id < 0 || int(id) >= t.VocabSize() {
			return Encoding{}, fault.Inputf("malformed", "tokenize: %s: token %d of the text: found id %d, want below %d", t.path, i, id, t.VocabSize())
		}
		if e.End[i] < 0 || e.End[i] > int64(len(text)) {
			return Encoding{}, fault.Inputf("malformed", "tokenize: %s: token %d of the text ends at byte %d, want at most %d", t.path, i, e.End[i], len(text))
		}
	}
	return e, nil
}

// Check reports text that cannot be encoded as it is: over MaxText, bad UTF-8,
// a NUL. Readers of tokenize/text have checked theirs already.
func Check(text string) error {
	if len(text) > MaxText {
		return fault.Inputf("text", "tokenize: text: found %d bytes, want at most %d", len(text), MaxText).
			Hint("split the document; windows never see more than a fraction of it at once")
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return fault.Inputf("text", "tokenize: text: found a NUL at byte %d, want none", i)
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n == 1 {
			return fault.Inputf("text", "tokenize: text: found byte 0x%02x at byte %d, want UTF-8", text[i], i)
		}
		i += n
	}
	return nil
}

// Decode returns the text of ids, special tokens written out. Ids that do not
// exist are an error (the library would drop them). An incomplete character
// becomes U+FFFD, and some tokenizers drop a leading space.
func (t *Tokenizer) Decode(ids []int32) (string, error) {
	var b strings.Builder
	var run []uint32
	flush := func() error {
		if len(run) == 0 {
			return nil
		}
		s, err := t.engine.decode(run)
		run = run[:0]
		b.WriteString(s)
		return err
	}
	for i, id := range ids {
		token, ok := t.Token(id)
		if !ok {
			return "", fault.Inputf("id", "tokenize: %s: ids[%d]: found %d, want an id of the vocabulary", t.path, i, id)
		}
		if n := t.nuls(token); n > 0 {
			// The library hands text over as a C string and fails on these. They
			// are whole characters, so the text may be cut beside them.
			if err := flush(); err != nil {
				return "", err
			}
			b.WriteString(strings.Repeat("\x00", n))
			continue
		}
		run = append(run, uint32(id))
	}
	if err := flush(); err != nil {
		return "", err
	}
	return b.String(), nil
}

// nuls counts the NULs of a byte-level token that holds nothing else. Byte-level
// alphabets write byte 0 as U+0100.
func (t *Tokenizer) nuls(token string) int {
	if !t.byteLevel || token == "" || strings.Trim(token, "\u0100") != "" {
		return 0
	}
	return utf8.RuneCountInString(token)
}

// Trip is what became of a text that was encoded and decoded.
type Trip struct {
	Exact     bool
	ByteLevel bool // the tokenizer promises exactness
	At        int  // first byte that differs, if not Exact
	Got       string
}

// RoundTrip encodes and decodes a text.
func (t *Tokenizer) RoundTrip(text string) (Trip, error) {
	ids, _, err := t.Encode(text)
	if err != nil {
		return Trip{}, err
	}
	got, err := t.Decode(ids)
	if err != nil {
		return Trip{}, err
	}
	trip := Trip{Exact: got == text, ByteLevel: t.byteLevel, Got: got}
	for trip.At < len(got) && trip.At < len(text) && got[trip.At] == text[trip.At] {
		trip.At++
	}
	return trip, nil
}

// Warning returns the warning `round-trip` if a byte-level tokenizer did not
// give the text back, else false: other tokenizers normalise by design.
func (p Trip) Warning() (Warning, bool) {
	if p.Exact || !p.ByteLevel {
		return Warning{}, false
	}
	w := warning("round-trip", "the tokenizer is byte-level, yet decoding its ids does not give the text back: byte %d is the first that differs", p.At)
	return w, true
}
