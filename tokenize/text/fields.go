package text

import (
	"bytes"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxInt is the largest integer that every JSON reader keeps exact.
const maxInt = 1 << 53

var (
	promptFields = []string{"item", "system", "tags", "refs", "max_tokens"}
	idsFields    = []string{"id", "ids", "context_ids"}
	sharedFields = []string{"label", "group", "step", "date", "set", "planted", "dose", "value", "covar", "meta"}
	// itemFields are those of labelled items (model/states/items): one file serves both.
	itemFields = []string{"topic", "source", "family", "pair", "weights", "positions"}
)

func (r *row) known() []string {
	o := &r.c.source.opt
	own := []string{"id", o.textField(), o.contextField()}
	switch {
	case o.IDs:
		own = idsFields
	case o.Messages != "":
		own = []string{"id", o.Messages}
	}
	if o.Prompts {
		own = append(own, promptFields...)
	}
	return slices.Concat(own, sharedFields, itemFields)
}

// field checks one field and stores it in the document. Columns are those of
// the key and of the value.
func (r *row) field(key string, keyColumn int, value jsontext.Value, column int) {
	f := field{row: r, name: key, value: value, column: column}
	o := &r.c.source.opt
	ids, chat := o.IDs, o.Messages != ""
	switch {
	case key == "id":
		r.doc.idColumn = column
		if r.doc.ID = f.text(); r.doc.ID == "" && value.Kind() == '"' {
			f.bad("a string that is not empty")
		}
	case chat && key == o.Messages:
		r.doc.Turns = f.turns()
	case o.Prompts && key == "system":
		r.doc.System = f.text()
	case o.Prompts && key == "max_tokens":
		r.doc.MaxTokens = f.count()
	case o.Prompts && (key == "item" || key == "tags" || key == "refs"):
		f.free()
		f.keep()
	case key == o.textField() && !ids && !chat:
		r.doc.Text = f.text()
	case key == o.contextField() && !ids && !chat:
		r.doc.Context, r.doc.HasContext = f.text(), true
	case key == "ids" && ids:
		r.doc.IDs = f.ids()
	case key == "context_ids" && ids:
		r.doc.ContextIDs, r.doc.HasContext = f.ids(), true
	case key == "label":
		if f.word() { // of another kind than member or not: carried, not read
			f.keep()
		} else if x, ok := f.bit(); ok {
			r.doc.Label = &x
		}
	case key == "group":
		r.doc.Group = f.text()
	case key == "date":
		r.doc.Date = f.date()
	case key == "step":
		f.step()
	case key == "set":
		f.text()
		f.keep()
	case key == "planted":
		f.bit()
		f.keep()
	case key == "dose":
		if x, ok := f.number(); ok && x <= 0 {
			f.bad("a number above 0")
		}
		f.keep()
	case key == "value":
		f.number()
		f.keep()
	case key == "covar":
		f.covar()
		f.keep()
	case key == "meta":
		if value.Kind() != '{' {
			f.bad("an object")
		}
		f.free()
		f.keep()
	case strings.HasPrefix(key, "x_") || slices.Contains(itemFields, key):
		f.free()
		f.keep()
	default:
		r.unknown(key, keyColumn)
	}
}

func (r *row) unknown(key string, column int) {
	found := "unknown field"
	known := r.known()
	want := list(known) + "; free fields go in meta or start with x_"
	if k, near := nearest(key, known); near {
		want = fmt.Sprintf("%q", k)
		if strings.EqualFold(k, key) {
			found = "other letter case"
		}
	}
	if len(key) > 40 {
		key = strings.ToValidUTF8(key[:40], "") + "..."
	}
	r.bad(column, key, found, want)
}

// field is one value under check. A method that finds a fault reports it and
// returns the zero value.
type field struct {
	row    *row
	name   string
	value  jsontext.Value
	column int
}

func (f field) bad(want string) { f.row.bad(f.column, f.name, Describe(f.value), want) }

// keep stores the value for Meta.
func (f field) keep() {
	if f.row.meta == nil {
		f.row.meta = map[string]jsontext.Value{}
	}
	f.row.meta[f.name] = f.value.Clone()
}

func (f field) text() string {
	if f.value.Kind() != '"' {
		f.bad("a string")
		return ""
	}
	b, err := jsontext.AppendUnquote(nil, f.value)
	if err != nil {
		f.bad("a string of whole characters")
		return ""
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		f.row.bad(f.column, f.name, fmt.Sprintf("a NUL at byte %d of the string", i), "none")
		return ""
	}
	return string(b)
}

// number accepts what has an exact or nearest finite float64; integers beyond
// 2^53 would be changed silently.
func (f field) number() (float64, bool) {
	if f.value.Kind() != '0' {
		f.bad("a number")
		return 0, false
	}
	x, want := parseNumber(f.value)
	if want != "" {
		f.bad(want)
		return 0, false
	}
	return x, true
}

func parseNumber(v jsontext.Value) (x float64, want string) {
	x, err := strconv.ParseFloat(string(v), 64)
	if err != nil || math.IsInf(x, 0) {
		return 0, "a finite number"
	}
	if !bytes.ContainsAny(v, ".eE") {
		if n, err := strconv.ParseInt(string(v), 10, 64); err != nil || n > maxInt || n < -maxInt {
			return 0, "an integer within 2^53"
		}
	}
	return x, ""
}

// word reports a label that is a word or a truth value; "0", "1" and other numbers as
// strings are more likely a mistake.
func (f field) word() bool {
	switch f.value.Kind() {
	case 't', 'f':
		return true
	case '"':
		b, err := jsontext.AppendUnquote(nil, f.value)
		s := strings.TrimSpace(string(b))
		_, number := strconv.ParseFloat(s, 64)
		return err == nil && s != "" && number != nil && !strings.ContainsRune(s, 0)
	}
	return false
}

func (f field) bit() (int32, bool) {
	if f.value.Kind() == '0' {
		switch x, _ := parseNumber(f.value); x {
		case 0, 1:
			return int32(x), true
		}
	}
	f.bad("number 0 or 1")
	return 0, false
}

// count is an integer of at least 1 that an int32 holds.
func (f field) count() int {
	n, err := strconv.ParseInt(string(f.value), 10, 32)
	if err != nil || n < 1 {
		f.bad("an integer of at least 1")
		return 0
	}
	return int(n)
}

func (f field) step() {
	n, err := strconv.ParseInt(string(f.value), 10, 64)
	if err != nil || n < 0 || n > maxInt {
		f.bad("an integer from 0 to 2^53")
	}
	f.keep()
}

func (f field) date() string {
	if f.value.Kind() == '"' {
		s := string(bytes.Trim(f.value, `"`))
		if _, err := time.Parse(time.DateOnly, s); err == nil {
			return s
		}
	}
	f.bad("a date like 2024-02-29")
	return ""
}

func (f field) ids() []int32 {
	if f.value.Kind() != '[' {
		f.bad("a list of ids")
		return nil
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(f.value))
	if _, err := dec.ReadToken(); err != nil {
		f.bad("a list of ids")
		return nil
	}
	out := []int32{}
	for dec.PeekKind() != ']' {
		v, err := dec.ReadValue()
		if err != nil {
			f.bad("a list of ids")
			return nil
		}
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil || n < 0 || n >= math.MaxInt32 {
			f.row.bad(f.column+int(dec.InputOffset())-len(v), f.name, Describe(v), fmt.Sprintf("an id from 0 to %d", math.MaxInt32-1))
			return nil
		}
		out = append(out, int32(n))
	}
	return out
}

func (f field) covar() {
	if f.value.Kind() != '{' {
		f.bad("an object of numbers")
		return
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(f.value))
	dec.ReadToken()
	for dec.PeekKind() != '}' {
		name, err := dec.ReadValue()
		if err != nil {
			f.bad("an object without repeated keys")
			return
		}
		key := string(name)
		v, err := dec.ReadValue()
		if err != nil {
			f.bad("an object without repeated keys")
			return
		}
		want := "a number"
		if v.Kind() == '0' {
			_, want = parseNumber(v)
		}
		if want != "" {
			f.row.bad(f.column+int(dec.InputOffset())-len(v), f.name+"."+strings.Trim(key, `"`), Describe(v), want)
		}
	}
}

// free checks what is carried without being understood: no repeated keys, no
// broken characters, no number that other readers would change.
func (f field) free() {
	dec := jsontext.NewDecoder(bytes.NewBuffer(f.value))
	for {
		t, err := dec.ReadToken()
		if err == io.EOF {
			return
		}
		if err != nil {
			f.row.bad(f.column+int(dec.InputOffset()), f.name, "a repeated key or a broken character", "JSON that every reader reads alike")
			return
		}
		switch t.Kind() {
		case '0':
			n := t.String()
			if _, want := parseNumber(jsontext.Value(n)); want != "" {
				f.row.bad(f.column+int(dec.InputOffset())-len(n), f.name, "number "+n, want)
				return
			}
		case '"':
			if strings.ContainsRune(t.String(), 0) {
				f.row.bad(f.column+int(dec.InputOffset()), f.name, "a NUL", "none")
				return
			}
		}
	}
}

// turns reads [{"role": ..., "content": ...}, ...]. Other keys of a turn are
// refused unless they are null: a template might read them.
func (f field) turns() []Turn {
	const want = `a list of {"role", "content"}, both strings`
	var raw []map[string]jsontext.Value
	if f.value.Kind() != '[' || json.Unmarshal(f.value, &raw) != nil {
		f.bad(want)
		return nil
	}
	if len(raw) == 0 {
		f.bad("at least one message")
	}
	turns := make([]Turn, len(raw))
	for i, m := range raw {
		name := fmt.Sprintf("%s[%d]", f.name, i)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			g := field{f.row, name + "." + k, m[k], f.column}
			switch {
			case k == "role":
				turns[i].Role = g.text()
			case k == "content":
				turns[i].Content = g.text()
			case m[k].Kind() != 'n':
				g.bad("role and content alone")
			}
		}
		if _, ok := m["content"]; !ok || turns[i].Role == "" {
			f.row.bad(f.column, name, "no role or no content", want)
		}
	}
	return turns
}
