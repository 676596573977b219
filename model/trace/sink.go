package trace

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"assay/internal/fault"
)

// sink writes the documents of a trace, in order, into files that get their
// final names only when all of them are complete.
type sink struct {
	disk    disk
	options Options
	digest  *digester
	full    *digester // of the table before redaction; nil when nothing is redacted
	parts   partDigests
	outs    []output
	tables  []*table // tokens (nil in compact mode), documents
	jsonl   *jsonl
	header  Header
}

type output struct {
	f         file
	tmp, path string
}

// form is what a path's name asks for.
type form struct {
	jsonl, gzip  bool
	tokens, docs string // Parquet files
}

func formOf(path string) (form, error) {
	switch {
	case strings.HasSuffix(path, ".docs.parquet"):
		return form{tokens: strings.TrimSuffix(path, ".docs.parquet") + ".parquet", docs: path}, nil
	case strings.HasSuffix(path, ".parquet"):
		return form{tokens: path, docs: strings.TrimSuffix(path, ".parquet") + ".docs.parquet"}, nil
	case strings.HasSuffix(path, ".jsonl"):
		return form{jsonl: true}, nil
	case strings.HasSuffix(path, ".jsonl.gz"):
		return form{jsonl: true, gzip: true}, nil
	}
	return form{}, fault.Usagef("trace: %s: unknown form, want a name that ends in .parquet, .jsonl or .jsonl.gz", path)
}

// newSink opens the temporary files. h has everything but the digests; redact
// says that documents come with what o.Redact leaves out.
func newSink(d disk, path string, h Header, o Options, redact bool) (*sink, error) {
	f, err := formOf(path)
	if err != nil {
		return nil, err
	}
	h.Schema, h.Columns, h.Redacted, h.Parts = Schema, o.optional(), o.Redact, slices.Clone(h.Parts)
	s := &sink{disk: d, options: o, digest: newDigester(o), header: h}
	if redact {
		s.full = newDigester(o)
	}
	s.parts = newPartDigests(s.header.Parts, o)
	if err := s.start(f, path); err != nil {
		s.abort()
		return nil, err
	}
	return s, nil
}

func (s *sink) start(f form, path string) error {
	if f.jsonl {
		out, err := s.open(path)
		if err != nil {
			return err
		}
		s.jsonl = newJSONL(out, f.gzip)
		h := s.header
		h.Content, h.Parts = Content{}, slices.Clone(h.Parts)
		for i := range h.Parts {
			h.Parts[i].Content = Content{}
		}
		return s.jsonl.line(map[string]Header{"assay": h})
	}
	tokens, docs := s.options.columns()
	s.tables = make([]*table, 2)
	if !s.options.PerDocument {
		out, err := s.open(f.tokens)
		if err != nil {
			return err
		}
		s.tables[0] = newTable(out, TableTokens, tokens)
	}
	out, err := s.open(f.docs)
	if err != nil {
		return err
	}
	s.tables[1] = newTable(out, TableDocs, docs)
	return nil
}

func (s *sink) open(path string) (file, error) {
	f, tmp, err := temporary(s.disk, path)
	if err != nil {
		return nil, retry(path, "create", err)
	}
	s.outs = append(s.outs, output{f, tmp, path})
	return f, nil
}

// add takes the next document. It does not change t.
func (s *sink) add(d *Doc, t *Tokens) error {
	if s.full != nil {
		s.full.add(d, t)
		r := t.redacted()
		t = &r
	}
	s.digest.add(d, t)
	s.parts.add(d, t)
	if s.jsonl != nil {
		return retryIf(s.outs[0].path, s.jsonl.doc(d, t, s.options))
	}
	if s.tables[0] != nil {
		if err := s.tables[0].tokens(d.Doc, t); err != nil {
			return retry(s.outs[0].path, "write", err)
		}
	}
	return retryIf(s.outs[len(s.outs)-1].path, s.tables[1].doc(d, s.options.Scores))
}

func retryIf(path string, err error) error {
	if err == nil {
		return nil
	}
	return retry(path, "write", err)
}

// commit finishes the files and renames them, tokens first.
func (s *sink) commit() (Header, error) {
	h := s.header
	full := h.Content.Full // of what was redacted before
	h.Content = s.digest.content()
	h.Content.Full = full
	if s.full != nil {
		c := s.full.content()
		h.Content.Full = &c
	}
	for i := range h.Parts {
		h.Parts[i].Content = s.parts.digests[i].content()
	}
	if err := s.finish(h); err != nil {
		s.abort()
		return h, err
	}
	for i, o := range s.outs {
		if err := o.f.Close(); err != nil {
			s.outs = s.outs[i+1:]
			s.abort()
			return h, retry(o.path, "close", err)
		}
	}
	for i, o := range s.outs {
		if err := s.disk.rename(o.tmp, o.path); err != nil {
			for _, o := range s.outs[i:] {
				s.disk.remove(o.tmp) // the error to report is the rename's
			}
			return h, retry(o.path, "rename", err)
		}
	}
	if err := s.disk.syncDir(filepath.Dir(s.outs[0].path)); err != nil {
		return h, retry(s.outs[0].path, "sync folder", err)
	}
	return h, nil
}

func (s *sink) finish(h Header) error {
	if s.jsonl != nil {
		return retryIf(s.outs[0].path, s.jsonl.finish(h))
	}
	names := [...]string{TableTokens, TableDocs}
	k := 0
	for i, t := range s.tables {
		if t == nil {
			continue
		}
		h.Table = names[i]
		if err := t.finish(h); err != nil {
			return retry(s.outs[k].path, "write", err)
		}
		k++
	}
	return nil
}

// abort removes the temporary files; nothing has a final name yet.
func (s *sink) abort() {
	for _, o := range s.outs {
		o.f.Close() // the file is thrown away
		s.disk.remove(o.tmp)
	}
	s.outs = nil
}

// redacted returns t without what shows the text.
func (t Tokens) redacted() Tokens {
	t.ID, t.ByteOff, t.ByteLen, t.ArgmaxID, t.TopID = nil, nil, nil, nil, nil
	return t
}

// jsonl writes the JSONL form.
type jsonl struct {
	f    file
	buf  *bufio.Writer
	zip  *gzip.Writer // nil if plain
	w    io.Writer
	hash hash.Hash // of the lines before the last
	b    []byte
}

func newJSONL(f file, zip bool) *jsonl {
	j := &jsonl{f: f, buf: bufio.NewWriterSize(f, 1<<18), hash: sha256.New()}
	j.w = j.buf
	if zip {
		j.zip = gzip.NewWriter(j.buf)
		j.w = j.zip
	}
	return j
}

func (j *jsonl) write(b []byte) error {
	j.hash.Write(b)
	_, err := j.w.Write(b)
	return err
}

func (j *jsonl) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return j.write(append(b, '\n'))
}

func (j *jsonl) doc(d *Doc, t *Tokens, o Options) error {
	w := jsonWriter{b: j.b[:0]}
	w.doc(d, o.Scores)
	if !o.PerDocument {
		w.tokens(t)
	}
	j.b = append(w.b, "}\n"...)
	if w.err != nil {
		return fault.Inputf("malformed", "trace: document %q: %w", d.ID, w.err)
	}
	return j.write(j.b)
}

// endLine is the last line of the JSONL form.
type endLine struct {
	Docs    int64   `json:"docs"`
	Rows    int64   `json:"rows"`
	Content Content `json:"content"`
	SHA256  string  `json:"sha256,omitempty"` // of all lines before this one
}

func (j *jsonl) finish(h Header) error {
	sum := hex.EncodeToString(j.hash.Sum(nil))
	if err := j.line(map[string]endLine{"end": {h.Counts.Docs, h.Counts.Rows, h.Content, sum}}); err != nil {
		return err
	}
	if j.zip != nil {
		if err := j.zip.Close(); err != nil {
			return err
		}
	}
	if err := j.buf.Flush(); err != nil {
		return err
	}
	return j.f.Sync()
}

var errClosed = errors.New("trace: writer is closed")

// stateError wraps a use after close or failure.
func stateError(path string, err error) error { return fmt.Errorf("trace: %s: %w", path, err) }
