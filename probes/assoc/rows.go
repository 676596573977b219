package assoc

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"assay/internal/fault"
)

// Report collects what is wrong with a file: all rows are checked before
// anything is scored, 50 faults are printed and all are counted.
type Report struct {
	File  string
	lines []string
	n     int
}

// Add notes a fault at a line and 1-based byte column.
func (r *Report) Add(line, col int, field, found, want string) {
	r.n++
	if len(r.lines) < 50 {
		r.lines = append(r.lines, fmt.Sprintf("%s:%d:%d: %s: found %s, want %s", r.File, line, col, field, found, want))
	}
}

// Err returns all faults as one of class Input and code bad-data, or nil.
func (r *Report) Err() error {
	if r.n == 0 {
		return nil
	}
	text := strings.Join(r.lines, "\n")
	if r.n > len(r.lines) {
		text += fmt.Sprintf("\nand %d more", r.n-len(r.lines))
	}
	return fault.New(fault.Input, "bad-data", "%s", text)
}

const (
	maxLineBytes = 16 << 20
	maxFileBytes = 1 << 30
)

// Line is one object of a JSON Lines file.
type Line struct {
	N      int
	fields map[string]field
	report *Report
}

type field struct {
	raw json.RawMessage
	col int
}

// Lines reads JSON Lines strictly: one object a line, no repeated key, no
// unknown key, valid UTF-8 without NUL or byte order mark, no blank line but
// at the end. allowed names the keys that may occur.
func Lines(r io.Reader, rep *Report, allowed []string, row func(Line)) error {
	data, err := readAll(r, rep.File)
	if err != nil {
		return err
	}
	n := 0
	for len(data) > 0 {
		n++
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		data = rest
		line = bytes.TrimSuffix(line, []byte{'\r'})
		switch {
		case len(line) > maxLineBytes:
			rep.Add(n, 1, "line", fmt.Sprintf("%d bytes", len(line)), "at most 16 MiB")
			continue
		case len(bytes.TrimSpace(line)) == 0 && len(bytes.TrimSpace(data)) == 0:
			return nil
		case len(bytes.TrimSpace(line)) == 0:
			rep.Add(n, 1, "line", "an empty line", "an object")
			continue
		case bytes.HasPrefix(line, []byte("\xef\xbb\xbf")):
			rep.Add(n, 1, "line", "a byte order mark", "an object")
			continue
		case !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0:
			rep.Add(n, 1, "line", "invalid UTF-8 or a NUL", "UTF-8 text")
			continue
		}
		if l, ok := parseLine(line, n, rep, allowed); ok {
			row(l)
		}
	}
	return nil
}

func readAll(r io.Reader, file string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err != nil {
		return nil, fault.Retryf("read", "assoc: %s: %w", file, err)
	}
	if len(data) > maxFileBytes {
		return nil, fault.Inputf("bad-data", "assoc: %s: found over %d bytes, want less", file, maxFileBytes)
	}
	return data, nil
}

// parseLine walks the top level of one object by tokens: encoding/json would
// keep the last of repeated keys and fold their case.
func parseLine(line []byte, n int, rep *Report, allowed []string) (Line, bool) {
	l := Line{N: n, fields: map[string]field{}, report: rep}
	d := json.NewDecoder(bytes.NewReader(line))
	fail := func(err error) (Line, bool) {
		rep.Add(n, int(d.InputOffset())+1, "line", err.Error(), "a JSON object")
		return l, false
	}
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		return fail(fmt.Errorf("%v", tok))
	}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return fail(err)
		}
		key, ok := tok.(string)
		col := int(d.InputOffset()) - len(key) - 1
		if !ok {
			return fail(fmt.Errorf("key %v", tok))
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fail(err)
		}
		if _, again := l.fields[key]; again {
			rep.Add(n, col, key, "the key twice", "it once")
			return l, false
		}
		if !slices.Contains(allowed, key) {
			rep.Add(n, col, key, "an unknown field", strings.Join(allowed, ", "))
			return l, false
		}
		l.fields[key] = field{raw, int(d.InputOffset()) - len(raw) + 1}
	}
	if _, err := d.Token(); err != nil {
		return fail(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fail(errors.New("text after the object"))
	}
	return l, true
}

// Fault reports a field of the line.
func (l Line) Fault(key, found, want string) {
	col := 1
	if f, ok := l.fields[key]; ok {
		col = f.col
	}
	l.report.Add(l.N, col, key, found, want)
}

// Has reports whether the line has a key.
func (l Line) Has(key string) bool { _, ok := l.fields[key]; return ok }

// Decode reads a field into v; want says what it should be.
func (l Line) Decode(key string, v any, want string) bool {
	f, ok := l.fields[key]
	if !ok {
		l.Fault(key, "nothing", want)
		return false
	}
	if err := json.Unmarshal(f.raw, v); err != nil || string(f.raw) == "null" {
		l.Fault(key, clip(string(f.raw)), want)
		return false
	}
	return true
}

// Text reads a string that is not empty.
func (l Line) Text(key string) string {
	var s string
	if l.Decode(key, &s, "a string") && strings.TrimSpace(s) == "" {
		l.Fault(key, strconv.Quote(s), "a string that is not empty")
	}
	return s
}

// Integer reads a whole number from lo to hi.
func (l Line) Integer(key string, lo, hi int) int {
	var n int
	want := fmt.Sprintf("a whole number from %d to %d", lo, hi)
	if l.Decode(key, &n, want) && (n < lo || n > hi) {
		l.Fault(key, strconv.Itoa(n), want)
	}
	return n
}

// Record is one row of a CSV file.
type Record struct {
	N      int
	row    []string
	col    map[string]int
	pos    []int
	report *Report
}

// Records reads CSV with a header: required columns must be there, others must
// be in allowed ("" allows an unnamed index).
func Records(r io.Reader, comma rune, rep *Report, required, allowed []string, row func(Record)) error {
	data, err := readAll(r, rep.File)
	if err != nil {
		return err
	}
	c := csv.NewReader(bytes.NewReader(data))
	c.Comma, c.FieldsPerRecord = comma, -1
	head, err := c.Read()
	if err != nil {
		return fault.Inputf("bad-data", "assoc: %s:1:1: header: found %w, want columns %s", rep.File, err, strings.Join(required, ", "))
	}
	col := map[string]int{}
	for i, h := range head {
		_, again := col[h]
		if again || !slices.Contains(required, h) && !slices.Contains(allowed, h) {
			line, at := c.FieldPos(i)
			rep.Add(line, at, "header", fmt.Sprintf("column %q", h), strings.Join(slices.Concat(required, allowed), ", "))
		}
		col[h] = i
	}
	for _, h := range required {
		if _, ok := col[h]; !ok {
			rep.Add(1, 1, "header", "columns "+strings.Join(head, ", "), fmt.Sprintf("%q among them", h))
		}
	}
	if rep.n > 0 {
		return nil
	}
	for {
		fields, err := c.Read()
		if err == io.EOF {
			return nil
		}
		var pe *csv.ParseError
		if errors.As(err, &pe) {
			rep.Add(pe.Line, pe.Column, "row", pe.Err.Error(), "fields as RFC 4180 has them")
			return nil
		}
		line, _ := c.FieldPos(0)
		if len(fields) != len(head) {
			rep.Add(line, 1, "row", fmt.Sprintf("%d fields", len(fields)), strconv.Itoa(len(head)))
			continue
		}
		rec := Record{N: line, row: fields, col: col, report: rep, pos: make([]int, len(fields))}
		for i := range fields {
			_, rec.pos[i] = c.FieldPos(i)
			if !utf8.ValidString(fields[i]) || strings.IndexByte(fields[i], 0) >= 0 {
				rep.Add(line, rec.pos[i], head[i], "invalid UTF-8 or a NUL", "UTF-8 text")
			}
		}
		row(rec)
	}
}

// Get returns a cell, "" for a column that is not there.
func (r Record) Get(column string) string {
	if i, ok := r.col[column]; ok {
		return r.row[i]
	}
	return ""
}

// Fault reports a cell.
func (r Record) Fault(column, want string) {
	r.report.Add(r.N, r.pos[r.col[column]], column, strconv.Quote(clip(r.Get(column))), want)
}

// Text returns a cell that must not be empty.
func (r Record) Text(column string) string {
	s := r.Get(column)
	if strings.TrimSpace(s) == "" {
		r.Fault(column, "text that is not empty")
	}
	return s
}

// OneOf returns a cell that must be one of the values.
func (r Record) OneOf(column string, values ...string) string {
	s := r.Get(column)
	if !slices.Contains(values, s) {
		r.Fault(column, "one of "+strings.Join(values, ", "))
	}
	return s
}
