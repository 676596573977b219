package weat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// node is a JSON or YAML value before it means anything: decoded strictly (no
// repeated keys, no aliases), with scalars as written, so that a word such as
// no, null or 1.0 in a YAML list stays the word.
type node struct {
	kind   kind
	scalar string
	keys   []string // of a map, in file order
	items  []*node  // values of a map or elements of a list
	line   int      // 1-based; 0 in JSON
}

type kind int

const (
	scalarKind kind = iota
	listKind
	mapKind
)

func (k kind) String() string { return [...]string{"a scalar", "a list", "a map"}[k] }

func (n *node) get(key string) *node {
	if n == nil || n.kind != mapKind {
		return nil
	}
	if i := slices.Index(n.keys, key); i >= 0 {
		return n.items[i]
	}
	return nil
}

// parseTree reads JSON when the first byte is a brace or bracket, else YAML.
func parseTree(data []byte) (*node, error) {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(trimmed) == 0 {
		return nil, fmt.Errorf("found an empty file")
	}
	if trimmed[0] != '{' && trimmed[0] != '[' {
		return parseYAML(data)
	}
	d := json.NewDecoder(bytes.NewReader(trimmed))
	d.UseNumber()
	n, err := jsonValue(d, 0)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("byte %d: %w", d.InputOffset(), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("byte %d: found more after the end of the document", d.InputOffset())
	}
	return n, nil
}

const maxDepth = 20

func jsonValue(d *json.Decoder, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("found nesting deeper than %d", maxDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Delim:
		n := &node{kind: listKind}
		if t == '{' {
			n.kind = mapKind
		}
		for d.More() {
			if n.kind == mapKind {
				key, err := d.Token()
				if err != nil {
					return nil, err
				}
				if slices.Contains(n.keys, key.(string)) {
					return nil, fmt.Errorf("found the key %q twice", key)
				}
				n.keys = append(n.keys, key.(string))
			}
			item, err := jsonValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		_, err := d.Token()
		return n, err
	case string:
		return &node{scalar: t}, nil
	case json.Number:
		return &node{scalar: t.String()}, nil
	case bool:
		return &node{scalar: strconv.FormatBool(t)}, nil
	}
	return &node{}, nil // null is the empty scalar
}

func parseYAML(data []byte) (*node, error) {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var more yaml.Node
	if err := d.Decode(&more); err != io.EOF {
		return nil, fmt.Errorf("found a second document, want one")
	}
	return yamlValue(&doc, 0)
}

func yamlValue(y *yaml.Node, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: found nesting deeper than %d", y.Line, maxDepth)
	}
	n := &node{line: y.Line}
	switch y.Kind {
	case yaml.DocumentNode:
		return yamlValue(y.Content[0], depth)
	case yaml.ScalarNode:
		n.scalar = y.Value
		return n, nil
	case yaml.SequenceNode:
		n.kind = listKind
		for _, c := range y.Content {
			item, err := yamlValue(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		return n, nil
	case yaml.MappingNode:
		n.kind = mapKind
		for i := 0; i+1 < len(y.Content); i += 2 {
			key := y.Content[i]
			if key.Kind != yaml.ScalarNode || slices.Contains(n.keys, key.Value) {
				return nil, fmt.Errorf("line %d: found the key %q again or not a scalar", key.Line, key.Value)
			}
			item, err := yamlValue(y.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			n.keys, n.items = append(n.keys, key.Value), append(n.items, item)
		}
		return n, nil
	}
	return nil, fmt.Errorf("line %d: found an alias, want plain values", y.Line)
}
