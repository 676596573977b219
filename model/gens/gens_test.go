package gens_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model/gens"
	"assay/model/trace"
)

func header(seed uint64) gens.Header {
	return gens.Header{Of: gens.Identity{Checkpoint: trace.Checkpoint{Weights: "sha256:00", Vocab: 9}, Prompts: "sha256:11", PrefixIDs: []int32{},
		Sampler: gens.Sampler{MaxTokens: 4, Temperature: "0.7", TopP: "0", Samples: 2, Seed: seed, EOS: []int32{2}, Stop: []string{}}, Precision: "f32"}}
}

func record(i int) gens.Record {
	text := fmt.Sprintf("<b> %d\u2028\"", i)
	return gens.Record{ID: fmt.Sprint("p", i/2), Sample: i % 2, IDs: []int32{int32(i), 2}, Text: &text, LogProbs: []float32{-0.1, -1.5e-8}, Stop: "eos", NearTie: -1}
}

func write(t *testing.T, w *gens.Writer, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := w.Append(record(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// readAll counts records, which must be those of record if same.
func readAll(path string, same bool) (n int, err error) {
	r, err := gens.Open(path)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for x, err := range r.All() {
		if err != nil {
			return n, err
		}
		if w := record(n); same && fmt.Sprint(x.ID, x.Sample, x.IDs, *x.Text, x.LogProbs, x.Stop, x.NearTie) != fmt.Sprint(w.ID, w.Sample, w.IDs, *w.Text, w.LogProbs, w.Stop, w.NearTie) {
			return n, fmt.Errorf("record %d: %+v", n, x)
		}
		n++
	}
	return n, nil
}

// A run that was cut off at any byte and resumed leaves the file of one that was
// not, byte for byte.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.jsonl")
	w, err := gens.Create(whole, header(1))
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, 0, 10)
	end, err := w.Close()
	if err != nil || end.Records != 10 {
		t.Fatal(end, err)
	}
	want, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := readAll(whole, true); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	lines := bytes.SplitAfter(want, []byte("\n"))
	if sum := sha256.Sum256(bytes.Join(lines[1:11], nil)); end.Content != hex.EncodeToString(sum[:]) {
		t.Errorf("content %s is not the digest of the record lines", end.Content)
	}
	for cut := 0; cut < len(want); cut += 7 {
		path := filepath.Join(dir, fmt.Sprint(cut, ".jsonl"))
		if err := os.WriteFile(path+".partial", want[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		w, done, err := gens.Resume(path, header(1), 2)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if done%2 != 0 {
			t.Fatalf("cut at %d: %d records kept", cut, done)
		}
		write(t, w, done, 10)
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("cut at %d: %v\n%s", cut, err, got)
		}
	}
}

func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.jsonl")
	w, err := gens.Create(path, header(1))
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, 0, 4)
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := gens.Resume(path, header(2), 2); fault.As(err) == nil || fault.As(err).Code != "other-run" {
		t.Errorf("another seed: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("an unfinished file has the final name")
	}
	w, done, err := gens.Resume(path, header(1), 2)
	if err != nil || done != 4 {
		t.Fatal(done, err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty":          "",
		"no header":      `{"id":"a","text":"x"}` + "\n",
		"schema":         strings.Replace(string(good), "assay.gens/1", "assay.gens/2", 1),
		"header changed": strings.Replace(string(good), `"seed":1`, `"seed":2`, 1),
		"cut off":        string(good[:len(good)-3]),
		"record changed": strings.Replace(string(good), `"ids":[1,2]`, `"ids":[3,2]`, 1),
		"lengths":        strings.Replace(string(good), `"ids":[1,2]`, `"ids":[1]`, 1),
		"record lost":    strings.Replace(string(good), strings.SplitAfter(string(good), "\n")[2], "", 1),
		"field":          strings.Replace(string(good), `"stop":`, `"stap":`, 1),
		"bad UTF-8":      strings.Replace(string(good), `<b> 1`, "\xff", 1),
	} {
		if err := os.WriteFile(path, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(path, false); fault.As(err) == nil {
			t.Errorf("%s: %v, want a fault", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"assay":{"schema":"assay.gens/1"}}` + "\n" + `{"id":"a","ids":[1],"logprobs":[-1]}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "x.jsonl")
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		_, _ = readAll(path, false)
	})
}

func Example() {
	dir, err := os.MkdirTemp("", "gens")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "gens.jsonl")
	w, err := gens.Create(path, gens.Header{Of: gens.Identity{Prompts: "sha256:00", Sampler: gens.Sampler{MaxTokens: 2, Temperature: "0", TopP: "0", Samples: 1}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	text := " four"
	if err := w.Append(gens.Record{ID: "sum", IDs: []int32{4}, Text: &text, LogProbs: []float32{-0.2}, Stop: "length", NearTie: -1}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}
	r, err := gens.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for x, err := range r.All() {
		fmt.Println(x.ID, *x.Text, x.Stop, err)
	}
	// Output: sum  four length <nil>
}
