package weights

import (
	"bytes"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
)

// Config reads a configuration key by key and keeps a record: which keys were
// read, which were missing and got a default, which were never asked for, and
// what was wrong. A getter that fails returns the zero value and adds to Err,
// so a caller may read everything first and ask once.
//
// A missing key and a null are different things: Mistral without
// sliding_window has a window of 4096, with null it has none. So Int, Float,
// Bool and String want a value; the forms with Or take a default for a missing
// key and refuse null; the forms with OrNull name a value for each case.
//
// A Config is for one goroutine; Checkpoint.Config makes a fresh one.
type Config struct {
	rec    *record
	prefix string // path of this object: "" or "text_config."
	keys   []member
	used   map[string]bool
	subs   map[string]*Config
}

// record is shared by a Config and its sub-objects.
type record struct {
	source    string
	missing   bool // there is no configuration file
	errs      []error
	defaulted []Default
}

// Default is a key that was missing (or null) and the value used instead.
type Default struct{ Key, Value string }

// Key is a key that was not read and the text of its value.
type Key struct{ Path, Value string }

func newConfig(doc *document) *Config {
	if doc == nil {
		return &Config{rec: &record{source: "config.json", missing: true}, used: map[string]bool{}, subs: map[string]*Config{}}
	}
	return newObject(&record{source: doc.source}, "", doc.text)
}

func newObject(rec *record, prefix string, text []byte) *Config {
	return &Config{rec: rec, prefix: prefix, keys: members(text), used: map[string]bool{}, subs: map[string]*Config{}}
}

// ParseConfig reads the text of a config.json that comes from elsewhere.
func ParseConfig(source string, text []byte) (*Config, error) {
	doc, err := parseConfig(source, text)
	if err != nil {
		return nil, err
	}
	return newConfig(doc), nil
}

// Err returns everything that was wrong so far, class Input, or nil.
func (c *Config) Err() error {
	if len(c.rec.errs) == 0 {
		return nil
	}
	if len(c.rec.errs) == 1 {
		return c.rec.errs[0]
	}
	return errors.Join(c.rec.errs...)
}

// Refuse adds an error about a key: what was found in it, and what is wanted.
func (c *Config) Refuse(key, format string, args ...any) {
	found := "nothing"
	if v, ok := c.lookup(key); ok {
		found = show(v)
	}
	c.fail("unsupported", key, "found %s, want %s", found, fmt.Sprintf(format, args...))
}

func (c *Config) fail(code, key, format string, args ...any) {
	err := fault.Inputf(code, "weights: %s: key %q: %s", c.rec.source, c.prefix+key, fmt.Sprintf(format, args...))
	if !slices.ContainsFunc(c.rec.errs, func(e error) bool { return e.Error() == err.Error() }) {
		c.rec.errs = append(c.rec.errs, err)
	}
}

// lookup finds a key without a mark that it was read.
func (c *Config) lookup(key string) (jsontext.Value, bool) {
	i := slices.IndexFunc(c.keys, func(m member) bool { return m.key == key })
	if i < 0 {
		return nil, false
	}
	return c.keys[i].value, true
}

// read finds a key, marks it as read, and notes once if there is no file.
func (c *Config) read(key string) (jsontext.Value, bool) {
	if c.rec.missing && len(c.rec.errs) == 0 {
		c.rec.errs = append(c.rec.errs, fault.Inputf("missing", "weights: config.json: not found beside the weights"))
	}
	c.used[key] = true
	return c.lookup(key)
}

func isNull(v jsontext.Value) bool { return v.Kind() == 'n' }

// Has says whether the key is there with a value other than null. It does not
// count as reading the key.
func (c *Config) Has(key string) bool {
	v, ok := c.lookup(key)
	return ok && !isNull(v)
}

// Null says whether the key is there and null; if so, that counts as reading.
func (c *Config) Null(key string) bool {
	v, ok := c.lookup(key)
	if !ok || !isNull(v) {
		return false
	}
	c.used[key] = true
	return true
}

// Exists says whether there is a configuration at all.
func (c *Config) Exists() bool { return !c.rec.missing }

// Source names the file.
func (c *Config) Source() string { return c.rec.source }

// Sub returns the object under key; if it is missing or null, an empty one.
func (c *Config) Sub(key string) *Config {
	if s, ok := c.subs[key]; ok {
		return s
	}
	v, ok := c.read(key)
	s := newObject(c.rec, c.prefix+key+".", nil)
	if ok && !isNull(v) {
		if v.Kind() == '{' {
			s = newObject(c.rec, c.prefix+key+".", v)
		} else {
			c.fail("malformed", key, "found %s, want an object", show(v))
		}
	}
	c.subs[key] = s
	return s
}

// Keys lists the keys of this object in the order of the file.
func (c *Config) Keys() []string {
	out := make([]string, len(c.keys))
	for i, m := range c.keys {
		out[i] = m.key
	}
	return out
}

// get reads a key. Missing and null fall back to def and null where those are
// given; without them they are errors.
func get[T any](c *Config, key, want string, parse func(jsontext.Value) (T, bool), missing, null *T) (zero T) {
	v, ok := c.read(key)
	fallback := missing
	if ok && isNull(v) {
		fallback = null
	}
	switch {
	case ok && !isNull(v):
		x, ok := parse(v)
		if !ok {
			c.fail("malformed", key, "found %s, want %s", show(v), want)
			return zero
		}
		return x
	case fallback != nil:
		c.NoteDefault(key, *fallback)
		return *fallback
	case c.rec.missing: // said once, by read
	case ok:
		c.fail("malformed", key, "found null, want %s", want)
	default:
		c.fail("malformed", key, "not found, want %s", want)
	}
	return zero
}

// NoteDefault records that a caller used value for a key that is missing or
// null; the getters with a default do so themselves.
func (c *Config) NoteDefault(key string, value any) {
	c.used[key] = true
	d := Default{c.prefix + key, fmt.Sprint(value)}
	if !slices.Contains(c.rec.defaulted, d) {
		c.rec.defaulted = append(c.rec.defaulted, d)
	}
}

// Int returns a whole number; 12.0 and 1e3 count as whole.
func (c *Config) Int(key string) int { return get(c, key, "an integer", parseInt, nil, nil) }

// IntOr returns def for a missing key.
func (c *Config) IntOr(key string, def int) int {
	return get(c, key, "an integer", parseInt, &def, nil)
}

// IntOrNull returns missing for a missing key and null for a null.
func (c *Config) IntOrNull(key string, missing, null int) int {
	return get(c, key, "an integer or null", parseInt, &missing, &null)
}

// Float returns a finite number.
func (c *Config) Float(key string) float64 { return get(c, key, "a number", parseFloat, nil, nil) }

// FloatOr returns def for a missing key.
func (c *Config) FloatOr(key string, def float64) float64 {
	return get(c, key, "a number", parseFloat, &def, nil)
}

// FloatOrNull returns missing for a missing key and null for a null.
func (c *Config) FloatOrNull(key string, missing, null float64) float64 {
	return get(c, key, "a number or null", parseFloat, &missing, &null)
}

// Bool returns true or false.
func (c *Config) Bool(key string) bool { return get(c, key, "true or false", parseBool, nil, nil) }

// BoolOr returns def for a missing key.
func (c *Config) BoolOr(key string, def bool) bool {
	return get(c, key, "true or false", parseBool, &def, nil)
}

// BoolOrNull returns missing for a missing key and null for a null.
func (c *Config) BoolOrNull(key string, missing, null bool) bool {
	return get(c, key, "true, false or null", parseBool, &missing, &null)
}

// String returns a string.
func (c *Config) String(key string) string { return get(c, key, "a string", parseString, nil, nil) }

// StringOr returns def for a missing key.
func (c *Config) StringOr(key, def string) string {
	return get(c, key, "a string", parseString, &def, nil)
}

// StringOrNull returns missing for a missing key and null for a null.
func (c *Config) StringOrNull(key, missing, null string) string {
	return get(c, key, "a string or null", parseString, &missing, &null)
}

// Ints returns an array of whole numbers, nil if the key is missing or null.
func (c *Config) Ints(key string) []int { return array(c, key, "an array of integers", parseInt) }

// Floats returns an array of numbers, nil if the key is missing or null.
func (c *Config) Floats(key string) []float64 {
	return array(c, key, "an array of numbers", parseFloat)
}

// Strings returns an array of strings, nil if the key is missing or null.
func (c *Config) Strings(key string) []string {
	return array(c, key, "an array of strings", parseString)
}

func array[T any](c *Config, key, want string, parse func(jsontext.Value) (T, bool)) []T {
	v, ok := c.read(key)
	if !ok || isNull(v) {
		return nil
	}
	if v.Kind() != '[' {
		c.fail("malformed", key, "found %s, want %s", show(v), want)
		return nil
	}
	out := []T{}
	for _, e := range elements(v) {
		x, ok := parse(e)
		if !ok {
			c.fail("malformed", key, "found %s at %d, want %s", show(e), len(out), want)
			return nil
		}
		out = append(out, x)
	}
	return out
}

func parseInt(v jsontext.Value) (int, bool) {
	f, ok := parseFloat(v)
	if n, err := strconv.Atoi(string(v)); err == nil && ok {
		return n, true
	}
	// Beyond 2^53 a float no longer says which whole number was meant.
	if !ok || f != math.Trunc(f) || math.Abs(f) >= min(1<<53, math.MaxInt) {
		return 0, false
	}
	return int(f), true
}

func parseFloat(v jsontext.Value) (float64, bool) {
	if v.Kind() != '0' {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v), 64) // out of range is an error
	return f, err == nil
}

func parseBool(v jsontext.Value) (bool, bool) {
	return v.Kind() == 't', v.Kind() == 't' || v.Kind() == 'f'
}

func parseString(v jsontext.Value) (string, bool) {
	if v.Kind() != '"' || bytes.HasPrefix(v, []byte(nonFinite)) {
		return "", false
	}
	b, err := jsontext.AppendUnquote(nil, v)
	return string(b), err == nil
}

// Used lists the keys that are there and were read, by path, in byte order.
func (c *Config) Used() []string {
	var out []string
	c.walk(func(c *Config, m member) {
		if c.used[m.key] {
			out = append(out, c.prefix+m.key)
		}
	})
	slices.Sort(out)
	return out
}

// Defaulted lists the keys that were missing or null and the values used.
func (c *Config) Defaulted() []Default {
	out := slices.Clone(c.rec.defaulted)
	slices.SortFunc(out, func(a, b Default) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// Unknown lists the keys that were not read, have a value other than null,
// false, "", [] and {}, and match none of the ignorable patterns (path.Match
// on the key's path, such as "text_config.cache_*"). Call it last.
func (c *Config) Unknown(ignorable ...string) []Key {
	var out []Key
	c.walk(func(c *Config, m member) {
		if c.used[m.key] || isEmpty(m.value) {
			return
		}
		name := c.prefix + m.key
		for _, pattern := range ignorable {
			if ok, _ := path.Match(pattern, name); ok || pattern == name {
				return
			}
		}
		out = append(out, Key{name, show(m.value)})
	})
	slices.SortFunc(out, func(a, b Key) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// walk visits the keys of this object and of the sub-objects that were read.
func (c *Config) walk(visit func(*Config, member)) {
	for _, m := range c.keys {
		visit(c, m)
		if s, ok := c.subs[m.key]; ok {
			s.walk(visit)
		}
	}
}

func isEmpty(v jsontext.Value) bool {
	switch v.Kind() {
	case 'n', 'f':
		return true
	case '"':
		return string(v) == `""`
	case '{', '[':
		return len(bytes.TrimSpace(v[1:len(v)-1])) == 0
	}
	return false
}

// show renders a value for a message, cut to 80 bytes.
func show(v jsontext.Value) string {
	v = v.Clone()
	if err := v.Compact(); err != nil {
		return "a broken value"
	}
	s := strings.ReplaceAll(string(v), nonFinite+"NaN\"", "NaN")
	s = strings.ReplaceAll(s, nonFinite+"Infinity\"", "Infinity")
	s = strings.ReplaceAll(s, nonFinite+"-Infinity\"", "-Infinity")
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:77], "") + "..."
	}
	return s
}
