package gguf

import (
	"encoding/json/jsontext"
	"unicode/utf8"
)

// quote writes a JSON string; bytes that are not UTF-8 have none.
func quote(b []byte) (string, bool) {
	if !utf8.Valid(b) {
		return "", false
	}
	out, err := jsontext.AppendQuote(nil, b)
	return string(out), err == nil
}
