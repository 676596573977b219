//go:build tokenizers

package tokenize

// The archive is made by scripts/tokenizers-lib.sh; the module's own cgo lines
// name the library and the system libraries it needs, this one says where it is.

// #cgo LDFLAGS: -L${SRCDIR}/lib -ltokenizers -ldl -lm -lstdc++
import "C"

import (
	"errors"
	"fmt"
	"sync"

	"github.com/daulet/tokenizers"
)

// Available says whether this program holds the tokenizer library.
const Available = true

func errNoLibrary() error { return nil }

// errClosed is returned by every call after Close.
var errClosed = errors.New("tokenize: the tokenizer is closed")

// library guards the Rust object: closing frees it at once, so encodes hold the
// lock for reading and close holds it for writing.
type library struct {
	mu   sync.RWMutex
	lib  *tokenizers.Tokenizer
	gone bool
}

func newEngine(definition []byte, plainSpecials bool) (engine, error) {
	var opts []tokenizers.TokenizerOption
	if plainSpecials {
		opts = append(opts, tokenizers.WithEncodeSpecialTokens())
	}
	lib, err := tokenizers.FromBytes(definition, opts...)
	if err != nil {
		return nil, err
	}
	return &library{lib: lib}, nil
}

func (l *library) encode(text string, template, details bool) (Encoding, error) {
	opts := []tokenizers.EncodeOption{tokenizers.WithReturnOffsets()}
	if details {
		opts = append(opts, tokenizers.WithReturnTokens(), tokenizers.WithReturnSpecialTokensMask())
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.gone {
		return Encoding{}, errClosed
	}
	raw, err := l.lib.EncodeWithOptionsErr(text, template, opts...)
	if err != nil {
		// The library hides its reason; an unknown word without an unknown
		// token in the vocabulary is the usual one.
		return Encoding{}, fmt.Errorf("tokenize: text of %d bytes: %w", len(text), err)
	}
	n := len(raw.IDs)
	if len(raw.Offsets) != n || details && (len(raw.Tokens) != n || len(raw.SpecialTokensMask) != n) {
		return Encoding{}, fmt.Errorf("tokenize: the library returned %d ids with %d offsets", n, len(raw.Offsets))
	}
	e := Encoding{IDs: make([]int32, n), Start: make([]int64, n), End: make([]int64, n), Tokens: raw.Tokens}
	if details {
		e.Special = make([]bool, n)
	}
	for i := range n {
		e.IDs[i] = int32(raw.IDs[i])
		e.Start[i], e.End[i] = int64(raw.Offsets[i][0]), int64(raw.Offsets[i][1])
		if details {
			e.Special[i] = raw.SpecialTokensMask[i] != 0
		}
	}
	return e, nil
}

func (l *library) decode(ids []uint32) (string, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.gone {
		return "", errClosed
	}
	s, err := l.lib.DecodeErr(ids, false)
	if err != nil {
		return "", fmt.Errorf("tokenize: %d ids: %w", len(ids), err)
	}
	return s, nil
}

func (l *library) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return nil
	}
	l.gone = true
	return l.lib.Close()
}
