package weights

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

func parse(t testing.TB, text string) *Config {
	t.Helper()
	c, err := ParseConfig("config.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigGetters(t *testing.T) {
	c := parse(t, `{"i":12,"whole":4096.0,"big":1e3,"f":1e-05,"asint":10000,"b":true,"no":false,"s":"h\u00e9\n","null":null,
		"ints":[1,2.0],"floats":[1,0.5],"strings":["a","b"],"empty":[],"sub":{"x":3,"deeper":{"y":"z"}}}`)
	checks := []struct {
		name      string
		got, want any
	}{
		{"Int", c.Int("i"), 12},
		{"Int of a whole float", c.Int("whole"), 4096},
		{"Int of 1e3", c.Int("big"), 1000},
		{"IntOr present", c.IntOr("i", 7), 12},
		{"IntOr missing", c.IntOr("none", 7), 7},
		{"IntOrNull missing", c.IntOrNull("none2", 7, 8), 7},
		{"IntOrNull null", c.IntOrNull("null", 7, 8), 8},
		{"Float", c.Float("f"), 1e-5},
		{"Float of an integer", c.Float("asint"), 10000.0},
		{"FloatOr missing", c.FloatOr("none3", .25), .25},
		{"FloatOrNull null", c.FloatOrNull("null", 1, 2), 2.0},
		{"Bool", c.Bool("b"), true},
		{"BoolOr false", c.BoolOr("no", true), false},
		{"BoolOr missing", c.BoolOr("none4", true), true},
		{"BoolOrNull null", c.BoolOrNull("null", true, false), false},
		{"String", c.String("s"), "hé\n"},
		{"StringOr missing", c.StringOr("none5", "silu"), "silu"},
		{"StringOrNull null", c.StringOrNull("null", "a", "b"), "b"},
		{"Ints", c.Ints("ints"), []int{1, 2}},
		{"Ints missing", c.Ints("none6"), []int(nil)},
		{"Ints null", c.Ints("null"), []int(nil)},
		{"Ints empty", c.Ints("empty"), []int{}},
		{"Floats", c.Floats("floats"), []float64{1, .5}},
		{"Strings", c.Strings("strings"), []string{"a", "b"}},
		{"Sub", c.Sub("sub").Int("x"), 3},
		{"Sub of Sub", c.Sub("sub").Sub("deeper").String("y"), "z"},
		{"Sub missing", c.Sub("none7").IntOr("x", 1), 1},
		{"Sub null", c.Sub("null").IntOr("x", 2), 2},
		{"Has", c.Has("i") && !c.Has("null") && !c.Has("none"), true},
		{"Null", c.Null("null") && !c.Null("i") && !c.Null("none"), true},
		{"Keys", c.Sub("sub").Keys(), []string{"x", "deeper"}},
	}
	for _, tc := range checks {
		if !reflect.DeepEqual(tc.got, tc.want) {
			t.Errorf("%s: got %#v, want %#v", tc.name, tc.got, tc.want)
		}
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(c.Defaulted()); got != "[{none 7} {none2 7} {none3 0.25} {none4 true} {none5 silu} {none7.x 1} {null 8} {null 2} {null false} {null b} {null.x 2}]" {
		t.Errorf("Defaulted = %s", got)
	}
	if got, want := c.Used(), []string{"asint", "b", "big", "empty", "f", "floats", "i", "ints", "no", "null", "s", "strings", "sub", "sub.deeper", "sub.deeper.y", "sub.x", "whole"}; !slices.Equal(got, want) {
		t.Errorf("Used = %q, want %q", got, want)
	}
	if got := c.Unknown(); len(got) != 0 {
		t.Errorf("Unknown = %v, want none", got)
	}
}

// Every wrong value is an error that names the key, what was found and what is
// wanted; the getter then returns the zero value.
func TestConfigRefuses(t *testing.T) {
	c := func() *Config {
		return parse(t, `{"s":"x","f":1.5,"i":1,"huge":1e400,"big":9007199254740993.0,"null":null,"b":1,"list":[1,"a"],"obj":{"k":[]},"nan":NaN,"inf":[1,-Infinity]}`)
	}
	tests := []struct {
		name, want string
		read       func(c *Config) any
	}{
		{"string as int", `config.json: key "s": found "x", want an integer`, func(c *Config) any { return c.Int("s") }},
		{"fraction as int", `key "f": found 1.5, want an integer`, func(c *Config) any { return c.Int("f") }},
		{"beyond 2^53", `key "big": found 9007199254740993.0, want an integer`, func(c *Config) any { return c.Int("big") }},
		{"beyond float64", `key "huge": found 1e400, want a number`, func(c *Config) any { return c.Float("huge") }},
		{"missing", `key "none": not found, want an integer`, func(c *Config) any { return c.Int("none") }},
		{"null", `key "null": found null, want an integer`, func(c *Config) any { return c.Int("null") }},
		{"null for a default", `key "null": found null, want an integer`, func(c *Config) any { return c.IntOr("null", 5) }},
		{"integer as bool", `key "b": found 1, want true or false`, func(c *Config) any { return c.BoolOr("b", false) }},
		{"integer as string", `key "i": found 1, want a string`, func(c *Config) any { return c.StringOr("i", "") }},
		{"mixed list", `key "list": found "a" at 1, want an array of integers`, func(c *Config) any { return len(c.Ints("list")) }},
		{"number as list", `key "i": found 1, want an array of numbers`, func(c *Config) any { return len(c.Floats("i")) }},
		{"list as object", `key "list": found [1,"a"], want an object`, func(c *Config) any { return len(c.Sub("list").Keys()) }},
		{"in an object", `key "obj.k": found [], want an integer`, func(c *Config) any { return c.Sub("obj").Int("k") }},
		// Python writes these words; JSON has none of them.
		{"NaN", `key "nan": found NaN, want a number`, func(c *Config) any { return c.Float("nan") }},
		{"NaN as string", `key "nan": found NaN, want a string`, func(c *Config) any { return c.String("nan") }},
		{"-Infinity in a list", `key "inf": found -Infinity at 1, want an array of numbers`, func(c *Config) any { return len(c.Floats("inf")) }},
		{"refused by the caller", `key "s": found "x", want silu or gelu`, func(c *Config) any { c.Refuse("s", "silu or %s", "gelu"); return 0 }},
	}
	for _, tc := range tests {
		c := c()
		got := tc.read(c)
		code := "malformed"
		if strings.HasPrefix(tc.name, "refused") {
			code = "unsupported"
		}
		wantFault(t, tc.name, c.Err(), fault.Input, code, tc.want)
		if !reflect.ValueOf(got).IsZero() {
			t.Errorf("%s: got %v, want the zero value", tc.name, got)
		}
	}
	many := c()
	many.Int("s")
	many.Int("s")
	many.Int("f")
	if err := many.Err(); strings.Count(err.Error(), "want an integer") != 2 {
		t.Errorf("errors are not collected once each: %v", err)
	}
}

func TestConfigUnknown(t *testing.T) {
	c := parse(t, `{"read":1,"new_scale":0.5,"zero":0,"n":null,"f":false,"e":"","l":[ ],"o":{ },"nan":NaN,"cache_dir":"x","sub":{"x":1,"y":[1, 2]},"whole":{"z":1}}`)
	c.Int("read")
	c.Sub("sub").Int("x")
	got := fmt.Sprint(c.Unknown("cache_*", "sub.q"))
	if want := "[{nan NaN} {new_scale 0.5} {sub.y [1,2]} {whole {\"z\":1}} {zero 0}]"; got != want {
		t.Errorf("Unknown = %s, want %s", got, want)
	}
	if got := c.Unknown("*", "sub.*"); len(got) != 0 {
		t.Errorf("everything ignorable: %v", got)
	}
}

func TestConfigMissing(t *testing.T) {
	c := mustOpen(t, folder(t, map[string]string{singleName: string(pack(vectorA))})).Config()
	if c.Exists() {
		t.Error("Exists without a file")
	}
	c.IntOr("a", 1)
	c.Int("b")
	wantFault(t, "missing file", c.Err(), fault.Input, "missing", "config.json: not found beside the weights")
	if n := strings.Count(c.Err().Error(), "\n"); n != 0 {
		t.Errorf("said %d times: %v", n+1, c.Err())
	}
}

// Each Config starts with an empty record.
func TestConfigFresh(t *testing.T) {
	ck := mustOpen(t, filepath.Join(reference, "gpt2"))
	a := ck.Config()
	a.Int("model_type")
	a.IntOr("none", 1)
	b := ck.Config()
	if a.Err() == nil || b.Err() != nil || len(b.Used()) != 0 || len(b.Defaulted()) != 0 {
		t.Errorf("records are shared: %v, %v, %v", b.Err(), b.Used(), b.Defaulted())
	}
}

func TestHostileConfig(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":0`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	tests := []struct{ name, text, want string }{
		{"empty", "", "EOF"},
		{"a list", "[]", "found [, want an object"},
		{"a string", `"x"`, "want an object"},
		{"byte order mark", "\ufeff{}", "config.json"},
		{"cut short", `{"a":1`, "EOF"},
		{"text after the end", `{} x`, `found "x" after the end`},
		{"second object", `{}{}`, "after the end"},
		// Readers that take the first and readers that take the last value
		// compute different models.
		{"duplicate key", `{"hidden_size":1,"hidden_size":2}`, `duplicate object member name "hidden_size"`},
		{"duplicate key, escaped", `{"a":1,"\u0061":2}`, "duplicate"},
		{"duplicate key below", `{"x":[{"a":1,"a":2}]}`, "duplicate"},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", "UTF-8"},
		{"lone surrogate", `{"a":"\ud800"}`, "config.json"},
		{"comment", `{"a":1} // x`, "after the end"},
		{"trailing comma", `{"a":1,}`, "config.json"},
		{"leading zero", `{"a":01}`, "config.json"},
		{"plus sign", `{"a":+1}`, "config.json"},
		{"word", `{"a":nan}`, "config.json"},
		{"NaN as a key", `{NaN:1,NaN:2}`, "duplicate"},
		{"nesting of 65", deep(65), "nesting deeper than 64"},
		{"nesting of 10^6", strings.Repeat(`{"a":`, 1e6), "nesting deeper than 64"},
		{"arrays of 10^6", `{"a":` + strings.Repeat(`[`, 1e6), "nesting deeper than 64"},
		{"too many keys", many(maxConfigKeys + 1), "more than 65536 keys"},
		{"too large", "{}" + strings.Repeat(" ", maxConfigBytes), "want at most 16777216"},
	}
	for _, tc := range tests {
		var err error
		n := allocated(func() { _, err = ParseConfig("config.json", []byte(tc.text)) })
		wantFault(t, tc.name, err, fault.Input, "malformed", tc.want)
		if limit := uint64(2*len(tc.text) + 1<<20); n > limit && tc.name != "too many keys" {
			t.Errorf("%s: allocated %d bytes, want at most %d", tc.name, n, limit)
		}
	}
	for name, text := range map[string]string{"nesting of 64": deep(64), "many keys": many(30000), "spaces": " \n{}\n"} {
		if _, err := ParseConfig("config.json", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := folder(t, map[string]string{singleName: string(pack(vectorA)), "config.json": `{"a":1,"a":2}`})
	_, err := Open(dir)
	wantFault(t, "through Open", err, fault.Input, "malformed", "config.json: jsontext: duplicate")
}

// The words NaN and Infinity inside strings are text.
func TestNonFiniteWords(t *testing.T) {
	c := parse(t, `{"a":"NaN \" -Infinity","NaN":"x\\","b":Infinity,"c":"\\\"NaN"}`)
	if got := c.String("a") + c.String("NaN") + c.String("c"); got != `NaN " -Infinityx\\"NaN` {
		t.Errorf("strings read %q", got)
	}
	c.Float("b")
	wantFault(t, "Infinity", c.Err(), fault.Input, "malformed", "found Infinity, want a number")
}
