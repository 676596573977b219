package items

import (
	"bytes"
	"encoding/json/jsontext"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/tokenize/text"
)

// cell is one value of a row.
type cell struct {
	kind   jsontext.Kind
	s      string // unquoted, else as written
	column int    // 1-based byte in the line
}

func newCell(v jsontext.Value, column int) cell {
	c := cell{kind: v.Kind(), s: string(v), column: column}
	if c.kind == '"' {
		if b, err := jsontext.AppendUnquote(nil, v); err == nil {
			c.s = string(b)
		}
	}
	return c
}

// row turns the cells of a line into an item.
type row struct {
	s     *Source
	p     *problems
	line  int
	cells map[string]cell
	meta  map[string]cell
}

func (w *row) bad(code string, column int, field, found, want string) {
	w.p.add(code, w.line, column, field, found, want)
}

// fields are the columns that the file may have.
func (c Columns) fields() []string {
	all := []string{"id", "text", "prompt", "response", "context", "label", "topic", "source", "family", "pair", "weights", "positions", "meta"}
	if c.Labels || c.IDs {
		all = slices.DeleteFunc(all, isText)
	}
	if c.IDs {
		all = append(all, "ids")
	}
	return all
}

// letBy are columns of texts that are scored (tokenize/text): one file serves both.
// Nothing is read from them but what Columns name.
func letBy(name string) bool {
	switch name {
	case "group", "step", "date", "set", "planted", "dose", "value", "covar":
		return true
	}
	return false
}

// known reports a column that nobody reads.
func (w *row) known(name string, column int) {
	all := w.s.cols.fields()
	if slices.Contains(all, name) || strings.HasPrefix(name, "x_") || letBy(name) {
		return
	}
	found, want := "unknown column", "one of "+strings.Join(all, ", ")+"; free columns go in meta or start with x_"
	if i := slices.IndexFunc(all, func(k string) bool { return strings.EqualFold(k, name) }); i >= 0 {
		found, want = "other letter case", strconv.Quote(all[i])
	}
	if len(name) > 40 {
		name = strings.ToValidUTF8(name[:40], "") + "..."
	}
	w.bad("rows", column, name, found, want)
}

// get finds a column by name: of the row, else of its meta.
func (w *row) get(name string) (cell, bool) {
	if c, ok := w.cells[name]; ok && name != "meta" {
		return c, true
	}
	c, ok := w.meta[strings.TrimPrefix(name, "meta.")]
	return c, ok
}

func (w *row) item() Item {
	it := Item{Line: w.line}
	w.readMeta()
	cols := w.s.cols
	if c, ok := w.get(cols.ID); !ok {
		w.bad("rows", 1, cols.ID, "no such column", "it in every row")
	} else if it.ID = w.name(c, cols.ID); it.ID == "" && c.kind == '"' {
		w.bad("rows", c.column, cols.ID, "an empty string", "a string that is not empty")
	}
	switch {
	case cols.IDs:
		w.ids(&it)
	case !cols.Labels:
		w.texts(&it)
	}
	if c, ok := w.get(cols.Label); ok {
		switch {
		case !scalar(c), c.kind == '"' && strings.TrimSpace(c.s) == "":
			w.bad("bad-label", c.column, cols.Label, describe(c), "a string that is not empty, a number or true or false; leave the column out for none")
		default:
			it.Label, it.HasLabel = c.s, true
		}
	}
	for _, f := range []struct {
		p    *string
		name string
	}{{&it.Topic, cols.Topic}, {&it.Source, cols.Source}, {&it.Family, cols.Family}, {&it.Pair, cols.Pair}} {
		*f.p = w.optional(f.name)
	}
	for _, name := range cols.Extra {
		it.Extra = append(it.Extra, w.optional(name))
	}
	w.lists(&it)
	return it
}

func (w *row) readMeta() {
	c, ok := w.cells["meta"]
	if !ok {
		return
	}
	if c.kind != '{' {
		w.bad("rows", c.column, "meta", describe(c), "an object")
		return
	}
	w.meta = map[string]cell{}
	_, bad := text.Object([]byte(c.s), func(key string, at int, v jsontext.Value, column int) {
		if _, twice := w.meta[key]; twice {
			w.bad("rows", c.column+at-1, "meta."+key, "the key a second time", "it once")
			return
		}
		w.meta[key] = newCell(v, c.column+column-1)
	})
	if bad != nil {
		w.bad("rows", c.column+bad.Column-1, "meta", bad.Found, bad.Want)
	}
}

// texts reads text, or prompt and response.
func (w *row) texts(it *Item) {
	str := func(name string) (string, bool) {
		c, ok := w.cells[name]
		if ok && c.kind != '"' {
			w.bad("rows", c.column, name, describe(c), "a string")
		} else if i := strings.IndexByte(c.s, 0); i >= 0 {
			w.bad("rows", c.column, name, fmt.Sprintf("a NUL at byte %d of the string", i), "none")
		}
		return c.s, ok
	}
	body, hasText := str("text")
	prompt, hasPrompt := str("prompt")
	response, hasResponse := str("response")
	if context, ok := str("context"); ok && hasText { // the names that texts to score have
		if _, both := w.cells["prompt"]; both || hasResponse {
			w.bad("rows", w.cells["context"].column, "context", "context beside prompt or response", "one or the other")
		} else if w.s.kind != kindCSV || context != "" {
			it.Text, it.Seam, it.HasResponse = context+body, len(context), true
			return
		}
	} else if ok {
		w.bad("rows", w.cells["context"].column, "context", "context without text", "both")
	}
	if w.s.kind == kindCSV && hasText && (hasPrompt || hasResponse) {
		// A table has all columns in every row; an empty one is none.
		hasText, hasPrompt, hasResponse = body != "", prompt != "", response != ""
	}
	switch {
	case hasText && (hasPrompt || hasResponse):
		w.bad("rows", w.cells["text"].column, "text", "text beside prompt or response", "one or the other")
	case hasText:
		it.Text, it.Seam = body, len(body)
	case hasResponse || hasPrompt:
		it.Text, it.Seam, it.HasResponse = prompt+response, len(prompt), hasResponse
	default:
		w.bad("rows", 1, "text", "no such column", "text, or prompt and response, in every row")
	}
}

func scalar(c cell) bool { return c.kind == '"' || c.kind == '0' || c.kind == 't' || c.kind == 'f' }

// name reads a value that serves as a name; numbers and truth values as written.
func (w *row) name(c cell, field string) string {
	if !scalar(c) {
		w.bad("rows", c.column, field, describe(c), "a string, a number or true or false")
		return ""
	}
	return c.s
}

func (w *row) optional(name string) string {
	c, ok := w.get(name)
	if !ok {
		return ""
	}
	s := w.name(c, name)
	if s == "" && c.kind == '"' {
		w.bad("rows", c.column, name, "an empty string", "a string that is not empty; leave the column out for none")
	}
	return s
}

// numbers reads a list of numbers; f says whether it takes one.
func (w *row) numbers(name, code string, f func(s string) bool, want string) (ok bool) {
	c, ok := w.cells[name]
	if !ok {
		return false
	}
	if c.kind != '[' {
		w.bad(code, c.column, name, describe(c), "a list of numbers")
		return true
	}
	dec := jsontext.NewDecoder(bytes.NewBufferString(c.s))
	dec.ReadToken()
	for dec.PeekKind() != ']' {
		v, err := dec.ReadValue()
		if err != nil || v.Kind() != '0' || !f(string(v)) {
			w.bad(code, c.column+max(0, int(dec.InputOffset())-len(v)), name, describe(newCell(v, 0)), want)
			return true
		}
	}
	return true
}

func (w *row) ids(it *Item) {
	it.IDs = []int32{}
	if !w.numbers("ids", "rows", func(s string) bool {
		n, err := strconv.ParseInt(s, 10, 32)
		it.IDs = append(it.IDs, int32(n))
		return err == nil && n >= 0
	}, "an id, 0 or more") {
		w.bad("rows", 1, "ids", "no such column", "it in every row")
	}
}

// lists reads weights and positions; whether they fit the span is known later.
func (w *row) lists(it *Item) {
	w.numbers("weights", "bad-weights", func(s string) bool {
		x, err := strconv.ParseFloat(s, 64)
		it.Weights = append(it.Weights, x)
		return err == nil && x >= 0 && !math.IsInf(x, 0)
	}, "a finite number, 0 or more")
	w.numbers("positions", "rows", func(s string) bool {
		n, err := strconv.ParseInt(s, 10, 32)
		it.Positions = append(it.Positions, int32(n))
		return err == nil
	}, "a position in the span, negative from its end")
}

// describe says what a value is, for messages.
func describe(c cell) string {
	v := jsontext.Value(c.s)
	if c.kind == '"' {
		v = jsontext.Value(strconv.Quote(c.s))
	}
	return text.Describe(v)
}
