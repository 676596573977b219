package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"hash"
	"io"

	"assay/internal/fault"
)

var gzipMagic = []byte{0x1f, 0x8b}

// lineFile is a trace in the JSONL form.
type lineFile struct {
	path    string
	f       file
	size    int64
	gzip    bool
	header  Header
	rows    bool    // documents have tokens
	offsets []int64 // of document lines, uncompressed files only, after a full pass
}

// openLines reads the header and looks at the first document. It takes over f.
func openLines(path string, f file, size int64) (*lineFile, error) {
	var magic [2]byte
	f.ReadAt(magic[:], 0) // a shorter file is no gzip
	l := &lineFile{path: path, f: f, size: size, gzip: bytes.Equal(magic[:], gzipMagic)}
	s, err := l.scan(0)
	if err != nil {
		return nil, l.error("open", err)
	}
	line, err := s.line()
	if err != nil {
		return nil, l.error("header", err)
	}
	var head struct{ Assay json.RawMessage }
	if err := json.Unmarshal(line, &head); err != nil || head.Assay == nil {
		return nil, fault.Inputf("schema", "trace: %s: line 1 is %.60q, want {\"assay\": header}", path, line)
	}
	if l.header, err = parseHeader(path, head.Assay); err != nil {
		return nil, err
	}
	if line, err = s.line(); err == nil {
		_, err = parseDoc(line, func(jsontext.Value) error { l.rows = true; return nil })
		if err != nil && !isEnd(line) {
			return nil, l.error("line 2", err)
		}
	}
	return l, nil
}

func (l *lineFile) error(what string, err error) error {
	if f := fault.As(err); f != nil {
		return fault.New(f.Class, f.Code, "trace: %s: %s: %w", l.path, what, err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fault.Retryf("truncated", "trace: %s: %s: cut short: %w", l.path, what, err)
	}
	return fault.Inputf("malformed", "trace: %s: %s: %w", l.path, what, err)
}

// sealed checks what neither the compressed text's checksum nor the last line
// covers: the head of the gzip format, if this package wrote it.
func (l *lineFile) sealed() error {
	var head [10]byte
	if _, err := l.f.ReadAt(head[:], 0); err != nil || !l.gzip {
		return err
	}
	if want := [10]byte{0x1f, 0x8b, 8, 9: 0xff}; head[9] > 13 && head != want {
		return fmt.Errorf("gzip header %x, want %x", head, want)
	}
	return nil
}

// lineScan reads lines of any length.
type lineScan struct {
	r    *bufio.Reader
	hash hash.Hash // of the lines read
	at   int64     // offset behind the last line, in an uncompressed file
}

func (l *lineFile) scan(at int64) (*lineScan, error) {
	var r io.Reader = io.NewSectionReader(l.f, at, l.size-at)
	if l.gzip {
		z, err := gzip.NewReader(bufio.NewReaderSize(r, 1<<16))
		if err != nil {
			return nil, err
		}
		r = z
	}
	return &lineScan{r: bufio.NewReaderSize(r, 1<<18), hash: sha256.New(), at: at}, nil
}

// line returns the next line without its end. A last line without a line feed is
// a file cut short.
func (s *lineScan) line() ([]byte, error) {
	b, err := s.r.ReadBytes('\n')
	if err == io.EOF && len(b) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	s.at += int64(len(b))
	return b[:len(b)-1], nil
}

func isEnd(line []byte) bool { return bytes.HasPrefix(line, []byte(`{"end"`)) }

// all calls yield for each document with the offset of its line; with tokens set
// the rows are parsed too. Last it checks the end line and returns it; nil after
// an error or an early stop.
func (l *lineFile) all(tokens bool, yield func(DocTokens, int64, error) bool) *endLine {
	s, err := l.scan(0)
	if err != nil {
		yield(DocTokens{}, 0, l.error("open", err))
		return nil
	}
	h := sha256.New()
	var docs, rows int64
	last := "none"
	for n := 1; ; n++ {
		at := s.at
		line, err := s.line()
		if err != nil {
			yield(DocTokens{}, at, l.error(fmt.Sprintf("line %d (last complete document: %s)", n, last), err))
			return nil
		}
		if n > 1 && isEnd(line) {
			end, err := l.finish(s, line, hex.EncodeToString(h.Sum(nil)), docs, rows)
			if err != nil {
				yield(DocTokens{}, at, err)
			}
			return end
		}
		h.Write(line)
		h.Write([]byte{'\n'})
		if n == 1 {
			continue
		}
		x, err := l.document(line, tokens)
		if err != nil {
			yield(x, at, l.error(fmt.Sprintf("line %d: document %q", n, x.Doc.ID), err))
			return nil
		}
		if !yield(x, at, nil) {
			return nil
		}
		last = fmt.Sprintf("%q", x.Doc.ID)
		docs, rows = docs+1, rows+int64(x.Doc.Tokens)
	}
}

func (l *lineFile) document(line []byte, tokens bool) (DocTokens, error) {
	var x DocTokens
	found := false
	d, err := parseDoc(line, func(v jsontext.Value) (err error) {
		found = true
		if tokens {
			x.Tokens, err = parseTokens(v)
		}
		return err
	})
	x.Doc = d
	if err == nil && found != l.rows {
		err = fmt.Errorf("tokens there: %v, in the first document: %v", found, l.rows)
	}
	return x, err
}

// finish checks the last line against what was read, and that nothing follows.
func (l *lineFile) finish(s *lineScan, line []byte, sum string, docs, rows int64) (*endLine, error) {
	var v struct {
		End *endLine `json:"end"`
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil || v.End == nil || dec.More() {
		return nil, fault.Inputf("malformed", "trace: %s: last line %.60q: %w", l.path, line, errors.Join(err, errEnd))
	}
	if v.End.Docs != docs || v.End.Rows != rows {
		return nil, fault.Inputf("malformed", "trace: %s: last line counts %d documents and %d rows, the file has %d and %d", l.path, v.End.Docs, v.End.Rows, docs, rows)
	}
	// encoding/json takes keys in any case: the line must be the one that was written.
	if b, err := json.Marshal(v); v.End.SHA256 != "" && (err != nil || !bytes.Equal(b, line)) {
		return nil, fault.Inputf("malformed", "trace: %s: last line %.60q is not as it was written", l.path, line)
	}
	if v.End.SHA256 != "" && v.End.SHA256 != sum {
		return nil, fault.Inputf("mismatch", "trace: %s: last line says the lines before have SHA-256 %.64s, they have %s", l.path, v.End.SHA256, sum)
	}
	if b, err := s.r.ReadByte(); err != io.EOF {
		if err == nil {
			err = fmt.Errorf("byte %q", b)
		}
		return nil, fault.Inputf("malformed", "trace: %s: something follows the last line: %w", l.path, err)
	}
	return v.End, nil
}

var errEnd = errors.New(`want {"end": {"docs", "rows", "content"}}`)

// get finds one document.
func (l *lineFile) get(doc int32) (DocTokens, error) {
	var found DocTokens
	var err error
	none := fault.Inputf("no-document", "trace: %s: no document %d", l.path, doc)
	if l.gzip {
		err = none
		l.all(true, func(x DocTokens, _ int64, e error) bool {
			if e != nil {
				err = e
			} else if x.Doc.Doc == doc {
				found, err = x, nil
			}
			return err == none && e == nil
		})
		return found, err
	}
	if l.offsets == nil {
		var offsets []int64
		l.all(false, func(x DocTokens, at int64, e error) bool {
			err = e
			offsets = append(offsets, at)
			return e == nil
		})
		if err != nil {
			return found, err
		}
		l.offsets = offsets
	}
	first, err := l.at(0)
	if err != nil {
		return found, err
	}
	i := int(doc - first.Doc.Doc)
	if i < 0 || i >= len(l.offsets) {
		return found, none
	}
	if found, err = l.at(i); err == nil && found.Doc.Doc != doc {
		err = none
	}
	return found, err
}

func (l *lineFile) at(i int) (DocTokens, error) {
	if i >= len(l.offsets) {
		return DocTokens{}, fault.Inputf("empty", "trace: %s: no documents", l.path)
	}
	s, err := l.scan(l.offsets[i])
	if err != nil {
		return DocTokens{}, l.error("seek", err)
	}
	line, err := s.line()
	if err != nil {
		return DocTokens{}, l.error("seek", err)
	}
	x, err := l.document(line, true)
	if err != nil {
		err = l.error(fmt.Sprintf("document %d of the file", i), err)
	}
	return x, err
}
