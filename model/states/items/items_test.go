package items

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

func put(t testing.TB, name, s string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func all(t *testing.T, s *Source) []Item {
	t.Helper()
	var out []Item
	for it, err := range s.Items() {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, it)
	}
	return out
}

func TestJSONL(t *testing.T) {
	s, err := Open(put(t, "t.jsonl", `{"id": "a", "text": "é\n", "label": 1, "topic": "t", "meta": {"k": 2.50}, "x_z": true}
{"id": 7, "prompt": "p ", "response": "r", "label": "yes", "family": "f", "weights": [1, 0.5], "positions": [-1, 0]}
`), Columns{Extra: []string{"k", "x_z"}})
	if err != nil {
		t.Fatal(err)
	}
	got := all(t, s)
	a, b := got[0], got[1]
	if a.ID != "a" || a.Text != "é\n" || a.Label != "1" || !a.HasLabel || a.Topic != "t" || !slices.Equal(a.Extra, []string{"2.50", "true"}) || a.Line != 1 {
		t.Errorf("%+v", a)
	}
	if b.ID != "7" || b.Text != "p r" || b.Seam != 2 || !b.HasResponse || b.Label != "yes" || b.Family != "f" ||
		!slices.Equal(b.Weights, []float64{1, .5}) || !slices.Equal(b.Positions, []int32{-1, 0}) || b.Line != 2 {
		t.Errorf("%+v", b)
	}
	if s.Len() != 2 || !s.Has["topic"] || s.Has["pair"] {
		t.Errorf("%d rows, columns %v", s.Len(), s.Has)
	}
}

// A file of texts to score serves here too.
func TestTextsFile(t *testing.T) {
	s, err := Open(put(t, "t.jsonl", `{"id":"a","text":"r","context":"c ","label":1,"group":"g","date":"2024-02-29","step":3,"set":"s","planted":0,"dose":2,"value":1,"covar":{"n":1}}
{"id":"b","text":"r","label":0}
`), Columns{Topic: "group"})
	if err != nil {
		t.Fatal(err)
	}
	got := all(t, s)
	if a := got[0]; a.Text != "c r" || a.Seam != 2 || !a.HasResponse || a.Label != "1" || a.Topic != "g" {
		t.Errorf("%+v", a)
	}
	if b := got[1]; b.Text != "r" || b.Seam != 1 || b.HasResponse {
		t.Errorf("%+v", b)
	}
	for _, bad := range []string{`{"id":"a","context":"c"}`, `{"id":"a","context":"c","text":"x","prompt":"p"}`} {
		if _, err := Open(put(t, "t.jsonl", bad), Columns{}); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestCSV(t *testing.T) {
	_, err := Open(put(t, "t.csv", "id,text,kind,x_k\na,\"two\nlines, \"\"q\"\"\",,1\n"), Columns{})
	if err == nil {
		t.Fatal("unknown column kind was read")
	}
	if _, err = Open(put(t, "t.csv", "id,text,topic,x_k\na,\"two\nlines, \"\"q\"\"\",,1\nb,,u,\n"), Columns{Extra: []string{"x_k"}, Label: "x_k"}); err == nil {
		t.Fatal("an empty label was read")
	}
	s, err := Open(put(t, "t.csv", "id,text,topic,x_k\na,\"two\nlines, \"\"q\"\"\",,1\nb,,u,2\n"), Columns{Label: "x_k"})
	if err != nil {
		t.Fatal(err)
	}
	got := all(t, s)
	if got[0].Text != "two\nlines, \"q\"" || got[0].Topic != "" || got[0].Label != "1" || got[1].Text != "" || got[1].Topic != "u" || got[1].Line != 4 {
		t.Errorf("%+v", got)
	}
}

// Columns are those of the value, counted in bytes from 1.
func TestProblems(t *testing.T) {
	for name, c := range map[string]struct{ file, in, code, want string }{
		"duplicate":     {"t.jsonl", `{"id":"a","text":"x"}` + "\n" + `{"id":"a","text":"y"}`, "duplicate-id", `t.jsonl:2:1: id: found "a" again, want an id that line 1 does not have`},
		"label list":    {"t.jsonl", `{"id":"a","text":"x","label":[1]}`, "bad-label", `t.jsonl:1:30: label: found list [1]`},
		"label object":  {"t.jsonl", `{"id":"a","text":"x","label":{}}`, "bad-label", "found object {}"},
		"label null":    {"t.jsonl", `{"id":"a","text":"x","label":null}`, "bad-label", "found null"},
		"label empty":   {"t.jsonl", `{"id":"a","text":"x","label":" "}`, "bad-label", `found string " "`},
		"unknown":       {"t.jsonl", `{"id":"a","text":"x","lable":"y"}`, "rows", "lable: found unknown column"},
		"case":          {"t.jsonl", `{"id":"a","Text":"x"}`, "rows", `Text: found other letter case, want "text"`},
		"twice":         {"t.jsonl", `{"id":"a","text":"x","text":"y"}`, "rows", `t.jsonl:1:22: text: found the key a second time`},
		"meta twice":    {"t.jsonl", `{"id":"a","text":"x","meta":{"a":1,"a":2}}`, "rows", `t.jsonl:1:36: meta.a: found the key a second time`},
		"no text":       {"t.jsonl", `{"id":"a"}`, "rows", "text: found no such column"},
		"both":          {"t.jsonl", `{"id":"a","text":"x","response":"y"}`, "rows", "found text beside prompt or response"},
		"empty id":      {"t.jsonl", `{"id":"","text":"x"}`, "rows", "id: found an empty string"},
		"empty topic":   {"t.jsonl", `{"id":"a","text":"x","topic":""}`, "rows", "topic: found an empty string"},
		"NUL":           {"t.jsonl", `{"id":"a","text":"x\u0000"}`, "rows", "found a NUL at byte 1"},
		"UTF-8":         {"t.jsonl", "{\"id\":\"a\",\"text\":\"\xff\"}", "rows", "t.jsonl:1:19: line: found byte 0xff"},
		"BOM":           {"t.jsonl", "\ufeff{}", "rows", "byte order mark"},
		"blank":         {"t.jsonl", `{"id":"a","text":"x"}` + "\n\n" + `{"id":"b","text":"x"}`, "rows", "t.jsonl:2:1: line: found a blank line"},
		"list":          {"t.jsonl", `[1]`, "rows", "want an object"},
		"cut":           {"t.jsonl", `{"id":"a",`, "rows", "want a JSON object"},
		"more":          {"t.jsonl", `{"id":"a","text":"x"} 1`, "rows", "more after the object"},
		"weights":       {"t.jsonl", `{"id":"a","text":"x","weights":[1,-2]}`, "bad-weights", "found number -2"},
		"nothing":       {"t.jsonl", "\n", "rows", "no documents"},
		"csv list":      {"t.csv", "id,text,weights\n", "rows", "a list or object in a CSV file"},
		"csv columns":   {"t.csv", "id,text\na,b,c\n", "rows", "2 columns, as in the header"},
		"csv quote":     {"t.csv", "id,text\na,\"b\n", "rows", "RFC 4180"},
		"csv twice":     {"t.csv", "id,text,text\n", "rows", "the column a second time"},
		"csv NUL":       {"t.csv", "id,text\na,\x00\n", "rows", "a NUL"},
		"damaged":       {"t.jsonl.gz", "\x1f\x8bxxxxxxxxxxxxxxxx", "malformed", "damaged gzip"},
		"gzip as plain": {"t.jsonl", "\x1f\x8bxxxxxxxxxxxxxxxx", "malformed", "gzip data"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(put(t, c.file, c.in), Columns{})
			f := fault.As(err)
			if f == nil || f.Class != fault.Input || f.Code != c.code || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want code %q saying %q", err, c.code, c.want)
			}
		})
	}
	if _, err := Open(put(t, "t.txt", "x"), Columns{}); fault.As(err).Class != fault.Usage {
		t.Errorf("t.txt: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "t.jsonl"), Columns{}); fault.As(err).Class != fault.Input {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestIDsAndLabels(t *testing.T) {
	s, err := Open(put(t, "t.jsonl", `{"id":"a","ids":[5,0]}`), Columns{IDs: true})
	if err != nil {
		t.Fatal(err)
	}
	if it := all(t, s)[0]; !slices.Equal(it.IDs, []int32{5, 0}) {
		t.Errorf("%+v", it)
	}
	for _, in := range []string{`{"id":"a","ids":[-1]}`, `{"id":"a","ids":[1.5]}`, `{"id":"a","ids":"1"}`, `{"id":"a"}`, `{"id":"a","ids":[1],"text":"x"}`} {
		if _, err := Open(put(t, "t.jsonl", in), Columns{IDs: true}); fault.As(err) == nil {
			t.Errorf("%s: %v", in, err)
		}
	}
	if s, err = Open(put(t, "y.csv", "id,label\na,1\n"), Columns{Labels: true}); err != nil || s.Len() != 1 {
		t.Errorf("%v", err)
	}
	if _, err := Open(put(t, "y.csv", "id,text\na,1\n"), Columns{Labels: true}); err == nil {
		t.Error("text beside vectors was read")
	}
}

func TestGzip(t *testing.T) {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(`{"id":"a","text":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(put(t, "t.jsonl.gz", b.String()), Columns{})
	if err != nil || s.Len() != 1 {
		t.Fatalf("%v", err)
	}
}

// A file that changes between the passes is an error that a second try may cure.
func TestChanged(t *testing.T) {
	path := put(t, "t.jsonl", `{"id":"a","text":"x"}`)
	s, err := Open(path, Columns{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"id":"a","text":"longer"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Items() {
		if f := fault.As(err); f == nil || f.Class != fault.Retry {
			t.Errorf("%v, want a retry fault", err)
		}
	}
}

// A file either opens, and then every row is what encoding/json reads too, or it is
// refused with a class.
func FuzzJSONL(f *testing.F) {
	f.Add([]byte(`{"id":"a","text":"x","label":true,"meta":{"a":[1]},"weights":[1]}` + "\n"))
	f.Add([]byte(`{"id":"a","prompt":"é","response":"\ud83d\ude00"}`))
	f.Add([]byte("{\"id\":\"a\",\"text\":\"\xff\"}"))
	path := filepath.Join(f.TempDir(), "t.jsonl")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Columns{})
		if err != nil {
			if f := fault.As(err); f == nil || f.Class != fault.Input {
				t.Fatalf("%v, want an input fault", err)
			}
			return
		}
		rows := strings.Split(string(data), "\n")
		for it, err := range s.Items() {
			if err != nil {
				t.Fatal(err)
			}
			var want struct{ Text, Prompt, Response string }
			if err := json.Unmarshal([]byte(rows[it.Line-1]), &want); err != nil {
				t.Fatalf("encoding/json: %v", err)
			}
			if it.Text != want.Text+want.Prompt+want.Response || it.Seam > len(it.Text) || it.ID == "" {
				t.Fatalf("read %+v, encoding/json reads %+v", it, want)
			}
		}
	})
}

// A table never panics and is refused with a class.
func FuzzCSV(f *testing.F) {
	f.Add([]byte("id,text,label\na,\"x\ny\",1\n"))
	f.Add([]byte("id,text\na"))
	path := filepath.Join(f.TempDir(), "t.csv")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Columns{})
		if err != nil {
			if f := fault.As(err); f == nil || f.Class != fault.Input {
				t.Fatalf("%v, want an input fault", err)
			}
			return
		}
		for it, err := range s.Items() {
			if err != nil || it.ID == "" {
				t.Fatalf("%+v, %v", it, err)
			}
		}
	})
}
