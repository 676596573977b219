package assoc

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"assay/internal/fault"
)

// Open is a question that the checkpoint answers in its own words.
type Open struct {
	Prompt string
	Voice
	Draw int // number of the draw: equal questions are drawn anew
}

// ID returns the first 32 hex digits of the SHA-256 of the canonical JSON, as for
// Request.
func (q Open) ID() string {
	s := `{"draw":` + strconv.Itoa(q.Draw) + `,"kind":"open","prompt":` + quote(q.Prompt)
	if q.Chat {
		s = `{"chat":true,` + s[1:]
	}
	if q.System != "" {
		s += `,"system":` + quote(q.System)
	}
	sum := sha256.Sum256([]byte(s + "}"))
	return hex.EncodeToString(sum[:16])
}

// Texts are answers to open questions by ID.
type Texts map[string]string

// Answer returns the text of an answer.
func (t Texts) Answer(q Open) (string, error) {
	s, ok := t[q.ID()]
	if !ok {
		return "", fault.Inputf("unanswered", "assoc: question %s: found no answer for prompt %q", q.ID(), clip(q.Prompt)).
			Hint("sample the answers of this probe first; files made with other options have other questions")
	}
	return s, nil
}

// Unanswered returns the questions without an answer.
func (t Texts) Unanswered(qs []Open) []Open {
	var out []Open
	for _, q := range qs {
		if _, ok := t[q.ID()]; !ok {
			out = append(out, q)
		}
	}
	return out
}
