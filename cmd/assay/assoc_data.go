package main

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"

	"assay/internal/fault"
)

// openData reads a file of a slot, plain or gzip, with a reader of the library.
// Where its columns are not the slot's, the error says which slot they would fit.
func openData[T any](slot, path string, read func(io.Reader, string) (T, error)) (out T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return out, fault.Inputf("no-file", "--data: %w", err)
	}
	defer f.Close()
	r, err := plain(f, path)
	if err != nil {
		return out, err
	}
	out, err = read(r, path)
	if ft := fault.As(err); ft != nil && ft.Class == fault.Input {
		if other := fittingSlot(path); other != "" && other != slot {
			return out, ft.Hint("the columns are those of --data %s=FILE", other)
		}
	}
	return out, err
}

// plain decompresses gzip, told by its first bytes.
func plain(r io.Reader, path string) (io.Reader, error) {
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fault.Inputf("bad-data", "--data: %s: %w", path, err)
	}
	return z, nil
}

// schemas are the columns or keys that tell the published formats apart.
func schemas() [][]string {
	return [][]string{
		{"crows", "sent_more", "sent_less", "stereo_antistereo", "bias_type"},
		{"contrasts", "id", "more", "less"},
		{"bbq", "example_id", "question_index", "question_polarity", "context_condition", "answer_info"},
		{"discrim", "filled_template", "decision_question_id", "age", "gender", "race"},
		{"templates", "filled_template", "decision_question_id"},
		{"iat", "category", "dataset", "A", "B", "C"},
		{"wordsets", "tests"},
		{"stereoset", "version", "data"},
	}
}

// fittingSlot is the slot whose columns a file has all of; "" for none.
func fittingSlot(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	r, err := plain(io.LimitReader(f, 1<<20), path)
	if err != nil {
		return ""
	}
	b := bufio.NewReader(r)
	var have []string
	if first, _ := b.Peek(1); len(first) == 1 && first[0] == '{' {
		d := json.NewDecoder(b)
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return ""
		}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				break
			}
			if k, ok := key.(string); ok {
				have = append(have, k)
			}
			var skip json.RawMessage
			if d.Decode(&skip) != nil {
				break
			}
		}
	} else {
		line, _ := b.ReadString('\n')
		have, _ = csv.NewReader(strings.NewReader(line)).Read()
	}
	best := []string{""}
	for _, s := range schemas() {
		all := !slices.ContainsFunc(s[1:], func(c string) bool { return !slices.Contains(have, c) })
		if all && len(s) > len(best) {
			best = s
		}
	}
	return best[0]
}
