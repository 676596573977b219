//go:build tokenizers

package tokenize

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/gen"
)

// moduleData is the folder with the real tokenizer.json files of the binding.
func moduleData(t testing.TB) string {
	t.Helper()
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/daulet/tokenizers")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "test", "data")
}

// mixedLine draws line i as testdata/make_ids.py does.
func mixedLine(i int, fragments []string) string {
	g := gen.New(uint64(i))
	var b strings.Builder
	for range 1 + g.Below(12) {
		if g.Below(8) == 0 {
			c := rune(1 + g.Below(0x10ffff))
			if c >= 0xd800 && c < 0xe000 {
				c = 'A'
			}
			b.WriteRune(c)
		} else {
			b.WriteString(fragments[g.Below(len(fragments))])
		}
	}
	return b.String()
}

// Ids and byte offsets of 10,000 mixed lines equal those of Python tokenizers
// 0.23.3 (testdata/make_ids.py).
func TestLinesAgainstPython(t *testing.T) {
	want := readJSON[struct {
		Fragments []string            `json:"fragments"`
		First     []string            `json:"first"`
		Digests   map[string][]string `json:"digests"`
	}](t, "testdata/lines.json")
	lines := make([]string, 10_000)
	for i := range lines {
		lines[i] = mixedLine(i, want.Fragments)
	}
	if !slices.Equal(lines[:3], want.First) {
		t.Fatalf("lines %q, want %q", lines[:3], want.First)
	}
	if testing.Short() {
		lines = lines[:1000]
	}
	real := moduleData(t)
	for name, path := range map[string]string{
		"llama-3":           filepath.Join(real, "Meta-Llama-3-8B-Instruct.json"),
		"bert-base-uncased": filepath.Join(real, "bert-base-uncased.json"),
		"all-minilm-l6-v2":  filepath.Join(real, "all-minilm-l6-v2.json"),
		"cohere":            filepath.Join(real, "cohere-tokenizer.json"),
		"byte_bpe":          filepath.Join(reference, "tokenizers/byte_bpe"),
		"sentencepiece_bpe": filepath.Join(reference, "tokenizers/sentencepiece_bpe"),
		"wordpiece":         filepath.Join(reference, "tokenizers/wordpiece"),
	} {
		t.Run(name, func(t *testing.T) {
			tok := open(t, path, Options{})
			digests := want.Digests[name]
			if len(digests) != 20 {
				t.Fatalf("found %d digests, want 20", len(digests))
			}
			for from := 0; from < len(lines); from += 500 {
				if got := digestLines(t, tok, lines[from:from+500]); got != digests[from/500] {
					t.Errorf("lines %d to %d differ", from, from+499)
				}
			}
		})
	}
}

func digestLines(t *testing.T, tok *Tokenizer, lines []string) string {
	h := sha256.New()
	var b []byte
	for _, text := range lines {
		ids, ends, err := tok.Encode(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		b = binary.LittleEndian.AppendUint32(b[:0], uint32(len(ids)))
		for i, id := range ids {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
			b = binary.LittleEndian.AppendUint32(b, uint32(ends[i]))
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}
