package text

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func all(t testing.TB, path string, o Options) []Doc {
	t.Helper()
	var docs []Doc
	for d, err := range Read(path, o) {
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, d)
	}
	return docs
}

func TestTxt(t *testing.T) {
	tests := []struct {
		name, split, content string
		want                 []string
		ids                  []string
	}{
		{"whole", "", "a\r\n\n b \n", []string{"a\r\n\n b \n"}, []string{"line:1"}},
		{"whole without a last line feed", SplitFile, "a\nb", []string{"a\nb"}, []string{"line:1"}},
		{"lines", SplitLine, "a\r\n\n b \nc", []string{"a", "", " b ", "c"}, []string{"line:1", "line:2", "line:3", "line:4"}},
		{"a carriage return inside a line stays", SplitLine, "a\rb\r\n", []string{"a\rb"}, []string{"line:1"}},
		{"a carriage return without a line feed stays", SplitLine, "a\r", []string{"a\r"}, []string{"line:1"}},
		{"paragraphs", SplitBlank, "\n\na\nb\n\n\r\n\n c \n \nd\r\n", []string{"a\nb", " c \n \nd"}, []string{"line:3", "line:8"}},
		{"one paragraph", SplitBlank, "a", []string{"a"}, []string{"line:1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			docs := all(t, write(t, "t.txt", tt.content), Options{Split: tt.split})
			var got, ids []string
			for _, d := range docs {
				if !d.HasText {
					t.Error("HasText is false")
				}
				got, ids = append(got, d.Text), append(ids, d.ID)
			}
			if !slices.Equal(got, tt.want) || !slices.Equal(ids, tt.ids) {
				t.Errorf("got %q %q, want %q %q", got, ids, tt.want, tt.ids)
			}
		})
	}
}

const goodRows = `{"id":"a","text":"x <y>","label":1,"group":"g","date":"2024-02-29","x_b":{"k":[1.50,"é"]},"dose":2.50,"context":""}` + "\r\n" +
	` {"text" : "" , "id" : "b", "meta":{"b":1,"a":null}, "covar":{"n":1e2}, "planted":0, "set":"s", "step":7, "value":-1} ` + "\n\n"

func checkGood(t *testing.T, docs []Doc) {
	t.Helper()
	if len(docs) != 2 {
		t.Fatalf("found %d documents, want 2", len(docs))
	}
	a, b := docs[0], docs[1]
	if a.ID != "a" || a.Text != "x <y>" || a.Label == nil || *a.Label != 1 || a.Group != "g" || a.Date != "2024-02-29" || !a.HasContext || a.Context != "" || a.Line != 1 {
		t.Errorf("first row: %+v", a)
	}
	if got, want := string(a.Meta), `{"dose":2.5,"x_b":{"k":[1.5,"é"]}}`; got != want {
		t.Errorf("meta %s, want %s", got, want)
	}
	if y, m, d := a.Time().Date(); y != 2024 || m != 2 || d != 29 {
		t.Errorf("Time = %v", a.Time())
	}
	if b.ID != "b" || b.Text != "" || !b.HasText || b.Label != nil || b.HasContext || b.Line != 2 || !b.Time().IsZero() {
		t.Errorf("second row: %+v", b)
	}
	if got, want := string(b.Meta), `{"covar":{"n":100},"meta":{"a":null,"b":1},"planted":0,"set":"s","step":7,"value":-1}`; got != want {
		t.Errorf("meta %s, want %s", got, want)
	}
}

func TestJSONL(t *testing.T) {
	checkGood(t, all(t, write(t, "t.jsonl", goodRows), Options{}))
	s, err := Open(write(t, "t.jsonl", goodRows), Options{})
	if err != nil || s.Len() != 2 {
		t.Errorf("Len = %d, %v; want 2", s.Len(), err)
	}
	for range s.Docs() { // stopping early is no error
		break
	}
}

// A file of labelled items serves here too: labels that are words and the items'
// columns are carried.
func TestItemsFile(t *testing.T) {
	docs := all(t, write(t, "t.jsonl", `{"id":"a","text":"x","label":"safe","topic":"t","pair":"1","weights":[1,2],"positions":[0]}`+"\n"+`{"id":"b","text":"y","label":true,"source":"s","family":2}`), Options{})
	if len(docs) != 2 || docs[0].Label != nil || docs[1].Label != nil {
		t.Fatalf("%+v, want two documents without a label of 0 or 1", docs)
	}
	for i, want := range []string{`{"label":"safe","pair":"1","positions":[0],"topic":"t","weights":[1,2]}`, `{"family":2,"label":true,"source":"s"}`} {
		if got := string(docs[i].Meta); got != want {
			t.Errorf("meta %s, want %s", got, want)
		}
	}
}

func gz(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGzip(t *testing.T) {
	data := gz(t, goodRows)
	checkGood(t, all(t, write(t, "t.jsonl.gz", data), Options{}))
	for name, bad := range map[string]string{"cut": data[:len(data)-9], "flipped": data[:30] + "\x00\xff\x00" + data[33:], "plain": goodRows, "empty": ""} {
		_, err := Open(write(t, "t.jsonl.gz", bad), Options{})
		if f := fault.As(err); f == nil || f.Class != fault.Input {
			t.Errorf("%s: %v, want an input fault", name, err)
		}
	}
}

func TestIDs(t *testing.T) {
	docs := all(t, write(t, "t.jsonl", `{"id":"a","ids":[0,5,2147483646],"label":0}`+"\n"+`{"id":"b","ids":[],"context_ids":[7]}`), Options{IDs: true})
	if len(docs) != 2 || !slices.Equal(docs[0].IDs, []int32{0, 5, 2147483646}) || docs[0].HasText || docs[0].HasContext ||
		len(docs[1].IDs) != 0 || !docs[1].HasContext || !slices.Equal(docs[1].ContextIDs, []int32{7}) {
		t.Errorf("got %+v", docs)
	}
}

// Columns are 1-based bytes, counted by hand; the first case is the published
// example of the message form.
func TestRowFaults(t *testing.T) {
	tests := []struct {
		name, row string
		ids       bool
		want      string
	}{
		{"label a string", `{"id":"a7","text":"x","label":"1"}`, false, `31: label: found string "1", want number 0 or 1`},
		{"label 2", `{"id":"a7","text":"x","label":2}`, false, `31: label: found number 2, want number 0 or 1`},
		{"label a number in a string", `{"id":"a7","text":"x","label":"0.5"}`, false, `31: label: found string "0.5", want number 0 or 1`},
		{"label empty", `{"id":"a7","text":"x","label":" "}`, false, `31: label: found string " ", want number 0 or 1`},
		{"null", `{"id":"a7","text":null}`, false, `19: text: found null, want a string`},
		{"misspelt", `{"id":"a7","text":"x","lable":1}`, false, `23: lable: found unknown field, want "label"`},
		{"other case", `{"id":"a7","Text":"x"}`, false, `12: Text: found other letter case, want "text"`},
		{"unknown", `{"id":"a7","text":"x","zzzzzzzzz":1}`, false, `23: zzzzzzzzz: found unknown field, want one of id, text, context, label,`},
		{"ids where texts are read", `{"id":"a7","ids":[1]}`, false, `12: ids: found unknown field, want "id"`},
		{"repeated key", `{"id":"a7","text":"x","text":"y"}`, false, `23: text: found the key a second time, want it once`},
		{"repeated key inside", `{"id":"a7","text":"x","meta":{"a":1,"a":2}}`, false, `meta: found a repeated key`},
		{"repeated key in covar", `{"id":"a7","text":"x","covar":{"a":1,"a":2}}`, false, `covar: found object {"a":1,"a":2}, want an object without repeated keys`},
		{"empty id", `{"id":"","text":"x"}`, false, `7: id: found string "", want a string that is not empty`},
		{"no id", `{"text":"x"}`, false, `12: id: found no such field, want it in every row`},
		{"no text", `{"id":"a7"}`, false, `11: text: found no such field`},
		{"bad UTF-8", "{\"id\":\"a7\",\"text\":\"\xff\"}", false, `20: line: found byte 0xff, want UTF-8`},
		{"half a surrogate pair", `{"id":"a7","text":"\ud800"}`, false, `row: found`},
		{"NUL", "{\"id\":\"a7\",\"text\":\"\x00\"}", false, `20: line: found a NUL, want none`},
		{"escaped NUL", `{"id":"a7","text":"b\u0000"}`, false, `19: text: found a NUL at byte 1 of the string, want none`},
		{"number over 2^53", `{"id":"a7","text":"x","value":9007199254740993}`, false, `31: value: found number 9007199254740993, want an integer within 2^53`},
		{"number over float64", `{"id":"a7","text":"x","value":1e999}`, false, `31: value: found number 1e999, want a finite number`},
		{"such a number in meta", `{"id":"a7","text":"x","meta":{"a":[1e999]}}`, false, `36: meta: found number 1e999, want a finite number`},
		{"NaN", `{"id":"a7","text":"x","value":NaN}`, false, `31: row: found invalid character 'N'`},
		{"dose 0", `{"id":"a7","text":"x","dose":0}`, false, `30: dose: found number 0, want a number above 0`},
		{"no such day", `{"id":"a7","text":"x","date":"2023-02-29"}`, false, `30: date: found string "2023-02-29", want a date like 2024-02-29`},
		{"covar a string", `{"id":"a7","text":"x","covar":{"n":"1"}}`, false, `36: covar.n: found string "1", want a number`},
		{"a list", `[1]`, false, `1: row: found list [1], want an object`},
		{"two objects", `{"id":"a7","text":"x"} {}`, false, `23: row: found more after the object, want one object per line`},
		{"cut", `{"id":"a7","te`, false, `row: found`},
		{"id negative", `{"id":"a7","ids":[1,-1]}`, true, `21: ids: found number -1, want an id from 0 to 2147483646`},
		{"id a fraction", `{"id":"a7","ids":[1.5]}`, true, `19: ids: found number 1.5, want an id`},
		{"id too large", `{"id":"a7","ids":[2147483647]}`, true, `19: ids: found number 2147483647, want an id`},
		{"text where ids are read", `{"id":"a7","ids":[1],"text":"x"}`, true, `22: text: found unknown field`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "t.jsonl", tt.row+"\n")
			_, err := Open(path, Options{IDs: tt.ids})
			f := fault.As(err)
			if f == nil || f.Class != fault.Input {
				t.Fatalf("%v, want an input fault", err)
			}
			if want := path + ":1:"; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s... %s", err, want, tt.want)
			}
		})
	}
}

func TestFileFaults(t *testing.T) {
	row := `{"id":"a","text":"x"}` + "\n"
	tests := []struct{ name, file, content, want string }{
		{"repeated id", "t.jsonl", row + "\n" + row, `:3:7: id: found "a" again, want an id that line 1 does not have`},
		{"inner blank line", "t.jsonl", row + " \n\n" + row, `:2:1: line: found a blank line, want a row`},
		{"byte order mark", "t.jsonl", "\ufeff" + row, `:1:1: file: found a byte order mark, want none`},
		{"byte order mark", "t.txt", "\ufeffa", `:1:1: file: found a byte order mark, want none`},
		{"NUL", "t.txt", "a\nb\x00", `:2:2: line: found a NUL, want none`},
		{"empty", "t.txt", "", `found no documents`},
		{"empty", "t.jsonl", "\n\n", `found no documents`},
		{"gzip by another name", "t.jsonl", gz(t, row), `found gzip data`},
		{"long line", "t.jsonl", row + strings.Repeat(" ", MaxLine+1) + "\n" + "{}", `:2:1: line: found over 16777216 bytes`},
		{"long document", "t.txt", strings.Repeat("a\n", MaxLine/2+1), `found a document over 16777216 bytes`},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.file, func(t *testing.T) {
			_, err := Open(write(t, tt.file, tt.content), Options{})
			if f := fault.As(err); f == nil || f.Class != fault.Input || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an input fault with %q", err, tt.want)
			}
		})
	}
	if _, err := Open(write(t, "t.txt", strings.Repeat("a", MaxLine)+"\r\n"), Options{Split: SplitLine}); err != nil {
		t.Errorf("a line of the greatest length: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for name, o := range map[string]Options{"t.txt": {IDs: true}, "t.jsonl": {Split: SplitLine}, "t.csv": {}, "t.txt.gz": {}, "u.txt": {Split: "word"}} {
		_, err := Open(write(t, name, "x"), o)
		if f := fault.As(err); f == nil || f.Class != fault.Usage {
			t.Errorf("%s %+v: %v, want a usage fault", name, o, err)
		}
	}
}

// All faults are counted; an error prints the first fifty.
func TestManyFaults(t *testing.T) {
	_, err := Open(write(t, "t.jsonl", strings.Repeat("{}\n", 60)), Options{})
	var p *Problems
	if !errors.As(err, &p) {
		t.Fatalf("%v, want Problems", err)
	}
	if p.Total != 120 || len(p.List) != 120 || !strings.HasSuffix(err.Error(), "and 70 more") || strings.Count(err.Error(), "\n") != 50 {
		t.Errorf("total %d, listed %d: %v", p.Total, len(p.List), err)
	}
}

func TestChanged(t *testing.T) {
	path := write(t, "t.jsonl", goodRows)
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"id":"a","text":"other"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Docs() {
		if f := fault.As(err); f == nil || f.Class != fault.Retry {
			t.Errorf("%v, want a fault of class Retry", err)
		}
	}
	os.Remove(path)
	for _, err := range s.Docs() {
		if f := fault.As(err); f == nil || f.Class != fault.Input {
			t.Errorf("%v, want an input fault", err)
		}
	}
}
