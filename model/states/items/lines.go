package items

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"unicode/utf8"

	"assay/internal/fault"
)

// each reads the file and calls f for every row until it returns false. Rows
// with faults come out too, for their ids.
func (s *Source) each(p *problems, f func(Item) bool) error {
	file, err := os.Open(s.path)
	if err != nil {
		return pathFault(s.path, err)
	}
	defer file.Close()
	var in io.Reader = file
	if s.kind == kindGzip {
		z, err := gzip.NewReader(bufio.NewReader(file))
		if err != nil {
			return s.readFault(err)
		}
		defer z.Close()
		in = z
	}
	r := bufio.NewReaderSize(in, 1<<16)
	if head, _ := r.Peek(3); string(head) == "\ufeff" {
		p.add("rows", 1, 1, "file", "a byte order mark", "none")
		return nil
	} else if len(head) > 1 && head[0] == 0x1f && head[1] == 0x8b {
		return fault.Inputf("malformed", "items: %s: found gzip data, want plain text; a compressed file ends in .jsonl.gz", s.path)
	}
	if s.kind == kindCSV {
		return s.readFault(s.csv(r, p, f))
	}
	return s.readFault(s.jsonl(r, p, f))
}

// readFault classes an error of reading: a disk may recover, damaged gzip data
// will not.
func (s *Source) readFault(err error) error {
	var disk *fs.PathError
	switch {
	case err == nil || fault.As(err) != nil:
		return err
	case s.kind == kindGzip && !errors.As(err, &disk):
		return fault.Inputf("malformed", "items: %s: damaged gzip data: %w", s.path, err)
	}
	return fault.Retryf("io", "items: %s: %w", s.path, err)
}

// line reads one line without its line feed, at most MaxRow bytes of it; more
// are skipped and tooLong is set. The slice is valid until the next call.
func line(r *bufio.Reader, buf []byte) (b []byte, tooLong bool, err error) {
	b = buf[:0]
	any := false
	for {
		part, err := r.ReadSlice('\n')
		any = any || len(part) > 0
		if len(b)+len(part) > MaxRow+2 {
			tooLong, b = true, b[:0]
		}
		if !tooLong {
			b = append(b, part...)
		}
		switch {
		case err == nil, err == io.EOF && any:
			return bytes.TrimSuffix(b, []byte{'\n'}), tooLong, nil
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return nil, false, err
		}
	}
}

func (s *Source) jsonl(r *bufio.Reader, p *problems, f func(Item) bool) error {
	var buf []byte
	blank := 0
	for n := 1; ; n++ {
		b, tooLong, err := line(r, buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		buf = b
		if tooLong {
			p.add("rows", n, 1, "line", "a row over 16 MiB", "less")
			continue
		}
		if len(bytes.Trim(b, " \t\r")) == 0 {
			if blank == 0 {
				blank = n
			}
			continue
		}
		if blank > 0 {
			p.add("rows", blank, 1, "line", "a blank line", "a row")
			blank = 0
		}
		if !clean(b, n, p) {
			continue
		}
		w := row{s: s, p: p, line: n, cells: map[string]cell{}}
		if !w.decode(b) {
			continue
		}
		if !f(w.item()) {
			return nil
		}
	}
}

// clean reports bad UTF-8 and NUL in a row; false if there is any.
func clean(b []byte, line int, p *problems) bool {
	for i := 0; i < len(b); {
		c, n := utf8.DecodeRune(b[i:])
		if c == utf8.RuneError && n == 1 {
			p.add("rows", line, i+1, "line", fmt.Sprintf("byte 0x%02x, which is not UTF-8", b[i]), "UTF-8")
			return false
		}
		if c == 0 {
			p.add("rows", line, i+1, "line", "a NUL", "none")
			return false
		}
		i += n
	}
	return true
}

// csv reads a table with a header (RFC 4180). Every value is a string; an empty
// one in an optional column is none, save in the label column.
func (s *Source) csv(r *bufio.Reader, p *problems, f func(Item) bool) error {
	c := csv.NewReader(r)
	c.ReuseRecord = true
	var header []string
	for {
		rec, err := c.Read()
		if err == io.EOF {
			return nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			want := "a row of CSV (RFC 4180)"
			if errors.Is(bad.Err, csv.ErrFieldCount) {
				want = fmt.Sprintf("%d columns, as in the header", len(header))
			}
			p.add("rows", bad.Line, max(1, bad.Column), "row", bad.Err.Error(), want)
			return nil // what follows a broken quote cannot be told
		}
		if err != nil {
			return err
		}
		at, _ := c.FieldPos(0)
		if header == nil {
			header = slices.Clone(rec)
			if !s.header(header, at, p) {
				return nil
			}
			continue
		}
		w := row{s: s, p: p, line: at, cells: map[string]cell{}}
		ok := true
		for i, v := range rec {
			line, col := c.FieldPos(i)
			if !clean([]byte(v), line, p) {
				ok = false
			}
			if v == "" && header[i] != s.cols.Label && !isText(header[i]) {
				continue
			}
			w.cells[header[i]] = cell{kind: '"', s: v, column: col}
		}
		if !ok {
			continue
		}
		if !f(w.item()) {
			return nil
		}
	}
}

func isText(name string) bool {
	return name == "text" || name == "response" || name == "prompt" || name == "context"
}

func (s *Source) header(names []string, line int, p *problems) bool {
	before := p.Total
	w := row{s: s, p: p, line: line}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			p.add("rows", line, 1, name, "the column a second time", "it once")
		}
		if name == "weights" || name == "positions" || name == "meta" || name == "ids" {
			p.add("rows", line, 1, name, "a list or object in a CSV file", "a .jsonl file")
			continue
		}
		w.known(name, 1)
	}
	return p.Total == before
}

// decode reads one JSON object; false if it is none. Fields are read token by
// token, since a map would hide repeated keys.
func (w *row) decode(b []byte) bool {
	dec := jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true))
	if k := dec.PeekKind(); k > 0 && k != '{' {
		w.bad("rows", 1, "row", "no object", "an object")
		return false
	}
	if !w.object(dec, func(key string, keyColumn int, v jsontext.Value, column int) {
		if _, twice := w.cells[key]; twice {
			w.bad("rows", keyColumn, key, "the key a second time", "it once")
			return
		}
		w.cells[key] = newCell(v, column)
		w.known(key, keyColumn)
	}, len(b)) {
		return false
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		w.bad("rows", int(dec.InputOffset())+1, "row", "more after the object", "one object per line")
		return false
	}
	return true
}

// object reads the members of an object.
func (w *row) object(dec *jsontext.Decoder, member func(key string, keyColumn int, v jsontext.Value, column int), end int) bool {
	fail := func(err error) bool {
		var syn *jsontext.SyntacticError
		column, found := end+1, "the end of the line"
		if errors.As(err, &syn) {
			column, found = int(syn.ByteOffset)+1, syn.Err.Error()
		}
		w.bad("rows", column, "row", found, "a JSON object")
		return false
	}
	if _, err := dec.ReadToken(); err != nil {
		return fail(err)
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadValue()
		if err != nil {
			return fail(err)
		}
		keyColumn := int(dec.InputOffset()) - len(name) + 1
		key, err := jsontext.AppendUnquote(nil, name)
		if err != nil {
			return fail(err)
		}
		v, err := dec.ReadValue()
		if err != nil {
			return fail(err)
		}
		member(string(key), keyColumn, v, int(dec.InputOffset())-len(v)+1)
	}
	if _, err := dec.ReadToken(); err != nil {
		return fail(err)
	}
	return true
}
