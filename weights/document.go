package weights

import (
	"bytes"
	"encoding/json/jsontext"
	"fmt"

	"assay/internal/fault"
)

const maxConfigKeys = 1 << 16

// document is a configuration file whose syntax has been checked. Values stay
// text until a getter asks, so a hostile file costs its own size and no more.
type document struct {
	source string
	text   []byte
}

// parseConfig checks a configuration: one JSON object, no duplicate keys at
// any level, nesting, keys and size bounded.
func parseConfig(source string, text []byte) (*document, error) {
	if len(text) > maxConfigBytes {
		return nil, fault.Inputf("malformed", "weights: %s: found %d bytes, want at most %d", source, len(text), maxConfigBytes)
	}
	doc := &document{source: source, text: markNonFinite(text)}
	if err := checkSyntax(doc.text); err != nil {
		return nil, fault.Inputf("malformed", "weights: %s: %w", source, err)
	}
	return doc, nil
}

func checkSyntax(text []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(text))
	if err := want(d, '{', "an object"); err != nil {
		return err
	}
	keys := 0
	for d.StackDepth() > 0 {
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		if d.StackDepth() > maxDepth {
			return fmt.Errorf("%s: found nesting deeper than %d", d.StackPointer(), maxDepth)
		}
		if t.Kind() == '"' {
			keys++
		}
		if keys > maxConfigKeys {
			return fmt.Errorf("found more than %d keys and strings", maxConfigKeys)
		}
	}
	if rest := bytes.TrimSpace(text[d.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("found %q after the end", rest[:min(len(rest), 8)])
	}
	return nil
}

// nonFinite opens the string that stands for a bare NaN or Infinity.
const nonFinite = `"\u0000`

// markNonFinite replaces the bare words NaN, Infinity and -Infinity, which
// Python writes and JSON does not know, by marked strings. So a key that
// nobody needs may hold one, and a getter that meets one refuses it.
func markNonFinite(text []byte) []byte {
	if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) {
		return text
	}
	var out []byte
	quoted := false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case quoted && b == '\\' && i+1 < len(text):
			out = append(out, b, text[i+1])
			i++
			continue
		case b == '"':
			quoted = !quoted
		case !quoted:
			if word := nonFiniteWord(text[i:]); word != "" {
				out = append(out, nonFinite+word+`"`...)
				i += len(word) - 1
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}

func nonFiniteWord(text []byte) string {
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(text, []byte(word)) {
			return word
		}
	}
	return ""
}

// member is a key of an object and the text of its value.
type member struct {
	key   string
	value jsontext.Value
}

// members splits the text of a checked object; values are parts of text.
func members(text []byte) []member {
	d := jsontext.NewDecoder(bytes.NewBuffer(text))
	if _, err := d.ReadToken(); err != nil {
		return nil
	}
	var out []member
	for d.PeekKind() == '"' {
		key, err := d.ReadToken()
		if err != nil {
			return nil
		}
		name := key.String()
		v, err := d.ReadValue()
		if err != nil {
			return nil
		}
		end := d.InputOffset()
		out = append(out, member{name, text[end-int64(len(v)) : end : end]})
	}
	return out
}

// elements splits the text of a checked array.
func elements(text []byte) []jsontext.Value {
	d := jsontext.NewDecoder(bytes.NewBuffer(text))
	if _, err := d.ReadToken(); err != nil {
		return nil
	}
	var out []jsontext.Value
	for k := d.PeekKind(); k != ']' && k != jsontext.KindInvalid; k = d.PeekKind() {
		v, err := d.ReadValue()
		if err != nil {
			return nil
		}
		end := d.InputOffset()
		out = append(out, text[end-int64(len(v)):end:end])
	}
	return out
}
