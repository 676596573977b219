package assoc

import (
	"strings"
	"testing"

	"assay/internal/fault"
)

func TestLines(t *testing.T) {
	rep := &Report{File: "t.jsonl"}
	var ids []string
	text := "{\"id\":\"a1\",\"label\":0}\n{\"id\":\"a2\",\"label\":1}\r\n{\"id\":\"a7\",\"label\":\"1\"}\n\n"
	err := Lines(strings.NewReader(text), rep, []string{"id", "label"}, func(l Line) {
		ids = append(ids, l.Text("id"))
		l.Integer("label", 0, 1)
	})
	if err != nil || len(ids) != 3 {
		t.Fatal(ids, err)
	}
	want := `t.jsonl:3:20: label: found "1", want a whole number from 0 to 1`
	if got := rep.Err(); got == nil || got.Error() != want || fault.As(got).Class != fault.Input {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestLinesRefuse(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"unknown":   {`{"id":"a","nam":1}`, `t:1:11: nam: found an unknown field`},
		"twice":     {`{"id":"a","id":"b"}`, `found the key twice`},
		"case":      {`{"ID":"a"}`, `ID: found an unknown field`},
		"blank":     {"{\"id\":\"a\"}\n\n{\"id\":\"b\"}", "t:2:1: line: found an empty line"},
		"bom":       {"\xef\xbb\xbf{}", "byte order mark"},
		"utf8":      {"{\"id\":\"\xff\"}", "UTF-8"},
		"list":      {"[1]", "want a JSON object"},
		"truncated": {`{"id":"a"`, "want a JSON object"},
		"more":      {`{"id":"a"} x`, "want a JSON object"},
		"missing":   {`{"label":1}`, "id: found nothing"},
		"null":      {`{"id":null}`, "id: found null"},
		"empty":     {`{"id":" "}`, "not empty"},
	} {
		rep := &Report{File: "t"}
		if err := Lines(strings.NewReader(c.text), rep, []string{"id", "label"}, func(l Line) { l.Text("id") }); err != nil {
			t.Fatal(name, err)
		}
		if err := rep.Err(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	rep := &Report{File: "t"}
	_ = Lines(strings.NewReader(strings.Repeat("x\n", 80)), rep, nil, func(Line) {})
	if err := rep.Err(); err == nil || !strings.Contains(err.Error(), "and 30 more") {
		t.Errorf("80 faults: %v, want 50 printed and 30 counted", err)
	}
}

func TestRecords(t *testing.T) {
	rep := &Report{File: "t.csv"}
	var got []string
	err := Records(strings.NewReader(",a,b\n0,x,\"y, z\"\n1, ,q\n2,w\n"), ',', rep, []string{"a", "b"}, []string{""}, func(r Record) {
		got = append(got, r.Text("a")+"|"+r.OneOf("b", "y, z", "q")+"|"+r.Get("no"))
	})
	if err != nil || len(got) != 2 || got[0] != "x|y, z|" {
		t.Errorf("%q, %v", got, err)
	}
	if e := rep.Err(); e == nil || !strings.Contains(e.Error(), `t.csv:3:3: a: found " "`) || !strings.Contains(e.Error(), "t.csv:4:1: row: found 2 fields") {
		t.Errorf("%v", e)
	}
	for name, text := range map[string]string{"missing": "a\nx\n", "unknown": "a,b,c\n1,2,3\n", "twice": "a,b,a\n", "quote": "a,b\n\"x,y\n"} {
		rep := &Report{File: "t"}
		if err := Records(strings.NewReader(text), ',', rep, []string{"a", "b"}, nil, func(Record) {}); err != nil || rep.Err() == nil {
			t.Errorf("%s: %v, %v; want a report", name, err, rep.Err())
		}
	}
	if err := Records(strings.NewReader(""), ',', &Report{File: "t"}, []string{"a"}, nil, func(Record) {}); err == nil {
		t.Error("empty file: no error")
	}
}

func FuzzLines(f *testing.F) {
	f.Add(`{"id":"a","label":1}`)
	f.Add("{\"id\":\"a\"}\n\n{}")
	f.Add("{\"id\":{\"a\":[1,2,{}]}}")
	f.Fuzz(func(t *testing.T, s string) {
		rep := &Report{File: "f"}
		n := 0
		if err := Lines(strings.NewReader(s), rep, []string{"id", "label"}, func(l Line) { n++; l.Text("id"); l.Integer("label", 0, 1) }); err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(s) != "" && n == 0 && rep.Err() == nil {
			t.Fatalf("%q: no row and no fault", s)
		}
	})
}
