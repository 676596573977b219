package weat

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/probes/assoc/perm"
)

// maxWordsets bounds a file of word sets; ten published tests are 17 KB.
const maxWordsets = 16 << 20

// ReadTests reads word sets in JSON or YAML:
//
//	{note?, tests: [{id, name?, alt?, X: {name?, words: [..]}, Y, A, B, published?}]}
//
// X and Y are targets, A and B attributes; alt is "greater" (X expected nearer
// A) or "two", the default. The SEAT form {targ1, targ2, attr1, attr2}, each
// {category, examples}, is read as one test named after the file. Unknown
// fields, repeated ids and empty words are faults of code bad-wordsets.
func ReadTests(r io.Reader, file string) ([]Test, error) {
	return readTests(r, file, perm.TwoSided)
}

func readTests(r io.Reader, file string, alt perm.Alt) ([]Test, error) {
	p := setsParser{file: file, alt: alt}
	data, err := io.ReadAll(io.LimitReader(r, maxWordsets+1))
	if err != nil {
		return nil, fault.Retryf("read", "weat: %s: %w", file, err)
	}
	if len(data) > maxWordsets {
		return nil, p.bad("found over %d bytes, want less", maxWordsets)
	}
	root, err := parseTree(data)
	if err != nil {
		return nil, p.bad("%w", err)
	}
	if root.get("targ1") != nil {
		t, err := p.seat(root)
		return []Test{t}, err
	}
	if err := p.fields("the document", root, "note", "tests"); err != nil {
		return nil, err
	}
	list := root.get("tests")
	if list == nil || list.kind != listKind || len(list.items) == 0 {
		return nil, p.bad("tests: found none, want a list")
	}
	var out []Test
	for i, n := range list.items {
		t, err := p.test(n, i)
		if err != nil {
			return nil, err
		}
		for _, other := range out {
			if other.ID == t.ID {
				return nil, p.bad("test %q: found the id twice", t.ID)
			}
		}
		out = append(out, t)
	}
	return out, nil
}

type setsParser struct {
	file string
	alt  perm.Alt
}

func (p setsParser) bad(format string, args ...any) error {
	return fault.Inputf("bad-wordsets", "weat: %s: "+format, append([]any{p.file}, args...)...)
}

// fields refuses keys that are not allowed; "prefix*" allows a prefix.
func (p setsParser) fields(where string, n *node, allowed ...string) error {
	if n == nil || n.kind != mapKind {
		found := "nothing"
		if n != nil {
			found = n.kind.String()
		}
		return p.bad("%s: found %s, want a map of %s", where, found, strings.Join(allowed, ", "))
	}
	for _, k := range n.keys {
		ok := slices.ContainsFunc(allowed, func(a string) bool {
			prefix, star := strings.CutSuffix(a, "*")
			return a == k || star && strings.HasPrefix(k, prefix)
		})
		if !ok {
			return p.bad("%s: found the unknown field %q, want %s", where, k, strings.Join(allowed, ", "))
		}
	}
	return nil
}

func (p setsParser) test(n *node, i int) (Test, error) {
	where := fmt.Sprintf("test %d", i+1)
	if err := p.fields(where, n, "id", "name", "alt", "X", "Y", "A", "B", "published"); err != nil {
		return Test{}, err
	}
	t := Test{ID: p.text(n, "id"), Name: p.text(n, "name"), Alt: p.alt}
	if t.ID == "" {
		return t, p.bad("%s: id: found nothing, want a string or an integer", where)
	}
	where = fmt.Sprintf("test %q", t.ID)
	switch alt := p.text(n, "alt"); alt {
	case "":
	case "greater":
		t.Alt = perm.Greater
	case "two":
		t.Alt = perm.TwoSided
	default:
		return t, p.bad("%s: alt: found %q, want greater or two", where, alt)
	}
	for k, dst := range []*Set{&t.X, &t.Y, &t.A, &t.B} {
		s, err := p.set(where, letters[k], n.get(letters[k]), "name", "words")
		if err != nil {
			return t, err
		}
		*dst = s
	}
	t.Published = published(n.get("published"))
	return t, nil
}

// seat reads the form of the sentence-encoder tests.
func (p setsParser) seat(n *node) (Test, error) {
	name := strings.TrimSuffix(strings.TrimSuffix(p.file[strings.LastIndexAny(p.file, `/\`)+1:], ".jsonl"), ".json")
	t := Test{ID: name, Alt: p.alt}
	if err := p.fields("the document", n, "targ1", "targ2", "attr1", "attr2", "note"); err != nil {
		return t, err
	}
	for k, key := range []string{"targ1", "targ2", "attr1", "attr2"} {
		s, err := p.set(fmt.Sprintf("test %q", name), key, n.get(key), "category", "examples")
		if err != nil {
			return t, err
		}
		*[]*Set{&t.X, &t.Y, &t.A, &t.B}[k] = s
	}
	return t, nil
}

func (p setsParser) set(where, letter string, n *node, nameKey, wordsKey string) (Set, error) {
	if err := p.fields(where+": set "+letter, n, nameKey, wordsKey, "listed_but_not_used*"); err != nil {
		return Set{}, err
	}
	s := Set{Name: p.text(n, nameKey)}
	for i, key := range n.keys {
		if key == nameKey {
			continue
		}
		words, err := p.words(where, letter, n.items[i])
		if err != nil {
			return s, err
		}
		if key == wordsKey {
			s.Words = words
		} else {
			s.Unused = append(s.Unused, words...)
		}
	}
	if len(s.Words) == 0 {
		return s, p.bad("%s: set %s: found no words", where, letter)
	}
	return s, nil
}

func (p setsParser) words(where, letter string, n *node) ([]string, error) {
	if n.kind != listKind {
		return nil, p.bad("%s: set %s: found %s, want a list of words", where, letter, n.kind)
	}
	out := make([]string, len(n.items))
	for i, w := range n.items {
		if w.kind != scalarKind || strings.TrimSpace(w.scalar) == "" {
			return nil, p.bad("%s: set %s: word %d: found %s, want a word that is not empty", where, letter, i+1, found(w))
		}
		out[i] = w.scalar
	}
	return out, nil
}

func found(n *node) string {
	if n.kind == scalarKind {
		return strconv.Quote(n.scalar)
	}
	return n.kind.String()
}

func (p setsParser) text(n *node, key string) string {
	if v := n.get(key); v != nil && v.kind == scalarKind {
		return v.scalar
	}
	return ""
}

func published(n *node) map[string]Published {
	if n == nil || n.kind != mapKind {
		return nil
	}
	out := map[string]Published{}
	for i, k := range n.keys {
		v := n.items[i]
		get := func(key string) string {
			if x := v.get(key); x != nil {
				return x.scalar
			}
			return ""
		}
		out[k] = Published{Targets: get("n_targets"), Attributes: get("n_attributes"), D: get("d"), P: get("p")}
	}
	return out
}

// Validate refuses what would make a test mean something else than it says: a
// word twice in a set, in both target or in both attribute sets.
func (t Test) Validate(allowOverlap bool) error {
	p := setsParser{file: fmt.Sprintf("test %q", t.ID)}
	for k, s := range t.sets() {
		if len(s.Words) == 0 {
			return p.bad("set %s: found no words", letters[k])
		}
		for i, w := range s.Words {
			if strings.TrimSpace(w) == "" {
				return p.bad("set %s: word %d: found %q, want a word that is not empty", letters[k], i+1, w)
			}
			if !allowOverlap && slices.Contains(s.Words[:i], w) {
				return p.overlap("set %s: found %q twice", letters[k], w)
			}
		}
	}
	if allowOverlap {
		return nil
	}
	for _, pair := range [][2]int{{0, 1}, {2, 3}} {
		a, b := t.sets()[pair[0]], t.sets()[pair[1]]
		for _, w := range a.Words {
			if slices.Contains(b.Words, w) {
				return p.overlap("sets %s and %s: found %q in both", letters[pair[0]], letters[pair[1]], w)
			}
		}
	}
	return nil
}

func (p setsParser) overlap(format string, args ...any) error {
	return p.bad(format, args...).(*fault.Fault).Hint("remove the word, or allow overlap with --allow-overlap")
}

// shared returns the words that are both targets and attributes.
func (t Test) shared() (out []string) {
	for _, w := range slices.Concat(t.X.Words, t.Y.Words) {
		if (slices.Contains(t.A.Words, w) || slices.Contains(t.B.Words, w)) && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}
