package tokenize

import (
	"bytes"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// vocab maps tokens to ids and back.
type vocab struct {
	ids     map[string]int32
	tokens  map[int32]string
	special map[int32]bool
	largest int32
	entries int // of the model alone
}

type addedToken struct {
	ID      *int64 `json:"id"`
	Content string `json:"content"`
	Special bool   `json:"special"`
}

// readVocab reads model.vocab, an object (BPE, WordPiece, WordLevel) or a list
// of [token, score] (Unigram), and the added tokens.
func readVocab(model, added jsontext.Value) (vocab, error) {
	v := vocab{ids: map[string]int32{}, tokens: map[int32]string{}, special: map[int32]bool{}, largest: -1}
	found := false
	dec := jsontext.NewDecoder(bytes.NewBuffer(model))
	err := object(dec, func(key string) error {
		if key != "vocab" {
			return dec.SkipValue()
		}
		found = true
		switch dec.PeekKind() {
		case '{':
			return object(dec, func(token string) error {
				id, err := integer(dec)
				if err != nil {
					return fmt.Errorf("model.vocab[%q]: %w", token, err)
				}
				v.put(token, id)
				v.entries++
				return nil
			})
		case '[':
			return v.readUnigram(dec)
		}
		return fmt.Errorf("model.vocab: found %s, want an object or a list", dec.PeekKind())
	})
	if err != nil {
		return vocab{}, err
	}
	if !found {
		return vocab{}, errors.New(`model: no "vocab"`)
	}
	if err := v.add(added); err != nil {
		return vocab{}, err
	}
	if v.largest < 0 {
		return vocab{}, errors.New("the vocabulary is empty")
	}
	return v, nil
}

func (v *vocab) put(token string, id int32) {
	v.ids[token] = id
	v.tokens[id] = token
	v.largest = max(v.largest, id)
}

func (v *vocab) readUnigram(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		var pair []jsontext.Value
		var token string
		if err := json.Unmarshal(value, &pair); err != nil || len(pair) != 2 {
			return fmt.Errorf("model.vocab[%d]: found %.40s, want [token, score]", v.entries, value)
		}
		if err := json.Unmarshal(pair[0], &token); err != nil {
			return fmt.Errorf("model.vocab[%d]: found %.40s, want a string", v.entries, pair[0])
		}
		v.put(token, int32(v.entries))
		v.entries++
	}
	_, err := dec.ReadToken()
	return err
}

// add follows the library: an added token that the model has keeps the model's
// id, any other gets the next free one, whatever the file declares. A file that
// declares something else is refused, because its author saw other ids.
func (v *vocab) add(value jsontext.Value) error {
	if value == nil || value.Kind() == 'n' {
		return nil
	}
	var added []addedToken
	if err := json.Unmarshal(value, &added); err != nil {
		return fmt.Errorf("added_tokens: %w", err)
	}
	next := int64(v.entries)
	for i, a := range added {
		if a.ID == nil {
			return fmt.Errorf("added_tokens[%d]: no id", i)
		}
		if a.Content == "" {
			continue
		}
		id, ok := v.ids[a.Content]
		if !ok {
			if next > math.MaxInt32-1 {
				return fmt.Errorf("added_tokens[%d] %q: no id is left", i, a.Content)
			}
			id = int32(next)
		}
		if int64(id) != *a.ID {
			return fmt.Errorf("added_tokens[%d] %q: declares id %d, but the tokenizer library assigns %d", i, a.Content, *a.ID, id)
		}
		next = max(next, int64(id)+1)
		v.put(a.Content, id)
		if a.Special {
			v.special[id] = true
		}
	}
	return nil
}

// object reads a JSON object; each reads the value of one key. Duplicate keys,
// bad UTF-8 and bad syntax are errors of the decoder.
func object(dec *jsontext.Decoder, each func(key string) error) error {
	if k := dec.PeekKind(); k != '{' {
		if k <= 0 {
			_, err := dec.ReadToken()
			return err
		}
		return fmt.Errorf("byte %d: found %s, want an object", dec.InputOffset(), k)
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		key, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if err := each(key.String()); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

func integer(dec *jsontext.Decoder) (int32, error) {
	value, err := dec.ReadValue()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < 0 || n >= math.MaxInt32 {
		return 0, fmt.Errorf("found %.40s, want an id from 0 to %d", value, math.MaxInt32-1)
	}
	return int32(n), nil
}

// shallow refuses nesting that no tokenizer has and that the walks below would
// take quadratic time for; the library itself stops at 128.
func shallow(value jsontext.Value) error {
	const limit = 64
	dec := jsontext.NewDecoder(bytes.NewBuffer(value))
	for {
		_, err := dec.ReadToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if dec.StackDepth() > limit {
			return fmt.Errorf("found nesting deeper than %d", limit)
		}
	}
}

// hasType looks for a component of a type in a decoder, alone or in a sequence.
func hasType(value jsontext.Value, name string) (bool, error) {
	if value.Kind() != '{' {
		return false, nil
	}
	var part struct {
		Type     string           `json:"type"`
		Decoders []jsontext.Value `json:"decoders"`
	}
	if err := json.Unmarshal(value, &part); err != nil {
		return false, fmt.Errorf("decoder: %w", err)
	}
	for _, d := range part.Decoders {
		if ok, err := hasType(d, name); ok || err != nil {
			return ok, err
		}
	}
	return part.Type == name, nil
}

// checkTemplate looks at every TemplateProcessing of a post-processor: one text
// goes into its single template, once. The library applies templates to plain
// encodings too and only leaves their special tokens out, so another template
// would repeat or lose the text everywhere.
func checkTemplate(value jsontext.Value) error {
	if value.Kind() != '{' {
		return nil
	}
	var part struct {
		Type       string           `json:"type"`
		Processors []jsontext.Value `json:"processors"`
		Single     []struct {
			Sequence *struct {
				ID string `json:"id"`
			} `json:"Sequence"`
		} `json:"single"`
	}
	if err := json.Unmarshal(value, &part); err != nil {
		return fmt.Errorf("post_processor: %w", err)
	}
	for _, p := range part.Processors {
		if err := checkTemplate(p); err != nil {
			return err
		}
	}
	texts := 0
	for _, piece := range part.Single {
		if piece.Sequence != nil {
			texts++
		}
	}
	if part.Type == "TemplateProcessing" && texts != 1 {
		return fmt.Errorf("post_processor: found %d texts in its template, want 1", texts)
	}
	return nil
}
