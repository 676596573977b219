// Package gens is the file of what a checkpoint generated: one continuation a
// line, with the law it was drawn from and the digests of what drew it.
//
// It answers: what did this checkpoint write behind these prompts, under which
// sampler, and is the file whole? It holds no model and no statistics; tests of
// continuations read it, whoever made it.
//
//	{"assay": {"schema": "assay.gens/1", "of": {...}, "run": "...", "made": {...}}}
//	{"id": "p1", "sample": 0, "ids": [...], "text": "...", "logprobs": [...], "stop": "eos", "near_tie": -1}
//	{"end": {"records": 1, "content": "<hex>"}}
//
// Records stand in the order of the prompts, samples of a prompt one after the
// other. run is the SHA-256 of the canonical JSON of of, content that of the record
// lines. A file without the last line was cut off.
package gens

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"unicode/utf8"

	"assay/internal/canon"
	"assay/internal/fault"
	"assay/model/trace"
)

// Schema is the schema of the files that this package writes.
const Schema = "assay.gens/1"

// Identity is everything that decides the continuations. It holds no floats: a
// float setting is a decimal string.
type Identity struct {
	Checkpoint trace.Checkpoint `json:"checkpoint"`
	Tokenizer  trace.Tokenizer  `json:"tokenizer"`
	Prompts    string           `json:"prompts"` // text digest of the prompts as they were encoded
	PrefixIDs  []int32          `json:"prefix_ids"`
	Sampler    Sampler          `json:"sampler"`
	Precision  string           `json:"precision"` // f32
}

// Sampler is the law of the tokens and the ends of a continuation.
type Sampler struct {
	MaxTokens   int      `json:"max_tokens"`
	Temperature string   `json:"temperature"` // "0" is greedy
	TopK        int      `json:"top_k"`
	TopP        string   `json:"top_p"` // "0" is all
	Samples     int      `json:"samples"`
	Seed        uint64   `json:"seed"`
	EOS         []int32  `json:"eos"`
	Stop        []string `json:"stop"`
	Batch       int      `json:"batch"` // rows of a batch, which decide the last bits
	Vocab       int      `json:"vocab"` // ids from here on are never generated
}

// Header is the first line.
type Header struct {
	Schema string     `json:"schema"`
	Of     Identity   `json:"of"`
	Run    string     `json:"run"`
	Made   trace.Made `json:"made"`
}

// Record is one continuation.
type Record struct {
	ID     string  `json:"id"`
	Sample int     `json:"sample"`
	IDs    []int32 `json:"ids"`
	// Text is the continuation alone, up to the end token or stop string; nil where
	// there was no tokenizer.
	Text     *string   `json:"text"`
	LogProbs []float32 `json:"logprobs"` // nats, of each id under the model itself
	Stop     string    `json:"stop"`     // eos, stop, length or context
	NearTie  int       `json:"near_tie"` // first token that rounding may have decided; -1
}

// End is the last line.
type End struct {
	Records int    `json:"records"`
	Content string `json:"content"` // hex SHA-256 of the record lines
}

// line is any line of a file.
type line struct {
	Assay json.RawMessage `json:"assay"`
	End   *End            `json:"end"`
	Record
}

// Reader is an open file.
type Reader struct {
	path   string
	file   *os.File
	in     *bufio.Reader
	header Header
}

// Open reads the header.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fault.Inputf("no-file", "gens: %w", err)
		}
		return nil, fault.Retryf("io", "gens: %w", err)
	}
	r := &Reader{path: path, file: f, in: bufio.NewReader(f)}
	if r.header, _, err = readHeader(path, r.in); err != nil {
		f.Close()
		return nil, err
	}
	return r, nil
}

// Header returns the first line.
func (r *Reader) Header() Header { return r.header }

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

// All streams the records, once. A file that is cut off, or whose records are not
// those it was closed with, ends with an error.
func (r *Reader) All() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		n, hash := 0, sha256.New()
		for at := 2; ; at++ {
			b, err := readLine(r.path, r.in, at)
			if err == nil && b == nil {
				err = fault.Retryf("truncated", "gens: %s: cut off after %d records", r.path, n).Hint("the command that wrote it goes on with --resume")
			}
			var l line
			if err == nil {
				l, err = parse(r.path, b, at)
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
			if l.End != nil {
				if got := hex.EncodeToString(hash.Sum(nil)); l.End.Records != n || l.End.Content != got {
					yield(Record{}, fault.Inputf("digest", "gens: %s: found %d records with digest %s, want %d with %s as the last line says", r.path, n, got, l.End.Records, l.End.Content))
				}
				return
			}
			hash.Write(b)
			n++
			if !yield(l.Record, nil) {
				return
			}
		}
	}
}

func readHeader(path string, in *bufio.Reader) (Header, int, error) {
	b, err := readLine(path, in, 1)
	if err != nil {
		return Header{}, 0, err
	}
	var l line
	var h Header
	if json.Unmarshal(b, &l) != nil || l.Assay == nil || json.Unmarshal(l.Assay, &h) != nil {
		return h, 0, fault.Inputf("malformed", "gens: %s:1: found no header, want a file of generations that assay generate wrote", path)
	}
	if h.Schema != Schema {
		return h, 0, fault.Inputf("malformed", "gens: %s: found schema %.40q, want %q", path, h.Schema, Schema)
	}
	if run, err := h.Of.Run(); err != nil || run != h.Run {
		return h, 0, fault.Inputf("digest", "gens: %s: the header's run %.64s is not the digest of what it describes", path, h.Run)
	}
	return h, len(b), nil
}

// Run is the digest of the identity.
func (of Identity) Run() (string, error) {
	d, err := canon.Digest(of)
	if err != nil {
		return "", err
	}
	return d, nil
}

// maxLine bounds a line: a continuation of a million tokens has some 30 MB.
const maxLine = 64 << 20

// readLine returns a line with its line feed; nil at the end or where the last line
// has none.
func readLine(path string, in *bufio.Reader, at int) ([]byte, error) {
	var b []byte
	for {
		part, err := in.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case len(b) > maxLine:
			return nil, fault.Inputf("malformed", "gens: %s:%d: a line of more than %d bytes", path, at, maxLine)
		case err == nil:
			return b, nil
		case errors.Is(err, io.EOF):
			return nil, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fault.Retryf("io", "gens: %s: %w", path, err)
		}
	}
}

func parse(path string, b []byte, at int) (line, error) {
	var l line
	bad := func(what string) (line, error) {
		return l, fault.Inputf("malformed", "gens: %s:%d: %s", path, at, what)
	}
	if !utf8.Valid(b) {
		return bad("found invalid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return bad(err.Error())
	}
	if l.End != nil {
		return l, nil
	}
	switch {
	case l.ID == "":
		return bad("found no id")
	case l.Sample < 0:
		return bad("found a sample below 0")
	case len(l.IDs) != len(l.LogProbs):
		return bad("found as many logprobs as not ids")
	}
	return l, nil
}
