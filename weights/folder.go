package weights

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/weights/internal/mapped"
)

const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"

	maxIndexBytes  = 128 << 20
	maxConfigBytes = 16 << 20
	maxDepth       = 64
)

// place is where a checkpoint lies: root bounds every open, dir is the
// checkpoint's folder inside root, file is set when one file was asked for.
type place struct {
	root *os.Root
	dir  string
	file string
}

func (p place) join(name string) string { return path.Join(p.dir, name) }

// locate finds the folder and the root for a user's path. Links in the path
// itself are the user's own and are followed; links inside the folder may not
// leave the root. A snapshot of the hub cache links to ../../blobs, so there
// the root is the models--* folder.
func locate(name string) (place, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return place{}, pathError(name, err)
	}
	st, err := os.Stat(abs)
	if err != nil {
		return place{}, pathError(name, err)
	}
	dir, file := abs, ""
	switch {
	case st.IsDir():
	case st.Mode().IsRegular():
		dir, file = filepath.Split(abs)
	default:
		return place{}, fault.Inputf("malformed", "weights: %s: found %s, want a folder or a file", name, st.Mode().Type())
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return place{}, pathError(name, err)
	}
	rootDir, inside := dir, "."
	if repo, rev, ok := hubSnapshot(dir); ok {
		rootDir, inside = repo, path.Join("snapshots", rev)
	} else if file != "" {
		target, err := filepath.EvalSymlinks(filepath.Join(dir, file))
		if err != nil {
			return place{}, pathError(name, err)
		}
		rootDir, file = filepath.Split(target)
	}
	root, err := os.OpenRoot(rootDir)
	if err != nil {
		return place{}, pathError(name, err)
	}
	p := place{root: root, dir: inside, file: file}
	if file == "" && inside == "." && strings.HasPrefix(filepath.Base(dir), "models--") {
		if p.dir, err = hubRevision(root); err != nil {
			return place{}, errors.Join(fault.Inputf("malformed", "weights: %s: %w", name, err), root.Close())
		}
	}
	return p, nil
}

// hubSnapshot splits .../models--org--name/snapshots/REV.
func hubSnapshot(dir string) (repo, rev string, ok bool) {
	snapshots := filepath.Dir(dir)
	repo = filepath.Dir(snapshots)
	ok = filepath.Base(snapshots) == "snapshots" && strings.HasPrefix(filepath.Base(repo), "models--")
	return repo, filepath.Base(dir), ok
}

// hubRevision picks the snapshot of a models--* folder: the one that refs/main
// names, or the only one. A folder without snapshots is a plain folder.
func hubRevision(root *os.Root) (string, error) {
	entries, err := fs.ReadDir(root.FS(), "snapshots")
	if errors.Is(err, fs.ErrNotExist) {
		return ".", nil
	}
	if err != nil {
		return "", err
	}
	var revs []string
	for _, e := range entries {
		if e.IsDir() {
			revs = append(revs, e.Name())
		}
	}
	if ref, err := readSmall(root, "refs/main", 1024); err == nil {
		if rev := string(bytes.TrimSpace(ref)); slices.Contains(revs, rev) {
			return path.Join("snapshots", rev), nil
		}
	}
	if len(revs) == 1 {
		return path.Join("snapshots", revs[0]), nil
	}
	return "", fault.Inputf("malformed", "snapshots: found %q, want one, or refs/main naming one of them", revs).
		Hint("give the folder of one snapshot")
}

// readSmall reads a file of at most limit bytes through root.
func readSmall(root *os.Root, name string, limit int64) ([]byte, error) {
	st, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: mapped.ErrNotRegular}
	}
	if st.Size() > limit {
		return nil, fault.Inputf("malformed", "found %d bytes, want at most %d", st.Size(), limit)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	b.Grow(int(st.Size()) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, fault.Inputf("malformed", "found more than %d bytes", limit)
	}
	return b.Bytes(), nil
}

// contents sorts a checkpoint folder's entries.
type contents struct {
	single, index bool
	tensors       []string // other .safetensors
	gguf          []string
	pickles       []string
	ignored       []string // weights in other forms and code: never read
}

func list(p place) (contents, error) {
	entries, err := fs.ReadDir(p.root.FS(), p.dir)
	if err != nil {
		return contents{}, err
	}
	var c contents
	for _, e := range entries {
		name := e.Name()
		ext := strings.ToLower(path.Ext(name))
		switch {
		case name == singleName:
			c.single = true
		case name == indexName:
			c.index = true
		case name == "original" && e.IsDir():
			c.ignored = append(c.ignored, "original/")
		case e.IsDir():
		case strings.HasPrefix(name, "consolidated"):
			c.ignored = append(c.ignored, name)
		case ext == ".safetensors":
			c.tensors = append(c.tensors, name)
		case ext == ".gguf":
			c.gguf = append(c.gguf, name)
		case slices.Contains([]string{".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}, ext):
			c.pickles = append(c.pickles, name)
			c.ignored = append(c.ignored, name)
		case slices.Contains([]string{".h5", ".msgpack", ".onnx", ".tflite", ".npz", ".npy", ".py", ".so"}, ext):
			c.ignored = append(c.ignored, name)
		}
	}
	return c, nil
}

// choose returns the file to open first (a safetensors file, an index or a
// GGUF file), or says why there is none.
func (c contents) choose(name string) (string, error) {
	switch {
	case c.single && c.index:
		return "", fault.Inputf("malformed", "weights: %s: found both %s and %s, want one of them", name, singleName, indexName).
			Hint("remove the one that does not belong to this checkpoint, or give the path of the single file")
	case c.single:
		return singleName, nil
	case c.index:
		return indexName, nil
	case len(c.tensors) == 0 && len(c.gguf) == 1:
		return c.gguf[0], nil
	case len(c.tensors) == 0 && len(c.gguf) > 1:
		return "", fault.Inputf("malformed", "weights: %s: found %d GGUF files %q, want one", name, len(c.gguf), c.gguf).
			Hint("give the path of one of them")
	case slices.ContainsFunc(c.tensors, func(f string) bool { return strings.HasPrefix(f, "adapter_") }):
		return "", fault.Inputf("unsupported", "weights: %s: found an adapter %q, want a whole checkpoint", name, c.tensors).
			Hint("merge the adapter into its base model first")
	case slices.ContainsFunc(c.tensors, func(f string) bool { return strings.Contains(f, "-of-") }):
		return "", fault.Inputf("malformed", "weights: %s: found shards %q, want %s beside them", name, c.tensors, indexName)
	case len(c.tensors) > 0:
		return "", fault.Inputf("malformed", "weights: %s: found %q, want %s or %s", name, c.tensors, singleName, indexName).
			Hint("give the path of the file to open")
	case len(c.pickles) > 0:
		return "", fault.Inputf("unsupported", "weights: %s: found pickles only %q, want safetensors: reading a pickle runs code", name, c.pickles).
			Hint("on a machine that you do not mind, run: python -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('%s', dtype='auto').save_pretrained('converted')\"", name)
	}
	return "", fault.Inputf("malformed", "weights: %s: found no weights, want %s, %s or a .gguf file", name, singleName, indexName)
}

// pathError classifies what the file system said about a path: what is not
// there, or may not be followed, stays so; anything else may pass.
func pathError(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Inputf("missing", "weights: %s: not found: %w", name, err)
	case errors.Is(err, mapped.ErrNotRegular), strings.Contains(err.Error(), "escapes from parent"):
		return fault.Inputf("malformed", "weights: %s: %w", name, err).
			Hint("a checkpoint's files have to lie in its own folder; copy them there instead of linking")
	case fault.As(err) != nil:
		f := *fault.As(err)
		return fault.New(f.Class, f.Code, "weights: %s: %w", name, err)
	case errors.Is(err, mapped.ErrChanged):
		return fault.Retryf("changed", "weights: %s: %w", name, err)
	}
	return fault.Retryf("io", "weights: %s: %w", name, err)
}
