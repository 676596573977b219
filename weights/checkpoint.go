package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"assay/internal/fault"
	"assay/weights/internal/gguf"
	"assay/weights/internal/mapped"
)

// Info describes one tensor. Shape is shared: do not change it.
type Info struct {
	Name  string // as Hugging Face names it
	DType DType
	Shape []int // outermost first
	Bytes int64 // as stored
	File  string
}

// Len returns the number of values.
func (i Info) Len() int {
	n := 1
	for _, d := range i.Shape {
		n *= d
	}
	return n
}

// Warning is something that the caller must show. Codes: total-size,
// zero-tensor, f64-rounded.
type Warning struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// File is a file of the checkpoint that was read.
type File struct {
	Name  string `json:"name"`
	Role  string `json:"role"` // weights, index, config, tokenizer
	Bytes int64  `json:"bytes"`
}

// Checkpoint is an open checkpoint. Its methods may be called from many
// goroutines; after Close they fail.
type Checkpoint struct {
	path    string
	place   place
	files   []File
	ignored []string
	tensors []tensor // by name, in byte order
	hidden  []tensor // of a GGUF file: rotary factors, handed out in config
	config  *document
	gguf    *gguf.File

	mu     sync.RWMutex // held for reading while mapped bytes are in use
	closed bool
	maps   []*mapped.File

	warnMu   sync.Mutex
	warnings []Warning
	rounded  map[string]bool // F64 tensors that F32 has rounded
}

// tensor is a tensor and where its bytes are.
type tensor struct {
	Info
	file  *mapped.File
	at    int64
	block *block // GGUF only: packed values, or a layout to undo
}

// raw returns the mapped bytes.
func (t *tensor) raw() []byte { return t.file.Bytes()[t.at : t.at+t.Bytes : t.at+t.Bytes] }

// Open opens a checkpoint: its folder, a models--* folder of the hub cache, or
// one .safetensors or .gguf file. It reads headers, the index and config.json,
// and maps the rest. The cost does not depend on the size of the weights.
func Open(path string) (*Checkpoint, error) {
	p, err := locate(path)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{path: path, place: p}
	if err := c.open(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Checkpoint) open() error {
	entries, err := list(c.place)
	if err != nil {
		return pathError(c.path, err)
	}
	first := c.place.file
	if first == "" {
		if first, err = entries.choose(c.path); err != nil {
			return err
		}
	}
	switch ext := strings.ToLower(filepath.Ext(first)); {
	case first == indexName:
		err = c.openIndex()
	case ext == ".safetensors":
		err = c.openShard(first)
	case ext == ".gguf":
		err = c.openGGUF(first)
	default:
		err = fault.Inputf("unsupported", "weights: %s: found a file of type %q, want .safetensors or .gguf", c.path, ext)
	}
	if err != nil {
		return err
	}
	// Names are unique: within a file its reader saw to it, among shards the index.
	slices.SortFunc(c.tensors, func(a, b tensor) int { return strings.Compare(a.Name, b.Name) })
	c.ignored = entries.unread(c.files)
	if c.gguf != nil {
		return nil // its configuration is in the file
	}
	return c.openConfig()
}

// unread lists what lies in the folder, looks like weights or code, and was
// not opened.
func (c contents) unread(read []File) []string {
	out := slices.Clone(c.ignored)
	candidates := slices.Concat(c.tensors, c.gguf)
	if c.single {
		candidates = append(candidates, singleName)
	}
	if c.index {
		candidates = append(candidates, indexName)
	}
	for _, name := range candidates {
		if !slices.ContainsFunc(read, func(f File) bool { return f.Name == name }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// openShard maps one safetensors file and adds its tensors.
func (c *Checkpoint) openShard(name string) error {
	m, err := mapped.Open(c.place.root, c.place.join(name))
	if err != nil {
		return pathError(name, err)
	}
	c.maps = append(c.maps, m)
	c.files = append(c.files, File{Name: name, Role: "weights", Bytes: m.Size()})
	var h header
	err = mapped.Guard(func() (err error) {
		h, err = parseSafetensors(m.Bytes())
		return err
	})
	if err = errors.Join(err, m.Changed()); err != nil {
		return malformed(name, err)
	}
	c.tensors = slices.Grow(c.tensors, len(h.tensors))
	for _, t := range h.tensors {
		c.tensors = append(c.tensors, tensor{
			Info: Info{Name: t.name, DType: t.dtype, Shape: t.shape, Bytes: int64(t.end - t.begin), File: name},
			file: m, at: h.dataAt + int64(t.begin),
		})
	}
	return nil
}

// openIndex opens every shard that the index names and holds the two against
// each other.
func (c *Checkpoint) openIndex() error {
	text, err := readSmall(c.place.root, c.place.join(indexName), maxIndexBytes)
	if err != nil {
		return pathError(indexName, err)
	}
	c.files = append(c.files, File{Name: indexName, Role: "index", Bytes: int64(len(text))})
	x, err := parseIndex(text)
	if err != nil {
		return malformed(indexName, err)
	}
	for _, name := range x.files {
		if err := c.openShard(name); err != nil {
			return err
		}
	}
	left, total := len(x.shard), int64(0)
	for _, t := range c.tensors {
		switch file, ok := x.shard[t.Name]; {
		case !ok:
			return malformed(indexName, fmt.Errorf("tensor %q: found in %s, but not in weight_map", t.Name, t.File))
		case file != t.File:
			return malformed(indexName, fmt.Errorf("tensor %q: found in %s, weight_map says %s", t.Name, t.File, file))
		}
		left--
		total += t.Bytes
	}
	if left > 0 {
		return malformed(indexName, x.missing(c.tensors))
	}
	if x.totalSize >= 0 && x.totalSize != total {
		c.warn("total-size", "%s: metadata.total_size is %d, the tensors have %d bytes", indexName, x.totalSize, total)
	}
	return nil
}

// missing names the first tensor that the index promises and no shard holds.
func (x shardIndex) missing(found []tensor) error {
	have := make(map[string]bool, len(found))
	for _, t := range found {
		have[t.Name] = true
	}
	first := ""
	for name := range x.shard {
		if !have[name] && (first == "" || name < first) {
			first = name
		}
	}
	return fmt.Errorf("tensor %q: not in %s, where weight_map puts it", first, x.shard[first])
}

// malformed gives an error about a file's content its class, unless a part
// below knew better.
func malformed(name string, err error) error {
	if fault.As(err) != nil || errors.Is(err, mapped.ErrChanged) {
		return pathError(name, err)
	}
	return fault.Inputf("malformed", "weights: %s: %w", name, err)
}

func (c *Checkpoint) openConfig() error {
	text, err := readSmall(c.place.root, c.place.join("config.json"), maxConfigBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return pathError("config.json", err)
	}
	c.files = append(c.files, File{Name: "config.json", Role: "config", Bytes: int64(len(text))})
	c.config, err = parseConfig("config.json", text)
	return err
}

// Close unmaps the files. Slices returned by Raw must not be used afterwards.
func (c *Checkpoint) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	var errs []error
	for _, m := range c.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(append(errs, c.place.root.Close())...)
}

// Path returns the path given to Open.
func (c *Checkpoint) Path() string { return c.path }

// Config returns the configuration with an empty record of what was read.
func (c *Checkpoint) Config() *Config { return newConfig(c.config) }

// Tensors yields the tensors by name, in byte order.
func (c *Checkpoint) Tensors() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		for i := range c.tensors {
			if !yield(c.tensors[i].Info) {
				return
			}
		}
	}
}

// Len returns the number of tensors.
func (c *Checkpoint) Len() int { return len(c.tensors) }

// Has says whether there is a tensor of that name.
func (c *Checkpoint) Has(name string) bool {
	_, ok := c.find(name)
	return ok
}

// Info describes the named tensor; ok is false if there is none.
func (c *Checkpoint) Info(name string) (info Info, ok bool) {
	t, ok := c.find(name)
	if !ok {
		return Info{}, false
	}
	return t.Info, true
}

func (c *Checkpoint) find(name string) (*tensor, bool) {
	i, ok := slices.BinarySearchFunc(c.tensors, name, func(t tensor, name string) int { return strings.Compare(t.Name, name) })
	if !ok {
		return nil, false
	}
	return &c.tensors[i], true
}

// Files lists what was read or mapped, in the order of opening.
func (c *Checkpoint) Files() []File { return slices.Clone(c.files) }

// Ignored lists files of the folder that are weights in another form, or code,
// by name. They are never opened.
func (c *Checkpoint) Ignored() []string { return slices.Clone(c.ignored) }

// Tokenizer returns the path of the tokenizer.json beside the weights, or "".
func (c *Checkpoint) Tokenizer() string {
	if st, err := c.place.root.Stat(c.place.join("tokenizer.json")); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	return filepath.Join(c.place.root.Name(), filepath.FromSlash(c.place.join("tokenizer.json")))
}

// ReadFile returns a small file that lies beside the weights (tokenizer.json,
// generation_config.json). It refuses more than limit bytes, anything but a
// regular file, and links that leave the checkpoint.
func (c *Checkpoint) ReadFile(name string, limit int64) ([]byte, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, errClosed(name)
	}
	if name != filepath.Base(name) {
		return nil, fault.Usagef("weights: file %q: want a bare name", name)
	}
	b, err := readSmall(c.place.root, c.place.join(name), limit)
	if err != nil {
		return nil, pathError(name, err)
	}
	return b, nil
}

// Warnings returns the warnings so far: those of Open, of tensors that F32
// has rounded, and of Scan.
func (c *Checkpoint) Warnings() []Warning {
	c.warnMu.Lock()
	defer c.warnMu.Unlock()
	out := slices.Clone(c.warnings)
	if len(c.rounded) > 0 {
		out = append(out, Warning{"f64-rounded", fmt.Sprintf("%d tensors are stored in F64 and were rounded to F32: %s", len(c.rounded), some(c.rounded))})
	}
	return out
}

func (c *Checkpoint) warn(code, format string, args ...any) {
	c.warnMu.Lock()
	defer c.warnMu.Unlock()
	if w := (Warning{code, fmt.Sprintf(format, args...)}); !slices.Contains(c.warnings, w) {
		c.warnings = append(c.warnings, w)
	}
}

// some names at most three of a set, in byte order.
func some(set map[string]bool) string {
	names := make([]string, 0, len(set))
	for n := range set {
		names = append(names, n)
	}
	slices.Sort(names)
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

func errClosed(name string) error {
	return fault.Usagef("weights: %s: %w", name, os.ErrClosed)
}
