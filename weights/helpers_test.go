package weights

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"assay/internal/fault"
)

const reference = "../testdata/reference"

// golden holds testdata/golden.json; its origin is testdata/make_golden.py.
type golden struct {
	Checkpoints map[string]struct {
		Weights, F32 string
		Tensors      int
	}
	F16, BF16 string
	F64       [][2]string
	RoPE      map[string]struct {
		Parameters   json.RawMessage
		Head, Window int
		MaxPositions int `json:"max_positions"`
		Inv          []float64
		Attention    float64
	}
}

func readGolden(t testing.TB) golden {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func mustOpen(t testing.TB, path string) *Checkpoint {
	t.Helper()
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// safetensors returns a file with the given header text and data.
func safetensors(header string, data []byte) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), data...)
}

// part is a tensor for pack.
type part struct {
	name  string
	dtype DType
	shape []int
	data  []byte
}

// pack writes tensors one after the other, in the order given.
func pack(parts ...part) []byte {
	var entries []string
	var data []byte
	for _, p := range parts {
		shape := strings.ReplaceAll(fmt.Sprint(p.shape), " ", ",")
		entries = append(entries, fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, p.name, p.dtype, shape, len(data), len(data)+len(p.data)))
		data = append(data, p.data...)
	}
	return safetensors("{"+strings.Join(entries, ",")+"}", data)
}

// vectorA and vectorB are the tensors of the published digest vector.
var (
	vectorA = part{"a.weight", F32, []int{2, 2}, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40}}
	vectorB = part{"b.bias", BF16, []int{3}, []byte{0, 0x3f, 0x80, 0xbf, 0, 0x40}}
)

// folder writes files to a new folder; a name that ends in / is a folder, and
// content that starts with "-> " is a link.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	fill(t, dir, files)
	return dir
}

func fill(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		switch target, link := strings.CutPrefix(content, "-> "); {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o700)
		case link:
			if err = os.Symlink(target, path); err != nil && runtime.GOOS == "windows" {
				t.Skip(err)
			}
		default:
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantFault checks an error's class, code and text.
func wantFault(t testing.TB, name string, err error, class fault.Class, code, text string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Class != class || f.Code != code || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: got %v (%+v); want class %d, code %s, text %q", name, err, f, class, code, text)
	}
}

// allocated returns the bytes that f allocates in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
