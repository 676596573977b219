package items

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"slices"

	"assay/tokenize/text"
)

// each reads the file and calls f for every row until it returns false. Rows
// with faults come out too, for their ids.
func (s *Source) each(p *problems, f func(Item) bool) error {
	return s.file.Read(func(r *bufio.Reader, bom bool) error {
		switch {
		case bom:
			p.add("rows", 1, 1, "file", "a byte order mark", "none")
			return nil
		case s.kind == kindCSV:
			return s.csv(r, p, f)
		}
		return s.jsonl(text.NewLines(r), p, f)
	})
}

func (s *Source) jsonl(l *text.Lines, p *problems, f func(Item) bool) error {
	blank := 0
	for {
		b, _, err := l.Next()
		n := l.Number
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if l.TooLong {
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
	column, found, want, ok := text.Dirt(b)
	if !ok {
		p.add("rows", line, column, "line", found, want)
	}
	return ok
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

// decode reads one JSON object; false if it is none.
func (w *row) decode(b []byte) bool {
	_, bad := text.Object(b, func(key string, keyColumn int, v jsontext.Value, column int) {
		if _, twice := w.cells[key]; twice {
			w.bad("rows", keyColumn, key, "the key a second time", "it once")
			return
		}
		w.cells[key] = newCell(v, column)
		w.known(key, keyColumn)
	})
	if bad != nil {
		w.bad("rows", bad.Column, "row", bad.Found, bad.Want)
	}
	return bad == nil
}
