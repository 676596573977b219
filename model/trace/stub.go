package trace

import (
	"errors"
	"iter"
)

var errStub = errors.New("trace: not written yet")

// Reader reads a trace in any of its forms.
type Reader struct{}

// Open opens a Parquet pair (either file's name), a document table alone, or JSONL.
func Open(path string) (*Reader, error) { return nil, errStub }

// Close releases the files.
func (r *Reader) Close() error { return errStub }

// Header returns the header.
func (r *Reader) Header() Header { return Header{} }

// Docs yields the document table in order.
func (r *Reader) Docs() iter.Seq2[Doc, error] { return nil }

// All yields every document with its rows; one document is in memory.
func (r *Reader) All() iter.Seq2[DocTokens, error] { return nil }

// Columns is All with only the named token columns filled (and Pos).
func (r *Reader) Columns(cols ...string) iter.Seq2[DocTokens, error] { return nil }

// Tokens returns the rows of one document.
func (r *Reader) Tokens(doc int32) (Tokens, error) { return Tokens{}, errStub }

// Need returns an error that names the columns that are missing and the flags that write them.
func (r *Reader) Need(cols ...string) error { return errStub }

// Report is the outcome of Check.
type Report struct {
	Level      int       `json:"level"`
	Docs, Rows int64     `json:"-"`
	Findings   []Finding `json:"findings"` // the first 100
	Failed     int64     `json:"failed"`   // all of them
}

// Check verifies a trace up to a level: 1 header, 2 structure, 3 mathematics.
func Check(path string, level int) (Report, error) { return Report{}, errStub }

// Merge joins shards of one run into one trace.
func Merge(dst string, parts ...string) error { return errStub }
