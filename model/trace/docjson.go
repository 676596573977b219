package trace

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"assay/internal/canon"
)

// jsonWriter appends the members of one JSON object.
type jsonWriter struct {
	b     []byte
	first bool
	err   error
}

func (w *jsonWriter) open() { w.b, w.first = append(w.b, '{'), true }

func (w *jsonWriter) key(k string) {
	if !w.first {
		w.b = append(w.b, ',')
	}
	w.first = false
	w.quote(k)
	w.b = append(w.b, ':')
}

func (w *jsonWriter) quote(s string) {
	b, err := jsontext.AppendQuote(w.b, s)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("%q: %w", s, err)
	}
	w.b = b
}

func (w *jsonWriter) str(k, v string)       { w.key(k); w.quote(v) }
func (w *jsonWriter) int(k string, v int64) { w.key(k); w.b = strconv.AppendInt(w.b, v, 10) }
func (w *jsonWriter) hex(k string, v [32]byte) {
	w.key(k)
	w.b = append(hex.AppendEncode(append(w.b, '"'), v[:]), '"')
}

// f64 writes the shortest form that reads back, null for what JSON has no form of.
func (w *jsonWriter) f64(k string, v float64) {
	w.key(k)
	if v-v != 0 {
		w.b = append(w.b, "null"...)
		return
	}
	w.b = strconv.AppendFloat(w.b, v, 'g', -1, 64)
}

// doc appends the columns of the document table that are not null as
// members of an object that it leaves open.
func (w *jsonWriter) doc(d *Doc, scores []string) {
	w.open()
	w.int("doc", int64(d.Doc))
	w.str("doc_id", d.ID)
	w.str("status", d.Status)
	w.hex("sha256", d.SHA256)
	if d.ContextSHA256 != nil {
		w.hex("context_sha256", *d.ContextSHA256)
	}
	if d.HasText() {
		w.int("n_bytes", d.Bytes)
		w.int("n_chars", d.Chars)
		w.int("n_words", d.Words)
		w.int("n_pieces", d.Pieces)
		w.int("zlib_bytes", d.Zlib)
	}
	w.int("n_tokens", int64(d.Tokens))
	w.int("n_context", int64(d.Context))
	w.int("n_scored", int64(d.Scored))
	w.int("n_windows", int64(d.Windows))
	w.f64("sum_logprob", d.SumLogprob)
	w.f64("sum_logprob2", d.SumLogprob2)
	w.f64("sum_entropy", d.SumEntropy)
	w.int("n_greedy", int64(d.Greedy))
	if d.Label != nil {
		w.int("label", int64(*d.Label))
	}
	if d.Group != "" {
		w.str("group", d.Group)
	}
	if !d.Date.IsZero() {
		w.str("date", d.Date.UTC().Format(time.DateOnly))
	}
	if d.Meta != nil {
		w.key("meta")
		w.b = append(w.b, d.Meta...)
	}
	for _, s := range scores {
		w.f64(scorePrefix+s, score(d, s))
	}
}

// parseDoc reads a document from its JSON object. tokens gets the raw value of
// the member "tokens"; nil refuses one.
func parseDoc(b []byte, tokens func(jsontext.Value) error) (Doc, error) {
	d := Doc{Bytes: Null, Chars: Null, Words: Null, Pieces: Null, Zlib: Null}
	dec := jsontext.NewDecoder(bytes.NewReader(b))
	if t, err := dec.ReadToken(); err != nil {
		return d, err
	} else if t.Kind() != '{' {
		return d, fmt.Errorf("%s, want an object", t.Kind())
	}
	need := requiredMembers
	for dec.PeekKind() == '"' {
		t, err := dec.ReadToken()
		if err != nil {
			return d, err
		}
		key := t.String()
		v, err := dec.ReadValue()
		if err != nil {
			return d, err
		}
		if v.Kind() == 'n' {
			continue
		}
		if required(key) {
			need-- // a name stands there once: the decoder refuses doubles
		}
		if key == "tokens" && tokens != nil {
			err = tokens(v)
		} else {
			err = d.set(key, v)
		}
		if err != nil {
			return d, fmt.Errorf("%s: %w", key, err)
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return d, err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return d, errors.New("more than one value in a line")
	}
	if need > 0 {
		return d, fmt.Errorf("%s is missing", firstMissing(b))
	}
	return d, nil
}

// requiredMembers is how many names required knows.
const requiredMembers = 12

func required(key string) bool {
	switch key {
	case "doc", "doc_id", "status", "sha256", "n_tokens", "n_context", "n_scored", "n_windows", "sum_logprob", "sum_logprob2", "sum_entropy", "n_greedy":
		return true
	}
	return false
}

// firstMissing names the first column that the object of a document lacks.
func firstMissing(b []byte) string {
	var m map[string]jsontext.Value
	if err := json.Unmarshal(b, &m); err != nil {
		return err.Error()
	}
	for _, c := range docColumns {
		if v, ok := m[c.name]; required(c.name) && (!ok || v.Kind() == 'n') {
			return c.name
		}
	}
	return "a column"
}

// set stores one member.
func (d *Doc) set(key string, v jsontext.Value) (err error) {
	switch key {
	case "doc":
		d.Doc, err = jsonInt32(v)
	case "doc_id":
		d.ID, err = jsonString(v)
	case "status":
		d.Status, err = jsonString(v)
	case "sha256":
		d.SHA256, err = jsonHash(v)
	case "context_sha256":
		var h [32]byte
		h, err = jsonHash(v)
		d.ContextSHA256 = &h
	case "n_bytes":
		d.Bytes, err = jsonInt(v, math.MaxInt64)
	case "n_chars":
		d.Chars, err = jsonInt(v, math.MaxInt64)
	case "n_words":
		d.Words, err = jsonInt(v, math.MaxInt64)
	case "n_pieces":
		d.Pieces, err = jsonInt(v, math.MaxInt64)
	case "zlib_bytes":
		d.Zlib, err = jsonInt(v, math.MaxInt64)
	case "n_tokens":
		d.Tokens, err = jsonInt32(v)
	case "n_context":
		d.Context, err = jsonInt32(v)
	case "n_scored":
		d.Scored, err = jsonInt32(v)
	case "n_windows":
		d.Windows, err = jsonInt32(v)
	case "sum_logprob":
		d.SumLogprob, err = jsonFloat(v)
	case "sum_logprob2":
		d.SumLogprob2, err = jsonFloat(v)
	case "sum_entropy":
		d.SumEntropy, err = jsonFloat(v)
	case "n_greedy":
		d.Greedy, err = jsonInt32(v)
	case "label":
		var l int64
		l, err = strconv.ParseInt(string(v), 10, 32)
		label := int32(l)
		d.Label = &label
	case "group":
		d.Group, err = jsonString(v)
	case "date":
		var s string
		if s, err = jsonString(v); err == nil {
			d.Date, err = time.Parse(time.DateOnly, s)
		}
	case "meta":
		d.Meta, err = meta(v)
	default:
		name, ok := strings.CutPrefix(key, scorePrefix)
		if !ok {
			return errors.New("unknown member")
		}
		if d.Scores == nil {
			d.Scores = map[string]float64{}
		}
		d.Scores[name], err = jsonFloat(v)
	}
	return err
}

// meta returns an object in canonical form; one with floating-point numbers,
// which canonical JSON has no form for, in that of RFC 8785.
func meta(v jsontext.Value) ([]byte, error) {
	if v.Kind() != '{' {
		return nil, fmt.Errorf("%s, want an object", v.Kind())
	}
	if b, err := canon.CanonicalJSON(rawValue(v)); err == nil {
		return b, nil
	}
	c := v.Clone()
	if err := c.Canonicalize(); err != nil {
		return nil, err
	}
	return c, nil
}

type rawValue []byte

func (r rawValue) MarshalJSON() ([]byte, error) { return r, nil }

func jsonInt(v jsontext.Value, most int64) (int64, error) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%.40s, want an integer from 0 to %d", v, most)
	}
	return n, nil
}

func jsonInt32(v jsontext.Value) (int32, error) {
	n, err := jsonInt(v, math.MaxInt32)
	return int32(n), err
}

func jsonFloat(v jsontext.Value) (float64, error) {
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return 0, fmt.Errorf("%.40s, want a number", v)
	}
	return f, nil
}

func jsonString(v jsontext.Value) (string, error) {
	if v.Kind() != '"' {
		return "", fmt.Errorf("%.40s, want a string", v)
	}
	b, err := jsontext.AppendUnquote(nil, v)
	return string(b), err
}

func jsonHash(v jsontext.Value) (h [32]byte, err error) {
	s, err := jsonString(v)
	if err != nil {
		return h, err
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%.70q, want 64 hex digits", s)
	}
	return [32]byte(b), nil
}
