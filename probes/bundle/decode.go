package bundle

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"

	"go.yaml.in/yaml/v3"
)

// Pos is where a value stands in the plan.
type Pos struct{ Line, Col int }

func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Col) }

// errorf is an error of the plan at a place.
func (p Pos) errorf(format string, args ...any) *fault.Fault {
	return fault.Usagef("plan:%s: %w", p, fmt.Errorf(format, args...))
}

func posOf(n *yaml.Node) Pos { return Pos{n.Line, n.Column} }

// own is a type that reads its own node.
type own interface{ decode(n *yaml.Node) error }

// plain refuses what a plan may not hold anywhere: references, which could be
// circular, tags, and keys that are not strings or come twice.
func plain(n *yaml.Node, depth int) error {
	at := posOf(n)
	switch {
	case depth > 16:
		return at.errorf("found more than 16 levels")
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return at.errorf("found an anchor or alias, want every value written out")
	case n.Style&yaml.TaggedStyle != 0:
		return at.errorf("found the tag %s, want none", n.Tag)
	}
	if n.Kind == yaml.MappingNode {
		seen := map[string]int{}
		for i := 0; i < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode || k.Tag != "!!str" {
				return posOf(k).errorf("found the key %q of type %s, want a string", k.Value, strings.TrimPrefix(k.Tag, "!!"))
			}
			if first, twice := seen[k.Value]; twice {
				return posOf(k).errorf("key %q appears twice (first in line %d)", k.Value, first)
			}
			seen[k.Value] = k.Line
		}
	}
	for _, c := range n.Content {
		if err := plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// field is one key of a mapping as its Go struct field says.
type field struct {
	key, help string
	required  bool
	index     int
}

// fields reads the tags `plan:"key[,required]" help:"..."`.
func fields(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("plan")
		if !ok {
			continue
		}
		key, opt, _ := strings.Cut(tag, ",")
		out = append(out, field{key, t.Field(i).Tag.Get("help"), opt == "required", i})
	}
	return out
}

// decode reads n into v strictly: the Go types are the schema.
func decode(n *yaml.Node, v reflect.Value, what string) error {
	at := posOf(n)
	if o, ok := v.Addr().Interface().(own); ok {
		return o.decode(n)
	}
	wrong := func(want string) error { return at.errorf("%s: found %s, want %s", what, kindOf(n), want) }
	switch v.Kind() {
	case reflect.Struct:
		if n.Kind != yaml.MappingNode {
			return wrong("a mapping")
		}
		return decodeStruct(n, v, what)
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			return wrong("a mapping")
		}
		v.Set(reflect.MakeMap(v.Type()))
		for i := 0; i < len(n.Content); i += 2 {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := decode(n.Content[i+1], e, n.Content[i].Value); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(n.Content[i].Value), e)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decode(n, v.Elem(), what)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			return wrong("a list")
		}
		for _, c := range n.Content {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := decode(c, e, what); err != nil {
				return err
			}
			v.Set(reflect.Append(v, e))
		}
	case reflect.String:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
			return wrong("a string")
		}
		v.SetString(n.Value)
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			return wrong("true or false")
		}
		v.SetBool(n.Value == "true" || n.Value == "True" || n.Value == "TRUE")
	case reflect.Uint64:
		x, err := strconv.ParseUint(n.Value, 10, 64)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
			return wrong("an integer from 0")
		}
		v.SetUint(x)
	case reflect.Float64:
		x, err := strconv.ParseFloat(n.Value, 64)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!float" && n.Tag != "!!int" || err != nil {
			return wrong("a number")
		}
		v.SetFloat(x)
	default:
		return fmt.Errorf("bundle: no rule for %s", v.Type())
	}
	return nil
}

func decodeStruct(n *yaml.Node, v reflect.Value, what string) error {
	fs := fields(v.Type())
	if p := v.FieldByName("Pos"); p.IsValid() {
		p.Set(reflect.ValueOf(posOf(n)))
	}
	var known, found []string
	for _, f := range fs {
		known = append(known, f.key)
	}
	for i := 0; i < len(n.Content); i += 2 {
		k := n.Content[i]
		j := slices.IndexFunc(fs, func(f field) bool { return f.key == k.Value })
		if j < 0 {
			return posOf(k).errorf("unknown key %q%s", k.Value, nearest(k.Value, known))
		}
		found = append(found, k.Value)
		if err := decode(n.Content[i+1], v.Field(fs[j].index), k.Value); err != nil {
			return err
		}
	}
	for _, f := range fs {
		if f.required && !slices.Contains(found, f.key) {
			return posOf(n).errorf("%s: key %q is missing", what, f.key)
		}
	}
	return nil
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return fmt.Sprintf("%.60q", n.Value)
}

// nearest says which of the known names was meant, or lists them.
func nearest(found string, known []string) string {
	best, at := 4, ""
	for _, k := range known {
		if d := editDistance(found, k); d < best {
			best, at = d, k
		}
	}
	switch {
	case at != "":
		return fmt.Sprintf(": did you mean %q?", at)
	case len(known) == 0:
		return ""
	}
	s := slices.Clone(known)
	slices.Sort(s)
	return ", want one of " + strings.Join(s, ", ")
}

// editDistance is Levenshtein's, over bytes of at most 40.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 40)], b[:min(len(b), 40)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
