package text

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"assay/internal/fault"
)

// A file either opens, and then every row of it is what encoding/json reads
// too, or it is refused with a class.
func FuzzJSONL(f *testing.F) {
	f.Add([]byte(goodRows), false)
	f.Add([]byte(`{"id":"a","ids":[0,5],"context_ids":[7],"covar":{"a":1}}`), true)
	f.Add([]byte(`{"id":"a","text":"\ud83d\ude00\u0000","x_a":{"b":[{}]}}`), false)
	f.Add([]byte("\ufeff{\"id\":\"a\"\x00"), false)
	path := filepath.Join(f.TempDir(), "t.jsonl")
	f.Fuzz(func(t *testing.T, data []byte, ids bool) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{IDs: ids})
		if err != nil {
			if f := fault.As(err); f == nil || f.Class != fault.Input {
				t.Fatalf("%v, want an input fault", err)
			}
			return
		}
		rows := strings.Split(string(data), "\n")
		n := 0
		for d, err := range s.Docs() {
			if err != nil {
				t.Fatal(err)
			}
			n++
			var want struct {
				ID, Text string
				IDs      []int32
			}
			if err := json.Unmarshal([]byte(rows[d.Line-1]), &want); err != nil {
				t.Fatalf("encoding/json: %v", err)
			}
			if d.ID != want.ID || d.Text != want.Text || len(d.IDs) != len(want.IDs) || d.HasText == ids {
				t.Fatalf("read %+v, encoding/json reads %+v", d, want)
			}
			if !utf8.ValidString(d.Text+d.ID+d.Group+d.Context) || strings.Contains(d.Text+d.ID+d.Group+d.Context, "\x00") {
				t.Fatalf("broken characters in %+v", d)
			}
			if d.Meta != nil && !json.Valid(d.Meta) {
				t.Fatalf("meta %s is no JSON", d.Meta)
			}
		}
		if n != s.Len() || n == 0 {
			t.Fatalf("found %d documents, Len says %d", n, s.Len())
		}
	})
}
