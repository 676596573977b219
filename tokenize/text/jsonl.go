package text

import (
	"bytes"
	"encoding/json"
	"encoding/json/jsontext"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// jsonl reads one row per line. Blank lines are allowed at the end only.
func (c *cutter) jsonl(l *Lines) error {
	blankLine := 0
	for {
		b, _, err := l.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if l.TooLong || len(b) > MaxLine {
			c.tooLong(l.Number)
			continue
		}
		if len(bytes.Trim(b, " \t\r")) == 0 {
			if blankLine == 0 {
				blankLine = l.Number
			}
			continue
		}
		if blankLine > 0 {
			c.add(blankLine, 1, "line", "a blank line", "a row")
			blankLine = 0
		}
		if !c.clean(b, l.Number) {
			continue
		}
		r := row{c: c, line: l.Number, doc: Doc{Line: l.Number, HasText: !c.source.opt.IDs}}
		if r.read(b) && !c.f(r.doc) {
			return nil
		}
	}
}

// row decodes one JSON object.
type row struct {
	c    *cutter
	line int
	doc  Doc
	meta map[string]jsontext.Value
	seen map[string]bool
}

func (r *row) bad(column int, field, found, want string) { r.c.add(r.line, column, field, found, want) }

// read reports all faults of the row; false if it is not even a JSON object.
func (r *row) read(b []byte) bool {
	r.seen = map[string]bool{}
	end, bad := Object(b, func(key string, keyColumn int, value jsontext.Value, column int) {
		if r.seen[key] {
			r.bad(keyColumn, key, "the key a second time", "it once")
			return
		}
		r.seen[key] = true
		r.field(key, keyColumn, value, column)
	})
	if bad != nil {
		r.bad(bad.Column, "row", bad.Found, bad.Want)
		return false
	}
	r.finish(end - 1)
	return true
}

// required are the fields without which a row is no document.
func (r *row) required() []string {
	switch o := &r.c.source.opt; {
	case o.IDs:
		return []string{"id", "ids"}
	case o.Messages != "":
		return []string{"id", o.Messages}
	default:
		return []string{"id", o.textField()}
	}
}

func (r *row) finish(end int) {
	for _, name := range r.required() {
		if !r.seen[name] {
			r.bad(end, name, "no such field", "it in every row")
		}
	}
	if len(r.meta) > 0 {
		raw, err := canonical(r.meta)
		if err != nil { // its values have been checked
			r.bad(1, "meta", err.Error(), "JSON")
		}
		r.doc.Meta = raw
	}
}

// canonical writes the object of RFC 8785.
func canonical(m map[string]jsontext.Value) (json.RawMessage, error) {
	b := jsontext.Value("{")
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = jsontext.AppendQuote(b, key); err != nil {
			return nil, err
		}
		b = append(b, ':')
		b = append(b, m[key]...)
	}
	b = append(b, '}')
	if err := b.Canonicalize(); err != nil {
		return nil, err
	}
	return json.RawMessage(b), nil
}

// nearest returns the known name closest to an unknown one, and whether it is
// close enough to be what was meant.
func nearest(name string, known []string) (string, bool) {
	best, least := "", 1<<30
	for _, k := range known {
		if d := distance(strings.ToLower(name), k); d < least {
			best, least = k, d
		}
	}
	return best, least <= 1+len(best)/3
}

// distance is the number of insertions, deletions and substitutions.
func distance(a, b string) int {
	if len(a) > 64 {
		return 1 << 20
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// list joins names for messages.
func list(names []string) string {
	return fmt.Sprintf("one of %s", strings.Join(names, ", "))
}
