package palimpsest

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

func tinyTranscript(text bool) *Transcript {
	t := &Transcript{Meta: Meta{Schema: TranscriptSchema, N: 50, Design: "uniform", Window: [2]float64{0, 1}, SelectionSeed: 4, Seed: "6198", Generator: "numpy PCG64"},
		Seq: []int64{7, 3, 9, 4}, Positions: [][]int64{{12}, {0}, {49}, {30}}, Step: []int64{1, 0, 4, 3}, Epoch: []int32{0, 0, 1, 1},
		Block: []string{"a", "a", "b", "b"}, Source: []string{"x", "", "y", "y"}, Wrong: []int64{3, 48, 0, 17}}
	if text {
		t.Text = []string{"The quick fox", "", "jumps, the fox", "é 日本 fox\n"}
	} else {
		t.IDs = [][]uint32{{1, 2, 3}, {4294967295}, {5, 5}, {0}}
	}
	return t
}

// write saves a transcript under a name in a folder of the test.
func write(t *testing.T, tr *Transcript, name string) string {
	t.Helper()
	var b bytes.Buffer
	f := tr.WriteParquet
	if strings.HasSuffix(name, ".jsonl") {
		f = tr.WriteJSONL
	}
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTranscriptRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name string
		text bool
		many bool
		file string
	}{{"ids", false, false, "t.parquet"}, {"text", true, false, "t.parquet"}, {"ids jsonl", false, false, "t.jsonl"}, {"text jsonl", true, false, "t.jsonl"},
		{"passes", false, true, "t.parquet"}, {"passes jsonl", false, true, "t.jsonl"}} {
		t.Run(c.name, func(t *testing.T) {
			want := tinyTranscript(c.text)
			if c.many {
				want.Positions = [][]int64{{12, 40}, {0}, {49}, {1, 2, 30}}
			}
			path := write(t, want, c.file)
			if err := want.Derive(); err != nil {
				t.Fatal(err)
			}
			got, err := Open(path, true)
			if err != nil {
				t.Fatal(err)
			}
			stream, err := Open(path, false)
			if err != nil {
				t.Fatal(err)
			}
			i := 0
			for row, err := range stream.Contents() {
				if err != nil {
					t.Fatal(err)
				}
				if c.text && row.Text != want.Text[i] || !c.text && !slices.Equal(row.IDs, want.IDs[i]) {
					t.Errorf("streamed row %d is %v", i, row)
				}
				i++
			}
			if i != want.Len() {
				t.Errorf("%d rows streamed, want %d", i, want.Len())
			}
			got.file = nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("read back\n%+v\nwant\n%+v", got, want)
			}
		})
	}
}

// A file that pyarrow 26 wrote (testdata/fixtures.py): narrower integers, nulls, an
// unknown column, several row groups.
func TestOpenPyarrow(t *testing.T) {
	got, err := Open("testdata/pyarrow.parquet", true)
	if err != nil {
		t.Fatal(err)
	}
	var pos []int64
	for _, p := range got.Positions {
		pos = append(pos, p...)
	}
	if want := []int64{30, 18, 6, 24, 25, 38, 9, 23, 2, 17, 22, 35}; !slices.Equal(pos, want) {
		t.Errorf("positions %v, want %v", pos, want)
	}
	if want := [][]uint32{{35235}, {23460, 30566}, {65191, 14227, 36958}}; !reflect.DeepEqual(got.IDs[:3], want) {
		t.Errorf("ids %v, want %v", got.IDs[:3], want)
	}
	if got.Seq[11] != 111 || got.Block[3] != "b" || got.Block[4] != "" || !got.Meta.Regenerated || got.Meta.N != 40 {
		t.Errorf("seq %d strata %q meta %+v", got.Seq[11], got.Block, got.Meta)
	}
}

func TestTranscriptRefusals(t *testing.T) {
	lines := func(s string) string { return strings.ReplaceAll(s, ";", "\n") }
	for _, c := range []struct{ name, file, want string }{
		{"repeated seq", `{"seq":1,"pos":0,"text":"a"};{"seq":1,"pos":1,"text":"b"}`, "seq 1 appears twice"},
		{"repeated position", `{"pos":5,"text":"a"};{"pos":5,"text":"b"}`, "position 5 belongs to two rows"},
		{"negative position", `{"pos":-1,"text":"a"}`, "position -1, want at least 0"},
		{"missing position", `{"text":"a"}`, "exactly one of pos and positions"},
		{"position beyond the run", `{"assay.transcript":{"schema":"assay.transcript/1","n":3}};{"pos":3,"text":"a"}`, "position 3, want below n = 3"},
		{"passes out of order", `{"positions":[4,2],"text":"a"}`, "position 2 after 4"},
		{"no passes", `{"positions":[],"text":"a"}`, "no position"},
		{"ids and text", `{"pos":0,"ids":[1],"text":"a"}`, "exactly one of ids"},
		{"neither", `{"pos":0}`, "exactly one of ids"},
		{"negative id", `{"pos":0,"ids":[-1]}`, "-1"},
		{"unknown field", `{"pos":0,"text":"a","postion":1}`, "postion"},
		{"duplicate key", `{"pos":0,"pos":1,"text":"a"}`, "pos"},
		{"other columns in row 2", `{"pos":0,"text":"a","step":1};{"pos":1,"text":"b"}`, "same columns in every row"},
		{"schema of the future", `{"assay.transcript":{"schema":"assay.transcript/9","n":3}};{"pos":0,"text":"a"}`, "assay.transcript/9"},
		{"bad design", `{"assay.transcript":{"schema":"assay.transcript/1","design":"late:2"}};{"pos":0,"text":"a"}`, "late:2"},
		{"not JSON", `pos,text`, "t.jsonl:1:"},
		{"invalid UTF-8", "{\"pos\":0,\"text\":\"\xff\"}", "UTF-8"},
		{"empty", "", "no rows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.jsonl")
			if err := os.WriteFile(path, []byte(lines(c.file)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path, false)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if f := fault.As(err); f == nil || f.Class != fault.Input && f.Class != fault.Usage {
				t.Errorf("class of %v, want input", err)
			}
		})
	}
}

func TestOpenParquetRefusals(t *testing.T) {
	whole, err := os.ReadFile("testdata/pyarrow.parquet")
	if err != nil {
		t.Fatal(err)
	}
	bmt, err := os.ReadFile("testdata/bmt.parquet")
	if err != nil {
		t.Fatal(err)
	}
	cut := append(slices.Clone(whole[:len(whole)/2]), whole[len(whole)-8:]...)
	for name, b := range map[string][]byte{"truncated": whole[:len(whole)-20], "hole": cut, "empty": nil, "text": []byte("hello"), "no columns": bmt} {
		path := filepath.Join(t.TempDir(), "t.parquet")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, false); err == nil || fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: error %v, want an input fault", name, err)
		}
	}
	if _, err := Open("testdata/absent.parquet", false); fault.As(err) == nil || fault.As(err).Class != fault.Retry {
		t.Errorf("absent file: %v, want a retry fault", err)
	}
}

func FuzzOpenParquet(f *testing.F) {
	for _, name := range []string{"testdata/pyarrow.parquet", "testdata/bmt.parquet"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := openParquet("fuzz", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		tr, err := readParquet(p)
		if err != nil {
			return
		}
		if tr.Validate() == nil {
			_ = contents(p, "ids", func(Contents, error) bool { return true })
		}
	})
}

func FuzzReadJSONL(f *testing.F) {
	f.Add([]byte("{\"assay.transcript\":{\"schema\":\"assay.transcript/1\",\"n\":9}}\n{\"pos\":1,\"ids\":[1,2]}\n"))
	f.Add([]byte(`{"positions":[1,4],"text":"a","stratum":"s"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tr := &Transcript{}
		err := readJSONL(tr, func(each func(int, []byte) error) error { return scanLines("fuzz", bytes.NewReader(b), each) })
		if err == nil && tr.Validate() == nil && tr.Len() != len(tr.Positions) {
			t.Fatal("columns of unequal length passed")
		}
	})
}
