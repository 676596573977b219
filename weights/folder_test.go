package weights

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

const (
	shard1 = "model-00001-of-00002.safetensors"
	shard2 = "model-00002-of-00002.safetensors"
)

// sharded is a sound checkpoint of two shards, changed by the given files; an
// empty content removes a file.
func sharded(t testing.TB, change map[string]string) string {
	t.Helper()
	files := map[string]string{
		shard1:        string(pack(vectorA)),
		shard2:        string(pack(vectorB)),
		indexName:     `{"metadata":{"total_size":22},"weight_map":{"a.weight":"` + shard1 + `","b.bias":"` + shard2 + `"}}`,
		"config.json": `{"vocab_size":2}`,
	}
	for name, content := range change {
		if content == "" {
			delete(files, name)
		} else {
			files[name] = content
		}
	}
	return folder(t, files)
}

// indexMap is an index with the given weight_map.
func indexMap(entries string) map[string]string {
	return map[string]string{indexName: `{"weight_map":{` + entries + `}}`}
}

func TestHostileIndex(t *testing.T) {
	out := filepath.Join(folder(t, map[string]string{"x.safetensors": string(pack(vectorB))}), "x.safetensors")
	good := `"a.weight":"` + shard1 + `",`
	tests := []struct {
		name, code, text string
		change           map[string]string
	}{
		// Shard names that lead out of the folder.
		{"parent folder", "malformed", `found file "../x.safetensors"`, indexMap(good + `"b.bias":"../x.safetensors"`)},
		{"sub folder", "malformed", "bare name", indexMap(good + `"b.bias":"sub/x.safetensors"`)},
		{"absolute path", "malformed", "bare name", indexMap(good + `"b.bias":"/etc/x.safetensors"`)},
		{"backslash", "malformed", "bare name", indexMap(good + `"b.bias":"..\\x.safetensors"`)},
		{"drive letter", "malformed", "bare name", indexMap(good + `"b.bias":"C:x.safetensors"`)},
		{"NUL", "malformed", "bare name", indexMap(good + `"b.bias":"x\u0000.safetensors"`)},
		{"a device, a pickle", "malformed", "bare name", indexMap(good + `"b.bias":"pytorch_model.bin"`)},
		// A shard that is a link to a file elsewhere.
		{"link out, absolute", "malformed", "escapes", map[string]string{shard2: "-> " + out}},
		{"link out, relative", "malformed", "escapes", map[string]string{shard2: "-> ../../../../../../../../etc/passwd"}},
		{"shard is a folder", "malformed", "not a regular file", map[string]string{shard2: "", shard2 + "/": "folder"}},
		{"missing shard", "missing", shard2 + ": not found", map[string]string{shard2: ""}},
		// The index promises a tensor that the shard does not have.
		{"tensor not there", "malformed", `tensor "c": not in ` + shard1, indexMap(good + `"b.bias":"` + shard2 + `","c":"` + shard1 + `"`)},
		{"tensor in the other shard", "malformed", `weight_map says ` + shard2, indexMap(`"a.weight":"` + shard2 + `","b.bias":"` + shard1 + `"`)},
		// A shard holds a tensor that the index does not know.
		{"tensor not in the map", "malformed", `tensor "a.weight": found in ` + shard1 + `, but not in weight_map`, map[string]string{
			shard2:    string(pack(vectorB, part{"c", F32, []int{0}, nil})),
			indexName: `{"weight_map":{"c":"` + shard2 + `","b.bias":"` + shard2 + `","x":"` + shard1 + `"}}`}},
		{"tensor in two shards", "malformed", `tensor "b.bias": found in`, map[string]string{shard1: string(pack(vectorA, vectorB))}},
		{"duplicate tensor", "malformed", "duplicate", indexMap(good + `"a.weight":"` + shard2 + `"`)},
		{"duplicate map", "malformed", "duplicate", map[string]string{indexName: `{"weight_map":{"a.weight":"` + shard1 + `"},"weight_map":{"b.bias":"` + shard2 + `"}}`}},
		{"no map", "malformed", "weight_map: found none", map[string]string{indexName: `{"metadata":{}}`}},
		{"empty map", "malformed", "weight_map: found none", indexMap("")},
		{"map is a list", "malformed", "want an object", map[string]string{indexName: `{"weight_map":[]}`}},
		{"file is a number", "malformed", "found number, want a file name", indexMap(`"a.weight":1`)},
		{"index is a list", "malformed", "want an object", map[string]string{indexName: `[]`}},
		{"index cut short", "malformed", indexName, map[string]string{indexName: `{"weight_map":{"a.weight":"` + shard1}},
		{"text after the index", "malformed", "after the end", map[string]string{indexName: `{"weight_map":{"a.weight":"` + shard1 + `","b.bias":"` + shard2 + `"}} {}`}},
		{"deep metadata", "malformed", "nesting deeper than 64", map[string]string{indexName: `{"metadata":{"a":` + strings.Repeat("[", 500)}},
		{"deep unknown key", "malformed", "nesting deeper than 64", map[string]string{indexName: `{"a":` + strings.Repeat("[", 500)}},
		{"negative total", "malformed", "total_size: found -1", map[string]string{indexName: `{"metadata":{"total_size":-1}}`}},
		{"index is a link out", "malformed", "escapes", map[string]string{indexName: "-> " + out}},
		// A shard is itself malformed: the error names the shard.
		{"bad shard", "malformed", shard2 + ": file: found 3 bytes", map[string]string{shard2: "abc"}},
		// Both forms side by side: which one is the checkpoint?
		{"single file and index", "malformed", "found both", map[string]string{singleName: string(pack(vectorA))}},
		{"shards without index", "malformed", "want " + indexName + " beside them", map[string]string{indexName: ""}},
		{"config is a link out", "malformed", "config.json", map[string]string{"config.json": "-> " + out}},
	}
	for _, tc := range tests {
		dir := sharded(t, tc.change)
		var err error
		n := allocated(func() { _, err = Open(dir) })
		wantFault(t, tc.name, err, fault.Input, tc.code, tc.text)
		if n > 1<<20 {
			t.Errorf("%s: allocated %d bytes", tc.name, n)
		}
	}
}

func TestIndexWarning(t *testing.T) {
	c := mustOpen(t, sharded(t, map[string]string{indexName: `{"metadata":{"total_size":23.0,"x":[{}]},"weight_map":{"a.weight":"` + shard1 + `","b.bias":"` + shard2 + `"},"y":{"z":[1]}}`}))
	ws := c.Warnings()
	if len(ws) != 1 || ws[0].Code != "total-size" || !strings.Contains(ws[0].Text, "is 23, the tensors have 22 bytes") {
		t.Errorf("warnings %v, want total-size", ws)
	}
	if ws := mustOpen(t, sharded(t, nil)).Warnings(); len(ws) != 0 {
		t.Errorf("warnings %v, want none", ws)
	}
}

// Which file of a folder is opened, and which are left alone.
func TestChoose(t *testing.T) {
	one := string(pack(vectorA))
	tests := []struct {
		name, code, text string
		files            map[string]string
		ignored          []string
	}{
		{"one file", "", "", map[string]string{singleName: one}, nil},
		{"beside others", "", "", map[string]string{
			singleName: one, "pytorch_model.bin": "x", "consolidated.00.pth": "x", "consolidated.safetensors": "x", "original/params.json": "{}",
			"model.fp16.safetensors": "x", "modeling_x.py": "x", "README.md": "x", "tf_model.h5": "x", "optimizer.pt": "x", "m.gguf": "x", "sub/other.bin": "x"},
			[]string{"consolidated.00.pth", "consolidated.safetensors", "m.gguf", "model.fp16.safetensors", "modeling_x.py", "optimizer.pt", "original/", "pytorch_model.bin", "tf_model.h5"}},
		{"only pickles", "unsupported", "found pickles only [\"pytorch_model.bin\"]", map[string]string{"pytorch_model.bin": "x", "config.json": "{}"}, nil},
		{"only another name", "malformed", "found [\"weights.safetensors\"]", map[string]string{"weights.safetensors": one}, nil},
		{"adapter", "unsupported", "found an adapter", map[string]string{"adapter_model.safetensors": one, "adapter_config.json": "{}"}, nil},
		{"nothing", "malformed", "found no weights", map[string]string{"README.md": "x"}, nil},
		{"only consolidated", "malformed", "found no weights", map[string]string{"consolidated.safetensors": one}, nil},
		{"two GGUF files", "malformed", "found 2 GGUF files", map[string]string{"a.gguf": "x", "b.gguf": "x"}, nil},
	}
	for _, tc := range tests {
		dir := folder(t, tc.files)
		c, err := Open(dir)
		if tc.code != "" {
			wantFault(t, tc.name, err, fault.Input, tc.code, tc.text)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if !slices.Equal(c.Ignored(), tc.ignored) {
			t.Errorf("%s: ignored %q, want %q", tc.name, c.Ignored(), tc.ignored)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := Open(folder(t, map[string]string{"pytorch_model.bin": "x"}))
	if f := fault.As(err); f == nil || len(f.Hints) != 1 || !strings.Contains(f.Hints[0], "save_pretrained") {
		t.Errorf("only pickles: hints %v, want the conversion command", f)
	}
}

func TestPaths(t *testing.T) {
	dir := folder(t, map[string]string{
		"real/model.safetensors": string(pack(vectorA)), "real/config.json": `{"vocab_size":5}`, "real/notes.txt": "x", "real/other.safetensors": string(pack(vectorB)),
		"link": "-> real", "file.safetensors": "-> real/model.safetensors",
	})
	// The user's own links are followed; the folder is that of the target.
	for _, p := range []string{"real", "link", "real/model.safetensors", "link/model.safetensors", "file.safetensors", "real/other.safetensors"} {
		c := mustOpen(t, filepath.Join(dir, p))
		if got := c.Config().Int("vocab_size"); got != 5 || c.Len() != 1 {
			t.Errorf("%s: vocab_size %d, %d tensors; want 5, 1", p, got, c.Len())
		}
	}
	c := mustOpen(t, filepath.Join(dir, "real/other.safetensors"))
	if !c.Has("b.bias") || !slices.Equal(c.Ignored(), []string{singleName}) {
		t.Errorf("one named file: ignored %q, want %q", c.Ignored(), singleName)
	}
	_, err := Open(filepath.Join(dir, "nowhere"))
	wantFault(t, "nowhere", err, fault.Input, "missing", "not found")
	_, err = Open(filepath.Join(dir, "real/notes.txt"))
	wantFault(t, "text file", err, fault.Input, "unsupported", `type ".txt"`)
	if runtime.GOOS != "windows" {
		l, err := net.Listen("unix", filepath.Join(dir, "model.safetensors"))
		if err != nil {
			t.Skip(err)
		}
		defer l.Close()
		_, err = Open(dir) // must not block
		wantFault(t, "socket", err, fault.Input, "malformed", "not a regular file")
	}
}

// The hub cache links every file of a snapshot to ../../blobs.
func TestHubCache(t *testing.T) {
	hub := func(change map[string]string) string {
		files := map[string]string{
			"models--o--n/blobs/11":                        string(pack(vectorA)),
			"models--o--n/blobs/22":                        `{"vocab_size":7}`,
			"models--o--n/blobs/33":                        string(pack(vectorB)),
			"models--o--n/snapshots/aaa/model.safetensors": "-> ../../blobs/11",
			"models--o--n/snapshots/aaa/config.json":       "-> ../../blobs/22",
			"models--o--n/snapshots/aaa/tokenizer.json":    "-> ../../blobs/22",
			"models--o--n/snapshots/bbb/model.safetensors": "-> ../../blobs/33",
			"models--o--n/refs/main":                       "aaa",
			"secret":                                       string(pack(vectorA)),
		}
		maps.Copy(files, change)
		return filepath.Join(folder(t, files), "models--o--n")
	}
	repo := hub(nil)
	for _, p := range []string{"", "snapshots/aaa", "snapshots/aaa/model.safetensors"} {
		c := mustOpen(t, filepath.Join(repo, p))
		if !c.Has("a.weight") || c.Config().Int("vocab_size") != 7 {
			t.Errorf("%q: not the snapshot aaa", p)
		}
		if text, err := os.ReadFile(c.Tokenizer()); err != nil || string(text) != `{"vocab_size":7}` {
			t.Errorf("%q: Tokenizer %q: %v", p, c.Tokenizer(), err)
		}
	}
	if !mustOpen(t, filepath.Join(repo, "snapshots/bbb")).Has("b.bias") {
		t.Error("snapshot bbb is not its own")
	}
	// refs/main names nothing that is there, and there are two snapshots.
	_, err := Open(hub(map[string]string{"models--o--n/refs/main": "../../secret"}))
	wantFault(t, "bad ref", err, fault.Input, "malformed", `found ["aaa" "bbb"]`)
	// A link that leaves the models--* folder.
	_, err = Open(hub(map[string]string{"models--o--n/snapshots/aaa/model.safetensors": "-> ../../../secret"}))
	wantFault(t, "link out", err, fault.Input, "malformed", "escapes")
	_, err = Open(hub(map[string]string{"models--o--n/snapshots/aaa/model.safetensors": "-> ../../blobs/99"}))
	wantFault(t, "broken link", err, fault.Input, "missing", "not found")
	// One snapshot needs no ref.
	single := folder(t, map[string]string{"models--x/snapshots/c/model.safetensors": string(pack(vectorB))})
	if !mustOpen(t, filepath.Join(single, "models--x")).Has("b.bias") {
		t.Error("a single snapshot was not found")
	}
}
