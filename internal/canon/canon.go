// Package canon writes the one JSON form that digests are taken of: object
// keys sorted by byte, no spaces, no HTML escaping, absent fields left out.
//
// It refuses what has no single form on every machine: floating-point numbers
// (write them as shortest decimal strings before calling), invalid UTF-8 and
// duplicate keys. RFC 8785 was not taken because it orders keys by UTF-16 unit
// and rounds integers above 2^53.
package canon

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	jsonv1 "encoding/json"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"slices"
	"strings"
)

// CanonicalJSON returns the canonical form of v. Values are marshalled as
// encoding/json does (struct tags, Marshaler, json.RawMessage), then put in
// order. Strings are kept as UTF-8; only the quote, the backslash and control
// characters are escaped.
func CanonicalJSON(v any) ([]byte, error) {
	raw, err := json.Marshal(v, jsonv1.DefaultOptionsV1(),
		jsontext.AllowInvalidUTF8(false), jsontext.AllowDuplicateNames(false),
		jsontext.EscapeForHTML(false), jsontext.EscapeForJS(false),
		json.WithMarshalers(json.JoinMarshalers(json.MarshalFunc(refuse[float32]), json.MarshalFunc(refuse[float64]))))
	if err != nil {
		return nil, fmt.Errorf("canon: %w", err)
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(raw))
	out, err := appendValue(nil, d)
	if err != nil {
		return nil, fmt.Errorf("canon: %w", err)
	}
	return out, nil
}

// Digest returns "sha256:" and the hex SHA-256 of the canonical form of v.
func Digest(v any) (string, error) {
	b, err := CanonicalJSON(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// refuse stops every float, also one that would print as an integer: the form
// of a setting must not depend on whether it happens to be whole.
func refuse[F float32 | float64](f F) ([]byte, error) {
	return nil, fmt.Errorf("found float %v, want an integer or a decimal string", f)
}

func appendValue(dst []byte, d *jsontext.Decoder) ([]byte, error) {
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case '{':
		return appendObject(dst, d)
	case '[':
		return appendArray(dst, d)
	case '"':
		return jsontext.AppendQuote(dst, t.String())
	case '0':
		n := t.String()
		if strings.ContainsAny(n, ".eE") || n == "-0" {
			return nil, fmt.Errorf("%s: found number %s, want an integer or a decimal string", place(d), n)
		}
		return append(dst, n...), nil
	default:
		return append(dst, t.String()...), nil
	}
}

func appendArray(dst []byte, d *jsontext.Decoder) ([]byte, error) {
	dst = append(dst, '[')
	for i := 0; d.PeekKind() != ']'; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendValue(dst, d); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return append(dst, ']'), err
}

func appendObject(dst []byte, d *jsontext.Decoder) ([]byte, error) {
	type member struct {
		key   string
		value []byte
	}
	var members []member
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := t.String()
		value, err := appendValue(nil, d)
		if err != nil {
			return nil, err
		}
		members = append(members, member{key, value})
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = jsontext.AppendQuote(dst, m.key); err != nil {
			return nil, err
		}
		dst = append(dst, ':')
		dst = append(dst, m.value...)
	}
	return append(dst, '}'), nil
}

// place names the value just read as a JSON pointer; the top level has none.
func place(d *jsontext.Decoder) string {
	if p := d.StackPointer(); p != "" {
		return string(p)
	}
	return "value"
}
